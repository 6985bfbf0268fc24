"""The watch stream of a session."""

from datetime import timedelta

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
_LONGEST_STREAM = timedelta(days=30)


class WatchCalls:
    """The streaming call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def WatchSession(self, request: pb.WatchSessionRequest, call: Call) -> None:
        """Stream snapshot, events and counts, and a new ticket before the old one runs out.

        Participants need a ticket: it is what a kick takes away.
        """
        parts, caller = self._parts, call.caller
        session, _ = await seen_session(parts.arrivals, caller, request.session_id)
        staff = is_staff(caller, session)
        if not staff and not caller.is_ticket:
            raise MusterError(Reason.PERMISSION_DENIED, detail="needs a ticket")

        async def take_snapshot() -> tuple[int, bytes]:
            rows = await parts.directory.snapshot(
                caller.organization_id, request.session_id, max_seats=_MOST_SEATS
            )
            return rows.seq, snapshot_message(rows, staff=staff).SerializeToString()

        async with parts.hub.open(
            caller.organization_id,
            request.session_id,
            request.after,
            snapshot=take_snapshot,
            snapshot_key="staff" if staff else "other",
            max_frames=request.max_frames,
            replay_only=request.replay_only,
            renewal=self._renewal(caller, request.session_id),
            stamp=parts.watchers.stamp_for(caller, request.session_id),
        ) as feed:
            if not request.replay_only and self._is_old(caller):
                ticket = await self._renewed(caller, request.session_id)
                if ticket is not None:
                    feed.send_ticket(ticket)
            with parts.watchers.watching(request.session_id, call, feed):
                await feed.serve(call.write)

    def _renewal(self, caller: Caller, session_id: str) -> Renewal | None:
        if caller.is_ticket:
            every = self._parts.tickets.renew_every
            return Renewal(
                every_seconds=every.total_seconds(), renew=lambda: self._renewed(caller, session_id)
            )
        left = caller.expire_time - self._parts.clock.now()
        if left > _LONGEST_STREAM:
            return None
        # Who issued a user's token renews it: the stream ends with it, and the client comes back.
        return Renewal(every_seconds=left.total_seconds(), renew=_nothing)

    def _is_old(self, caller: Caller) -> bool:
        now = self._parts.clock.now()
        return caller.is_ticket and self._parts.tickets.is_old(caller.expire_time, now)

    async def _renewed(self, caller: Caller, session_id: str) -> bytes | None:
        """Return a new ticket; None when there is nothing any more for which to give one."""
        parts = self._parts
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


async def _nothing() -> bytes | None:
    return None
