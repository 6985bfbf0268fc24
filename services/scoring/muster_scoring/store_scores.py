"""What is kept of boards that services make, and the guarantees that the use cases build on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from muster_scoring.model_board import Line, Position
from muster_scoring.model_scoreboards import EntryShown, NewBoard, Scoreboard, ScoreUnit, ScoreVerdict
from muster_scoring.store_boards import Page


class Told(NamedTuple):
    """What a score did, as it was told when it was taken."""

    changed: bool
    shown: EntryShown


class EntryWritten(NamedTuple):
    """An entry as the score at `place` of its batch left it.

    `is_last` tells that no later score of the batch changed the entry. `for_team` tells that it is the
    team's, which scored with its member.
    """

    place: int
    changed: bool
    is_last: bool
    for_team: bool
    board_id: str
    version: int
    reached_seq: int
    shown: EntryShown


@dataclass(frozen=True, slots=True)
class BoardWritten:
    """A board as a batch left it, which found it after its change `first_seq`."""

    board: Scoreboard
    first_seq: int


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch of units, whose scores are counted through from 0.

    `verdicts` has one for each unit. `told` has what was told of scores that were taken before, by their
    places; of repeated units only if that was wanted. `entries` has, in the order of their versions, all
    entries as they are now, and of units that want results those in between.
    """

    verdicts: Sequence[ScoreVerdict]
    told: Mapping[int, Told]
    boards: Mapping[str, BoardWritten]
    entries: Sequence[EntryWritten]


class ScoreStore(Protocol):
    """Takes scores of any boards, many at once."""

    async def submit(self, units: Sequence[ScoreUnit]) -> Written:
        """Add scores to boards and teams, durably, in one transaction, in their order.

        Of each unit all count or none, and whatever has a request key counts once, for as long as keys
        are kept: 24 hours. No key may come twice a call. A board is as of the time at which its scores
        are taken: seasons that are over have ended before. Raises UNAVAILABLE, and UnstorableError when
        the database cannot hold something of it; none is stored then.
        """
        ...


class ScoreboardStore(Protocol):
    """Boards as they were last committed."""

    async def find(self, board_id: str) -> Scoreboard | None:
        """Return a board, of whatever organization; None when it is not there."""
        ...

    async def owner(self, board_id: str) -> tuple[str, bool] | None:
        """Return whose an id is and whether a session has it; else a board does, or one deleted lately."""
        ...

    async def heads(self, board_ids: Collection[str]) -> Mapping[str, int]:
        """Let seasons end that are over, and return the last change of each board that is there."""
        ...

    async def lines(
        self, organization_id: str, board_id: str, *, since_seq: int, after: str, limit: int
    ) -> tuple[int, Sequence[Line]]:
        """Return what `BoardSource.lines` does."""
        ...

    async def ranked_page(
        self, organization_id: str, board_id: str, *, after: Position | None, limit: int
    ) -> Page:
        """Return what `BoardSource.page` does."""
        ...

    async def ranked_around(self, organization_id: str, board_id: str, entry_id: str, *, radius: int) -> Page:
        """Return what `BoardSource.around` does."""
        ...

    async def sweep(self) -> None:
        """Remove request keys older than 24 hours, and what is left of past seasons and deleted boards."""
        ...


class ScoreboardLedger(Protocol):
    """The boards of one organization, inside a transaction."""

    async def claim(self, board_id: str) -> None:
        """Let nobody else make a board or a session of an id until the transaction ends."""
        ...

    async def make(self, board: NewBoard) -> Scoreboard:
        """Store a new board. Raises ALREADY_EXISTS when the id is some board's."""
        ...

    async def lock(self, board_id: str) -> Scoreboard | None:
        """Return a board, locked and in its present season; None when it is not there."""
        ...

    async def delete(self, board: Scoreboard) -> None:
        """Delete a locked board."""
        ...

    async def begin_anew(self, board: Scoreboard) -> Scoreboard:
        """Start a locked board over, in a new season."""
        ...

    async def remove_entry(self, board: Scoreboard, entry_id: str) -> int | None:
        """Take an entry off a locked board; return the change that this is, None when it is not on it."""
        ...
