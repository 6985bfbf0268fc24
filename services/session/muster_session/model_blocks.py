"""What a block of a session is, and the moves that need the scoring service to be made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from muster_kit.errors import MusterError, Reason

from muster_session.model import require_revision


class BlockStatus(StrEnum):
    """Where a block stands."""

    PENDING = "pending"
    ACTIVE = "active"
    CLOSED = "closed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBody:
    """What a host writes of a block; content, key and rules in their contracts' bytes.

    The service never looks into them: they were checked when they came in. `rules` None means the
    session's.
    """

    content: bytes
    answer_key: bytes
    time_limit: timedelta | None = None
    rules: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One question of a session.

    `close_time` is when it will close or closed; None without a limit and while paused, when
    `time_left` is what is left.
    """

    block_id: str
    session_id: str
    position: int
    body: BlockBody
    status: BlockStatus = BlockStatus.PENDING
    round_id: str = ""
    open_time: datetime | None = None
    close_time: datetime | None = None
    time_left: timedelta | None = None
    revision: int = 1

    @property
    def was_shown(self) -> bool:
        """Whether participants have seen it: it was opened once."""
        return bool(self.round_id)

    def require(self, *allowed: BlockStatus) -> None:
        """Raise MusterError(BLOCK_STATUS) unless the status is one of these."""
        if self.status not in allowed:
            raise MusterError(Reason.BLOCK_STATUS, detail=f"it is {self.status}")

    def require_revision(self, expected: int) -> None:
        """Raise MusterError(REVISION_STALE) unless the caller saw this revision, or named none (0)."""
        require_revision(self.revision, expected)


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A block without its content: all that is needed to find, order and outline it."""

    block_id: str
    position: int
    status: BlockStatus


class TransitionKind(StrEnum):
    """A move that scoring has to make first."""

    ACTIVATE = "activate"
    CLOSE = "close"
    SKIP = "skip"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"

    @property
    def is_of_session(self) -> bool:
        """Whether it moves the status of the session; otherwise that of one block."""
        return self in {TransitionKind.PAUSE, TransitionKind.RESUME, TransitionKind.END}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A move that was begun, so that it is finished even if who began it is not there any more.

    Neither `outcome` nor `failure` is set while it is open. `outcome` is what the caller is
    answered: the session or the block after it, in its contract's bytes. `failure` is a reason, for
    a move that scoring refused and that left nothing.
    """

    transition_id: str
    session_id: str
    organization_id: str
    kind: TransitionKind
    begin_time: datetime
    block_id: str = ""
    round_id: str = ""
    time_limit: timedelta | None = None
    by_deadline: bool = False
    reason: str = ""
    changed_by_user_id: str = ""
    outcome: bytes | None = None
    failure: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it still has to be finished."""
        return self.outcome is None and not self.failure


class BusyError(MusterError):
    """Another move is under way: BLOCK_BUSY, unless whoever meets it helps to finish it first."""

    def __init__(self, transition: Transition) -> None:
        super().__init__(Reason.BLOCK_BUSY, detail=f"{transition.kind} is under way")
        self.transition = transition
