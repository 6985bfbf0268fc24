"""Who may call which method of presence; which people and places they see is for the use cases to say."""

from typing import Final

from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.policy import Policy, Rule

_USERS: Final = frozenset(OrganizationRole)
_STAFF: Final = _USERS - {OrganizationRole.MEMBER}
_ADMINS: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
_TICKETS: Final = frozenset(RoomRole)
_HOSTS: Final = frozenset({RoomRole.HOST, RoomRole.COHOST})

_SERVICES: Final = Rule(services=True)
# A ticket names its holder's room; to be present elsewhere as well takes the user's own token.
_PEOPLE: Final = Rule(users=_USERS, tickets=_TICKETS)
# They say themselves who is here.
_TELLERS: Final = Rule(users=_USERS, tickets=_TICKETS, tells_presence=True)
_READERS: Final = Rule(users=_USERS, tickets=_TICKETS, services=True)
# What belongs to a person and to no room takes the user's own token.
_PERSONS: Final = Rule(users=_USERS)
_PERSONS_AND_HOSTS: Final = Rule(users=_USERS, tickets=_HOSTS)
_TEACHERS: Final = Rule(users=_STAFF, tickets=_HOSTS)

_RULES: Final = {
    "PresenceService": {
        "Connect": _TELLERS,
        "Heartbeat": _TELLERS,
        "HeartbeatBatch": _SERVICES,
        "SetActivity": _TELLERS,
        "Leave": _TELLERS,
        "GetPresence": _READERS,
        "ListActive": _READERS,
        "CountActive": _READERS,
        "WatchScope": _READERS,
        # Members see their own history, with their own token; hosts see that of their room.
        "ListHistory": _PERSONS_AND_HOSTS,
        "Notify": _SERVICES,
        "ReportScope": _SERVICES,
        "ReportActivity": _SERVICES,
        "EraseUser": Rule(users=_ADMINS),
        "Probe": _READERS,
    },
    "FriendService": {
        "RequestFriend": _PERSONS,
        "RespondToFriendRequest": _PERSONS,
        "RemoveFriend": _PERSONS,
        "BlockUser": _PERSONS,
        "UnblockUser": _PERSONS,
        # Services ask who may see and join what is open to friends.
        "ListFriends": Rule(users=_USERS, services=True),
        "WatchFriends": _PERSONS,
        "SendQuickReaction": _PERSONS,
    },
    "AttendanceService": {
        # Members see their own records.
        "ListAttendance": _PERSONS_AND_HOSTS,
        "MarkAttendance": _TEACHERS,
        "ListAttendanceChanges": _TEACHERS,
        "GetAttendanceRule": _TEACHERS,
        "SetAttendanceRule": _TEACHERS,
        "GetAttendanceAnalytics": _TEACHERS,
        "WatchAttendance": _TEACHERS,
        "ExportAttendance": _TEACHERS,
        # Students see the channels of sessions of their own classes.
        "ListChannels": _PEOPLE,
        "ConfigureChannel": _TEACHERS,
    },
}

POLICY: Final[Policy] = {
    f"muster.presence.v1.{service}/{method}": rule
    for service, rules in _RULES.items()
    for method, rule in rules.items()
}
