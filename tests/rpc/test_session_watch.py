"""Watching a session: snapshot, every event once and in order, views, tickets, and going on where one was."""

import asyncio
from typing import Any

import pytest
from google.protobuf.message import Message
from muster.session.v1 import block_pb2, session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster.stream.v1 import stream_pb2
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import House, Metadata, house_over, reason_of
from tests.rpc.lessons import STATUS, Lesson, new_lesson, true_false
from tests.waiting import until

ACTIVE = block_pb2.BLOCK_STATUS_ACTIVE


async def frames(lesson: Lesson, by: Metadata | None = None, **fields: Any) -> list[Any]:
    request = pb.WatchSessionRequest(session_id=lesson.session_id, **fields)
    call = lesson.house.sessions.WatchSession(request, metadata=by or lesson.host)
    return [frame async for frame in call]


def kinds(received: list[Any]) -> list[str]:
    return [frame.WhichOneof("frame") for frame in received]


def events(received: list[Any]) -> list[Any]:
    return [event for frame in received for event in frame.events.events]


async def busy_lesson(house: House) -> Lesson:
    """Return a lesson in whose log there is one of nearly everything."""
    lesson = await new_lesson(house, blocks=3)
    await lesson.block_call("UpdateBlock", block_id=lesson.block_ids[0], block=true_false("better"))
    await lesson.block_call("ReorderBlocks", block_ids=lesson.block_ids[::-1])
    await lesson.block_call("DeleteBlock", block_id=lesson.block_ids[1])
    await lesson.open()
    ana, ben, cleo = [await lesson.join(name) for name in ("ana", "ben", "cleo")]
    await lesson.call("UpdateParticipant", participant_id=ana.id, display_name="Ana")
    await lesson.call("LeaveSession", by=ben.ticket)
    await lesson.call("KickParticipant", participant_id=cleo.id)
    await lesson.call("StartSession")
    block = (await lesson.block_call("ActivateBlock")).block
    await lesson.call("PauseSession")
    await lesson.call("ResumeSession")
    await lesson.block_call("CloseBlock", block_id=block.block_id)
    await lesson.block_call("SkipBlock", block_id=lesson.block_ids[0])
    settings = (await lesson.session()).settings
    settings.title = "Another title"
    await lesson.call("UpdateSession", settings=settings)
    await lesson.call("EndSession")
    return lesson


async def test_a_stream_begins_with_the_whole(house: House) -> None:
    lesson = await busy_lesson(house)
    (frame,) = await frames(lesson, replay_only=True)
    snapshot = frame.snapshot
    assert snapshot.session == await lesson.session()
    assert list(snapshot.blocks) == await lesson.blocks()
    assert not snapshot.pending_blocks
    assert list(snapshot.participants) == list((await lesson.call("ListParticipants")).participants)
    assert frame.server_time.seconds


async def test_participants_get_of_the_whole_what_was_shown(house: House) -> None:
    lesson = await new_lesson(house, blocks=3)
    await lesson.open()
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    await lesson.block_call("ActivateBlock")
    (frame,) = await frames(lesson, ana.ticket, replay_only=True)
    snapshot = frame.snapshot
    assert [(block.status, block.HasField("answer_key")) for block in snapshot.blocks] == [(ACTIVE, False)]
    assert [outline.position for outline in snapshot.pending_blocks] == [2, 3]
    assert [seat.user_id for seat in snapshot.participants] == ["ana"]
    assert snapshot.session.join_code == lesson.join_code
    (host_frame,) = await frames(lesson, replay_only=True)
    assert [block.HasField("answer_key") for block in host_frame.snapshot.blocks] == [True] * 3


async def test_the_log_has_every_event_once_and_in_order(house: House) -> None:
    log = await (await busy_lesson(house)).events()
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert [event.WhichOneof("event") for event in log] == [
        "blocks_added",
        "block_updated",
        "blocks_reordered",
        "block_deleted",
        "status_changed",
        "participant_joined",
        "participant_joined",
        "participant_joined",
        "participant_updated",
        "participant_left",
        "participant_removed",
        "status_changed",
        "block_activated",
        "status_changed",
        "status_changed",
        "block_closed",
        "block_skipped",
        "session_updated",
        "status_changed",
    ]
    times = [event.create_time.ToNanoseconds() for event in log]
    assert times == sorted(times)


async def test_resuming_after_each_event_gives_the_rest(house: House) -> None:
    lesson = await busy_lesson(house)
    log = await lesson.events()
    cursor = await lesson.first_cursor()
    for seen in range(len(log) + 1):
        after = cursor[:-8] + seen.to_bytes(8, "big")
        received = await frames(lesson, after=after, replay_only=True)
        assert events(received) == log[seen:]
        assert "snapshot" not in kinds(received)


async def test_what_happens_while_one_is_away_is_not_missed(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    async with lesson.watch() as watch:
        await lesson.join("ana")
        await watch.event("participant_joined")
        cursor = watch.frames[-1].cursor
    await lesson.join("ben")
    async with lesson.watch(after=cursor) as watch:
        await lesson.join("cleo")
        await until(lambda: len(watch.events) == 2)
        names = [event.participant_joined.participant.user_id for event in watch.events]
    assert names == ["ben", "cleo"]


async def test_a_stream_goes_on_at_another_process(house: House, stores: TestStores) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    async with lesson.watch() as watch:
        await lesson.join("ana")
        await watch.event("participant_joined")
        cursor = watch.frames[-1].cursor
    async with house_over(stores, house.urls, house.directory) as other:
        there = Lesson(other, lesson.organization, lesson.host, lesson.session_id)
        async with there.watch(after=cursor) as watch:
            # Written at the first process, seen at the second.
            await lesson.join("ben")
            await watch.event("participant_joined")
            assert [event.seq for event in watch.events] == [3]


async def test_a_foreign_cursor_gives_a_reset_and_the_whole(house: House) -> None:
    lesson, other = await new_lesson(house, blocks=1), await new_lesson(house, blocks=1)
    foreign = (await frames(other, max_frames=1))[0].cursor
    for cursor in (foreign, b"nonsense", b"\x00" * 17):
        received = await frames(lesson, after=cursor, replay_only=True)
        assert kinds(received) == ["reset", "snapshot"]
        assert received[0].reset.cause == stream_pb2.RESET_CAUSE_CURSOR_FOREIGN


async def test_a_stream_ends_after_so_many_frames(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    first = asyncio.ensure_future(frames(lesson, max_frames=3))
    ticker = asyncio.ensure_future(_keep_joining(lesson))
    assert len(await asyncio.wait_for(first, 30)) == 3
    ticker.cancel()


async def _keep_joining(lesson: Lesson) -> None:
    for number in range(1000):
        await lesson.join(f"user-{number}")


async def test_counts_come_as_views_and_not_for_every_change(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    async with lesson.watch() as watch:
        for number in range(30):
            await lesson.join(f"user-{number}")
        await until(lambda: any(frame.view.participant_count == 30 for frame in watch.frames))
        views = [frame.view for frame in watch.frames if frame.WhichOneof("frame") == "view"]
        assert len(views) < 15
        assert [view.version for view in views] == sorted({view.version for view in views})
        assert len([event for event in watch.events if event.HasField("participant_joined")]) == 30


@pytest.mark.parametrize("who", ["member", "stranger", "editor"])
async def test_who_has_no_ticket_and_does_not_run_it_does_not_watch(house: House, who: str) -> None:
    lesson = await new_lesson(house, visibility=session_pb2.SESSION_VISIBILITY_PUBLIC)
    await lesson.open()
    ana = await lesson.join("ana")
    by = {
        "member": ana.user,
        "stranger": lesson.user("eve"),
        "editor": lesson.user("eve", OrganizationRole.EDITOR),
    }[who]
    assert await reason_of(frames(lesson, by, max_frames=1)) is Reason.PERMISSION_DENIED


async def test_the_ticket_of_another_session_opens_nothing(house: House) -> None:
    lesson, other = await new_lesson(house), await new_lesson(house)
    await other.open()
    ana = await other.join("ana")
    assert await reason_of(frames(lesson, ana.ticket, max_frames=1)) is Reason.NOT_FOUND


async def test_no_event_holds_the_content_of_a_block_that_was_not_opened(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.add(true_false("a secret prompt"))
    await lesson.block_call(
        "UpdateBlock", block_id=lesson.block_ids[0], block=true_false("another secret prompt")
    )
    log = await lesson.events()
    assert not any(_holds(event, b"secret") for event in log)


def _holds(message: Message, needle: bytes) -> bool:
    return needle in message.SerializeToString()


async def test_status_is_that_of_the_last_event(house: House) -> None:
    lesson = await busy_lesson(house)
    (frame,) = await frames(lesson, replay_only=True)
    assert frame.snapshot.session.status == STATUS["ended"]
    assert int.from_bytes(frame.cursor[-8:], "big") == len(await lesson.events())
