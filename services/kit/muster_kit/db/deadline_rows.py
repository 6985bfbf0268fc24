"""Rows of deadlines, as a transaction of their organization sets, cancels and completes them."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Table, delete
from sqlalchemy.dialects.postgresql import insert

from muster_kit.db.engine import Transaction


@dataclass(frozen=True, slots=True)
class Deadline:
    """Something that has to happen in a room at a time, as one worker has claimed it.

    `key` names it within the room. Only the claim with the row's present `fence` counts.
    """

    room_id: str
    key: str
    organization_id: str
    fire_time: datetime
    payload: bytes
    fence: int


async def put_deadline(
    transaction: Transaction, table: Table, room_id: str, key: str, fire_time: datetime, payload: bytes
) -> None:
    """Set a deadline, or set it anew; whoever has claimed it before has not any more."""
    row = {
        "organization_id": transaction.organization_id,
        "fire_time": fire_time,
        "payload": payload,
        # At random, for a deadline that was cancelled and set again must not fall to the claim on
        # the old one. Half of the range is left to the claims, which count up from here.
        "fence": secrets.randbits(62),
        "claim_expire_time": None,
    }
    statement = insert(table).values(room_id=room_id, key=key, **row)
    await transaction.connection.execute(
        statement.on_conflict_do_update(index_elements=["room_id", "key"], set_=row)
    )


async def remove_deadline(transaction: Transaction, table: Table, room_id: str, key: str) -> None:
    """Cancel a deadline; nothing happens when there is none."""
    await transaction.connection.execute(delete(table).where(table.c.room_id == room_id, table.c.key == key))


async def remove_claimed(transaction: Transaction, table: Table, deadline: Deadline) -> bool:
    """Remove a deadline if the claim on it still counts, and tell whether it did."""
    statement = (
        delete(table)
        .where(
            table.c.room_id == deadline.room_id,
            table.c.key == deadline.key,
            table.c.fence == deadline.fence,
        )
        .returning(table.c.key)
    )
    return (await transaction.connection.execute(statement)).one_or_none() is not None
