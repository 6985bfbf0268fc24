"""Entries of the log as their contract's bytes: the very bytes every watcher gets.

No event may hold what some watcher must not see: no key of a block that has not closed, no content
of one that was not opened.
"""

from datetime import datetime
from functools import singledispatch
from typing import Final

from muster.scoring.v1.answer_pb2 import AnswerKey
from muster.session.v1 import session_pb2 as pb

from muster_session import events
from muster_session.convert import (
    change_message,
    participant_message,
    seat_status,
    session_message,
)
from muster_session.convert_blocks import block_message, outline_message
from muster_session.model_blocks import Block

PARTICIPANT_EVENTS: Final = (
    "participant_joined",
    "participant_left",
    "participant_removed",
    "participant_updated",
)
"""The events that carry `participant_count`."""


def encode_event(event: object, seq: int, create_time: datetime) -> bytes:
    """Return the serialized SessionEvent."""
    message = _message(event)
    message.seq = seq
    message.create_time.FromDatetime(create_time)
    return message.SerializeToString()


def participant_count(event: pb.SessionEvent) -> int | None:
    """Return the count of participants after the event, if it tells one."""
    kind = event.WhichOneof("event")
    if kind not in PARTICIPANT_EVENTS:
        return None
    count: int = getattr(event, kind).participant_count
    return count


def _clock(block: Block) -> pb.BlockClock:
    return pb.BlockClock(
        block_id=block.block_id,
        close_time=block.close_time,
        time_left=block.time_left,
    )


@singledispatch
def _message(event: object) -> pb.SessionEvent:
    raise TypeError(f"no message for {type(event).__name__}")


@_message.register
def _(event: events.SessionUpdated) -> pb.SessionEvent:
    return pb.SessionEvent(session_updated=pb.SessionUpdated(session=session_message(event.session)))


@_message.register
def _(event: events.StatusChanged) -> pb.SessionEvent:
    return pb.SessionEvent(
        status_changed=pb.SessionStatusChanged(
            change=change_message(event.change),
            session=session_message(event.session),
            clocks=[_clock(block) for block in event.clocks],
        )
    )


@_message.register
def _(event: events.ParticipantJoined) -> pb.SessionEvent:
    return pb.SessionEvent(
        participant_joined=pb.ParticipantJoined(
            participant=participant_message(event.participant), participant_count=event.participant_count
        )
    )


@_message.register
def _(event: events.ParticipantLeft) -> pb.SessionEvent:
    return pb.SessionEvent(
        participant_left=pb.ParticipantLeft(
            participant_id=event.participant_id, participant_count=event.participant_count
        )
    )


@_message.register
def _(event: events.ParticipantRemoved) -> pb.SessionEvent:
    return pb.SessionEvent(
        participant_removed=pb.ParticipantRemoved(
            participant_id=event.participant_id,
            status=seat_status(event.status),
            participant_count=event.participant_count,
        )
    )


@_message.register
def _(event: events.ParticipantUpdated) -> pb.SessionEvent:
    return pb.SessionEvent(
        participant_updated=pb.ParticipantUpdated(
            participant=participant_message(event.participant), participant_count=event.participant_count
        )
    )


@_message.register
def _(event: events.BlocksAdded) -> pb.SessionEvent:
    return pb.SessionEvent(
        blocks_added=pb.BlocksAdded(blocks=[outline_message(place) for place in event.blocks])
    )


@_message.register
def _(event: events.BlockUpdated) -> pb.SessionEvent:
    return pb.SessionEvent(block_updated=pb.BlockUpdated(block=outline_message(event.block)))


@_message.register
def _(event: events.BlockDeleted) -> pb.SessionEvent:
    return pb.SessionEvent(block_deleted=pb.BlockDeleted(block_id=event.block_id))


@_message.register
def _(event: events.BlocksReordered) -> pb.SessionEvent:
    return pb.SessionEvent(blocks_reordered=pb.BlocksReordered(block_ids=event.block_ids))


@_message.register
def _(event: events.BlockActivated) -> pb.SessionEvent:
    return pb.SessionEvent(
        block_activated=pb.BlockActivated(block=block_message(event.block, with_key=False))
    )


@_message.register
def _(event: events.BlockClosed) -> pb.SessionEvent:
    key = None if event.answer_key is None else AnswerKey.FromString(event.answer_key)
    return pb.SessionEvent(
        block_closed=pb.BlockClosed(
            block_id=event.block_id,
            round_id=event.round_id,
            close_time=event.close_time,
            answer_key=key,
            by_deadline=event.by_deadline,
        )
    )


@_message.register
def _(event: events.BlockSkipped) -> pb.SessionEvent:
    return pb.SessionEvent(block_skipped=pb.BlockSkipped(block_id=event.block_id))
