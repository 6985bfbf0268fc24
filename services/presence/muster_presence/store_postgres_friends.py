"""Friendships in PostgreSQL, as transactions change them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias

from muster_kit.db import Transaction
from muster_kit.db.publications import Run
from muster_kit.errors import MusterError, Reason
from muster_kit.sort_keys import sort_key
from sqlalchemy import Row, TextClause, text

from muster_presence.model_friends import Bond, Friendship, OpenCounts, Pair, Rate, Reaction
from muster_presence.person_rooms import append_events, friends_room, person_lock

Told: TypeAlias = Sequence[tuple[str, Friendship | Reaction]]
EncodeFriendsEvent: TypeAlias = Callable[[Friendship | Reaction, int, datetime], bytes]
"""Serializes an event of WatchFriends, given its seq and its time."""

# Whatever changes what is between two people holds both: what they have is counted, and it may not grow
# meanwhile. People are locked in the order of their ids, so that nobody waits in a circle.
_LOCK: Final = text("""
SELECT pg_advisory_xact_lock(hashtextextended(person, 0)) FROM unnest(CAST(:people AS text[])) AS person
""")

# A statement of its own, so that it sees what was committed before the locks were had.
_PAIR: Final = text("""
SELECT bond, requester_id, note, change_time,
    first_block.create_time AS first_blocks, second_block.create_time AS second_blocks
FROM (SELECT) AS here
LEFT JOIN presence.friendship ON organization_id = :organization_id
    AND first_user_id = :first_id AND second_user_id = :second_id
LEFT JOIN presence.friend_block AS first_block ON first_block.organization_id = :organization_id
    AND first_block.user_id = :first_id AND first_block.blocked_user_id = :second_id
LEFT JOIN presence.friend_block AS second_block ON second_block.organization_id = :organization_id
    AND second_block.user_id = :second_id AND second_block.blocked_user_id = :first_id
""")

_BIND: Final = text("""
INSERT INTO presence.friendship
    (organization_id, first_user_id, second_user_id, bond, requester_id, note, change_time)
VALUES (:organization_id, :first_id, :second_id, :bond, :requester_id, :note, :change_time)
ON CONFLICT (organization_id, first_user_id, second_user_id) DO UPDATE
SET bond = excluded.bond, requester_id = excluded.requester_id, note = excluded.note,
    change_time = excluded.change_time
""")

_UNBIND: Final = text("""
DELETE FROM presence.friendship WHERE organization_id = :organization_id
AND first_user_id = :first_id AND second_user_id = :second_id
""")

_BLOCK: Final = text("""
INSERT INTO presence.friend_block (organization_id, user_id, blocked_user_id, create_time)
VALUES (:organization_id, :user_id, :other_id, :create_time)
""")

_UNBLOCK: Final = text("""
DELETE FROM presence.friend_block
WHERE organization_id = :organization_id AND user_id = :user_id AND blocked_user_id = :other_id
""")

# Looked up first, since most names stay as they are: an upsert would hold the row, which is a write to disk.
_KEEP_NAMES: Final = text("""
INSERT INTO presence.friend_name (organization_id, user_id, display_name, sort_name)
SELECT :organization_id, user_id, display_name, sort_name FROM unnest(
    CAST(:user_ids AS text[]), CAST(:display_names AS text[]), CAST(:sort_names AS text[])
) AS given (user_id, display_name, sort_name)
WHERE NOT EXISTS (
    SELECT FROM presence.friend_name AS known WHERE known.organization_id = :organization_id
      AND known.user_id = given.user_id AND known.display_name = given.display_name
)
ORDER BY user_id
ON CONFLICT (organization_id, user_id) DO UPDATE
SET display_name = excluded.display_name, sort_name = excluded.sort_name
""")

_NAMES: Final = text("""
SELECT user_id, display_name FROM presence.friend_name
WHERE organization_id = :organization_id AND user_id = ANY (CAST(:user_ids AS text[]))
""")

_COUNTS: Final = text("""
SELECT person,
    count(*) FILTER (WHERE bond = 'friends') AS friends,
    count(*) FILTER (WHERE bond = 'pending' AND requester_id = person) AS sent,
    count(*) FILTER (WHERE bond = 'pending' AND requester_id <> person AND NOT EXISTS (
        SELECT FROM presence.friend_block WHERE organization_id = :organization_id
        AND user_id = person AND blocked_user_id = requester_id
    )) AS received
FROM unnest(CAST(:user_ids AS text[])) AS person CROSS JOIN LATERAL (
    SELECT bond, requester_id FROM presence.friendship
    WHERE organization_id = :organization_id AND first_user_id = person
    UNION ALL
    SELECT bond, requester_id FROM presence.friendship
    WHERE organization_id = :organization_id AND second_user_id = person
) AS bonds
GROUP BY person
""")

_BLOCK_COUNT: Final = text("""
SELECT count(*) AS blocks FROM presence.friend_block
WHERE organization_id = :organization_id AND user_id = :user_id
""")

# A window begins with the first that is counted in it.
_SPEND: Final = text("""
INSERT INTO presence.friend_rate AS rate (organization_id, user_id, subject, window_start, used)
VALUES (:organization_id, :user_id, :subject, :now, 1)
ON CONFLICT (organization_id, user_id, subject) DO UPDATE SET
    window_start = CASE WHEN rate.window_start > :since THEN rate.window_start ELSE :now END,
    used = CASE WHEN rate.window_start > :since THEN rate.used + 1 ELSE 1 END
RETURNING window_start, used
""")


class Inboxes(Protocol):
    """Puts what friends do into people's inboxes, in the transaction in which they do it."""

    async def put(self, transaction: Transaction, told: Told, /) -> Sequence[Run]:
        """Append to the inbox of each who is named; return what to publish after the commit."""
        ...


@dataclass(slots=True, eq=False)
class PostgresFriends:
    """`Friends` over the tables of the first migrations; `runs` are for who commits to publish."""

    transaction: Transaction
    encode_event: EncodeFriendsEvent
    inboxes: Inboxes
    runs: list[Run] = field(default_factory=list)
    regrouped: set[str] = field(default_factory=set)
    """Who has other friends now."""

    @property
    def organization_id(self) -> str:
        """Whose they are."""
        return self.transaction.organization_id

    @property
    def now(self) -> datetime:
        """The time of the transaction."""
        return self.transaction.now

    async def lock(self, pair: Pair) -> Pair:
        """Return what there is between two people, who are locked until the end."""
        people = [person_lock(self.organization_id, each) for each in (pair.first_id, pair.second_id)]
        await self._run(_LOCK, people=people)
        (row,) = await self._run(_PAIR, first_id=pair.first_id, second_id=pair.second_id)
        times = {pair.first_id: row.first_blocks, pair.second_id: row.second_blocks}
        return Pair(
            first_id=pair.first_id,
            second_id=pair.second_id,
            bond=Bond(row.bond or Bond.NONE),
            requester_id=row.requester_id or "",
            note=row.note or "",
            change_time=row.change_time,
            blocks={user_id: since for user_id, since in times.items() if since is not None},
        )

    async def save(self, before: Pair, after: Pair) -> None:
        """Write what is between two people who are locked."""
        ids = {"first_id": after.first_id, "second_id": after.second_id}
        if after.bond is Bond.NONE and before.bond is not Bond.NONE:
            await self._run(_UNBIND, **ids)
        elif (after.bond, after.requester_id, after.change_time) != (
            before.bond,
            before.requester_id,
            before.change_time,
        ):
            bond = {"bond": after.bond.value, "requester_id": after.requester_id}
            await self._run(_BIND, **ids, **bond, note=after.note, change_time=after.change_time)
        for user_id in after.blocks.keys() - before.blocks.keys():
            since = after.blocks[user_id]
            await self._run(_BLOCK, user_id=user_id, other_id=after.other(user_id), create_time=since)
        for user_id in before.blocks.keys() - after.blocks.keys():
            await self._run(_UNBLOCK, user_id=user_id, other_id=after.other(user_id))
        if (before.bond is Bond.FRIENDS) != (after.bond is Bond.FRIENDS):
            self.regrouped |= {after.first_id, after.second_id}

    async def keep_name(self, user_id: str, display_name: str) -> None:
        """Remember by which name someone goes."""
        await keep_names(self.transaction, {user_id: display_name})

    async def names(self, user_ids: Sequence[str]) -> Mapping[str, str]:
        """Return by which names people go, as far as they are known."""
        return {row.user_id: row.display_name for row in await self._run(_NAMES, user_ids=list(user_ids))}

    async def counts(self, user_ids: Sequence[str]) -> Mapping[str, OpenCounts]:
        """Return what people have."""
        rows = await self._run(_COUNTS, user_ids=list(user_ids))
        found = {row.person: OpenCounts(row.friends, row.sent, row.received) for row in rows}
        return {user_id: found.get(user_id, OpenCounts(0, 0, 0)) for user_id in user_ids}

    async def block_count(self, user_id: str) -> int:
        """Return how many people someone blocks."""
        (row,) = await self._run(_BLOCK_COUNT, user_id=user_id)
        return int(row.blocks)

    async def spend(self, user_id: str, subject: str, rate: Rate) -> None:
        """Count something that a locked person does; RATE_LIMITED when it is too much."""
        since = self.now - rate.window
        (row,) = await self._run(_SPEND, user_id=user_id, subject=subject, now=self.now, since=since)
        if row.used > rate.most:
            # The count goes back with the transaction.
            left = row.window_start + rate.window - self.now
            raise MusterError(Reason.RATE_LIMITED, retry_after=left, detail=f"too many of {subject}")

    async def tell(self, told: Told) -> None:
        """Tell people of a change or a sign, each as they have it."""
        rooms = {friends_room(self.organization_id, user_id): [self._encoder(what)] for user_id, what in told}
        self.runs += await append_events(self.transaction, rooms)
        self.runs += await self.inboxes.put(self.transaction, told)

    def _encoder(self, what: Friendship | Reaction) -> Callable[[int, datetime], bytes]:
        return lambda seq, now: self.encode_event(what, seq, now)

    async def _run(self, statement: TextClause, **values: object) -> Sequence[Row[Any]]:
        names = {"organization_id": self.organization_id} | values
        result = await self.transaction.connection.execute(statement, names)
        return result.all() if result.returns_rows else ()


async def keep_names(transaction: Transaction, names: Mapping[str, str]) -> None:
    """Remember by which names people go, by user; an empty one changes nothing."""
    known = {user_id: name for user_id, name in names.items() if name}
    if known:
        values = {
            "organization_id": transaction.organization_id,
            "user_ids": list(known),
            "display_names": list(known.values()),
            "sort_names": [sort_key(name) for name in known.values()],
        }
        await transaction.connection.execute(_KEEP_NAMES, values)
