"""Of what is said about a seat, the newest holds, in whatever order it comes."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_older_news_do_not_show_a_hidden_seat_again(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    await game.player("ann", generation=3).submit(await game.open())
    await game.seat("ann", minimum_generation=3, hidden=True)
    await game.seat("ann", minimum_generation=2, hidden=False)
    assert await game.board() == []
    await game.seat("ann", minimum_generation=4, hidden=False)
    assert [entry.entry_id for entry in await game.board()] == ["ann"]
