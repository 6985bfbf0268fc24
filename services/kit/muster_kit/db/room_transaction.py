"""What a command of a room sees of its transaction."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import delete, update

from muster_kit.db.deadline_rows import Deadline, put_deadline, remove_claimed, remove_deadline
from muster_kit.db.engine import Transaction
from muster_kit.db.tables import RoomTables

EncodeEvent = Callable[[object, int, datetime], bytes]
"""Serializes an event of the service's, given its seq and its time."""


_EPOCH_BITS: Final = 63


def new_epoch() -> int:
    """Return what tells a log that begins from all others."""
    return secrets.randbits(_EPOCH_BITS)


@dataclass(slots=True)
class Fate:
    """What becomes of the room."""

    removed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RoomTransaction(Transaction):
    """One command's part of the room's running transaction; nobody else writes the room meanwhile.

    What the command did is undone if it raises. `now` never goes back from one command to the next.
    """

    room_id: str
    tables: RoomTables
    encode_event: EncodeEvent
    first_seq: int
    payloads: list[bytes] = field(default_factory=list)
    fire_times: list[datetime] = field(default_factory=list)
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    fate: Fate = field(default_factory=Fate)

    def append(self, event: object) -> int:
        """Append an event to the room's log and return its seq."""
        seq = self.first_seq + len(self.payloads)
        # At once, so that an event that cannot be encoded fails the command that appended it.
        self.payloads.append(self.encode_event(event, seq, self.now))
        return seq

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once this is durable; a hint, lost when the process dies in between."""
        self.callbacks.append(callback)

    async def set_deadline(self, key: str, fire_time: datetime, payload: bytes = b"") -> None:
        """Let something happen in this room at a time; replaces the room's deadline of that key."""
        await put_deadline(self, self.tables.deadline, self.room_id, key, fire_time, payload)
        self.fire_times.append(fire_time)

    async def cancel_deadline(self, key: str) -> None:
        """Let it not happen; nothing changes when there is no such deadline."""
        await remove_deadline(self, self.tables.deadline, self.room_id, key)

    async def complete_deadline(self, deadline: Deadline) -> bool:
        """Take the deadline off the list, together with the effect that this command gives it.

        False: it was set anew, cancelled, or belongs to another worker by now. Then do nothing.
        """
        return await remove_claimed(self, self.tables.deadline, deadline)

    async def begin_log_anew(self) -> None:
        """Remove the events of the log: no cursor into it counts any more, and its streams start over."""
        event, log = self.tables.room_event, self.tables.room_log
        await self.connection.execute(delete(event).where(event.c.room_id == self.room_id))
        await self.connection.execute(
            update(log).where(log.c.room_id == self.room_id).values(epoch=new_epoch())
        )

    async def remove_room(self) -> None:
        """Remove the room's log and its deadlines; the service's own rows are for the caller to remove.

        Events that were appended to it in the same transaction go with it, and are told to nobody.
        """
        for table in (self.tables.deadline, self.tables.room_event, self.tables.room_log):
            await self.connection.execute(delete(table).where(table.c.room_id == self.room_id))
        self.fate.removed = True
