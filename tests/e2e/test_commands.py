"""The small commands: tokens, secrets, contracts, health, and how refusals look."""

import stat
import sys

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from muster_kit.caller import CallerKind, OrganizationRole
from muster_kit.rpc.auth import Authenticator
from muster_stack.credentials import Credentials, credentials_of

SECRET = "a secret of thirty-two characters or more"


def refusal(done) -> str:
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


async def test_a_user_token_says_what_was_asked_for(muster):
    done = muster(
        "token",
        "--user", "grace", "--organization", "acme", "--role", "editor", "--name", "Grace H.", "--hours", "1",
        MUSTER_USER_TOKEN_SECRET=SECRET,
    )  # fmt: skip
    caller = await Authenticator(user_secret=SECRET).verify(done.stdout.strip())
    assert (caller.kind, caller.subject, caller.organization_id) == (CallerKind.USER, "grace", "acme")
    assert (caller.organization_role, caller.display_name) == (OrganizationRole.EDITOR, "Grace H.")


async def test_a_service_token_is_one(muster):
    done = muster("token", "--service", "scoring", MUSTER_SERVICE_TOKEN_SECRET=SECRET)
    caller = await Authenticator(service_secret=SECRET).verify(done.stdout.strip())
    assert (caller.kind, caller.subject) == (CallerKind.SERVICE, "scoring")


async def test_a_token_is_signed_with_the_secret_of_the_state_directory(muster, tmp_path):
    secrets = credentials_of(tmp_path)
    done = muster("token", "--state", str(tmp_path))
    await Authenticator(user_secret=secrets.user_token_secret).verify(done.stdout.strip())


def test_a_token_without_any_secret_says_where_one_comes_from(muster, tmp_path):
    assert "start `muster up` first" in refusal(muster("token", "--state", str(tmp_path / "none")))


def test_a_wrong_setting_is_named(muster, tmp_path):
    assert "MUSTER_DRAIN_SECONDS is wrong" in refusal(muster("token", MUSTER_DRAIN_SECONDS="soon"))
    assert "MUSTER_USER_TOKEN_SECRET is wrong" in refusal(muster("token", MUSTER_USER_TOKEN_SECRET="short"))


def test_damaged_credentials_are_named(muster, tmp_path):
    (tmp_path / "credentials.json").write_text('{"postgres": ')
    assert "credentials.json is damaged" in refusal(muster("token", "--state", str(tmp_path)))


def test_the_protoset_is_complete(muster, tmp_path):
    file = tmp_path / "muster.binpb"
    assert muster("protoset", str(file)).returncode == 0
    files = FileDescriptorSet.FromString(file.read_bytes())
    pool, added = DescriptorPool(), set()
    for one in files.file:
        assert all(name in added for name in one.dependency)
        added.add(one.name)
        pool.Add(one)
    service = pool.FindServiceByName("muster.session.v1.SessionService")
    assert service.FindMethodByName("CreateSession").input_type.full_name.endswith("CreateSessionRequest")


def test_the_protoset_goes_to_stdout_too(shell, tmp_path, muster):
    file = tmp_path / "piped"
    assert shell(f"{sys.executable} -m muster_stack protoset > {file}").returncode == 0
    muster("protoset", str(tmp_path / "named"))
    assert file.read_bytes() == (tmp_path / "named").read_bytes()


def test_a_protoset_is_not_written_over_a_directory(muster, tmp_path):
    assert str(tmp_path) in refusal(muster("protoset", str(tmp_path)))


def test_secrets_are_written_once_and_fit_together(muster, tmp_path):
    done = muster("secrets", str(tmp_path))
    assert done.returncode == 0
    for name in done.stdout.split():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    variables = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert len(set(variables.values())) == len(variables)
    assert all(len(value) == 64 for value in variables.values())
    private = load_pem_private_key((tmp_path / "secrets" / "ticket_private_key.pem").read_bytes(), None)
    public = load_pem_public_key((tmp_path / "secrets" / "ticket_public_key.pem").read_bytes())
    public.verify(private.sign(b"ticket"), b"ticket")
    assert ".env exists" in refusal(muster("secrets", str(tmp_path)))


def test_health_of_nothing_is_a_refusal(muster):
    assert "127.0.0.1:1 does not serve" in refusal(muster("health", "127.0.0.1:1", "--timeout", "0.5"))


def test_the_version_is_printed(muster):
    assert muster("version").stdout.startswith("muster ")


def test_a_command_line_that_makes_no_sense_is_not_an_error_of_the_stack(muster):
    assert muster("up", "--workers", "0").returncode == 2


@pytest.mark.parametrize("module", ["muster_stack.cli", "muster_stack.up", "muster_stack.screen"])
def test_what_the_supervisor_imports_does_not_load_grpc(shell, module):
    script = f"import sys, {module}; sys.exit('grpc' in sys.modules)"
    assert shell(f'{sys.executable} -c "{script}"').returncode == 0


def test_credentials_do_not_show_in_messages(tmp_path):
    secrets = credentials_of(tmp_path)
    assert secrets.postgres not in f"{secrets!r} {secrets}"
    assert Credentials.read(tmp_path / "credentials.json") == secrets
