"""Attendance between rows and model."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_attendance import AttendanceRule, Computed, Evidence, Status
from muster_presence.model_attended import Attended, Phase
from muster_presence.model_channels import Channel
from muster_presence.model_sheet import Cause, Change, Mark, Point, Record, SessionRule, Student
from muster_presence.model_spans import Span

Found = Row[Any]


def attended_of(row: Found) -> Attended:
    """Return what was reported."""
    # One that is open has no end in its list.
    ends = [*row.span_ends, *[None] * (len(row.span_starts) - len(row.span_ends))]
    return Attended(
        scope=ScopeId(row.organization_id, ScopeKind(row.kind), row.scope_id),
        phase=Phase(row.phase),
        title=row.title,
        host_user_id=row.host_user_id,
        revision=row.revision,
        class_ids=tuple(row.class_ids),
        teacher_user_ids=tuple(row.teacher_user_ids),
        spans=tuple(Span(start, end) for start, end in zip(row.span_starts, ends, strict=True)),
        settle_time=row.settle_time,
    )


def attended_values(attended: Attended) -> dict[str, object]:
    """Return the columns of what was reported, but for its key."""
    return {
        "phase": attended.phase.value,
        "title": attended.title,
        "host_user_id": attended.host_user_id,
        "class_ids": list(attended.class_ids),
        "teacher_user_ids": list(attended.teacher_user_ids),
        "span_starts": [span.start for span in attended.spans],
        "span_ends": [span.end for span in attended.spans if span.end is not None],
        "start_time": attended.start_time,
        "settle_time": attended.settle_time,
        "revision": attended.revision,
    }


def rule_of(row: Found | None) -> SessionRule:
    """Return the rule of a session."""
    if row is None:
        return SessionRule()
    if row.present_share is None:
        return SessionRule(revision=row.revision)
    own = AttendanceRule(
        present_share=row.present_share,
        absent_share=row.absent_share,
        late_after=row.late_after,
        left_early_before=row.left_early_before,
        gap_tolerance=row.gap_tolerance,
    )
    return SessionRule(own=own, revision=row.revision)


def rule_values(rule: SessionRule) -> dict[str, object]:
    """Return the columns of a rule, but for its key."""
    own = rule.own
    return {
        "revision": rule.revision,
        "present_share": own and own.present_share,
        "absent_share": own and own.absent_share,
        "late_after": own and own.late_after,
        "left_early_before": own and own.left_early_before,
        "gap_tolerance": own and own.gap_tolerance,
    }


def student_of(row: Found) -> Student:
    """Return someone who is expected."""
    return Student(user_id=row.user_id, display_name=row.display_name, class_ids=tuple(row.class_ids))


def mark_of(row: Found) -> Mark:
    """Return a mark."""
    return Mark(
        user_id=row.user_id,
        status=Status(row.status),
        reason=row.reason,
        marked_by_user_id=row.marked_by_user_id,
        mark_time=row.mark_time,
    )


def mark_values(mark: Mark) -> dict[str, object]:
    """Return the columns of a mark, but for its key."""
    return {
        "user_id": mark.user_id,
        "status": mark.status.value,
        "reason": mark.reason,
        "marked_by_user_id": mark.marked_by_user_id,
        "mark_time": mark.mark_time,
    }


def record_of(row: Found) -> Record:
    """Return a record."""
    mark = None
    if row.mark_status is not None:
        mark = Mark(
            user_id=row.user_id,
            status=Status(row.mark_status),
            reason=row.mark_reason,
            marked_by_user_id=row.marked_by_user_id,
            mark_time=row.mark_time,
        )
    evidence = Evidence(
        present=row.present,
        active=row.active,
        gap_count=row.gap_count,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        came_after=row.came_after,
        left_before=row.left_before,
    )
    return Record(
        session_id=row.session_id,
        user_id=row.user_id,
        display_name=row.display_name,
        computed=Computed(Status(row.computed_status), evidence, row.explanation),
        in_roster=row.in_roster,
        mark=mark,
        settled=row.settled,
        update_time=row.update_time,
        revision=row.revision,
    )


def record_values(record: Record, class_ids: Sequence[str], attended: Attended) -> dict[str, object]:
    """Return the columns of a record, but for the organization and the session."""
    mark, evidence = record.mark, record.computed.evidence
    return {
        "user_id": record.user_id,
        "display_name": record.display_name,
        "sort_name": record.sort_name,
        "in_roster": record.in_roster,
        "class_ids": list(class_ids),
        "status": record.status.value,
        "computed_status": record.computed.status.value,
        "mark_status": mark.status.value if mark else None,
        "mark_reason": mark.reason if mark else None,
        "marked_by_user_id": mark.marked_by_user_id if mark else None,
        "mark_time": mark.mark_time if mark else None,
        "present": evidence.present,
        "active": evidence.active,
        "gap_count": evidence.gap_count,
        "first_seen": evidence.first_seen,
        "last_seen": evidence.last_seen,
        "came_after": evidence.came_after,
        "left_before": evidence.left_before,
        "explanation": record.computed.explanation,
        "settled": record.settled,
        "session_start_time": attended.start_time,
        "update_time": record.update_time,
        "revision": record.revision,
    }


def change_of(row: Found) -> Change:
    """Return a change."""
    return Change(
        seq=row.seq,
        user_id=row.user_id,
        display_name=row.display_name,
        old_status=Status(row.old_status),
        new_status=Status(row.new_status),
        cause=Cause(row.cause),
        reason=row.reason,
        changed_by_user_id=row.changed_by_user_id,
        change_time=row.change_time,
    )


def change_values(change: Change) -> dict[str, object]:
    """Return the columns of a change, but for its key."""
    return {
        "user_id": change.user_id,
        "display_name": change.display_name,
        "old_status": change.old_status.value,
        "new_status": change.new_status.value,
        "cause": change.cause.value,
        "reason": change.reason,
        "changed_by_user_id": change.changed_by_user_id,
        "change_time": change.change_time,
    }


def point_of(row: Found) -> Point:
    """Return a point."""
    return Point(
        record_time=row.record_time,
        student_count=row.student_count,
        present_count=row.present_count,
        connection_count=row.connection_count,
        statuses={Status(status): n for status, n in zip(row.statuses, row.counts, strict=True)},
    )


def point_values(point: Point) -> Mapping[str, object]:
    """Return the columns of a point, but for the organization and the session."""
    statuses = sorted(point.statuses)
    return {
        "record_time": point.record_time,
        "student_count": point.student_count,
        "present_count": point.present_count,
        "connection_count": point.connection_count,
        "statuses": [status.value for status in statuses],
        "counts": [point.statuses[status] for status in statuses],
    }


def channel_of(row: Found) -> Channel:
    """Return a configured channel."""
    return Channel(
        name=row.name,
        create_time=row.create_time,
        packed=row.configuration,
        hidden_from_students=row.hidden_from_students,
        revision=row.revision,
        last_activity=row.last_activity_time,
    )
