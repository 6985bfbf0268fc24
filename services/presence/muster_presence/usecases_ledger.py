"""Writes down who came, went and did something, a second's worth at a time."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import islice
from typing import Final, TypeAlias

import structlog
from muster_kit.db.faults import UnstorableError
from muster_kit.errors import MusterError

from muster_presence.model import ScopeId
from muster_presence.store import Interval
from muster_presence.store_ledger import Deed, Fact, LedgerStore

_PAUSE_SECONDS: Final = 1.0
_PAUSES_A_DEED: Final = 3
"""What somebody did waits longer than who came and went: of many things in that time the last is written."""

_PEOPLE_A_BATCH: Final = 2000
_MOST_KEPT: Final = 50_000
_CLOSE_SECONDS: Final = 5.0

_Person: TypeAlias = tuple[ScopeId, str]
"""Someone in a scope."""
Written: TypeAlias = Callable[[Collection[ScopeId]], Awaitable[None]]
"""Is told in which scopes somebody came or went, once that is in the ledger."""
_When: TypeAlias = tuple[int, int]
"""Since when someone is here, and when they did something, in milliseconds."""

_log = structlog.get_logger(__name__)


class Ledger:
    """What is to be written into the ledger, and the one task that does.

    While PostgreSQL is away, facts are kept: all intervals of everybody, as long as there is room, then the
    latest of each. What there is no room for is counted and logged; who is here by then is found in the
    index later on, and when those left who are not, nearly.
    """

    def __init__(
        self,
        store: LedgerStore,
        *,
        written: Written | None = None,
        most_kept: int = _MOST_KEPT,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        """At most `most_kept` intervals wait, and as many deeds.

        A batch leaves every `pause_seconds`, every third with deeds.
        """
        self._store = store
        self._written = written
        self._most_kept = most_kept
        self._pause_seconds = pause_seconds
        self._facts: defaultdict[_Person, dict[int, Interval]] = defaultdict(dict)
        self._fact_count = 0
        # By scope first: that is looked up once for the many people of a batch of beats.
        self._deeds: defaultdict[ScopeId, dict[str, _When]] = defaultdict(dict)
        self._deed_count = 0
        self._pauses = _PAUSES_A_DEED
        self._has_come = asyncio.Event()
        self._is_away = False
        self.dropped = 0
        """How many facts and deeds there was no room for, since the start."""

    def note(self, scope: ScopeId, intervals: Sequence[Interval]) -> None:
        """Have facts written; of several about one interval the newest."""
        for interval in intervals:
            self._keep((scope, interval.user_id), interval)
        self._has_come.set()

    def note_activity(self, scope: ScopeId, people: Sequence[tuple[str, int]], act_ms: int) -> None:
        """Have it written that people, each here since a time, did something at `act_ms`."""
        known = self._deeds[scope]
        before = len(known)
        room = self._most_kept - self._deed_count
        for user_id, enter_ms in people:
            if user_id in known or len(known) - before < room:
                known[user_id] = enter_ms, act_ms
            else:
                self._drop()
        self._deed_count += len(known) - before
        self._has_come.set()

    async def keep_writing(self) -> None:
        """Write until cancelled; what was not written by then is left to `close`."""
        while True:
            await self._has_come.wait()
            self._pauses += 1
            is_all = await self._write_some(with_deeds=self._pauses >= _PAUSES_A_DEED)
            if is_all and self._pauses >= _PAUSES_A_DEED:
                self._pauses = 0
            # Whoever comes meanwhile is in the next batch; one that leaves at once would be of one.
            await asyncio.sleep(self._pause_seconds if is_all or self._is_away else 0)

    async def close(self) -> None:
        """Write what is left, if PostgreSQL takes it soon; the index knows of most of it otherwise."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                while not await self._write_some(with_deeds=True) and not self._is_away:
                    pass
        except TimeoutError:
            pass
        if self._fact_count:
            _log.warning("facts_not_written", facts=self._fact_count)

    async def _write_some(self, *, with_deeds: bool) -> bool:
        """Write a batch; returns whether nothing is left of what may be written."""
        people = list(self._facts)[:_PEOPLE_A_BATCH]
        taken = {person: self._facts.pop(person) for person in people}
        facts = [Fact(scope, each) for (scope, _), stays in taken.items() for each in stays.values()]
        self._fact_count -= len(facts)
        deeds = self._take_deeds() if with_deeds else ()
        is_written = False
        try:
            await self._write(facts, deeds)
            is_written = True
            if self._written is not None and facts:
                await self._written({fact.scope for fact in facts})
        except MusterError as error:
            if not self._is_away:
                _log.warning("ledger_not_written", error=str(error))
        except Exception:  # noqa: BLE001 - whatever ails it, what comes later is to be written
            _log.exception("ledger_not_written")
        finally:
            # Also for a cancelled one: facts may be written twice.
            if not is_written:
                self._take_back(facts, deeds)
        self._is_away = not is_written
        if self._facts or (self._deeds and with_deeds):
            return False
        if not self._deeds:
            self._has_come.clear()
        return True

    def _take_deeds(self) -> Sequence[Deed]:
        taken: list[Deed] = []
        while self._deeds and len(taken) < _PEOPLE_A_BATCH:
            scope, known = next(iter(self._deeds.items()))
            user_ids = list(islice(known, _PEOPLE_A_BATCH - len(taken)))
            taken += [Deed(scope, user_id, *known.pop(user_id)) for user_id in user_ids]
            if not known:
                del self._deeds[scope]
        self._deed_count -= len(taken)
        return taken

    async def _write(self, facts: Sequence[Fact], deeds: Sequence[Deed]) -> None:
        """Write all, but those that PostgreSQL cannot hold: these are looked for and left out."""
        if not facts and not deeds:
            return
        try:
            await self._store.write(facts, deeds)
        except UnstorableError as error:
            if len(facts) + len(deeds) == 1:
                _log.error("fact_refused", error=str(error))
                return
            halves = len(facts) // 2, len(deeds) // 2
            if len(facts) == 1:
                halves = 1, 0
            await self._write(facts[: halves[0]], deeds[: halves[1]])
            await self._write(facts[halves[0] :], deeds[halves[1] :])

    def _take_back(self, facts: Sequence[Fact], deeds: Sequence[Deed]) -> None:
        for fact in facts:
            self._keep((fact.scope, fact.interval.user_id), fact.interval)
        for deed in deeds:
            if deed.user_id not in self._deeds[deed.scope]:
                self.note_activity(deed.scope, [(deed.user_id, deed.enter_ms)], deed.act_ms)

    def _keep(self, person: _Person, interval: Interval) -> None:
        has_room = self._fact_count < self._most_kept
        if not has_room and person not in self._facts:
            self._drop()
            return
        stays = self._facts[person]
        known = stays.get(interval.enter_ms)
        if known is None:
            self._fact_count += 1
        if known is None or known.order < interval.order:
            stays[interval.enter_ms] = interval
        if self._fact_count > self._most_kept:
            # The latest of each is what cannot be done without.
            del stays[min(stays)]
            self._fact_count -= 1
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped.bit_count() == 1:
            # The first, and then ever fewer of many.
            _log.error("facts_dropped", facts=self.dropped)
