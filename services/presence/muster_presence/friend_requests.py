"""The write path of friendships: each request once, and whoever watches hears of it after the commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import TypeAlias, TypeVar
from weakref import WeakValueDictionary

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.db import Requests, Transaction
from muster_kit.db.publications import Publications, Run

from muster_presence.convert_friends import inbox_notice
from muster_presence.store_friends import Friends
from muster_presence.store_postgres_friends import PostgresFriends, Told
from muster_presence.store_postgres_inbox import PostgresInboxes

T = TypeVar("T")

Regrouped: TypeAlias = Callable[[str, AbstractSet[str]], None]
"""Hears, by organization, who has other friends now."""


class FriendInboxes:
    """`Inboxes` as the store of friendships asks for them."""

    def __init__(self, kept: timedelta) -> None:
        """Nothing waits in an inbox longer than `kept`."""
        self._kept = kept

    async def put(self, transaction: Transaction, told: Told) -> Sequence[Run]:
        """Append to the inbox of each who is named; return what to publish after the commit."""
        if not told:
            return ()
        inboxes = PostgresInboxes(transaction, self._kept)
        await inboxes.put({user_id: inbox_notice(what) for user_id, what in told})
        return inboxes.runs


class FriendRequests:
    """Carries out use cases on the friendships of the caller's organization.

    Those that are about the same person wait for each other in the store, each on a connection. So of this
    process only one at a time goes there: a crowd that cheers one person leaves connections to the others.
    """

    def __init__(
        self,
        requests: Requests,
        bind: Callable[[Transaction], PostgresFriends],
        publications: Publications,
        on_regrouped: Regrouped,
    ) -> None:
        """`bind` makes the store a use case works with."""
        self._requests = requests
        self._bind = bind
        self._publications = publications
        self._on_regrouped = on_regrouped
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def run(
        self,
        caller: Caller,
        use_case: Callable[[Friends], Awaitable[T]],
        *,
        about: str,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out a use case `about` a user, once for a `request_id`; return the serialized answer.

        Raises what the use case raises, REQUEST_ID_REUSED and UNAVAILABLE.
        """

        async def work(transaction: Transaction) -> tuple[T, PostgresFriends]:
            friends = self._bind(transaction)
            return await use_case(friends), friends

        async with self._turn(caller.organization_id, about):
            return await self._requests.run(
                caller,
                work,
                request=request,
                encode=lambda done: encode(done[0]),
                landed=lambda done: self.announce(done[1]),
            )

    def announce(self, friends: PostgresFriends) -> None:
        """Let everybody hear of what was committed."""
        for run in friends.runs:
            self._publications.offer(run)
        if friends.regrouped:
            self._on_regrouped(friends.organization_id, friends.regrouped)

    def _turn(self, organization_id: str, user_id: str) -> asyncio.Lock:
        # It is there for as long as somebody has it or waits for it.
        return self._turns.setdefault((organization_id, user_id), asyncio.Lock())
