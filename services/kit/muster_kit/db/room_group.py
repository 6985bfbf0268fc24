"""One transaction of a room that carries out a group of commands, each of them for itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from muster_kit.db.faults import ConflictError, DatabaseAwayError, fault_of, without_values
from muster_kit.db.group_commit import cancelled_inside, is_being_cancelled
from muster_kit.db.idempotency import Answers, Claim
from muster_kit.db.publications import Run
from muster_kit.db.room_statements import RoomStatements
from muster_kit.db.room_transaction import EncodeEvent, RoomTransaction, new_epoch
from muster_kit.db.savepoints import Savepoints
from muster_kit.db.tables import RoomTables
from muster_kit.errors import MusterError, Reason

Outcome = object
"""What a command returned, or the exception it raised."""

_NOT_YET: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """Something to do in a room's transaction; with a claim, `execute` returns the answer's bytes."""

    execute: Callable[[RoomTransaction], Awaitable[object]]
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class RoomStorage:
    """How a service keeps its rooms."""

    tables: RoomTables
    statements: RoomStatements
    encode_event: EncodeEvent


class RoomGroup:
    """The transaction; made for one try, on a connection that commits when all is done.

    A command that fails leaves nothing and disturbs nobody. What befalls the transaction as a whole
    is raised: DatabaseAwayError, and ConflictError unless this is the last try; then that is the
    failure of the command it befell.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        storage: RoomStorage,
        *,
        organization_id: str,
        room_id: str,
        last_try: bool,
    ) -> None:
        self._connection = connection
        self._storage = storage
        self._organization_id = organization_id
        self._room_id = room_id
        self._last_try = last_try
        self._answers = Answers(())
        self._savepoints: Savepoints | None = None
        self._epoch = 0
        self._first_seq = 0
        self._now = _NOT_YET
        self._read_at = 0.0
        self._removed = False
        self.landed: list[RoomTransaction] = []

    @property
    def run(self) -> Run | None:
        """The events appended; None when there are none. Valid after the commit."""
        events = self._events()
        return Run(self._room_id, self._epoch, self._first_seq, events) if events else None

    async def carry_out(self, commands: Sequence[Command]) -> list[Outcome]:
        """Carry out commands of a room that exists; NOT_FOUND for each when it does not."""
        rows = await self._begin(self._storage.statements.begin, commands)
        if not rows:
            return await self._find_answers(commands)
        self._open(rows[0].epoch, rows[0].head_seq)
        return await self._outcomes(commands)

    async def create(self, command: Command) -> list[Outcome]:
        """Make the room and carry out its first command; ALREADY_EXISTS when there is one."""
        await self._begin(self._storage.statements.begin_without, [command])
        if (answered := self._answered(command)) is not None:
            return [answered]
        epoch = new_epoch()
        created = await self._connection.execute(
            self._storage.statements.create, {**self._names(), "epoch": epoch}
        )
        if created.one_or_none() is None:
            await self._connection.rollback()
            return [MusterError(Reason.ALREADY_EXISTS)]
        self._open(epoch, 0)
        return await self._outcomes([command])

    async def _begin(self, statement: TextClause, commands: Sequence[Command]) -> Sequence[Row[Any]]:
        self._answers = Answers(command.claim for command in commands)
        rows = (await self._connection.execute(statement, self._names() | self._answers.claimed)).all()
        self._read_at = time.monotonic()
        if rows:
            self._now = rows[0].now
        for row in rows:
            self._answers.found(row)
        return rows

    def _open(self, epoch: int, head_seq: int) -> None:
        self._epoch = epoch
        self._first_seq = head_seq + 1

    async def _outcomes(self, commands: Sequence[Command]) -> list[Outcome]:
        if len(commands) > 1:
            self._savepoints = Savepoints(self._connection)
        last = len(commands) - 1
        outcomes = [
            await self._outcome(command, more=position < last) for position, command in enumerate(commands)
        ]
        await self._finish()
        return outcomes

    async def _outcome(self, command: Command, *, more: bool) -> Outcome:
        if (answered := self._answered(command)) is not None:
            return answered
        if self._removed:
            return MusterError(Reason.NOT_FOUND)
        transaction = self._part()
        try:
            if self._savepoints:
                await self._savepoints.begin()
            result = await _executed(command, transaction)
            if self._savepoints:
                await self._savepoints.keep(more=more)
        except Exception as error:  # noqa: BLE001 - it is raised again, in the command's caller
            failure = self._own_failure(error)
            await self._undo()
            return failure
        self.landed.append(transaction)
        self._removed |= transaction.fate.removed
        if command.claim is not None:
            self._answers.give(command.claim, cast("bytes", result))
        return result

    def _answered(self, command: Command) -> Outcome | None:
        try:
            return self._answers.of(command.claim)
        except MusterError as error:
            return error

    def _part(self) -> RoomTransaction:
        elapsed = timedelta(seconds=time.monotonic() - self._read_at)
        return RoomTransaction(
            self._connection,
            # Never ahead of the database's clock, which the next group reads again.
            self._now + elapsed,
            self._organization_id,
            room_id=self._room_id,
            tables=self._storage.tables,
            encode_event=self._storage.encode_event,
            first_seq=self._first_seq + sum(len(part.payloads) for part in self.landed),
        )

    def _own_failure(self, error: Exception) -> Exception:
        fault = fault_of(error)
        if isinstance(fault, DatabaseAwayError) or (isinstance(fault, ConflictError) and not self._last_try):
            raise fault
        return fault or without_values(error) or error

    async def _undo(self) -> None:
        if self._savepoints:
            await self._savepoints.undo()
        else:
            await self._connection.rollback()

    async def _find_answers(self, commands: Sequence[Command]) -> list[Outcome]:
        """Answer what was answered while the room was there; it may be gone because of that."""
        statement = self._storage.statements.find
        for row in await self._connection.execute(statement, self._names() | self._answers.claimed):
            self._answers.found(row)
        answered = (self._answered(command) for command in commands)
        # An answer may well be empty: what a message of defaults serializes to.
        return [MusterError(Reason.NOT_FOUND) if each is None else each for each in answered]

    async def _finish(self) -> None:
        if not self.landed:
            # The claims go with it.
            await self._connection.rollback()
            return
        events = self._events()
        times = [part.now for part in self.landed for _ in part.payloads]
        values = {
            "head_seq": self._first_seq - 1 + len(events),
            "event_seq": list(range(self._first_seq, self._first_seq + len(events))),
            "event_payload": events,
            "event_create_time": times[: len(events)],
        }
        await self._connection.execute(
            self._storage.statements.finish,
            self._names() | values | self._answers.answered,
        )
        if abandoned := self._answers.abandoned:
            keys = [{"caller_id": claim.caller_id, "request_id": claim.request_id} for claim in abandoned]
            await self._connection.execute(
                self._storage.statements.drop, [self._names() | key for key in keys]
            )

    def _events(self) -> list[bytes]:
        """The events appended: none of a room that is gone, by whatever command of the group."""
        return [] if self._removed else [payload for part in self.landed for payload in part.payloads]

    def _names(self) -> dict[str, object]:
        return {"organization_id": self._organization_id, "room_id": self._room_id}


async def _executed(command: Command, transaction: RoomTransaction) -> object:
    try:
        return await command.execute(transaction)
    except asyncio.CancelledError as error:
        if is_being_cancelled():
            raise
        raise cancelled_inside(error) from error
