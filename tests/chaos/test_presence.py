"""Presence loses its index, or a worker, in the middle of a lesson: nobody was away, nobody saw it."""

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg
import pytest
from muster.presence.v1.attendance_pb2 import ATTENDANCE_STATUS_PRESENT

from tests.chaos.conftest import Scale
from tests.chaos.history import check_log
from tests.chaos.lesson import Lesson, open_lesson
from tests.chaos.machine import Machine
from tests.chaos.test_flush import flush
from tests.waiting import until

WATCHES: Final = 6
BACK_WITHIN_SECONDS: Final = 10.0
LEASE_SECONDS: Final = 20.0
"""So long a stream counts whose worker is dead, with the grace."""


@pytest.fixture(scope="module")
async def lesson(machine: Machine, scale: Scale) -> AsyncIterator[Lesson]:
    """A lesson that goes on while everything breaks; each worker has half of it."""
    students = 400 if scale.is_full else 200
    async with open_lesson(machine.running, students=students, watches=WATCHES) as lesson:
        await until(lambda: are_present(lesson))
        lesson.changes_before = len(await lesson.changes())
        yield lesson


async def are_present(lesson: Lesson) -> bool:
    """Whether it was noted that all are there, since the lesson has started."""
    noted = {change.user_id: change.new_status for change in await lesson.changes()}
    return noted == dict.fromkeys(lesson.names, ATTENDANCE_STATUS_PRESENT)


async def intervals(machine: Machine, lesson: Lesson) -> Mapping[str, list[tuple[datetime, Any, int]]]:
    """When each student was there as the ledger has it: from, to, and the order of what was told last."""
    connection = await asyncpg.connect(machine.database_url)
    try:
        rows = await connection.fetch(
            "SELECT user_id, enter_time, leave_time, told_order FROM presence.presence_interval"
            " WHERE scope_id = $1 ORDER BY user_id, enter_time",
            lesson.session_id,
        )
    finally:
        await connection.close()
    found: dict[str, list[tuple[datetime, Any, int]]] = {}
    for user_id, *interval in rows:
        found.setdefault(user_id, []).append(tuple(interval))
    return found


async def check(machine: Machine, lesson: Lesson, *, resets: int) -> None:
    """Assert that, as far as anybody can tell, all students have been there all the time."""
    for watch in lesson.watches:
        assert watch.history.count("reset") == resets
        assert check_log(watch.history) == []
        assert watch.goings == {}
        assert {person.activity.kind for person in watch.here.values()} == {"lesson"}
    told = await intervals(machine, lesson)
    assert {user_id: [leave_time for _, leave_time, _ in own] for user_id, own in told.items()} == {
        user_id: [None] for user_id in lesson.names
    }
    records = await lesson.attendance()
    assert records.keys() == set(lesson.names)
    for record in records.values():
        assert record.status == ATTENDANCE_STATUS_PRESENT
        assert record.evidence.gap_count == 0
        assert record.evidence.share == pytest.approx(1)
    # Nor was anybody meanwhile.
    assert (await lesson.changes())[lesson.changes_before :] == []


async def test_nobody_is_seen_to_go_when_a_worker_is_killed(
    machine: Machine, lesson: Lesson, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    resets = lesson.watches[0].history.count("reset")
    before = {student.person.name: student.streams for student in lesson.students}
    since = time.monotonic()
    os.kill(machine.workers()[0], signal.SIGKILL)
    ended = await machine.until_told("ended", "worker", since=since)
    await machine.until_told("restarted", ended.unit, since=since)
    await lesson.until_connected()
    cut = [student for student in lesson.students if student.streams > before[student.person.name]]
    figure("leases of the worker that was killed", len(cut))
    figure("all of them connected again after, s", max(each.connected_at for each in cut) - since)
    assert len(cut) > len(lesson.students) // 10
    if scale.is_full:
        # Whom nobody holds any more would go now.
        await until(lambda: time.monotonic() - since > LEASE_SECONDS + 2)
    await lesson.until_shown(resets=resets)
    await check(machine, lesson, resets=resets)


async def test_everybody_is_there_when_valkey_comes_back(
    machine: Machine, lesson: Lesson, figure: Callable[[str, object], None]
) -> None:
    resets = lesson.watches[0].history.count("reset")
    pid = machine.valkey()
    assert pid is not None
    since = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await machine.until_told("restarted", "Valkey", since=since)
    await lesson.until_shown(resets=resets + 1)
    figure("all watches show everybody again after, s", time.monotonic() - since)
    assert time.monotonic() - since <= BACK_WITHIN_SECONDS
    await lesson.until_connected()
    await check(machine, lesson, resets=resets + 1)


async def test_everybody_is_back_after_valkey_was_emptied(
    machine: Machine, lesson: Lesson, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    slowest = 0.0
    resets = lesson.watches[0].history.count("reset")
    for number in range(1, max(1, scale.rounds) + 1):
        before = await intervals(machine, lesson)
        since = time.monotonic()
        await flush(machine)
        await lesson.until_shown(resets=resets + number)
        slowest = max(slowest, time.monotonic() - since)
        # What was told of it since: that they have been there all the time.
        await until(lambda before=before: is_told_anew(machine, lesson, before))  # type: ignore[misc]
        await check(machine, lesson, resets=resets + number)
        now = await intervals(machine, lesson)
        assert {user_id: own[0][0] for user_id, own in now.items()} == {
            user_id: own[0][0] for user_id, own in before.items()
        }
    figure("slowest watch to show everybody again, s", slowest)
    assert slowest <= BACK_WITHIN_SECONDS


async def is_told_anew(machine: Machine, lesson: Lesson, before: Mapping[str, list[Any]]) -> bool:
    """Whether something was told of everybody since."""
    now = await intervals(machine, lesson)
    return all(now[user_id][-1][2] > own[-1][2] for user_id, own in before.items())
