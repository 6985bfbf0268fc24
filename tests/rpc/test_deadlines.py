"""Deadlines: fired once, on time, by whichever worker is there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from muster_kit.clock import CalibratedClock, Clock, SystemClock
from muster_kit.db import Commands, Database, Deadline, Deadlines
from muster_kit.errors import MusterError, Reason

from tests.conftest import TestStores
from tests.rpc.notes import ANA, STRANGER, TABLES, Notes, NotesService, request, seq_answer, until

SECOND = timedelta(seconds=1)
LONG = timedelta(hours=1)


@pytest.fixture
async def room_id(service: NotesService) -> str:
    return await service.new_room()


class Worker:
    """One process: its write path, and its deadlines, which it answers by writing a note."""

    def __init__(
        self,
        service: NotesService,
        *,
        app: Database | None = None,
        writer: Database | None = None,
        clock: Clock | None = None,
        lease: timedelta = 10 * SECOND,
    ) -> None:
        self.commands: Commands[Notes] = service.commands(database=app, wake=self._wake)
        self.deadlines = Deadlines(
            writer or service.writer, TABLES, fire=self._fire, clock=clock or SystemClock(), lease=lease
        )
        self.fired: list[Deadline] = []
        self.refused: list[Deadline] = []
        self.before: Callable[[Deadline], Awaitable[None]] | None = None

    def _wake(self, fire_time: datetime) -> None:
        self.deadlines.wake(fire_time)

    async def _fire(self, deadline: Deadline) -> None:
        if self.before is not None:
            await self.before(deadline)

        async def use_case(notes: Notes) -> bool:
            if not await notes.transaction.complete_deadline(deadline):
                return False
            await notes.write(f"{deadline.key} fired")
            return True

        done = await self.commands.system(deadline.organization_id, deadline.room_id, use_case)
        (self.fired if done else self.refused).append(deadline)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Worker"]:
        """Work until the block ends."""
        task = asyncio.ensure_future(self.deadlines.run())
        yield self
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})


async def set_deadline(
    commands: Commands[Notes], room_id: str, delay: timedelta, key: str = "key", payload: bytes = b""
) -> datetime:
    """Set a deadline as a use case does, and return its time."""
    times: list[datetime] = []

    async def use_case(notes: Notes) -> int:
        times.append(notes.transaction.now + delay)
        await notes.transaction.set_deadline(key, times[-1], payload)
        return 0

    await commands.run(ANA, room_id, use_case, request=request("x"), encode=seq_answer)
    return times[-1]


async def test_a_deadline_fires_once_however_many_workers_there_are(
    service: NotesService, room_id: str
) -> None:
    workers = [Worker(service, writer=service.open(service.urls.writer_url, pool_size=2)) for _ in range(3)]
    async with workers[0].running(), workers[1].running(), workers[2].running():
        keys = [f"key {i}" for i in range(100)]
        for i, key in enumerate(keys):
            await set_deadline(workers[i % 3].commands, room_id, timedelta(milliseconds=5 * (i % 7)), key)
        await until(lambda: sum(len(worker.fired) for worker in workers) >= 100)
        for worker in workers:
            assert worker.refused == []
    assert sorted(await service.notes(room_id)) == sorted(f"{key} fired" for key in keys)
    assert await service.all("SELECT 1 FROM notes.deadline") == []
    assert len(await service.events(room_id)) == 100


async def test_a_deadline_carries_what_was_set(service: NotesService, room_id: str) -> None:
    async with Worker(service).running() as worker:
        time = await set_deadline(worker.commands, room_id, timedelta(0), payload=b"block 7")
        await until(lambda: worker.fired)
    (deadline,) = worker.fired
    assert (deadline.room_id, deadline.key, deadline.organization_id) == (room_id, "key", "north")
    assert (deadline.fire_time, deadline.payload) == (time, b"block 7")


@pytest.mark.parametrize("offset_seconds", [0, 3, -0.2])
async def test_a_deadline_set_here_fires_on_time_and_never_early_whatever_the_clock_says(
    service: NotesService, room_id: str, offset_seconds: float
) -> None:
    class WrongClock:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(seconds=offset_seconds)

    async with Worker(service, clock=WrongClock()).running() as worker:
        fire_time = await set_deadline(worker.commands, room_id, timedelta(milliseconds=300))
        await until(lambda: worker.fired)
    (row,) = await service.all("SELECT create_time FROM notes.room_event")
    assert (
        timedelta(0)
        <= row[0] - fire_time
        < timedelta(milliseconds=250) + max(timedelta(0), timedelta(seconds=-offset_seconds))
    )


async def test_a_deadline_that_another_process_set_fires_on_time_too(
    service: NotesService, room_id: str
) -> None:
    elsewhere = service.commands()
    clock = CalibratedClock(service.app.now)
    await clock.calibrate()
    async with Worker(service, clock=clock).running() as worker:
        fire_time = await set_deadline(elsewhere, room_id, timedelta(seconds=1.5))
        await until(lambda: worker.fired)
    (row,) = await service.all("SELECT create_time FROM notes.room_event")
    assert timedelta(0) <= row[0] - fire_time < timedelta(milliseconds=250)


async def test_a_worker_that_dies_with_a_deadline_is_replaced_when_its_lease_is_over(
    service: NotesService, room_id: str
) -> None:
    doomed = Worker(service, lease=timedelta(seconds=0.5))
    holding = asyncio.Event()

    async def die(_: Deadline) -> None:
        holding.set()
        await asyncio.Event().wait()

    doomed.before = die
    async with doomed.running():
        await set_deadline(doomed.commands, room_id, timedelta(0))
        await holding.wait()
    claimed = await service.all("SELECT claim_expire_time FROM notes.deadline")
    async with Worker(service).running() as successor:
        await until(lambda: successor.fired)
    (row,) = await service.all("SELECT create_time FROM notes.room_event")
    assert row[0] >= claimed[0][0]
    assert doomed.fired == []
    assert await service.notes(room_id) == ["key fired"]


async def test_a_worker_that_comes_back_too_late_finds_its_claim_void(
    service: NotesService, room_id: str
) -> None:
    slow, quick = Worker(service), Worker(service)
    holding, proceed = asyncio.Event(), asyncio.Event()

    async def dawdle(_: Deadline) -> None:
        holding.set()
        await proceed.wait()

    slow.before = dawdle
    async with slow.running():
        await set_deadline(slow.commands, room_id, timedelta(0))
        await holding.wait()
        await service.all("UPDATE notes.deadline SET claim_expire_time = now() RETURNING 1")
        async with quick.running():
            await until(lambda: quick.fired)
        proceed.set()
        await until(lambda: slow.refused)
    assert slow.fired == []
    assert quick.fired[0].fence > slow.refused[0].fence
    assert await service.notes(room_id) == ["key fired"]


@pytest.mark.parametrize("again", [True, False])
async def test_a_claim_is_void_once_the_deadline_is_cancelled_or_set_anew(
    service: NotesService, room_id: str, again: bool
) -> None:
    async with Worker(service).running() as worker:
        holding, proceed = asyncio.Event(), asyncio.Event()

        async def dawdle(_: Deadline) -> None:
            holding.set()
            await proceed.wait()

        async def cancel(notes: Notes) -> int:
            await notes.transaction.cancel_deadline("key")
            return 0

        worker.before = dawdle
        await set_deadline(worker.commands, room_id, timedelta(0))
        await holding.wait()
        await worker.commands.run(ANA, room_id, cancel, request=request("x"), encode=seq_answer)
        if again:
            await set_deadline(worker.commands, room_id, LONG)
        proceed.set()
        await until(lambda: worker.refused)
    assert await service.notes(room_id) == []
    assert len(await service.all("SELECT 1 FROM notes.deadline")) == again


async def test_a_claim_on_a_cancelled_deadline_does_not_count_for_its_successor(
    service: NotesService, room_id: str
) -> None:
    slow, quick = Worker(service), Worker(service)
    holding = {slow: asyncio.Event(), quick: asyncio.Event()}
    proceed = {slow: asyncio.Event(), quick: asyncio.Event()}

    def dawdling(worker: Worker) -> Callable[[Deadline], Awaitable[None]]:
        async def dawdle(_: Deadline) -> None:
            holding[worker].set()
            await proceed[worker].wait()

        return dawdle

    async def cancel(notes: Notes) -> int:
        await notes.transaction.cancel_deadline("key")
        return 0

    commands = service.commands()
    async with slow.running():
        slow.before, quick.before = dawdling(slow), dawdling(quick)
        await set_deadline(slow.commands, room_id, timedelta(0))
        await holding[slow].wait()
        await commands.run(ANA, room_id, cancel, request=request("x"), encode=seq_answer)
        async with quick.running():
            await set_deadline(quick.commands, room_id, timedelta(0))
            await holding[quick].wait()
            proceed[slow].set()
            await until(lambda: slow.refused)
            proceed[quick].set()
            await until(lambda: quick.fired)
    assert await service.notes(room_id) == ["key fired"]


async def test_a_deadline_set_anew_replaces_the_old_one(service: NotesService, room_id: str) -> None:
    async with Worker(service).running() as worker:
        await set_deadline(worker.commands, room_id, timedelta(milliseconds=50))
        await set_deadline(worker.commands, room_id, LONG)
        await set_deadline(worker.commands, room_id, timedelta(milliseconds=100), key="another")
        await until(lambda: worker.fired)
        assert [deadline.key for deadline in worker.fired] == ["another"]
        time = await set_deadline(worker.commands, room_id, timedelta(milliseconds=20))
        await until(lambda: len(worker.fired) == 2)
    assert worker.fired[1].fire_time == time


async def test_deadlines_of_all_organizations_fire(service: NotesService) -> None:
    rooms = [await service.new_room(ANA), await service.new_room(STRANGER)]
    async with Worker(service).running() as worker:
        for caller, room_id in zip((ANA, STRANGER), rooms, strict=True):

            async def use_case(notes: Notes) -> int:
                await notes.transaction.set_deadline("key", notes.transaction.now)
                return 0

            await worker.commands.run(caller, room_id, use_case, request=request("x"), encode=seq_answer)
        await until(lambda: len(worker.fired) == 2)
    for room_id in rooms:
        assert await service.notes(room_id) == ["key fired"]


async def test_what_a_deadline_cannot_do_now_is_tried_again_soon(service: NotesService, room_id: str) -> None:
    tries = 0

    async def away(_: Deadline) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise MusterError(Reason.UNAVAILABLE)

    async with Worker(service, lease=LONG).running() as worker:
        worker.before = away
        await set_deadline(worker.commands, room_id, timedelta(0))
        await until(lambda: worker.fired)
    assert tries == 2


async def test_a_deadline_that_fails_does_not_hold_up_the_others(service: NotesService, room_id: str) -> None:
    async def broken(deadline: Deadline) -> None:
        if deadline.key.startswith("broken"):
            raise ZeroDivisionError

    async with Worker(service).running() as worker:
        worker.before = broken
        for i in range(33):
            await set_deadline(worker.commands, room_id, timedelta(0), key=f"broken {i}")
        await set_deadline(worker.commands, room_id, timedelta(milliseconds=1), key="sound")
        await until(lambda: worker.fired)
    assert await service.notes(room_id) == ["sound fired"]
    assert len(await service.all("SELECT 1 FROM notes.deadline")) == 33


async def test_more_deadlines_than_can_fire_at_once_all_fire(service: NotesService, room_id: str) -> None:
    together = 0
    most = 0

    async def count(_: Deadline) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0)
        together -= 1

    commands = service.commands()
    for i in range(100):
        await set_deadline(commands, room_id, timedelta(0), key=f"key {i}")
    worker = Worker(service)
    worker.before = count
    async with worker.running():
        await until(lambda: len(worker.fired) == 100)
    assert most <= 32
    assert len(await service.notes(room_id)) == 100


async def test_deadlines_outlast_a_restart_of_postgres(
    service: NotesService, stores: TestStores, room_id: str
) -> None:
    async with Worker(service).running() as worker:
        await set_deadline(worker.commands, room_id, timedelta(milliseconds=300))
        await stores.postgres.stop()
        await stores.postgres.start()
        await until(lambda: worker.fired)
    assert await service.notes(room_id) == ["key fired"]
