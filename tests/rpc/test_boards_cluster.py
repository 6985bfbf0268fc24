"""Boards at two workers over a Redis Cluster, each on a node of its own."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator

import pytest

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_leaderboard import INCREMENT, Leaderboard, a_score
from tests.valkey_cluster import ValkeyCluster

ORGANIZATION = "o-cluster"


@pytest.fixture(scope="module")
async def scoring(
    clustered_stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scoring]:
    async with open_scoring(clustered_stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


async def boards_of(scoring: Scoring, cluster: ValkeyCluster) -> list[Leaderboard]:
    """Make a board on each node, whose scores add up."""
    found: dict[int, Leaderboard] = {}
    while len(found) < len(cluster.nodes):
        board = Leaderboard(scoring, ORGANIZATION)
        found.setdefault(cluster.node_of(f"muster:scoring:board:{{{board.board_id}}}:places"), board)
    return [await found[node].make(INCREMENT) for node in sorted(found)]


async def test_boards_of_all_nodes_rank_and_come_back_when_a_node_loses_them(
    scoring: Scoring, cluster: ValkeyCluster
) -> None:
    dice = random.Random(7)
    boards = await boards_of(scoring, cluster)

    async def play() -> None:
        async with asyncio.TaskGroup() as tasks:
            for board, instance in itertools.product(boards, range(2)):
                scores = [a_score(f"p{number}", dice.randrange(100)) for number in range(20)]
                tasks.create_task(board.batch(*scores, instance=instance))

    async def check() -> None:
        for board, instance in itertools.product(boards, range(2)):
            assert await board.ranking(instance=instance) == await board.recounted()

    await play()
    await check()
    for node in range(len(boards)):
        async with cluster.client(node) as redis:
            await redis.flushall()
            await redis.script_flush()
        await play()
        await check()
