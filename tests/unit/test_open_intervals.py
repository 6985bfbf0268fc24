"""What becomes of open intervals that the index does not know any more."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from muster_presence.model_intervals import OpenInterval, Trace, Verdict, judge, time_of_ms

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
BOUND = timedelta(seconds=40)


def at(second: float) -> datetime:
    """Return a time after the interval began."""
    return START + timedelta(seconds=second)


def lasting(**known: datetime | None) -> OpenInterval:
    """Return an interval that began at the start."""
    return OpenInterval(user_id="ana", enter_time=START, order=1, **known)  # type: ignore[arg-type]


def verdict_on(interval: OpenInterval, trace: Trace | None, *, now: float, checked: float | None = None):  # type: ignore[no-untyped-def]
    """Return the verdict and its time."""
    check_time = None if checked is None else at(checked)
    judged = judge(interval, trace, now=at(now), check_time=check_time, bound=BOUND)
    return judged.verdict, judged.time


def test_who_is_here_since_then_is_kept_and_found_again() -> None:
    here = Trace(is_here=True, enter_time=START, seen_time=at(50))
    assert verdict_on(lasting(), here, now=60) == (Verdict.KEEP, None)
    assert verdict_on(lasting(missing_time=at(10)), here, now=60) == (Verdict.FOUND, None)


def test_who_is_missing_has_a_while_to_come_back() -> None:
    assert verdict_on(lasting(), None, now=60, checked=55) == (Verdict.MISSING, at(55))
    missing = lasting(missing_time=at(60), seen_time=at(55))
    assert verdict_on(missing, None, now=99.9) == (Verdict.WAIT, None)
    assert verdict_on(missing, None, now=100) == (Verdict.OVER, at(55))


def test_of_who_said_goodbye_the_index_still_knows_when() -> None:
    gone = Trace(is_here=False, enter_time=START, seen_time=at(57))
    assert verdict_on(lasting(), gone, now=60, checked=55) == (Verdict.MISSING, at(57))
    # That was of another time that they were here.
    other = Trace(is_here=False, enter_time=at(56), seen_time=at(57))
    assert verdict_on(lasting(), other, now=60, checked=55) == (Verdict.MISSING, at(55))


def test_who_was_never_looked_for_was_here_when_they_last_did_something() -> None:
    assert verdict_on(lasting(), None, now=60) == (Verdict.MISSING, START)
    assert verdict_on(lasting(last_activity_time=at(30)), None, now=60) == (Verdict.MISSING, at(30))


def test_who_came_again_in_time_was_never_away() -> None:
    again = Trace(is_here=True, enter_time=at(80), seen_time=at(90))
    missing = lasting(missing_time=at(60), seen_time=at(55), next_enter_time=at(80))
    assert verdict_on(missing, again, now=99.9) == (Verdict.WAIT, None)
    assert verdict_on(missing, again, now=100) == (Verdict.UNITED, None)
    late = lasting(missing_time=at(60), seen_time=at(55), next_enter_time=at(96))
    assert verdict_on(late, again, now=100) == (Verdict.OVER, at(55))


def test_who_is_known_by_a_part_of_the_interval_is_here() -> None:
    here = Trace(is_here=True, enter_time=at(80), seen_time=at(90))
    assert verdict_on(lasting(told_enter_time=at(80)), here, now=100) == (Verdict.KEEP, None)
    assert verdict_on(lasting(told_enter_time=at(70)), here, now=100) == (Verdict.MISSING, START)


def test_milliseconds_are_exact() -> None:
    assert time_of_ms(1_772_438_400_123) == datetime(2026, 3, 2, 8, tzinfo=UTC) + timedelta(milliseconds=123)


times = st.integers(0, 200).map(at)
maybe = st.none() | times
traces = st.none() | st.builds(Trace, st.booleans(), times, times)


@given(traces, maybe, maybe, maybe, maybe, times, maybe)
def test_nobody_is_sent_away_who_is_here_or_was_missing_for_less_than_the_bound(
    trace: Trace | None,
    activity: datetime | None,
    again: datetime | None,
    seen: datetime | None,
    missing: datetime | None,
    now: datetime,
    checked: datetime | None,
) -> None:
    interval = lasting(
        last_activity_time=activity, next_enter_time=again, seen_time=seen, missing_time=missing
    )
    judged = judge(interval, trace, now=now, check_time=checked, bound=BOUND)
    assert (judged.time is None) == (judged.verdict not in (Verdict.MISSING, Verdict.OVER))
    if judged.time is not None:
        # Never before what is certain.
        assert judged.time >= max(filter(None, (START, activity)))
    if judged.verdict in (Verdict.OVER, Verdict.UNITED):
        assert missing is not None
        assert now - missing >= BOUND
        assert trace is None or not trace.is_here or trace.enter_time != START
