"""The supervisor's rules: order, back-off, one cancellation, and hurry on the second signal."""

import asyncio
import os
import signal

import pytest
from muster_stack.problem import Problem
from muster_stack.supervisor import Backoff, kept, started, until_told


class Unit:
    """A unit whose ends are commanded by the test; `fails` starts fail before one works."""

    def __init__(self, name="unit", *, fails=0, history=None):
        self.name = name
        self.fails = fails
        self.history = history if history is not None else []
        self.end = asyncio.get_running_loop().create_future()

    async def start(self):
        if self.fails:
            self.fails -= 1
            raise Problem(f"{self.name} has no luck.")
        self.end = asyncio.get_running_loop().create_future()
        self.history.append(f"start {self.name}")

    async def wait(self):
        return await asyncio.shield(self.end)

    async def stop(self):
        self.history.append(f"stop {self.name}")


class Notices(asyncio.Queue):
    def put_notice(self, notice):
        self.put_nowait(notice)

    async def events(self, count):
        return [(await self.get()).event for _ in range(count)]


def test_waits_double_up_to_ten_seconds_and_start_anew_after_a_steady_run():
    backoff = Backoff()
    delays = [backoff.next() for _ in range(9)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert backoff.next(ran_seconds=29) == 10.0
    assert backoff.next(ran_seconds=31) == 0.1


async def test_what_ends_is_started_again_until_it_stays():
    notices = Notices()
    unit = Unit()
    async with started([unit]), kept([unit], notices.put_notice):
        unit.fails = 2
        unit.end.set_result(-signal.SIGKILL)
        first = await notices.get()
        assert (first.event, first.unit) == ("ended", "unit")
        assert "SIGKILL" in first.text
        assert await notices.events(3) == ["failed", "failed", "restarted"]
        unit.end.set_result(3)
        assert "exit code 3" in (await notices.get()).text
        assert await notices.events(1) == ["restarted"]


async def test_a_signal_without_a_name_has_a_number():
    notices = Notices()
    unit = Unit()
    async with started([unit]), kept([unit], notices.put_notice):
        unit.end.set_result(-99)
        assert "signal 99" in (await notices.get()).text


async def test_a_machine_without_room_for_a_process_is_tried_again():
    class Crowded(Unit):
        async def start(self):
            if self.fails:
                self.fails -= 1
                raise BlockingIOError(11, "Resource temporarily unavailable")
            await super().start()

    notices = Notices()
    unit = Crowded()
    async with started([unit]), kept([unit], notices.put_notice):
        unit.fails = 1
        unit.end.set_result(0)
        assert await notices.events(3) == ["ended", "failed", "restarted"]


async def test_when_one_does_not_start_all_are_stopped():
    history = []
    units = [Unit("a", history=history), Unit("b", history=history, fails=1)]
    with pytest.raises(Problem, match="b has no luck"):
        async with started(units):
            history.append("never")
    assert "never" not in history
    assert {"stop a", "stop b"} <= set(history)


async def test_a_fault_of_the_supervisor_itself_is_not_hidden():
    class Faulty(Unit):
        async def wait(self):
            raise ZeroDivisionError

    unit = Faulty()
    with pytest.raises(ZeroDivisionError):
        async with kept([unit], Notices().put_notice):
            await asyncio.sleep(0)


async def test_a_signal_cancels_once_and_the_second_one_hurries():
    told = []
    stopping, hurried = asyncio.Event(), asyncio.Event()

    def hurry():
        told.append("hurry")
        hurried.set()

    async def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            stopping.set()
            os.kill(os.getpid(), signal.SIGTERM)
            # Would be broken off if the second signal cancelled, too.
            await hurried.wait()
            told.append("clean")

    await until_told(work, hurry=hurry)
    assert told == ["hurry", "clean"]


async def test_work_that_ends_by_itself_ends_the_wait():
    async def work():
        pass

    await until_told(work, hurry=lambda: None)


async def test_a_problem_passes_through():
    async def work():
        raise Problem("No.")

    with pytest.raises(Problem):
        await until_told(work, hurry=lambda: None)


async def test_cancellation_from_outside_is_not_swallowed():
    started_working = asyncio.Event()

    async def work():
        started_working.set()
        await asyncio.Event().wait()

    waiting = asyncio.ensure_future(until_told(work, hurry=lambda: None))
    await started_working.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
