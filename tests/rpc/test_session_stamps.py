"""Stamps of questions: on the live streams of those who answer, and nowhere else."""

from datetime import UTC, datetime
from typing import Any

from muster.session.v1 import session_service_pb2
from muster_kit.delivery import Addressee

from tests.rpc.asked import SEAL
from tests.rpc.house import House
from tests.rpc.lessons import Lesson, Seat, new_lesson, seconds


async def test_only_what_a_participant_is_asked_live_is_stamped(house: House) -> None:
    lesson = await new_lesson(house, blocks=1, default_time_limit=seconds(20))
    await lesson.open()
    ann, ben = await lesson.join("ann"), await lesson.join("ben")
    await lesson.call("StartSession")
    async with (
        lesson.watch(ann.ticket) as hers,
        lesson.watch(ben.ticket) as his,
        lesson.watch() as hosts,
    ):
        cursor = hers.frames[0].cursor
        block = (await lesson.block_call("ActivateBlock")).block
        for watch in (hers, his, hosts):
            await watch.event("block_activated")
        assert not any(frame.delivery_stamp for frame in hosts.frames)
        stamps = [_stamp_of(watch) for watch in (hers, his)]
    for seat, stamp in zip((ann, ben), stamps, strict=True):
        to = Addressee(lesson.session_id, seat.id, block.round_id)
        delivery = SEAL.read(to, stamp)
        assert delivery is not None
        assert delivery.round_trip is None
        assert block.open_time.ToDatetime(UTC) <= delivery.time <= datetime.now(UTC)
    # Neither what she reads again nor the whole is.
    for after in (cursor, b""):
        frames = await _read(lesson, ann, after)
        assert any(b"Question 1" in frame.SerializeToString() for frame in frames)
        assert not any(frame.delivery_stamp for frame in frames)


def _stamp_of(watch: Any) -> bytes:
    ((frame, stamp),) = [(frame, frame.delivery_stamp) for frame in watch.frames if frame.delivery_stamp]
    assert frame.events.events[-1].HasField("block_activated")
    return bytes(stamp)


async def _read(lesson: Lesson, seat: Seat, after: bytes) -> list[Any]:
    request = session_service_pb2.WatchSessionRequest(
        session_id=lesson.session_id, after=after, replay_only=True
    )
    return [frame async for frame in lesson.house.sessions.WatchSession(request, metadata=seat.ticket)]
