"""Puts scores that were stored on their boards, and tells their places."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

from muster_kit.records import record

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.model_board import BoardChanges, Line, place_of
from muster_scoring.model_scoreboards import EntryShown, Scoreboard
from muster_scoring.store_boards import Commit, RankChange
from muster_scoring.store_scores import BoardWritten, EntryWritten, Written

Pack: TypeAlias = Callable[[EntryShown], bytes]


@record
class RankedScore:
    """What became of a score: the entry as it left it, packed and without a rank, and its places."""

    packed: bytes
    rank: RankChange
    changed: bool


@dataclass(slots=True)
class _Part:
    """What a batch did to one board: lines in their order, and which score each is the outcome of."""

    written: BoardWritten
    lines: list[Line] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)

    def add(self, line: Line, place: int | None) -> None:
        """Add a line; no place for one that nobody is told of."""
        self.lines.append(line)
        self.places.append(place)

    @property
    def begins_anew(self) -> bool:
        """Whether nothing was on the board before these scores, whatever the index has of it."""
        return self.written.first_seq == self.written.board.floor_seq

    def calls(self) -> Sequence[Commit]:
        """Return it as calls of the index."""
        board = self.written.board
        changes = BoardChanges(board.board_id, self.written.first_seq, board.seq, tuple(self.lines))
        return Commit(board.organization_id, changes).calls()

    def ranks(self, applied: Iterable[RankChange]) -> Iterator[tuple[int, RankChange]]:
        """Return ranks by place, of those that the lines had when they were applied."""
        there: set[str] = set()
        for line, place, rank in zip(self.lines, self.places, applied, strict=True):
            if place is not None:
                is_first = self.begins_anew and line.version > 0 and line.entry_id not in there
                yield place, RankChange(0, rank.after) if is_first else rank
            there.add(line.entry_id)


class ScoreRanking:
    """Brings what the store has written to the boards that everybody looks at."""

    def __init__(self, keeper: BoardKeeper, *, pack: Pack) -> None:
        """`pack` makes the contract's entry, without a rank."""
        self._keeper = keeper
        self._pack = pack

    async def apply(self, written: Written) -> None:
        """Put scores on their boards; never fails."""
        parts = self._parts(written)
        await self._begin(parts.values())
        if calls := [call for part in parts.values() if part.lines for call in part.calls()]:
            await self._keeper.apply(calls, ranked=False)

    async def rank(self, written: Written, repeats: Mapping[int, str]) -> Mapping[int, RankedScore]:
        """Put scores on their boards, and return what became of them, by their places in the batch.

        `repeats` are the boards of scores that were taken before and are to be told again. Never fails:
        while the index is away ranks are 0.
        """
        parts = self._parts(written)
        results = {
            entry.place: (entry.changed, entry.shown) for entry in written.entries if not entry.for_team
        }
        for place, board_id in repeats.items():
            results[place] = written.told[place]
            # A line older than any other changes nothing, and has the rank of now.
            parts[board_id].add(Line(written.told[place].shown.entry_id, 0, b"", b""), place)
        await self._begin(parts.values())
        ranks = await self._ranks([part for part in parts.values() if part.lines])
        return {
            place: RankedScore(self._pack(shown), ranks[place], changed)
            for place, (changed, shown) in results.items()
        }

    def _parts(self, written: Written) -> dict[str, _Part]:
        parts = {board_id: _Part(each) for board_id, each in written.boards.items()}
        for entry in written.entries:
            part = parts[entry.board_id]
            part.add(self._line(part.written.board, entry), None if entry.for_team else entry.place)
        return parts

    async def _begin(self, parts: Iterable[_Part]) -> None:
        """Have the index make boards that begin anew of what the store has, these scores included."""
        for part in parts:
            if part.begins_anew:
                board = part.written.board
                await self._keeper.apply_one(Commit(board.organization_id, board.beginning()))

    async def _ranks(self, parts: Sequence[_Part]) -> dict[int, RankChange]:
        calls = [part.calls() for part in parts]
        if not calls:
            return {}
        applied = iter(await self._keeper.apply(list(chain.from_iterable(calls))))
        ranks: dict[int, RankChange] = {}
        for part, own in zip(parts, calls, strict=True):
            ranks.update(part.ranks(chain.from_iterable(next(applied) for _ in own)))
        return ranks

    def _line(self, board: Scoreboard, entry: EntryWritten) -> Line:
        entry_id, _, score, duration_ms, _ = entry.shown
        place = place_of(~score if board.ascending else score, duration_ms, entry.reached_seq, entry_id)
        return Line(entry_id, entry.version, place, self._pack(entry.shown))
