"""Friendships between contract and model; pure."""

from collections.abc import Sequence
from datetime import datetime

from muster.presence.v1 import friend_pb2, inbox_pb2, presence_pb2

from muster_presence import convert
from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_friends import Friendship, Reaction, Standing
from muster_presence.model_inbox import Item, ItemKind, Notice


def friendship_message(friendship: Friendship, *, presence: bytes = b"") -> friend_pb2.Friendship:
    """Return a friendship; `presence` is the contract's message, empty for none."""
    message = friend_pb2.Friendship(
        user_id=friendship.user_id,
        display_name=friendship.display_name,
        state=friend_pb2.FriendshipState.Name(friendship.standing),
        note=friendship.note,
    )
    if friendship.change_time is not None:
        message.change_time.FromDatetime(friendship.change_time)
    if presence:
        message.presence.ParseFromString(presence)
    return message


def reaction_message(sent: Reaction) -> friend_pb2.QuickReaction:
    """Return a quick reaction as the friend gets it."""
    message = friend_pb2.QuickReaction(
        from_user_id=sent.from_user_id, from_display_name=sent.from_display_name, reaction=sent.reaction
    )
    if sent.activity:
        message.activity.ParseFromString(sent.activity)
    return message


def encode_friends_event(what: Friendship | Reaction, seq: int, now: datetime) -> bytes:
    """Return an event of WatchFriends, serialized."""
    event = friend_pb2.FriendsEvent(seq=seq)
    event.create_time.FromDatetime(now)
    if isinstance(what, Reaction):
        event.quick_reaction.CopyFrom(reaction_message(what))
    else:
        event.changed.CopyFrom(friendship_message(what))
    return event.SerializeToString()


def friends_snapshot(friendships: Sequence[Friendship]) -> bytes:
    """Return a snapshot, serialized."""
    messages = [friendship_message(each) for each in friendships]
    return friend_pb2.FriendsSnapshot(friendships=messages).SerializeToString()


def friends_view(version: int, presences: Sequence[bytes], full: bool) -> bytes:
    """Return a view of presences, which are the contract's messages, serialized."""
    return friend_pb2.FriendsView(
        version=version,
        full=full,
        presences=[presence_pb2.Presence.FromString(each) for each in presences],
    ).SerializeToString()


def connected_view(version: int, presences: Sequence[bytes], full: bool) -> bytes:
    """Return a view of presences for who is connected, serialized."""
    return inbox_pb2.InboxView(
        version=version,
        full=full,
        friends=[presence_pb2.Presence.FromString(each) for each in presences],
    ).SerializeToString()


def away(organization_id: str, user_id: str) -> bytes:
    """Return the presence of a friend who is not here, serialized."""
    home = ScopeId(organization_id, ScopeKind.ORGANIZATION)
    return convert.presence(b"", user_id, home).SerializeToString()


def activity_in(presence: bytes) -> bytes:
    """Return the activity of a presence, both serialized; empty for none."""
    return presence_pb2.Presence.FromString(presence).activity.SerializeToString()


def inbox_notice(what: Friendship | Reaction) -> Notice:
    """Return what an inbox tells of a change or a sign; a request that is open waits there."""
    if isinstance(what, Reaction):
        return Notice(inbox_pb2.InboxEvent(quick_reaction=reaction_message(what)).SerializeToString())
    message = friendship_message(what)
    changed = inbox_pb2.FriendshipChanged(friendship=message)
    is_open = what.standing is Standing.RECEIVED
    item = Item(ItemKind.FRIEND_REQUEST, what.user_id, message.SerializeToString() if is_open else None)
    return Notice(inbox_pb2.InboxEvent(friendship=changed).SerializeToString(), item)


def standings_of(states: Sequence[int]) -> frozenset[Standing]:
    """Return the states that a list is about; friends when it names none."""
    return frozenset(map(Standing, states)) or frozenset({Standing.FRIENDS})
