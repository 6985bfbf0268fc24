"""Who may call which method of scoring; with what, the use cases say."""

from typing import Final

from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.rpc.policy import Policy, Rule

_USERS: Final = frozenset(OrganizationRole)
# Members run no sessions; of the others, those may look who host the session or administer.
_HOSTS: Final = _USERS - {OrganizationRole.MEMBER}
_TICKETS: Final = frozenset(RoomRole)
_STAFF_TICKETS: Final = frozenset({RoomRole.HOST, RoomRole.COHOST})
_PARTICIPANT_TICKETS: Final = frozenset({RoomRole.PARTICIPANT})

_ALL: Final = Rule(users=_USERS, tickets=_TICKETS, services=True)
_SERVICES: Final = Rule(services=True)
_PARTICIPANTS: Final = Rule(tickets=_PARTICIPANT_TICKETS)
_ROOM: Final = Rule(users=_HOSTS, tickets=_TICKETS, services=True)
_STAFF: Final = Rule(users=_HOSTS, tickets=_STAFF_TICKETS, services=True)
_ANSWERS: Final = Rule(users=_HOSTS, tickets=_STAFF_TICKETS | _PARTICIPANT_TICKETS, services=True)

_EDITORS: Final = Rule(users=_HOSTS, services=True)
_GRADERS: Final = Rule(users=_HOSTS, tickets=_STAFF_TICKETS)
_STUDENTS: Final = Rule(users=_USERS, tickets=_PARTICIPANT_TICKETS)
_STUDENTS_AND_GRADERS: Final = Rule(
    users=_USERS, tickets=_STAFF_TICKETS | _PARTICIPANT_TICKETS, services=True
)

_RULES: Final = {
    "RoundService": {
        "OpenRound": _SERVICES,
        "PauseRounds": _SERVICES,
        "ResumeRounds": _SERVICES,
        "CloseRound": _SERVICES,
        "CancelRound": _SERVICES,
        "UpdateSeat": _SERVICES,
        "DeleteSession": _SERVICES,
        "AcknowledgeDelivery": _PARTICIPANTS,
        "SubmitResponse": _PARTICIPANTS,
        "StreamResponses": Rule(tickets=_PARTICIPANT_TICKETS, services=True),
        "SaveDraft": _PARTICIPANTS,
        "ListResponses": _ANSWERS,
        "GetRoundStats": _ROOM,
        "WatchRounds": _ROOM,
        "GetAnalytics": _STAFF,
        "Probe": _ALL,
    },
    "BoardService": {
        "CreateBoard": _SERVICES,
        "GetBoard": _ROOM,
        "DeleteBoard": _SERVICES,
        "ResetBoard": _SERVICES,
        "SubmitScore": _SERVICES,
        "BatchSubmitScores": _SERVICES,
        "StreamSubmitScores": _SERVICES,
        "ListEntries": _ROOM,
        "ListEntriesAround": _ROOM,
        "GetEntry": _ROOM,
        "RemoveEntry": _SERVICES,
        "WatchBoard": _ROOM,
    },
    "AttemptService": {
        "DefineTest": _EDITORS,
        "GetTest": _EDITORS,
        # Services start attempts for their students.
        "StartAttempt": Rule(users=_USERS, tickets=_PARTICIPANT_TICKETS, services=True),
        "SaveAnswer": _STUDENTS,
        "SubmitAttempt": _STUDENTS,
        "GradeAttempt": _GRADERS,
        "GetAttempt": _STUDENTS_AND_GRADERS,
        "ListAttempts": _STUDENTS_AND_GRADERS,
        "AddHighlight": _STUDENTS,
        "UpdateHighlight": _STUDENTS,
        "RemoveHighlight": _STUDENTS,
        "WatchAttempts": _GRADERS,
    },
}

POLICY: Final[Policy] = {
    f"muster.scoring.v1.{service}/{method}": rule
    for service, rules in _RULES.items()
    for method, rule in rules.items()
}
