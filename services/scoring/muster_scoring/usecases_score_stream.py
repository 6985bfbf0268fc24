"""Scores over one stream: many under way at once, acknowledged by the last sequence that is durable."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from muster_kit.errors import MusterError, Reason

from muster_scoring.model_scoreboards import ScoreUnit
from muster_scoring.numbered_stream import NumberedStream
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


class ScoreStream(NumberedStream[ScoreUnit | MusterError, _Sent]):
    """One caller's stream.

    Scores that are refused are named in an acknowledgement. A store that is away ends the stream with
    UNAVAILABLE, once what came before is acknowledged.
    """

    def __init__(self, scores: Scores, acknowledge: Acknowledge) -> None:
        super().__init__(most=_UNDER_WAY)
        self._scores = scores
        self._acknowledge = acknowledge

    async def _begin(self, given: ScoreUnit | MusterError) -> _Sent:
        if isinstance(given, MusterError):
            return _Sent(0, given)
        try:
            return _Sent(len(given.scores), self._scores.put(given))
        except MusterError as error:
            return _Sent(0, error)

    def _weigh(self, begun: _Sent) -> int:
        return begun.count

    async def _tell(self) -> None:
        acknowledged, refused, failure = await self._next()
        if acknowledged:
            await self._acknowledge(acknowledged, refused)
        if failure is not None:
            raise failure

    async def _next(self) -> tuple[int, Sequence[Refused], MusterError | None]:
        """Wait for the first message under way, and take all with it that are done."""
        acknowledged, refused = 0, list[Refused]()
        while self._under_way and (not acknowledged or self._under_way[0][1].is_done()):
            sequence, sent = self._under_way[0]
            try:
                reason = await sent.refusal()
            except MusterError as error:
                return acknowledged, refused, error
            self._pop()
            acknowledged = sequence
            if reason is not None:
                refused.append((sequence, reason))
        return acknowledged, refused, None

    def _abandon(self, begun: _Sent) -> None:
        if isinstance(begun.landing, asyncio.Future) and not begun.landing.cancel():
            # It may have failed: that nobody asks is no news for the log.
            begun.landing.exception()
