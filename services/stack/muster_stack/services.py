"""Which services there are, and where each keeps its composition root and its migrations."""

from importlib.util import find_spec
from pathlib import Path

from muster_stack.problem import Problem

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


def migrations_of(service: str) -> Path | None:
    """The folder of the service's Alembic versions; None when it keeps nothing in PostgreSQL."""
    spec = find_spec(f"muster_{service}")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        versions = Path(location, "migrations", "versions")
        if versions.is_dir():
            return versions
    return None
