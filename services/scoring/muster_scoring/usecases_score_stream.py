"""Scores over one stream: many under way at once, acknowledged by the last sequence that is durable."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from muster_kit.errors import MusterError, Reason, Violation

from muster_scoring.model_scoreboards import ScoreUnit
from muster_scoring.usecases_scores import Landed, Scores

_UNDER_WAY: Final = 4096
"""So many scores of one stream may wait to be stored; the next ones are not read until then."""

_REFUSALS: Final = frozenset(
    {
        Reason.INVALID_FIELD,
        Reason.REQUEST_ID_REUSED,
        Reason.NOT_FOUND,
        Reason.BOARD_CLOSED,
        Reason.PERMISSION_DENIED,
    }
)
"""What concerns one message; everything else ends the stream, and what is not acknowledged comes again."""

Sequenced: TypeAlias = tuple[int, ScoreUnit | MusterError]
"""Scores with their number on the stream, or why they are none."""

Refused: TypeAlias = tuple[int, Reason]

Acknowledge: TypeAlias = Callable[[int, Sequence[Refused]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Sent:
    sequence: int
    count: int
    landing: asyncio.Future[Landed] | MusterError

    def is_done(self) -> bool:
        return isinstance(self.landing, MusterError) or self.landing.done()

    async def refusal(self) -> Reason | None:
        """Wait until it is durable; return why it never will be. Raises what ends the stream."""
        try:
            if isinstance(self.landing, MusterError):
                raise self.landing
            await self.landing
        except MusterError as error:
            if error.reason in _REFUSALS:
                return error.reason
            raise
        return None

    def abandon(self) -> None:
        """Let nobody wait for it; if it is stored already, it stays."""
        if isinstance(self.landing, asyncio.Future) and not self.landing.cancel():
            # It may have failed: that nobody asks is no news for the log.
            self.landing.exception()


class ScoreStream:
    """One caller's stream. A task beside the caller's acknowledges."""

    def __init__(self, scores: Scores, acknowledge: Acknowledge) -> None:
        self._scores = scores
        self._acknowledge = acknowledge
        self._under_way: deque[_Sent] = deque()
        self._waiting_count = 0
        self._changed = asyncio.Event()
        self._is_ended = False

    async def serve(self, messages: AsyncIterator[Sequenced]) -> None:
        """Take scores until the client has sent the last, and return after the last acknowledgement.

        Scores that are refused are named in an acknowledgement; a number that is not higher than the
        one before ends the stream with INVALID_FIELD, and a store that is away with UNAVAILABLE, once
        what came before is acknowledged.
        """
        failure: MusterError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_acknowledging())
                try:
                    await self._take(messages)
                except MusterError as error:
                    # What came before is on its way, and its senders are due word of it.
                    failure = error
                self._is_ended = True
                self._changed.set()
        except* MusterError as failed:
            failure = _first(failed)
        finally:
            for sent in self._under_way:
                sent.abandon()
        if failure is not None:
            raise failure

    async def _take(self, messages: AsyncIterator[Sequenced]) -> None:
        last_sequence = 0
        async for sequence, unit in messages:
            if sequence <= last_sequence:
                raise MusterError(Reason.INVALID_FIELD, violations=[Violation("sequence", "must count up")])
            last_sequence = sequence
            self._under_way.append(self._send(sequence, unit))
            self._waiting_count += self._under_way[-1].count
            self._changed.set()
            while self._waiting_count >= _UNDER_WAY:
                await self._change()

    def _send(self, sequence: int, unit: ScoreUnit | MusterError) -> _Sent:
        if isinstance(unit, MusterError):
            return _Sent(sequence, 0, unit)
        try:
            return _Sent(sequence, len(unit.scores), self._scores.put(unit))
        except MusterError as error:
            return _Sent(sequence, 0, error)

    async def _keep_acknowledging(self) -> None:
        """Acknowledge until all is; raise what ends the stream before, which also ends the taking."""
        while self._under_way or not self._is_ended:
            if not self._under_way:
                await self._change()
                continue
            acknowledged, refused, failure = await self._next()
            if acknowledged:
                await self._acknowledge(acknowledged, refused)
            self._changed.set()
            if failure is not None:
                raise failure

    async def _next(self) -> tuple[int, Sequence[Refused], MusterError | None]:
        """Wait for the first message under way, and take all with it that are done."""
        acknowledged, refused = 0, list[Refused]()
        while self._under_way and (not acknowledged or self._under_way[0].is_done()):
            sent = self._under_way[0]
            try:
                reason = await sent.refusal()
            except MusterError as error:
                return acknowledged, refused, error
            self._under_way.popleft()
            self._waiting_count -= sent.count
            acknowledged = sent.sequence
            if reason is not None:
                refused.append((sent.sequence, reason))
        return acknowledged, refused, None

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _first(group: BaseExceptionGroup[MusterError]) -> MusterError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
