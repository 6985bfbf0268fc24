"""Scores over a stream are acknowledged when they are durable, refused by name, and count once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_leaderboard import INCREMENT, Leaderboard, a_score, service

ORGANIZATION = "o-streams"


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


@pytest.fixture
async def board(scoring: Scoring) -> Leaderboard:
    return await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)


async def _acknowledged(call: Any) -> tuple[int, list[tuple[int, str]]]:
    """The last sequence that was acknowledged, and what was refused; acknowledgements only grow."""
    last, refused = 0, []
    async for each in call:
        assert each.acknowledged_sequence > last
        assert all(last < one.sequence <= each.acknowledged_sequence for one in each.refused)
        last = each.acknowledged_sequence
        refused += [(one.sequence, one.reason) for one in each.refused]
    return last, refused


async def test_everything_is_acknowledged_and_on_the_board(board: Leaderboard) -> None:
    messages = [board.message(sequence, a_score(f"p{sequence % 40}", sequence)) for sequence in range(1, 501)]
    assert await _acknowledged(board.stream(messages)) == (500, [])
    assert await board.ranking() == await board.recounted()
    assert sum(score for _, score, _ in await board.ranking()) == 500 * 501 // 2


async def test_a_message_may_hold_many_scores_which_count_in_their_order(board: Leaderboard) -> None:
    messages = [
        board.message(sequence, *(a_score(f"p{place}", 1) for place in range(1000)))
        for sequence in range(1, 8)
    ]
    assert await _acknowledged(board.stream(messages)) == (7, [])
    ranking = await board.ranking()
    assert [(entry_id, score) for entry_id, score, _ in ranking] == [
        (f"p{place}", 7) for place in range(1000)
    ]


async def test_what_is_refused_is_named_and_the_rest_counts(scoring: Scoring, board: Leaderboard) -> None:
    closed = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await scoring.rows("UPDATE scoring.board SET close_time = now() WHERE board_id = $1", closed.board_id)
    game = scoring.game()
    await game.open()
    sessions = Leaderboard(scoring, ORGANIZATION, board_id=game.session_id)
    nowhere = Leaderboard(scoring, ORGANIZATION)
    both = board.message(8, a_score("ann", 100))
    both.submissions.append(a_score("ann", 100))
    messages = [
        board.message(1, a_score("ann", 1, request_id="r")),
        nowhere.message(2, a_score("ann", 100)),
        closed.message(3, a_score("ann", 100)),
        sessions.message(4, a_score("ann", 100)),
        board.message(6, a_score("ann", 2, request_id="r")),
        board.message(7),
        both,
        board.message(9, a_score("ann", 100, request_id="s"), a_score("ann", 100, request_id="s")),
        board.message(10, a_score("ann", 4)),
    ]
    assert await _acknowledged(board.stream(messages)) == (
        10,
        [
            (2, Reason.NOT_FOUND),
            (3, Reason.BOARD_CLOSED),
            (4, Reason.PERMISSION_DENIED),
            (6, Reason.REQUEST_ID_REUSED),
            (7, Reason.INVALID_FIELD),
            (8, Reason.INVALID_FIELD),
            (9, Reason.INVALID_FIELD),
        ],
    )
    assert await board.ranking() == [("ann", 5, 1)]


async def test_a_number_that_does_not_count_up_ends_the_stream_once_the_others_are_acknowledged(
    board: Leaderboard,
) -> None:
    messages = [board.message(sequence, a_score("ann", 1)) for sequence in (1, 5, 5, 6)]
    call = board.stream(messages)
    last = 0

    async def read_on() -> None:
        nonlocal last
        async for each in call:
            last = each.acknowledged_sequence

    assert await reason_of(read_on()) is Reason.INVALID_FIELD
    assert last == 5
    assert await board.ranking() == [("ann", 2, 1)]


async def test_a_faulty_message_ends_the_stream_once_the_others_are_acknowledged(board: Leaderboard) -> None:
    messages = [board.message(1, a_score("ann", 1)), board.message(2, a_score("", 1))]
    assert await reason_of(_acknowledged(board.stream(messages))) is Reason.INVALID_FIELD
    assert await board.ranking() == [("ann", 1, 1)]


async def test_a_stream_that_is_cut_and_sent_again_counts_once(board: Leaderboard) -> None:
    messages = [
        board.message(sequence, a_score(f"p{sequence % 7}", sequence, request_id=f"r{sequence}"))
        for sequence in range(1, 301)
    ]
    stub = board.scoring.instances[0].boards
    call = stub.StreamSubmitScores(metadata=service())
    for message in messages[:200]:
        await call.write(message)
    first = await call.read()
    call.cancel()
    acknowledged = first.acknowledged_sequence
    assert acknowledged > 0
    # To another process, from the last acknowledgement on: some of them were taken, and some were not.
    rest = [message for message in messages if message.sequence > acknowledged]
    assert await _acknowledged(board.stream(rest, instance=1)) == (300, [])
    assert sum(score for _, score, _ in await board.ranking()) == 300 * 301 // 2
    assert await board.ranking(instance=1) == await board.recounted()
    assert sum(entry.submission_count for entry in await board.entries()) == 300


async def test_streams_and_batches_of_several_callers_add_up(board: Leaderboard) -> None:
    async def stream(instance: int) -> None:
        messages = [board.message(sequence, a_score("ann", 1)) for sequence in range(1, 101)]
        assert await _acknowledged(board.stream(messages, instance=instance)) == (100, [])

    batches = (board.batch(*[a_score("ann", 1)] * 100, instance=place % 2) for place in range(10))
    await asyncio.gather(*(stream(place % 2) for place in range(6)), *batches)
    (entry,) = await board.entries()
    assert (entry.score, entry.submission_count) == (1600, 1600)


async def test_an_empty_stream_ends_well(board: Leaderboard) -> None:
    assert await _acknowledged(board.stream([])) == (0, [])


async def test_a_store_that_is_away_ends_the_stream_and_acknowledges_nothing_that_is_lost(
    scoring: Scoring, stores: TestStores, board: Leaderboard
) -> None:
    call = scoring.boards.StreamSubmitScores(metadata=service())
    await call.write(board.message(1, a_score("ann", 1, request_id="1")))
    assert (await call.read()).acknowledged_sequence == 1
    await stores.postgres.stop()
    try:
        await call.write(board.message(2, a_score("ann", 2, request_id="2")))

        assert await reason_of(call.read()) is Reason.UNAVAILABLE
    finally:
        await stores.postgres.start()
    again = [
        board.message(sequence, a_score("ann", sequence, request_id=str(sequence))) for sequence in (1, 2)
    ]
    assert await _acknowledged(board.stream(again)) == (2, [])
    assert await board.ranking() == [("ann", 3, 1)]
