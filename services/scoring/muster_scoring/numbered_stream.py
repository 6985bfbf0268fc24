"""Numbered messages of one stream: many under way at once, told of in the order in which they came."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from muster_kit.errors import MusterError, Reason, Violation

G = TypeVar("G")
B = TypeVar("B")


class NumberedStream(ABC, Generic[G, B]):
    """Begins what is given (G) under a number, and tells what became of what was begun (B).

    The caller's task takes; one beside it tells.
    """

    def __init__(self, *, most: int) -> None:
        """Messages are not read while `most` or more of what came in them is under way."""
        self._most = most
        self._under_way: deque[tuple[int, B]] = deque()
        self._count = 0
        self._changed = asyncio.Event()
        self._is_ended = False

    async def serve(self, messages: AsyncIterator[tuple[int, G]]) -> None:
        """Take messages until the client has sent the last, and return when all are told of.

        A number that is not higher than the one before ends the stream with INVALID_FIELD, once what
        came before is told of.
        """
        failure: MusterError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_telling())
                try:
                    await self._take(messages)
                except MusterError as error:
                    # What came before is on its way, and its senders are due word of it.
                    failure = error
                self._is_ended = True
                self._changed.set()
        finally:
            for _, begun in self._under_way:
                self._abandon(begun)
        if failure is not None:
            raise failure

    @abstractmethod
    async def _begin(self, given: G) -> B:
        """Put what came in a message on its way."""

    @abstractmethod
    def _weigh(self, begun: B) -> int:
        """Return how much of what is under way it is."""

    @abstractmethod
    async def _tell(self) -> None:
        """Wait for the first message under way, pop it and maybe others behind it, and tell of them.

        What it raises ends the stream.
        """

    @abstractmethod
    def _abandon(self, begun: B) -> None:
        """Let nobody wait for it; if it is stored already, it stays."""

    def _pop(self) -> None:
        """Make room: the first message under way is not any more."""
        _, begun = self._under_way.popleft()
        self._count -= self._weigh(begun)
        self._changed.set()

    async def _take(self, messages: AsyncIterator[tuple[int, G]]) -> None:
        last_sequence = 0
        async for sequence, given in messages:
            if sequence <= last_sequence:
                raise MusterError(Reason.INVALID_FIELD, violations=[Violation("sequence", "must count up")])
            last_sequence = sequence
            begun = await self._begin(given)
            self._under_way.append((sequence, begun))
            self._count += self._weigh(begun)
            self._changed.set()
            while self._count >= self._most:
                await self._change()

    async def _keep_telling(self) -> None:
        while self._under_way or not self._is_ended:
            if self._under_way:
                await self._tell()
            else:
                await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
