"""An answer has its effect once, and is told to whom it may be told."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from muster.scoring.v1 import round_pb2, rules_pb2
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Player


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


async def test_fifty_parallel_submissions_of_one_answer_have_one_effect(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    ann = game.player("ann")
    round_id = await game.open()
    replies = await asyncio.gather(
        *(ann.submit(round_id, request_id="the same", instance=place % 2) for place in range(50))
    )
    assert {reply.total_score for reply in replies} == {100}
    assert len({reply.response.SerializeToString() for reply in replies}) == 1
    assert {reply.rank_after for reply in replies} == {1}
    stats = (await game.analytics()).session
    assert (stats.response_count, stats.correct_count, stats.participant_count) == (1, 1, 1)
    assert [(entry.score, entry.submission_count) for entry in await game.board()] == [(100, 1)]


async def test_of_parallel_answers_without_a_request_id_one_counts(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    ann = game.player("ann")
    round_id = await game.open()
    replies = await asyncio.gather(
        *(ann.submit(round_id, "ab"[place % 2], instance=place // 2 % 2) for place in range(50)),
        return_exceptions=True,
    )
    assert sum(not isinstance(reply, BaseException) for reply in replies) == 1
    refused = [_refusal(reply) for reply in replies if isinstance(reply, BaseException)]
    assert refused == [await refusal_of(ann, round_id)] * 49
    assert (await game.stats(round_id)).response_count == 1


async def refusal_of(player: Player, round_id: str) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await player.submit(round_id)
    return _refusal(refused.value)


def _refusal(error: BaseException) -> tuple[grpc.StatusCode, str | None]:
    assert isinstance(error, grpc.aio.AioRpcError)
    return error.code(), error.details()


async def test_the_same_request_is_told_the_same_and_its_rank_of_now(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    ann, ben = game.player("ann"), game.player("ben")
    first, second = await game.open(), await game.open()
    reply = await ann.submit(first, request_id="r1")
    await ben.submit(first)
    await ben.submit(second)
    await ann.submit(second, "b")
    again = await ann.submit(first, request_id="r1", instance=1)
    assert again.response == reply.response
    assert again.total_score == reply.total_score == 100
    assert (reply.rank_after, again.rank_before, again.rank_after) == (1, 2, 2)


async def test_the_same_request_is_answered_when_the_round_is_over(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    ann = game.player("ann")
    for end in (game.close, game.cancel):
        round_id = await game.open()
        reply = await ann.submit(round_id, request_id="r1")
        await end(round_id)
        again = await ann.submit(round_id, request_id="r1", instance=1)
        assert again.response == reply.response
        for instance in (0, 1):
            second = ann.submit(round_id, request_id="r2", instance=instance)
            assert await reason_of(second) is Reason.ALREADY_ANSWERED
        assert await reason_of(ann.submit(round_id, "b", request_id="r1")) is Reason.REQUEST_ID_REUSED


async def test_an_answer_after_the_draft_was_submitted_is_late(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player("ann")
    round_id = await game.open()
    await ann.draft(round_id)
    await game.close(round_id, instance=1)
    for instance in (0, 1, 0, 1):
        assert await reason_of(ann.submit(round_id, instance=instance)) is Reason.ROUND_CLOSED


async def test_a_request_id_with_another_answer_is_refused(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player()
    round_id = await game.open()
    await ann.submit(round_id, "a", request_id="r1")
    assert await reason_of(ann.submit(round_id, "b", request_id="r1")) is Reason.REQUEST_ID_REUSED
    assert await reason_of(ann.submit(round_id, "a", request_id="r2")) is Reason.ALREADY_ANSWERED
    assert await reason_of(ann.submit(round_id, "a")) is Reason.ALREADY_ANSWERED


async def test_a_request_id_that_no_database_can_hold_is_refused(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    assert await reason_of(game.player().submit(round_id, request_id="\0")) is Reason.INVALID_FIELD
    assert await reason_of(game.player().draft(round_id, request_id="\0")) is Reason.INVALID_FIELD


async def test_a_withdrawn_ticket_answers_nothing(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    old, new = game.player("ann", generation=1), game.player("ann", generation=2)
    round_id = await game.open()
    await old.draft(round_id)
    await game.seat("ann", minimum_generation=2)
    assert await reason_of(old.submit(round_id, instance=1)) is Reason.TICKET_REVOKED
    assert await reason_of(old.draft(round_id)) is Reason.TICKET_REVOKED
    assert (await new.submit(round_id)).total_score == 100
    # It never goes down.
    await game.seat("ann", minimum_generation=1)
    assert await reason_of(old.submit(await game.open())) is Reason.TICKET_REVOKED


async def test_the_draft_of_a_withdrawn_ticket_is_not_submitted(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    await game.player("ann", generation=1).draft(round_id)
    await game.seat("ann", minimum_generation=2, hidden=True)
    assert (await game.close(round_id)).stats.response_count == 0


async def test_a_seat_can_be_withdrawn_before_the_first_round(scoring: Scoring) -> None:
    game = scoring.game()
    await game.seat("ann", minimum_generation=2)
    round_id = await game.open()
    assert await reason_of(game.player("ann", generation=1).submit(round_id)) is Reason.TICKET_REVOKED
    assert await game.analytics(by=game.host)


async def test_feedback_is_withheld_until_the_round_closes(scoring: Scoring) -> None:
    game = scoring.game(base_points=100, streak_step=10, feedback=rules_pb2.FEEDBACK_ON_CLOSE)
    ann, ben = game.player("ann"), game.player("ben")
    round_id = await game.open()
    told = await ann.submit(round_id, "a", request_id="r1")
    also = await ben.submit(round_id, "b")
    for reply in (told, also, await ann.submit(round_id, "a", request_id="r1")):
        assert reply.response.status == round_pb2.RESPONSE_STATUS_SUBMITTED
        assert reply.response.score == 0
        assert not reply.response.HasField("parts")
        assert (reply.total_score, reply.rank_before, reply.rank_after) == (0, 0, 0)
    own = (await game.responses(by=ann.ticket)).responses
    assert list(own) == [told.response]
    # The board tells nothing either, and nor does it when it is made anew.
    assert await game.board(by=ann.ticket) == []
    assert [each.score for each in (await game.responses()).responses] == [100, 0]
    assert (await game.analytics()).session.correct_count == 1
    await game.close(round_id)
    assert [(entry.entry_id, entry.score, entry.streak) for entry in await game.board()] == [
        ("ann", 100, 1),
        ("ben", 0, 0),
    ]
    again = await ann.submit(round_id, "a", request_id="r1")
    assert (again.response.score, again.rank_after) == (100, 1)
    assert [each.score for each in (await game.responses(by=ann.ticket)).responses] == [100]
    second = await game.open()
    await ann.submit(second, "a")
    await game.close(second)
    streaks = [each.parts.streak for each in (await game.responses(round_id=second)).responses]
    assert streaks == [10]


async def test_no_acknowledged_answer_is_lost_and_none_counted_after_the_close(scoring: Scoring) -> None:
    for _ in range(5):
        game = scoring.game()
        round_id = await game.open()
        players = game.players(60)
        answers = [
            asyncio.ensure_future(player.submit(round_id, instance=place % 2))
            for place, player in enumerate(players)
        ]
        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        closed = await game.close(round_id, instance=1)
        results = await asyncio.gather(*answers, return_exceptions=True)
        accepted = {
            reply.response.participant_id for reply in results if not isinstance(reply, BaseException)
        }
        listed = {each.participant_id for each in (await game.responses(page_size=200)).responses}
        assert listed == accepted
        assert closed.stats.response_count == len(accepted)
        assert len(await game.board()) == len(accepted)
