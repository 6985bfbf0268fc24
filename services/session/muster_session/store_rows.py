"""Rows of the tables as the model has them, and back."""

from typing import Any

from sqlalchemy import Row

from muster_session.model import (
    Participant,
    ParticipantRole,
    ParticipantStatus,
    Session,
    Settings,
    Status,
    StatusChange,
    Visibility,
)
from muster_session.model_blocks import Block, BlockBody, BlockStatus, Transition, TransitionKind
from muster_session.model_classes import (
    ClassMember,
    ClassSettings,
    ClassStatus,
    MemberRole,
    RosterEntry,
    SchoolClass,
)

Values = dict[str, object]


def session_of(row: Row[Any]) -> Session:
    """Return the session of a row with all columns."""
    return Session(
        session_id=row.session_id,
        organization_id=row.organization_id,
        host_user_id=row.host_user_id,
        status=Status(row.status),
        settings=Settings(
            title=row.title,
            description=row.description,
            visibility=Visibility(row.visibility),
            max_participants=row.max_participants,
            late_join_allowed=row.late_join_allowed,
            parallel_blocks_allowed=row.parallel_blocks_allowed,
            default_time_limit=row.default_time_limit,
            rules=row.rules,
            answers_hidden=row.answers_hidden,
            chat_enabled=row.chat_enabled,
            reactions_enabled=row.reactions_enabled,
            course_id=row.course_id,
            class_ids=tuple(row.class_ids),
            test_id=row.test_id,
        ),
        join_code=row.join_code,
        key_hash=row.key_hash,
        participant_count=row.participant_count,
        seat_count=row.seat_count,
        block_count=row.block_count,
        active_block_id=row.active_block_id,
        scheduled_time=row.scheduled_time,
        start_time=row.start_time,
        end_time=row.end_time,
        create_time=row.create_time,
        revision=row.revision,
    )


def session_values(session: Session) -> Values:
    """Return what `save` writes: neither the counters nor the revision."""
    settings = session.settings
    return {
        "status": session.status.value,
        "title": settings.title,
        "description": settings.description,
        "visibility": settings.visibility.value,
        "max_participants": settings.max_participants,
        "late_join_allowed": settings.late_join_allowed,
        "parallel_blocks_allowed": settings.parallel_blocks_allowed,
        "default_time_limit": settings.default_time_limit,
        "rules": settings.rules,
        "answers_hidden": settings.answers_hidden,
        "chat_enabled": settings.chat_enabled,
        "reactions_enabled": settings.reactions_enabled,
        "course_id": settings.course_id,
        "class_ids": list(settings.class_ids),
        "test_id": settings.test_id,
        "join_code": session.join_code,
        "key_hash": session.key_hash,
        "scheduled_time": session.scheduled_time,
        "start_time": session.start_time,
        "end_time": session.end_time,
    }


def change_of(row: Row[Any]) -> StatusChange:
    """Return a move of the status."""
    return StatusChange(
        old_status=Status(row.old_status) if row.old_status else None,
        new_status=Status(row.new_status),
        change_time=row.change_time,
        reason=row.reason,
        changed_by_user_id=row.changed_by_user_id,
    )


def seat_of(row: Row[Any]) -> Participant:
    """Return a seat."""
    return Participant(
        participant_id=row.participant_id,
        session_id=row.session_id,
        user_id=row.user_id,
        display_name=row.display_name,
        role=ParticipantRole(row.role),
        status=ParticipantStatus(row.status),
        join_time=row.join_time,
        leave_time=row.leave_time,
        generation=row.generation,
    )


def seat_values(seat: Participant) -> Values:
    """Return what may change of a seat."""
    return {
        "display_name": seat.display_name,
        "role": seat.role.value,
        "status": seat.status.value,
        "leave_time": seat.leave_time,
        "generation": seat.generation,
    }


def block_of(row: Row[Any]) -> Block:
    """Return a block."""
    return Block(
        block_id=row.block_id,
        session_id=row.session_id,
        position=row.position,
        body=BlockBody(
            content=row.content, answer_key=row.answer_key, time_limit=row.time_limit, rules=row.rules
        ),
        status=BlockStatus(row.status),
        round_id=row.round_id,
        open_time=row.open_time,
        close_time=row.close_time,
        time_left=row.time_left,
        revision=row.revision,
    )


def block_values(block: Block) -> Values:
    """Return what `save` writes: neither the position nor the revision."""
    return {
        "status": block.status.value,
        "content": block.body.content,
        "answer_key": block.body.answer_key,
        "time_limit": block.body.time_limit,
        "rules": block.body.rules,
        "round_id": block.round_id,
        "open_time": block.open_time,
        "close_time": block.close_time,
        "time_left": block.time_left,
    }


def transition_of(row: Row[Any]) -> Transition:
    """Return a move under way, or one that was."""
    return Transition(
        transition_id=row.transition_id,
        session_id=row.session_id,
        organization_id=row.organization_id,
        kind=TransitionKind(row.kind),
        begin_time=row.begin_time,
        block_id=row.block_id,
        round_id=row.round_id,
        time_limit=row.time_limit,
        by_deadline=row.by_deadline,
        reason=row.reason,
        changed_by_user_id=row.changed_by_user_id,
        outcome=row.outcome,
        failure=row.failure,
    )


def transition_values(transition: Transition) -> Values:
    """Return all of a move."""
    return {
        "transition_id": transition.transition_id,
        "session_id": transition.session_id,
        "organization_id": transition.organization_id,
        "kind": transition.kind.value,
        "begin_time": transition.begin_time,
        "block_id": transition.block_id,
        "round_id": transition.round_id,
        "time_limit": transition.time_limit,
        "by_deadline": transition.by_deadline,
        "reason": transition.reason,
        "changed_by_user_id": transition.changed_by_user_id,
        "outcome": transition.outcome,
        "failure": transition.failure,
    }


def class_of(row: Row[Any]) -> SchoolClass:
    """Return a class."""
    return SchoolClass(
        class_id=row.class_id,
        organization_id=row.organization_id,
        settings=ClassSettings(
            title=row.title,
            description=row.description,
            teacher_user_id=row.teacher_user_id,
            course_id=row.course_id,
        ),
        status=ClassStatus(row.status),
        student_count=row.student_count,
        create_time=row.create_time,
        archive_time=row.archive_time,
        revision=row.revision,
    )


def class_values(school_class: SchoolClass) -> Values:
    """Return what may change of a class: neither the count of students nor the revision."""
    settings = school_class.settings
    return {
        "title": settings.title,
        "sort_title": settings.sort_title,
        "description": settings.description,
        "teacher_user_id": settings.teacher_user_id,
        "course_id": settings.course_id,
        "status": school_class.status.value,
        "archive_time": school_class.archive_time,
    }


def member_of(row: Row[Any]) -> ClassMember:
    """Return someone in a class."""
    return ClassMember(
        class_id=row.class_id,
        user_id=row.user_id,
        display_name=row.display_name,
        sort_name=row.sort_name,
        role=MemberRole(row.role),
        create_time=row.create_time,
    )


def roster_entry_of(row: Row[Any]) -> RosterEntry:
    """Return a student of a roster; their names and classes come in the order of the names."""
    return RosterEntry(
        user_id=row.user_id,
        display_name=row.display_names[0],
        sort_name=row.sort_name,
        class_ids=row.class_ids,
    )
