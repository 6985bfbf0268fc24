"""The index ranks like a sort, takes changes in any order, and knows what it does not know."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest
import structlog.testing
from muster_kit.errors import MusterError
from muster_kit.redis_client import open_redis
from muster_scoring.model_board import BoardChanges, Line, Position, floor_line
from muster_scoring.store_redis import RedisBoards
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.scoring_game import new_id


@pytest.fixture
async def redis(stores: TestStores) -> AsyncIterator[Redis]:
    async with open_redis(stores.redis_url) as redis:
        yield redis


@pytest.fixture
def index(redis: Redis) -> RedisBoards:
    return RedisBoards(redis, schema="scoring")


@pytest.fixture
def board_id() -> str:
    return new_id()


def _line(entry_id: str, score: int, version: int, *, on_board: bool = True) -> Line:
    if not on_board:
        return Line(entry_id, version, b"", b"")
    return Line(entry_id, version, Position(score, 0, 0, entry_id).encode(), b"packed\0" + entry_id.encode())


async def _load(index: RedisBoards, board_id: str, seq: int, lines: Sequence[Line]) -> bool:
    """Load a board in parts of two lines."""

    async def parts() -> AsyncIterator[tuple[int, Sequence[Line]]]:
        for start in range(0, len(lines) + 1, 2):
            yield seq + start, lines[start : start + 2]

    return await index.load(board_id, parts())


async def _keys(redis: Redis, board_id: str) -> list[bytes]:
    # KEYS would be of one node alone.
    return [key async for key in redis.scan_iter(f"*{board_id}*", count=1000)]


async def _epoch(index: RedisBoards, board_id: str) -> bytes:
    (held,) = await index.held([board_id])
    assert held is not None
    return held.epoch


def _one(board_id: str, line: Line) -> BoardChanges:
    return BoardChanges(board_id, line.version - 1, line.version, (line,))


async def test_a_board_that_was_not_loaded_is_not_held(index: RedisBoards, board_id: str) -> None:
    assert await index.apply([BoardChanges(board_id, 0, 1, (_line("a", 1, 1),))]) == [None]
    assert await index.page(board_id, after=None, limit=1) is None
    assert await index.around(board_id, "a", radius=1) is None


@pytest.mark.parametrize("seed", range(5))
async def test_changes_in_any_order_end_as_a_sort(
    index: RedisBoards, redis: Redis, board_id: str, seed: int
) -> None:
    chance = random.Random(seed)
    await _load(index, board_id, 0, [])
    truth: dict[str, Line] = {}
    early: list[BoardChanges] = []
    for seq in range(1, 301):
        entry_id = f"é{chance.randrange(40)}"
        line = _line(entry_id, chance.randrange(-3, 4), seq, on_board=chance.random() > 0.1)
        truth[entry_id] = line
        early.append(_one(board_id, line))
        if len(early) > 8 or seq == 300:
            chance.shuffle(early)
            await index.apply(early)
            early = []
        if chance.random() < 0.02:
            await redis.delete(f"muster:scoring:board:{{{board_id}}}:{chance.choice(['places', 'lines'])}")
            await index.apply(early)
            early = []
            await _load(index, board_id, seq, list(truth.values()))
    expected = sorted((line for line in truth.values() if line.place), key=lambda line: line.place)
    page = await index.page(board_id, after=None, limit=1000)
    assert page is not None
    assert list(page.lines) == expected
    assert (page.done_seq, page.first_rank, page.entry_count) == (300, 1, len(expected))
    for place, line in enumerate(expected):
        around = await index.around(board_id, line.entry_id, radius=2)
        assert around is not None
        assert list(around.lines) == expected[max(0, place - 2) : place + 3]
        assert around.first_rank == max(1, place - 1)
        rest = await index.page(board_id, after=Position.decode(line.place), limit=3)
        assert rest is not None
        assert list(rest.lines) == expected[place + 1 : place + 4]


async def test_ranks_are_told_before_and_after(index: RedisBoards, board_id: str) -> None:
    await _load(index, board_id, 0, [])
    (applied,) = await index.apply(
        [BoardChanges(board_id, 0, 3, (_line("a", 5, 1), _line("b", 7, 2), _line("a", 9, 3)))]
    )
    assert applied is not None
    assert [(rank.before, rank.after) for rank in applied.ranks] == [(0, 1), (0, 1), (2, 1)]
    # An older version changes nothing and is told where the entry is now.
    (repeated,) = await index.apply([BoardChanges(board_id, 1, 2, (_line("b", 7, 2), _line("a", 5, 1)))])
    assert repeated is not None
    assert [(rank.before, rank.after) for rank in repeated.ranks] == [(2, 2), (1, 1)]
    (removed,) = await index.apply([_one(board_id, _line("a", 0, 4, on_board=False))])
    assert removed is not None
    assert [(rank.before, rank.after) for rank in removed.ranks] == [(1, 0)]


async def test_it_tells_up_to_which_change_it_is_complete(index: RedisBoards, board_id: str) -> None:
    await _load(index, board_id, 10, [_line("a", 1, 7)])

    async def apply(first_seq: int, last_seq: int) -> int:
        (applied,) = await index.apply([BoardChanges(board_id, first_seq, last_seq, ())])
        assert applied is not None
        return applied.done_seq

    assert await apply(12, 14) == 10
    assert await apply(15, 16) == 10
    assert await apply(10, 12) == 14
    assert await apply(14, 15) == 16
    assert await apply(3, 5) == 16


async def test_a_board_that_is_held_is_not_replaced(index: RedisBoards, redis: Redis, board_id: str) -> None:
    await _load(index, board_id, 0, [])
    epoch = await _epoch(index, board_id)
    await index.apply([_one(board_id, _line("a", 9, 1))])
    await _load(index, board_id, 0, [_line("b", 2, 0)])
    page = await index.page(board_id, after=None, limit=9)
    assert page is not None
    assert [line.entry_id for line in page.lines] == ["a"]
    assert await _epoch(index, board_id) == epoch
    assert len(await _keys(redis, board_id)) == 2


async def test_of_several_loads_at_once_one_makes_the_board(
    index: RedisBoards, redis: Redis, board_id: str
) -> None:
    lines = [_line(f"e{number}", number, 1) for number in range(100)]
    loads = await asyncio.gather(*(_load(index, board_id, 1, lines) for _ in range(5)))
    assert sorted(loads) == [False] * 4 + [True]
    page = await index.page(board_id, after=None, limit=200)
    assert page is not None
    assert list(page.lines) == lines[::-1]
    assert len(await _keys(redis, board_id)) == 2


async def test_nothing_is_there_before_all_parts_are(index: RedisBoards, redis: Redis, board_id: str) -> None:
    class CrashError(Exception):
        pass

    async def parts() -> AsyncIterator[tuple[int, Sequence[Line]]]:
        yield 7, [_line("a", 1, 3)]
        assert await index.held([board_id]) == [None]
        raise CrashError

    with pytest.raises(CrashError):
        await index.load(board_id, parts())
    assert await index.held([board_id]) == [None]
    left = await _keys(redis, board_id)
    assert len(left) == 3
    # What a crash leaves does not stay, and keeps nobody from loading the board.
    assert all([0 < await redis.ttl(key) <= 60 for key in left])
    assert not await _load(index, board_id, 7, [])
    await redis.delete(f"muster:scoring:board:{{{board_id}}}:loading")
    assert await _load(index, board_id, 7, [])


async def test_parts_that_are_lost_make_no_board(index: RedisBoards, redis: Redis, board_id: str) -> None:
    async def parts() -> AsyncIterator[tuple[int, Sequence[Line]]]:
        yield 7, [_line("a", 1, 3)]
        await redis.flushall()
        yield 7, [_line("b", 1, 4)]

    with pytest.raises(MusterError, match="INTERNAL"):
        await index.load(board_id, parts())
    assert await index.held([board_id]) == [None]


async def test_a_board_that_was_lost_has_another_epoch(
    index: RedisBoards, redis: Redis, board_id: str
) -> None:
    other_id = new_id()
    await _load(index, board_id, 5, [_line("a", 1, 3)])
    epoch = await _epoch(index, board_id)
    assert [held and held.done_seq for held in await index.held([board_id, other_id])] == [5, None]
    await redis.flushall()
    await _load(index, board_id, 5, [_line("a", 1, 3)])
    assert await _epoch(index, board_id) != epoch


async def test_a_board_that_begins_anew_is_the_same_board(index: RedisBoards, board_id: str) -> None:
    await _load(index, board_id, 2, [_line("a", 5, 1), _line("b", 7, 2)])
    epoch = await _epoch(index, board_id)
    (emptied,) = await index.apply([BoardChanges(board_id, 2, 3, (floor_line(3),))])
    assert emptied is not None
    assert emptied.done_seq == 3
    await index.apply([_one(board_id, _line("a", 1, 4))])
    # Late word of the time before.
    await index.apply([BoardChanges(board_id, 1, 2, (_line("b", 7, 2),))])
    page = await index.page(board_id, after=None, limit=10)
    assert page is not None
    assert ([line.entry_id for line in page.lines], page.done_seq) == (["a"], 4)
    assert await _epoch(index, board_id) == epoch


@pytest.mark.parametrize("ahead", [(), (5,)], ids=["missing some before it", "with some after it"])
async def test_a_board_that_begins_anew_out_of_turn_is_to_be_loaded(
    index: RedisBoards, board_id: str, ahead: Sequence[int]
) -> None:
    await _load(index, board_id, 2, [_line("a", 5, 1), _line("b", 7, 2)])
    for version in ahead:
        await index.apply([_one(board_id, _line("c", 9, version))])
    first = 2 if ahead else 3
    assert await index.apply([BoardChanges(board_id, first, first + 1, (floor_line(first + 1),))]) == [None]
    assert await index.held([board_id]) == [None]


async def test_a_script_that_fails_counts_as_a_board_that_is_not_held(
    index: RedisBoards, redis: Redis, board_id: str
) -> None:
    other_id = new_id()
    await _load(index, board_id, 0, [])
    await _load(index, other_id, 0, [])
    await redis.delete(f"muster:scoring:board:{{{board_id}}}:lines")
    await redis.set(f"muster:scoring:board:{{{board_id}}}:lines", "not a hash")
    assert await index.page(board_id, after=None, limit=1) is None
    applied = await index.apply([_one(board_id, _line("a", 1, 1)), _one(other_id, _line("a", 1, 1))])
    assert applied[0] is None
    assert applied[1] is not None


async def test_a_script_that_goes_on_failing_is_logged_once(
    index: RedisBoards, redis: Redis, board_id: str
) -> None:
    lines = f"muster:scoring:board:{{{board_id}}}:lines"
    with structlog.testing.capture_logs() as log:
        for _ in range(2):
            await redis.set(lines, "not a hash")
            assert await index.page(board_id, after=None, limit=1) is None
            assert await index.page(board_id, after=None, limit=1) is None
            await redis.delete(lines)
            assert await index.page(board_id, after=None, limit=1) is None
    assert [(entry["event"], entry["script"]) for entry in log] == [("script_failed", "page")] * 2


async def test_several_boards_take_one_call(index: RedisBoards, redis: Redis) -> None:
    held, forgotten = new_id(), new_id()
    await _load(index, held, 0, [])
    # A server that was restarted has no scripts; the call does not notice.
    await redis.script_flush()
    applied = await index.apply([_one(held, _line("a", 1, 1)), _one(forgotten, _line("a", 1, 1))])
    assert applied[0] is not None
    assert applied[1] is None


async def test_boards_are_not_kept_for_ever(index: RedisBoards, redis: Redis, board_id: str) -> None:
    await _load(index, board_id, 0, [_line("a", 1, 0)])
    await index.apply([_one(board_id, _line("b", 1, 1)), BoardChanges(board_id, 5, 6, ())])
    for name in ("places", "lines", "early"):
        assert await redis.ttl(f"muster:scoring:board:{{{board_id}}}:{name}") > 0


async def test_a_redis_that_is_away_is_unavailable() -> None:
    async with open_redis("redis://127.0.0.1:1/0") as nowhere:
        index = RedisBoards(nowhere, schema="scoring")
        with pytest.raises(MusterError, match="UNAVAILABLE"):
            await index.page("board", after=None, limit=1)
        with pytest.raises(MusterError, match="UNAVAILABLE"):
            await index.apply([BoardChanges("a", 0, 1, ()), BoardChanges("b", 0, 1, ())])
