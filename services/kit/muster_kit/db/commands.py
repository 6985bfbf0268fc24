"""The write path of rooms: commands in, committed and published events out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Generic, TypeVar, cast

import structlog
from google.protobuf.message import Message

from muster_kit.caller import Caller
from muster_kit.db.engine import Database
from muster_kit.db.faults import ConflictError, DatabaseAwayError, unavailable
from muster_kit.db.group_commit import GroupCommit
from muster_kit.db.idempotency import claim_of
from muster_kit.db.publications import Publications, Publisher
from muster_kit.db.room_group import Command, Outcome, RoomGroup, RoomStorage
from muster_kit.db.room_statements import room_statements
from muster_kit.db.room_transaction import EncodeEvent, RoomTransaction
from muster_kit.db.tables import RoomTables
from muster_kit.errors import MusterError, Reason

S = TypeVar("S")
T = TypeVar("T")

_log = structlog.get_logger(__name__)

# PostgreSQL remembers 64 subtransactions a backend; beyond, every snapshot on the server slows down.
_MAX_GROUP: Final = 64
# A few seconds of work, such as a thousand players who join at once.
_MAX_WAITING: Final = 4096


@dataclass(frozen=True, slots=True)
class _Target:
    """What a queue's commands write: a room, or one that they make."""

    organization_id: str
    room_id: str
    creates: bool = False


class Commands(Generic[S]):
    """Carries out commands on rooms, each in its room's order, exactly once, durably.

    The commands of a room that arrive while others are on their way make the next group: one
    transaction, in which each has a savepoint of its own. Across processes the lock on the room's
    row in `room_log` makes the order. Callers hear of it after the commit; then the events are
    published as one run. A command that fails (its error goes to its caller alone) leaves nothing
    behind and uses up no seq.

    A request with a `request_id` has its effect once, however often it comes: the answer is stored
    with the effect. It is therefore repeated when the connection is lost in the commit; a request
    without one is then answered UNAVAILABLE, and may have had its effect.

    A command may run twice before it has its effect, so it must keep to its transaction, and to
    `after_commit` for anything else. It must not wait for another connection of the same pool.
    """

    def __init__(
        self,
        database: Database,
        tables: RoomTables,
        *,
        bind: Callable[[RoomTransaction], S],
        encode_event: EncodeEvent,
        publisher: Publisher,
        wake: Callable[[datetime], None] | None = None,
        time_limit: timedelta = timedelta(seconds=20),
    ) -> None:
        """`bind` makes the store a use case works with; `wake` hears of every deadline set here.

        A group that takes longer than `time_limit` is given up, UNAVAILABLE: a use case that hangs
        would otherwise hold its room for good.
        """
        self._database = database
        self._storage = RoomStorage(tables, room_statements(tables), encode_event)
        self._bind = bind
        self._publications = Publications(publisher)
        self._wake = wake
        self._time_limit_seconds = time_limit.total_seconds()
        self._queues: dict[_Target, GroupCommit[Command, Outcome]] = {}
        self._closed = False

    async def run(
        self,
        caller: Caller,
        room_id: str,
        use_case: Callable[[S], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out a use case in a room of the caller's organization; return the serialized answer.

        Raises what the use case raises, NOT_FOUND, REQUEST_ID_REUSED, RATE_LIMITED, UNAVAILABLE.
        """
        claim = claim_of(caller, request, room_id=room_id)
        command = Command(self._answering(use_case, encode), claim)
        return cast("bytes", await self._submit(_Target(caller.organization_id, room_id), command))

    async def create(
        self,
        caller: Caller,
        room_id: str,
        use_case: Callable[[S], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Make a room and carry out its first use case; raises ALREADY_EXISTS, and what `run` does.

        `room_id` may be drawn anew for each call: a repeated request gets the first one's answer.
        """
        command = Command(self._answering(use_case, encode), claim_of(caller, request))
        target = _Target(caller.organization_id, room_id, creates=True)
        return cast("bytes", await self._submit(target, command))

    async def system(self, organization_id: str, room_id: str, use_case: Callable[[S], Awaitable[T]]) -> T:
        """Carry out what no request asks for: timers, reconcilers. It has to know itself if it is done."""

        async def execute(transaction: RoomTransaction) -> T:
            return await use_case(self._bind(transaction))

        return cast("T", await self._submit(_Target(organization_id, room_id), Command(execute)))

    async def close(self) -> None:
        """Refuse new commands, finish those that are here, publish their events."""
        self._closed = True
        await asyncio.gather(*(queue.close() for queue in list(self._queues.values())))
        await self._publications.close()

    def _answering(
        self, use_case: Callable[[S], Awaitable[T]], encode: Callable[[T], Message]
    ) -> Callable[[RoomTransaction], Awaitable[bytes]]:
        async def execute(transaction: RoomTransaction) -> bytes:
            # Encoded inside, so that an answer that cannot be encoded undoes its command.
            return encode(await use_case(self._bind(transaction))).SerializeToString()

        return execute

    async def _submit(self, target: _Target, command: Command) -> Outcome:
        if self._closed:
            raise MusterError(Reason.DRAINING)
        # PostgreSQL takes no such text: it cannot be a room's id.
        if "\0" in target.room_id:
            raise MusterError(Reason.NOT_FOUND)
        if (queue := self._queues.get(target)) is None:
            queue = self._queues[target] = GroupCommit(
                partial(self._commit, target),
                max_items=1 if target.creates else _MAX_GROUP,
                max_waiting=_MAX_WAITING,
                on_idle=lambda: self._forget(target),
            )
        return await queue.submit(command)

    def _forget(self, target: _Target) -> None:
        del self._queues[target]

    async def _commit(self, target: _Target, commands: Sequence[Command]) -> Sequence[Outcome]:
        try:
            return await self._try(target, commands)
        except ConflictError:
            return await self._try(target, commands, last_try=True)
        except DatabaseAwayError as error:
            _log.warning("group_lost", room_id=target.room_id, commands=len(commands), error=error.detail)
            again = [c for c in commands if c.claim is not None or not error.commit_unknown]
            outcomes = iter(await self._try(target, again, last_try=True) if again else ())
            return [next(outcomes) if c in again else error for c in commands]

    async def _try(
        self, target: _Target, commands: Sequence[Command], *, last_try: bool = False
    ) -> list[Outcome]:
        try:
            async with asyncio.timeout(self._time_limit_seconds), self._database.connection() as connection:
                group = RoomGroup(
                    connection,
                    self._storage,
                    organization_id=target.organization_id,
                    room_id=target.room_id,
                    last_try=last_try,
                )
                outcomes = await (group.create(commands[0]) if target.creates else group.carry_out(commands))
        except TimeoutError as error:
            raise unavailable(f"a group of {len(commands)} commands took too long") from error
        self._announce(group)
        return outcomes

    def _announce(self, group: RoomGroup) -> None:
        """Tell whoever wants to know of what is committed; no failure here may undo the answer."""
        if run := group.run:
            self._publications.offer(run)
        for landed in group.landed:
            if self._wake and landed.fire_times:
                _call(partial(self._wake, min(landed.fire_times)))
            for callback in landed.callbacks:
                _call(callback)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - what is committed must not fail any more
        _log.exception("after_commit_failed")
