"""The copy of the boards that ranks fast, and what it promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from muster_scoring.model import Standing
from muster_scoring.model_board import BoardChanges, Line, Position


@dataclass(frozen=True, slots=True)
class RankedStandings:
    """Consecutive standings of a board of `entry_count`, as of the session's change `head_seq`."""

    head_seq: int
    first_rank: int
    entry_count: int
    standings: Sequence[Standing]


@dataclass(frozen=True, slots=True)
class RankChange:
    """A place on the board before and after a change, from 1; 0 for none."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What the index did: it holds every change up to `done_seq`, and ranked each line."""

    done_seq: int
    ranks: Sequence[RankChange]


@dataclass(frozen=True, slots=True)
class Page:
    """Lines from `first_rank` on, out of `entry_count`, as of every change up to `done_seq`."""

    done_seq: int
    first_rank: int
    entry_count: int
    lines: Sequence[Line]


class BoardIndex(Protocol):
    """Boards in the order of their places, fast to rank; a copy, which may be lost at any time.

    Lines with a newer version win, whatever order they come in. All methods raise UNAVAILABLE while
    the store behind it is away, and return None for a board that it does not hold: then it has to be
    loaded.
    """

    async def apply(self, changes: Sequence[BoardChanges]) -> Sequence[Applied | None]:
        """Put changes of several boards in, and tell whoever watches them, in one round trip."""
        ...

    async def load(self, board_id: str, seq: int, lines: Sequence[Line]) -> None:
        """Replace a board by what was true at its change `seq`; newer lines that it holds stay."""
        ...

    async def page(self, board_id: str, *, after: Position | None, limit: int) -> Page | None:
        """Return lines after a position, from the best."""
        ...

    async def around(self, board_id: str, entry_id: str, *, radius: int) -> Page | None:
        """Return an entry with its neighbours; no lines when it is not on the board."""
        ...
