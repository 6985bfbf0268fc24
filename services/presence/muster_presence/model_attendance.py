"""Whether someone attended a session: computed from when they were there, by a rule, with the reasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from muster_presence.model_spans import NONE, Span, Timeline, covered

_MINUTE: Final = timedelta(minutes=1)
_IN_SECONDS_BELOW: Final = timedelta(minutes=2)


class Status(IntEnum):
    """Whether a student attended; numbers as in the contract."""

    UNKNOWN = 0
    """The session has not started."""
    PRESENT = 1
    LATE = 2
    LEFT_EARLY = 3
    ABSENT = 4
    EXCUSED = 5
    """Only ever by a mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendanceRule:
    """What it takes to have attended; shares are of the session's active time, spans are in it.

    `absent_share` is at most `present_share`. Without `late_after` nobody is late, without
    `left_early_before` staying to the end is not asked for. Gaps up to `gap_tolerance` count as being here.
    """

    present_share: float = 0.75
    absent_share: float = 0.25
    late_after: timedelta | None = timedelta(minutes=10)
    left_early_before: timedelta | None = timedelta(minutes=10)
    gap_tolerance: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was observed of someone in the active time of a session.

    `first_seen` and `last_seen` are of the clock, None for who never came in active time. `came_after` and
    `left_before` are active time: from the start to the first coming, from the last leaving to the end.
    """

    present: timedelta = NONE
    active: timedelta = NONE
    gap_count: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    came_after: timedelta = NONE
    left_before: timedelta = NONE

    @property
    def share(self) -> float:
        """How much of the active time they were there, 0 to 1."""
        return self.present / self.active if self.active else 0.0


@dataclass(frozen=True, slots=True)
class Computed:
    """What the rule makes of someone, and why."""

    status: Status
    evidence: Evidence
    explanation: str


def compute(
    intervals: Iterable[Span], active_spans: Iterable[Span], rule: AttendanceRule, *, as_of: datetime
) -> Computed:
    """Return what there is to say of someone as if the session ended at a time, unless it did before.

    `intervals` are when they were there, in any order, overlapping or not; `active_spans` are the session's,
    in order and apart from each other. Both are cut at `as_of`.
    """
    return compute_on(Timeline(active_spans, as_of), intervals, rule)


def compute_on(active: Timeline, intervals: Iterable[Span], rule: AttendanceRule) -> Computed:
    """Return the same, with the session's active time as a line that many are computed on."""
    evidence = observe(intervals, active, rule.gap_tolerance)
    status = judge(evidence, rule)
    return Computed(status, evidence, explain(evidence, status))


def observe(intervals: Iterable[Span], active: Timeline, gap_tolerance: timedelta) -> Evidence:
    """Return what was observed in active time; gaps up to the tolerance are none."""
    length = active.length
    pieces = active.pieces(intervals, gap_tolerance)
    if not pieces:
        return Evidence(active=length, came_after=length, left_before=length)
    first, last = pieces[0][0], pieces[-1][1]
    return Evidence(
        present=covered(pieces),
        active=length,
        gap_count=len(pieces) - 1,
        first_seen=active.first_time(first),
        last_seen=active.last_time(last),
        came_after=first,
        left_before=length - last,
    )


def judge(evidence: Evidence, rule: AttendanceRule) -> Status:
    """Return what the rule makes of it.

    Being there longer never makes it worse: from ABSENT over LATE and LEFT_EARLY, of which neither is worse
    than the other, to PRESENT.
    """
    if not evidence.active:
        return Status.UNKNOWN
    if evidence.first_seen is None or evidence.share < rule.absent_share:
        return Status.ABSENT
    is_late = rule.late_after is not None and evidence.came_after > rule.late_after
    if evidence.share >= rule.present_share:
        return Status.LATE if is_late else Status.PRESENT
    left_early = rule.left_early_before is not None and evidence.left_before > rule.left_early_before
    return Status.LATE if is_late and not left_early else Status.LEFT_EARLY


def explain(evidence: Evidence, status: Status) -> str:
    """Return the evidence in words, such as `41 of 50 minutes, 3 gaps`."""
    if status is Status.UNKNOWN:
        return "not started"
    in_minutes = evidence.active >= _IN_SECONDS_BELOW
    unit, name = (_MINUTE, "minute") if in_minutes else (timedelta(seconds=1), "second")
    words = [f"{evidence.present // unit} of {_counted(evidence.active // unit, name)}"]
    if evidence.gap_count:
        words.append(_counted(evidence.gap_count, "gap"))
    if status is Status.LATE:
        words.append(f"came after {_counted(evidence.came_after // unit, name)}")
    if status is Status.LEFT_EARLY and evidence.left_before >= unit:
        words.append(f"left {_counted(evidence.left_before // unit, name)} before the end")
    return ", ".join(words)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
