"""New secrets for a deployment, as the files that deploy/compose.yaml reads."""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from muster_stack.credentials import new_ticket_key, write_private
from muster_stack.problem import Problem

VARIABLES = (
    "POSTGRES_PASSWORD",
    "MUSTER_OWNER_PASSWORD",
    "MUSTER_APP_PASSWORD",
    "MUSTER_WRITER_PASSWORD",
    "MUSTER_REDIS_PASSWORD",
    "MUSTER_USER_TOKEN_SECRET",
    "MUSTER_SERVICE_TOKEN_SECRET",
)


def write_secrets(directory: Path) -> list[Path]:
    """Write `.env` and the key pair of tickets under `directory`; a Problem when one of them exists."""
    key = new_ticket_key()
    contents = {
        directory / ".env": "".join(f"{name}={secrets.token_hex(32)}\n" for name in VARIABLES).encode(),
        directory / "secrets" / "ticket_private_key.pem": key,
        directory / "secrets" / "ticket_public_key.pem": _public_half(key),
    }
    for path in contents:
        if path.exists():
            raise Problem(f"{path} exists; changing secrets that are in use locks everyone out.")
    for path, content in contents.items():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Problem.from_os_error(error, path.parent) from error
        write_private(path, content)
    return list(contents)


def _public_half(private: bytes) -> bytes:
    key = serialization.load_pem_private_key(private, password=None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
