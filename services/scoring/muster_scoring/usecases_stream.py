"""Answers over one stream: many under way at once, replied to in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation

from muster_scoring.usecases_responses import Attempt, Responses, Submission, SubmitReply

_UNDER_WAY: Final = 256
"""So many answers of one stream may wait to be stored; the next ones are not read until then."""

Sequenced: TypeAlias = tuple[int, Submission | MusterError]
"""An answer with its number on the stream, or why it is none."""

WriteReply: TypeAlias = Callable[[int, SubmitReply | MusterError], Awaitable[None]]


class ResponseStream:
    """One participant's stream. A task beside the caller's writes the replies."""

    def __init__(self, responses: Responses, caller: Caller, write: WriteReply) -> None:
        self._responses = responses
        self._caller = caller
        self._write = write
        self._under_way: deque[tuple[int, Attempt | MusterError]] = deque()
        self._changed = asyncio.Event()
        self._is_ended = False

    async def serve(self, submissions: AsyncIterator[Sequenced]) -> None:
        """Take answers until the client has sent the last, and return after the last reply.

        An answer that is refused is told in its reply; a number that is not higher than the one before
        ends the stream with INVALID_FIELD.
        """
        failure: MusterError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reply())
                try:
                    await self._take(submissions)
                except MusterError as error:
                    # What came before is stored, and its senders are due a reply.
                    failure = error
                self._is_ended = True
                self._changed.set()
        finally:
            for _, attempt in self._under_way:
                if isinstance(attempt, Attempt):
                    attempt.abandon()
        if failure is not None:
            raise failure

    async def _take(self, submissions: AsyncIterator[Sequenced]) -> None:
        last_sequence = 0
        async for sequence, submission in submissions:
            if sequence <= last_sequence:
                raise MusterError(Reason.INVALID_FIELD, violations=[Violation("sequence", "must count up")])
            last_sequence = sequence
            self._under_way.append((sequence, self._begin(submission)))
            self._changed.set()
            while len(self._under_way) >= _UNDER_WAY:
                await self._change()

    def _begin(self, submission: Submission | MusterError) -> Attempt | MusterError:
        if isinstance(submission, MusterError):
            return submission
        try:
            return self._responses.begin(self._caller, submission)
        except MusterError as error:
            return error

    async def _reply(self) -> None:
        while self._under_way or not self._is_ended:
            if not self._under_way:
                await self._change()
                continue
            sequence, attempt = self._under_way[0]
            reply = await self._finish(attempt)
            self._under_way.popleft()
            self._changed.set()
            await self._write(sequence, reply)

    async def _finish(self, attempt: Attempt | MusterError) -> SubmitReply | MusterError:
        if isinstance(attempt, MusterError):
            return attempt
        try:
            return await self._responses.finish(attempt)
        except MusterError as error:
            return error

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
