"""What the use cases look up beside a session's transaction, and how they count wrong guesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from muster_session.model import Participant, ParticipantStatus, Session, Status, StatusChange
from muster_session.model_blocks import Block, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions to list; empty fields ask for nothing.

    `visible_to` limits them to what a user may see: public live ones, those they hold a seat in, and
    those they made.
    """

    statuses: frozenset[Status] = frozenset()
    host_user_id: str = ""
    class_id: str = ""
    course_id: str = ""
    visible_to: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """A session as it stood after event `seq`, all read at one moment."""

    seq: int
    session: Session
    blocks: Sequence[Block]
    seats: Sequence[Participant]


class Directory(Protocol):
    """Look-ups outside of a session's transaction: as of now, and nobody waits for anybody.

    Everything is of one organization; what belongs to another is not there.
    """

    async def find(self, organization_id: str, session_id: str) -> Session | None:
        """Return a session, or None."""
        ...

    async def find_with_seat(
        self, organization_id: str, session_id: str, *, user_id: str = "", participant_id: str = ""
    ) -> tuple[Session, Participant | None] | None:
        """Return a session and the seat of the user, or with the id, if there is one."""
        ...

    async def find_by_code(self, organization_id: str, join_code: str) -> Session | None:
        """Return the live session with the code, or None."""
        ...

    async def find_transition(self, organization_id: str, transition_id: str) -> Transition | None:
        """Return a move that was begun, or None."""
        ...

    async def list_sessions(
        self, organization_id: str, wanted: SessionFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Session]:
        """Return sessions, newest first, older than `after` (create time, id)."""
        ...

    async def list_changes(
        self, organization_id: str, session_id: str, *, after: int, limit: int
    ) -> Sequence[tuple[int, StatusChange]]:
        """Return numbered moves of the status behind the number `after`, oldest first."""
        ...

    async def list_seats(
        self,
        organization_id: str,
        session_id: str,
        statuses: frozenset[ParticipantStatus],
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[Participant]:
        """Return seats in order of joining, behind `after` (join time, id)."""
        ...

    async def list_blocks(
        self, organization_id: str, session_id: str, *, shown_only: bool, after: int, limit: int
    ) -> Sequence[Block]:
        """Return blocks behind the position `after`, in order."""
        ...

    async def snapshot(self, organization_id: str, session_id: str, *, max_seats: int) -> SnapshotRows:
        """Return the whole session with the seq of the log that it is the state of; NOT_FOUND."""
        ...

    async def live_codes(self) -> int:
        """Return how many codes of all organizations are live."""
        ...


class GuessLimiter(Protocol):
    """Counts failed guesses at codes and keys, in all processes together."""

    async def wait(self, organization_id: str, user_id: str, address: str) -> timedelta | None:
        """Return how long the caller has to wait before guessing again; None when they may."""
        ...

    async def failed(self, organization_id: str, user_id: str, address: str) -> None:
        """Count a failed guess."""
        ...
