"""The way of all steps of this process to the index: in batches, one at a time, in order of arrival."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError

from muster_presence.model import ScopeId, Step
from muster_presence.store import PresenceIndex, Result

_STEPS_A_CALL: Final = 1000
_MOST_WAITING: Final = 10_000
"""So many steps wait for the index at most; more are refused, to come again later."""

_PATIENCE: Final = 2
"""Turns of the loop in which a batch that others wait in may still grow."""

Steps: TypeAlias = Sequence[tuple[ScopeId, Step]]


class StepQueue:
    """Whatever comes while the index works is its next batch; no step overtakes another of this process."""

    def __init__(self, index: PresenceIndex) -> None:
        self._index = index
        self._group: GroupCommit[Steps, Sequence[Result]] = GroupCommit(
            self._flush, max_items=_STEPS_A_CALL, max_waiting=_MOST_WAITING, weigh=len, patience=_PATIENCE
        )

    async def submit(self, steps: Steps) -> Sequence[Result]:
        """Return what became of the steps, in their order.

        Raises UNAVAILABLE while the index is away, INTERNAL when it fails in one of their scopes,
        RATE_LIMITED when too many wait, DRAINING after `close`.
        """
        return await self._group.submit(steps)

    async def close(self) -> None:
        """Take nothing more, and wait for what is under way."""
        await self._group.close()

    async def _flush(self, batch: Sequence[Steps]) -> Sequence[Sequence[Result] | MusterError]:
        by_scope: defaultdict[ScopeId, list[Step]] = defaultdict(list)
        for steps in batch:
            for scope, step in steps:
                by_scope[scope].append(step)
        taken = await self._index.change(by_scope)
        results: dict[ScopeId, Iterator[Result]] = {}
        failures: dict[ScopeId, MusterError] = {}
        for scope, each in taken.items():
            if isinstance(each, MusterError):
                failures[scope] = each
            else:
                results[scope] = iter(each)
        return [_results_of(steps, results, failures) for steps in batch]


def _results_of(
    steps: Steps, results: Mapping[ScopeId, Iterator[Result]], failures: Mapping[ScopeId, MusterError]
) -> Sequence[Result] | MusterError:
    """Return the next results of the scopes of the steps, or the first failure among them."""
    if not failures:
        return [next(results[scope]) for scope, _ in steps]
    # Whatever fails, the results of the other scopes are taken off: the next steps' follow.
    found = [next(results[scope]) for scope, _ in steps if scope not in failures]
    return next((failures[scope] for scope, _ in steps if scope in failures), found)
