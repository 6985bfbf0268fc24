"""History between contract and model; pure."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.presence.v1 import presence_pb2, scope_pb2
from muster.presence.v1 import presence_service_pb2 as pb
from muster_kit.paging import LARGEST_BIGINT
from muster_kit.timestamps import time_of

from muster_presence import convert
from muster_presence.store_intervals import HistoryPlace, Stay
from muster_presence.usecases_history import HistoryQuery

# Where a page ends, as `Pages.token` packs a time and a number.
_PLACE: Final = struct.Struct(">qQ")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_TIME: Final = 2**55


def query(request: pb.ListHistoryRequest) -> HistoryQuery:
    """Return what a request asks for; INVALID_FIELD for times out of range."""
    return HistoryQuery(
        place=convert.place(request.scope) if request.HasField("scope") else None,
        user_id=request.user_id,
        start=time_of(request.start_time, "start_time") if request.HasField("start_time") else None,
        end=time_of(request.end_time, "end_time") if request.HasField("end_time") else None,
    )


def place(key: bytes) -> HistoryPlace:
    """Return the place that a page ends at; ValueError for what is none."""
    if len(key) != _PLACE.size:
        raise ValueError("not a place in a history")
    microseconds, interval_id = _PLACE.unpack(key)
    if abs(microseconds) > _LARGEST_TIME or interval_id > LARGEST_BIGINT:
        raise ValueError("out of bounds")
    return HistoryPlace(_EPOCH + timedelta(microseconds=microseconds), interval_id)


def response(stays: Sequence[Stay], next_page_token: str) -> pb.ListHistoryResponse:
    """Return a page."""
    return pb.ListHistoryResponse(
        intervals=[interval(stay) for stay in stays], next_page_token=next_page_token
    )


def interval(stay: Stay) -> presence_pb2.PresenceInterval:
    """Return a stay as the contract has it."""
    return presence_pb2.PresenceInterval(
        user_id=stay.user_id,
        display_name=stay.display_name,
        scope=convert.scope_message(stay.scope),
        role=scope_pb2.PresenceRole.Name(stay.role),
        enter_time=stay.enter_time,
        leave_time=stay.leave_time,
        cause=presence_pb2.LeaveCause.Name(stay.cause) if stay.cause is not None else None,
        last_activity_time=stay.last_activity_time,
    )
