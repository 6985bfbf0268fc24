"""What becomes of open intervals when they are held against the index; pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInterval:
    """An interval that has not ended, as far as the ledger was told.

    `next_enter_time` is when the person came again without having gone, if they did; `told_enter_time` is
    since when the index has them here, if it has lost what was before. It was last found without them at
    `missing_time`, and before that they were known to be there at `seen_time`; both are None while it has
    them. `order` is that of the last fact about it.
    """

    user_id: str
    enter_time: datetime
    order: int
    last_activity_time: datetime | None = None
    told_enter_time: datetime | None = None
    next_enter_time: datetime | None = None
    seen_time: datetime | None = None
    missing_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What the index knows of someone: whether and since when they are here, and when last heard of."""

    is_here: bool
    enter_time: datetime
    seen_time: datetime


class Verdict(Enum):
    """What to do with an open interval."""

    KEEP = auto()
    """It is as it was."""
    FOUND = auto()
    """It was missing, and is not any more."""
    MISSING = auto()
    """Not found any more: whoever has changed the index may still tell why, or it has lost the person."""
    WAIT = auto()
    """It still is missing, and the person may still come back."""
    OVER = auto()
    """Nobody has, in time."""
    UNITED = auto()
    """The person came again in time: they have been here all the while, and the index had lost them."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict; `time` is until when they were known to be there for MISSING, for OVER when it ended."""

    verdict: Verdict
    time: datetime | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done as long as the index stays the same."""
        return self.verdict not in (Verdict.MISSING, Verdict.WAIT, Verdict.UNITED)


def time_of_ms(milliseconds: int) -> datetime:
    """Return the time that the index counts in milliseconds, exactly."""
    return _EPOCH + milliseconds * _MILLISECOND


def judge(
    interval: OpenInterval,
    trace: Trace | None,
    *,
    now: datetime,
    check_time: datetime | None,
    bound: timedelta,
) -> Judgement:
    """Return what to do with an interval, given what the index knows of its person; None for nothing.

    All was well at `check_time`, when its scope was last looked at. An interval that has been missing for
    `bound` is over: it ended when the person was last known to be there. But who came again within the bound
    has never been away.
    """
    is_it = trace is not None and trace.enter_time == (interval.told_enter_time or interval.enter_time)
    if trace is not None and is_it and trace.is_here:
        return Judgement(Verdict.KEEP if interval.missing_time is None else Verdict.FOUND)
    if interval.missing_time is None:
        # Of who said goodbye just now the index still knows when.
        seen_time = trace.seen_time if trace is not None and is_it else check_time
        return Judgement(Verdict.MISSING, _known(interval, seen_time))
    if now - interval.missing_time < bound:
        return Judgement(Verdict.WAIT)
    known, again = _known(interval, None), interval.next_enter_time
    if again is not None and again - known <= bound:
        return Judgement(Verdict.UNITED)
    return Judgement(Verdict.OVER, known)


def _known(interval: OpenInterval, seen_time: datetime | None) -> datetime:
    return max(
        filter(None, (interval.enter_time, interval.last_activity_time, interval.seen_time, seen_time))
    )
