"""Drafts outlive the tickets they were saved with."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_the_draft_of_someone_who_left_is_submitted(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    await game.player("ann").draft(round_id)
    await game.seat("ann", minimum_generation=2)
    assert (await game.close(round_id)).stats.response_count == 1
    assert [(entry.entry_id, entry.score) for entry in await game.board()] == [("ann", 10)]


async def test_the_draft_of_someone_sent_away_is_not_submitted(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    await game.player("ann", generation=2).draft(round_id)
    await game.seat("ann", minimum_generation=2, hidden=True)
    assert (await game.close(round_id)).stats.response_count == 0
