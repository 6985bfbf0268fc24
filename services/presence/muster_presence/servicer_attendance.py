"""Serves `muster.presence.v1.AttendanceService`: records, marks, rules, analytics, files and channels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from muster.presence.v1 import attendance_service_pb2 as pb
from muster_kit.db import Commands
from muster_kit.paging import LARGEST_BIGINT, Pages
from muster_kit.rpc.call import Call

from muster_presence import convert_attendance as convert
from muster_presence.attendance_pages import class_key, class_place
from muster_presence.attendance_rooms import room_of
from muster_presence.convert_channels import channel_of
from muster_presence.export_attendance import as_csv, as_json
from muster_presence.model_channels import Channel, OnChannel
from muster_presence.model_sheet import Change, Record, SessionRule
from muster_presence.store_attendance import AttendanceDirectory, AttendanceRoom, Devices, RecordFilter
from muster_presence.usecases_attendance import mark_attendance, set_rule
from muster_presence.usecases_attendance_access import (
    attended_session,
    require_teacher,
    session_of,
    taught_session,
)
from muster_presence.usecases_attendance_reads import (
    Observations,
    Sheets,
    require_no_time,
    sheet_for,
    within_sight,
)
from muster_presence.usecases_attendance_records import Custom
from muster_presence.usecases_attendance_watch import AttendanceWatches, Extent
from muster_presence.usecases_channels import configure_channel, list_channels

_MOST_POINTS: Final = 200
_CHANGES_A_TIME: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendanceParts:
    """What the servicer works with."""

    commands: Commands[AttendanceRoom]
    directory: AttendanceDirectory
    sheets: Sheets
    observations: Observations
    devices: Devices
    watches: AttendanceWatches
    custom: Custom


class AttendanceServicer:
    """All calls of the service."""

    def __init__(self, parts: AttendanceParts) -> None:
        self._parts = parts
        self._directory = parts.directory

    async def ListAttendance(
        self, request: pb.ListAttendanceRequest, call: Call
    ) -> pb.ListAttendanceResponse:
        """List the records of a session, of a class, or of a student."""
        match request.WhichOneof("scope"):
            case "session_id":
                return await self._list_of_session(request, call)
            case "class_id":
                return await self._list_of_class(request, call)
            case _:
                return await self._list_of_user(request, call)

    async def MarkAttendance(self, request: pb.MarkAttendanceRequest, call: Call) -> bytes:
        """Mark students, all or none."""
        attended = await taught_session(self._directory, call.caller, request.session_id)

        def encode(records: Sequence[Record]) -> pb.MarkAttendanceResponse:
            return pb.MarkAttendanceResponse(records=map(convert.record_message, records))

        return await self._parts.commands.run(
            call.caller,
            room_of(attended.scope),
            partial(
                mark_attendance,
                marks=convert.marks_of(request.marks),
                seen=await self._parts.observations.see(attended.scope),
                custom=self._parts.custom,
                by=call.caller.subject,
                require=partial(require_teacher, call.caller),
            ),
            request=request,
            encode=encode,
        )

    async def ListAttendanceChanges(
        self, request: pb.ListAttendanceChangesRequest, call: Call
    ) -> pb.ListAttendanceChangesResponse:
        """List every change of what counted."""
        attended = await taught_session(self._directory, call.caller, request.session_id)
        pages = Pages("changes", attended.scope, request.user_id, page_size=request.page_size)
        after = pages.number(request.page_token, largest=LARGEST_BIGINT)
        rows = await self._directory.list_changes(
            attended.scope, request.user_id, after=after, limit=pages.limit
        )
        shown, last = pages.cut(rows)
        return pb.ListAttendanceChangesResponse(
            changes=map(convert.change_message, shown),
            next_page_token=pages.token(last.seq) if last else "",
        )

    async def GetAttendanceRule(
        self, request: pb.GetAttendanceRuleRequest, call: Call
    ) -> pb.GetAttendanceRuleResponse:
        """Read the rule of a session."""
        attended = await taught_session(self._directory, call.caller, request.session_id)
        book, _ = await self._directory.book(attended.scope)
        rule = book.rule.own or self._parts.custom.rule
        return pb.GetAttendanceRuleResponse(
            rule=convert.rule_message(rule), own=book.rule.own is not None, revision=book.rule.revision
        )

    async def SetAttendanceRule(self, request: pb.SetAttendanceRuleRequest, call: Call) -> bytes:
        """Change the rule of a session."""
        rule = convert.rule_of(request.rule) if request.HasField("rule") else None
        attended = await taught_session(self._directory, call.caller, request.session_id)

        def encode(after: SessionRule) -> pb.SetAttendanceRuleResponse:
            message = convert.rule_message(after.own or self._parts.custom.rule)
            return pb.SetAttendanceRuleResponse(rule=message, revision=after.revision)

        return await self._parts.commands.run(
            call.caller,
            room_of(attended.scope),
            partial(
                set_rule,
                rule=rule,
                seen=await self._parts.observations.see(attended.scope),
                custom=self._parts.custom,
                by=call.caller.subject,
                expected_revision=request.expected_revision,
                require=partial(require_teacher, call.caller),
            ),
            request=request,
            encode=encode,
        )

    async def GetAttendanceAnalytics(
        self, request: pb.GetAttendanceAnalyticsRequest, call: Call
    ) -> pb.GetAttendanceAnalyticsResponse:
        """Read the attendance over the time of a session."""
        start, end = convert.time_in(request, "start_time"), convert.time_in(request, "end_time")
        attended = await taught_session(self._directory, call.caller, request.session_id)
        limit = request.maximum_points or _MOST_POINTS
        points, latest = await self._directory.list_points(attended.scope, start, end, limit=limit)
        return pb.GetAttendanceAnalyticsResponse(
            points=map(convert.point_message, points),
            latest=convert.point_message(latest) if latest else None,
        )

    async def WatchAttendance(self, request: pb.WatchAttendanceRequest, call: Call) -> None:
        """Stream the attendance of a session as it changes."""
        extent = Extent(after=request.after, max_frames=request.max_frames, replay_only=request.replay_only)
        await self._parts.watches.watch(call.caller, request.session_id, extent, call.write)

    async def ExportAttendance(self, request: pb.ExportAttendanceRequest, call: Call) -> None:
        """Stream the attendance of a session as a file."""
        as_of = convert.time_in(request, "as_of_time")
        sheet = await sheet_for(self._directory, self._parts.sheets, call.caller, request.session_id, as_of)
        chunks: Iterator[bytes] = as_csv(sheet.records)
        if request.format == pb.ATTENDANCE_EXPORT_FORMAT_JSON:
            attended = sheet.book.attended
            changes = await self._all_changes(request.session_id, call)
            if as_of is not None:
                changes = [change for change in changes if change.change_time <= as_of]
            stays = await self._parts.observations.stays(attended.scope, as_of)
            chunks = as_json(attended, sheet.records, changes, stays)
        for chunk in chunks:
            await call.write(pb.ExportAttendanceResponse(chunk=chunk))

    async def ListChannels(self, request: pb.ListChannelsRequest, call: Call) -> pb.ListChannelsResponse:
        """List the channels of a session by name."""
        attended, teaches = await attended_session(self._directory, call.caller, request.session_id)
        pages = Pages("channels", attended.scope, teaches, page_size=request.page_size)
        rows = await list_channels(
            self._directory,
            self._parts.devices,
            attended.scope,
            with_hidden=teaches,
            after=pages.after(request.page_token, bytes.decode) or "",
            limit=pages.limit,
        )
        shown, last = pages.cut(rows)
        return pb.ListChannelsResponse(
            channels=[convert.channel_message(channel, request.session_id) for channel in shown],
            next_page_token=pages.token(last.name) if last else "",
        )

    async def ConfigureChannel(self, request: pb.ConfigureChannelRequest, call: Call) -> bytes:
        """Make a channel, or change how it is kept track of."""
        wanted = channel_of(request, self._parts.custom.times)
        attended = await taught_session(self._directory, call.caller, request.session_id)
        live = await self._parts.devices.connections(attended.scope)
        on_it = live.get(wanted.name, OnChannel())

        def encode(channel: Channel) -> pb.ConfigureChannelResponse:
            message = convert.channel_message(channel.seen(on_it), request.session_id)
            return pb.ConfigureChannelResponse(channel=message)

        return await self._parts.commands.run(
            call.caller,
            room_of(attended.scope),
            partial(
                configure_channel,
                wanted=wanted,
                expected_revision=request.expected_revision,
                require=partial(require_teacher, call.caller),
            ),
            request=request,
            encode=encode,
        )

    async def _list_of_session(
        self, request: pb.ListAttendanceRequest, call: Call
    ) -> pb.ListAttendanceResponse:
        as_of = convert.time_in(request, "as_of_time")
        sheet = await sheet_for(self._directory, self._parts.sheets, call.caller, request.session_id, as_of)
        statuses = convert.statuses_of(request.statuses)
        scope = session_of(call.caller, request.session_id)
        pages = Pages("sheet", scope, sorted(statuses), as_of, page_size=request.page_size)
        after = pages.text_and_id(request.page_token) or ("", "")
        rows = [
            record
            for record in sheet.records
            if (record.sort_name, record.user_id) > after and (not statuses or record.status in statuses)
        ]
        shown, last = pages.cut(rows)
        return _page(shown, pages.token(last.sort_name, "\0", last.user_id) if last else "")

    async def _list_of_class(
        self, request: pb.ListAttendanceRequest, call: Call
    ) -> pb.ListAttendanceResponse:
        wanted = self._wanted(request, call)
        organization_id = call.caller.organization_id
        pages = Pages("class", organization_id, *_parameters(wanted), page_size=request.page_size)
        rows = await self._directory.list_records_of_class(
            organization_id, wanted, after=pages.after(request.page_token, class_place), limit=pages.limit
        )
        shown, last = pages.cut(rows)
        return _page(shown, pages.token(class_key(last)) if last else "")

    async def _list_of_user(self, request: pb.ListAttendanceRequest, call: Call) -> pb.ListAttendanceResponse:
        wanted = self._wanted(request, call)
        organization_id = call.caller.organization_id
        pages = Pages("student", organization_id, *_parameters(wanted), page_size=request.page_size)
        rows = await self._directory.list_records_of_user(
            organization_id, wanted, after=pages.time_and_id(request.page_token), limit=pages.limit
        )
        shown, last = pages.cut(rows)
        token = pages.token(last[0], last[1].session_id) if last else ""
        return _page([record for _, record in shown], token)

    def _wanted(self, request: pb.ListAttendanceRequest, call: Call) -> RecordFilter:
        require_no_time(convert.time_in(request, "as_of_time"))
        asked = RecordFilter(
            user_id=request.user_id,
            class_id=request.class_id,
            statuses=convert.statuses_of(request.statuses),
            start_time=convert.time_in(request, "start_time"),
            end_time=convert.time_in(request, "end_time"),
        )
        return within_sight(call.caller, asked)

    async def _all_changes(self, session_id: str, call: Call) -> list[Change]:
        scope = session_of(call.caller, session_id)
        changes: list[Change] = []
        while True:
            after = changes[-1].seq if changes else 0
            page = await self._directory.list_changes(scope, "", after=after, limit=_CHANGES_A_TIME)
            changes += page
            if len(page) < _CHANGES_A_TIME:
                return changes


def _page(records: Sequence[Record], token: str) -> pb.ListAttendanceResponse:
    return pb.ListAttendanceResponse(records=map(convert.record_message, records), next_page_token=token)


def _parameters(wanted: RecordFilter) -> tuple[object, ...]:
    # In an order of its own: that of a set is another in each process.
    return replace(wanted, statuses=frozenset()), sorted(wanted.statuses)
