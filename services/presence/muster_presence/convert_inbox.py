"""Inboxes between contract and model; pure."""

from datetime import UTC, timedelta
from typing import Final

from muster.presence.v1 import inbox_pb2 as pb
from muster.presence.v1 import presence_pb2, presence_service_pb2
from muster.presence.v1.friend_pb2 import Friendship
from muster.presence.v1.scope_pb2 import SCOPE_KIND_ORGANIZATION, Scope
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model_inbox import Item, ItemKind, Notice
from muster_presence.store_inbox import Waiting

_OVER: Final = frozenset({pb.START_STAGE_ENDED, pb.START_STAGE_CANCELLED})

_OVERDUE: Final = timedelta(days=1)
"""What was to open and has not for so long waits no more."""


def notice(request: presence_service_pb2.NotifyRequest) -> Notice:
    """Return what a request tells; INVALID_FIELD for a place that is neither session nor workout."""
    kind = request.WhichOneof("notice")
    if kind == "start":
        _require_room(request.start.scope, "start.scope")
        return Notice(pb.InboxEvent(start=request.start).SerializeToString(), _start(request.start))
    if kind == "invitation":
        _require_room(request.invitation.scope, "invitation.scope")
        event = pb.InboxEvent(invitation=request.invitation)
        return Notice(
            event.SerializeToString(), _invitation(request.invitation), request.invitation.from_user_id
        )
    return Notice(pb.InboxEvent(custom=request.custom).SerializeToString())


def snapshot(waiting: Waiting) -> bytes:
    """Return a snapshot, serialized."""
    of_kind = {kind: [each.payload for each in waiting.items if each.kind is kind] for kind in ItemKind}
    message = pb.InboxSnapshot(
        invitations=map(pb.InvitationNotice.FromString, of_kind[ItemKind.INVITATION]),
        starts=map(pb.StartNotice.FromString, of_kind[ItemKind.START]),
        friend_requests=map(Friendship.FromString, of_kind[ItemKind.FRIEND_REQUEST]),
    )
    return message.SerializeToString()


def lease_view(lease: presence_pb2.Lease) -> bytes:
    """Return the first view of a stream, serialized."""
    return pb.InboxView(version=1, lease=lease, full=True).SerializeToString()


def person_in(event: bytes) -> str:
    """Return the user whom an event of somebody else's inbox is from or about; "" for none."""
    message = pb.InboxEvent.FromString(event)
    kind = message.WhichOneof("event")
    if kind == "friendship":
        return message.friendship.friendship.user_id
    if kind == "invitation":
        return message.invitation.from_user_id
    return message.quick_reaction.from_user_id if kind == "quick_reaction" else ""


def erased_event(event: bytes) -> bytes:
    """Return an event without what it told, in the same place."""
    message = pb.InboxEvent.FromString(event)
    message.erased.SetInParent()
    return message.SerializeToString()


def is_item_from(kind: str, payload: bytes, user_id: str) -> bool:
    """Tell whether what waits in somebody's inbox is from a user."""
    if kind == ItemKind.FRIEND_REQUEST:
        return Friendship.FromString(payload).user_id == user_id
    return kind == ItemKind.INVITATION and pb.InvitationNotice.FromString(payload).from_user_id == user_id


def _start(message: pb.StartNotice) -> Item:
    time = message.stage_time.ToDatetime(UTC) if message.HasField("stage_time") else None
    is_scheduled = message.stage == pb.START_STAGE_SCHEDULED
    return Item(
        ItemKind.START,
        f"{message.scope.kind}:{message.scope.scope_id}",
        None if message.stage in _OVER else message.SerializeToString(),
        # When it is to open is not since when that is so.
        order_time=None if is_scheduled else time,
        expire_time=time + _OVERDUE if time is not None and is_scheduled else None,
    )


def _invitation(message: pb.InvitationNotice) -> Item:
    return Item(
        ItemKind.INVITATION,
        message.invitation_id,
        message.SerializeToString() if message.stage == pb.INVITATION_STAGE_PENDING else None,
        expire_time=message.expire_time.ToDatetime(UTC) if message.HasField("expire_time") else None,
    )


def _require_room(scope: Scope, field: str) -> None:
    if scope.kind == SCOPE_KIND_ORGANIZATION or not scope.scope_id:
        raise MusterError(
            Reason.INVALID_FIELD, violations=[Violation(field, "must name a session or a workout")]
        )
