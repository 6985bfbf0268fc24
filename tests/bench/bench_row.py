"""What every row of the bench is: a title, and a measurement that ends by itself."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.bench.figures import Figure
from tests.bench.generator import Generator


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly to measure: rounds of so many seconds."""

    rounds: int
    seconds: float

    @property
    def is_quick(self) -> bool:
        """Whether figures are to be had soon rather than to be relied on."""
        return self.rounds < THOROUGH.rounds


THOROUGH = Effort(rounds=5, seconds=4.0)
QUICK = Effort(rounds=2, seconds=1.5)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `measure` starts what it needs and leaves nothing behind.

    It raises NotMeasuredError when there is nothing to tell.
    """

    number: str
    title: str
    measure: Callable[[Generator, Effort], Awaitable[Sequence[Figure]]]
    limit_seconds: float = 300.0
