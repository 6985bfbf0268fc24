"""Sessions over gRPC: make, read, list, change, remove, and move their status."""

from dataclasses import replace
from functools import partial

from muster.session.v1 import session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.ids import new_id
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call
from muster_kit.rpc.probe import echo
from muster_kit.timestamps import time_of

from muster_session.access import is_inside, require_staff, sees_all
from muster_session.convert import (
    change_message,
    preview_message,
    session_message,
    settings_of,
    statuses_of,
    without_key,
)
from muster_session.model import Session
from muster_session.model_blocks import TransitionKind
from muster_session.parts import Parts
from muster_session.store import Room
from muster_session.store_directory import SessionFilter
from muster_session.usecases_access import seen_session
from muster_session.usecases_rounds import begin_move
from muster_session.usecases_sessions import create_session, delete_session, update_session
from muster_session.usecases_status import cancel_session, open_lobby, schedule_session, start_session

_Move = pb.PauseSessionRequest | pb.ResumeSessionRequest | pb.EndSessionRequest


class SessionCalls:
    """The calls about sessions themselves."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def CreateSession(self, request: pb.CreateSessionRequest, call: Call) -> bytes:
        """Make a session; the caller hosts it."""
        parts, caller = self._parts, call.caller
        key_hash = await parts.keys.hash(request.key) if request.key else ""

        async def use_case(room: Room) -> Session:
            return await create_session(
                room,
                caller,
                settings_of(request.settings),
                key_hash=key_hash,
                most_participants=parts.settings.max_participants,
            )

        return await parts.commands.create(
            caller,
            request.session_id or new_id(),
            use_case,
            request=without_key(request),
            encode=lambda session: pb.CreateSessionResponse(session=session_message(session)),
        )

    async def GetSession(self, request: pb.GetSessionRequest, call: Call) -> pb.GetSessionResponse:
        """Read a session."""
        session, seat = await seen_session(self._parts.directory, call.caller, request.session_id)
        with_code = is_inside(call.caller, session, seat)
        return pb.GetSessionResponse(session=session_message(session, with_code=with_code))

    async def GetSessionByCode(
        self, request: pb.GetSessionByCodeRequest, call: Call
    ) -> pb.GetSessionByCodeResponse:
        """Look a live session up."""
        desk = self._parts.code_desk
        session = await desk.preview(call.caller, call.peer_address, request.join_code)
        return pb.GetSessionByCodeResponse(session=preview_message(session))

    async def ListSessions(self, request: pb.ListSessionsRequest, call: Call) -> pb.ListSessionsResponse:
        """List sessions: those that the caller may see."""
        caller = call.caller
        wanted = SessionFilter(
            statuses=statuses_of(request.statuses),
            host_user_id=request.host_user_id,
            class_id=request.class_id,
            course_id=request.course_id,
            visible_to="" if sees_all(caller) else caller.subject,
        )
        # In an order of its own: that of a set is another in each process.
        scope = replace(wanted, statuses=frozenset()), sorted(wanted.statuses)
        pages = Pages("sessions", caller.organization_id, *scope, page_size=request.page_size)
        after = pages.time_and_id(request.page_token)
        rows = await self._parts.directory.list_sessions(
            caller.organization_id, wanted, after=after, limit=pages.limit
        )
        shown, last = pages.cut(rows)
        return pb.ListSessionsResponse(
            sessions=[session_message(row, with_code=is_inside(caller, row, None)) for row in shown],
            next_page_token=pages.token(last.create_time, last.session_id) if last else "",
        )

    async def UpdateSession(self, request: pb.UpdateSessionRequest, call: Call) -> bytes:
        """Replace the settings."""
        parts, caller = self._parts, call.caller
        key_hash = await parts.keys.hash(request.key) if request.key else ""

        async def use_case(room: Room) -> Session:
            return await update_session(
                room,
                caller,
                settings_of(request.settings),
                key_hash=key_hash,
                expected_revision=request.expected_revision,
                most_participants=parts.settings.max_participants,
            )

        return await parts.commands.run(
            caller,
            request.session_id,
            use_case,
            request=without_key(request),
            encode=lambda session: pb.UpdateSessionResponse(session=session_message(session)),
        )

    async def DeleteSession(self, request: pb.DeleteSessionRequest, call: Call) -> bytes:
        """Remove a session that is not live."""
        return await self._parts.commands.run(
            call.caller,
            request.session_id,
            partial(delete_session, caller=call.caller, expected_revision=request.expected_revision),
            request=request,
            encode=lambda _: pb.DeleteSessionResponse(),
        )

    async def ScheduleSession(self, request: pb.ScheduleSessionRequest, call: Call) -> bytes:
        """Set when the lobby opens."""
        return await self._parts.commands.run(
            call.caller,
            request.session_id,
            partial(
                schedule_session,
                caller=call.caller,
                scheduled_time=time_of(request.scheduled_time, "scheduled_time"),
                expected_revision=request.expected_revision,
                reason=request.reason,
            ),
            request=request,
            encode=lambda session: pb.ScheduleSessionResponse(session=session_message(session)),
        )

    async def OpenLobby(self, request: pb.OpenLobbyRequest, call: Call) -> bytes:
        """Open the lobby and make the join code."""
        return await self._parts.commands.run(
            call.caller,
            request.session_id,
            partial(
                open_lobby,
                caller=call.caller,
                code_length=await self._parts.code_length(),
                expected_revision=request.expected_revision,
                reason=request.reason,
            ),
            request=request,
            encode=lambda session: pb.OpenLobbyResponse(session=session_message(session)),
        )

    async def StartSession(self, request: pb.StartSessionRequest, call: Call) -> bytes:
        """Start."""
        return await self._parts.commands.run(
            call.caller,
            request.session_id,
            partial(
                start_session,
                caller=call.caller,
                expected_revision=request.expected_revision,
                reason=request.reason,
            ),
            request=request,
            encode=lambda session: pb.StartSessionResponse(session=session_message(session)),
        )

    async def CancelSession(self, request: pb.CancelSessionRequest, call: Call) -> bytes:
        """Call off."""
        return await self._parts.commands.run(
            call.caller,
            request.session_id,
            partial(
                cancel_session,
                caller=call.caller,
                expected_revision=request.expected_revision,
                reason=request.reason,
            ),
            request=request,
            encode=lambda session: pb.CancelSessionResponse(session=session_message(session)),
        )

    async def PauseSession(self, request: pb.PauseSessionRequest, call: Call) -> pb.PauseSessionResponse:
        """Stop all clocks."""
        return pb.PauseSessionResponse(session=await self._move(TransitionKind.PAUSE, request, call))

    async def ResumeSession(self, request: pb.ResumeSessionRequest, call: Call) -> pb.ResumeSessionResponse:
        """Let all clocks go on."""
        return pb.ResumeSessionResponse(session=await self._move(TransitionKind.RESUME, request, call))

    async def EndSession(self, request: pb.EndSessionRequest, call: Call) -> pb.EndSessionResponse:
        """End; active blocks are closed first."""
        return pb.EndSessionResponse(session=await self._move(TransitionKind.END, request, call))

    async def ListStatusChanges(
        self, request: pb.ListStatusChangesRequest, call: Call
    ) -> pb.ListStatusChangesResponse:
        """List the moves of the status."""
        directory, caller = self._parts.directory, call.caller
        session, _ = await seen_session(directory, caller, request.session_id)
        require_staff(caller, session)
        pages = Pages("changes", request.session_id, page_size=request.page_size)
        rows = await directory.list_changes(
            caller.organization_id,
            request.session_id,
            after=pages.number(request.page_token),
            limit=pages.limit,
        )
        shown, last = pages.cut(rows)
        return pb.ListStatusChangesResponse(
            changes=[change_message(change) for _, change in shown],
            next_page_token=pages.token(last[0]) if last else "",
        )

    async def Probe(self, request: pb.ProbeRequest, call: Call) -> pb.ProbeResponse:
        """Echo the client's clock and payload beside our own clock."""
        return echo(request, pb.ProbeResponse, call, self._parts.clock)

    async def _move(self, kind: TransitionKind, request: _Move, call: Call) -> session_pb2.Session:
        outcome = await self._parts.transitions.run(
            call.caller,
            request.session_id,
            partial(
                begin_move,
                caller=call.caller,
                kind=kind,
                expected_revision=request.expected_revision,
                reason=request.reason,
            ),
            request=request,
        )
        return session_pb2.Session.FromString(outcome)
