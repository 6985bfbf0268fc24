"""`muster serve` and `muster migrate` on stores that others run."""

import json
import os
import signal
import subprocess
import sys

import asyncpg
import pytest

SECRET = "a secret of thirty-two characters or more"


@pytest.fixture
def environment(stores, database):
    """The settings of a deployment."""
    return os.environ | {
        "MUSTER_ADMIN_DATABASE_URL": database.admin_url,
        "MUSTER_OWNER_DATABASE_URL": database.owner_url,
        "MUSTER_DATABASE_URL": database.app_url,
        "MUSTER_WRITER_DATABASE_URL": database.writer_url,
        "MUSTER_REDIS_URL": stores.redis_url,
        "MUSTER_USER_TOKEN_SECRET": SECRET,
        "MUSTER_SERVICE_TOKEN_SECRET": SECRET,
    }


@pytest.fixture
def serve(environment):
    """Starts `muster serve`, and gives the process and its address once it serves."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", "muster_stack", "serve", *arguments, "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stderr:
            said = json.loads(line)
            if said["message"] == "serving":
                return process, f"127.0.0.1:{said['port']}"
        raise AssertionError("it does not serve")

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
async def writable_database(stores, database):
    connection = await asyncpg.connect(database.admin_url)
    yield connection
    await connection.close()


async def test_migrate_makes_schemas_and_may_be_repeated(muster, environment, writable_database):
    for _ in range(2):
        done = muster("migrate", **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Up to date")
    schemas = await writable_database.fetch("SELECT nspname FROM pg_namespace")
    for name in done.stdout.removeprefix("Up to date: ").strip(".\n").split(", "):
        assert name in {row["nspname"] for row in schemas}


def test_migrate_on_no_database_is_one_sentence(muster, environment, tmp_path):
    away = {"MUSTER_OWNER_DATABASE_URL": f"postgresql://muster_owner:x@/muster?host={tmp_path}"}
    done = muster("migrate", **(environment | {"MUSTER_ADMIN_DATABASE_URL": ""} | away))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("The database cannot be brought up to date")


def test_migrate_with_a_wrong_password_does_not_show_it(muster, environment, database):
    wrong = database.owner_url.replace(":", ":wrong-", 2).replace("postgresql:wrong-//", "postgresql://")
    done = muster(
        "migrate", **(environment | {"MUSTER_ADMIN_DATABASE_URL": "", "MUSTER_OWNER_DATABASE_URL": wrong})
    )
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
    assert "wrong-" not in done.stderr


def test_migrate_without_an_address_says_which(muster):
    assert "MUSTER_OWNER_DATABASE_URL is not set" in muster("migrate").stderr


def test_one_service_serves_alone_and_drains_on_sigterm(serve, muster):
    process, address = serve("presence")
    assert muster("health", address, "--service", "muster.presence.v1.PresenceService").stdout == "SERVING\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_several_workers_share_the_port(serve, muster):
    process, address = serve("presence", "workout", "--workers", "2")
    assert muster("health", address, "--service", "live").returncode == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_service_that_does_not_exist_is_named(muster):
    done = muster("serve", "sessions")
    assert done.returncode == 1
    assert done.stderr == "There is no service sessions; there are session, presence, scoring, workout.\n"


def test_without_a_database_it_says_what_to_set(muster):
    done = muster("serve", "presence")
    assert done.returncode == 1
    assert "MUSTER_DATABASE_URL is not set" in done.stderr


@pytest.mark.parametrize("key_file", ["", "/no/such/key.pem"])
def test_a_key_that_is_not_there_is_one_sentence(muster, environment, key_file):
    settings = {"MUSTER_TICKET_PRIVATE_KEY_FILE": key_file, "MUSTER_USER_JWKS": "/no/such/keys.json"}
    service = "session" if not key_file else "presence"
    done = muster("serve", service, "--listen", "127.0.0.1:0", **(environment | settings))
    assert done.returncode == 1
    assert "cannot be" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named_without_a_supervisor_too(serve, muster, environment):
    _, address = serve("presence")
    for workers in ("1", "2"):
        done = muster("serve", "presence", "--listen", address, "--workers", workers, **environment)
        assert done.returncode == 1
        assert "in use" in done.stderr.splitlines()[-1]
