"""Watching attendance: a snapshot, then what changes in order, and how it stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from muster.presence.v1 import attendance_pb2, channel_pb2
from muster.presence.v1 import attendance_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.rpc.house import House, Metadata, reason_of
from tests.rpc.lessons import Watch
from tests.rpc.registers import ENDED, EXCUSED, LATE, Register, new_register


@pytest.fixture
async def register(house: House) -> Register:
    register = await new_register(house)
    await register.report(ENDED)
    await register.came("ana", (0, 50))
    return register


@asynccontextmanager
async def watching(
    register: Register, *, by: Metadata | None = None, after: bytes = b""
) -> AsyncIterator[Watch]:
    """Watch the attendance of the session."""
    request = pb.WatchAttendanceRequest(session_id=register.session_id, after=after)
    watch = Watch(register.stub.WatchAttendance(request, metadata=by or register.tess))
    try:
        yield watch
    finally:
        await watch.close()


async def replay(register: Register, after: bytes = b"", **fields: Any) -> list[Any]:
    """Return the frames of a stream that ends when it is up to date."""
    request = pb.WatchAttendanceRequest(
        session_id=register.session_id, after=after, **{"replay_only": True, **fields}
    )
    call = register.stub.WatchAttendance(request, metadata=register.tess)
    async with asyncio.timeout(20):
        return [frame async for frame in call]


async def test_a_stream_begins_with_the_whole(register: Register) -> None:
    await register.call("ConfigureChannel", name="remote", configuration=channel_pb2.ChannelConfiguration())
    [frame] = await replay(register, max_frames=1)
    snapshot = frame.snapshot
    assert {record.user_id: record for record in snapshot.records} == await register.records()
    assert [channel.name for channel in snapshot.channels] == ["main", "remote"]
    assert snapshot.rule == (await register.call("GetAttendanceRule")).rule


async def test_what_changes_comes_in_order(register: Register) -> None:
    async with watching(register) as watch:
        await watch.frame("snapshot")
        marked = await register.mark(("ana", LATE))
        told = await watch.event("changed")
        assert told.record == marked.records[0]
        assert told.change == (await register.changes())[-1]
        rule = attendance_pb2.AttendanceRule(present_share=0.5)
        await register.call("SetAttendanceRule", rule=rule)
        assert (await watch.event("rule_changed")).rule == rule
        await register.call(
            "ConfigureChannel", name="remote", configuration=channel_pb2.ChannelConfiguration()
        )
        assert (await watch.event("channel_configured")).channel.name == "remote"
        seqs = [event.seq for event in watch.events]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


async def test_how_it_stands_is_a_view(register: Register) -> None:
    async with watching(register) as watch:
        view = (await watch.frame("view")).view
        assert (view.now.student_count, view.now.present_count) == (3, 0)
        assert [channel.name for channel in view.channels] == ["main"]
        assert [record.user_id for record in view.records] == ["ana", "bo", "cy"]
        await register.mark(("bo", EXCUSED))

        def newer() -> Any:
            return (
                frame.view
                for frame in watch.frames
                if frame.WhichOneof("frame") == "view" and frame.view.version > view.version
            )

        delta = await watch._find(newer)
        assert [record.user_id for record in delta.records] == ["bo"]
        assert {each.status: each.count for each in delta.now.statuses}[EXCUSED] == 1


async def test_a_stream_goes_on_where_it_was_cut(register: Register) -> None:
    [first] = await replay(register, max_frames=1)
    await register.mark(("ana", LATE))
    await register.mark(("bo", LATE))
    frames = await replay(register, after=first.cursor)
    events = [event for frame in frames for event in frame.events.events]
    assert [event.changed.change.user_id for event in events] == ["ana", "bo"]
    assert not any(frame.HasField("snapshot") for frame in frames)


async def test_a_foreign_cursor_begins_anew(register: Register) -> None:
    frames = await replay(register, after=b"x" * 16, max_frames=2)
    assert [frame.WhichOneof("frame") for frame in frames] == ["reset", "snapshot"]


async def test_others_may_not_watch(register: Register) -> None:
    request = pb.WatchAttendanceRequest(session_id=register.session_id)

    async def first(by: Metadata) -> object:
        return await register.stub.WatchAttendance(request, metadata=by).read()

    uwe = register.school.user("uwe", OrganizationRole.EDITOR)
    assert await reason_of(first(uwe)) is Reason.NOT_FOUND
    assert await reason_of(first(register.school.user("ana"))) is Reason.PERMISSION_DENIED
    assert await reason_of(first(register.ticket("ana"))) is Reason.PERMISSION_DENIED
