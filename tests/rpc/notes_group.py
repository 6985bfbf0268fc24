"""Commands of the notes that share one transaction."""

import asyncio
from collections.abc import Awaitable, Callable

from google.protobuf.wrappers_pb2 import Int64Value
from muster_kit.db import Commands
from sqlalchemy import text

from tests.rpc.notes import ANA, Notes, NotesService, request, seq_answer, writing
from tests.waiting import until

UseCase = Callable[[Notes], Awaitable[int]]


class Group:
    """Commands that are carried out in one transaction, because another process holds the room."""

    def __init__(self, service: NotesService, commands: Commands[Notes], room_id: str) -> None:
        self._service = service
        self._commands = commands
        self._room_id = room_id

    async def of(self, *use_cases: UseCase, request_ids: bool = False) -> list[int | BaseException]:
        """Carry them out together and return what each caller gets."""
        tasks = await self.started(*use_cases, request_ids=request_ids)
        return [
            Int64Value.FromString(outcome).value if isinstance(outcome, bytes) else outcome
            for outcome in await asyncio.gather(*tasks, return_exceptions=True)
        ]

    async def started(self, *use_cases: UseCase, request_ids: bool = False) -> list["asyncio.Task[bytes]"]:
        """Have the commands wait for one another, and let them go together."""
        async with self._service.admin.connection() as holder:
            await holder.execute(
                text("SELECT 1 FROM notes.room_log WHERE room_id = :id FOR UPDATE"), {"id": self._room_id}
            )
            # The first is a group of its own, stuck at the lock; the others gather behind it.
            first = asyncio.ensure_future(self._run(writing("the first"), ""))
            await until(lambda: is_waiting(self._service))
            tasks = [
                asyncio.ensure_future(self._run(use_case, f"request {i}" if request_ids else ""))
                for i, use_case in enumerate(use_cases)
            ]
            await asyncio.sleep(0)
        assert await first
        return tasks

    async def _run(self, use_case: UseCase, request_id: str) -> bytes:
        return await self._commands.run(
            ANA, self._room_id, use_case, request=request("a note", request_id), encode=seq_answer
        )


async def is_waiting(service: NotesService) -> bool:
    """Whether somebody waits for a lock."""
    rows = await service.all(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows)
