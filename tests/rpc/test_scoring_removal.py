"""A deleted session leaves nothing: no answers to read, none taken, no board, and ids that are free."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

import grpc
import pytest
from muster.scoring.v1 import board_service_pb2 as boards
from muster.scoring.v1 import round_pb2
from muster.scoring.v1 import round_service_pb2 as rpc
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_kit.rpc.tokens import issue_service_token
from muster_scoring.board_mender import BoardMender
from muster_scoring.model_board import Line
from muster_scoring.store_boards import BoardSource
from muster_scoring.store_redis import RedisBoards

from tests.conftest import TestStores
from tests.rpc.asked import Asked
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import SECRET, Game, bearer, choices_key, new_id
from tests.waiting import until

TABLES = ("session", "participant", "response", "draft", "round", "round_answer_count")


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("removal"), deaf_instances=1) as scoring:
        yield scoring


async def delete(game: Game, *, instance: int = 0, **fields: Any) -> None:
    await game.run("DeleteSession", session_id=game.session_id, instance=instance, **fields)


async def played(game: Game) -> str:
    """Have a round with two answers, a draft and a hidden seat; return its id."""
    round_id = await game.open()
    await game.player("ann").submit(round_id, "a")
    await game.player("ben").submit(round_id, "b", instance=1)
    await game.player("cleo").draft(round_id, "a")
    await game.seat("dan", hidden=True)
    assert [entry.entry_id for entry in await game.board()] == ["ann", "ben"]
    return round_id


async def left(game: Game, round_id: str) -> set[str]:
    """The tables that hold something of a session."""
    found = set()
    for table in TABLES:
        key = "round_id" if table == "round_answer_count" else "session_id"
        value = round_id if key == "round_id" else game.session_id
        if await game.scoring.rows(f"SELECT 1 FROM scoring.{table} WHERE {key} = $1", value):
            found.add(table)
    return found


async def keys(stores: TestStores, game: Game) -> list[bytes]:
    async with open_redis(stores.redis_url) as redis:
        return [key async for key in redis.scan_iter(f"muster:*{{{game.session_id}}}:*", count=1000)]


async def test_nothing_is_left_anywhere(scoring: Scoring, stores: TestStores) -> None:
    game = scoring.game(base_points=10)
    round_id = await played(game)
    asked = await Asked.by(game.player("ann"))
    await asked.acknowledge(asked.stamp_now())
    assert await left(game, round_id) == set(TABLES)
    assert await keys(stores, game)
    await delete(game)
    assert await left(game, round_id) == set()
    assert await keys(stores, game) == []


async def test_nothing_can_be_read_any_more_with_a_ticket_that_is_still_good(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await played(game)
    await delete(game)
    assert await game.board() == []
    assert list((await game.responses()).responses) == []
    assert await reason_of(game.stats(round_id)) is Reason.NOT_FOUND
    assert await reason_of(game.analytics()) is Reason.NOT_FOUND
    boss = game.user("boss", OrganizationRole.OWNER)
    assert await reason_of(game.responses(by=boss)) is Reason.NOT_FOUND
    assert await reason_of(game.board(by=boss)) is Reason.NOT_FOUND


@pytest.mark.parametrize("instance", [0, 1])
async def test_answers_to_deleted_rounds_are_refused_by_every_process(
    scoring: Scoring, instance: int
) -> None:
    game = scoring.game(base_points=10)
    # Both processes have the round in their caches.
    round_id = await played(game)
    await delete(game)
    late = game.player("late")
    assert await reason_of(late.submit(round_id, instance=instance)) is Reason.NOT_FOUND
    assert await reason_of(late.draft(round_id)) is Reason.NOT_FOUND
    assert await left(game, round_id) == set()


async def test_an_answer_by_a_round_that_another_process_still_has_finds_nothing(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    await game.player("ann").submit(round_id, instance=1)
    await delete(game)
    assert await reason_of(game.player("ben").submit(round_id, instance=1)) is Reason.NOT_FOUND


async def test_answers_that_come_while_it_is_deleted_are_counted_and_gone_or_refused(
    scoring: Scoring,
) -> None:
    game = scoring.game(base_points=10)
    round_id = await played(game)
    players = game.players(60)
    outcomes = await asyncio.gather(
        *(player.submit(round_id, instance=place % 2) for place, player in enumerate(players)),
        delete(game),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert all(error.code() is grpc.StatusCode.NOT_FOUND for error in refused)
    assert await left(game, round_id) == set()
    assert await game.board() == []


async def test_deleting_what_is_not_there_is_no_fault(scoring: Scoring) -> None:
    game = scoring.game()
    await delete(game)
    await game.open()
    await delete(game)
    await delete(game)


async def test_another_organizations_session_is_left_alone(scoring: Scoring, stores: TestStores) -> None:
    game, stranger = scoring.game(base_points=10), scoring.game()
    round_id = await played(game)
    stranger.session_id = game.session_id
    await delete(stranger)
    assert await left(game, round_id) == set(TABLES)
    assert await keys(stores, game)
    assert [entry.entry_id for entry in await game.board()] == ["ann", "ben"]
    # Nor is a service listened to that may act for one organization, and names another.
    request = rpc.DeleteSessionRequest(organization_id=game.organization, session_id=game.session_id)
    token = issue_service_token(SECRET, service="session", organization_id=stranger.organization)
    refused = scoring.rounds.DeleteSession(request, metadata=bearer(token))
    assert await reason_of(refused) is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("field", ["organization_id", "session_id"])
async def test_a_request_without_ids_is_refused(scoring: Scoring, field: str) -> None:
    game = scoring.game()
    fields = {"organization_id": game.organization, "session_id": game.session_id} | {field: ""}
    refused = scoring.rounds.DeleteSession(rpc.DeleteSessionRequest(**fields), metadata=game.service)
    assert await reason_of(refused) is Reason.INVALID_FIELD


async def test_ids_can_be_used_again_and_nothing_old_shows(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await played(game)
    await game.close(round_id)
    await delete(game)
    # What was right is wrong now; the other process still has the old key.
    key = choices_key(0.0, 1.0)
    again = await game.open_reply(key, round_id=round_id)
    assert again.round.status == round_pb2.ROUND_STATUS_OPEN
    assert await game.board() == []
    ann, ben = game.player("ann"), game.player("ben")
    assert (await ann.submit(round_id, "a", instance=1)).response.score == 0
    assert (await ben.submit(round_id, "b", instance=1)).response.score == 10
    for instance in range(3):
        board = await game.board(instance=instance)
        assert [(entry.entry_id, entry.score) for entry in board] == [("ben", 10), ("ann", 0)]


async def test_a_round_id_can_be_used_again_in_another_session(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await played(game)
    await delete(game)
    game.session_id = new_id()
    await game.open(round_id=round_id)
    for instance in (0, 1):
        reply = await game.player(f"p{instance}").submit(round_id, "a", instance=instance)
        assert reply.response.score == 10
    await game.player("p2").draft(round_id)
    assert (await game.stats(round_id)).response_count == 2


async def test_a_request_that_is_repeated_late_does_not_delete_the_new_session(scoring: Scoring) -> None:
    game, asked = scoring.game(base_points=10), new_id()
    round_id = await played(game)
    await delete(game, request_id=asked)
    await game.open(round_id=round_id)
    await game.player("eve").submit(round_id, "a")
    await delete(game, request_id=asked, instance=1)
    assert [entry.entry_id for entry in await game.board()] == ["eve"]


async def test_while_the_index_is_away_the_request_fails_and_its_repetition_does_the_rest(
    scoring: Scoring, stores: TestStores
) -> None:
    game, asked = scoring.game(base_points=10), new_id()
    round_id = await played(game)
    deaf = delete(game, request_id=asked, instance=2)
    assert await reason_of(deaf) is Reason.UNAVAILABLE
    assert await left(game, round_id) == set()
    # It is in the index still, but soon nobody is shown it.
    assert await keys(stores, game)
    await until(lambda: _is(game.board, []))
    await delete(game, request_id=asked)
    assert await keys(stores, game) == []


async def _ended(call: Any) -> None:
    while await call.read():
        pass


async def _is(ask: Callable[[], Awaitable[Any]], wanted: Any) -> bool:
    return bool(await ask() == wanted)


@pytest.mark.parametrize("kind", ["WatchBoard", "WatchRounds"])
@pytest.mark.parametrize("instance", [0, 1, 2], ids=["same", "another", "deaf"])
async def test_watches_end(scoring: Scoring, kind: str, instance: int) -> None:
    game = scoring.game(base_points=10)
    await played(game)
    there = scoring.instances[instance]
    call = (
        there.boards.WatchBoard(boards.WatchBoardRequest(board_id=game.session_id), metadata=game.host)
        if kind == "WatchBoard"
        else there.rounds.WatchRounds(rpc.WatchRoundsRequest(session_id=game.session_id), metadata=game.host)
    )
    first = await call.read()
    assert first.WhichOneof("frame") == "view"
    await delete(game)
    async with asyncio.timeout(10):
        assert await reason_of(_ended(call)) is Reason.NOT_FOUND


class DeletedMeanwhile:
    """The boards of sessions, one of which is deleted while it is read."""

    def __init__(self, source: BoardSource, game: Game) -> None:
        self._source = source
        self._game = game

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def lines(self, *args: Any, **wanted: Any) -> tuple[int, Sequence[Line]]:
        read = await self._source.lines(*args, **wanted)
        await delete(self._game)
        return read


async def test_a_board_that_another_process_loads_meanwhile_goes_again(
    scoring: Scoring, stores: TestStores
) -> None:
    game = scoring.game(base_points=10)
    await played(game)
    source = scoring.instances[1].app._keeper.source
    seq = (await source.heads([game.session_id]))[game.session_id]
    async with open_redis(stores.redis_url) as redis:
        index = RedisBoards(redis, schema="scoring")
        await index.remove(game.session_id)
        mender = BoardMender(index, cast("BoardSource", DeletedMeanwhile(source, game)))
        mender.doubt(game.organization, game.session_id, seq)
        await mender.mend(game.session_id)
        assert await index.held([game.session_id]) == [None]
        await mender.close()
    assert await keys(stores, game) == []


async def test_who_watches_after_it_sees_the_new_board_alone(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await played(game)
    watch = boards.WatchBoardRequest(board_id=game.session_id)
    call = scoring.boards.WatchBoard(watch, metadata=game.host)
    assert (await call.read()).view.entry_count == 2
    await delete(game)
    assert await reason_of(_ended(call)) is Reason.NOT_FOUND
    # The room lingers in the process, without what was shown of it.
    again = scoring.boards.WatchBoard(watch, metadata=game.host)
    assert (await again.read()).view.entry_count == 0
    await game.open(round_id=round_id)
    await game.player("eve").submit(round_id, "a")
    while (frame := await again.read()).view.entry_count == 0:
        pass
    assert [entry.entry_id for entry in frame.view.top_entries] == ["eve"]
    again.cancel()
