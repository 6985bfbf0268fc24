"""Settings come from the environment, are checked at once, and print no secret."""

from datetime import timedelta
from pathlib import Path

import pytest
from muster_kit.rpc.options import DEFAULT_LIMITS, Limits, client_options, server_credentials, server_options
from muster_kit.settings import Settings
from pydantic import ValidationError

SECRET = "a secret that is long enough to sign with"
SERVICES = ("session_address", "presence_address", "scoring_address", "workout_address")


def test_they_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_LISTEN", "127.0.0.1:7800")
    monkeypatch.setenv("MUSTER_TICKET_LIFETIME", "PT5M")
    monkeypatch.setenv("MUSTER_HEARTBEAT_SECONDS", "[1, 2.5]")
    monkeypatch.setenv("MUSTER_USER_JWKS", "")
    settings = Settings()
    assert settings.listen == "127.0.0.1:7800"
    assert settings.ticket_lifetime == timedelta(minutes=5)
    assert settings.heartbeat_seconds == (1.0, 2.5)
    assert settings.user_jwks == ""


@pytest.mark.parametrize(
    ("listen", "reached_at"),
    [
        ("127.0.0.1:7700", "127.0.0.1:7700"),
        ("0.0.0.0:7700", "127.0.0.1:7700"),
        ("[::]:7700", "[::1]:7700"),
        ("unix:/run/muster.sock", "unix:/run/muster.sock"),
    ],
)
def test_other_services_are_here_unless_told_otherwise(listen: str, reached_at: str) -> None:
    settings = Settings(listen=listen)
    assert settings.advertise == reached_at
    assert {getattr(settings, name) for name in SERVICES} == {reached_at}


def test_an_address_that_is_set_stays() -> None:
    settings = Settings(advertise="muster:7700", scoring_address="scoring:7700", workout_address="")
    assert settings.scoring_address == "scoring:7700"
    assert settings.session_address == settings.workout_address == "muster:7700"


def test_nothing_secret_is_printed() -> None:
    settings = Settings(
        database_url="postgresql://app:hunter2@db/muster",
        redis_url="redis://:hunter2@redis",
        user_token_secret=SECRET,
    )
    assert "hunter2" not in repr(settings) + str(settings)
    assert SECRET not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    "faulty",
    [
        {"user_token_secret": "hunter2"},
        {"service_token_secret": "hunter2"},
        {"user_jwks": "http://hunter2.example/jwks"},
        {"redis_url": "http://:hunter2@redis"},
        {"redis_url": "redis+cluster://:hunter2@node:7000,node:7001/2"},
        {"heartbeat_seconds": (2, 1)},
        {"heartbeat_seconds": (0, 1)},
        {"ticket_lifetime": "PT0S"},
        {"tls_certificate_file": "hunter2.pem"},
        {"database_pool_size": 0},
        {"no_such_setting": "hunter2"},
    ],
    ids=lambda faulty: next(iter(faulty)),
)
def test_what_cannot_be_right_is_refused_without_printing_it(faulty: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**faulty)
    assert "hunter2" not in str(caught.value)


def test_redis_may_be_a_server_or_some_nodes_of_a_cluster() -> None:
    for address in ("unix:///run/redis.sock", "rediss://redis:6380/1", "redis+cluster://a:7000,b:7000/0"):
        assert Settings(redis_url=address).redis_url == address


def test_keys_may_come_from_loopback_in_plain_text() -> None:
    for source in ("http://127.0.0.1:8080/jwks", "https://id.example/jwks", "/etc/muster/jwks.json"):
        assert Settings(user_jwks=source).user_jwks == source


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_without_certificate_there_is_no_tls(tmp_path: Path) -> None:
    assert server_credentials(Settings()) is None


def test_dead_peers_are_found_and_pinging_phones_are_not_killed() -> None:
    options = dict(server_options(DEFAULT_LIMITS, reuse_port=False))
    found_after = int(options["grpc.keepalive_time_ms"]) + int(options["grpc.http2.ping_timeout_ms"])
    assert found_after <= 20_000
    assert options["grpc.keepalive_permit_without_calls"] == 1
    assert int(options["grpc.http2.min_ping_interval_without_data_ms"]) < 10_000
    # An unlimited number: the default stops after two pings without data.
    assert options["grpc.http2.max_pings_without_data"] == 0
    assert int(dict(client_options("{}"))["grpc.http2.ping_timeout_ms"]) <= 10_000


def test_ports_are_shared_only_when_asked() -> None:
    assert dict(server_options(Limits(), reuse_port=False))["grpc.so_reuseport"] == 0
    assert dict(server_options(Limits(), reuse_port=True))["grpc.so_reuseport"] == 1
