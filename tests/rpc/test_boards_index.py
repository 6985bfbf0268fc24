"""Boards that services feed are right whatever becomes of Redis, and in every process."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from muster_kit.redis_client import open_redis
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_leaderboard import ASCENDING, BEST, INCREMENT, Leaderboard, a_score
from tests.waiting import until

ORGANIZATION = "o-index"


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), deaf_instances=1) as scoring:
        yield scoring


@pytest.fixture(scope="module")
async def redis(stores: TestStores) -> AsyncIterator[Redis]:
    async with open_redis(stores.redis_url) as redis:
        yield redis


async def _feed(board: Leaderboard, *, instances: int = 2, scores: int = 400) -> None:
    """Many scores at once by several processes, ties among them."""
    chance = random.Random(scores)
    await asyncio.gather(
        *(
            board.batch(
                *(
                    a_score(f"p{chance.randrange(50)}", chance.randrange(-5, 6), chance.randrange(3))
                    for _ in range(20)
                ),
                instance=chance.randrange(instances),
                omit_results=chance.random() < 0.5,
            )
            for _ in range(scores // 20)
        )
    )


async def test_processes_that_feed_one_board_agree(scoring: Scoring) -> None:
    for order in (0, ASCENDING):
        board = await Leaderboard(scoring, ORGANIZATION).make(BEST, order)
        await _feed(board, instances=3)
        recounted = await board.recounted()
        assert len(recounted) == 50
        for instance in range(3):
            assert await board.ranking(instance=instance) == recounted


async def test_pages_and_neighbours_are_those_of_the_whole_with_and_without_redis(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(BEST, ASCENDING)
    await _feed(board)
    whole = await board.entries()
    for instance in (0, 2):
        assert await board.entries(instance=instance, page_size=7) == whole
        for place in (0, 1, 25, 49):
            entry_id = whole[place].entry_id
            around = await board.call("ListEntriesAround", entry_id=entry_id, radius=2, instance=instance)
            assert list(around.entries) == whole[max(0, place - 2) : place + 3]
            assert (await board.call("GetEntry", entry_id=entry_id, instance=instance)).entry == whole[place]


async def test_a_board_that_redis_forgot_is_made_again(scoring: Scoring, redis: Redis) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await _feed(board)
    await board.call("RemoveEntry", entry_id="p1")
    await redis.flushall()
    recounted = await board.recounted()
    for instance in range(3):
        assert await board.ranking(instance=instance) == recounted

    async def ranked() -> bool:
        return (await board.submit("late", 1)).entry.rank > 0

    await until(ranked)
    assert await board.ranking() == await board.recounted()


async def test_scores_are_taken_and_boards_begin_anew_while_redis_is_away(
    scoring: Scoring, stores: TestStores
) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    reset = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await _feed(board)
    await _feed(reset)
    await stores.valkey.stop()
    try:
        result = await board.submit("ann", 1_000, request_id="r")
        assert (result.entry.score, result.rank_before, result.entry.rank) == (1000, 0, 0)
        await _feed(board)
        await board.call("RemoveEntry", entry_id="p1")
        await reset.call("ResetBoard")
        await reset.submit("ben", 1)
        for each in (board, reset):
            assert await each.ranking() == await each.recounted()
    finally:
        await stores.valkey.start()
    for each in (board, reset):
        assert await each.ranking() == await each.recounted()

        async def ranked(each: Leaderboard = each) -> bool:
            return (await each.submit("late", 1)).entry.rank > 0

        await until(ranked)
        for instance in range(3):
            assert await each.ranking(instance=instance) == await each.recounted()
    assert (await board.submit("ann", 1_000, request_id="r")).entry.score == 1000
    assert {entry_id for entry_id, _, _ in await reset.ranking()} == {"ben", "late"}


async def test_what_a_process_without_redis_did_is_noticed(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.batch(a_score("ann", 3), a_score("ben", 2))
    assert await board.ranking() == [("ann", 3, 1), ("ben", 2, 2)]
    await board.call("ResetBoard", instance=2)
    await board.submit("cy", 1, instance=2)

    async def seen() -> bool:
        return await board.ranking() == [("cy", 1, 1)]

    await until(seen)
    assert (await board.submit("ann", 1)).entry.score == 1
    assert await board.ranking() == await board.recounted()
