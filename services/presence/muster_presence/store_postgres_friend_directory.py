"""Friendships in PostgreSQL, as they are read."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from muster_kit.db import Database, Transaction
from sqlalchemy import Row, text

from muster_presence.model_friends import Friendship, Standing
from muster_presence.person_rooms import begin_log, friends_room
from muster_presence.store_friends import FriendFilter, ListedFriendship
from muster_presence.store_postgres_friends import keep_name

_IN_SNAPSHOT: Final = [Standing.REQUESTED.value, Standing.RECEIVED.value, Standing.FRIENDS.value]

# Each half of the bonds has an index of its own, and nobody has more of them than the limits say.
_SEEN: Final = """
WITH bonds AS (
    SELECT second_user_id AS other_id, bond, requester_id, note, change_time FROM presence.friendship
    WHERE organization_id = :organization_id AND first_user_id = :user_id
    UNION ALL
    SELECT first_user_id, bond, requester_id, note, change_time FROM presence.friendship
    WHERE organization_id = :organization_id AND second_user_id = :user_id
), blocks AS (
    SELECT blocked_user_id AS other_id, create_time FROM presence.friend_block
    WHERE organization_id = :organization_id AND user_id = :user_id
), seen AS (
    SELECT other_id,
        CASE WHEN blocks.create_time IS NOT NULL THEN 4
             WHEN bond = 'friends' THEN 3
             WHEN bond = 'pending' AND requester_id = :user_id THEN 1
             WHEN bond = 'pending' THEN 2
             ELSE 5 END AS standing,
        CASE WHEN blocks.create_time IS NULL THEN note ELSE '' END AS note,
        coalesce(blocks.create_time, change_time) AS change_time
    FROM bonds FULL JOIN blocks USING (other_id)
)
"""

_LISTED: Final = f"""{_SEEN}
SELECT other_id, standing, note, change_time, coalesce(display_name, '') AS display_name,
    coalesce(sort_name, '') AS sort_name
FROM seen LEFT JOIN presence.friend_name AS name
ON name.organization_id = :organization_id AND name.user_id = other_id
WHERE standing = ANY (CAST(:standings AS integer[]))
  AND (CAST(:user_ids AS text[]) IS NULL OR other_id = ANY (CAST(:user_ids AS text[])))
  AND (CAST(:after_name AS text) IS NULL OR (coalesce(sort_name, ''), other_id) > (
    CAST(:after_name AS text) COLLATE "C", CAST(:after_id AS text) COLLATE "C"
  ))
ORDER BY coalesce(sort_name, ''), other_id
LIMIT :limit
"""  # noqa: S608 - made of the constant above

_LIST: Final = text(_LISTED)

# One statement sees one moment: what is listed is what there was after the event that is the head.
_SNAPSHOT: Final = text(f"""
SELECT (SELECT head_seq FROM presence.room_log WHERE room_id = :room_id) AS head_seq, listed.*
FROM (SELECT) AS here LEFT JOIN ({_LISTED}) AS listed ON true
ORDER BY sort_name, other_id
""")  # noqa: S608 - made of the constants above

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
        values = _values(organization_id, user_id, wanted, after=after, limit=limit)
        async with self._database.transaction(organization_id) as transaction:
            rows = (await transaction.connection.execute(_LIST, values)).all()
        return [ListedFriendship(_friendship(row), row.sort_name) for row in rows]

    async def snapshot(
        self, organization_id: str, user_id: str, *, limit: int
    ) -> tuple[int, Sequence[Friendship]]:
        """Return friends and open requests by name at one moment of the person's log, and its seq then."""
        wanted = FriendFilter(frozenset(map(Standing, _IN_SNAPSHOT)))
        room = {"room_id": friends_room(organization_id, user_id)}
        values = room | _values(organization_id, user_id, wanted, after=None, limit=limit)
        async with self._database.transaction(organization_id) as transaction:
            rows = (await transaction.connection.execute(_SNAPSHOT, values)).all()
        # There is one row at least, of nobody when nobody is listed.
        return rows[0].head_seq or 0, [_friendship(row) for row in rows if row.other_id is not None]

    async def begin(self, organization_id: str, user_id: str, display_name: str) -> None:
        """Let the person have a log, unless they do, and remember by which name they go."""
        async with self._database.transaction(organization_id) as transaction:
            await begin_log(transaction, friends_room(organization_id, user_id))
            await keep_name(transaction, user_id, display_name)

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


def _values(
    organization_id: str,
    user_id: str,
    wanted: FriendFilter,
    *,
    after: tuple[str, str] | None,
    limit: int,
) -> dict[str, object]:
    after_name, after_id = after or (None, None)
    return {
        "organization_id": organization_id,
        "user_id": user_id,
        "standings": sorted(standing.value for standing in wanted.standings),
        "user_ids": None if wanted.user_ids is None else sorted(wanted.user_ids),
        "after_name": after_name,
        "after_id": after_id,
        "limit": limit,
    }


def _friendship(row: Row[Any]) -> Friendship:
    return Friendship(
        user_id=row.other_id,
        display_name=row.display_name,
        standing=Standing(row.standing),
        note=row.note,
        change_time=row.change_time,
    )
