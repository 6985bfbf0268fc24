"""Publications in any state of disorder become one sequence without gaps."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from muster_kit.streams.timeline import MAX_EARLY, Timeline

Publication = tuple[int, Sequence[bytes]]


def events(first_seq: int, last_seq: int) -> list[bytes]:
    """Events that say their seq."""
    return [b"%d" % seq for seq in range(first_seq, last_seq + 1)]


@st.composite
def disorders(draw: st.DrawFn) -> tuple[int, list[Publication], list[int]]:
    """(length of the log, publications as they arrive, how much each read of the log gives)."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=30))
    runs: list[Publication] = []
    last_seq = 0
    for length in lengths:
        runs.append((last_seq + 1, events(last_seq + 1, last_seq + length)))
        last_seq += length
    # Any run may come any number of times, none included, in any order, also cut in other ways.
    arriving = draw(st.lists(st.sampled_from(runs), max_size=60))
    for _ in range(draw(st.integers(0, 5))):
        first = draw(st.integers(1, last_seq))
        last = draw(st.integers(first, last_seq))
        arriving.insert(draw(st.integers(0, len(arriving))), (first, events(first, last)))
    return last_seq, arriving, draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))


@given(disorders(), st.integers(0, 10))
def test_what_is_lost_doubled_and_reordered_comes_out_once_and_in_order(
    disorder: tuple[int, list[Publication], list[int]], fill_every: int
) -> None:
    length, arriving, reads = disorder
    timeline, out = Timeline(0), list[bytes]()

    def fill_from_the_log() -> None:
        turn = 0
        while timeline.behind:
            first_seq = timeline.head + 1
            last_seq = min(length, first_seq + reads[turn % len(reads)] - 1)
            out.extend(timeline.offer(first_seq, events(first_seq, last_seq)))
            turn += 1

    for number, publication in enumerate(arriving):
        out.extend(timeline.offer(*publication))
        assert out == events(1, timeline.head)
        if fill_every and number % fill_every == 0:
            fill_from_the_log()
    timeline.expect(length)
    fill_from_the_log()
    assert out == events(1, length)


@given(st.integers(0, 50), disorders())
def test_what_lies_before_the_start_never_comes_out(
    start: int, disorder: tuple[int, list[Publication], list[int]]
) -> None:
    _, arriving, _ = disorder
    timeline = Timeline(start)
    out = [e for publication in arriving for e in timeline.offer(*publication)]
    assert out == events(start + 1, timeline.head)


def test_what_comes_too_early_is_bounded_and_the_nearest_is_kept() -> None:
    timeline = Timeline(0)
    for seq in range(1000, 1, -1):
        assert not timeline.offer(seq, events(seq, seq))
    assert len(timeline._early) == MAX_EARLY
    assert timeline.offer(1, events(1, 1)) == events(1, MAX_EARLY + 1)
    assert timeline.known == 1000
    assert timeline.behind


def test_a_restart_forgets_what_was_known() -> None:
    timeline = Timeline(0)
    timeline.offer(5, events(5, 9))
    timeline.restart(20)
    assert not timeline.behind
    assert timeline.offer(21, events(21, 21)) == events(21, 21)
