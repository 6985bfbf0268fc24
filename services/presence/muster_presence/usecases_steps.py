"""The way of all steps of this process to the index: in batches, one at a time, in order of arrival."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, TypeAlias

from muster_kit.db.group_commit import GroupCommit

from muster_presence.model import Outcome, ScopeId, Step
from muster_presence.store import PresenceIndex

_STEPS_A_CALL: Final = 1000
_MOST_WAITING: Final = 10_000
"""So many steps wait for the index at most; more are refused, to come again later."""

Steps: TypeAlias = Sequence[tuple[ScopeId, Step]]
Result: TypeAlias = tuple[Outcome, int]
"""What became of a step, and since when the person is here, in milliseconds."""


class StepQueue:
    """Whatever comes while the index works is its next batch; no step overtakes another of this process."""

    def __init__(self, index: PresenceIndex) -> None:
        self._index = index
        self._group: GroupCommit[Steps, Sequence[Result]] = GroupCommit(
            self._flush, max_items=_STEPS_A_CALL, max_waiting=_MOST_WAITING, weigh=len
        )

    async def submit(self, steps: Steps) -> Sequence[Result]:
        """Return what became of the steps, in their order.

        Raises UNAVAILABLE while the index is away, RATE_LIMITED when too many wait, DRAINING after `close`.
        """
        return await self._group.submit(steps)

    async def close(self) -> None:
        """Take nothing more, and wait for what is under way."""
        await self._group.close()

    async def _flush(self, batch: Sequence[Steps]) -> Sequence[Sequence[Result]]:
        by_scope: defaultdict[ScopeId, list[Step]] = defaultdict(list)
        for steps in batch:
            for scope, step in steps:
                by_scope[scope].append(step)
        taken = await self._index.change(by_scope)
        results = {scope: zip(each.outcomes, each.enter_ms, strict=True) for scope, each in taken.items()}
        return [[next(results[scope]) for scope, _ in steps] for steps in batch]
