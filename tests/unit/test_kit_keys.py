"""Keys from files and URLs: fetched at start, and again when a token names a new one."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import structlog.testing
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.keys import KeySource

CLAIMS = {"sub": "ana", "org": "acme", "exp": 4_000_000_000}


class Provider(ThreadingHTTPServer):
    """An identity provider on loopback."""

    status = 200
    body = b""
    asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jwks"

    def publish(self, *keys: ECKey) -> None:
        self.body = json.dumps(KeySet(list(keys)).as_dict(private=False)).encode()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Provider)
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def new_key() -> ECKey:
    return ECKey.generate_key("P-256", auto_kid=True)


def token(key: ECKey, *, kid: str | None = None) -> str:
    return jwt.encode({"alg": "ES256", "kid": kid or key.kid}, dict(CLAIMS), key)


async def accepted(authenticator: Authenticator, shown: str) -> bool:
    try:
        await authenticator.verify(shown)
    except MusterError as error:
        assert error.reason is Reason.TOKEN_INVALID  # noqa: PT017 - anything else is a failure
        return False
    return True


async def test_keys_are_fetched_from_a_url(provider: Provider) -> None:
    key = new_key()
    provider.publish(key)
    source = KeySource(provider.url)
    await source.start()
    assert await accepted(Authenticator(user_keys=source), token(key))


async def test_a_new_key_is_fetched_when_a_token_names_it(provider: Provider) -> None:
    old, new = new_key(), new_key()
    provider.publish(old)
    source = KeySource(provider.url, refresh_seconds=0)
    await source.start()
    authenticator = Authenticator(user_keys=source)
    assert await accepted(authenticator, token(old))
    provider.publish(new)
    assert await accepted(authenticator, token(new))
    # The old key is gone, and so is the memory of what it signed.
    assert authenticator.recall(token(old)) is None
    assert not await accepted(authenticator, token(old))


async def test_unknown_keys_cannot_make_us_hammer_the_provider(provider: Provider) -> None:
    key = new_key()
    provider.publish(key)
    source = KeySource(provider.url)
    await source.start()
    authenticator = Authenticator(user_keys=source)
    for number in range(20):
        assert not await accepted(authenticator, token(key, kid=f"forged {number}"))
    assert provider.asked == 1


async def test_a_provider_that_is_away_stops_neither_the_start_nor_what_is_known(provider: Provider) -> None:
    key = new_key()
    source = KeySource(provider.url, refresh_seconds=0)
    authenticator = Authenticator(user_keys=source)
    provider.status = 503
    with structlog.testing.capture_logs() as log:
        await source.start()
        assert not await accepted(authenticator, token(key))
    assert [entry["event"] for entry in log] == ["token_keys_not_fetched", "token_keys_not_refreshed"]
    provider.status = 200
    provider.publish(key)
    assert await accepted(authenticator, token(key))
    provider.body = b"<html>maintenance</html>"
    with structlog.testing.capture_logs():
        assert not await accepted(authenticator, token(key, kid="other"))
    assert await accepted(authenticator, token(key))


async def test_redirects_are_not_followed(provider: Provider) -> None:
    provider.status = 302
    with structlog.testing.capture_logs() as log:
        await KeySource(provider.url).start()
    assert "302" in log[0]["error"]


@pytest.mark.parametrize(
    "source", ["http://id.example/jwks", "http://10.0.0.1/jwks", "http://localhost.evil/jwks"]
)
def test_keys_are_not_fetched_in_plain_text(source: str) -> None:
    with pytest.raises(ValueError, match="https"):
        KeySource(source)


async def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await KeySource(str(tmp_path / "missing.json")).start()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"keys": 1}', '{"keys": []}', "-----BEGIN NOTHING-----"]
)
async def test_a_faulty_file_stops_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(Exception, match=r".+"):
        await KeySource(str(path)).start()


async def test_a_token_without_key_id_needs_a_set_of_one_key(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    key = new_key()
    bare = jwt.encode({"alg": "ES256"}, dict(CLAIMS), key)
    path.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    source = KeySource(str(path))
    await source.start()
    assert await accepted(Authenticator(user_keys=source), bare)
    path.write_text(json.dumps(KeySet([key, new_key()]).as_dict(private=False)))
    await source.start()
    assert not await accepted(Authenticator(user_keys=source), bare)
