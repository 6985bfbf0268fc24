"""What the use cases write: one session's rows, log and deadlines, in its transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from muster_kit.db import Deadline

from muster_session.events import Event
from muster_session.model import Participant, Session, StatusChange
from muster_session.model_blocks import Block, BlockBody, BlockPlace, Transition
from muster_session.store_classes import ClassLinks
from muster_session.store_notices import NoticeRows


class SessionRows(Protocol):
    """The session's own row, its code and its history."""

    async def get(self) -> Session:
        """Return the session; MusterError(NOT_FOUND) without one."""
        ...

    async def add(self, session: Session) -> None:
        """Store a new session."""
        ...

    async def save(self, session: Session) -> Session:
        """Store settings, status, code and times with the next revision; return it as stored."""
        ...

    async def point_at(self, active_block_id: str) -> None:
        """Store which block is the active one; the revision stays."""
        ...

    async def count_seats(self, *, participants: int, seats: int) -> int:
        """Add to the counters; return the new count of participants. The revision stays."""
        ...

    async def add_change(self, change: StatusChange) -> None:
        """Append to the history of the status."""
        ...

    async def claim_code(self, code: str) -> bool:
        """Take a code for the session; False when a live session of any organization has it."""
        ...

    async def release_code(self) -> None:
        """Let the session's code go."""
        ...

    async def remove(self) -> None:
        """Remove the session, all that belongs to it, its events and its deadlines; the id stays taken."""
        ...


class SeatRows(Protocol):
    """Who sits in the session."""

    async def get(self, participant_id: str) -> Participant:
        """Return a seat; MusterError(NOT_FOUND) when the session has none with this id."""
        ...

    async def find(self, participant_id: str) -> Participant | None:
        """Return a seat, or None."""
        ...

    async def of_user(self, user_id: str) -> Participant | None:
        """Return the user's seat, or None; each has at most one."""
        ...

    async def add(self, seat: Participant) -> None:
        """Store a new seat."""
        ...

    async def save(self, seat: Participant, *, reason: str = "", changed_by_user_id: str = "") -> None:
        """Store a seat; who sent its holder away, and why, is kept for the record."""
        ...


class BlockRows(Protocol):
    """The blocks of the session; their positions are 1, 2, 3…"""

    async def get(self, block_id: str) -> Block:
        """Return a block; MusterError(NOT_FOUND) when the session has none with this id."""
        ...

    async def next_pending(self) -> Block:
        """Return the first pending block; MusterError(NOT_FOUND) when there is none left."""
        ...

    async def active(self) -> Sequence[Block]:
        """Return the active blocks, those that opened first before the others."""
        ...

    async def places(self) -> Sequence[BlockPlace]:
        """Return all blocks without their content, in order of position."""
        ...

    async def add(self, blocks: Sequence[tuple[str, BlockBody]], position: int) -> Sequence[Block]:
        """Store blocks, the first of them at `position`; those from there on move behind them.

        MusterError(ALREADY_EXISTS) for an id that is taken, in whatever session.
        """
        ...

    async def save(self, block: Block) -> Block:
        """Store all of a block but its position, with the next revision; return it as stored."""
        ...

    async def remove(self, block: Block) -> None:
        """Remove a block; those behind it move up."""
        ...

    async def place(self, block_ids: Sequence[str]) -> None:
        """Put all blocks in this order."""
        ...


class TransitionRows(Protocol):
    """Moves that were begun, with what became of them."""

    async def get(self, transition_id: str) -> Transition:
        """Return a move; MusterError(NOT_FOUND) without one."""
        ...

    async def open(self) -> Sequence[Transition]:
        """Return those that still have to be finished."""
        ...

    async def add(self, transition: Transition) -> None:
        """Store a move."""
        ...

    async def save(self, transition: Transition) -> None:
        """Store what became of it."""
        ...


class Room(Protocol):
    """One session in its running transaction, which nobody else writes meanwhile.

    What a use case does here is there as a whole, with its events, or not at all. The clock and the
    log are those of `muster_kit.db.RoomTransaction`.
    """

    @property
    def session_id(self) -> str:
        """The session."""
        ...

    @property
    def organization_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def now(self) -> datetime:
        """The database's time; never goes back from one transaction of the session to the next."""
        ...

    @property
    def sessions(self) -> SessionRows: ...

    @property
    def seats(self) -> SeatRows: ...

    @property
    def blocks(self) -> BlockRows: ...

    @property
    def transitions(self) -> TransitionRows: ...

    @property
    def classes(self) -> ClassLinks: ...

    @property
    def notices(self) -> NoticeRows: ...

    def append(self, event: Event) -> None:
        """Append to the session's log."""
        ...

    async def set_deadline(self, key: str, fire_time: datetime, payload: bytes = b"") -> None:
        """Let something happen at a time; replaces the session's deadline of that key."""
        ...

    async def cancel_deadline(self, key: str) -> None:
        """Let it not happen."""
        ...

    async def complete_deadline(self, deadline: Deadline) -> bool:
        """Take a claimed deadline off the list; False: it is not ours any more, do nothing."""
        ...

    async def remove(self) -> None:
        """Let the id of a removed session go: another one may be made with it."""
        ...
