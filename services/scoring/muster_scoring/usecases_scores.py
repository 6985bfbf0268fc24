"""Scores of other services: stored in batches, and ranked while the next batch is stored."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from muster_kit.db.faults import together
from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason

from muster_scoring.model_scoreboards import ScoreUnit, ScoreVerdict
from muster_scoring.score_ranking import RankedScore, ScoreRanking
from muster_scoring.store_scores import ScoreStore, Written

_SCORES_A_BATCH: Final = 512
"""More are not cheaper, and an index that takes them does nothing else meanwhile."""

_WAITING_SCORES: Final = 100_000

_REFUSALS: Final = {
    ScoreVerdict.NO_BOARD: Reason.NOT_FOUND,
    ScoreVerdict.CLOSED: Reason.BOARD_CLOSED,
    ScoreVerdict.SESSIONS_BOARD: Reason.PERMISSION_DENIED,
    ScoreVerdict.KEY_REUSED: Reason.REQUEST_ID_REUSED,
}


@dataclass(slots=True)
class Landed:
    """A unit that the store has judged, the one at `place` of a batch; its scores begin at `begin`.

    `results` are those of its scores, in their order, if they were wanted.
    """

    written: Written
    place: int
    begin: int
    results: Sequence[RankedScore] = ()

    @property
    def verdict(self) -> ScoreVerdict:
        """What the store did with it."""
        return self.written.verdicts[self.place]


@dataclass(slots=True)
class _Call:
    """A call of the store on its way to the boards."""

    written: Written
    wants_results: bool = False
    repeats: dict[int, str] = field(default_factory=dict)
    results: Mapping[int, RankedScore] = field(default_factory=dict)


class Scores:
    """Takes scores for boards, and keeps the boards up to date with them.

    What is acknowledged is durable and on its board. The index takes one batch while the store takes
    the next.
    """

    def __init__(self, store: ScoreStore, ranking: ScoreRanking) -> None:
        self._store = store
        self._ranking = ranking
        self._group: GroupCommit[ScoreUnit, Landed] = GroupCommit(
            self._flush,
            follow_up=self._rank,
            max_items=_SCORES_A_BATCH,
            max_waiting=_WAITING_SCORES,
            weigh=lambda unit: len(unit.scores),
        )

    async def submit(self, unit: ScoreUnit) -> Landed:
        """Add scores, once; a repeated request is told the same, with the ranks of now.

        Raises NOT_FOUND, BOARD_CLOSED, REQUEST_ID_REUSED, RATE_LIMITED, UNAVAILABLE, DRAINING, and
        PERMISSION_DENIED for the board of a session.
        """
        return await self.put(unit)

    def put(self, unit: ScoreUnit) -> asyncio.Future[Landed]:
        """Like `submit`, for who does not wait at once."""
        return self._group.put(unit)

    async def close(self) -> None:
        """Refuse what comes now, and finish what is here."""
        await self._group.close()

    async def _flush(self, units: Sequence[ScoreUnit]) -> Sequence[Landed | BaseException]:
        outcomes: dict[int, Landed | BaseException] = {}
        waiting, taken = list(range(len(units))), set[tuple[str, str]]()
        while waiting:
            now, waiting = _without_repeats(units, waiting, taken)
            landed = await together(self._store_all, [units[place] for place in now])
            for place, outcome in zip(now, landed, strict=True):
                outcomes[place] = outcome
                if isinstance(outcome, Landed) and outcome.verdict is ScoreVerdict.ACCEPTED:
                    taken.update(_keys(units[place]))
        return [outcomes[place] for place in range(len(units))]

    async def _store_all(self, units: Sequence[ScoreUnit]) -> Sequence[Landed]:
        written = await self._store.submit(units)
        landed, begin = list[Landed](), 0
        for place, unit in enumerate(units):
            landed.append(Landed(written, place, begin))
            begin += len(unit.scores)
        return landed

    async def _rank(
        self, units: Sequence[ScoreUnit], outcomes: Sequence[Landed | BaseException]
    ) -> Sequence[Landed | BaseException]:
        # All units of one call of the store share what it has written.
        calls: dict[int, _Call] = {}
        for unit, outcome in zip(units, outcomes, strict=True):
            if isinstance(outcome, Landed):
                call = calls.setdefault(id(outcome.written), _Call(outcome.written))
                call.wants_results |= unit.wants_results
                if unit.wants_results:
                    call.repeats.update(_repeats(unit, outcome))
        for call in calls.values():
            if call.wants_results:
                call.results = await self._ranking.rank(call.written, call.repeats)
            else:
                await self._ranking.apply(call.written)
        for unit, outcome in zip(units, outcomes, strict=True):
            if isinstance(outcome, Landed) and unit.wants_results and outcome.verdict not in _REFUSALS:
                results = calls[id(outcome.written)].results
                outcome.results = [results[place] for place in _places(unit, outcome)]
        return [_judged(outcome) for outcome in outcomes]


def _without_repeats(
    units: Sequence[ScoreUnit], places: Iterable[int], taken: set[tuple[str, str]]
) -> tuple[list[int], list[int]]:
    """Part those that may go to the store together from those that have to come after them.

    The store takes each key once a call; repeats of those that are `taken` are no news to it.
    """
    now, later, seen = list[int](), list[int](), set[tuple[str, str]]()
    for place in places:
        keys = _keys(units[place]) - taken
        if seen.isdisjoint(keys):
            seen |= keys
            now.append(place)
        else:
            later.append(place)
    return now, later


def _keys(unit: ScoreUnit) -> set[tuple[str, str]]:
    """Return the keys of a unit, those of batches apart from those of scores."""
    keys = {(unit.board_id, score.request_key) for score in unit.scores if score.request_key}
    if unit.request_key:
        keys.add((f"\0{unit.board_id}", unit.request_key))
    return keys


def _places(unit: ScoreUnit, landed: Landed) -> range:
    return range(landed.begin, landed.begin + len(unit.scores))


def _repeats(unit: ScoreUnit, landed: Landed) -> dict[int, str]:
    """Return the board by the place of each score that was taken before."""
    if landed.verdict in _REFUSALS:
        return {}
    return {place: unit.board_id for place in _places(unit, landed) if place in landed.written.told}


def _judged(outcome: Landed | BaseException) -> Landed | BaseException:
    """Return what the caller gets: a unit that is refused is an error."""
    if isinstance(outcome, Landed) and (reason := _REFUSALS.get(outcome.verdict)) is not None:
        return MusterError(reason, detail=f"scores: {outcome.verdict.name.lower()}")
    return outcome
