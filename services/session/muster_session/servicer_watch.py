"""The watch stream of a session."""

from muster.session.v1 import session_service_pb2 as pb
from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.call import Call
from muster_kit.streams import Renewal

from muster_session.access import is_staff
from muster_session.convert_snapshot import snapshot_message
from muster_session.parts import Parts
from muster_session.usecases_access import seen_session

_MOST_SEATS = 1000


class WatchCalls:
    """The streaming call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def WatchSession(self, request: pb.WatchSessionRequest, call: Call) -> None:
        """Stream snapshot, events and counts, and a new ticket before the old one runs out.

        Participants need a ticket: it is what a kick takes away.
        """
        parts, caller, session_id = self._parts, call.caller, request.session_id
        viewer = _Viewer(parts, caller, session_id, staff=await self._enters_as_staff(caller, session_id))
        opening = parts.hub.open(
            caller.organization_id,
            session_id,
            request.after,
            snapshot=viewer.snapshot,
            snapshot_key="staff" if viewer.staff else "other",
            max_frames=request.max_frames,
            replay_only=request.replay_only,
            renewal=self._renewal(caller, viewer),
            stamp=parts.watchers.stamp_for(caller, session_id),
        )
        async with opening as feed:
            if not request.replay_only and self._is_old(caller) and (ticket := await viewer.renewed()):
                feed.send_ticket(ticket)
            # Nobody reads it from here on, and it would be kept as long as the stream.
            del request
            with parts.watchers.watching(session_id, call, feed):
                await feed.serve(call.write)

    async def _enters_as_staff(self, caller: Caller, session_id: str) -> bool:
        session, _ = await seen_session(self._parts.arrivals, caller, session_id)
        staff = is_staff(caller, session)
        if not staff and not caller.is_ticket:
            raise MusterError(Reason.PERMISSION_DENIED, detail="needs a ticket")
        return staff

    def _renewal(self, caller: Caller, viewer: "_Viewer") -> Renewal | None:
        if caller.is_ticket:
            every = self._parts.tickets.renew_every
            return Renewal(every_seconds=every.total_seconds(), renew=viewer.renewed)
        return Renewal.never(caller.expire_time, self._parts.clock.now())

    def _is_old(self, caller: Caller) -> bool:
        now = self._parts.clock.now()
        return caller.is_ticket and self._parts.tickets.is_old(caller.expire_time, now)


class _Viewer:
    """Who watches a session, and what they need now and then; one object, where closures would be many."""

    __slots__ = ("_caller", "_parts", "_session_id", "staff")

    def __init__(self, parts: Parts, caller: Caller, session_id: str, *, staff: bool) -> None:
        self.staff = staff
        self._parts = parts
        self._caller = caller
        self._session_id = session_id

    async def snapshot(self) -> tuple[int, bytes]:
        rows = await self._parts.directory.snapshot(
            self._caller.organization_id, self._session_id, max_seats=_MOST_SEATS
        )
        return rows.seq, snapshot_message(rows, staff=self.staff).SerializeToString()

    async def renewed(self) -> bytes | None:
        """Return a new ticket; None when there is nothing any more for which to give one."""
        parts, caller, session_id = self._parts, self._caller, self._session_id
        if not caller.participant_id:
            hosted = await parts.directory.find(caller.organization_id, session_id)
            if hosted is None or not is_staff(caller, hosted):
                return None
            return parts.tickets.for_host(session_id, caller).SerializeToString()
        found = await parts.arrivals.find_with_seat(
            caller.organization_id, session_id, participant_id=caller.participant_id
        )
        seat = found[1] if found else None
        if seat is None or not seat.is_present or caller.generation < seat.generation:
            return None
        return parts.tickets.for_seat(seat, caller).SerializeToString()
