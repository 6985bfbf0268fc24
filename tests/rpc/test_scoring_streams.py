"""Answers over one stream."""

from collections.abc import AsyncIterator

import pytest
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Player, choose, new_id, rpc


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_a_stream_replies_in_order(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    ann = game.player("ann")
    round_ids = [await game.open() for _ in range(20)]
    requests = [
        rpc.StreamResponsesRequest(sequence=place, round_id=round_id, answer=choose("a"), request_id=new_id())
        for place, round_id in enumerate(round_ids, start=1)
    ]
    refused = rpc.StreamResponsesRequest(sequence=21, round_id=round_ids[0], answer=choose("b"))
    unknown = rpc.StreamResponsesRequest(sequence=22, round_id="none", answer=choose("b"))
    mismatch = rpc.StreamResponsesRequest(sequence=23, round_id=round_ids[0], answer=choose("z"))
    foreign = rpc.StreamResponsesRequest(
        sequence=24, round_id=round_ids[0], answer=choose("a"), participant_id="ben"
    )
    replies = await _stream(ann, [*requests, refused, unknown, mismatch, foreign])
    assert [reply.sequence for reply in replies] == list(range(1, 25))
    assert [reply.result.total_score for reply in replies[:20]] == [10 * place for place in range(1, 21)]
    assert [reply.refused_reason for reply in replies[20:]] == [
        "ALREADY_ANSWERED",
        "NOT_FOUND",
        "ANSWER_MISMATCH",
        "PERMISSION_DENIED",
    ]
    assert (await game.analytics()).session.response_count == 20


async def test_a_stream_whose_numbers_do_not_count_up_ends(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player()
    round_id = await game.open()
    request = rpc.StreamResponsesRequest(sequence=1, round_id=round_id, answer=choose("a"))
    assert await reason_of(_stream(ann, [request, request])) is Reason.INVALID_FIELD
    assert (await game.stats(round_id)).response_count == 1


async def test_a_stream_takes_more_answers_than_it_keeps_under_way(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player()
    round_id = await game.open()
    requests = [
        rpc.StreamResponsesRequest(sequence=place, round_id=round_id, answer=choose("a"), request_id="same")
        for place in range(1, 1001)
    ]
    replies = await _stream(ann, requests)
    assert [reply.sequence for reply in replies] == list(range(1, 1001))
    assert {reply.refused_reason for reply in replies} == {""}


async def _stream(
    player: Player, requests: list[rpc.StreamResponsesRequest]
) -> list[rpc.StreamResponsesResponse]:
    call = player.game.scoring.rounds.StreamResponses(iter(requests), metadata=player.ticket)
    return [reply async for reply in call]
