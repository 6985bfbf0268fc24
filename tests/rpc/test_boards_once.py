"""A request has one effect, however often and whichever way it comes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import new_id
from tests.rpc.scoring_leaderboard import INCREMENT, Leaderboard, a_score, service

ORGANIZATION = "o-once"


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


@pytest.fixture
async def board(scoring: Scoring) -> Leaderboard:
    return await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)


async def test_fifty_submissions_of_one_request_at_once_count_once(board: Leaderboard) -> None:
    replies = await asyncio.gather(
        *(board.submit("ann", 5, 10, request_id="r", instance=place % 2) for place in range(50))
    )
    for reply in replies:
        # Of the moment, and unknown for one in which the board is loaded.
        assert reply.entry.rank in (0, 1)
        reply.entry.rank = 1
    assert {reply.entry.SerializeToString() for reply in replies} == {replies[0].entry.SerializeToString()}
    assert all(reply.changed for reply in replies)
    (entry,) = await board.entries()
    assert (entry.score, entry.submission_count) == (5, 1)


async def test_a_repeated_score_is_told_what_it_was_told_with_the_rank_of_now(board: Leaderboard) -> None:
    first = await board.submit("ann", 5, 10, request_id="r", display_name="Ann")
    assert (first.rank_before, first.entry.rank) == (0, 1)
    await board.batch(a_score("ben", 100), a_score("ann", 1, display_name="Anna"))
    again = await board.submit("ann", 5, 10, request_id="r", display_name="Ann")
    assert (again.rank_before, again.entry.rank, again.changed) == (2, 2, True)
    again.entry.rank = first.entry.rank
    assert again.entry == first.entry
    assert await board.ranking() == [("ben", 100, 1), ("ann", 6, 2)]


async def test_the_key_may_stand_in_the_request_or_in_the_submission(board: Leaderboard) -> None:
    await board.call("SubmitScore", submission=a_score("ann", 5), request_id="r")
    await board.submit("ann", 5, request_id="r")
    await board.batch(a_score("ann", 5, request_id="r"), a_score("ben", 1))
    assert await board.ranking() == [("ann", 5, 1), ("ben", 1, 2)]
    two = board.call("SubmitScore", submission=a_score("ann", 5, request_id="r"), request_id="q")
    assert await reason_of(two) is Reason.INVALID_FIELD


async def test_a_key_with_another_score_is_refused(board: Leaderboard) -> None:
    await board.submit("ann", 5, request_id="r")
    assert await reason_of(board.submit("ann", 6, request_id="r")) is Reason.REQUEST_ID_REUSED
    # Also at once, where the store sees neither before the other.
    outcomes = await asyncio.gather(
        *(board.submit("ben", points, request_id="s") for points in range(10)), return_exceptions=True
    )
    assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 9
    (ben,) = [entry for entry in await board.entries() if entry.entry_id == "ben"]
    assert ben.submission_count == 1


async def test_keys_belong_to_a_caller_and_a_board(scoring: Scoring, board: Leaderboard) -> None:
    other = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.submit("ann", 5, request_id="r")
    await other.submit("ann", 7, request_id="r")
    await board.call(
        "SubmitScore", submission=a_score("ann", 1), request_id="r", metadata=service(name="another")
    )
    assert await board.ranking() == [("ann", 6, 1)]
    assert await other.ranking() == [("ann", 7, 1)]


async def test_a_batch_is_taken_once_as_a_whole(board: Leaderboard) -> None:
    scores = [a_score("ann", 1, 10), a_score("ben", 2), a_score("ann", 3, 10)]
    replies = await asyncio.gather(
        *(board.batch(*scores, request_id="b", instance=place % 2) for place in range(10))
    )
    for reply in replies:
        assert reply.accepted_count == 3
        assert [each.entry.score for each in reply.results] == [1, 2, 4]
        assert [each.changed for each in reply.results] == [True] * 3
    assert await board.ranking() == [("ann", 4, 1), ("ben", 2, 2)]
    other = board.batch(*scores[:2], request_id="b")
    assert await reason_of(other) is Reason.REQUEST_ID_REUSED


async def test_a_batch_without_results_is_repeated_without_them(board: Leaderboard) -> None:
    for _ in range(2):
        reply = await board.batch(a_score("ann", 1), request_id="b", omit_results=True)
        assert (list(reply.results), reply.accepted_count) == ([], 1)
    assert await board.ranking() == [("ann", 1, 1)]


async def test_a_batch_counts_what_is_new_in_it(board: Leaderboard) -> None:
    await board.submit("ann", 5, request_id="1")
    reply = await board.batch(
        a_score("ann", 5, request_id="1"),
        a_score("ann", 2, request_id="2"),
        a_score("ben", 1),
        request_id="b",
    )
    assert [each.entry.score for each in reply.results] == [5, 7, 1]
    again = await board.batch(
        a_score("ann", 5, request_id="1"),
        a_score("ann", 2, request_id="2"),
        a_score("ben", 1),
        request_id="b",
    )
    assert [each.entry.score for each in again.results] == [5, 7, 1]
    assert await board.ranking() == [("ann", 7, 1), ("ben", 1, 2)]


async def test_a_batch_counts_whole_or_not_at_all(board: Leaderboard) -> None:
    await board.submit("ann", 5, request_id="1")
    refused = board.batch(
        a_score("ben", 1, request_id="2"), a_score("ann", 6, request_id="1"), request_id="b"
    )
    assert await reason_of(refused) is Reason.REQUEST_ID_REUSED
    assert await board.ranking() == [("ann", 5, 1)]
    # Nothing of it is remembered either.
    await board.batch(a_score("ben", 3, request_id="2"), request_id="b")
    assert await board.ranking() == [("ann", 5, 1), ("ben", 3, 2)]


async def test_batches_that_share_keys_count_each_once(board: Leaderboard) -> None:
    keys = [new_id() for _ in range(30)]
    await asyncio.gather(
        *(
            board.batch(
                *(a_score("ann", 1, request_id=key) for key in keys[begin : begin + 10]), instance=begin % 2
            )
            for begin in range(21)
        )
    )
    assert await board.ranking() == [("ann", 30, 1)]


async def test_what_was_taken_is_told_again_when_the_board_has_begun_anew_or_closed(
    scoring: Scoring, board: Leaderboard
) -> None:
    first = await board.submit("ann", 5, request_id="r")
    await board.call("ResetBoard")
    again = await board.submit("ann", 5, request_id="r")
    assert (again.entry.score, again.entry.rank, again.rank_before) == (first.entry.score, 0, 0)
    await scoring.rows("UPDATE scoring.board SET close_time = now() WHERE board_id = $1", board.board_id)
    assert (await board.submit("ann", 5, request_id="r")).entry.score == 5
    assert await reason_of(board.submit("ann", 5, request_id="new")) is Reason.BOARD_CLOSED
    assert await board.ranking() == []


async def test_making_resetting_removing_and_deleting_happen_once(scoring: Scoring) -> None:
    board = Leaderboard(scoring, ORGANIZATION)
    for _ in range(2):
        await board.make(INCREMENT, request_id="make")
    assert await reason_of(board.make(INCREMENT)) is Reason.ALREADY_EXISTS
    await board.batch(a_score("ann", 1), a_score("ben", 2))
    for _ in range(2):
        await board.call("RemoveEntry", entry_id="ann", request_id="remove")
    for _ in range(2):
        assert (await board.call("ResetBoard", request_id="reset")).board.season == 2
    await board.submit("ann", 1)
    assert (await board.call("GetBoard")).board.season == 2
    for _ in range(2):
        await board.call("DeleteBoard", request_id="delete")
    assert await reason_of(board.call("DeleteBoard")) is Reason.NOT_FOUND
    await board.make(INCREMENT)
    # A late repetition deletes no other board of the same id.
    await board.call("DeleteBoard", request_id="delete")
    assert (await board.call("GetBoard")).board.season == 1


async def test_old_keys_are_swept_and_others_are_kept(scoring: Scoring, board: Leaderboard) -> None:
    await board.batch(a_score("ann", 1, request_id="old"), request_id="old batch")
    await board.submit("ann", 1, request_id="new")
    for table in ("score_request", "score_batch"):
        await scoring.rows(
            f"UPDATE scoring.{table} SET create_time = create_time - interval '25 hours'"
            " WHERE board_id = $1 AND request_key LIKE '%old%'",
            board.board_id,
        )
    await board.call("ResetBoard")
    await scoring.instances[0].app._stores.scoreboards.sweep()
    keys = await scoring.rows(
        "SELECT request_key FROM scoring.score_request WHERE board_id = $1", board.board_id
    )
    assert [row["request_key"].split("\x1f")[1] for row in keys] == ["new"]
    assert not await scoring.rows("SELECT FROM scoring.score_batch WHERE board_id = $1", board.board_id)
    assert not await scoring.rows("SELECT FROM scoring.board_entry WHERE board_id = $1", board.board_id)
