"""Whoever applies the views of a board as the contract says holds the board, however much they skip."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from muster.scoring.v1 import board_pb2, board_service_pb2
from muster_kit.errors import MusterError, Reason
from muster_scoring.board_mirror import BoardMirror
from muster_scoring.model_board import BoardChanges, Line, Position
from muster_scoring.views_board import BoardView, BoardViewer


@dataclass
class Truth:
    """A board that changes at random, and its publications."""

    chance: random.Random
    seq: int = 0
    lines: dict[str, Line] = field(default_factory=dict)

    def change(self) -> BoardChanges:
        """Change some entries."""
        first = self.seq
        changed = [self._line() for _ in range(self.chance.randrange(3))]
        self.seq += self.chance.randrange(1, 3)
        return BoardChanges("board", first, max(self.seq, first + 1), tuple(changed))

    def _line(self) -> Line:
        self.seq += 1
        entry_id = f"e{self.chance.randrange(12)}"
        score = self.chance.randrange(4)
        packed = board_pb2.BoardEntry(entry_id=entry_id, score=score).SerializeToString()
        place = Position(score, 0, self.seq, entry_id).encode()
        if self.chance.random() < 0.15:
            place = packed = b""
        self.lines[entry_id] = Line(entry_id, self.seq, place, packed)
        return self.lines[entry_id]

    def ranking(self) -> list[str]:
        """Ids from the best."""
        placed = sorted((line for line in self.lines.values() if line.place), key=lambda line: line.place)
        return [line.entry_id for line in placed]

    async def read(self, since_seq: int) -> AsyncIterator[tuple[int, list[Line]]]:
        """What the store would say of what changed since, in two parts."""
        changed = [line for line in self.lines.values() if line.version > since_seq]
        half = len(changed) // 2
        yield self.seq, changed[:half]
        yield self.seq, changed[half:]


class Client:
    """Applies views as the contract says."""

    def __init__(self, viewer: BoardViewer) -> None:
        self.viewer = viewer
        self.top: dict[int, str] = {}
        self.me: tuple[str, int] | None = None
        self.around: list[tuple[str, int]] = []
        self.entry_count = 0
        self._last_version: int | None = None

    def take(self, view: BoardView) -> None:
        """Take a version from the stream, as the lane of views gives it."""
        payload = view.render(self.viewer, self._last_version)
        self._last_version = view.version
        if payload is None:
            return
        told = board_service_pb2.BoardView.FromString(payload)
        held = {} if told.full else {entry_id: rank for rank, entry_id in self.top.items()}
        for entry_id in told.removed_entry_ids:
            del held[entry_id]
        held |= {entry.entry_id: entry.rank for entry in told.top_entries}
        self.top = {rank: entry_id for entry_id, rank in held.items()}
        assert len(self.top) == len(held), "two entries at one rank"
        self.me = (told.me.entry_id, told.me.rank) if told.HasField("me") else None
        self.around = [(entry.entry_id, entry.rank) for entry in told.around_me]
        self.entry_count = told.entry_count

    def check(self, ranking: list[str]) -> None:
        """Compare with the truth."""
        viewer = self.viewer
        assert [self.top[rank] for rank in sorted(self.top)] == ranking[: viewer.top]
        assert sorted(self.top) == list(range(1, len(self.top) + 1))
        assert self.entry_count == len(ranking)
        if viewer.entry_id not in ranking:
            assert (self.me, self.around) == (None, [])
            return
        place = ranking.index(viewer.entry_id)
        assert self.me == (viewer.entry_id, place + 1)
        first = max(0, place - viewer.radius)
        near = ranking[first : place + viewer.radius + 1] if viewer.radius else []
        assert self.around == [(entry_id, rank) for rank, entry_id in enumerate(near, start=first + 1)]


@pytest.mark.parametrize("seed", range(40))
async def test_applied_views_are_the_board(seed: int) -> None:
    chance = random.Random(seed)
    truth = Truth(chance)
    mirror = BoardMirror(truth.read)
    clients = [
        Client(BoardViewer(f"e{place}" if place < 8 else "", chance.randrange(1, 8), chance.randrange(4)))
        for place in range(10)
    ]
    early: list[BoardChanges] = []
    for step in range(60):
        early.append(truth.change())
        if chance.random() < 0.6 or step == 59:
            chance.shuffle(early)
            for changes in early + chance.choices(early, k=1):
                mirror.apply(changes)
            early = []
        view = await mirror.compute()
        if view is None:
            continue
        for client in clients:
            # A slow client skips versions; everybody sees the last.
            if chance.random() < 0.7 or step == 59:
                client.take(view)
                if not early:
                    client.check(truth.ranking())


async def test_nobody_is_told_of_what_they_do_not_see() -> None:
    truth = Truth(random.Random(0))
    mirror = BoardMirror(truth.read)
    for place in range(10):
        truth.seq += 1
        entry_id = f"e{place}"
        truth.lines[entry_id] = Line(entry_id, truth.seq, Position(100 - place, 0, 0, entry_id).encode(), b"")
    first = await mirror.compute()
    assert first is not None
    truth.seq += 1
    packed = board_pb2.BoardEntry(score=50).SerializeToString()
    moved = Line("e9", truth.seq, Position(50, 0, 0, "e9").encode(), packed)
    mirror.apply(BoardChanges("board", truth.seq - 1, truth.seq, (moved,)))
    second = await mirror.compute()
    assert second is not None
    assert second.render(BoardViewer("e0", 3, 1), first.version) is None
    assert second.render(BoardViewer("e9", 3, 1), first.version) is not None
    assert second.render("somebody who watches something else", first.version) is None
    assert await mirror.compute() is None


async def test_viewers_of_the_same_part_share_its_bytes() -> None:
    truth = Truth(random.Random(0))
    mirror = BoardMirror(truth.read)
    first = await mirror.compute()
    mirror.apply(truth.change())
    second = await mirror.compute()
    assert first is not None
    assert second is not None
    host = BoardViewer("", 5, 0)
    assert second.render(host, first.version) is second.render(host, first.version)


async def test_what_was_never_heard_is_read_again() -> None:
    truth = Truth(random.Random(3))
    mirror = BoardMirror(truth.read)
    for _ in range(30):
        mirror.apply(truth.change())
    await mirror.compute()
    client = Client(BoardViewer("e1", 5, 2))
    for _ in range(30):
        truth.change()
    assert await mirror.compute() is None
    mirror.expect(truth.seq)
    view = await mirror.compute()
    assert view is not None
    assert mirror.done_seq == truth.seq
    client.take(view)
    client.check(truth.ranking())


async def test_a_store_that_is_away_leaves_the_last_view() -> None:
    truth = Truth(random.Random(4))
    away = False

    async def read(since_seq: int) -> AsyncIterator[tuple[int, list[Line]]]:
        if away:
            raise MusterError(Reason.UNAVAILABLE)
        async for part in truth.read(since_seq):
            yield part

    mirror = BoardMirror(read)
    assert await mirror.compute() is not None
    truth.change()
    mirror.expect(truth.seq)
    away = True
    assert await mirror.compute() is None
    away = False
    assert await mirror.compute() is not None
    nobody = BoardMirror(read)
    away = True
    with pytest.raises(MusterError):
        await nobody.compute()
