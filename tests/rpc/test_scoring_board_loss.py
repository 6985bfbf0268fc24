"""A board that Redis lost is the same board afterwards, and whoever watches it begins anew once."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from muster.scoring.v1 import board_service_pb2 as pb
from muster.stream.v1.stream_pb2 import ResetCause
from muster_kit.redis_client import open_redis
from muster_scoring.store_redis import RedisBoards
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game
from tests.waiting import until

_PLAYERS = 30

_BY_SQL = """
    SELECT participant_id FROM scoring.participant
    WHERE session_id = $1 AND response_count > 0 AND NOT hidden
    ORDER BY score DESC, duration_ms, reached_seq, participant_id COLLATE "C"
"""


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


@pytest.fixture(scope="module")
async def redis(stores: TestStores) -> AsyncIterator[Redis]:
    async with open_redis(stores.redis_url) as redis:
        yield redis


class Watcher:
    """A client that does as the contract says, and remembers every reset."""

    def __init__(self, call: Any) -> None:
        self.top: dict[str, Any] | None = None
        self.resets: list[int] = []
        self.wholes = 0
        self._call = call
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    def ranking(self) -> list[str]:
        """The ids of the top from the best."""
        return sorted(self.top or {}, key=lambda entry_id: int((self.top or {})[entry_id].rank))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until what is held is so."""
        async with asyncio.timeout(15), self._news:
            await self._news.wait_for(lambda: is_so() or self._reader.done())
        assert is_so()

    async def stop(self) -> None:
        """Watch no more; nothing that came was against the contract."""
        self._call.cancel()
        (ended,) = await asyncio.gather(self._reader, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended

    async def _read(self) -> None:
        async for frame in self._call:
            async with self._news:
                self._take(frame)
                self._news.notify_all()

    def _take(self, frame: pb.WatchBoardResponse) -> None:
        match frame.WhichOneof("frame"):
            case "reset":
                self.resets.append(frame.reset.cause)
                self.top = None
            case "view":
                # What was dropped comes whole.
                assert frame.view.full or self.top is not None
                self.wholes += frame.view.full
                top = {} if frame.view.full or self.top is None else self.top
                for entry_id in frame.view.removed_entry_ids:
                    del top[entry_id]
                self.top = top | {entry.entry_id: entry for entry in frame.view.top_entries}


@asynccontextmanager
async def _watching(game: Game) -> AsyncIterator[list[Watcher]]:
    """Two watchers on each of two instances, who have the board as it is."""
    async with AsyncExitStack() as exits:
        watchers = []
        for instance in (0, 1, 0, 1):
            request = pb.WatchBoardRequest(board_id=game.session_id, top=_PLAYERS)
            call = game.scoring.instances[instance].boards.WatchBoard(request, metadata=game.host)
            watchers.append(Watcher(call))
            exits.push_async_callback(watchers[-1].stop)
        for watcher in watchers:
            await watcher.until(lambda watcher=watcher: watcher.top is not None)
        yield watchers


async def _by_sql(game: Game) -> list[str]:
    return [row["participant_id"] for row in await game.scoring.rows(_BY_SQL, game.session_id)]


async def _by_redis(game: Game, redis: Redis) -> list[str]:
    page = await RedisBoards(redis, schema="scoring").page(game.session_id, after=None, limit=1000)
    return [line.entry_id for line in page.lines] if page is not None else []


async def _begin(scoring: Scoring) -> Game:
    """A game whose board Redis has."""
    game = scoring.game(base_points=10, wrong_penalty=3)
    assert (await game.player("p0").submit(await game.open())).rank_after == 1
    return game


async def _play_round(game: Game, chance: random.Random) -> None:
    round_id = await game.open()
    submits = [
        player.submit(round_id, chance.choice("aab"), instance=chance.randrange(2))
        for player in game.players(_PLAYERS)
    ]
    await asyncio.gather(*submits)
    await game.close(round_id)


async def test_a_loss_in_mid_game_is_one_reset_and_the_same_board(scoring: Scoring, redis: Redis) -> None:
    game, chance = await _begin(scoring), random.Random(1)
    async with _watching(game) as watchers:
        await _play_round(game, chance)
        for loss in (1, 2):
            await asyncio.gather(_play_round(game, chance), redis.flushall())
            await _play_round(game, chance)
            for watcher in watchers:
                await watcher.until(lambda watcher=watcher, loss=loss: len(watcher.resets) == loss)
        await _play_round(game, chance)
        expected = await _by_sql(game)
        assert len(expected) == _PLAYERS
        for watcher in watchers:
            await watcher.until(lambda watcher=watcher: watcher.ranking() == expected)
            assert watcher.resets == [ResetCause.RESET_CAUSE_STORE_REBUILT] * 2
            assert watcher.wholes == 3

        async def is_whole() -> bool:
            return await _by_redis(game, redis) == expected

        await until(is_whole)


async def test_the_loss_of_a_quiet_board_is_noticed(scoring: Scoring, redis: Redis) -> None:
    game = await _begin(scoring)
    await _play_round(game, random.Random(2))
    expected = await _by_sql(game)
    async with _watching(game) as watchers:
        await redis.flushall()
        for watcher in watchers:
            await watcher.until(lambda watcher=watcher: len(watcher.resets) == 1)
            await watcher.until(lambda watcher=watcher: watcher.ranking() == expected)
        assert await _by_redis(game, redis) == expected


async def test_a_restart_that_loses_nothing_resets_nobody(scoring: Scoring, stores: TestStores) -> None:
    game, chance = await _begin(scoring), random.Random(3)
    async with _watching(game) as watchers:
        await stores.valkey.stop()
        await stores.valkey.start()

        async def is_ranked() -> bool:
            return bool((await game.player("late").submit(await game.open())).rank_after)

        await until(is_ranked)
        await _play_round(game, chance)
        expected = await _by_sql(game)
        for watcher in watchers:
            await watcher.until(lambda watcher=watcher: watcher.ranking() == expected[:_PLAYERS])
            assert watcher.resets == []
            assert watcher.wholes == 1


async def test_changes_that_redis_alone_missed_are_put_in_without_a_new_board(
    scoring: Scoring, redis: Redis
) -> None:
    game = await _begin(scoring)
    index = RedisBoards(redis, schema="scoring")
    (before,) = await index.held([game.session_id])
    # As by a process that could not reach Redis.
    await scoring.rows(
        "UPDATE scoring.participant SET hidden = true, version = version + 1 WHERE session_id = $1",
        game.session_id,
    )
    await scoring.rows("UPDATE scoring.session SET seq = seq + 1 WHERE session_id = $1", game.session_id)

    async def is_empty() -> bool:
        await game.board()
        return not await _by_redis(game, redis)

    await until(is_empty)
    (after,) = await index.held([game.session_id])
    assert before is not None
    assert after is not None
    assert (after.epoch, after.done_seq) == (before.epoch, before.done_seq + 1)
