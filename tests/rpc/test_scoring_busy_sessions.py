"""A session that somebody has locked for long holds up nobody else's answers, and loses none of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import grpc
import pytest

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game, new_id
from tests.rpc.scoring_recount import recount, stored


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


@contextlib.asynccontextmanager
async def _locked(scoring: Scoring, *games: Game) -> AsyncIterator[None]:
    """Hold sessions as a close of many drafts does."""
    connection = await asyncpg.connect(scoring.urls.admin_url)
    try:
        async with connection.transaction():
            session_ids = [game.session_id for game in games]
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('scoring.session/' || id, 0)) "
                "FROM unnest($1::text[]) AS id",
                session_ids,
            )
            await connection.execute(
                "SELECT FROM scoring.session WHERE session_id = ANY ($1) FOR NO KEY UPDATE", session_ids
            )
            yield
    finally:
        await connection.close()


async def _waiting(scoring: Scoring, count: int = 1) -> None:
    """Wait until so many statements of the writer wait for locks."""
    async with asyncio.timeout(30):
        while (
            len(
                await scoring.rows(
                    "SELECT FROM pg_stat_activity WHERE datname = current_database() "
                    "AND usename = 'muster_writer' AND wait_event_type = 'Lock'"
                )
            )
            < count
        ):
            continue


def _submit_all(game: Game, round_id: str, count: int, **how: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(player.submit(round_id, **how)) for player in game.players(count)]


async def _scores(tasks: Sequence[asyncio.Task[Any]]) -> list[int]:
    return [reply.response.score for reply in await asyncio.gather(*tasks)]


async def test_answers_to_other_sessions_do_not_wait(scoring: Scoring) -> None:
    held, free = scoring.game(base_points=10), scoring.game(base_points=10)
    held_round, free_round = await held.open(), await free.open()
    async with _locked(scoring, held):
        waiting = _submit_all(held, held_round, 20)
        await _waiting(scoring)
        waiting += _submit_all(held, held_round, 20, request_id="again")
        for _ in range(5):
            async with asyncio.timeout(3):
                assert await _scores(_submit_all(free, free_round, 1)) == [10]
            free_round = await free.open()
        assert not any(task.done() for task in waiting)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    # Of the two answers of each player one counts.
    assert sum(not isinstance(each, BaseException) for each in outcomes) == 20
    refused = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert {each.code() for each in refused} == {grpc.StatusCode.FAILED_PRECONDITION}
    assert len(refused) == 20
    assert await stored(held) == await recount(held)
    assert (await held.analytics()).session.response_count == 20


async def test_one_batch_may_have_answers_to_locked_sessions_and_to_free_ones(scoring: Scoring) -> None:
    games = [scoring.game(base_points=10) for _ in range(12)]
    round_ids = [await game.open() for game in games]
    held, free = slice(0, None, 2), slice(1, None, 2)
    async with _locked(scoring, *games[held]):
        pairs = list(zip(games, round_ids, strict=True))
        waiting = [task for pair in pairs[held] for task in _submit_all(*pair, 5)]
        quick = [task for pair in pairs[free] for task in _submit_all(*pair, 5)]
        async with asyncio.timeout(3):
            assert await _scores(quick) == [10] * 30
        assert not any(task.done() for task in waiting)
    assert await _scores(waiting) == [10] * 30
    for game in games:
        assert await stored(game) == await recount(game)


async def test_a_repeated_request_is_answered_the_same_after_the_wait(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    (player,) = game.players(1)
    request_id = new_id()
    async with _locked(scoring, game):
        tasks = [
            asyncio.create_task(player.submit(round_id, request_id=request_id, instance=place % 2))
            for place in range(6)
        ]
        await _waiting(scoring, 2)
    replies = await asyncio.gather(*tasks)
    assert len({reply.response.SerializeToString() for reply in replies}) == 1
    assert (await game.analytics()).session.response_count == 1


async def test_a_round_that_closes_during_the_wait_takes_no_more(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    async with _locked(scoring, game):
        closing = asyncio.create_task(game.close(round_id))
        async with asyncio.timeout(30):
            while not await scoring.rows(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() "
                "AND usename = 'muster_app' AND wait_event_type = 'Lock'"
            ):
                continue
        (task,) = _submit_all(game, round_id, 1)
        await _waiting(scoring)
    await closing
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await task
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (await game.analytics()).session.response_count == 0
