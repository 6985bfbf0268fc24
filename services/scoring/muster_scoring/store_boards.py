"""Where boards live: their source, which is the truth, and an index, a copy that ranks fast."""

from collections.abc import AsyncIterable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from muster_scoring.model import Standing
from muster_scoring.model_board import BoardChanges, Line, Position

LINES_A_CALL: Final = 500
"""An index does nothing else while it takes a call, and neither does this process while it makes one."""


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
    """What the index did: it holds every change up to `done_seq`; `ranks` are of the lines, if wanted."""

    done_seq: int
    ranks: Sequence[RankChange]


@dataclass(frozen=True, slots=True)
class Page:
    """Lines from `first_rank` on, out of `entry_count`, as of every change up to `done_seq`."""

    done_seq: int
    first_rank: int
    entry_count: int
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Commit:
    """What was committed to a board of an organization."""

    organization_id: str
    changes: BoardChanges

    def calls(self) -> "Sequence[Commit]":
        """Cut it into calls of a bearable size; only with the last one is it complete."""
        changes = self.changes
        if len(changes.lines) <= LINES_A_CALL:
            return [self]
        cuts = range(0, len(changes.lines), LINES_A_CALL)
        return [
            replace(
                self,
                changes=replace(
                    changes,
                    last_seq=changes.last_seq if cut == cuts[-1] else changes.first_seq,
                    lines=changes.lines[cut : cut + LINES_A_CALL],
                ),
            )
            for cut in cuts
        ]


class BoardSource(Protocol):
    """One kind of boards, such as those of sessions, as the store has them.

    The changes of a board have numbers from 1, and each line has the number of the change that made
    it so. All methods raise UNAVAILABLE while the store is away.
    """

    async def head_seq(self, organization_id: str, board_id: str) -> int:
        """Return the board's last change, of at most a second ago; 0 when the organization has none such."""
        ...

    async def heads(self, board_ids: Collection[str]) -> Mapping[str, int]:
        """Return the last change of each board, of whatever organization."""
        ...

    async def lines(
        self, organization_id: str, board_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Line]]:
        """Return the board's last change, and lines that changed after `since_seq`.

        They are of entries after `after`, in any lasting order of ids; fewer than `limit` are the last.
        All parts together have every change up to the one that the first part tells; lines of later
        parts may be newer. Who left the board comes without a place, so a source never forgets them.
        If the board began anew after `since_seq`, the first line is the `floor_line`; nobody who left
        before that comes.
        """
        ...

    async def page(self, organization_id: str, board_id: str, *, after: Position | None, limit: int) -> Page:
        """Return lines after a position, from the best."""
        ...

    async def around(self, organization_id: str, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return an entry with its neighbours; no lines when it is not on the board."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What is in the index: every change up to `done_seq`; `epoch` is another one after each loss."""

    epoch: bytes
    done_seq: int


class BoardIndex(Protocol):
    """Boards in the order of their places, fast to rank; a copy, which may be lost at any time.

    Lines with a newer version win, whatever order they come in. All methods raise UNAVAILABLE while
    the store behind it is away, and return None for a board that it does not hold: then it has to be
    loaded.
    """

    async def ping(self) -> None:
        """Return when the store behind it answers."""
        ...

    async def apply(
        self, changes: Sequence[BoardChanges], *, ranked: bool = True
    ) -> Sequence[Applied | None]:
        """Put changes of several boards in, and tell whoever watches them, in one round trip.

        Lines are ranked, which is half the work, unless nobody wants to know. A board that begins anew is
        not held any more.
        """
        ...

    async def held(self, board_ids: Sequence[str]) -> Sequence[Held | None]:
        """Return what is held of each board."""
        ...

    async def load(self, board_id: str, parts: AsyncIterable[tuple[int, Sequence[Line]]]) -> bool:
        """Make a board of parts as `BoardSource.lines` returns them, under a new epoch.

        It is not there before the last part is, and nothing happens to a board that is held by then.
        What changed meanwhile has to be applied afterwards. Whoever watches it is told to look again.
        False when somebody else is loading it. Raises INTERNAL when parts were lost.
        """
        ...

    async def page(self, board_id: str, *, after: Position | None, limit: int) -> Page | None:
        """Return lines after a position, from the best."""
        ...

    async def around(self, board_id: str, entry_id: str, *, radius: int) -> Page | None:
        """Return an entry with its neighbours; no lines when it is not on the board."""
        ...

    async def remove(self, board_id: str) -> None:
        """Remove a board, held or not, and tell whoever watches it."""
        ...
