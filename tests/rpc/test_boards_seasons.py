"""Boards take scores while they are open, and begin anew when a season is over, for whoever comes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from muster.scoring.v1 import board_pb2
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_leaderboard import INCREMENT, Leaderboard, a_score
from tests.waiting import until

ORGANIZATION = "o-seasons"

Ranking = list[tuple[str, int, int]]

DAILY = board_pb2.BOARD_RESET_SCHEDULE_DAILY
WEEKLY = board_pb2.BOARD_RESET_SCHEDULE_WEEKLY
MONTHLY = board_pb2.BOARD_RESET_SCHEDULE_MONTHLY


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), deaf_instances=1) as scoring:
        yield scoring


_IS_OVER = "SELECT season_end <= clock_timestamp() AS is_over FROM scoring.board WHERE board_id = $1"


async def _end_season(board: Leaderboard, ago: timedelta = timedelta()) -> None:
    """Let the season end now, or have it ended a while ago."""
    await board.scoring.rows(
        "UPDATE scoring.board SET season_end = clock_timestamp() - $2::interval WHERE board_id = $1",
        board.board_id,
        ago,
    )


async def _board(scoring: Scoring, schedule: Any = DAILY, **more: Any) -> Leaderboard:
    return await Leaderboard(scoring, ORGANIZATION).make(INCREMENT, reset_schedule=schedule, **more)


async def test_a_board_takes_scores_only_between_its_times(scoring: Scoring) -> None:
    hour = timedelta(hours=1)
    for opens, closes, is_open in ((-1, 1, True), (1, 2, False), (-2, -1, False), (-1, None, True)):
        now = datetime.now(UTC)
        times = {"open_time": now + opens * hour}
        if closes is not None:
            times["close_time"] = now + closes * hour
        board = await _board(scoring, **times)
        if is_open:
            await board.submit("ann", 1)
        else:
            assert await reason_of(board.submit("ann", 1)) is Reason.BOARD_CLOSED
            assert await reason_of(board.batch(a_score("ann", 1))) is Reason.BOARD_CLOSED
        assert await board.ranking() == ([("ann", 1, 1)] if is_open else [])


async def test_a_board_of_teams_takes_scores_only_between_its_own_times(scoring: Scoring) -> None:
    teams = await _board(scoring, close_time=datetime.now(UTC) - timedelta(hours=1))
    board = await _board(scoring, team_board_id=teams.board_id)
    await board.submit("ann", 1, team_id="red")
    assert await board.ranking() == [("ann", 1, 1)]
    assert await teams.ranking() == []


async def _list(board: Leaderboard, instance: int) -> Ranking:
    assert await board.ranking(instance=instance) == []
    return []


async def _get(board: Leaderboard, instance: int) -> Ranking:
    found = (await board.call("GetBoard", instance=instance)).board
    assert (found.season, found.entry_count) == (2, 0)
    return []


async def _submit(board: Leaderboard, instance: int) -> Ranking:
    result = await board.submit("ben", 1, instance=instance)
    assert (result.entry.score, result.rank_before) == (1, 0)
    return [("ben", 1, 1)]


async def _batch(board: Leaderboard, instance: int) -> Ranking:
    await board.batch(a_score("ben", 1), a_score("ben", 1), instance=instance, omit_results=True)
    return [("ben", 2, 1)]


def _missing(method: str) -> Callable[[Leaderboard, int], Awaitable[Ranking]]:
    async def ask(board: Leaderboard, instance: int) -> Ranking:
        call = board.call(method, entry_id="ann", instance=instance)
        assert await reason_of(call) is Reason.NOT_FOUND
        return []

    return ask


_FIRST: dict[str, Callable[[Leaderboard, int], Awaitable[Ranking]]] = {
    "list": _list,
    "get": _get,
    "around": _missing("ListEntriesAround"),
    "entry": _missing("GetEntry"),
    "remove": _missing("RemoveEntry"),
    "submit": _submit,
    "batch": _batch,
}


@pytest.mark.parametrize("first", _FIRST)
@pytest.mark.parametrize("instance", [0, 2])
async def test_whoever_comes_first_finds_the_new_season(scoring: Scoring, first: str, instance: int) -> None:
    board = await _board(scoring)
    await board.batch(a_score("ann", 5), a_score("ben", 3))
    await _end_season(board, timedelta(seconds=-1.5))
    (row,) = await scoring.rows(_SEASON, board.board_id)

    async def is_known() -> bool:
        found = [(await board.call("GetBoard", instance=each)).board for each in range(3)]
        return {each.season_end_time.ToDatetime(UTC) for each in found} == {row["season_end"]}

    # What all processes hold in their memory is of the season that ends.
    await until(is_known)
    for each in range(3):
        assert await board.ranking(instance=each) == [("ann", 5, 1), ("ben", 3, 2)]

    async def is_over() -> bool:
        rows = await scoring.rows(_IS_OVER, board.board_id)
        return bool(rows[0]["is_over"])

    await until(is_over)
    expected = await _FIRST[first](board, instance)
    for each in range(3):
        assert await board.ranking(instance=each) == expected
    assert (await board.call("GetBoard")).board.season == 2
    assert await board.recounted() == expected


async def test_a_season_ends_once_for_many_at_once(scoring: Scoring) -> None:
    board = await _board(scoring)
    await board.submit("ann", 100)
    await _end_season(board)
    await asyncio.gather(
        *(board.submit("ann", 1, instance=place % 3) for place in range(30)),
        *(board.ranking(instance=place % 3) for place in range(30)),
    )
    assert await board.ranking() == [("ann", 30, 1)]
    assert (await board.call("GetBoard")).board.season == 2


@pytest.mark.parametrize(
    ("schedule", "ago", "seasons"),
    [(DAILY, timedelta(days=3), 4), (WEEKLY, timedelta(weeks=2), 3), (DAILY, timedelta(), 1)],
)
async def test_seasons_in_which_nobody_came_count(
    scoring: Scoring, schedule: Any, ago: timedelta, seasons: int
) -> None:
    board = await _board(scoring, schedule)
    end = (await board.call("GetBoard")).board.season_end_time.ToDatetime(UTC)
    length = timedelta(days=1) if schedule == DAILY else timedelta(weeks=1)
    await board.scoring.rows(
        "UPDATE scoring.board SET season_end = $2 WHERE board_id = $1", board.board_id, end - length - ago
    )
    await board.submit("ann", 1)
    found = (await board.call("GetBoard")).board
    assert found.season == 1 + seasons
    assert found.season_end_time.ToDatetime(UTC) == end


def _turns(schedule: int, at: datetime) -> datetime:
    """When the season that `at` is in ends, as the contract says it."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if schedule == DAILY:
        return midnight + timedelta(days=1)
    if schedule == WEEKLY:
        return midnight + timedelta(days=7 - midnight.weekday())
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)


_BEGIN_SEASON = """
    UPDATE scoring.board SET season = 1, season_end = scoring.season_end(reset_schedule, $2)
    WHERE board_id = $1
"""
_TURN = "SELECT scoring.turn_seasons(ARRAY[$1], $2)"
_SEASON = "SELECT season, season_end, seq FROM scoring.board WHERE board_id = $1"


def _times(seed: int) -> list[datetime]:
    """Times from all over the years, many of them at the very end of a season or just before."""
    chance = random.Random(seed)
    start = datetime(2023, 12, 1, tzinfo=UTC)
    days = [start + timedelta(days=chance.randrange(1500)) for _ in range(20)]
    turns = [_turns(schedule, day) for day in days for schedule in (DAILY, WEEKLY, MONTHLY)]
    moments = [day + timedelta(seconds=chance.randrange(86400)) for day in days]
    return turns + moments + [turn - timedelta(microseconds=1) for turn in turns]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
@pytest.mark.parametrize("schedule", [DAILY, WEEKLY, MONTHLY])
async def test_seasons_end_at_midnight_in_utc(scoring: Scoring, schedule: Any, zone: str) -> None:
    board = await _board(scoring, schedule)
    connection = await asyncpg.connect(scoring.urls.admin_url, server_settings={"TimeZone": zone})

    async def season_of() -> tuple[int, datetime]:
        (row,) = await connection.fetch(_SEASON, board.board_id)
        return row["season"], row["season_end"]

    try:
        for began, other in zip(_times(1), random.Random(2).sample(_times(1), 140), strict=True):
            now = max(began, other)
            season, end = 1, _turns(schedule, began)
            await connection.execute(_BEGIN_SEASON, board.board_id, began)
            await connection.execute(_TURN, board.board_id, end - timedelta(microseconds=1))
            assert await season_of() == (1, end)
            while end <= now:
                season, end = season + 1, _turns(schedule, end)
            await connection.execute(_TURN, board.board_id, now)
            assert await season_of() == (season, end)
    finally:
        await connection.close()


async def test_a_reset_by_hand_leaves_the_schedule(scoring: Scoring) -> None:
    board = await _board(scoring)
    before = (await board.call("GetBoard")).board
    after = (await board.call("ResetBoard")).board
    assert (after.season, after.season_end_time) == (2, before.season_end_time)
    assert (await board.call("GetBoard", instance=1)).board.season_end_time == before.season_end_time
