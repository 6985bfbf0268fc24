"""One machine to break for all chaos tests of a process, how long to break it, and what was measured.

`CHAOS_ROUNDS=20 pytest tests/chaos` (or `just chaos`) runs the full length; without it, each test runs
one short round.
"""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.machine import Machine, machine_up

_FIGURE = "chaos figure"


@dataclass(frozen=True, slots=True)
class Scale:
    """How long to go on; 0 rounds are the short form."""

    rounds: int

    @property
    def is_full(self) -> bool:
        """Whether somebody has the time."""
        return self.rounds > 0


@pytest.fixture(scope="session")
def scale() -> Scale:
    """How long to go on."""
    return Scale(int(os.environ.get("CHAOS_ROUNDS", "0")))


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Takes a measured value, to be printed at the end of the run."""

    def take(name: str, value: object) -> None:
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        record_property(_FIGURE, f"{name}: {shown}")

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of each test."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        figures = [value for name, value in report.user_properties if name == _FIGURE]
        if figures and report.when == "call":
            terminalreporter.section(report.nodeid.rpartition("::")[2], sep="-")
            for line in figures:
                terminalreporter.write_line(str(line))


@pytest.fixture(scope="session")
async def machine(short_path: Path) -> AsyncIterator[Machine]:
    """A stack with two workers that may be broken, as long as it comes back by itself."""
    async with machine_up(short_path / "chaos") as machine:
        yield machine
