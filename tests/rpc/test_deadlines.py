"""Deadlines: fired once, on time, whatever else fails."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from muster_kit.clock import CalibratedClock
from muster_kit.db import (
    Deadline,
)
from muster_kit.errors import MusterError, Reason

from tests.conftest import TestStores
from tests.quickness import assert_quick
from tests.rpc.notes import ANA, STRANGER, Notes, NotesService, request, seq_answer
from tests.rpc.notes_worker import LONG, Worker, set_deadline
from tests.waiting import until


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


async def late(service: NotesService, fire_time: datetime) -> float:
    """Return for how many seconds the newest note was late; it is never early."""
    ((written,),) = await service.all("SELECT max(create_time) FROM notes.room_event")
    assert written >= fire_time
    seconds: float = (written - fire_time).total_seconds()
    return seconds


@pytest.mark.parametrize("offset_seconds", [0, 3, -0.2])
async def test_a_deadline_set_here_fires_on_time_and_never_early_whatever_the_clock_says(
    service: NotesService, room_id: str, offset_seconds: float
) -> None:
    class WrongClock:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(seconds=offset_seconds)

    async def seconds_late() -> float:
        async with Worker(service, clock=WrongClock()).running() as worker:
            fire_time = await set_deadline(worker.commands, room_id, timedelta(milliseconds=300))
            await until(lambda: worker.fired)
        return await late(service, fire_time)

    await assert_quick(0.25 + max(0, -offset_seconds), seconds_late)


async def test_a_deadline_that_another_process_set_fires_on_time_too(
    service: NotesService, room_id: str
) -> None:
    elsewhere = service.commands()

    async def seconds_late() -> float:
        clock = CalibratedClock(service.app.now)
        await clock.calibrate()
        async with Worker(service, clock=clock).running() as worker:
            fire_time = await set_deadline(elsewhere, room_id, timedelta(seconds=1.5))
            await until(lambda: worker.fired)
        return await late(service, fire_time)

    await assert_quick(0.25, seconds_late)


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
            raise MusterError(Reason.SESSION_FULL)
        if deadline.key.startswith("faulty"):
            raise ZeroDivisionError

    async with Worker(service).running() as worker:
        worker.before = broken
        for i in range(33):
            await set_deadline(worker.commands, room_id, timedelta(0), key=f"broken {i}")
        await set_deadline(worker.commands, room_id, timedelta(0), key="faulty")
        await set_deadline(worker.commands, room_id, timedelta(milliseconds=1), key="sound")
        await until(lambda: worker.fired)
    assert await service.notes(room_id) == ["sound fired"]
    assert len(await service.all("SELECT 1 FROM notes.deadline")) == 34


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
