"""Keys of every kind, and an authenticator that trusts them."""

from pathlib import Path

import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.keys import KeySource
from muster_kit.rpc.tokens import write_ticket_key

from tests.unit.tokens_by_hand import SERVICE_SECRET, USER_SECRET, publish


@pytest.fixture
def ticket_key(tmp_path: Path) -> Path:
    """A file with the private key of tickets."""
    path = tmp_path / "ticket.pem"
    write_ticket_key(path)
    return path


@pytest.fixture
def provider(tmp_path: Path) -> dict[str, Key]:
    """An identity provider's keys by algorithm, published in `jwks.json`."""
    keys: dict[str, Key] = {
        "RS256": RSAKey.generate_key(2048, auto_kid=True),
        "ES256": ECKey.generate_key("P-256", auto_kid=True),
        "EdDSA": OKPKey.generate_key("Ed25519", auto_kid=True),
    }
    publish(tmp_path / "jwks.json", *keys.values())
    return keys


@pytest.fixture
async def authenticator(tmp_path: Path, ticket_key: Path, provider: dict[str, Key]) -> Authenticator:
    """Trusts users by secret and by provider, services and tickets."""
    made = Authenticator(
        user_secret=USER_SECRET,
        user_keys=KeySource(str(tmp_path / "jwks.json")),
        service_secret=SERVICE_SECRET,
        ticket_keys=KeySource(str(ticket_key)),
    )
    await made.start()
    return made
