"""The calibrated clock agrees with the other one, to within half of the shortest round trip."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import structlog.testing
from muster_kit.clock import CalibratedClock, SystemClock
from muster_kit.ids import new_id

YEAR = timedelta(days=365)


def offset_of(clock: CalibratedClock) -> timedelta:
    """How far a clock is ahead of this machine's, by the closest of several looks at both."""

    def look() -> tuple[timedelta, timedelta]:
        before = datetime.now(UTC)
        told = clock.now()
        return datetime.now(UTC) - before, told - before

    return min(look() for _ in range(10))[1]


async def test_it_follows_the_other_clock() -> None:
    async def a_year_ahead() -> datetime:
        return datetime.now(UTC) + YEAR

    clock = CalibratedClock(a_year_ahead)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    await clock.calibrate()
    assert abs(offset_of(clock) - YEAR) < timedelta(milliseconds=50)


async def test_it_believes_the_answer_that_came_fastest() -> None:
    delays = iter((0.4, 0.4, 0.0, 0.4, 0.4))

    async def late_by_its_way_back() -> datetime:
        answer = datetime.now(UTC) + YEAR
        await asyncio.sleep(next(delays))
        return answer

    clock = CalibratedClock(late_by_its_way_back)
    await clock.calibrate()
    # The slow answers alone would be 200 ms off.
    assert abs(offset_of(clock) - YEAR) < timedelta(milliseconds=100)


async def test_a_store_that_is_away_leaves_the_clock_running() -> None:
    calibrated = asyncio.Event()
    answers = 0

    async def sometimes() -> datetime:
        nonlocal answers
        answers += 1
        if answers == 6:
            raise ConnectionError
        if answers > 10:
            calibrated.set()
        return datetime.now(UTC) + YEAR

    clock = CalibratedClock(sometimes)
    await clock.calibrate()
    with structlog.testing.capture_logs() as log:
        keeping = asyncio.create_task(clock.keep(timedelta(milliseconds=1)))
        async with asyncio.timeout(30):
            await calibrated.wait()
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
    assert [entry["event"] for entry in log] == ["clock_not_calibrated"]
    assert clock.now() - datetime.now(UTC) > YEAR / 2


def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_ids_are_uuids_in_the_order_of_their_making() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {uuid.UUID(each).version for each in ids} == {7}
