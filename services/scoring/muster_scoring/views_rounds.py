"""Renders the counts of a session's rounds: one form for staff and one for everybody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from muster.scoring.v1 import round_service_pb2

from muster_scoring.convert import put_response, stats_to_proto
from muster_scoring.model import RoundStats
from muster_scoring.store import FoundResponse
from muster_scoring.usecases_results import RUNNING, ShownResponse


@dataclass(frozen=True, slots=True)
class RoundsViewer:
    """Who watches rounds: only staff see more than how many answered while a round runs."""

    is_staff: bool


@dataclass(frozen=True, slots=True)
class RoundsState:
    """The rounds of a session at one moment, in the order of opening.

    `recent` are the last answers, `arrived` those since the state before; both are empty while no
    staff watches.
    """

    stats: Mapping[str, RoundStats]
    changed_round_ids: Sequence[str]
    recent: Sequence[FoundResponse]
    arrived: Sequence[FoundResponse]


class RoundsView:
    """One version of a session's rounds, as the streams' View; each form is serialized once."""

    def __init__(self, version: int, state: RoundsState, *, previous_version: int | None) -> None:
        self.version = version
        self._state = state
        self._previous_version = previous_version
        self._rendered: dict[tuple[bool, bool], bytes] = {}

    def add_answers(self, recent: Sequence[FoundResponse]) -> None:
        """Complete a view that was made while no staff watched: nobody has been given their form of it."""
        self._state = replace(self._state, recent=recent)

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:
        """Return what changed since the version before, or the whole, as far as the viewer may see it."""
        if not isinstance(viewer, RoundsViewer):
            return None
        full = last_version is None or last_version != self._previous_version
        form = (full, viewer.is_staff)
        rendered = self._rendered.get(form)
        if rendered is None:
            rendered = self._rendered[form] = self._render(full=full, is_staff=viewer.is_staff)
        return rendered

    def _render(self, *, full: bool, is_staff: bool) -> bytes:
        state = self._state
        shown = state.stats if full else state.changed_round_ids
        answers = (state.recent if full else state.arrived) if is_staff else ()
        view = round_service_pb2.RoundsView(
            version=self.version,
            full=full,
            rounds=[
                stats_to_proto(stats, counts_alone=not is_staff and stats.status in RUNNING)
                for stats in (state.stats[round_id] for round_id in shown)
            ],
        )
        for each in answers:
            answer = ShownResponse(each.response, each.block_id, withheld=False)
            put_response(view.recent_responses.add(), answer)
        return view.SerializeToString()
