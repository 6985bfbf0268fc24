"""Attendance from intervals: the rule, its reasons, and what holds for all intervals."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from muster_presence.model_attendance import AttendanceRule, Computed, Status, compute
from muster_presence.model_spans import Span

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
LESSON = (Span(START, START + timedelta(minutes=50)),)
GRADES = {Status.ABSENT: 0, Status.LATE: 1, Status.LEFT_EARLY: 1, Status.PRESENT: 2}


def at(minute: float) -> datetime:
    """Return a time of the lesson."""
    return START + timedelta(minutes=minute)


def attended(*stays: tuple[float, float], end: float = 50, **rule: object) -> Computed:
    """Return what the usual rule makes of stays, from minute to minute."""
    intervals = [Span(at(start), at(stop)) for start, stop in stays]
    return compute(intervals, LESSON, AttendanceRule(**rule), as_of=at(end))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stays", "status"),
    [
        ([(0, 50)], Status.PRESENT),
        ([(10, 50)], Status.PRESENT),
        ([(11, 50)], Status.LATE),
        ([(0, 37)], Status.LEFT_EARLY),
        # Long enough: who has been there for three quarters may go.
        ([(0, 38)], Status.PRESENT),
        ([(30, 50)], Status.LATE),
        ([(20, 35)], Status.LEFT_EARLY),
        # In between by a gap alone.
        ([(0, 10), (35, 50)], Status.LEFT_EARLY),
        ([(0, 12)], Status.ABSENT),
        ([], Status.ABSENT),
        ([(-10, 0), (50, 60)], Status.ABSENT),
    ],
)
def test_the_usual_rule(stays: list[tuple[float, float]], status: Status) -> None:
    assert attended(*stays).status is status


def test_it_is_explained() -> None:
    computed = attended((2, 10), (12, 30), (31, 40), (41, 47))
    assert computed.explanation == "41 of 50 minutes, 3 gaps"
    assert computed.evidence.gap_count == 3
    assert (computed.evidence.first_seen, computed.evidence.last_seen) == (at(2), at(47))
    assert computed.evidence.share == pytest.approx(41 / 50)
    assert attended((15, 50)).explanation == "35 of 50 minutes, came after 15 minutes"
    assert (
        attended((0, 10), (11, 30)).explanation == "29 of 50 minutes, 1 gap, left 20 minutes before the end"
    )
    assert attended().explanation == "0 of 50 minutes"
    assert attended((0, 1), end=1).explanation == "60 of 60 seconds"


def test_before_the_start_nothing_is_known() -> None:
    assert attended((-5, 50), end=-1).status is Status.UNKNOWN
    assert compute([], (), AttendanceRule(), as_of=at(0)).status is Status.UNKNOWN


def test_a_running_session_is_judged_as_if_it_ended_now() -> None:
    assert attended((0, 10), end=10).status is Status.PRESENT
    assert attended((0, 10), end=39).status is Status.LEFT_EARLY
    assert attended((0, 10), end=41).status is Status.ABSENT
    still_there = compute([Span(at(0))], [Span(at(0))], AttendanceRule(), as_of=at(20))
    assert (still_there.status, still_there.evidence.present) == (Status.PRESENT, timedelta(minutes=20))


def test_pauses_have_no_length() -> None:
    lesson = (Span(at(0), at(20)), Span(at(60), at(90)))
    computed = compute([Span(at(0), at(20)), Span(at(60), at(90))], lesson, AttendanceRule(), as_of=at(200))
    assert (computed.explanation, computed.status) == ("50 of 50 minutes", Status.PRESENT)
    # Came back five minutes of active time late, and was seen in the pause.
    late = compute([Span(at(30), at(40)), Span(at(65), at(90))], lesson, AttendanceRule(), as_of=at(200))
    assert late.evidence.came_after == timedelta(minutes=25)
    assert late.evidence.first_seen == at(65)


def test_gaps_within_the_tolerance_count_as_being_there() -> None:
    with_gap = attended((0, 20), (22, 50), gap_tolerance=timedelta(minutes=2))
    assert (with_gap.evidence.gap_count, with_gap.evidence.share) == (0, 1)
    without = attended((0, 20), (22, 50), gap_tolerance=timedelta(0))
    assert (without.evidence.gap_count, without.evidence.present) == (1, timedelta(minutes=48))


def test_a_rule_may_ask_for_next_to_nothing() -> None:
    lenient = {"present_share": 0.0, "absent_share": 0.0, "late_after": None, "left_early_before": None}
    assert attended((49, 49.5), **lenient).status is Status.PRESENT
    assert attended(**lenient).status is Status.ABSENT


seconds = st.integers(-600, 4000).map(lambda value: START + timedelta(seconds=value))
stays = st.lists(
    st.tuples(seconds, seconds).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Span(*pair)),
    max_size=8,
)
shares = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
limits = st.none() | st.integers(0, 1800).map(lambda value: timedelta(seconds=value))


@st.composite
def active_spans(draw: st.DrawFn) -> list[Span]:
    """Draw spans with pauses between them; the last may have no end."""
    cuts = sorted(draw(st.lists(st.integers(0, 3600), min_size=1, max_size=8, unique=True)))
    times: list[datetime | None] = [START + timedelta(seconds=cut) for cut in cuts]
    if len(times) % 2:
        times.append(None)
    return [Span(start, end) for start, end in zip(times[::2], times[1::2], strict=True) if start is not None]


@st.composite
def rules(draw: st.DrawFn) -> AttendanceRule:
    """Draw any rule."""
    absent, present = draw(shares)
    return AttendanceRule(
        present_share=present,
        absent_share=absent,
        late_after=draw(limits),
        left_early_before=draw(limits),
        gap_tolerance=draw(limits) or timedelta(0),
    )


@given(stays, stays, active_spans(), rules(), seconds)
@example([Span(at(0), at(20))], [Span(at(40), at(50))], list(LESSON), AttendanceRule(), at(50))
@example([Span(at(30), at(50))], [Span(at(0), at(5))], list(LESSON), AttendanceRule(), at(50))
def test_being_there_longer_never_makes_it_worse(
    some: list[Span], more: list[Span], active: list[Span], rule: AttendanceRule, as_of: datetime
) -> None:
    less, all_of_it = (compute(stay, active, rule, as_of=as_of) for stay in (some, some + more))
    assert all_of_it.evidence.present >= less.evidence.present
    assert GRADES.get(all_of_it.status, 0) >= GRADES.get(less.status, 0)


@given(stays, active_spans(), rules(), seconds)
def test_as_of_a_time_is_what_was_known_then(
    intervals: list[Span], active: list[Span], rule: AttendanceRule, as_of: datetime
) -> None:
    def cut(spans: list[Span]) -> list[Span]:
        return [part for span in spans if (part := span.until(as_of)) is not None]

    later = as_of + timedelta(hours=2)
    assert compute(intervals, active, rule, as_of=as_of) == compute(
        cut(intervals), cut(active), rule, as_of=later
    )


@given(stays, active_spans(), rules(), st.integers(1, 3000), st.integers(1, 7200), st.booleans())
def test_a_pause_changes_nothing(
    intervals: list[Span], active: list[Span], rule: AttendanceRule, place: int, length: int, seen: bool
) -> None:
    """Everything behind a time moves by a pause; whether somebody is seen in it is the same."""
    time, pause = START + timedelta(seconds=place), timedelta(seconds=length)
    end = START + timedelta(hours=3)

    def moved(span: Span) -> list[Span]:
        before = span.until(time)
        start = max(span.start, time)
        after = Span(start + pause, (span.end or end) + pause) if (span.end or end) > start else None
        return [part for part in (before, after) if part is not None]

    paused = [part for span in active for part in moved(span)]
    stayed = [part for span in intervals for part in moved(span)]
    if seen:
        stayed.append(Span(time, time + pause))
    plain = compute(intervals, active, rule, as_of=end)
    with_pause = compute(stayed, paused, rule, as_of=end + pause)
    assert with_pause.status is plain.status
    assert with_pause.explanation == plain.explanation
    assert with_pause.evidence.present == plain.evidence.present


@given(stays, active_spans(), rules(), seconds)
def test_evidence_stays_within_the_active_time(
    intervals: list[Span], active: list[Span], rule: AttendanceRule, as_of: datetime
) -> None:
    evidence = compute(intervals, active, rule, as_of=as_of).evidence
    assert timedelta(0) <= evidence.present <= evidence.active
    assert evidence.came_after + evidence.present + evidence.left_before <= evidence.active * 2
    if evidence.first_seen and evidence.last_seen:
        assert evidence.first_seen < evidence.last_seen <= as_of
        assert any(span.start <= evidence.first_seen < (span.end or as_of) for span in active)
        assert evidence.came_after + evidence.present + evidence.left_before <= evidence.active
