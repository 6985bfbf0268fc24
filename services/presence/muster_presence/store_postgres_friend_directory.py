"""Friendships in PostgreSQL, as they are read."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from muster_kit.db import Database, Transaction
from sqlalchemy import Row, text

from muster_presence.model_friends import Friendship, Standing
from muster_presence.person_rooms import begin_logs, friends_room
from muster_presence.shared_reads import SharedReads
from muster_presence.store_friends import FriendFilter, ListedFriendship
from muster_presence.store_postgres_friends import keep_names

_MOST_IN_SNAPSHOT: Final = 1000
_SNAPSHOTS_AT_ONCE: Final = 64
_IN_SNAPSHOT: Final = [Standing.REQUESTED.value, Standing.RECEIVED.value, Standing.FRIENDS.value]

# Each half of the bonds has an index of its own, and nobody has more of them than the limits say.
_SEEN: Final = """
WITH bonds AS (
    SELECT first_user_id AS reader_id, second_user_id AS other_id, bond, requester_id, note, change_time
    FROM presence.friendship
    WHERE organization_id = :organization_id AND first_user_id = ANY (CAST(:readers AS text[]))
    UNION ALL
    SELECT second_user_id, first_user_id, bond, requester_id, note, change_time FROM presence.friendship
    WHERE organization_id = :organization_id AND second_user_id = ANY (CAST(:readers AS text[]))
), blocks AS (
    SELECT user_id AS reader_id, blocked_user_id AS other_id, create_time FROM presence.friend_block
    WHERE organization_id = :organization_id AND user_id = ANY (CAST(:readers AS text[]))
), seen AS (
    SELECT reader_id, other_id,
        CASE WHEN blocks.create_time IS NOT NULL THEN 4
             WHEN bond = 'friends' THEN 3
             WHEN bond = 'pending' AND requester_id = reader_id THEN 1
             WHEN bond = 'pending' THEN 2
             ELSE 5 END AS standing,
        CASE WHEN blocks.create_time IS NULL THEN note ELSE '' END AS note,
        coalesce(blocks.create_time, change_time) AS change_time
    FROM bonds FULL JOIN blocks USING (reader_id, other_id)
), listed AS (
    SELECT reader_id, other_id, standing, note, change_time,
        coalesce(display_name, '') AS display_name, coalesce(sort_name, '') AS sort_name
    FROM seen LEFT JOIN presence.friend_name AS name
    ON name.organization_id = :organization_id AND name.user_id = other_id
    WHERE standing = ANY (CAST(:standings AS integer[]))
)
"""

_LIST: Final = text(f"""{_SEEN}
SELECT * FROM listed
WHERE (CAST(:user_ids AS text[]) IS NULL OR other_id = ANY (CAST(:user_ids AS text[])))
  AND (CAST(:after_name AS text) IS NULL OR (sort_name, other_id) > (
    CAST(:after_name AS text) COLLATE "C", CAST(:after_id AS text) COLLATE "C"
  ))
ORDER BY sort_name, other_id
LIMIT :limit
""")  # noqa: S608 - made of the constant above

# One statement sees one moment: what is listed is what there was after the event that is the head.
_SNAPSHOTS: Final = text(f"""{_SEEN}
SELECT reader.user_id AS reader_id, log.head_seq, placed.other_id, placed.standing, placed.note,
    placed.change_time, placed.display_name
FROM unnest(CAST(:readers AS text[]), CAST(:room_ids AS text[])) AS reader (user_id, room_id)
LEFT JOIN presence.room_log AS log ON log.room_id = reader.room_id
LEFT JOIN (
    SELECT *, row_number() OVER (PARTITION BY reader_id ORDER BY sort_name, other_id) AS place FROM listed
) AS placed ON placed.reader_id = reader.user_id AND placed.place <= :limit
ORDER BY reader.user_id, placed.place
""")  # noqa: S608 - made of the constant above

_FRIEND_IDS: Final = text("""
SELECT first_user_id, second_user_id FROM presence.friendship
WHERE organization_id = :organization_id AND bond = 'friends'
  AND first_user_id = ANY (CAST(:user_ids AS text[]))
UNION ALL
SELECT second_user_id, first_user_id FROM presence.friendship
WHERE organization_id = :organization_id AND bond = 'friends'
  AND second_user_id = ANY (CAST(:user_ids AS text[]))
""")

_SWEEP_DECLINED: Final = text(
    "DELETE FROM presence.friendship WHERE bond = 'declined' AND change_time < :before"
)
_SWEEP_RATES: Final = text("DELETE FROM presence.friend_rate WHERE window_start < :before")


class PostgresFriendDirectory:
    """`FriendDirectory` over the tables of the first migrations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._beginnings = SharedReads(database, _begin)
        self._snapshots = SharedReads(database, _snapshots, most=_SNAPSHOTS_AT_ONCE)

    async def list_friends(
        self,
        organization_id: str,
        user_id: str,
        wanted: FriendFilter,
        *,
        after: tuple[str, str] | None,
        limit: int,
    ) -> Sequence[ListedFriendship]:
        """Return friendships by sort name and id, from behind `after` on."""
        after_name, after_id = after or (None, None)
        values = {
            "organization_id": organization_id,
            "readers": [user_id],
            "standings": sorted(standing.value for standing in wanted.standings),
            "user_ids": None if wanted.user_ids is None else sorted(wanted.user_ids),
            "after_name": after_name,
            "after_id": after_id,
            "limit": limit,
        }
        async with self._database.transaction(organization_id) as transaction:
            rows = (await transaction.connection.execute(_LIST, values)).all()
        return [ListedFriendship(_friendship(row), row.sort_name) for row in rows]

    async def snapshot(self, organization_id: str, user_id: str) -> tuple[int, Sequence[Friendship]]:
        """Return friends and open requests by name at one moment of the person's log, and its seq then."""
        return await self._snapshots.ask(organization_id, user_id) or (0, ())

    async def begin(self, organization_id: str, user_id: str, display_name: str) -> None:
        """Let the person have a log, unless they do, and remember by which name they go."""
        await self._beginnings.ask(organization_id, (user_id, display_name))

    async def friend_ids(self, organization_id: str, user_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Return who is friends with each of these people."""
        found: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
        wanted = {"organization_id": organization_id, "user_ids": list(user_ids)}
        async with self._database.transaction(organization_id) as transaction:
            for user_id, friend_id in await transaction.connection.execute(_FRIEND_IDS, wanted):
                found[user_id].add(friend_id)
        return {user_id: frozenset(friends) for user_id, friends in found.items()}


async def sweep_friends(writer_database: Database, *, pause: timedelta, longest_window: timedelta) -> None:
    """Forget refusals after which the same may be asked again, and counts of windows that are over.

    For the writer's role; safe to run in several processes.
    """

    async def once(transaction: Transaction) -> None:
        before = {"before": transaction.now - pause}
        await transaction.connection.execute(_SWEEP_DECLINED, before)
        await transaction.connection.execute(_SWEEP_RATES, {"before": transaction.now - longest_window})

    await writer_database.run("", once, repeatable=True)


async def _begin(
    transaction: Transaction, people: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], None]:
    # In the order in which whoever changes something writes, so that nobody waits in a circle.
    await keep_names(transaction, dict(people))
    rooms = {friends_room(transaction.organization_id, user_id) for user_id, _ in people}
    await begin_logs(transaction, sorted(rooms))
    return {}


async def _snapshots(
    transaction: Transaction, user_ids: Sequence[str]
) -> Mapping[str, tuple[int, Sequence[Friendship]]]:
    readers = sorted(set(user_ids))
    values = {
        "organization_id": transaction.organization_id,
        "readers": readers,
        "room_ids": [friends_room(transaction.organization_id, user_id) for user_id in readers],
        "standings": _IN_SNAPSHOT,
        "limit": _MOST_IN_SNAPSHOT,
    }
    found: dict[str, tuple[int, list[Friendship]]] = {}
    for row in await transaction.connection.execute(_SNAPSHOTS, values):
        _, friendships = found.setdefault(row.reader_id, (row.head_seq or 0, []))
        # There is one row of each reader at least, of nobody when nobody is listed.
        if row.other_id is not None:
            friendships.append(_friendship(row))
    return found


def _friendship(row: Row[Any]) -> Friendship:
    return Friendship(
        user_id=row.other_id,
        display_name=row.display_name,
        standing=Standing(row.standing),
        note=row.note,
        change_time=row.change_time,
    )
