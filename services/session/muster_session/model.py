"""What a session is: its settings, its status machine, the seats in it and who may run it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from muster_kit.errors import MusterError, Reason

REMOVAL_DEADLINE: Final = "remove:"
"""Then comes the id of a session's removal: its streams have to end, and scoring to forget it, at once."""

RELEASE_DEADLINE: Final = "release:"
"""Then comes the id of a session's removal: no ticket to it counts any more, so that its id is free."""


class Status(StrEnum):
    """Where a session stands."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    WAITING = "waiting"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    CANCELLED = "cancelled"


class Verb(StrEnum):
    """What moves the status."""

    SCHEDULE = "schedule"
    OPEN_LOBBY = "open_lobby"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"
    CANCEL = "cancel"


MOVES: Final[Mapping[tuple[Status, Verb], Status]] = MappingProxyType(
    {
        (Status.DRAFT, Verb.SCHEDULE): Status.SCHEDULED,
        (Status.DRAFT, Verb.OPEN_LOBBY): Status.WAITING,
        (Status.DRAFT, Verb.CANCEL): Status.CANCELLED,
        (Status.SCHEDULED, Verb.SCHEDULE): Status.SCHEDULED,
        (Status.SCHEDULED, Verb.OPEN_LOBBY): Status.WAITING,
        (Status.SCHEDULED, Verb.CANCEL): Status.CANCELLED,
        (Status.WAITING, Verb.START): Status.ACTIVE,
        (Status.WAITING, Verb.CANCEL): Status.CANCELLED,
        (Status.ACTIVE, Verb.PAUSE): Status.PAUSED,
        (Status.ACTIVE, Verb.END): Status.ENDED,
        (Status.PAUSED, Verb.RESUME): Status.ACTIVE,
        (Status.PAUSED, Verb.END): Status.ENDED,
    }
)
"""Every move there is; whatever is not in here is refused."""

LIVE: Final = frozenset({Status.WAITING, Status.ACTIVE, Status.PAUSED})
"""In these a session has a join code, and people in it."""

OVER: Final = frozenset({Status.ENDED, Status.CANCELLED})

NOT_STARTED: Final = frozenset({Status.DRAFT, Status.SCHEDULED, Status.WAITING})


class Visibility(StrEnum):
    """Who may find and join a session."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE = "private"


class ParticipantRole(StrEnum):
    """What the holder of a seat may do; the host holds none."""

    COHOST = "cohost"
    PARTICIPANT = "participant"
    SPECTATOR = "spectator"


class ParticipantStatus(StrEnum):
    """Where the holder of a seat stands."""

    JOINED = "joined"
    LEFT = "left"
    KICKED = "kicked"
    BANNED = "banned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the host decides about a session.

    `max_participants` 0 means the deployment's limit. `rules` are those of blocks without their
    own, in their contract's bytes; None means the usual ones.
    """

    title: str
    description: str = ""
    visibility: Visibility = Visibility.UNLISTED
    max_participants: int = 0
    late_join_allowed: bool = False
    parallel_blocks_allowed: bool = False
    default_time_limit: timedelta | None = None
    rules: bytes | None = None
    answers_hidden: bool = False
    chat_enabled: bool = False
    reactions_enabled: bool = False
    course_id: str = ""
    class_ids: tuple[str, ...] = ()
    test_id: str = ""


FIXED_BY_START: Final = ("parallel_blocks_allowed", "test_id")
"""Settings that cannot change once the session has started: its clocks and results rest on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session; `revision` grows with each stored change.

    `key_hash` is empty without a key. `participant_count` counts JOINED seats in the role
    PARTICIPANT, `seat_count` those in any role.
    """

    session_id: str
    organization_id: str
    host_user_id: str
    settings: Settings
    create_time: datetime
    status: Status = Status.DRAFT
    join_code: str = ""
    key_hash: str = ""
    participant_count: int = 0
    seat_count: int = 0
    block_count: int = 0
    active_block_id: str = ""
    scheduled_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 1

    def after(self, verb: Verb, now: datetime) -> "Session":
        """Return the session after a move; MusterError(SESSION_STATUS) when its status does not allow it."""
        status = MOVES.get((self.status, verb))
        if status is None:
            raise MusterError(Reason.SESSION_STATUS, detail=f"{verb} in {self.status}")
        moved = replace(self, status=status)
        if verb is Verb.START:
            return replace(moved, start_time=now)
        if status in OVER:
            # The code may go to another session now.
            return replace(moved, end_time=now, join_code="")
        return moved

    def require(self, allowed: frozenset[Status]) -> None:
        """Raise MusterError(SESSION_STATUS) unless the status is one of these."""
        if self.status not in allowed:
            raise MusterError(Reason.SESSION_STATUS, detail=f"it is {self.status}")

    def require_revision(self, expected: int) -> None:
        """Raise MusterError(REVISION_STALE) unless the caller saw this revision, or named none (0)."""
        require_revision(self.revision, expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One move of the status; `old_status` None is the making, `changed_by_user_id` "" the clock."""

    old_status: Status | None
    new_status: Status
    change_time: datetime
    reason: str = ""
    changed_by_user_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Someone's seat, kept over leaving and coming back.

    `generation` grows whenever tickets given before must no longer count, and whenever the board is
    to leave the seat out or to show it again: of two news about a seat the one of the higher holds.
    """

    participant_id: str
    session_id: str
    user_id: str
    display_name: str
    role: ParticipantRole
    status: ParticipantStatus
    join_time: datetime
    leave_time: datetime | None = None
    generation: int = 1

    @property
    def is_present(self) -> bool:
        """Whether the seat is taken now."""
        return self.status is ParticipantStatus.JOINED

    @property
    def is_counted(self) -> bool:
        """Whether the seat is one of `participant_count`."""
        return self.is_present and self.role is ParticipantRole.PARTICIPANT

    @property
    def is_hidden(self) -> bool:
        """Whether the leaderboard leaves the seat out."""
        return self.status in {ParticipantStatus.KICKED, ParticipantStatus.BANNED}

    def back(self, display_name: str) -> "Participant":
        """Return the seat taken again, under a new name if there is one."""
        return replace(
            self,
            status=ParticipantStatus.JOINED,
            leave_time=None,
            display_name=display_name or self.display_name,
            # Scoring goes by the generation: word that the seat is hidden may still be on its way.
            generation=self.generation + self.is_hidden,
        )

    def gone(self, status: ParticipantStatus, now: datetime) -> "Participant":
        """Return the seat left or taken away; tickets given for it stop counting."""
        return replace(
            self,
            status=status,
            leave_time=now if self.is_present else self.leave_time,
            generation=self.generation + 1,
        )


def require_revision(revision: int, expected: int) -> None:
    """Raise MusterError(REVISION_STALE) unless `expected` is `revision`, or 0 for any."""
    if expected not in (0, revision):
        raise MusterError(Reason.REVISION_STALE, detail=f"{expected} expected, it is {revision}")
