"""Who looks before there is anything to see finds it as soon as it is there."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_a_session_is_found_as_soon_as_it_is_there(scoring: Scoring) -> None:
    game = scoring.game()
    owner = game.user("owner", OrganizationRole.OWNER)
    assert await reason_of(game.analytics(by=owner)) is Reason.NOT_FOUND
    await game.open()
    assert (await game.analytics(by=owner)).session.round_count == 1


async def test_who_looks_while_it_is_looked_up_finds_it_too(scoring: Scoring) -> None:
    for _ in range(5):
        game = scoring.game()
        owner = game.user("owner", OrganizationRole.OWNER)
        early = [asyncio.ensure_future(game.analytics(by=owner)) for _ in range(10)]
        await game.open()
        assert (await game.analytics(by=owner)).session.round_count == 1
        await asyncio.gather(*early, return_exceptions=True)
