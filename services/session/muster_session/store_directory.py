"""What the use cases look up beside a session's transaction, and how they count wrong guesses."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_kit.db.idempotency import Claim

from muster_session.guessing import Guesser
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


@dataclass(frozen=True, slots=True)
class SeatsFound:
    """A session and those of the seats asked for that it has, by id; all read at one moment."""

    session: Session
    seats: Mapping[str, Participant]


class SeatLookup(Protocol):
    """What checking a caller takes."""

    async def find_with_seat(
        self, organization_id: str, session_id: str, *, user_id: str = "", participant_id: str = ""
    ) -> tuple[Session, Participant | None] | None:
        """Return a session and the seat of the user, or with the id, if there is one."""
        ...


class Directory(SeatLookup, Protocol):
    """Look-ups outside of a session's transaction: as of now, and nobody waits for anybody.

    Everything is of one organization; what belongs to another is not there.
    """

    async def find(self, organization_id: str, session_id: str) -> Session | None:
        """Return a session, or None."""
        ...

    async def find_with_seats(
        self, organization_id: str, session_id: str, participant_ids: Collection[str]
    ) -> SeatsFound | None:
        """Return a session and the seats with the ids, however many, with one read; or None."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A code that somebody gives, and the request they give it in if that has a `request_id`."""

    organization_id: str
    guesser: Guesser
    join_code: str
    request: Claim | None = None


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """What a request with the same `request_id` was answered; it may have asked for something else."""

    method: str
    fingerprint: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class Undecided:
    """A guess of which the judge cannot tell yet: it counts as wrong until it is forgiven."""

    session: Session | None
    guess_time: datetime


Judge = Callable[[Session | None], bool | None]
"""Tells whether a guess is right, given the session with the code; None when it takes longer to tell."""


class Guesses(Protocol):
    """Looks up codes for callers who may be guessing, and counts wrong guesses, in all processes.

    The guesses of an organization are judged one after the other: however many come at once,
    neither the right nor the wrong ones pass a limit. What is wrong is counted also when the caller
    does not wait to hear of it.
    """

    async def make(self, guess: Guess, judge: Judge) -> Session | EarlierAnswer | Undecided:
        """Return the session with the code, if the guess is right; MusterError: JOIN_REFUSED, RATE_LIMITED.

        A request that was answered before is no guess.
        """
        ...

    async def forgive(self, guess: Guess, undecided: Undecided) -> None:
        """Take back that a guess counts, which turned out to be right."""
        ...
