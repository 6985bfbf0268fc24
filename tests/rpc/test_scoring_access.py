"""Who may see and do what in scoring."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from muster.scoring.v1 import attempt_service_pb2 as attempts
from muster.scoring.v1 import board_service_pb2 as boards
from muster.scoring.v1 import round_service_pb2 as rpc
from muster.scoring.v1.attempt_service_pb2_grpc import AttemptServiceStub
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.errors import Reason
from muster_kit.rpc.tokens import issue_service_token

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import SECRET, Game, Metadata, bearer, choose


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


@pytest.fixture(scope="module")
async def game(scoring: Scoring) -> Game:
    """A session with an answer in it."""
    game = scoring.game(base_points=10)
    await game.player("ann").submit(await game.open(round_id=game.session_id + "-r"))
    return game


async def _watch(call: Any) -> Any:
    return [frame async for frame in call]


def _round(game: Game) -> str:
    return game.session_id + "-r"


_READS: dict[str, Callable[[Game, Metadata], Awaitable[Any]]] = {
    "ListEntries": lambda game, by: game.scoring.boards.ListEntries(
        boards.ListEntriesRequest(board_id=game.session_id), metadata=by
    ),
    "ListEntriesAround": lambda game, by: game.scoring.boards.ListEntriesAround(
        boards.ListEntriesAroundRequest(board_id=game.session_id, entry_id="ann"), metadata=by
    ),
    "GetEntry": lambda game, by: game.scoring.boards.GetEntry(
        boards.GetEntryRequest(board_id=game.session_id, entry_id="ann"), metadata=by
    ),
    "GetBoard": lambda game, by: game.scoring.boards.GetBoard(
        boards.GetBoardRequest(board_id=game.session_id), metadata=by
    ),
    "WatchBoard": lambda game, by: _watch(
        game.scoring.boards.WatchBoard(
            boards.WatchBoardRequest(board_id=game.session_id, replay_only=True), metadata=by
        )
    ),
    "WatchRounds": lambda game, by: _watch(
        game.scoring.rounds.WatchRounds(
            rpc.WatchRoundsRequest(session_id=game.session_id, replay_only=True), metadata=by
        )
    ),
    "GetRoundStats": lambda game, by: game.stats(_round(game), by=by),
    "ListResponses": lambda game, by: game.responses(by=by),
    "GetAnalytics": lambda game, by: game.analytics(by=by),
}
_FOR_STAFF = {"GetAnalytics"}
_FOR_ANSWERERS = {"ListResponses"}


@pytest.mark.parametrize("read", _READS)
async def test_other_organizations_and_sessions_find_nothing(game: Game, read: str) -> None:
    other = game.scoring.game()
    strangers = [
        game.user("boss", OrganizationRole.OWNER, organization=other.organization),
        other.host,
        other.ticket("ann", RoomRole.COHOST),
        bearer(issue_service_token(SECRET, service="session", organization_id=other.organization)),
    ]
    # Another session of the same organization is as foreign to a ticket.
    other.organization = game.organization
    strangers.append(other.host)
    if read not in _FOR_STAFF:
        strangers.append(other.player("ann").ticket)
    for stranger in strangers:
        assert await reason_of(_READS[read](game, stranger)) is Reason.NOT_FOUND


@pytest.mark.parametrize("read", _READS)
async def test_those_who_run_it_may_look(game: Game, read: str) -> None:
    for by in (
        game.host,
        game.ticket("co", RoomRole.COHOST),
        game.user("host", OrganizationRole.EDITOR),
        game.user("boss", OrganizationRole.OWNER),
        game.user("admin", OrganizationRole.ADMIN),
        bearer(issue_service_token(SECRET, service="session", organization_id=game.organization)),
    ):
        assert await _READS[read](game, by)


@pytest.mark.parametrize("read", _READS)
async def test_others_of_the_organization_may_not(game: Game, read: str) -> None:
    for by in (
        game.user("another", OrganizationRole.EDITOR),
        game.user("member", OrganizationRole.MEMBER),
        game.user("host", OrganizationRole.MEMBER),
    ):
        assert await reason_of(_READS[read](game, by)) is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("read", _READS)
async def test_those_inside_see_what_is_for_them(game: Game, read: str) -> None:
    for role in (RoomRole.PARTICIPANT, RoomRole.SPECTATOR):
        call = _READS[read](game, game.ticket("ann", role))
        refused = read in _FOR_STAFF or (read in _FOR_ANSWERERS and role is RoomRole.SPECTATOR)
        if refused:
            assert await reason_of(call) is Reason.PERMISSION_DENIED
        else:
            assert await call


async def test_participants_list_their_own_answers_alone(scoring: Scoring) -> None:
    game = scoring.game()
    ann, ben = game.player("ann"), game.player("ben")
    round_id = await game.open()
    await ann.submit(round_id)
    await ben.submit(round_id)
    own = (await game.responses(by=ann.ticket)).responses
    assert [each.participant_id for each in own] == ["ann"]
    assert await reason_of(game.responses(by=ann.ticket, participant_id="ben")) is Reason.PERMISSION_DENIED
    one = (await game.responses(participant_id="ben")).responses
    assert [each.participant_id for each in one] == ["ben"]


async def test_only_services_run_rounds_and_only_participants_answer(game: Game) -> None:
    for by in (game.host, game.user("boss", OrganizationRole.OWNER), game.player("ann").ticket):
        for method in ("OpenRound", "CloseRound", "CancelRound", "PauseRounds", "ResumeRounds", "UpdateSeat"):
            request = getattr(rpc, f"{method}Request")()
            refused = getattr(game.scoring.rounds, method)(request, metadata=by)
            assert await reason_of(refused) is Reason.PERMISSION_DENIED
    request = rpc.SubmitResponseRequest(round_id=_round(game), answer=choose("a"))
    for by in (
        game.host,
        game.service,
        game.user("host", OrganizationRole.EDITOR),
        game.ticket("x", RoomRole.SPECTATOR),
    ):
        refused = game.scoring.rounds.SubmitResponse(request, metadata=by)
        assert await reason_of(refused) is Reason.PERMISSION_DENIED
    assert await reason_of(game.scoring.rounds.SubmitResponse(request)) is Reason.TOKEN_INVALID


async def test_a_service_acts_for_the_organization_of_its_token(scoring: Scoring) -> None:
    game = scoring.game()
    token = issue_service_token(SECRET, service="session", organization_id="another")
    request = rpc.PauseRoundsRequest(organization_id=game.organization, session_id=game.session_id)
    request.pause_time.GetCurrentTime()
    refused = scoring.rounds.PauseRounds(request, metadata=bearer(token))
    assert await reason_of(refused) is Reason.PERMISSION_DENIED


async def test_lists_go_on_where_a_page_ended(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    rounds = [await game.open() for _ in range(2)]
    for round_id in rounds:
        for player in game.players(5):
            await player.submit(round_id)
    await game.seat("p3", hidden=True)
    for fields, count in (({}, 10), ({"round_id": rounds[0]}, 5), ({"participant_id": "p1"}, 2)):
        whole = list((await game.responses(**fields)).responses)
        assert len(whole) == count
        token, found = "", []
        while len(found) < count:
            page = await game.responses(page_size=3, page_token=token, **fields)
            found += page.responses
            token = page.next_page_token
        assert (found, token) == (whole, "")
    first = await game.responses(page_size=3)
    with_another_filter = game.responses(page_token=first.next_page_token, participant_id="p1")
    assert await reason_of(with_another_filter) is Reason.PAGE_TOKEN_INVALID
    assert await reason_of(game.responses(page_token="?")) is Reason.PAGE_TOKEN_INVALID

    ranked = list((await game.analytics()).participants)
    assert [each.rank for each in ranked] == [1, 2, 3, 4, 0]
    token, found = "", []
    while len(found) < 5:
        page = await game.analytics(page_size=2, page_token=token)
        found += page.participants
        token = page.next_page_token
    assert (found, token) == (ranked, "")
    assert await reason_of(game.analytics(page_token="AAAA")) is Reason.PAGE_TOKEN_INVALID


async def test_what_is_not_built_says_so(game: Game) -> None:
    attempt_stub = AttemptServiceStub(game.scoring.instances[0].channel)
    request = attempts.GetTestRequest(test_id="t")
    refused = attempt_stub.GetTest(request, metadata=game.user("boss", OrganizationRole.OWNER))
    assert await reason_of(refused) is Reason.UNIMPLEMENTED


async def test_probe_tells_the_servers_time(game: Game) -> None:
    request = rpc.ProbeRequest(payload=b"echo")
    request.origin_time.FromSeconds(5)
    reply = await game.scoring.rounds.Probe(request, metadata=game.host)
    assert (reply.payload, reply.times.origin_time.seconds) == (b"echo", 5)
    assert reply.times.receive_time.ToDatetime() <= reply.times.transmit_time.ToDatetime()
