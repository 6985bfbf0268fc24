"""The secrets of one state directory: made once, at random, in files that only their owner reads."""

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from muster_stack.problem import Problem


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Passwords of the stores and secrets of the tokens."""

    postgres: str
    muster_owner: str
    muster_app: str
    muster_writer: str
    valkey: str
    user_token_secret: str
    service_token_secret: str

    @classmethod
    def random(cls) -> Self:
        """New secrets of 256 bits, without characters that a URL or a configuration file would quote."""
        return cls(**{field.name: secrets.token_hex(32) for field in fields(cls)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The secrets in `path`; a Problem when the file is missing or damaged."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            raise Problem(f"{path} does not exist: start `muster up` on this directory first.") from None
        except (ValueError, TypeError):
            raise Problem(
                f"{path} is damaged: restore it, or choose another directory with --state."
            ) from None
        except OSError as error:
            raise Problem.from_os_error(error, path) from error


def credentials_of(directory: Path) -> Credentials:
    """The secrets of a state directory, made when it has none yet."""
    path = directory / "credentials.json"
    if not path.exists():
        if (directory / "postgres" / "data").exists():
            raise Problem(f"{path} is missing, and the data beside it cannot be opened without; restore it.")
        write_private(path, json.dumps(asdict(Credentials.random()), indent=2).encode())
    return Credentials.read(path)


def ticket_key_of(directory: Path) -> Path:
    """The PEM file with the key that signs tickets, made when the state directory has none yet."""
    path = directory / "ticket-key.pem"
    if not path.exists():
        write_private(path, new_ticket_key())
    return path


def new_ticket_key() -> bytes:
    """A new Ed25519 private key as PEM."""
    # Slow to import, and needed once in the life of a state directory.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whole or not at all, and on disk when this returns."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise Problem.from_os_error(error, path) from error
