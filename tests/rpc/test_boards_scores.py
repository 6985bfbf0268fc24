"""Scores change entries as the board says, and the order is the one that SQL finds."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_leaderboard import (
    ASCENDING,
    BEST,
    DESCENDING,
    INCREMENT,
    SET,
    Leaderboard,
    a_score,
)

ORGANIZATION = "o-scores"


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


# Score and time after each of the submissions (5, 100 ms), (3, 50 ms), (5, 80 ms), (9, 70 ms), (0, 0 ms).
_AFTER: dict[tuple[Any, Any], list[tuple[int, int]]] = {
    (BEST, DESCENDING): [(5, 100), (5, 100), (5, 80), (9, 70), (9, 70)],
    (BEST, ASCENDING): [(5, 100), (3, 50), (3, 50), (3, 50), (0, 0)],
    (SET, DESCENDING): [(5, 100), (3, 50), (5, 80), (9, 70), (0, 0)],
    (SET, ASCENDING): [(5, 100), (3, 50), (5, 80), (9, 70), (0, 0)],
    (INCREMENT, DESCENDING): [(5, 100), (8, 150), (13, 230), (22, 300), (22, 300)],
    (INCREMENT, ASCENDING): [(5, 100), (8, 150), (13, 230), (22, 300), (22, 300)],
}
_SUBMITTED = [(5, 100), (3, 50), (5, 80), (9, 70), (0, 0)]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("operator", "order"), _AFTER)
async def test_an_operator_makes_of_scores_what_it_says(
    scoring: Scoring, operator: Any, order: Any, together: bool
) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(operator, order)
    if together:
        reply = await board.batch(*(a_score("ann", *each) for each in _SUBMITTED))
        results = list(reply.results)
    else:
        results = [await board.submit("ann", *each) for each in _SUBMITTED]
    expected = _AFTER[operator, order]
    assert [(each.entry.score, each.entry.total_duration.ToMilliseconds()) for each in results] == expected
    assert [each.changed for each in results] == [
        after != before for before, after in itertools.pairwise([None, *expected])
    ]
    assert [each.entry.submission_count for each in results] == [1, 2, 3, 4, 5]
    assert [(each.rank_before, each.entry.rank) for each in results] == [(0, 1), *[(1, 1)] * 4]
    assert await board.entries() == [results[-1].entry]


@pytest.mark.parametrize(("order", "expected"), [(DESCENDING, "dbca"), (ASCENDING, "acbd")])
async def test_the_better_score_is_first_then_the_shorter_time(
    scoring: Scoring, order: Any, expected: str
) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(SET, order)
    await board.batch(a_score("a", -3, 9), a_score("b", 2, 8), a_score("c", 1, 7), a_score("d", 4, 5))
    assert "".join(entry_id for entry_id, _, _ in await board.ranking()) == expected
    await board.submit("c", 2, 6)
    shorter_is_first = expected.replace("b", "-").replace("c", "-")
    assert (
        "".join(entry_id for entry_id, _, _ in await board.ranking()).replace("cb", "--") == shorter_is_first
    )


@pytest.mark.parametrize("order", [DESCENDING, ASCENDING])
async def test_who_reached_a_score_first_is_first_also_after_leaving_it(scoring: Scoring, order: Any) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(SET, order)
    for entry_id in ("zoe", "ann", "max"):
        await board.submit(entry_id, 5, 10)
    assert [entry_id for entry_id, _, _ in await board.ranking()] == ["zoe", "ann", "max"]
    # The same again changes nothing; to come back to it is to reach it anew.
    assert not (await board.submit("ann", 5, 10)).changed
    await board.batch(a_score("zoe", 6, 10), a_score("zoe", 5, 10))
    assert [entry_id for entry_id, _, _ in await board.ranking()] == ["ann", "max", "zoe"]
    assert await board.ranking() == await board.recounted()


async def test_scores_of_64_bits_are_ranked_and_sums_stop_at_their_ends(scoring: Scoring) -> None:
    least, most = -(2**63), 2**63 - 1
    for order in (DESCENDING, ASCENDING):
        board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT, order)
        await board.batch(a_score("low", least), a_score("high", most), a_score("zero", 0))
        await board.batch(a_score("low", -1), a_score("high", 1), a_score("high", 1))
        in_order = [("high", most), ("zero", 0), ("low", least)]
        expected = in_order if order == DESCENDING else in_order[::-1]
        assert [each[:2] for each in await board.ranking()] == expected
        assert await board.ranking() == await board.recounted()


async def test_the_last_name_that_was_given_is_shown(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make()
    assert (await board.submit("ann", 1)).entry.display_name == ""
    assert (await board.submit("ann", 0, display_name="Ann")).entry.display_name == "Ann"
    reply = await board.batch(a_score("ann", 0), a_score("ann", 0, display_name="Anna"), a_score("ann", 0))
    assert [each.entry.display_name for each in reply.results] == ["Ann", "Anna", "Anna"]


async def test_ranks_before_and_after_are_those_of_the_moment(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    reply = await board.batch(
        *(a_score(name, points) for name, points in zip("abcab", (1, 2, 3, 5, 0), strict=True))
    )
    assert [(each.rank_before, each.entry.rank) for each in reply.results] == [
        (0, 1),
        (0, 1),
        (0, 1),
        (3, 1),
        (3, 3),
    ]


async def test_results_may_be_left_out_and_the_board_has_them(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    scores = [a_score(f"p{place % 700}", place, place) for place in range(1000)]
    reply = await board.batch(*scores, omit_results=True)
    assert (len(reply.results), reply.accepted_count) == (0, 1000)
    assert await board.ranking() == await board.recounted()
    assert len(await board.ranking(instance=1)) == 700


async def test_a_members_scores_count_for_the_team_by_the_teams_rules(scoring: Scoring) -> None:
    teams = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    board = await Leaderboard(scoring, ORGANIZATION).make(BEST, team_board_id=teams.board_id)
    await board.batch(
        a_score("ann", 5, 10, team_id="red"),
        a_score("ben", 7, 20, team_id="blue"),
        a_score("ann", 3, 30, team_id="red"),
        a_score("cy", 1, team_id=""),
    )
    await board.submit("eve", 2, 5, team_id="red", instance=1)
    assert await board.ranking() == [("ben", 7, 1), ("ann", 5, 2), ("eve", 2, 3), ("cy", 1, 4)]
    assert await teams.ranking() == [("red", 10, 1), ("blue", 7, 2)]
    red = (await teams.entries())[0]
    assert (red.submission_count, red.total_duration.ToMilliseconds()) == (3, 45)
    # The board of the teams takes scores of its own, and is passed over when it is gone.
    await teams.submit("blue", 100)
    assert await teams.ranking() == await teams.recounted()
    await teams.call("DeleteBoard")
    assert (await board.submit("ann", 9, team_id="red")).entry.score == 9


async def test_a_removed_entry_is_off_the_board_and_begins_anew(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.batch(a_score("ann", 5), a_score("ben", 3), a_score("cy", 1))
    await board.call("RemoveEntry", entry_id="ann", instance=1)
    for instance in range(2):
        assert await board.ranking(instance=instance) == [("ben", 3, 1), ("cy", 1, 2)]
    gone = board.call("RemoveEntry", entry_id="ann")
    assert await reason_of(gone) is Reason.NOT_FOUND
    back = await board.submit("ann", 2)
    assert (back.rank_before, back.entry.rank, back.entry.score) == (0, 2, 2)
    assert back.entry.submission_count == 1


_SCORE = st.tuples(
    st.sampled_from("abcdef"),
    st.integers(-2, 2) | st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2),
    st.sampled_from(["", "red", "blue"]),
)
_STEP = (
    st.lists(_SCORE, min_size=1, max_size=6)
    | st.sampled_from("abcdef").map(lambda entry_id: ("remove", entry_id))
    | st.just(("reset", ""))
)


@pytest.mark.parametrize("order", [DESCENDING, ASCENDING])
@pytest.mark.parametrize("operator", [BEST, SET, INCREMENT])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_STEP, st.integers(0, 1)), min_size=1, max_size=10))
async def test_the_order_is_that_of_sql_whatever_happens(
    scoring: Scoring, operator: Any, order: Any, steps: list[Any]
) -> None:
    teams = await Leaderboard(scoring, ORGANIZATION).make(operator, order)
    board = await Leaderboard(scoring, ORGANIZATION).make(operator, order, team_board_id=teams.board_id)
    there: set[str] = set()
    for step, instance in steps:
        match step:
            case ("remove", entry_id):
                removal = board.call("RemoveEntry", entry_id=entry_id, instance=instance)
                if entry_id in there:
                    await removal
                else:
                    assert await reason_of(removal) is Reason.NOT_FOUND
                there.discard(entry_id)
            case ("reset", _):
                await board.call("ResetBoard", instance=instance)
                there.clear()
            case scores:
                there.update(entry_id for entry_id, _, _, _ in scores)
                submissions = (
                    a_score(entry_id, score, milliseconds, team_id=team_id)
                    for entry_id, score, milliseconds, team_id in scores
                )
                await board.batch(*submissions, instance=instance)
    assert {entry_id for entry_id, _, _ in await board.ranking()} == there
    for each in (board, teams):
        recounted = await each.recounted()
        assert await each.ranking(instance=0) == recounted
        assert await each.ranking(instance=1) == recounted
