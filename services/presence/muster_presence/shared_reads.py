"""What those who come at the same moment ask PostgreSQL: questions of one kind go together."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

from muster_kit.db import Database, GroupCommit, Transaction

K = TypeVar("K")
T = TypeVar("T")

_Read: TypeAlias = Callable[[Transaction, Sequence[K]], Awaitable[Mapping[K, T]]]

# Turns of the loop: when many come at once, those who are about to ask are waited for.
_PATIENCE: Final = 2
_MOST_WAITING: Final = 65_536


class SharedReads(Generic[K, T]):
    """Asks for an organization in one transaction at a time, for all that is wanted by then.

    So thousands who come at once need no more connections than a few.
    """

    def __init__(self, database: Database, read: _Read[K, T], *, most: int = 256) -> None:
        """`read` answers up to `most` questions, and may do so twice."""
        self._database = database
        self._read = read
        self._most = most
        self._queues: dict[str, GroupCommit[K, T | None]] = {}

    async def ask(self, organization_id: str, key: K) -> T | None:
        """Return what was read of a key, or None; MusterError UNAVAILABLE, and RATE_LIMITED for too many."""
        queue = self._queues.get(organization_id)
        if queue is None:
            queue = self._queues[organization_id] = GroupCommit(
                partial(self._answer, organization_id),
                max_items=self._most,
                max_waiting=_MOST_WAITING,
                patience=_PATIENCE,
                on_idle=lambda: self._forget(organization_id),
            )
        return await queue.submit(key)

    async def _answer(self, organization_id: str, keys: Sequence[K]) -> Sequence[T | None]:
        found = await self._database.run(
            organization_id, lambda transaction: self._read(transaction, keys), repeatable=True
        )
        return [found.get(key) for key in keys]

    def _forget(self, organization_id: str) -> None:
        del self._queues[organization_id]
