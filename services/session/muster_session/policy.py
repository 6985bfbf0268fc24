"""Who may call which method; whether they may do it to the session they name, the use cases say."""

from typing import Final

from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.policy import Policy, Rule

_USERS: Final = frozenset(OrganizationRole)
_ADMINS: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
_TEACHERS: Final = _ADMINS | {OrganizationRole.EDITOR}
_TICKETS: Final = frozenset(RoomRole)
_HOSTS: Final = frozenset({RoomRole.HOST, RoomRole.COHOST})

_ALL: Final = Rule(users=_USERS, tickets=_TICKETS, services=True)
# A ticket is for one session; what is not about a session that is there takes the user's own token.
_PERSONS: Final = Rule(users=_USERS)
_MAKERS: Final = Rule(users=_TEACHERS)
_STAFF: Final = Rule(users=_TEACHERS, tickets=_HOSTS)
# What is live takes a ticket of participants: it is what a kick takes away.
_LIVE: Final = Rule(users=_TEACHERS, tickets=_TICKETS)
_PEOPLE: Final = Rule(users=_USERS, tickets=_TICKETS)

_RULES: Final = {
    "SessionService": {
        "CreateSession": _MAKERS,
        "GetSession": _PEOPLE,
        "GetSessionByCode": _PERSONS,
        "ListSessions": _PERSONS,
        "UpdateSession": _STAFF,
        "ScheduleSession": _STAFF,
        "OpenLobby": _STAFF,
        "StartSession": _STAFF,
        "PauseSession": _STAFF,
        "ResumeSession": _STAFF,
        "EndSession": _STAFF,
        "CancelSession": _STAFF,
        "DeleteSession": _STAFF,
        "ListStatusChanges": _STAFF,
        "JoinSession": _PERSONS,
        "LeaveSession": _PEOPLE,
        "KickParticipant": _STAFF,
        "BanParticipant": _STAFF,
        "ListParticipants": _PEOPLE,
        # Participants change their own name.
        "UpdateParticipant": _PEOPLE,
        "WatchSession": _LIVE,
        "ExportSession": _STAFF,
        "EraseUser": Rule(users=_ADMINS),
        "Probe": _ALL,
    },
    "BlockService": {
        "AddBlocks": _STAFF,
        "UpdateBlock": _STAFF,
        "DeleteBlock": _STAFF,
        "ReorderBlocks": _STAFF,
        "ListBlocks": _PEOPLE,
        "ActivateBlock": _STAFF,
        "CloseBlock": _STAFF,
        "SkipBlock": _STAFF,
        "ImportBlocks": _STAFF,
    },
    "ClassService": {
        "CreateClass": _MAKERS,
        # Its students may, and the services that show it.
        "GetClass": Rule(users=_USERS, services=True),
        "ListClasses": _PERSONS,
        "UpdateClass": _MAKERS,
        "ArchiveClass": _MAKERS,
        "RestoreClass": _MAKERS,
        "AddClassMembers": _MAKERS,
        "RemoveClassMembers": _MAKERS,
        "ListClassMembers": Rule(users=_TEACHERS, services=True),
        # Attendance is reckoned over the roster.
        "ListSessionRoster": Rule(users=_TEACHERS, tickets=_HOSTS, services=True),
    },
    "ChatService": {
        "SendMessage": Rule(tickets=_TICKETS),
        "DeleteMessage": _LIVE,
        "ListMessages": _LIVE,
        "MuteParticipant": _STAFF,
        "UnmuteParticipant": _STAFF,
        "ListMutes": _STAFF,
        "GetChatSettings": _LIVE,
        "UpdateChatSettings": _STAFF,
        "SendReaction": Rule(tickets=_TICKETS),
    },
    "InvitationService": {
        "InviteUsers": _STAFF,
        "RespondToInvitation": _PERSONS,
        "CancelInvitation": _STAFF,
        "ListInvitations": Rule(users=_USERS, tickets=_HOSTS),
    },
}

POLICY: Final[Policy] = {
    f"muster.session.v1.{service}/{method}": rule
    for service, rules in _RULES.items()
    for method, rule in rules.items()
}
