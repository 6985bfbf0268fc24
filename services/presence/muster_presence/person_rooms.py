"""The log of what one person is told about friends: a room of the kit that several may write at once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from muster_kit.db import Transaction
from muster_kit.db.publications import Run
from muster_kit.db.room_transaction import new_epoch
from sqlalchemy import text

EncodeEvent: TypeAlias = Callable[[int, datetime], bytes]
"""Serializes an event, given its seq and its time."""

_FRIENDS: Final = "friends/"

KEPT_EVENTS: Final = 512
"""So many events can be read again, and up to twice as many; whoever is further behind begins anew."""

# Whoever appends holds the row until the end, so that seq order is commit order. In order of the rooms, so
# that two who append to the same ones wait for each other in one direction only.
_APPEND: Final = text("""
INSERT INTO presence.room_log AS log (room_id, organization_id, epoch, head_seq)
SELECT room_id, :organization_id, epoch, added FROM unnest(
    CAST(:room_ids AS text[]), CAST(:epochs AS bigint[]), CAST(:added AS bigint[])
) AS room (room_id, epoch, added)
ON CONFLICT (room_id) DO UPDATE SET head_seq = log.head_seq + excluded.head_seq
RETURNING room_id, epoch, head_seq, first_seq
""")

_BEGIN: Final = text("""
INSERT INTO presence.room_log (room_id, organization_id, epoch, head_seq)
SELECT room_id, :organization_id, epoch, 0
FROM unnest(CAST(:room_ids AS text[]), CAST(:epochs AS bigint[])) AS room (room_id, epoch)
ORDER BY room_id
ON CONFLICT (room_id) DO NOTHING
""")

_EVENTS: Final = text("""
INSERT INTO presence.room_event (room_id, organization_id, seq, payload, create_time)
SELECT room_id, :organization_id, seq, payload, :now FROM unnest(
    CAST(:room_ids AS text[]), CAST(:seqs AS bigint[]), CAST(:payloads AS bytea[])
) AS event (room_id, seq, payload)
""")

_TRIM: Final = text("""
WITH trimmed AS (
    UPDATE presence.room_log SET first_seq = :first_seq WHERE room_id = :room_id
)
DELETE FROM presence.room_event WHERE room_id = :room_id AND seq < :first_seq
""")


def friends_room(organization_id: str, user_id: str) -> str:
    """Return the room of what a person is told about friends; user ids are of one organization."""
    return f"{_FRIENDS}{len(organization_id)}:{organization_id}:{user_id}"


def friends_person(room_id: str) -> tuple[str, str] | None:
    """Return the organization and the person of such a room; None for another room."""
    if not room_id.startswith(_FRIENDS):
        return None
    size, rest = room_id.removeprefix(_FRIENDS).split(":", 1)
    return rest[: int(size)], rest[int(size) + 1 :]


def person_lock(organization_id: str, user_id: str) -> str:
    """Return the name of the lock that whoever changes a person's friendships holds."""
    return f"presence.{friends_room(organization_id, user_id)}"


async def begin_logs(transaction: Transaction, room_ids: Sequence[str]) -> None:
    """Make rooms, unless they are there: then nothing is written."""
    values = {"room_ids": list(room_ids), "epochs": [new_epoch() for _ in room_ids]}
    await transaction.connection.execute(_BEGIN, {**values, "organization_id": transaction.organization_id})


async def append_events(transaction: Transaction, told: Mapping[str, Sequence[EncodeEvent]]) -> Sequence[Run]:
    """Append events to rooms, which are made where there are none; return what to publish after the commit.

    Who appends to rooms of several kinds in one transaction keeps to one order of the kinds.
    """
    rooms = sorted(room_id for room_id, events in told.items() if events)
    if not rooms:
        return ()
    organization = {"organization_id": transaction.organization_id}
    heads = await transaction.connection.execute(
        _APPEND,
        {
            **organization,
            "room_ids": rooms,
            "epochs": [new_epoch() for _ in rooms],
            "added": [len(told[room_id]) for room_id in rooms],
        },
    )
    runs = []
    for head in heads.all():
        encoders = told[head.room_id]
        first_seq = head.head_seq - len(encoders) + 1
        events = [encode(first_seq + i, transaction.now) for i, encode in enumerate(encoders)]
        runs.append(Run(head.room_id, head.epoch, first_seq, events))
        if head.head_seq - head.first_seq >= 2 * KEPT_EVENTS:
            trim = {"room_id": head.room_id, "first_seq": head.head_seq - KEPT_EVENTS + 1}
            await transaction.connection.execute(_TRIM, trim)
    rows = [(run.room_id, run.first_seq + i, event) for run in runs for i, event in enumerate(run.events)]
    room_ids, seqs, payloads = (list(column) for column in zip(*rows, strict=True))
    values = {"now": transaction.now, "room_ids": room_ids, "seqs": seqs, "payloads": payloads}
    await transaction.connection.execute(_EVENTS, organization | values)
    return runs
