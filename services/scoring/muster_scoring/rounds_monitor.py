"""The counts of one session's rounds in this process, for those who watch them."""

from typing import Final

from muster_kit.errors import MusterError

from muster_scoring.model import Response, Round, RoundStats, RoundStatus
from muster_scoring.store import ResultStore
from muster_scoring.views_rounds import RoundsState, RoundsView

_RECENT: Final = 50


class RoundsMonitor:
    """Reads what changed whenever it is asked, and keeps what it read."""

    def __init__(self, results: ResultStore, organization_id: str, session_id: str) -> None:
        self._results = results
        self._organization_id = organization_id
        self._session_id = session_id
        self._stats: dict[str, RoundStats] = {}
        self._recent: list[tuple[Response, Round]] = []
        self._view: RoundsView | None = None

    @property
    def version(self) -> int:
        """The last change that is shown."""
        return self._view.version if self._view else 0

    async def compute(self) -> RoundsView | None:
        """Return the rounds as they are now as the next view; None when nothing changed since the last."""
        last_version = self.version
        try:
            changed = await self._results.stats(
                self._organization_id, self._session_id, after_seq=last_version
            )
            if not changed and self._view is not None:
                return None
            version = max((stats.change_seq for stats in changed), default=last_version)
            arrived = await self._results.newest_responses(
                self._organization_id,
                self._session_id,
                after_seq=last_version,
                until_seq=version,
                limit=_RECENT,
            )
        except MusterError:
            if self._view is None:
                raise
            # What is shown is a moment old; the next check of the session's head comes soon.
            return None
        self._stats |= {stats.round_id: stats for stats in changed}
        self._recent = [each for each in [*self._recent, *arrived] if self._counts(each[1])][-_RECENT:]
        state = RoundsState(
            stats=dict(self._stats),
            changed_round_ids=[stats.round_id for stats in changed],
            recent=tuple(self._recent),
            arrived=arrived,
        )
        previous_version = self._view.version if self._view else None
        self._view = RoundsView(version, state, previous_version=previous_version)
        return self._view

    def _counts(self, round_: Round) -> bool:
        """Whether answers of a round are shown; `round_` is as it was when they arrived."""
        return self._stats[round_.round_id].status is not RoundStatus.CANCELLED
