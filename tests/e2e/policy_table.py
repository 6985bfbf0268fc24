"""Who may do what, thought through from requirements and contracts alone; the services have their own.

A row is a string of actors, and the methods they may call. Small letters are users by their role in
their organization: `o`wner, `a`dmin, `e`ditor, `m`ember; the editor is the one who made the session,
the member sits in it. Capitals are tickets by their role in the room: `H`ost, `C`ohost,
`P`articipant, `S`pectator. `V` is the token of an internal service.

What led to the rows:

- Owners, admins and editors make and run sessions, members join them (L13). Cohosts run a session with
  its host.
- What is live takes a ticket, as a ticket can be withdrawn: answering, chatting, watching. Those who run
  the session may also look on with their own token.
- A ticket speaks for one room. What belongs to a person (their sessions, friends, workouts, invitations)
  and what leads into a room takes the person's own token.
- Services may do what a contract says is for services, or has a field for. They read what one service of
  the house needs of another (who is present, who is expected), and all results of scoring (C7).
- Without a token there is nothing at all but health and reflection, which are not in here.
- Spectators do all that participants do but answer, and have no answers to list.
- The seats of a workout are those of its host and its participants. The host's part passes on while
  tickets are out, so at the door both are alike.
"""

from collections.abc import Mapping
from typing import Final

ACTORS: Final = "oaemHCPSV"

_TABLE: Final[Mapping[str, Mapping[str, str]]] = {
    "session.v1.SessionService": {
        "oae": "CreateSession",
        "oae HC": "UpdateSession ScheduleSession OpenLobby StartSession PauseSession ResumeSession EndSession"
        " CancelSession DeleteSession ListStatusChanges KickParticipant BanParticipant ExportSession",
        "oaem": "GetSessionByCode ListSessions JoinSession",
        "oaem HCPS": "GetSession ListParticipants LeaveSession UpdateParticipant",
        "oae HCPS": "WatchSession",
        "oa": "EraseUser",
        "oaem HCPS V": "Probe",
    },
    "session.v1.BlockService": {
        "oae HC": "AddBlocks UpdateBlock DeleteBlock ReorderBlocks ActivateBlock CloseBlock SkipBlock"
        " ImportBlocks",
        "oaem HCPS": "ListBlocks",
    },
    "session.v1.ClassService": {
        "oae": "CreateClass UpdateClass ArchiveClass RestoreClass AddClassMembers RemoveClassMembers",
        "oae V": "ListClassMembers",
        "oaem": "ListClasses",
        "oaem V": "GetClass",
        "oae HC V": "ListSessionRoster",
    },
    "session.v1.ChatService": {
        "HCPS": "SendMessage SendReaction",
        "oae HCPS": "DeleteMessage ListMessages GetChatSettings",
        "oae HC": "MuteParticipant UnmuteParticipant ListMutes UpdateChatSettings",
    },
    "session.v1.InvitationService": {
        "oae HC": "InviteUsers CancelInvitation",
        "oaem": "RespondToInvitation",
        "oaem HC": "ListInvitations",
    },
    "scoring.v1.RoundService": {
        "V": "OpenRound PauseRounds ResumeRounds CloseRound CancelRound UpdateSeat DeleteSession",
        "P": "AcknowledgeDelivery SubmitResponse SaveDraft",
        "P V": "StreamResponses",
        "oae HCPS V": "GetRoundStats WatchRounds",
        "oae HCP V": "ListResponses",
        "oae HC V": "GetAnalytics",
        "oaem HCPS V": "Probe",
    },
    "scoring.v1.BoardService": {
        "V": "CreateBoard DeleteBoard ResetBoard SubmitScore BatchSubmitScores StreamSubmitScores"
        " RemoveEntry",
        "oae HCPS V": "GetBoard ListEntries ListEntriesAround GetEntry WatchBoard",
    },
    "scoring.v1.AttemptService": {
        "oae V": "DefineTest GetTest",
        "oaem P V": "StartAttempt",
        "oaem P": "SaveAnswer SubmitAttempt AddHighlight UpdateHighlight RemoveHighlight",
        "oae HC": "GradeAttempt WatchAttempts",
        "oaem HCP V": "GetAttempt ListAttempts",
    },
    "presence.v1.PresenceService": {
        "oaem HCPS": "Connect Heartbeat SetActivity Leave",
        "oaem HCPS V": "GetPresence ListActive CountActive WatchScope Probe",
        "V": "HeartbeatBatch Notify ReportScope ReportActivity",
        "oaem HC": "ListHistory",
        "oa": "EraseUser",
    },
    "presence.v1.FriendService": {
        "oaem": "RequestFriend RespondToFriendRequest RemoveFriend BlockUser UnblockUser WatchFriends"
        " SendQuickReaction",
        "oaem V": "ListFriends",
    },
    "presence.v1.AttendanceService": {
        "oaem HC": "ListAttendance",
        "oae HC": "MarkAttendance ListAttendanceChanges GetAttendanceRule SetAttendanceRule"
        " GetAttendanceAnalytics WatchAttendance ExportAttendance ConfigureChannel",
        "oaem HCPS": "ListChannels",
    },
    "workout.v1.WorkoutService": {
        "oaem": "CreateWorkout ListWorkouts DiscoverWorkouts JoinWorkout",
        "oaem HP": "GetWorkout UpdateWorkout LeaveWorkout KickParticipant ListParticipants StartWorkout"
        " PauseWorkout ResumeWorkout EndWorkout CancelWorkout LogSet EditSet DeleteSet ListSets GetSummary"
        " ListRecords ListEvents",
        "HP": "SetExercise SetReady StartCountdown StartRest EndRest TransferLead SyncClock WatchWorkout",
        "oa": "EraseUser",
        "oaem HCPS V": "Probe",
    },
    "workout.v1.ChatService": {
        "HP": "SendMessage SendReaction MuteParticipant UnmuteParticipant ListMutes GetChatSettings"
        " UpdateChatSettings",
        "oaem HP": "DeleteMessage ListMessages",
    },
    "workout.v1.InvitationService": {
        "oaem HP": "InviteUsers CancelInvitation ListInvitations",
        "oaem": "RespondToInvitation",
    },
}


def _rows() -> dict[str, str]:
    rows: dict[str, str] = {}
    for service, lines in _TABLE.items():
        for actors, names in lines.items():
            for name in names.split():
                key = f"muster.{service}/{name}"
                assert key not in rows, f"{key} has two rows"
                rows[key] = actors.replace(" ", "")
    return rows


ROWS: Final[Mapping[str, str]] = _rows()
"""The letters of those who may, by the full name of the method."""
