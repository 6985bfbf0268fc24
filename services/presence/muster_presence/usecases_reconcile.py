"""Holds the ledger against the index, for what a crash or a loss has left untold."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from muster_kit.clock import Clock
from muster_kit.errors import MusterError, Reason

from muster_presence.model import ScopeId, Timing
from muster_presence.model_intervals import Judgement, OpenInterval, Verdict, judge
from muster_presence.store import NoteIntervals
from muster_presence.store_ledger import Claim, Ended, LedgerIndex, LedgerStore

_EVERY_SECONDS: Final = 10.0
_SCOPES_A_TIME: Final = 200
_PEOPLE_A_TIME: Final = 200
_REST_SECONDS: Final = 0.002
"""For each open interval: ten thousand that change all the time cost half a second of every twenty."""

_WRITING: Final = timedelta(seconds=5)
"""So long a fact may be on its way."""

_log = structlog.get_logger(__name__)


class Reconciler:
    """Closes intervals whose end nobody told, and opens those whose beginning nobody did.

    Workers share the scopes: each claims a few at a time. A scope whose index has not changed since it was
    last looked at costs one call. After a loss of the index its people stay present for as long as those
    without a stream may take to come back; only then are their intervals over, as of when they were last
    known to be there. Those who have come back have one interval, which goes on.
    """

    def __init__(
        self,
        store: LedgerStore,
        index: LedgerIndex,
        clock: Clock,
        timing: Timing,
        *,
        note: NoteIntervals,
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        """`clock` is the index's; `note` is told who is here and not in the ledger."""
        self._note = note
        self._store = store
        self._index = index
        self._clock = clock
        self._every_seconds = every_seconds
        self._bound = _WRITING + timedelta(milliseconds=timing.stale_after_ms + timing.return_grace_ms)

    async def keep_checking(self) -> None:
        """Check until cancelled; stores that are away are asked again."""
        was_away = False
        while True:
            is_done = True
            try:
                is_done = await self.check_some()
                was_away = False
            except MusterError as error:
                if not was_away:
                    _log.warning("ledger_not_checked", error=str(error))
                was_away = True
            # Not all processes at once.
            pause_seconds = self._every_seconds * random.uniform(0.25, 0.5)  # noqa: S311 - spreads load
            await asyncio.sleep(pause_seconds if is_done else 0)

    async def check_some(self) -> bool:
        """Check scopes that nobody has lately; returns whether that was all."""
        if scopes := await self._index.some_scopes():
            await self._store.know(scopes)
        claims = await self._store.claim(limit=_SCOPES_A_TIME, seconds=self._every_seconds)
        now = self._clock.now()
        orders = await self._index.orders([claim.scope for claim in claims])
        looked_at = [replace(claim, check_order=order) for claim, order in zip(claims, orders, strict=True)]
        if same := [claim.scope for claim, look in zip(claims, looked_at, strict=True) if claim == look]:
            await self._store.renew(same, check_time=now)
        for claim, look in zip(claims, looked_at, strict=True):
            if claim != look:
                await self._try(look, now)
        return len(claims) < _SCOPES_A_TIME

    async def _try(self, look: Claim, now: datetime) -> None:
        try:
            await self._check(look, now)
        except MusterError as error:
            if error.reason is not Reason.INTERNAL:
                raise
            _log.warning("scope_not_checked", error=str(error))
        except Exception:  # noqa: BLE001 - the other scopes are checked all the same
            _log.exception("scope_not_checked")

    async def _check(self, look: Claim, now: datetime) -> None:
        """Hold a scope against the index, which had the look's order at `now`."""
        is_settled, count = await self._close_lost(look)
        is_anybody, is_complete = await self._open_lost(look.scope)
        is_done = is_settled and is_complete
        await self._store.finish(
            replace(look, check_time=now, check_order=look.check_order if is_done else None),
            is_empty=not is_anybody and not count,
            rest_seconds=count * _REST_SECONDS,
        )

    async def _close_lost(self, claim: Claim) -> tuple[bool, int]:
        """Judge the open intervals of a scope; returns whether none is missing, and how many there are."""
        is_settled, count = True, 0
        after = None
        while True:
            page = await self._store.open_intervals(claim.scope, after=after, limit=_PEOPLE_A_TIME)
            count += len(page)
            if page:
                is_settled &= await self._judge(claim, page)
            if len(page) < _PEOPLE_A_TIME:
                return is_settled, count
            after = page[-1].user_id, page[-1].enter_time

    async def _judge(self, claim: Claim, page: Sequence[OpenInterval]) -> bool:
        # Read after the ledger: who is not here now has gone since, or nobody told.
        order, traces = await self._index.traces(claim.scope, [each.user_id for each in page])
        now = self._clock.now()
        judged: list[tuple[OpenInterval, Judgement]] = [
            (each, judge(each, trace, now=now, check_time=claim.check_time, bound=self._bound))
            for each, trace in zip(page, traces, strict=True)
        ]
        await self._store.mark(
            claim.scope,
            now=now,
            found=[each for each, judgement in judged if judgement.verdict is Verdict.FOUND],
            missing=[
                (each, judgement.time)
                for each, judgement in judged
                if judgement.verdict is Verdict.MISSING and judgement.time is not None
            ],
            ended=[
                Ended(each, judgement.time, order)
                for each, judgement in judged
                if judgement.verdict is Verdict.OVER and judgement.time is not None
            ],
        )
        await self._store.unite(claim.scope, _last_of(judged))
        return all(judgement.is_settled for _, judgement in judged)

    async def _open_lost(self, scope: ScopeId) -> tuple[bool, bool]:
        """Note who is here and not in the ledger; returns whether anybody is here, and whether all were."""
        is_anybody, is_complete, after = False, True, 0
        while True:
            comings = await self._index.comings(scope, after=after, limit=_PEOPLE_A_TIME)
            is_anybody |= bool(comings.intervals)
            if lost := await self._store.not_open(scope, comings.intervals):
                # Facts as any other: those that are still on their way say the same.
                self._note(scope, lost)
                is_complete = False
            after = comings.next_after
            if not after:
                return is_anybody, is_complete


def _last_of(judged: Sequence[tuple[OpenInterval, Judgement]]) -> Sequence[OpenInterval]:
    """Return those that go on; of several of one person in a row the last, as the others go on in that."""
    united = [each for each, judgement in judged if judgement.verdict is Verdict.UNITED]
    first = {(each.user_id, each.enter_time) for each in united}
    return [each for each in united if (each.user_id, each.next_enter_time) not in first]
