"""Keys and tokens for tests, also such as no issuer would make."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import Key, KeySet, OKPKey
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator

USER_SECRET = "the users' secret of these tests, 32+"
SERVICE_SECRET = "the services' secret of these tests, 32+"
IN_AN_HOUR = int(datetime.now(UTC).timestamp()) + 3600
ANA = {"sub": "ana", "org": "acme", "role": "editor", "name": "Ana", "exp": IN_AN_HOUR}
SEAT = {**ANA, "orole": "member", "room": "r", "rrole": "host", "seat": "s", "gen": 1}


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        """The time it was turned to."""
        return self.time


def publish(path: Path, *keys: Key) -> None:
    """Write a JWK set."""
    path.write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))


def sign(
    claims: dict[str, Any], key: Any, algorithm: str, *, kid: str | None = None, typ: str = "JWT"
) -> str:
    """Sign whatever a forger would."""
    if algorithm == "EdDSA":
        # joserfc signs by the newer name alone; both are the same signature.
        return sign_parts({"alg": "EdDSA", "typ": typ, "kid": kid}, claims, key)
    header = {"alg": algorithm, "typ": typ} | ({"kid": kid} if kid else {})
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def sign_parts(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """Sign with an Ed25519 key, under any header."""
    parts = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{parts}.{encode(key.private_key.sign(parts.encode()))}"


def sign_with_hmac(claims: dict[str, Any], secret: bytes, typ: str) -> str:
    """Sign with any bytes, also those that a library refuses as a secret."""
    parts = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": typ}, claims))
    return f"{parts}.{encode(hmac.digest(secret, parts.encode(), hashlib.sha256))}"


def encode(data: bytes) -> str:
    """Encode as the parts of tokens are."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def refused(authenticator: Authenticator, token: str) -> bool:
    """Tell whether the token is refused as invalid; fails when it is accepted."""
    with pytest.raises(MusterError) as caught:
        await authenticator.verify(token)
    return caught.value.reason is Reason.TOKEN_INVALID


def read_key(path: Path) -> OKPKey:
    """Read a PEM key, with its id."""
    key = OKPKey.import_key(path.read_bytes())
    key.ensure_kid()
    return key
