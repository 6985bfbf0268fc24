"""No reply tells what an answer was worth before its round is closed."""

from collections.abc import AsyncIterator

import pytest
from muster.scoring.v1 import round_pb2, rules_pb2

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_the_total_leaves_out_what_is_withheld(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    held = await game.open(base_points=100, feedback=rules_pb2.FEEDBACK_ON_CLOSE)
    told = await game.open()
    for name, answer in (("right", "a"), ("wrong", "b")):
        player = game.player(name)
        await player.submit(held, answer)
        replies = [await player.submit(told, request_id="r") for _ in range(2)]
        assert [reply.total_score for reply in replies] == [100, 100]


async def test_a_cancelled_round_tells_nothing_afterwards(scoring: Scoring) -> None:
    game = scoring.game(base_points=100, feedback=rules_pb2.FEEDBACK_ON_CLOSE)
    ann = game.player("ann")
    round_id = await game.open()
    reply = await ann.submit(round_id, request_id="r")
    await game.cancel(round_id)
    again = await ann.submit(round_id, request_id="r")
    assert again == reply
    assert again.response.status == round_pb2.RESPONSE_STATUS_SUBMITTED
