"""Classes and their members between their contract and the model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from muster.session.v1 import class_pb2 as pb

from muster_session.model_classes import (
    ClassMember,
    ClassSettings,
    ClassStatus,
    MemberRole,
    NewMember,
    RosterEntry,
    SchoolClass,
)

_STATUSES: Final[Mapping[ClassStatus, pb.ClassStatus]] = {
    each: getattr(pb, f"CLASS_STATUS_{each.name}") for each in ClassStatus
}
_ROLES: Final[Mapping[MemberRole, pb.ClassMemberRole]] = {
    each: getattr(pb, f"CLASS_MEMBER_ROLE_{each.name}") for each in MemberRole
}
_STATUS_OF: Final[Mapping[int, ClassStatus]] = {value: each for each, value in _STATUSES.items()}
_ROLE_OF: Final[Mapping[int, MemberRole]] = {value: each for each, value in _ROLES.items()}


def class_message(school_class: SchoolClass) -> pb.Class:
    """Return a class."""
    settings = school_class.settings
    return pb.Class(
        class_id=school_class.class_id,
        organization_id=school_class.organization_id,
        settings=pb.ClassSettings(
            title=settings.title,
            description=settings.description,
            teacher_user_id=settings.teacher_user_id,
            course_id=settings.course_id,
        ),
        status=_STATUSES[school_class.status],
        student_count=school_class.student_count,
        create_time=school_class.create_time,
        archive_time=school_class.archive_time,
        revision=school_class.revision,
    )


def class_settings_of(message: pb.ClassSettings) -> ClassSettings:
    """Return the settings a request asks for."""
    return ClassSettings(
        title=message.title,
        description=message.description,
        teacher_user_id=message.teacher_user_id,
        course_id=message.course_id,
    )


def class_statuses_of(values: Iterable[int]) -> frozenset[ClassStatus]:
    """Return the statuses asked for; nothing asks for ACTIVE."""
    return frozenset(_STATUS_OF[value] for value in values) or frozenset({ClassStatus.ACTIVE})


def member_role_of(value: int) -> MemberRole | None:
    """Return the role asked for; None for UNSPECIFIED."""
    return _ROLE_OF[value] if value else None


def new_members_of(messages: Iterable[pb.NewClassMember]) -> Sequence[NewMember]:
    """Return whom a request adds; students, unless it says what."""
    return [
        NewMember(
            user_id=message.user_id,
            display_name=message.display_name,
            role=member_role_of(message.role) or MemberRole.STUDENT,
        )
        for message in messages
    ]


def member_message(member: ClassMember) -> pb.ClassMember:
    """Return someone's place in a class."""
    return pb.ClassMember(
        class_id=member.class_id,
        user_id=member.user_id,
        display_name=member.display_name,
        role=_ROLES[member.role],
        create_time=member.create_time,
    )


def roster_message(entry: RosterEntry) -> pb.RosterEntry:
    """Return a student who is expected in a session."""
    return pb.RosterEntry(user_id=entry.user_id, display_name=entry.display_name, class_ids=entry.class_ids)
