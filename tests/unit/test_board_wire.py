"""What is composed of parts is what protobuf would have made of the whole."""

from hypothesis import given
from hypothesis import strategies as st
from muster.scoring.v1 import board_pb2, board_service_pb2
from muster_scoring.board_wire import entry_fields, field_tag
from muster_scoring.model_board import Line

_ENTRIES = st.builds(
    board_pb2.BoardEntry,
    entry_id=st.text(min_size=1, max_size=64),
    display_name=st.text(max_size=200),
    score=st.integers(-(2**62), 2**62),
    submission_count=st.integers(0, 2**31),
)


@given(st.lists(_ENTRIES, max_size=5), st.integers(1, 2**31))
def test_entries_get_their_ranks(entries: list[board_pb2.BoardEntry], first_rank: int) -> None:
    lines = [Line(entry.entry_id, 1, b"place", entry.SerializeToString()) for entry in entries]
    tag = field_tag(board_service_pb2.ListEntriesResponse.ENTRIES_FIELD_NUMBER)
    composed = entry_fields(tag, lines, first_rank=first_rank)
    expected = board_service_pb2.ListEntriesResponse(entries=entries)
    for rank, entry in enumerate(expected.entries, start=first_rank):
        entry.rank = rank
    assert board_service_pb2.ListEntriesResponse.FromString(composed) == expected
