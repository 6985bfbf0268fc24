"""Who watches rounds is not shown answers of a round that was cancelled."""

from collections.abc import AsyncIterator

import pytest
from muster.scoring.v1 import round_pb2
from muster.scoring.v1 import round_service_pb2 as rpc

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.waiting import until


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_recent_answers_are_those_of_rounds_that_count(scoring: Scoring) -> None:
    game = scoring.game()
    kept, cancelled = await game.open(), await game.open()
    for round_id in (kept, cancelled):
        await game.player("ann").submit(round_id)

    async def whole_view() -> rpc.RoundsView:
        request = rpc.WatchRoundsRequest(session_id=game.session_id, replay_only=True)
        (frame,) = [frame async for frame in scoring.rounds.WatchRounds(request, metadata=game.host)]
        view: rpc.RoundsView = frame.view
        return view

    # One who stays, so that what was read is kept.
    staying = scoring.rounds.WatchRounds(
        rpc.WatchRoundsRequest(session_id=game.session_id), metadata=game.host
    )
    await staying.read()
    assert [each.round_id for each in (await whole_view()).recent_responses] == [kept, cancelled]
    await game.cancel(cancelled)

    async def after_the_cancel() -> rpc.RoundsView | None:
        view = await whole_view()
        return view if view.rounds[1].status == round_pb2.ROUND_STATUS_CANCELLED else None

    view = await until(after_the_cancel)
    assert [each.round_id for each in view.recent_responses] == [kept]
    staying.cancel()
