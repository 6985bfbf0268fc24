"""Which services there are, and where each keeps its composition root and its migrations."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import muster_kit

from muster_stack.problem import Problem

_MIGRATION_SUFFIXES = (".py", ".sql", ".mako")

SERVICES = ("session", "presence", "scoring", "workout")


def is_built(service: str) -> bool:
    """Whether the service has a composition root to be hosted by; imports none of its code."""
    return find_spec(f"muster_{service}.app") is not None


def chosen(names: list[str]) -> list[str]:
    """The services named, each once, in a fixed order; a Problem when one does not exist."""
    for name in names:
        if name not in SERVICES:
            raise Problem(f"There is no service {name}; there are {', '.join(SERVICES)}.")
        if not is_built(name):
            raise Problem(f"The service {name} cannot be served by this version yet.")
    return [service for service in SERVICES if service in names]


def all_built() -> list[str]:
    """Every service this version can serve."""
    return [service for service in SERVICES if is_built(service)]


def schema_fingerprint() -> str:
    """Names all that migrations are made of: while it stays the same, they have nothing to do."""
    digest = hashlib.sha256()
    folders = [Path(muster_kit.__path__[0], "db")]
    folders += [versions.parent for service in SERVICES if (versions := migrations_of(service))]
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.suffix in _MIGRATION_SUFFIXES):
            digest.update(f"{file.relative_to(folder.parents[1])}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def migrations_of(service: str) -> Path | None:
    """The folder of the service's Alembic versions; None when it keeps nothing in PostgreSQL."""
    spec = find_spec(f"muster_{service}")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        versions = Path(location, "migrations", "versions")
        if versions.is_dir():
            return versions
    return None
