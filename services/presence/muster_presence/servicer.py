"""The calls of presence, from contract to use case and back."""

from muster.presence.v1 import presence_pb2
from muster.presence.v1 import presence_service_pb2 as pb
from muster_kit.clock import Clock
from muster_kit.errors import Reason
from muster_kit.paging import LARGEST_BIGINT, Pages
from muster_kit.rpc.call import Call
from muster_kit.rpc.probe import echo
from muster_kit.timestamps import time_of

from muster_presence import convert, convert_history, convert_inbox
from muster_presence.convert_attendance import attended_of
from muster_presence.model import ScopeKind
from muster_presence.settings import PresenceServiceSettings
from muster_presence.store_intervals import History
from muster_presence.usecases_access import Place
from muster_presence.usecases_attendance_reports import ScopeReports, reported_scope
from muster_presence.usecases_beats import Beats, Said
from muster_presence.usecases_connect import Connections
from muster_presence.usecases_erasure import Erasures
from muster_presence.usecases_friend_sights import ShowFriends
from muster_presence.usecases_history import list_history
from muster_presence.usecases_inbox import LEASE, LEASE_VIEW, InboxStreams, InboxViewer, Notifications
from muster_presence.usecases_reads import Reads, Wanted
from muster_presence.usecases_watch import Extent, ScopeWatches


class PresenceServicer:
    """Serves `muster.presence.v1.PresenceService`."""

    def __init__(
        self,
        *,
        beats: Beats,
        reads: Reads,
        watches: ScopeWatches,
        history: History,
        erasures: Erasures,
        reports: ScopeReports,
        connections: Connections,
        inboxes: InboxStreams,
        notifications: Notifications,
        friends: ShowFriends,
        settings: PresenceServiceSettings,
        clock: Clock,
    ) -> None:
        self._beats = beats
        self._reads = reads
        self._watches = watches
        self._history = history
        self._erasures = erasures
        self._reports = reports
        self._connections = connections
        self._inboxes = inboxes
        self._notifications = notifications
        self._friends = friends
        self._settings = settings
        self._clock = clock

    async def Connect(self, request: pb.ConnectRequest, call: Call) -> None:
        """Be here for as long as the stream is open."""
        said = Said(
            device_id=request.device_id,
            is_away=request.away,
            sequence=request.device_sequence,
            activity=convert.activity_in(request),
        )
        places = convert.entries(request.scopes)
        async with self._connections.hold(call.caller, said, places) as connection:
            lease = convert.lease(self._settings, connection.lines, self._clock.now(), has_stream=True)
            opening = self._inboxes.open(
                call.caller,
                InboxViewer(convert_inbox.lease_view(lease), request.include_friends),
                after=request.after,
                max_frames=request.max_frames,
                replay_only=request.replay_only,
            )
            includes_friends = request.include_friends
            takes_what_is_there = request.replay_only or request.max_frames > 0
            # Nobody reads them from here on, and they would be kept as long as the stream.
            del request, said, places, lease
            async with opening as feed:
                feed.room.offer(LEASE, LEASE_VIEW)
                if includes_friends:
                    caller = call.caller
                    showing = self._friends(
                        caller.organization_id, caller.subject, feed.room, waits=takes_what_is_there
                    )
                    async with showing:
                        await feed.serve(call.write)
                else:
                    await feed.serve(call.write)

    async def Heartbeat(self, request: pb.HeartbeatRequest, call: Call) -> pb.HeartbeatResponse:
        """Be here until the next beat is overdue."""
        said = Said(
            device_id=request.device_id,
            is_away=request.away,
            sequence=request.device_sequence,
            activity=convert.activity_in(request),
            keeps_activity=not request.HasField("activity"),
        )
        lines = await self._beats.beat(call.caller, said, convert.entries(request.scopes))
        now = self._clock.now()
        return pb.HeartbeatResponse(lease=convert.lease(self._settings, lines, now), server_time=now)

    async def HeartbeatBatch(
        self, request: pb.HeartbeatBatchRequest, call: Call
    ) -> pb.HeartbeatBatchResponse:
        """Take beats for many people at once."""
        beats = [convert.user_beat(beat) for beat in request.beats]
        refused = await self._beats.batch(
            call.caller, request.organization_id, beats, sequence=request.device_sequence
        )
        return pb.HeartbeatBatchResponse(
            accepted_count=len(beats) - len(refused),
            refused=[_refused(index, reason) for index, reason in refused.items()],
            next_beat_delay=self._settings.beat_interval,
        )

    async def ReportActivity(
        self, request: pb.ReportActivityRequest, call: Call
    ) -> pb.ReportActivityResponse:
        """Hear who called other services."""
        await self._beats.called(call.caller, request.organization_id, request.user_ids)
        return pb.ReportActivityResponse()

    async def SetActivity(self, request: pb.SetActivityRequest, call: Call) -> pb.SetActivityResponse:
        """Say what the caller is doing."""
        said = Said(
            device_id=request.device_id,
            is_away=request.away,
            sequence=request.device_sequence,
            activity=convert.activity_in(request),
        )
        packed = await self._beats.set_activity(call.caller, said, convert.place(request.scope))
        return pb.SetActivityResponse(presence=presence_pb2.Presence.FromString(packed))

    async def Leave(self, request: pb.LeaveRequest, call: Call) -> pb.LeaveResponse:
        """Say goodbye."""
        said = Said(device_id=request.device_id, sequence=request.device_sequence)
        await self._beats.leave(call.caller, said, convert.places(request.scopes))
        return pb.LeaveResponse()

    async def GetPresence(self, request: pb.GetPresenceRequest, call: Call) -> pb.GetPresenceResponse:
        """Read the presence of people."""
        place = Place(ScopeKind.ORGANIZATION)
        if request.HasField("scope"):
            place = convert.place(request.scope)
        sight, found = await self._reads.presences(call.caller, place, request.user_ids)
        return pb.GetPresenceResponse(
            presences=[
                convert.presence(packed, user_id, sight.scope)
                for user_id, packed in zip(request.user_ids, found, strict=True)
            ]
        )

    async def ListActive(self, request: pb.ListActiveRequest, call: Call) -> pb.ListActiveResponse:
        """List who is in a scope, in order of coming."""
        place, wanted = convert.place(request.scope), _wanted(request)
        pages = Pages("active", call.caller.organization_id, place, wanted, page_size=request.page_size)
        after = pages.number(request.page_token, largest=LARGEST_BIGINT)
        people = await self._reads.active(call.caller, place, wanted, after=after, limit=pages.limit)
        shown, last = pages.cut(people)
        return pb.ListActiveResponse(
            people=[presence_pb2.Presence.FromString(packed) for _, packed in shown],
            next_page_token=pages.token(last[0]) if last else "",
        )

    async def CountActive(self, request: pb.CountActiveRequest, call: Call) -> pb.CountActiveResponse:
        """Count who is in a scope."""
        counted = await self._reads.counts(call.caller, convert.place(request.scope), _wanted(request))
        return pb.CountActiveResponse(counts=convert.counts(counted))

    async def WatchScope(self, request: pb.WatchScopeRequest, call: Call) -> None:
        """Stream who comes, changes and goes, and the counts."""
        extent = Extent(
            after=request.after,
            max_frames=request.max_frames,
            replay_only=request.replay_only,
            counts_only=request.counts_only,
        )
        await self._watches.watch(
            call.caller,
            convert.place(request.scope),
            include_staff=request.include_staff,
            extent=extent,
            write=call.write,
        )

    async def Notify(self, request: pb.NotifyRequest, call: Call) -> bytes:
        """Put a notice into people's inboxes."""
        return await self._notifications.notify(
            call.caller,
            request.organization_id,
            request.user_ids,
            convert_inbox.notice(request),
            request=request,
            encode=lambda count: pb.NotifyResponse(inbox_count=count),
        )

    async def ListHistory(self, request: pb.ListHistoryRequest, call: Call) -> pb.ListHistoryResponse:
        """List when people were where, last come first."""
        query = convert_history.query(request)
        pages = Pages("history", call.caller.organization_id, query, page_size=request.page_size)
        after = pages.after(request.page_token, convert_history.place)
        stays = await list_history(self._history, call.caller, query, after=after, limit=pages.limit)
        shown, last = pages.cut(stays)
        token = pages.token(last[0].enter_time, last[0].interval_id) if last else ""
        return convert_history.response([stay for _, stay in shown], token)

    async def EraseUser(self, request: pb.EraseUserRequest, call: Call) -> bytes:
        """Erase a person."""
        return await self._erasures.erase(
            call.caller,
            request.user_id,
            request=request,
            encode=lambda count: pb.EraseUserResponse(record_count=count),
        )

    async def ReportScope(self, request: pb.ReportScopeRequest, call: Call) -> bytes:
        """Take in where a session or workout stands."""
        scope = reported_scope(call.caller, request.organization_id, convert.place(request.scope))
        return await self._reports.report(
            call.caller,
            attended_of(request, scope),
            change_time=time_of(request.change_time, "change_time"),
            request=request,
            response=pb.ReportScopeResponse(),
        )

    async def Probe(self, request: pb.ProbeRequest, call: Call) -> pb.ProbeResponse:
        """Echo the client's clock and payload beside our own clock."""
        return echo(request, pb.ProbeResponse, call, self._clock)


def _wanted(request: pb.ListActiveRequest | pb.CountActiveRequest) -> Wanted:
    return Wanted(request.include_staff, request.activity_kind, request.activity_target_id)


def _refused(index: int, reason: Reason) -> pb.RefusedBeat:
    return pb.RefusedBeat(index=index, reason=reason)
