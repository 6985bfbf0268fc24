"""Claims on deadlines: what a worker may no longer do once another has taken over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from muster_kit.db import (
    Deadline,
)

from tests.rpc.notes import ANA, Notes, NotesService, request, seq_answer
from tests.rpc.notes_worker import LONG, Worker, set_deadline
from tests.waiting import until


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


async def test_a_deadline_that_is_hastened_fires_soon(service: NotesService, room_id: str) -> None:
    async with Worker(service).running() as worker:
        await set_deadline(worker.commands, room_id, LONG)
        await set_deadline(worker.commands, room_id, LONG, "other")
        await worker.deadlines.hasten([room_id, "nowhere"], "key", within=timedelta(milliseconds=10))
        await until(lambda: worker.fired)
    assert [deadline.key for deadline in worker.fired] == ["key"]


async def test_one_that_is_sooner_is_not_put_off_by_haste(service: NotesService, room_id: str) -> None:
    worker = Worker(service)
    time = await set_deadline(worker.commands, room_id, timedelta(0))
    await worker.deadlines.hasten([room_id], "key", within=LONG)
    assert await service.all("SELECT fire_time FROM notes.deadline") == [(time,)]


async def test_a_deadline_that_is_hastened_while_it_fires_fires_again(
    service: NotesService, room_id: str
) -> None:
    worker = Worker(service)

    async def hasten(_: Deadline) -> None:
        worker.before = None
        await worker.deadlines.hasten([room_id], "key", within=timedelta(0))

    worker.before = hasten
    async with worker.running():
        await set_deadline(worker.commands, room_id, timedelta(0))
        await until(lambda: worker.fired)
    assert len(worker.refused) == 1
    assert await service.notes(room_id) == ["key fired"]
