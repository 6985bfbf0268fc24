"""Boards between contract and model; pure."""

from typing import Final

from muster.scoring.v1 import board_pb2, board_service_pb2

from muster_scoring.board_wire import entry_fields, field_tag
from muster_scoring.convert import put_span, put_time
from muster_scoring.model import Standing
from muster_scoring.store_boards import Page
from muster_scoring.usecases_boards import BoardInfo

_LISTED: Final = field_tag(board_service_pb2.ListEntriesResponse.ENTRIES_FIELD_NUMBER)
_AROUND: Final = field_tag(board_service_pb2.ListEntriesAroundResponse.ENTRIES_FIELD_NUMBER)
_ENTRY: Final = field_tag(board_service_pb2.GetEntryResponse.ENTRY_FIELD_NUMBER)


def pack_entry(standing: Standing) -> bytes:
    """Return what is shown of a standing as an entry without its rank."""
    message = board_pb2.BoardEntry(
        entry_id=standing.participant_id,
        display_name=standing.display_name,
        score=standing.score - standing.held_score,
        submission_count=standing.response_count - standing.held_count,
        streak=standing.streak,
    )
    put_span(message.total_duration, standing.duration - standing.held_duration)
    return message.SerializeToString()


def board_to_proto(info: BoardInfo) -> board_pb2.Board:
    """A session's board: points are added, and the higher score is better."""
    message = board_pb2.Board(
        board_id=info.board_id,
        operator=board_pb2.BOARD_OPERATOR_INCREMENT,
        order=board_pb2.BOARD_ORDER_DESCENDING,
        entry_count=info.entry_count,
    )
    if info.create_time is not None:
        put_time(message.create_time, info.create_time)
    return message


def list_entries(page: Page, next_page_token: str) -> bytes:
    """The wire form of ListEntriesResponse."""
    rest = board_service_pb2.ListEntriesResponse(
        next_page_token=next_page_token, entry_count=page.entry_count
    )
    return entry_fields(_LISTED, page.lines, first_rank=page.first_rank) + rest.SerializeToString()


def list_entries_around(page: Page) -> bytes:
    """The wire form of ListEntriesAroundResponse."""
    return entry_fields(_AROUND, page.lines, first_rank=page.first_rank)


def get_entry(page: Page) -> bytes:
    """The wire form of GetEntryResponse."""
    return entry_fields(_ENTRY, page.lines, first_rank=page.first_rank)
