"""What has ended is gone at once: nothing of it waits for a garbage collection, which may be hours away."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from weakref import ref

from muster.stream.v1.stream_pb2 import Envelope
from muster_kit.streams import Feed, Renewal, SharedView

from tests.streams.rooms import QUICK, World, kind_of
from tests.waiting import until

_BRIEF = replace(QUICK, linger_seconds=0.01, heartbeat_seconds=(0.05, 0.1))


@contextmanager
def no_collections() -> Iterator[None]:
    """Leave cycles where they are."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _renew() -> bytes:
    return b"ticket"


class _Reader:
    """A client that leaves at the third heartbeat, while it is about to be sent a ticket."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.kinds: list[str] = []

    async def write(self, data: bytes) -> None:
        self.kinds.append(kind_of(Envelope.FromString(data)))
        if self.kinds.count("heartbeat") == 3:
            self._feed.send_ticket(b"too late")
            raise asyncio.CancelledError


async def _view() -> SharedView:
    return SharedView(1, whole=lambda: b"whole")


async def test_of_streams_that_ended_and_their_rooms_nothing_is_left(world: World, room_id: str) -> None:
    renewal = Renewal(every_seconds=0.02, renew=_renew)
    await world.append(room_id, 3)
    async with world.worker(_BRIEF) as worker:
        with no_collections():
            opening = worker.hub.open(
                "north",
                room_id,
                b"",
                snapshot=world.snapshot_of(room_id),
                snapshot_key="all",
                renewal=renewal,
            )
            async with opening as feed:
                # It rests when the room is closed.
                feed.room.compute("view", _view, rate_per_second=0.01)
                reader = _Reader(feed)
                serving = asyncio.create_task(feed.serve(reader.write))
                await world.append(room_id)
                await asyncio.wait([serving])
            assert {"snapshot", "view", "heartbeat", "ticket"} <= set(reader.kinds)
            left = [ref(each) for each in (serving, reader, feed.room, feed.room.tail)]
            del feed, opening, serving, reader
            await until(lambda: not any(each() for each in left))
