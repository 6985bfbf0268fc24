"""The algebra of intervals, held against counting second by second."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_presence.model_spans import NONE, Span, Timeline, covered

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LAST = 60


def at(second: int) -> datetime:
    """Return a time by the seconds since the start."""
    return START + second * SECOND


@st.composite
def lines(draw: st.DrawFn) -> list[Span]:
    """Draw spans in order and apart or touching, some empty; the last may have no end."""
    cuts = sorted(draw(st.lists(st.integers(0, LAST), max_size=8)))
    times: list[datetime | None] = [at(cut) for cut in cuts]
    if len(times) % 2:
        times.append(None)
    return [Span(start, end) for start, end in zip(times[::2], times[1::2], strict=True) if start is not None]


seconds = st.integers(-5, LAST + 5)
spans = st.lists(
    st.builds(
        lambda start, end: Span(at(start), None if end is None else at(end)), seconds, st.none() | seconds
    ),
    max_size=6,
)


def active_seconds(line: list[Span], until: int) -> list[int]:
    """Return the seconds of the line, one by one: what it is, told the long way."""
    return [each for each in range(-5, until) if any(span.holds(at(each)) for span in line)]


@given(lines(), seconds)
def test_a_line_is_as_long_as_its_spans(line: list[Span], until: int) -> None:
    assert Timeline(line, at(until)).length == len(active_seconds(line, until)) * SECOND


@given(lines(), seconds, seconds)
def test_the_place_of_a_time_is_what_has_passed(line: list[Span], until: int, time: int) -> None:
    passed = [each for each in active_seconds(line, until) if each < time]
    assert Timeline(line, at(until)).place(at(time)) == len(passed) * SECOND


@given(lines(), seconds)
def test_places_and_times_are_each_others(line: list[Span], until: int) -> None:
    timeline = Timeline(line, at(until))
    for number, second in enumerate(active_seconds(line, until)):
        assert timeline.first_time(number * SECOND) == at(second)
        assert timeline.last_time((number + 1) * SECOND) == at(second + 1)


@given(lines(), seconds)
def test_there_is_no_time_beyond_the_ends(line: list[Span], until: int) -> None:
    timeline = Timeline(line, at(until))
    for place in (timeline.length, -SECOND):
        with pytest.raises(ValueError, match="end"):
            timeline.first_time(place)
    for place in (NONE, timeline.length + SECOND):
        with pytest.raises(ValueError, match="start"):
            timeline.last_time(place)


@given(lines(), seconds, spans)
def test_pieces_cover_what_any_span_does(line: list[Span], until: int, others: list[Span]) -> None:
    timeline = Timeline(line, at(until))
    pieces = timeline.pieces(others)
    there = [
        number
        for number, second in enumerate(active_seconds(line, until))
        if any(span.holds(at(second)) for span in others)
    ]
    assert [
        number for number in range(LAST + 6) if any(start <= number * SECOND < end for start, end in pieces)
    ] == there
    assert covered(pieces) == len(there) * SECOND


@given(lines(), seconds, spans, st.integers(0, 20))
def test_pieces_are_apart_by_more_than_is_tolerated(
    line: list[Span], until: int, others: list[Span], tolerance: int
) -> None:
    timeline = Timeline(line, at(until))
    strict, lenient = timeline.pieces(others), timeline.pieces(others, tolerance * SECOND)
    assert all(start < end for start, end in lenient)
    assert all(b[0] - a[1] > tolerance * SECOND for a, b in itertools.pairwise(lenient))
    # Only gaps are added, none of them longer than that.
    gaps = [b[0] - a[1] for a, b in itertools.pairwise(strict)]
    assert covered(lenient) == covered(strict) + sum((g for g in gaps if g <= tolerance * SECOND), NONE)


@given(lines(), seconds, spans, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(
    line: list[Span], until: int, others: list[Span], random: object
) -> None:
    timeline = Timeline(line, at(until))
    shuffled = [*others, *others]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert timeline.pieces(shuffled) == timeline.pieces(others)


@given(lines(), seconds, spans, spans)
def test_together_they_cover_the_union(
    line: list[Span], until: int, some: list[Span], others: list[Span]
) -> None:
    timeline = Timeline(line, at(until))

    def length(*lists: list[Span]) -> timedelta:
        return covered(timeline.pieces([span for each in lists for span in each]))

    assert max(length(some), length(others)) <= length(some, others) <= length(some) + length(others)
    assert length(some, others) <= timeline.length


@given(lines(), seconds, seconds)
def test_a_span_holds_what_is_cut_of_it_and_nothing_else(line: list[Span], until: int, time: int) -> None:
    for span in line:
        cut = span.until(at(until))
        assert (cut is not None and cut.holds(at(time))) == (span.holds(at(time)) and time < until)
