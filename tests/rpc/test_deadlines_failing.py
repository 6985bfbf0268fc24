"""Deadlines that fail: tried again at growing intervals, and no burden to the others."""

import asyncio
import time
from datetime import timedelta

import pytest
from muster_kit.db import Deadline
from muster_kit.errors import MusterError, Reason

from tests.rpc.notes import STRANGER, NotesService
from tests.rpc.notes_worker import Worker, set_deadline
from tests.waiting import until


async def test_deadlines_that_cannot_be_kept_now_do_not_keep_newer_ones_from_firing(
    service: NotesService, room_id: str
) -> None:
    tries = 0

    async def away(deadline: Deadline) -> None:
        nonlocal tries
        if deadline.key != "sound":
            tries += 1
            raise MusterError(Reason.UNAVAILABLE)

    commands = service.commands()
    for i in range(40):
        await set_deadline(commands, room_id, timedelta(0), key=f"failing {i}")
    worker = Worker(service)
    worker.before = away
    async with worker.running():
        await until(lambda: tries >= 40)
        await set_deadline(worker.commands, room_id, timedelta(0), key="sound")
        await until(lambda: worker.fired)
    assert await service.notes(room_id) == ["sound fired"]


@pytest.mark.parametrize(("late_seconds", "pause_seconds"), [(0, 1), (8, 8), (3600, 30)])
@pytest.mark.parametrize("error", [MusterError(Reason.UNAVAILABLE), ZeroDivisionError()])
async def test_the_later_a_failing_deadline_is_the_longer_the_pause_before_the_next_try(
    service: NotesService, room_id: str, late_seconds: float, pause_seconds: float, error: Exception
) -> None:
    async def fail(_: Deadline) -> None:
        raise error

    worker = Worker(service, lease=timedelta(days=1))
    worker.before = fail
    since = time.monotonic()
    await set_deadline(worker.commands, room_id, timedelta(seconds=-late_seconds))
    pauses = (
        "SELECT extract(epoch FROM claim_expire_time - clock_timestamp()) FROM notes.deadline"
        " WHERE claim_expire_time < now() + interval '1 hour'"
    )
    found: list[float] = []

    async def put_off() -> bool:
        found[:] = [float(pause) for (pause,) in await service.all(pauses)]
        return bool(found)

    async with worker.running():
        await until(put_off)
    # Seen when some of it is over; and it grows with every moment before the try.
    elapsed = time.monotonic() - since
    assert pause_seconds - 0.5 - elapsed < found[0] < pause_seconds + 0.5 + elapsed


async def test_an_organization_whose_deadlines_hang_does_not_hold_up_another(
    service: NotesService, room_id: str
) -> None:
    proceed = asyncio.Event()
    hanging = 0

    async def hang(deadline: Deadline) -> None:
        nonlocal hanging
        if deadline.organization_id == "north":
            hanging += 1
            await proceed.wait()

    commands, other_room_id = service.commands(), await service.new_room(STRANGER)
    for i in range(40):
        await set_deadline(commands, room_id, timedelta(0), key=f"slow {i}")
    worker = Worker(service, lease=timedelta(hours=1))
    worker.before = hang
    async with worker.running():
        await until(lambda: hanging >= 16)
        await set_deadline(worker.commands, other_room_id, timedelta(0), caller=STRANGER)
        await until(lambda: worker.fired)
        assert await service.notes(other_room_id) == ["key fired"]
        proceed.set()
        await until(lambda: len(worker.fired) == 41)
