"""A Redis that hangs, or refuses a script, holds nobody up."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import contextmanager
from typing import Any

import pytest
from muster_kit.redis_client import open_redis

from tests.conftest import TestStores
from tests.one_server import of_one_server
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.waiting import until


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


@contextmanager
def _hung(stores: TestStores) -> Any:
    """Valkey takes connections and commands, and answers none."""
    pid = stores.valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _seconds(call: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await call
    return time.perf_counter() - started


@of_one_server
async def test_only_the_first_wait_for_a_redis_that_hangs(scoring: Scoring, stores: TestStores) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    assert (await game.player("first").submit(round_id)).rank_after == 1
    with _hung(stores):
        await asyncio.gather(*(player.submit(round_id) for player in game.players(5)))
        took: list[float] = []
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            player = game.player()
            took.append(await _seconds(player.submit(round_id)))
            took.append(await _seconds(game.board()))
        # The index is probed several times meanwhile, for half a second each.
        assert len(took) > 20
        # A busy machine may hold up one call; each probe that does would hold up one more.
        assert sorted(took)[-2] < 0.4
        reply = await game.player().submit(round_id)
        assert (reply.total_score, reply.rank_after) == (10, 0)
        entries = await game.board()
    assert [entry.entry_id for entry in entries[:1]] == ["first"]

    async def is_ranked() -> bool:
        return bool((await game.player().submit(round_id)).rank_after)

    await until(is_ranked)


async def test_a_script_that_fails_costs_no_answer_and_no_other_board(
    scoring: Scoring, stores: TestStores
) -> None:
    faulty, sound = scoring.game(base_points=10), scoring.game(base_points=10)
    round_ids = {game.session_id: await game.open() for game in (faulty, sound)}
    async with open_redis(stores.redis_url) as redis:
        key = f"muster:scoring:board:{{{faulty.session_id}}}:lines"
        await redis.delete(key)
        await redis.set(key, "not a hash")
        for number in range(1, 6):
            reply = await faulty.player(f"p{number}").submit(round_ids[faulty.session_id])
            assert (reply.total_score, reply.rank_after) == (10, 0)
            reply = await sound.player(f"p{number}").submit(round_ids[sound.session_id])
            assert (reply.total_score, reply.rank_after) == (10, number)
        assert len(await faulty.board()) == 5
        await redis.delete(key)

    async def is_ranked() -> bool:
        return bool((await faulty.player().submit(round_ids[faulty.session_id])).rank_after)

    await until(is_ranked)
