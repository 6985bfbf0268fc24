"""Sessions and workouts as they are reported: where they stand, whose they are, and when they were active."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model import ScopeId
from muster_presence.model_spans import Span


class Phase(IntEnum):
    """Where a session stands; numbers as in the contract, here as below."""

    EXPECTED = 1
    ACTIVE = 2
    PAUSED = 3
    ENDED = 4
    CANCELLED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """A session or workout as it was last reported; `revision` is that of the report.

    `spans` are when it was active. `settle_time` is when its attendance became final, None before.
    """

    scope: ScopeId
    phase: Phase
    title: str
    host_user_id: str
    revision: int
    class_ids: tuple[str, ...] = ()
    teacher_user_ids: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    settle_time: datetime | None = None

    @property
    def start_time(self) -> datetime | None:
        """When it started; None before."""
        return self.spans[0].start if self.spans else None

    def last_change_time(self, default: datetime) -> datetime:
        """Return when it last became active or stopped being so."""
        return (self.spans[-1].end or self.spans[-1].start) if self.spans else default

    @property
    def is_running(self) -> bool:
        """Whether its attendance changes with time."""
        return self.phase in {Phase.ACTIVE, Phase.PAUSED}


def reported(known: Attended | None, told: Attended, change_time: datetime) -> Attended:
    """Return a session after a report of it; `known` itself when the report is an older one.

    Without spans of its own the report adds to what is known: active from `change_time`, or no longer.
    """
    if known is not None and told.revision <= known.revision:
        return known
    if told.phase is Phase.CANCELLED:
        return replace(told, spans=(), settle_time=None)
    spans = told.spans or _spans_after(known.spans if known else (), told.phase, change_time)
    return replace(told, spans=spans, settle_time=known.settle_time if known else None)


def ended(attended: Attended, time: datetime) -> Attended:
    """Return a session of which no more is heard as one that ended at a time; the next report counts more."""
    spans = _spans_after(attended.spans, Phase.ENDED, time)
    return replace(attended, phase=Phase.ENDED, spans=spans)


def require_in_order(spans: Sequence[Span]) -> None:
    """Raise MusterError(INVALID_FIELD) unless spans follow each other, and none but the last is open."""
    last_end: datetime | None = None
    for index, span in enumerate(spans):
        is_open_too_soon = span.end is None and index < len(spans) - 1
        ends_before_it_starts = span.end is not None and span.end < span.start
        overlaps = last_end is not None and span.start < last_end
        if is_open_too_soon or ends_before_it_starts or overlaps:
            violation = Violation(
                f"active_spans[{index}]", "must follow the one before, and end unless it is the last"
            )
            raise MusterError(Reason.INVALID_FIELD, violations=[violation])
        last_end = span.end


def _spans_after(spans: tuple[Span, ...], phase: Phase, change_time: datetime) -> tuple[Span, ...]:
    is_open = bool(spans) and spans[-1].end is None
    if phase is Phase.ACTIVE and not is_open:
        return (*spans, Span(max(change_time, _end(spans, change_time))))
    if phase in {Phase.PAUSED, Phase.ENDED} and is_open:
        return (*spans[:-1], Span(spans[-1].start, max(change_time, spans[-1].start)))
    return spans


def _end(spans: Sequence[Span], default: datetime) -> datetime:
    return (spans[-1].end or default) if spans else default
