"""Erases people from all that presence keeps of them."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.db import Requests, Transaction

from muster_presence.model import ScopeId

EraseIntervals: TypeAlias = Callable[[Transaction, str, datetime], Awaitable[tuple[int, Collection[ScopeId]]]]
"""Erases someone's intervals up to now, also those that are not written yet; returns how many there were,
and where the person was of late."""
Eraser: TypeAlias = Callable[[Transaction, str], Awaitable[int]]
"""Erases all that one part of the service keeps of someone; returns how many records that were."""


class Forgetting(Protocol):
    """What erasing needs of the index; both raise UNAVAILABLE while it is away."""

    async def places(self, organization_id: str, user_id: str, /) -> Collection[ScopeId]:
        """Return where any device of someone may be, as far as it is known by its own calls."""
        ...

    async def forget(self, organization_id: str, user_id: str, scopes: Collection[ScopeId], /) -> None:
        """Let someone go from scopes, and forget who and where they were; open streams change nothing."""
        ...


class Erasures:
    """Erases someone in one transaction, and then from the index.

    What of them is on its way to the ledger meanwhile does not arrive. Whoever is erased and comes again
    afterwards is new.
    """

    def __init__(
        self,
        requests: Requests,
        index: Forgetting,
        clock: Clock,
        erase_intervals: EraseIntervals,
        others: Sequence[Eraser] = (),
    ) -> None:
        """`clock` is the index's; `others` erase what else the service keeps of people."""
        self._requests = requests
        self._index = index
        self._clock = clock
        self._erase_intervals = erase_intervals
        self._others = others

    async def erase(
        self, caller: Caller, user_id: str, *, request: Message, encode: Callable[[int], Message]
    ) -> bytes:
        """Erase a user of the caller's organization; return the answer, made of the number of records.

        Raises REQUEST_ID_REUSED, and UNAVAILABLE also when the index could not be reached: ask again then.
        """
        present: set[ScopeId] = set()

        async def work(transaction: Transaction) -> int:
            count, scopes = await self._erase_intervals(transaction, user_id, self._clock.now())
            present.update(scopes)
            for erase in self._others:
                count += await erase(transaction, user_id)
            return count

        reply = await self._requests.run(caller, work, request=request, encode=encode)
        # Also for a repeated request: whoever answered the first may not have come this far.
        present.update(await self._index.places(caller.organization_id, user_id))
        await self._index.forget(caller.organization_id, user_id, present)
        return reply
