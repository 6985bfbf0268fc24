"""Boards are for services, and for those who run things in the organization; bad input is named."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from muster.scoring.v1 import board_pb2
from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import error_of, reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_leaderboard import BEST, INCREMENT, Leaderboard, a_score, service

ORGANIZATION = "o-access"

_READS: dict[str, dict[str, Any]] = {
    "GetBoard": {},
    "ListEntries": {},
    "ListEntriesAround": {"entry_id": "ann"},
    "GetEntry": {"entry_id": "ann"},
}
_WRITES: dict[str, dict[str, Any]] = {
    "SubmitScore": {"submission": a_score("ann", 1)},
    "BatchSubmitScores": {"submissions": [a_score("ann", 1)]},
    "RemoveEntry": {"entry_id": "ann"},
    "ResetBoard": {},
    "DeleteBoard": {},
}


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


@pytest.fixture
async def board(scoring: Scoring) -> Leaderboard:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.submit("ann", 5)
    return board


@pytest.mark.parametrize("method", [*_READS, *_WRITES])
async def test_a_service_of_another_organization_finds_nothing(board: Leaderboard, method: str) -> None:
    fields = (_READS | _WRITES)[method]
    call = board.call(method, metadata=service("another"), **fields)
    assert await reason_of(call) is Reason.NOT_FOUND
    assert await board.ranking() == [("ann", 5, 1)]
    await board.call(method, metadata=service(ORGANIZATION), **fields)


@pytest.mark.parametrize("method", _READS)
async def test_those_who_run_things_in_the_organization_may_read(board: Leaderboard, method: str) -> None:
    for role in OrganizationRole:
        is_allowed = role is not OrganizationRole.MEMBER
        call = board.call(method, metadata=board.user(role), **_READS[method])
        if is_allowed:
            await call
        else:
            assert await reason_of(call) is Reason.PERMISSION_DENIED
        foreign = board.user(role, organization="another")
        refused = board.call(method, metadata=foreign, **_READS[method])
        assert await reason_of(refused) is (Reason.NOT_FOUND if is_allowed else Reason.PERMISSION_DENIED)


@pytest.mark.parametrize("method", [*_WRITES, "CreateBoard"])
async def test_nobody_but_services_writes(board: Leaderboard, method: str) -> None:
    owner = board.user(OrganizationRole.OWNER)
    call = board.call(method, metadata=owner, **_WRITES.get(method, {}))
    assert await reason_of(call) is Reason.PERMISSION_DENIED
    assert await board.ranking() == [("ann", 5, 1)]


async def test_a_service_makes_boards_for_its_organization_alone(scoring: Scoring) -> None:
    made = Leaderboard(scoring, "another").call(
        "CreateBoard", organization_id="another", operator=BEST, metadata=service(ORGANIZATION)
    )
    assert await reason_of(made) is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("method", _WRITES)
async def test_the_board_of_a_session_is_written_by_answers_alone(scoring: Scoring, method: str) -> None:
    game = scoring.game(base_points=10)
    await game.player("ann").submit(await game.open())
    board = Leaderboard(scoring, game.organization, board_id=game.session_id)
    assert await reason_of(board.call(method, **_WRITES[method])) is Reason.PERMISSION_DENIED
    foreign = board.call(method, metadata=service("another"), **_WRITES[method])
    assert await reason_of(foreign) is Reason.NOT_FOUND
    assert [(each.entry_id, each.score) for each in await game.board()] == [("ann", 10)]
    made = board.call("CreateBoard", organization_id=game.organization, operator=BEST)
    assert await reason_of(made) is Reason.ALREADY_EXISTS


async def test_an_id_is_one_boards_whosever_it_is(scoring: Scoring, board: Leaderboard) -> None:
    other = Leaderboard(scoring, "another", board_id=board.board_id)
    assert await reason_of(other.make()) is Reason.ALREADY_EXISTS
    await board.call("DeleteBoard")
    assert await reason_of(other.make()) is Reason.ALREADY_EXISTS
    await board.make(INCREMENT)
    assert await board.ranking() == []


async def test_a_ticket_is_for_the_board_of_its_session_alone(scoring: Scoring, board: Leaderboard) -> None:
    game = scoring.game()
    game.organization = ORGANIZATION
    for method, fields in _READS.items():
        call = board.call(method, metadata=game.player("ann").ticket, **fields)
        assert await reason_of(call) is Reason.NOT_FOUND


@pytest.mark.parametrize("method", [*_READS, *_WRITES])
async def test_a_board_that_is_not_there_is_not_found(
    scoring: Scoring, board: Leaderboard, method: str
) -> None:
    fields = (_READS | _WRITES)[method]
    nowhere = Leaderboard(scoring, ORGANIZATION)
    assert await reason_of(nowhere.call(method, **fields)) is Reason.NOT_FOUND
    await board.call("DeleteBoard")
    assert await reason_of(board.call(method, **fields)) is Reason.NOT_FOUND


async def test_settings_come_back(scoring: Scoring) -> None:
    teams = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    opens, closes = Timestamp(seconds=1_700_000_000), Timestamp(seconds=4_000_000_000)
    request = pb.CreateBoardRequest(
        organization_id=ORGANIZATION,
        title="Sprint",
        operator=board_pb2.BOARD_OPERATOR_SET,
        order=board_pb2.BOARD_ORDER_ASCENDING,
        reset_schedule=board_pb2.BOARD_RESET_SCHEDULE_WEEKLY,
        open_time=opens,
        close_time=closes,
        team_board_id=teams.board_id,
    )
    made = (await scoring.boards.CreateBoard(request, metadata=service())).board
    assert made.board_id
    assert (made.title, made.season, made.team_board_id) == ("Sprint", 1, teams.board_id)
    assert (made.operator, made.order, made.reset_schedule) == (
        request.operator,
        request.order,
        request.reset_schedule,
    )
    assert (made.open_time, made.close_time) == (opens, closes)
    assert made.season_end_time.ToDatetime(UTC) > datetime.now(UTC)
    found = Leaderboard(scoring, ORGANIZATION, board_id=made.board_id)
    assert (await found.call("GetBoard", instance=1)).board == made


_LONG = "x" * 65


@pytest.mark.parametrize(
    ("method", "fields", "named"),
    [
        ("SubmitScore", {"submission": a_score("", 1)}, "submission.entry_id"),
        ("SubmitScore", {"submission": a_score(_LONG, 1)}, "submission.entry_id"),
        ("SubmitScore", {"submission": a_score("a\0", 1)}, "submission.entry_id"),
        ("SubmitScore", {"submission": a_score("a", 1, team_id=_LONG)}, "submission.team_id"),
        ("SubmitScore", {"submission": a_score("a", 1, display_name=_LONG)}, "submission.display_name"),
        ("SubmitScore", {"submission": a_score("a", 1, request_id=_LONG)}, "submission.request_id"),
        ("SubmitScore", {"submission": a_score("a", 1, -1)}, "submission.duration"),
        ("SubmitScore", {"submission": a_score("a", 1, 32_000_000_000)}, "submission.duration"),
        ("SubmitScore", {}, "submission"),
        ("BatchSubmitScores", {"submissions": []}, "submissions"),
        ("BatchSubmitScores", {"submissions": [a_score("a", 1)] * 1001}, "submissions"),
        ("BatchSubmitScores", {"submissions": [a_score("a", 1), a_score("", 1)]}, "submissions[1].entry_id"),
        (
            "BatchSubmitScores",
            {
                "submissions": [
                    a_score("a", 1),
                    a_score("b", 1, request_id="r"),
                    a_score("c", 1, request_id="r"),
                ]
            },
            "submissions[2].request_id",
        ),
        ("CreateBoard", {"organization_id": "o", "operator": 0}, "operator"),
        ("CreateBoard", {"organization_id": "o", "operator": 9}, "operator"),
        ("CreateBoard", {"organization_id": "", "operator": BEST}, "organization_id"),
        ("CreateBoard", {"organization_id": "o", "operator": BEST, "order": 9}, "order"),
        ("CreateBoard", {"organization_id": "o", "operator": BEST, "reset_schedule": 9}, "reset_schedule"),
        ("CreateBoard", {"organization_id": "o", "operator": BEST, "team_board_id": "none"}, "team_board_id"),
        (
            "CreateBoard",
            {
                "organization_id": "o",
                "operator": BEST,
                "open_time": Timestamp(seconds=5),
                "close_time": Timestamp(seconds=5),
            },
            "close_time",
        ),
        (
            "CreateBoard",
            {"organization_id": "o", "operator": BEST, "open_time": Timestamp(nanos=-1)},
            "open_time",
        ),
        ("RemoveEntry", {"entry_id": ""}, "entry_id"),
    ],
)
async def test_bad_input_is_named_and_changes_nothing(
    board: Leaderboard, method: str, fields: dict[str, Any], named: str
) -> None:
    caller = board if method != "CreateBoard" else Leaderboard(board.scoring, "o")
    error = await error_of(caller.call(method, **fields))
    assert error.reason is Reason.INVALID_FIELD
    assert named in [violation.field for violation in error.violations]
    assert await board.ranking() == [("ann", 5, 1)]


async def test_a_board_of_teams_is_another_of_the_same_organization(scoring: Scoring) -> None:
    foreign = await Leaderboard(scoring, "another").make()
    own = Leaderboard(scoring, ORGANIZATION)
    for team_board_id in (foreign.board_id, own.board_id):
        assert await reason_of(own.make(team_board_id=team_board_id)) is Reason.INVALID_FIELD


async def test_a_page_token_is_good_for_its_board(scoring: Scoring, board: Leaderboard) -> None:
    await board.submit("ben", 1)
    token = (await board.call("ListEntries", page_size=1)).next_page_token
    other = await Leaderboard(scoring, ORGANIZATION).make()
    for wrong in (
        other.call("ListEntries", page_token=token),
        board.call("ListEntries", page_token="nonsense"),
    ):
        assert await reason_of(wrong) is Reason.PAGE_TOKEN_INVALID
