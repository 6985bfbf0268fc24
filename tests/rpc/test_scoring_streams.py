"""Answers over one stream: of a participant, and of many by a service."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import asyncpg
import pytest
from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import Reason
from muster_kit.rpc.tokens import issue_service_token
from muster_scoring.convert_streams import sequenced
from muster_scoring.usecases_stream import ResponseStream, Sequenced, Told

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import SECRET, Game, Metadata, Player, bearer, choose, new_id, rpc


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


async def test_a_participant_may_name_the_own_seat_and_no_other(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player("ann")
    own = {
        "participant_id": "ann",
        "session_id": game.session_id,
        "organization_id": game.organization,
        "display_name": "Name of ann",
    }
    foreign = [{**own, field: "another"} for field in own]
    round_id = await game.open()
    requests = [
        rpc.StreamResponsesRequest(sequence=place, round_id=round_id, answer=choose("a"), **seat)
        for place, seat in enumerate((*foreign, own), start=1)
    ]
    several = rpc.StreamResponsesRequest(sequence=6, round_id=round_id, answers=[_answer("ann")])
    replies = await _stream(ann, [*requests, several])
    assert [reply.refused_reason for reply in replies] == ["PERMISSION_DENIED"] * 4 + ["", "INVALID_FIELD"]


async def test_a_service_answers_for_many_and_is_told_by_runs(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    rounds = [await game.open() for _ in range(2)]
    requests = [
        _one(game, round_id, f"p{seat}", display_name=f"Player {seat}")
        for round_id in rounds
        for seat in range(300)
    ]
    acknowledgements = await _serve(game, requests)
    assert [each for each in acknowledgements if each.refused] == []
    told = [each.sequence for each in acknowledgements]
    assert told == sorted(set(told))
    assert told[-1] == 600
    assert len(told) < 300
    board = await game.board()
    assert {(each.entry_id, each.display_name, each.score) for each in board} == {
        (f"p{seat}", f"Player {seat}", 20) for seat in range(300)
    }


async def test_what_is_refused_of_a_service_is_told_by_its_place_and_nothing_ends(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    await game.seat("gone", hidden=True)
    many = _several(
        game,
        round_id,
        [
            _answer("ann"),
            _answer("gone"),
            _answer("ben", "z"),
            _answer(""),
            _answer("cleo"),
            _answer("ann", "b"),
        ],
    )
    nobody = _one(game, round_id, "")
    neither = _several(game, round_id, [])
    elsewhere = _one(game, round_id, "dan")
    elsewhere.session_id = "another"
    unknown = _one(game, "none", "dan")
    requests = [many, nobody, neither, elsewhere, unknown, _one(game, round_id, "dan")]
    acknowledgements = await _serve(game, requests)
    assert acknowledgements[-1].sequence == 6
    refused = [(each.sequence, each.index, each.reason) for told in acknowledgements for each in told.refused]
    assert refused == [
        (1, 1, "PARTICIPANT_STATUS"),
        (1, 2, "ANSWER_MISMATCH"),
        (1, 3, "INVALID_FIELD"),
        (1, 5, "ALREADY_ANSWERED"),
        (2, 0, "INVALID_FIELD"),
        (3, 0, "INVALID_FIELD"),
        (4, 0, "NOT_FOUND"),
        (5, 0, "NOT_FOUND"),
    ]
    listed = (await game.responses()).responses
    assert [each.participant_id for each in listed] == ["ann", "cleo", "dan"]


@pytest.mark.parametrize(
    ("token", "named", "reason"),
    [
        ("", "", "INVALID_FIELD"),
        ("", "another", "NOT_FOUND"),
        ("own", "another", "PERMISSION_DENIED"),
        ("another", "", "NOT_FOUND"),
        ("own", "", ""),
        ("own", "own", ""),
    ],
)
async def test_a_service_acts_for_its_organization(
    scoring: Scoring, token: str, named: str, reason: str
) -> None:
    game = scoring.game()
    names = {"": "", "own": game.organization, "another": "another"}
    request = _one(game, await game.open(), "ann")
    request.organization_id = names[named]
    service = bearer(issue_service_token(SECRET, service="game", organization_id=names[token]))
    (told,) = await _serve(game, [request], by=service)
    assert [each.reason for each in told.refused] == ([reason] if reason else [])


async def test_left_and_never_seen_participants_are_answered_for(scoring: Scoring) -> None:
    game = scoring.game()
    await game.seat("left", minimum_generation=7)
    round_id = await game.open()
    (told,) = await _serve(game, [_several(game, round_id, [_answer("left"), _answer("new")])])
    assert list(told.refused) == []


async def test_what_was_cut_off_is_sent_again_and_counts_once(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    rounds = [await game.open() for _ in range(4)]
    requests = [
        _one(game, round_id, f"p{seat}", request_id=f"{round_id}-{seat}")
        for round_id in rounds
        for seat in range(200)
    ]
    call = scoring.rounds.StreamResponses(_numbered(requests), metadata=game.service)
    acknowledged = (await call.read()).sequence
    call.cancel()
    assert 0 < acknowledged < len(requests)
    for again in (requests[acknowledged:], requests):
        acknowledgements = await _serve(game, again)
        assert acknowledgements[-1].sequence == len(again)
        assert [each for each in acknowledgements if each.refused] == []
    assert (await game.analytics()).session.response_count == len(requests)
    assert {entry.score for entry in await game.board()} == {40}


async def test_answers_that_a_change_of_their_round_met_go_again(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    await game.player("ann").submit(round_id)
    await game.pause()
    await game.resume()
    # The round is known here as it was before.
    acknowledgements = await _serve(game, [_one(game, round_id, f"p{seat}") for seat in range(500)])
    assert acknowledgements[-1].sequence == 500
    assert [each for each in acknowledgements if each.refused] == []
    assert (await game.stats(round_id)).response_count == 501


async def test_a_stream_is_not_read_while_too_many_of_its_answers_wait(scoring: Scoring) -> None:
    game = scoring.game()
    round_id = await game.open()
    taken = 0
    full, told = asyncio.Event(), []

    async def given() -> AsyncIterator[Sequenced]:
        nonlocal taken
        for sequence in range(1, 2001):
            taken = sequence
            if taken == 1024:
                full.set()
            request = _one(game, round_id, f"p{sequence}")
            request.sequence = sequence
            yield next(iter([each async for each in sequenced(caller, _each(request))]))

    async def write(run: Sequence[Told]) -> None:
        told.extend(run)

    caller = Caller(CallerKind.SERVICE, subject="game")
    stream = ResponseStream(scoring.instances[0].app._responses, caller, write)
    admin = await asyncpg.connect(scoring.urls.admin_url)
    try:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(20), admin.transaction():
            await admin.execute(
                "SELECT FROM scoring.session WHERE session_id = $1 FOR UPDATE", game.session_id
            )
            tasks.create_task(stream.serve(given()))
            await full.wait()
            for _ in range(5):
                # Whatever could have been read meanwhile has been.
                await scoring.rounds.Probe(rpc.ProbeRequest(), metadata=game.service)
            assert (taken, told) == (1024, [])
    finally:
        await admin.close()
    assert [sequence for sequence, _ in told] == list(range(1, 2001))
    assert (await game.stats(round_id)).response_count == 2000


def _answer(participant_id: str, choice: str = "a") -> rpc.ParticipantAnswer:
    return rpc.ParticipantAnswer(participant_id=participant_id, answer=choose(choice))


def _one(game: Game, round_id: str, participant_id: str, **fields: str) -> rpc.StreamResponsesRequest:
    return rpc.StreamResponsesRequest(
        organization_id=game.organization,
        session_id=game.session_id,
        round_id=round_id,
        participant_id=participant_id,
        answer=choose("a"),
        **fields,
    )


def _several(
    game: Game, round_id: str, answers: Sequence[rpc.ParticipantAnswer]
) -> rpc.StreamResponsesRequest:
    return rpc.StreamResponsesRequest(
        organization_id=game.organization, session_id=game.session_id, round_id=round_id, answers=answers
    )


def _numbered(requests: Sequence[rpc.StreamResponsesRequest]) -> Iterator[rpc.StreamResponsesRequest]:
    for sequence, request in enumerate(requests, start=1):
        request.sequence = sequence
        yield request


async def _each(request: rpc.StreamResponsesRequest) -> AsyncIterator[rpc.StreamResponsesRequest]:
    yield request


async def _serve(
    game: Game, requests: Sequence[rpc.StreamResponsesRequest], *, by: Metadata = ()
) -> list[rpc.StreamResponsesResponse]:
    call = game.scoring.rounds.StreamResponses(_numbered(requests), metadata=by or game.service)
    return [told async for told in call]


async def _stream(
    player: Player, requests: list[rpc.StreamResponsesRequest]
) -> list[rpc.StreamResponsesResponse]:
    call = player.game.scoring.rounds.StreamResponses(iter(requests), metadata=player.ticket)
    return [reply async for reply in call]
