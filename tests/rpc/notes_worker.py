"""A process of the notes that fires their deadlines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from muster_kit.caller import Caller
from muster_kit.clock import Clock, SystemClock
from muster_kit.db import Commands, Database, Deadline, Deadlines

from tests.rpc.notes import ANA, TABLES, Notes, NotesService, request, seq_answer

LONG = timedelta(hours=1)


class Worker:
    """One process: its write path, and its deadlines, which it answers by writing a note."""

    def __init__(
        self,
        service: NotesService,
        *,
        app: Database | None = None,
        writer: Database | None = None,
        clock: Clock | None = None,
        lease: timedelta = timedelta(seconds=10),
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
        # What was drained has ended by itself.
        assert not task.done() or task.exception() is None
        task.cancel()
        await asyncio.wait({task})


async def set_deadline(
    commands: Commands[Notes],
    room_id: str,
    delay: timedelta,
    key: str = "key",
    payload: bytes = b"",
    caller: Caller = ANA,
) -> datetime:
    """Set a deadline as a use case does, and return its time."""
    times: list[datetime] = []

    async def use_case(notes: Notes) -> int:
        times.append(notes.transaction.now + delay)
        await notes.transaction.set_deadline(key, times[-1], payload)
        return 0

    await commands.run(caller, room_id, use_case, request=request("x"), encode=seq_answer)
    return times[-1]
