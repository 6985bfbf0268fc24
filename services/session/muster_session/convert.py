"""Sessions and seats between their contract and the model."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from google.protobuf.message import Message
from muster.session.v1 import session_pb2 as pb

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

M = TypeVar("M", bound=Message)

_STATUSES: Final[Mapping[Status, pb.SessionStatus]] = {
    each: getattr(pb, f"SESSION_STATUS_{each.name}") for each in Status
}
_VISIBILITIES: Final[Mapping[Visibility, pb.SessionVisibility]] = {
    each: getattr(pb, f"SESSION_VISIBILITY_{each.name}") for each in Visibility
}
_ROLES: Final[Mapping[ParticipantRole, pb.ParticipantRole]] = {
    each: getattr(pb, f"PARTICIPANT_ROLE_{each.name}") for each in ParticipantRole
}
_SEATS: Final[Mapping[ParticipantStatus, pb.ParticipantStatus]] = {
    each: getattr(pb, f"PARTICIPANT_STATUS_{each.name}") for each in ParticipantStatus
}
_STATUS_OF: Final[Mapping[int, Status]] = {value: each for each, value in _STATUSES.items()}
_VISIBILITY_OF: Final = {value: each for each, value in _VISIBILITIES.items()}
_ROLE_OF: Final[Mapping[int, ParticipantRole]] = {value: each for each, value in _ROLES.items()}
_SEAT_OF: Final[Mapping[int, ParticipantStatus]] = {value: each for each, value in _SEATS.items()}


def message_bytes(message: Message) -> bytes:
    """Return the bytes that are kept of a contract's message: the same for equal messages."""
    return message.SerializeToString(deterministic=True)


def without_key(request: M) -> M:
    """Return the request as its fingerprint may be kept: a fast hash over a key would give it away."""
    kept = type(request)()
    kept.CopyFrom(request)
    kept.ClearField("key")
    return kept


def session_message(session: Session, *, with_code: bool = True) -> pb.Session:
    """Return the session; `with_code` False leaves the join code out."""
    return pb.Session(
        session_id=session.session_id,
        organization_id=session.organization_id,
        host_user_id=session.host_user_id,
        status=_STATUSES[session.status],
        settings=settings_message(session.settings),
        join_code=session.join_code if with_code else "",
        has_key=bool(session.key_hash),
        participant_count=session.participant_count,
        block_count=session.block_count,
        active_block_id=session.active_block_id,
        scheduled_time=session.scheduled_time,
        start_time=session.start_time,
        end_time=session.end_time,
        create_time=session.create_time,
        revision=session.revision,
    )


def settings_message(settings: Settings) -> pb.SessionSettings:
    """Return the settings."""
    message = pb.SessionSettings(
        title=settings.title,
        description=settings.description,
        visibility=_VISIBILITIES[settings.visibility],
        max_participants=settings.max_participants,
        late_join_allowed=settings.late_join_allowed,
        parallel_blocks_allowed=settings.parallel_blocks_allowed,
        default_time_limit=settings.default_time_limit,
        answers_hidden=settings.answers_hidden,
        chat_enabled=settings.chat_enabled,
        reactions_enabled=settings.reactions_enabled,
        course_id=settings.course_id,
        class_ids=settings.class_ids,
        test_id=settings.test_id,
    )
    if settings.rules is not None:
        message.rules.MergeFromString(settings.rules)
        message.rules.SetInParent()
    return message


def settings_of(message: pb.SessionSettings) -> Settings:
    """Return the settings a validated request asks for."""
    return Settings(
        title=message.title,
        description=message.description,
        visibility=_VISIBILITY_OF[message.visibility],
        max_participants=message.max_participants,
        late_join_allowed=message.late_join_allowed,
        parallel_blocks_allowed=message.parallel_blocks_allowed,
        default_time_limit=(
            message.default_time_limit.ToTimedelta() if message.HasField("default_time_limit") else None
        ),
        rules=message_bytes(message.rules) if message.HasField("rules") else None,
        answers_hidden=message.answers_hidden,
        chat_enabled=message.chat_enabled,
        reactions_enabled=message.reactions_enabled,
        course_id=message.course_id,
        class_ids=tuple(message.class_ids),
        test_id=message.test_id,
    )


def statuses_of(values: Iterable[int]) -> frozenset[Status]:
    """Return the statuses asked for; UNSPECIFIED asks for none."""
    return frozenset(_STATUS_OF[value] for value in values if value)


def seat_statuses_of(values: Iterable[int]) -> frozenset[ParticipantStatus]:
    """Return the statuses of seats asked for; UNSPECIFIED asks for none."""
    return frozenset(_SEAT_OF[value] for value in values if value)


def role_of(value: int) -> ParticipantRole | None:
    """Return the role asked for; None for UNSPECIFIED."""
    return _ROLE_OF[value] if value else None


def change_message(change: StatusChange) -> pb.StatusChange:
    """Return a move of the status."""
    return pb.StatusChange(
        old_status=(
            pb.SESSION_STATUS_UNSPECIFIED if change.old_status is None else _STATUSES[change.old_status]
        ),
        new_status=_STATUSES[change.new_status],
        reason=change.reason,
        changed_by_user_id=change.changed_by_user_id,
        change_time=change.change_time,
    )


def participant_message(seat: Participant) -> pb.Participant:
    """Return a seat."""
    return pb.Participant(
        participant_id=seat.participant_id,
        user_id=seat.user_id,
        display_name=seat.display_name,
        role=_ROLES[seat.role],
        status=_SEATS[seat.status],
        join_time=seat.join_time,
        leave_time=seat.leave_time,
    )


def seat_status(status: ParticipantStatus) -> pb.ParticipantStatus:
    """Return the status of a seat."""
    return _SEATS[status]


def preview_message(session: Session) -> pb.SessionPreview:
    """Return what someone with the code may know."""
    return pb.SessionPreview(
        session_id=session.session_id,
        title=session.settings.title,
        status=_STATUSES[session.status],
        key_required=session.settings.visibility is Visibility.PRIVATE,
        participant_count=session.participant_count,
    )
