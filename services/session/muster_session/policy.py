"""Who may call which method; whether they may do it to the session they name, the use cases say."""

from typing import Final

from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.policy import Policy, Rule

_USERS: Final = frozenset(OrganizationRole)
_ADMINS: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
_TEACHERS: Final = _ADMINS | {OrganizationRole.EDITOR}
_TICKETS: Final = frozenset(RoomRole)
_HOSTS: Final = frozenset({RoomRole.HOST, RoomRole.COHOST})
_SEATS: Final = _TICKETS - {RoomRole.HOST}

_ANYBODY: Final = Rule(public=True)
# A ticket is for one session; what is not about a session that is there takes the user's own token.
_PERSONS: Final = Rule(users=_USERS)
_MAKERS: Final = Rule(users=_TEACHERS)
_STAFF: Final = Rule(users=_TEACHERS, tickets=_HOSTS)
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
        "DeleteSession": Rule(users=_TEACHERS, tickets=frozenset({RoomRole.HOST})),
        "ListStatusChanges": _STAFF,
        "JoinSession": _PERSONS,
        "LeaveSession": Rule(users=_USERS, tickets=_SEATS),
        "KickParticipant": _STAFF,
        "BanParticipant": _STAFF,
        "ListParticipants": _PEOPLE,
        # Participants change their own name.
        "UpdateParticipant": _PEOPLE,
        # Participants need a ticket: it is what a kick takes away.
        "WatchSession": Rule(users=_TEACHERS, tickets=_TICKETS),
        "ExportSession": _STAFF,
        "EraseUser": Rule(users=_ADMINS, services=True),
        "Probe": _ANYBODY,
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
        # Its students may.
        "GetClass": _PERSONS,
        "ListClasses": _PERSONS,
        "UpdateClass": _MAKERS,
        "ArchiveClass": _MAKERS,
        "RestoreClass": _MAKERS,
        "AddClassMembers": _MAKERS,
        "RemoveClassMembers": _MAKERS,
        "ListClassMembers": _MAKERS,
        # Attendance is reckoned over the roster.
        "ListSessionRoster": Rule(users=_TEACHERS, tickets=_HOSTS, services=True),
    },
    "ChatService": {
        "SendMessage": _PEOPLE,
        "DeleteMessage": _PEOPLE,
        "ListMessages": _PEOPLE,
        "MuteParticipant": _STAFF,
        "UnmuteParticipant": _STAFF,
        "ListMutes": _STAFF,
        "GetChatSettings": _PEOPLE,
        "UpdateChatSettings": _STAFF,
        "SendReaction": _PEOPLE,
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
