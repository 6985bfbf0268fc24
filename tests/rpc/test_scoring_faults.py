"""Lost connections and faulty neighbours cost no answer, and count none twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import grpc
import pytest

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Player, new_id
from tests.rpc.scoring_recount import recount, stored


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


async def _submit_until_told(player: Player, round_id: str, *, instance: int) -> int:
    """Submit as a client does that retries what it was not told of."""
    request_id = new_id()
    async with asyncio.timeout(30):
        while True:
            try:
                reply = await player.submit(round_id, request_id=request_id, instance=instance)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            else:
                return reply.total_score


@contextlib.asynccontextmanager
async def _cut_again_and_again(scoring: Scoring) -> AsyncIterator[list[int]]:
    """Cut the writers' connections to PostgreSQL, whatever they are doing; tells which were cut."""
    connection = await asyncpg.connect(scoring.urls.admin_url)
    cuts: list[int] = []

    async def cut() -> None:
        while True:
            rows = await connection.fetch(
                "SELECT pid, pg_terminate_backend(pid), pg_sleep(0.1) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = 'muster_writer'"
            )
            cuts.extend(row["pid"] for row in rows)

    cutting = asyncio.create_task(cut())
    try:
        yield cuts
    finally:
        cutting.cancel()
        await asyncio.gather(cutting, return_exceptions=True)
        await connection.close()


async def test_cut_connections_lose_and_double_nothing(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_ids = [await game.open() for _ in range(20)]
    async with _cut_again_and_again(scoring) as cuts:
        for round_id in round_ids:
            await asyncio.gather(
                *(
                    _submit_until_told(player, round_id, instance=place % 2)
                    for place, player in enumerate(game.players(30))
                )
            )
    assert cuts
    assert await stored(game) == await recount(game)
    assert (await game.analytics()).session.response_count == 600
    board = await game.board()
    assert [entry.score for entry in board] == [200] * 30
    rows = await scoring.rows(
        "SELECT participant_id FROM scoring.participant WHERE session_id = $1 "
        'ORDER BY score DESC, duration_ms, reached_seq, participant_id COLLATE "C"',
        game.session_id,
    )
    assert [entry.entry_id for entry in board] == [row["participant_id"] for row in rows]


async def test_an_answer_that_cannot_be_stored_fails_alone(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    # No seat has such a generation; no column holds it.
    faulty = game.player("faulty", generation=2**70)
    results = await asyncio.gather(
        *(player.submit(round_id) for player in [*game.players(10), faulty]), return_exceptions=True
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 10
    assert isinstance(results[-1], grpc.aio.AioRpcError)
    assert results[-1].code() is grpc.StatusCode.INTERNAL
    assert (await game.stats(round_id)).response_count == 10
