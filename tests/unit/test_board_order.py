"""Places on a board sort as bytes as they do by their parts, and travel unchanged."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_scoring.model_board import BoardChanges, Line, Position
from muster_scoring.watermark import Watermark

_POSITIONS = st.builds(
    Position,
    score=st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    duration_ms=st.integers(0, 10**12) | st.integers(0, 2),
    reached_seq=st.integers(0, 10**12) | st.integers(0, 2),
    entry_id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5),
)

_LINES = st.builds(
    lambda position, version, packed, on_board: Line(
        position.entry_id, version, position.encode() if on_board else b"", packed if on_board else b""
    ),
    _POSITIONS,
    st.integers(0, 2**62),
    st.binary(max_size=20),
    st.booleans(),
)


def _order(position: Position) -> tuple[int, int, int, bytes]:
    return -position.score, position.duration_ms, position.reached_seq, position.entry_id.encode()


@given(_POSITIONS, _POSITIONS)
def test_places_sort_like_score_then_time_then_first_then_id(one: Position, other: Position) -> None:
    assert (one.encode() < other.encode()) == (_order(one) < _order(other))


@given(_POSITIONS)
def test_a_place_tells_its_parts(position: Position) -> None:
    assert Position.decode(position.encode()) == position


@given(st.binary(max_size=60))
def test_what_is_no_place_is_refused_or_harmless(data: bytes) -> None:
    try:
        position = Position.decode(data)
    except ValueError:
        return
    assert position.encode() == data


@given(st.lists(_LINES, max_size=5), st.integers(0, 2**62), st.integers(0, 2**62))
def test_changes_arrive_as_they_were_sent(lines: list[Line], first_seq: int, last_seq: int) -> None:
    changes = BoardChanges("board", first_seq, last_seq, tuple(lines))
    assert BoardChanges.decode("board", changes.encode()) == changes


@pytest.mark.parametrize("seed", range(20))
def test_a_watermark_is_complete_in_any_order_and_with_repeats(seed: int) -> None:
    chance = random.Random(seed)
    ends = sorted(chance.sample(range(1, 200), 20))
    ranges = list(zip([0, *ends], ends, strict=False))
    missing = ranges.pop(chance.randrange(len(ranges)))
    deliveries = ranges + chance.choices(ranges, k=10)
    chance.shuffle(deliveries)
    mark = Watermark()
    for first, last in deliveries:
        mark.advance(first, last)
    is_last = missing[1] == ends[-1]
    assert mark.done == missing[0]
    assert mark.has_gap is not is_last
    mark.advance(*missing)
    assert (mark.done, mark.has_gap) == (ends[-1], False)
