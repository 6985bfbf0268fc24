"""Makes one batch of everything that arrives while the last batch is on its way."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from muster_kit.errors import MusterError, Reason

I = TypeVar("I")  # noqa: E741 - I for item, R for result: one item, one result
R = TypeVar("R")

FollowUp: TypeAlias = Callable[
    [Sequence[I], Sequence[R | BaseException]], Awaitable[Sequence[R | BaseException]]
]
_Batch: TypeAlias = list[tuple[I, asyncio.Future[R]]]

_FULL_RETRY_AFTER = timedelta(seconds=1)


class GroupCommit(Generic[I, R]):
    """Hands items to `flush` in batches, one batch at a time, in the order they arrived.

    There is no timer: the first item leaves at once, those that arrive meanwhile are the next
    batch. So a batch is as large as the load asks for, and an idle caller waits for nobody. With
    `patience`, a batch that others wait in leaves when so many turns of the loop have brought nothing
    more to it: as long as the loop is busy with those who are still to come, waiting costs nobody.

    `flush` returns one outcome an item; an exception among them is raised to that item's caller
    alone, one that `flush` raises goes to all of the batch. A caller that is cancelled while it
    waits is left out; one that is cancelled later changes nothing for the others.

    `follow_up` makes the outcomes of the items and of what `flush` returned, also one batch at a time
    and in order, while `flush` has the next batch. So at most two batches are on their way.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[I]], Awaitable[Sequence[R | BaseException]]],
        *,
        follow_up: FollowUp[I, R] | None = None,
        max_items: int = 256,
        max_waiting: int = 8192,
        weigh: Callable[[I], int] | None = None,
        patience: int = 0,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        """`on_idle` is called whenever nothing is left to do, so that its owner may drop this.

        With `weigh` the bounds are of the items' weights: a batch ends with the item that reaches its own.
        """
        self._flush = flush
        self._follow_up = follow_up
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._weigh = weigh
        self._patience = patience
        self._waiting_weight = 0
        self._on_idle = on_idle
        self._waiting: deque[tuple[I, asyncio.Future[R]]] = deque()
        self._drainer: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, item: I) -> R:
        """Return the item's result once its batch is done.

        Raises RATE_LIMITED when too many items wait already, DRAINING after `close`.
        """
        return await self.put(item)

    def put(self, item: I) -> asyncio.Future[R]:
        """Like `submit`, for who does not wait at once, or at all."""
        if self._closed:
            raise MusterError(Reason.DRAINING)
        if self._waiting_weight >= self._max_waiting:
            raise MusterError(
                Reason.RATE_LIMITED, retry_after=_FULL_RETRY_AFTER, detail="group commit is full"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, future))
        self._waiting_weight += self._weight(item)
        if self._drainer is None:
            # In a context of its own: what is bound to the first caller's, such as its call id, is
            # not the others'.
            self._drainer = loop.create_task(self._drain(), context=contextvars.Context())
        return future

    async def close(self) -> None:
        """Refuse new items and wait until the last batch is done."""
        self._closed = True
        if self._drainer is not None:
            # Unlike awaiting the task, this leaves it running when who closes is cancelled.
            await asyncio.wait({self._drainer})

    async def _drain(self) -> None:
        try:
            while self._waiting:
                if batch := self._next_batch():
                    await self._flush_batch(batch)
                    # One turn of the loop, in which those who were answered go on and what the network
                    # has brought arrives. Under load it makes batches several times larger.
                    await asyncio.sleep(0)
                if not self._waiting:
                    await self._followed()
                elif self._patience:
                    await self._gather()
        finally:
            # Without an await since the last look at `_waiting`: an item put from here on starts a
            # new drainer. Items are left only when this task was cancelled, as at the loop's end.
            self._drainer = None
            while self._waiting:
                self._waiting.popleft()[1].cancel()
            self._waiting_weight = 0
            if self._following is not None:
                self._following.cancel()
            if self._on_idle is not None:
                self._on_idle()

    async def _gather(self) -> None:
        """Let the next batch grow until it is full, or enough turns of the loop have added nothing."""
        turns_without = 0
        while turns_without < self._patience and self._waiting_weight < self._max_items:
            before = len(self._waiting)
            await asyncio.sleep(0)
            turns_without = 0 if len(self._waiting) > before else turns_without + 1

    def _next_batch(self) -> _Batch[I, R]:
        batch: _Batch[I, R] = []
        batch_weight = 0
        while self._waiting and batch_weight < self._max_items:
            entry = self._waiting.popleft()
            weight = self._weight(entry[0])
            self._waiting_weight -= weight
            if not entry[1].done():
                batch.append(entry)
                batch_weight += weight
        return batch

    def _weight(self, item: I) -> int:
        return 1 if self._weigh is None else self._weigh(item)

    async def _flush_batch(self, batch: _Batch[I, R]) -> None:
        outcomes = await _outcomes(batch, self._flush([item for item, _ in batch]))
        if self._follow_up is None:
            _settle(batch, outcomes)
            return
        try:
            # Also when the flush failed: the batch before is still to be followed up first.
            await self._followed()
        except asyncio.CancelledError:
            _cancel(batch)
            raise
        self._following = asyncio.create_task(self._follow(self._follow_up, batch, outcomes))
        # A task that is cancelled before it has begun has not cancelled who waits for it.
        self._following.add_done_callback(lambda task: _cancel(batch) if task.cancelled() else None)

    async def _follow(
        self, follow_up: FollowUp[I, R], batch: _Batch[I, R], outcomes: Sequence[R | BaseException]
    ) -> None:
        _settle(batch, await _outcomes(batch, follow_up([item for item, _ in batch], outcomes)))

    async def _followed(self) -> None:
        """Wait until the batch that was flushed last has been followed up."""
        if self._following is not None:
            await asyncio.wait({self._following})
            self._following = None


async def _outcomes(
    batch: _Batch[I, Any], work: Awaitable[Sequence[R | BaseException]]
) -> Sequence[R | BaseException]:
    """Return an outcome for each item, whatever becomes of the work for all of them."""
    try:
        outcomes = await work
    except asyncio.CancelledError as error:
        if is_being_cancelled():
            _cancel(batch)
            raise
        return [cancelled_inside(error)] * len(batch)
    except Exception as error:  # noqa: BLE001 - it is raised again, in each caller
        return [error] * len(batch)
    if len(outcomes) != len(batch):
        return [RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} items")] * len(batch)
    return outcomes


def _settle(batch: _Batch[I, R], outcomes: Sequence[R | BaseException]) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _cancel(batch: _Batch[I, R]) -> None:
    for _, future in batch:
        future.cancel()


def is_being_cancelled() -> bool:
    """Whether a CancelledError is for the running task, and not from something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def cancelled_inside(error: asyncio.CancelledError) -> RuntimeError:
    """Return the error to report instead: as it is, it would look as if the caller had been cancelled."""
    failure = RuntimeError("something that was awaited was cancelled")
    failure.__cause__ = error
    return failure
