"""The write path of inboxes: each request once, and who is connected hears of it after the commit."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.db import Requests, Transaction
from muster_kit.db.publications import Publications

from muster_presence.store_inbox import Inboxes
from muster_presence.store_postgres_inbox import PostgresInboxes

T = TypeVar("T")


class InboxRequests:
    """Carries out use cases on the inboxes of the caller's organization."""

    def __init__(
        self,
        requests: Requests,
        bind: Callable[[Transaction], PostgresInboxes],
        publications: Publications,
    ) -> None:
        """`bind` makes the store a use case works with."""
        self._requests = requests
        self._bind = bind
        self._publications = publications

    async def run(
        self,
        caller: Caller,
        use_case: Callable[[Inboxes], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out a use case, once for a `request_id`; return the serialized answer.

        Raises what the use case raises, REQUEST_ID_REUSED and UNAVAILABLE.
        """

        async def work(transaction: Transaction) -> tuple[T, PostgresInboxes]:
            inboxes = self._bind(transaction)
            return await use_case(inboxes), inboxes

        return await self._requests.run(
            caller,
            work,
            request=request,
            encode=lambda done: encode(done[0]),
            landed=lambda done: self._announce(done[1]),
        )

    def _announce(self, inboxes: PostgresInboxes) -> None:
        for run in inboxes.runs:
            self._publications.offer(run)
