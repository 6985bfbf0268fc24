"""Rounds open, pause, resume, close and are cancelled, and answers count accordingly."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from muster.scoring.v1 import round_pb2
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import choices_key, choose, new_id


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_an_answer_is_graded_stored_and_ranked(scoring: Scoring) -> None:
    game = scoring.game(base_points=1000)
    ann, ben = game.player("ann"), game.player("ben")
    round_id = await game.open()
    reply = await ann.submit(round_id, "a")
    assert reply.response.status == round_pb2.RESPONSE_STATUS_CORRECT
    assert (reply.response.score, reply.total_score) == (1000, 1000)
    assert (reply.rank_before, reply.rank_after) == (0, 1)
    assert reply.response.parts.base == 1000
    assert reply.response.parts.credit == 1.0
    assert reply.response.parts.rule_version == 1
    assert reply.response.display_name == "Name of ann"
    assert reply.response.answer == choose("a")
    half = await ben.submit(round_id, "c")
    assert half.response.status == round_pb2.RESPONSE_STATUS_PARTIAL
    assert (half.response.score, half.rank_after) == (500, 2)


async def test_rounds_are_numbered_in_the_order_of_opening(scoring: Scoring) -> None:
    game = scoring.game()
    first = await game.open_reply(seconds=30)
    second = await game.open_reply()
    assert (first.round.ordinal, second.round.ordinal) == (1, 2)
    assert first.round.status == round_pb2.ROUND_STATUS_OPEN
    limit = first.round.close_time.ToDatetime() - first.round.open_time.ToDatetime()
    assert limit == timedelta(seconds=30)
    assert not second.round.HasField("close_time")


async def test_opening_the_same_round_again_changes_nothing(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    await game.player("ann").submit(round_id)
    again = await game.open_reply(round_id=round_id, ago=5, base_points=99)
    assert again.round.ordinal == 1
    assert (await game.player("ben").submit(round_id)).response.score == 10
    assert (await game.analytics()).session.round_count == 1


async def test_the_id_of_another_blocks_round_is_refused(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    refused = game.open_reply(round_id=round_id, block_id="another block")
    assert await reason_of(refused) is Reason.ALREADY_EXISTS


async def test_speed_is_paid_until_the_deadline(scoring: Scoring) -> None:
    game = scoring.game(base_points=1000, speed_bonus=1000)
    reply = await game.player().submit(await game.open(seconds=100, ago=50))
    elapsed = reply.response.response_duration.ToTimedelta()
    assert timedelta(seconds=50) <= elapsed < timedelta(seconds=55)
    assert reply.response.parts.speed == pytest.approx(1000 * (1 - elapsed.total_seconds() / 100), abs=1)


async def test_no_answer_is_taken_before_the_opening(scoring: Scoring) -> None:
    game = scoring.game()
    assert await reason_of(game.player().submit(await game.open(ago=-60))) is Reason.ROUND_CLOSED


async def test_a_closed_round_takes_no_answers_and_closing_again_changes_nothing(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    await game.player().submit(round_id)
    closed = await game.close(round_id)
    assert closed.round.status == round_pb2.ROUND_STATUS_CLOSED
    assert closed.stats.response_count == 1
    assert await reason_of(game.player().submit(round_id)) is Reason.ROUND_CLOSED
    assert await game.close(round_id) == closed


async def test_a_paused_round_takes_no_answers_and_loses_no_time(scoring: Scoring) -> None:
    game = scoring.game(base_points=0, speed_bonus=1000)
    round_id = await game.open(seconds=60)
    now = datetime.now(UTC)
    paused = await game.pause(at=now)
    (round_,) = paused.rounds
    assert round_.status == round_pb2.ROUND_STATUS_PAUSED
    assert not round_.HasField("close_time")
    assert timedelta(seconds=55) < round_.time_left.ToTimedelta() <= timedelta(seconds=60)
    assert await reason_of(game.player().submit(round_id)) is Reason.ROUND_CLOSED
    assert await reason_of(game.player().draft(round_id)) is Reason.ROUND_CLOSED
    assert await game.pause(at=now + timedelta(seconds=1)) == paused

    resumed = await game.resume(at=now + timedelta(seconds=30))
    (again,) = resumed.rounds
    assert again.status == round_pb2.ROUND_STATUS_OPEN
    left = again.close_time.ToDatetime(UTC) - (now + timedelta(seconds=30))
    assert left == round_.time_left.ToTimedelta()
    # By the clock without the pause, it is not even the opening yet.
    reply = await game.player().submit(round_id)
    assert reply.response.response_duration.ToTimedelta() < timedelta(seconds=5)
    assert reply.response.parts.speed > 900


async def test_pausing_a_session_without_rounds_does_nothing(scoring: Scoring) -> None:
    game = scoring.game()
    assert not (await game.pause()).rounds
    assert not (await game.resume()).rounds


async def test_an_answer_graded_before_a_pause_is_graded_again_after_it(scoring: Scoring) -> None:
    game = scoring.game(speed_bonus=1000)
    round_id = await game.open(seconds=60, ago=20)
    await game.player().submit(round_id)
    now = datetime.now(UTC)
    await game.pause(at=now - timedelta(seconds=10))
    await game.resume(at=now)
    # The round is cached from the first answer, as it was without the pause.
    elapsed = (await game.player().submit(round_id)).response.response_duration.ToTimedelta()
    assert timedelta(seconds=9) < elapsed < timedelta(seconds=15)


async def test_a_cancelled_round_counts_for_nothing(scoring: Scoring) -> None:
    game = scoring.game(base_points=100, streak_step=10)
    ann, ben, eve = game.player("ann"), game.player("ben"), game.player("eve")
    first = await game.open()
    await ann.submit(first, "a")
    await ben.submit(first, "b")
    await game.close(first)
    second = await game.open()
    assert (await ann.submit(second, "a")).response.parts.streak == 10
    await ben.submit(second, "a")
    await eve.submit(second, "a")
    cancelled = await game.cancel(second)
    assert cancelled.round.status == round_pb2.ROUND_STATUS_CANCELLED
    assert await game.cancel(second) == cancelled
    assert [(entry.entry_id, entry.score, entry.streak) for entry in await game.board()] == [
        ("ann", 100, 1),
        ("ben", 0, 0),
    ]
    results = await game.analytics()
    assert (results.session.round_count, results.session.participant_count) == (1, 2)
    assert (results.session.response_count, results.session.correct_count) == (2, 1)
    assert results.rounds[1].response_count == 0
    assert not results.rounds[1].distribution
    assert await reason_of(game.player().submit(second)) is Reason.ROUND_CLOSED
    assert await reason_of(game.close(second)) is Reason.ROUND_CLOSED
    third = await game.open()
    assert (await ann.submit(third, "a")).response.parts.streak == 10


async def test_streaks_end_with_a_wrong_answer_and_with_none(scoring: Scoring) -> None:
    game = scoring.game(base_points=0, streak_step=10, streak_maximum=15, multiplier=2)
    ann, ben = game.player("ann"), game.player("ben")
    points: list[int] = []
    for choice in ("a", "a", "a", "b", "a", "a"):
        round_id = await game.open()
        await ben.submit(round_id, "a")
        points.append((await ann.submit(round_id, choice)).response.parts.streak)
        await game.close(round_id)
    assert points == [0, 20, 30, 0, 0, 20]
    await game.close(await game.open())
    streaks = {entry.entry_id: entry.streak for entry in await game.board()}
    assert streaks == {"ann": 0, "ben": 0}
    best = {each.participant_id: each.best_streak for each in (await game.analytics()).participants}
    assert best == {"ann": 3, "ben": 6}


async def test_polls_stand_aside_of_streaks(scoring: Scoring) -> None:
    game = scoring.game(base_points=0, streak_step=10)
    ann = game.player("ann")
    await ann.submit(await game.open(), "a")
    poll = choices_key()
    poll.poll.choice_ids.extend(["a", "b"])
    round_id = await game.open(poll)
    assert (await ann.submit(round_id, "b")).response.status == round_pb2.RESPONSE_STATUS_SUBMITTED
    await game.close(round_id)
    await game.close(await game.open(poll))
    assert (await ann.submit(await game.open(), "a")).response.parts.streak == 10


async def test_a_wrong_answer_costs_points_and_all_points_are_multiplied(scoring: Scoring) -> None:
    game = scoring.game(base_points=100, wrong_penalty=30, multiplier=2)
    reply = await game.player("ann").submit(await game.open(), "b")
    assert (reply.response.score, reply.response.parts.penalty, reply.total_score) == (-60, -60, -60)
    assert (await game.player("ben").submit(await game.open(), "a")).total_score == 200
    assert [(entry.entry_id, entry.score) for entry in await game.board()] == [("ben", 200), ("ann", -60)]


async def test_drafts_are_submitted_when_the_round_closes(scoring: Scoring) -> None:
    game = scoring.game(base_points=100, speed_bonus=100)
    ann, ben, eve = game.player("ann"), game.player("ben"), game.player("eve")
    round_id = await game.open(seconds=60)
    await ann.draft(round_id, "b")
    await ann.draft(round_id, "a")
    await ben.draft(round_id, "a")
    submitted = await ben.submit(round_id, "b")
    await eve.draft(round_id, "c")
    closed = await game.close(round_id)
    assert (closed.stats.response_count, closed.stats.correct_count, closed.stats.partial_count) == (3, 1, 1)
    found = {each.participant_id: each for each in (await game.responses()).responses}
    assert found["ben"] == submitted.response
    assert found["ann"].from_draft
    assert found["ann"].parts.base == 100
    assert found["ann"].parts.speed == 0
    assert found["ann"].submit_time == closed.round.close_time
    assert [entry.entry_id for entry in await game.board()] == ["ann", "eve", "ben"]


async def test_drafts_of_a_paused_round_are_submitted_when_it_closes(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    round_id = await game.open(seconds=60)
    await game.player("ann").draft(round_id, "a")
    await game.pause()
    closed = await game.close(round_id)
    assert closed.round.status == round_pb2.ROUND_STATUS_CLOSED
    assert closed.stats.correct_count == 1


async def test_a_delayed_repeat_of_a_draft_undoes_no_newer_one(scoring: Scoring) -> None:
    game = scoring.game(base_points=100)
    ann = game.player("ann")
    round_id = await game.open()
    old = await ann.draft(round_id, "b", request_id="old")
    await ann.draft(round_id, "a", request_id="new")
    assert await ann.draft(round_id, "b", request_id="old") == old
    assert await reason_of(ann.draft(round_id, "c", request_id="old")) is Reason.REQUEST_ID_REUSED
    assert (await game.close(round_id)).stats.correct_count == 1


async def test_a_draft_that_comes_after_the_answer_is_refused(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player("ann")
    round_id = await game.open()
    await ann.submit(round_id)
    assert await reason_of(ann.draft(round_id)) is Reason.ALREADY_ANSWERED


async def test_many_drafts_at_once_are_kept_in_order_or_turned_away(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player("ann")
    round_id = await game.open()
    kept = await asyncio.gather(*(ann.draft(round_id) for _ in range(40)), return_exceptions=True)
    assert any(not isinstance(each, BaseException) for each in kept)
    assert (await game.close(round_id)).stats.response_count == 1


async def test_services_requests_have_their_effect_once(scoring: Scoring) -> None:
    game = scoring.game()
    round_id, request_id = new_id(), new_id()
    opened = await game.open_reply(round_id=round_id, request_id=request_id, seconds=60)
    await game.pause()
    reused = game.open_reply(round_id=new_id(), request_id=request_id)
    assert await reason_of(reused) is Reason.REQUEST_ID_REUSED
    fields: dict[str, Any] = {
        "session_id": game.session_id,
        "resume_time": datetime.now(UTC),
        "request_id": new_id(),
    }
    resumed = await game.run("ResumeRounds", **fields)
    await game.pause()
    assert await game.run("ResumeRounds", **fields) == resumed
    assert (await game.pause()).rounds[0].status == round_pb2.ROUND_STATUS_PAUSED
    assert opened.round.status == round_pb2.ROUND_STATUS_OPEN


async def test_what_is_not_there_is_not_found(scoring: Scoring) -> None:
    game, other = scoring.game(), scoring.game()
    round_id = await other.open()
    for call in (game.close(round_id), game.cancel(round_id), game.close("none"), game.cancel("none")):
        assert await reason_of(call) is Reason.NOT_FOUND
    assert await reason_of(game.player().submit(round_id)) is Reason.NOT_FOUND
    assert await reason_of(game.player().draft("none")) is Reason.NOT_FOUND
    game.session_id = other.session_id
    assert await reason_of(game.open()) is Reason.NOT_FOUND
    assert await reason_of(game.seat("p", hidden=True)) is Reason.NOT_FOUND
    assert await reason_of(game.player().submit(round_id)) is Reason.NOT_FOUND
