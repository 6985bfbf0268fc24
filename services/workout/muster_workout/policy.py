"""Who may call which method of workouts; who of a room may do what is for the use cases to say."""

from typing import Final

from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.policy import Policy, Rule

_USERS: Final = frozenset(OrganizationRole)
_ADMINS: Final = frozenset({OrganizationRole.OWNER, OrganizationRole.ADMIN})
# Everyone in a workout holds a seat. Host and lead pass on while tickets are out, so a ticket's role does
# not tell who is host now: host and participant are alike here, and the use cases look at the room.
_SEATS: Final = frozenset({RoomRole.HOST, RoomRole.PARTICIPANT})

_PERSONS: Final = Rule(users=_USERS)
# What can also be done from outside: before the first ticket, after the last, or when one ran out.
_PERSONS_AND_SEATS: Final = Rule(users=_USERS, tickets=_SEATS)
# What is live. A revoked ticket ends it at once; a user's token could not be revoked for one room.
_LIVE: Final = Rule(tickets=_SEATS)

_RULES: Final = {
    "WorkoutService": {
        "CreateWorkout": _PERSONS,
        "GetWorkout": _PERSONS_AND_SEATS,
        "ListWorkouts": _PERSONS,
        "DiscoverWorkouts": _PERSONS,
        "UpdateWorkout": _PERSONS_AND_SEATS,
        "JoinWorkout": _PERSONS,
        "LeaveWorkout": _PERSONS_AND_SEATS,
        "KickParticipant": _PERSONS_AND_SEATS,
        "ListParticipants": _PERSONS_AND_SEATS,
        "StartWorkout": _PERSONS_AND_SEATS,
        "PauseWorkout": _PERSONS_AND_SEATS,
        "ResumeWorkout": _PERSONS_AND_SEATS,
        "EndWorkout": _PERSONS_AND_SEATS,
        "CancelWorkout": _PERSONS_AND_SEATS,
        "SetExercise": _LIVE,
        "SetReady": _LIVE,
        "StartCountdown": _LIVE,
        "StartRest": _LIVE,
        "EndRest": _LIVE,
        "TransferLead": _LIVE,
        "SyncClock": _LIVE,
        # A set that was done while the network was away is logged when it is back, ticket or not.
        "LogSet": _PERSONS_AND_SEATS,
        "EditSet": _PERSONS_AND_SEATS,
        "DeleteSet": _PERSONS_AND_SEATS,
        "ListSets": _PERSONS_AND_SEATS,
        "GetSummary": _PERSONS_AND_SEATS,
        "ListRecords": _PERSONS_AND_SEATS,
        "ListEvents": _PERSONS_AND_SEATS,
        "WatchWorkout": _LIVE,
        "EraseUser": Rule(users=_ADMINS),
        "Probe": Rule(users=_USERS, tickets=frozenset(RoomRole), services=True),
    },
    "ChatService": {
        "SendMessage": _LIVE,
        "DeleteMessage": _PERSONS_AND_SEATS,
        "ListMessages": _PERSONS_AND_SEATS,
        "MuteParticipant": _LIVE,
        "UnmuteParticipant": _LIVE,
        "ListMutes": _LIVE,
        "GetChatSettings": _LIVE,
        "UpdateChatSettings": _LIVE,
        "SendReaction": _LIVE,
    },
    "InvitationService": {
        "InviteUsers": _PERSONS_AND_SEATS,
        # Who is invited holds no ticket yet.
        "RespondToInvitation": _PERSONS,
        "CancelInvitation": _PERSONS_AND_SEATS,
        "ListInvitations": _PERSONS_AND_SEATS,
    },
}

POLICY: Final[Policy] = {
    f"muster.workout.v1.{service}/{method}": rule
    for service, rules in _RULES.items()
    for method, rule in rules.items()
}
