"""Attendance between contract and model; pure."""

from collections.abc import Iterable
from datetime import datetime

from muster.presence.v1 import attendance_pb2 as pb
from muster.presence.v1 import attendance_service_pb2, channel_pb2, presence_service_pb2
from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.timestamps import time_of

from muster_presence.model import ScopeId
from muster_presence.model_attendance import AttendanceRule, Evidence, Status
from muster_presence.model_attended import Attended, Phase, require_in_order
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Change, Mark, NewMark, Point, Record
from muster_presence.model_spans import Span
from muster_presence.store_attendance import ChannelConfigured, RecordChanged, RuleChanged, Settled


def attended_of(request: presence_service_pb2.ReportScopeRequest, scope: ScopeId) -> Attended:
    """Return what is reported; MusterError(INVALID_FIELD) for times out of range or out of order."""
    spans = []
    for index, span in enumerate(request.active_spans):
        field = f"active_spans[{index}]"
        end = time_of(span.end_time, f"{field}.end_time") if span.HasField("end_time") else None
        spans.append(Span(time_of(span.start_time, f"{field}.start_time"), end))
    require_in_order(spans)
    return Attended(
        scope=scope,
        phase=Phase(request.phase),
        title=request.title,
        host_user_id=request.host_user_id,
        revision=request.revision,
        class_ids=tuple(request.class_ids),
        spans=tuple(spans),
    )


def rule_of(message: pb.AttendanceRule) -> AttendanceRule:
    """Return a rule of a request; MusterError(INVALID_FIELD) when nobody could be in between its shares."""
    # What is not a number compares as false.
    if not message.absent_share <= message.present_share:
        violation = Violation("rule.absent_share", "must be at most present_share")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
    late_after = message.late_after.ToTimedelta() if message.HasField("late_after") else None
    left_early = message.left_early_before.ToTimedelta() if message.HasField("left_early_before") else None
    return AttendanceRule(
        present_share=message.present_share,
        absent_share=message.absent_share,
        late_after=late_after,
        left_early_before=left_early,
        gap_tolerance=message.gap_tolerance.ToTimedelta(),
    )


def rule_message(rule: AttendanceRule) -> pb.AttendanceRule:
    """Return a rule as the contract has it."""
    return pb.AttendanceRule(
        present_share=rule.present_share,
        absent_share=rule.absent_share,
        late_after=rule.late_after,
        left_early_before=rule.left_early_before,
        gap_tolerance=rule.gap_tolerance or None,
    )


def statuses_of(values: Iterable[int]) -> frozenset[Status]:
    """Return the statuses of a filter."""
    return frozenset(Status(value) for value in values)


def marks_of(messages: Iterable[pb.NewAttendanceMark]) -> list[NewMark]:
    """Return the marks of a request."""
    return [
        NewMark(
            user_id=each.user_id,
            status=Status(each.status),
            reason=each.reason,
            expected_revision=each.expected_revision,
        )
        for each in messages
    ]


def record_message(record: Record) -> pb.AttendanceRecord:
    """Return a record as the contract has it."""
    return pb.AttendanceRecord(
        session_id=record.session_id,
        user_id=record.user_id,
        display_name=record.display_name,
        status=_status(record.status),
        computed_status=_status(record.computed.status),
        mark=_mark_message(record.mark) if record.mark else None,
        evidence=_evidence_message(record.computed.evidence, record.computed.explanation),
        in_roster=record.in_roster,
        settled=record.settled,
        update_time=record.update_time,
        revision=record.revision,
    )


def change_message(change: Change) -> pb.AttendanceChange:
    """Return a change as the contract has it."""
    return pb.AttendanceChange(
        user_id=change.user_id,
        display_name=change.display_name,
        old_status=_status(change.old_status),
        new_status=_status(change.new_status),
        cause=pb.AttendanceChangeCause.Name(change.cause),
        reason=change.reason,
        changed_by_user_id=change.changed_by_user_id,
        change_time=change.change_time,
    )


def point_message(point: Point) -> pb.AttendancePoint:
    """Return a point as the contract has it."""
    return pb.AttendancePoint(
        record_time=point.record_time,
        student_count=point.student_count,
        present_count=point.present_count,
        connection_count=point.connection_count,
        statuses=[
            pb.AttendanceCount(status=_status(status), count=point.statuses[status])
            for status in sorted(point.statuses)
        ],
    )


def channel_message(channel: Channel, session_id: str) -> channel_pb2.Channel:
    """Return a channel as the contract has it."""
    return channel_pb2.Channel(
        session_id=session_id,
        name=channel.name,
        configuration=channel_pb2.ChannelConfiguration.FromString(channel.packed),
        connection_count=channel.connections,
        last_activity_time=channel.last_activity,
        create_time=channel.create_time,
        revision=channel.revision,
    )


def encode_event(event: object, seq: int, create_time: datetime) -> bytes:
    """Return the serialized AttendanceEvent."""
    message = _event_message(event)
    message.seq = seq
    message.create_time.FromDatetime(create_time)
    return message.SerializeToString()


def time_in(
    request: attendance_service_pb2.ListAttendanceRequest
    | attendance_service_pb2.GetAttendanceAnalyticsRequest
    | attendance_service_pb2.ExportAttendanceRequest,
    field: str,
) -> datetime | None:
    """Return a time of a request, None when it has none; MusterError(INVALID_FIELD) when out of range."""
    return time_of(getattr(request, field), field) if request.HasField(field) else None


def _event_message(event: object) -> pb.AttendanceEvent:
    match event:
        case RecordChanged(change, record):
            told = pb.AttendanceChanged(change=change_message(change), record=record_message(record))
            return pb.AttendanceEvent(changed=told)
        case RuleChanged(rule):
            return pb.AttendanceEvent(rule_changed=pb.AttendanceRuleChanged(rule=rule_message(rule)))
        case Settled(result):
            return pb.AttendanceEvent(settled=pb.AttendanceSettled(result=point_message(result)))
        case ChannelConfigured(channel):
            # Whose session it is, the stream says.
            configured = pb.ChannelConfigured(channel=channel_message(channel, ""))
            return pb.AttendanceEvent(channel_configured=configured)
        case _:
            raise TypeError(f"no message for {type(event).__name__}")


def _mark_message(mark: Mark) -> pb.AttendanceMark:
    return pb.AttendanceMark(
        status=_status(mark.status),
        reason=mark.reason,
        marked_by_user_id=mark.marked_by_user_id,
        mark_time=mark.mark_time,
    )


def _evidence_message(evidence: Evidence, explanation: str) -> pb.AttendanceEvidence:
    return pb.AttendanceEvidence(
        present_duration=evidence.present,
        active_duration=evidence.active,
        share=evidence.share,
        gap_count=evidence.gap_count,
        first_seen_time=evidence.first_seen,
        last_seen_time=evidence.last_seen,
        explanation=explanation,
    )


def _status(status: Status) -> str:
    return pb.AttendanceStatus.Name(status)
