"""The counts of one session's rounds in this process, for those who watch them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from muster_scoring.model import RoundStats, RoundStatus
from muster_scoring.store import FoundResponse, ResultStore
from muster_scoring.views_rounds import RoundsState, RoundsView

_RECENT: Final = 50


class RoundsMonitor:
    """Reads what changed whenever it is asked, and keeps what it read.

    Answers are read while there is staff who watches: nobody else is shown any.
    """

    def __init__(self, results: ResultStore, organization_id: str, session_id: str) -> None:
        self._results = results
        self._organization_id = organization_id
        self._session_id = session_id
        self._stats: dict[str, RoundStats] = {}
        self._staff = 0
        self._recent: Sequence[FoundResponse] | None = None
        self._view: RoundsView | None = None
        self._reading = asyncio.Lock()

    @contextmanager
    def staff(self) -> Iterator[None]:
        """Read answers as well from now on; `show_answers` brings those that are there."""
        self._staff += 1
        try:
            yield
        finally:
            self._staff -= 1
            if not self._staff:
                self._recent = None

    @property
    def version(self) -> int:
        """The last change that is shown."""
        return self._view.version if self._view else 0

    async def compute(self) -> RoundsView | None:
        """Return the rounds as they are now as the next view; None when nothing changed since the last.

        Raises UNAVAILABLE; then nothing has changed here.
        """
        async with self._reading:
            last_version = self.version
            changed = await self._results.stats(
                self._organization_id, self._session_id, after_seq=last_version
            )
            if not changed and self._view is not None:
                return None
            version = max((stats.change_seq for stats in changed), default=last_version)
            arrived = await self._arrived(last_version, version)
            return self._next_view(version, changed, arrived)

    async def show_answers(self) -> None:
        """See that the present view has the recent answers, for staff who come to it."""
        async with self._reading:
            if self._view is not None and self._recent is None:
                self._recent = await self._newest(after_seq=0, until_seq=self._view.version)
                self._view.add_answers(self._recent)

    def _next_view(
        self, version: int, changed: Sequence[RoundStats], arrived: Sequence[FoundResponse]
    ) -> RoundsView:
        self._stats |= {stats.round_id: stats for stats in changed}
        if self._recent is not None:
            self._recent = [each for each in [*self._recent, *arrived] if self._counts(each)][-_RECENT:]
        state = RoundsState(
            stats=dict(self._stats),
            changed_round_ids=[stats.round_id for stats in changed],
            recent=self._recent or (),
            arrived=arrived,
        )
        previous_version = self._view.version if self._view else None
        self._view = RoundsView(version, state, previous_version=previous_version)
        return self._view

    async def _arrived(self, after_seq: int, until_seq: int) -> Sequence[FoundResponse]:
        if self._recent is None:
            return ()
        return await self._newest(after_seq=after_seq, until_seq=until_seq)

    async def _newest(self, *, after_seq: int, until_seq: int) -> Sequence[FoundResponse]:
        return await self._results.newest_responses(
            self._organization_id,
            self._session_id,
            after_seq=after_seq,
            until_seq=until_seq,
            limit=_RECENT,
        )

    def _counts(self, found: FoundResponse) -> bool:
        """Whether answers of its round are shown; what is kept may be of one that was cancelled since."""
        return self._stats[found.response.round_id].status is not RoundStatus.CANCELLED
