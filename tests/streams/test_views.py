"""The latest lane: only the newest version counts, whole or as what changed since the last one sent."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muster_kit.streams import SharedView, Tuning
from muster_kit.streams.views import View

from tests.streams.rooms import Client, Worker, World
from tests.waiting import until


def board(version: int, rendered: list[str] | None = None) -> SharedView:
    """A board that has a delta from the version before, and notes what is rendered."""

    def note(what: str) -> bytes:
        if rendered is not None:
            rendered.append(what)
        return what.encode()

    return SharedView(
        version,
        whole=lambda: note(f"whole {version}"),
        delta=lambda last: note(f"{last}..{version}") if last == version - 1 else None,
    )


async def shown(client: Client, payload: bytes) -> None:
    """Wait until the newest view is this one."""
    await client.until(lambda: client.of_kind("view")[-1:] == [payload])


async def test_a_stream_gets_the_whole_first_and_then_what_changed(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch_views(worker, room_id) as client:
        room = client.feed.room
        room.offer("board", board(1))
        await shown(client, b"whole 1")
        room.offer("board", board(2))
        await shown(client, b"1..2")
        async with world.watch_views(worker, room_id) as late:
            await shown(late, b"whole 2")
            room.offer("board", board(3))
            await shown(late, b"2..3")
            await shown(client, b"2..3")


async def test_a_slow_stream_skips_versions_gets_the_whole_and_is_told(world: World, room_id: str) -> None:
    async with (
        world.worker(Tuning(lag_seconds=0.3)) as worker,
        world.watch_views(worker, room_id) as slow,
        world.watch_views(worker, room_id) as fast,
    ):
        for client in (slow, fast):
            client.feed.room.offer("board", board(1))
            await shown(client, b"whole 1")
        slow.gate.clear()
        for version in range(2, 11):
            slow.feed.room.offer("board", board(version))
            await shown(fast, f"{version - 1}..{version}".encode())
        await asyncio.sleep(0.35)
        slow.gate.set()
        await slow.until(lambda: "lag" in slow.kinds)
        # The second was being written when the client stalled; then it is at the tenth.
        assert slow.of_kind("view") == [b"whole 1", b"1..2", b"whole 10"]
        assert slow.of_kind("lag")[0].views_skipped == 7
        assert "lag" not in fast.kinds
        slow.feed.room.offer("board", board(11))
        await shown(slow, b"10..11")


async def test_each_form_is_rendered_once_for_all_streams(world: World, worker: Worker, room_id: str) -> None:
    rendered: list[str] = []
    async with (
        world.watch_views(worker, room_id) as one,
        world.watch_views(worker, room_id) as two,
        world.watch_views(worker, room_id) as three,
    ):
        for version in (1, 2):
            one.feed.room.offer("board", board(version, rendered))
            for client in (one, two, three):
                await client.until(lambda c=client, n=version: len(c.of_kind("view")) == n)
    assert rendered == ["whole 1", "1..2"]


@dataclass(frozen=True)
class Own:
    """A view in which everybody sees something else, and some see nothing."""

    version: int

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:
        if viewer == "broken":
            raise RuntimeError
        return None if viewer == "blind" else f"{viewer} {last_version}->{self.version}".encode()


async def test_each_viewer_gets_their_own(world: World, worker: Worker, room_id: str) -> None:
    async with (
        world.watch_views(worker, room_id, viewer="ana") as ana,
        world.watch_views(worker, room_id, viewer="ben") as ben,
        world.watch_views(worker, room_id, viewer="blind") as blind,
        world.watch_views(worker, room_id, viewer="broken") as broken,
    ):
        for version in (4, 6):
            ana.feed.room.offer("mine", Own(version))
            await ana.until(
                lambda n=version: ana.of_kind("view")[-1:] != [] and str(n) in str(ana.frames[-1])
            )
        await ben.until(lambda: len(ben.frames) == 2)
        assert ana.of_kind("view") == [b"ana None->4", b"ana 4->6"]
        assert ben.of_kind("view") == [b"ben None->4", b"ben 4->6"]
        ana.feed.room.offer("all", board(1))
        for client in (blind, broken):
            await shown(client, b"whole 1")
            assert len(client.frames) == 1


async def test_the_same_version_is_not_sent_again_and_a_withdrawn_view_not_at_all(
    world: World, worker: Worker, room_id: str
) -> None:
    async with world.watch_views(worker, room_id) as client:
        room = client.feed.room
        room.offer("board", board(1))
        await shown(client, b"whole 1")
        room.offer("board", board(1))
        room.withdraw("board")
        room.offer("other", board(5))
        await shown(client, b"whole 5")
        assert client.of_kind("view") == [b"whole 1", b"whole 5"]
        async with world.watch_views(worker, room_id, replay_only=True) as late:
            await late.ended()
            assert late.of_kind("view") == [b"whole 5"]
        room.offer("board", board(1))
        await shown(client, b"whole 1")


async def test_views_follow_the_snapshot_and_are_whole_again_after_a_reset(
    world: World, worker: Worker, room_id: str
) -> None:
    await world.append(room_id, 2)
    async with world.watch(worker, room_id) as client:
        await client.until_kinds("snapshot")
        worker.hub.offer(room_id, "board", board(1))
        worker.hub.offer(room_id, "board", board(2))
        await shown(client, b"whole 2")
        # A view is at the place of the log that the stream is at.
        assert client.frames[-1].cursor == (await world.head(room_id)).encode()
        await world.replace_log(room_id)
        await world.publisher.publish(room_id, 1, 1, [b"of another log"])
        await client.until_kinds("reset", "snapshot", "view")
        assert client.of_kind("view") == [b"whole 2", b"whole 2"]


async def test_an_offer_to_a_room_that_nobody_watches_is_nothing(worker: Worker) -> None:
    worker.hub.offer("nobody", "board", board(1))
    assert worker.hub.room("nobody") is None


def counting(computed: list[int], works: Callable[[], bool]) -> Callable[[], Awaitable[View | None]]:
    """Something to compute that notes how often it is."""

    async def compute() -> View | None:
        computed.append(len(computed) + 1)
        if not works():
            raise RuntimeError("the store is away")
        return board(len(computed))

    return compute


async def test_a_view_is_computed_at_its_rate_however_often_it_is_touched(
    world: World, worker: Worker, room_id: str
) -> None:
    computed: list[int] = []
    async with world.watch_views(worker, room_id) as client:
        room = client.feed.room
        start = asyncio.get_running_loop().time()
        room.compute("board", counting(computed, lambda: True), rate_per_second=50)
        room.compute("board", counting(computed, lambda: True), rate_per_second=1)
        await shown(client, b"whole 1")
        while len(computed) < 5:
            room.touch("board")
            await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() - start >= 4 / 50
        room.touch("unknown")
        await client.until(lambda: len(client.frames) >= 5)
        await until(lambda: not room._coalesced["board"]._touched)
        # Nothing is computed once nobody touches it.
        count = len(computed)
        await asyncio.sleep(0.05)
        assert len(computed) == count


async def test_a_view_that_cannot_be_computed_now_is_computed_later(
    world: World, worker: Worker, room_id: str
) -> None:
    computed: list[int] = []
    async with world.watch_views(worker, room_id) as client:
        compute = counting(computed, lambda: len(computed) > 3)
        client.feed.room.compute("board", compute, rate_per_second=100)
        await shown(client, b"whole 4")
        client.feed.room.withdraw("board")
        client.feed.room.touch("board")
        assert computed == [1, 2, 3, 4]


async def test_nothing_is_computed_while_nobody_watches(world: World, worker: Worker, room_id: str) -> None:
    computed: list[int] = []
    async with world.watch_views(worker, room_id) as client:
        room = client.feed.room
        room.compute("board", counting(computed, lambda: True), rate_per_second=1000)
        await shown(client, b"whole 1")
    room.touch("board")
    assert not room._coalesced["board"]._touched
    async with world.watch_views(worker, room_id) as client:
        assert client.feed.room is room
        await client.until(lambda: client.of_kind("view")[-1:] in ([b"1..2"], [b"whole 2"]))
        assert computed == [1, 2]
