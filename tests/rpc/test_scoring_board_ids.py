"""An id is that of one board in all organizations: of a session's, or of one that a service made."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game, new_id
from tests.rpc.scoring_leaderboard import INCREMENT, Leaderboard

ORGANIZATION = "o-ids"
AT_ONCE = 8


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("ids")) as scoring:
        yield scoring


def game_of(scoring: Scoring, organization: str, session_id: str) -> Game:
    game = scoring.game(base_points=10)
    game.organization, game.session_id = organization, session_id
    return game


@pytest.mark.parametrize("organization", [ORGANIZATION, "o-others"])
async def test_a_session_cannot_have_the_id_of_a_board(scoring: Scoring, organization: str) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.submit("ann", 5)
    game = game_of(scoring, organization, board.board_id)
    assert await reason_of(game.open()) is Reason.ALREADY_EXISTS
    assert await reason_of(game.seat("mallory", hidden=True)) is Reason.ALREADY_EXISTS
    assert await game.board() == []
    assert await board.ranking() == [("ann", 5, 1)]
    await board.call("DeleteBoard")
    # Whoever still counts on from it would take the one for the other.
    assert await reason_of(game.open()) is Reason.ALREADY_EXISTS


@pytest.mark.parametrize("organization", [ORGANIZATION, "o-others"])
async def test_a_board_cannot_have_the_id_of_a_session(scoring: Scoring, organization: str) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    await game.player("ann").submit(round_id)
    making = Leaderboard(scoring, organization, game.session_id).make(INCREMENT)
    assert await reason_of(making) is Reason.ALREADY_EXISTS
    assert [entry.entry_id for entry in await game.board()] == ["ann"]


async def test_of_those_who_want_an_id_at_once_one_gets_it(scoring: Scoring) -> None:
    async def meet() -> None:
        board_id = new_id()
        game = game_of(scoring, "o-others", board_id)
        outcomes = await asyncio.gather(
            game.open(), Leaderboard(scoring, ORGANIZATION, board_id).make(INCREMENT), return_exceptions=True
        )
        assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 1

    for _ in range(5):
        await asyncio.gather(*(meet() for _ in range(AT_ONCE)))
