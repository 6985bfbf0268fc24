"""Renders a board for each viewer: a shared part that is serialized once, and their own place."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeAlias

from muster.scoring.v1 import board_service_pb2

from muster_scoring.board_wire import entry_field, entry_fields, field_tag
from muster_scoring.model_board import Line

Placed: TypeAlias = tuple[bytes, Line]
"""A line with its place, to be ordered by it."""

_TOP: Final = field_tag(board_service_pb2.BoardView.TOP_ENTRIES_FIELD_NUMBER)
_ME: Final = field_tag(board_service_pb2.BoardView.ME_FIELD_NUMBER)
_AROUND: Final = field_tag(board_service_pb2.BoardView.AROUND_ME_FIELD_NUMBER)

_place: Final = itemgetter(0)


@dataclass(frozen=True, slots=True)
class BoardViewer:
    """What a viewer asked for: the first `top`, and `radius` neighbours; `entry_id` is their own, if any."""

    entry_id: str
    top: int
    radius: int


@dataclass(frozen=True, slots=True)
class BoardState:
    """A board at one moment: lines from the best, and by entry; those without a place are not on it."""

    ranking: Sequence[Placed]
    lines: Mapping[str, Line]

    def rank_of(self, entry_id: str) -> int:
        """Return the rank from 1; 0 when not on the board."""
        line = self.lines.get(entry_id)
        return bisect_left(self.ranking, line.place, key=_place) + 1 if line is not None and line.place else 0


class BoardView:
    """One version of a board, as the streams' View.

    Concatenated protobuf messages merge, so what all viewers with the same `top` share is rendered
    once, and a viewer's own lines are appended.
    """

    def __init__(self, version: int, state: BoardState, *, previous: "BoardView | None") -> None:
        self.version = version
        self._state = state
        self._previous = previous
        if previous is not None:
            # Only the version before is ever needed.
            previous._previous = None  # noqa: SLF001 - its own kind
        self._wholes: dict[int, bytes] = {}
        self._deltas: dict[int, bytes | None] = {}

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:
        """Return what is new for the viewer, or None when nothing is; the whole if that is not known."""
        if not isinstance(viewer, BoardViewer):
            return None
        own = self._own(viewer)
        previous = self._previous
        if previous is None or last_version != previous.version:
            return self._whole(viewer.top) + own
        delta = self._delta(viewer.top, previous)
        if delta is not None:
            return delta + own if own else delta
        if own == previous._own(viewer):  # noqa: SLF001 - its own kind
            return None
        return self._head(full=False) + own

    def _whole(self, top: int) -> bytes:
        rendered = self._wholes.get(top)
        if rendered is None:
            lines = [
                entry_field(_TOP, line.packed, rank)
                for rank, (_, line) in enumerate(self._state.ranking[:top], start=1)
            ]
            rendered = self._wholes[top] = self._head(full=True) + b"".join(lines)
        return rendered

    def _delta(self, top: int, previous: "BoardView") -> bytes | None:
        """Return what changed of the top, or None when nothing did."""
        if top not in self._deltas:
            self._deltas[top] = self._make_delta(top, previous)
        return self._deltas[top]

    def _make_delta(self, top: int, previous: "BoardView") -> bytes | None:
        old, new = previous._state.ranking, self._state.ranking  # noqa: SLF001 - its own kind
        changed = [
            entry_field(_TOP, line.packed, rank)
            for rank, (_, line) in enumerate(new[:top], start=1)
            if rank > len(old) or old[rank - 1][1] is not line
        ]
        stay = {line.entry_id for _, line in new[:top]}
        gone = [line.entry_id for _, line in old[:top] if line.entry_id not in stay]
        if not changed and not gone and len(old) == len(new):
            return None
        removed = board_service_pb2.BoardView(removed_entry_ids=gone).SerializeToString()
        return self._head(full=False) + removed + b"".join(changed)

    def _own(self, viewer: BoardViewer) -> bytes:
        rank = self._state.rank_of(viewer.entry_id)
        if not rank:
            return b""
        ranking = self._state.ranking
        first = max(1, rank - viewer.radius)
        around = ranking[first - 1 : rank + viewer.radius] if viewer.radius else ()
        me = entry_field(_ME, ranking[rank - 1][1].packed, rank)
        return me + entry_fields(_AROUND, (line for _, line in around), first_rank=first)

    def _head(self, *, full: bool) -> bytes:
        return board_service_pb2.BoardView(
            version=self.version, full=full, entry_count=len(self._state.ranking)
        ).SerializeToString()
