"""A worker that goes away, and what becomes of the deadlines it has claimed."""

import asyncio
from datetime import timedelta

from muster_kit.db import Deadline

from tests.rpc.notes import NotesService
from tests.rpc.notes_worker import LONG, Worker, set_deadline
from tests.waiting import until


async def test_what_fires_when_its_worker_drains_is_finished_there(
    service: NotesService, room_id: str
) -> None:
    holding, proceed = asyncio.Event(), asyncio.Event()

    async def dawdle(_: Deadline) -> None:
        holding.set()
        await proceed.wait()

    worker = Worker(service, lease=LONG)
    worker.before = dawdle
    async with worker.running():
        await set_deadline(worker.commands, room_id, timedelta(0))
        await holding.wait()
        drained = asyncio.create_task(worker.deadlines.drain())
        await set_deadline(worker.commands, room_id, timedelta(0), key="later")
        proceed.set()
        await drained
    assert [deadline.key for deadline in worker.fired] == ["key"]
    assert await service.all("SELECT key, claim_expire_time FROM notes.deadline") == [("later", None)]


async def test_what_a_draining_worker_cannot_finish_is_fired_by_another_without_delay(
    service: NotesService, room_id: str
) -> None:
    holding = asyncio.Event()

    async def hang(_: Deadline) -> None:
        holding.set()
        await asyncio.Event().wait()

    leaving, staying = Worker(service, lease=LONG), Worker(service)
    leaving.before = hang
    async with leaving.running():
        await set_deadline(leaving.commands, room_id, timedelta(0))
        await holding.wait()
        async with staying.running():
            await leaving.deadlines.drain(grace_seconds=0.05)
            await until(lambda: staying.fired)
    assert leaving.fired == []
    assert await service.notes(room_id) == ["key fired"]


async def test_a_worker_that_never_ran_has_nothing_to_drain(service: NotesService) -> None:
    await Worker(service).deadlines.drain()
