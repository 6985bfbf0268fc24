"""What watchers of attendance get, as the contract's bytes; pure."""

from collections.abc import Sequence

from muster.presence.v1 import attendance_pb2 as pb
from muster.presence.v1 import channel_pb2

from muster_presence.convert_attendance import channel_message, point_message, record_message, rule_message
from muster_presence.model_attendance import AttendanceRule
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Book, Record
from muster_presence.usecases_attendance_watch import AttendanceShapes, Standing


def shapes(deployment_rule: AttendanceRule) -> AttendanceShapes:
    """Return what makes the messages; the rule is that of sessions without one."""

    def snapshot(book: Book, records: Sequence[Record], channels: Sequence[Channel]) -> bytes:
        session_id = book.attended.scope.scope_id
        message = pb.AttendanceSnapshot(
            rule=rule_message(book.rule.own or deployment_rule),
            records=map(record_message, records),
            channels=[channel_message(channel, session_id) for channel in channels],
        )
        return message.SerializeToString()

    return AttendanceShapes(snapshot, _view)


def _view(standing: Standing, records: Sequence[Record]) -> bytes:
    message = pb.AttendanceView(
        version=standing.version,
        now=point_message(standing.now),
        channels=[
            channel_pb2.ChannelActivity(
                name=channel.name,
                connection_count=channel.connections,
                last_activity_time=channel.last_activity,
            )
            for channel in standing.channels
        ],
        records=map(record_message, records),
    )
    return message.SerializeToString()
