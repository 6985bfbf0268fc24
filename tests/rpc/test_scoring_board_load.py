"""A large board is loaded without holding anybody up: neither Redis nor the process."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import redis as blocking_redis
from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.redis_client import open_redis
from muster_scoring.model_board import Position
from muster_scoring.store_redis import RedisBoards
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.one_server import of_one_server
from tests.quickness import assert_quick
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game

_ENTRIES = 60_000
# As one call it would be seconds.
_LONGEST_SILENCE_SECONDS = 0.15
_LONGEST_STALL_SECONDS = 0.25

# Many have the same score, and some the same time too.
_FILL = """
    INSERT INTO scoring.participant (
        session_id, organization_id, participant_id, display_name,
        version, reached_seq, score, duration_ms, response_count, hidden
    )
    SELECT s.session_id, s.organization_id, 'p' || n, 'Name of ' || n,
        s.seq, n % 7, n * 7919 % 100, n * 10007 % 50, 1, n % 100 = 0
    FROM scoring.session AS s, generate_series(1, $2) AS n
    WHERE s.session_id = $1
"""

_BY_SQL = """
    SELECT participant_id FROM scoring.participant
    WHERE session_id = $1 AND response_count > 0 AND NOT hidden
    ORDER BY score DESC, duration_ms, reached_seq, participant_id COLLATE "C"
"""


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


class Longest:
    """The longest time between two signs of life, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        """Note a time."""
        self.seconds = max(self.seconds, seconds)


@contextmanager
def _pinging(url: str) -> Iterator[Longest]:
    """Ping Redis all the time, from a thread of its own."""
    longest, is_over = Longest(), threading.Event()

    def ping() -> None:
        with blocking_redis.Redis.from_url(url) as redis:
            while not is_over.wait(0.001):
                started = time.perf_counter()
                redis.ping()
                longest.note(time.perf_counter() - started)

    thread = threading.Thread(target=ping)
    thread.start()
    try:
        yield longest
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _unencumbered() -> Iterator[None]:
    """The tests' own objects are far more than a worker's: they are not looked through for garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _tick(longest: Longest) -> None:
    """Note how long this process's loop does not come round."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        longest.note(time.perf_counter() - started)


async def _whole(redis: Redis, game: Game) -> list[str]:
    """All ids of the board in Redis, read in pages that are no trouble either."""
    index, after, found = RedisBoards(redis, schema="scoring"), None, list[str]()
    while page := await index.page(game.session_id, after=after, limit=500):
        if not page.lines:
            break
        found += [line.entry_id for line in page.lines]
        after = Position.decode(page.lines[-1].place)
    return found


@of_one_server
async def test_a_large_board_is_loaded_while_everybody_goes_on(scoring: Scoring, stores: TestStores) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    await scoring.rows(_FILL, game.session_id, _ENTRIES)
    expected = [row["participant_id"] for row in await scoring.rows(_BY_SQL, game.session_id)]
    assert len(expected) == _ENTRIES * 99 // 100
    async with open_redis(stores.redis_url) as redis:
        index = RedisBoards(redis, schema="scoring")

        async def load() -> float:
            """Load it; return the longest silence and stall, in parts of what is allowed."""
            await redis.flushall()
            stall = Longest()
            with _unencumbered(), _pinging(stores.redis_url) as silence:
                ticking = asyncio.create_task(_tick(stall))
                # Both processes notice, both load it, and one has to make it for those who watch too.
                request = pb.WatchBoardRequest(board_id=game.session_id, replay_only=True)
                for instance in scoring.instances:
                    call = instance.boards.WatchBoard(request, metadata=game.host)
                    (frame,) = [each async for each in call]
                    assert [entry.entry_id for entry in frame.view.top_entries] == expected[:10]
                async with asyncio.timeout(60):
                    while await index.held([game.session_id]) == [None]:
                        pass
                ticking.cancel()
            assert await _whole(redis, game) == expected
            return max(silence.seconds / _LONGEST_SILENCE_SECONDS, stall.seconds / _LONGEST_STALL_SECONDS)

        await assert_quick(1, load)
        late = await game.player("late").submit(round_id)
        assert late.rank_after > 0
