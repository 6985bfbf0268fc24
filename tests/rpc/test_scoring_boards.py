"""Boards are in the exact order, whatever becomes of Redis."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game
from tests.waiting import until

_BY_SQL = """
    SELECT participant_id, score, row_number() OVER (
        ORDER BY score DESC, duration_ms, reached_seq, participant_id COLLATE "C"
    ) AS rank
    FROM scoring.participant
    WHERE session_id = $1 AND response_count > 0 AND NOT hidden
    ORDER BY rank
"""


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), deaf_instances=1) as scoring:
        yield scoring


@pytest.fixture(scope="module")
async def redis(stores: TestStores) -> AsyncIterator[Redis]:
    async with open_redis(stores.redis_url) as redis:
        yield redis


async def _by_sql(game: Game) -> list[tuple[str, int, int]]:
    rows = await game.scoring.rows(_BY_SQL, game.session_id)
    return [(row["participant_id"], row["score"], row["rank"]) for row in rows]


async def _board(game: Game, instance: int = 0) -> list[tuple[str, int, int]]:
    return [(each.entry_id, each.score, each.rank) for each in await game.board(instance=instance)]


async def _play(game: Game, *, players: int = 20, rounds: int = 4, instances: int = 2) -> None:
    """Many end with the same points."""
    chance = random.Random(players)
    for _ in range(rounds):
        round_id = await game.open()
        await asyncio.gather(
            *(
                player.submit(round_id, chance.choice("aab"), instance=chance.randrange(instances))
                for player in game.players(players)
            )
        )
        await game.close(round_id)


async def test_the_order_is_that_of_sql_with_ties_on_every_instance(scoring: Scoring) -> None:
    game = scoring.game(base_points=10, wrong_penalty=5)
    await _play(game)
    expected = await _by_sql(game)
    assert len(expected) == 20
    for instance in range(3):
        assert await _board(game, instance) == expected


async def test_who_reached_the_same_score_in_the_same_time_first_is_first(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    # Nobody is faster than the opening, which is a moment away.
    round_id = await game.open(ago=-0.2)
    for name in ("zoe", "ann", "max"):
        await game.player(name).submit(round_id)
    assert await _board(game) == [("zoe", 10, 1), ("ann", 10, 2), ("max", 10, 3)]
    assert await _board(game) == await _by_sql(game)


async def test_pages_hold_every_entry_once(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    await _play(game, players=23, rounds=2)
    whole = await game.board()
    for instance in (0, 2):
        assert await game.board(page_size=7, instance=instance) == whole
    first = await scoring.boards.ListEntries(
        pb.ListEntriesRequest(board_id=game.session_id, page_size=7), metadata=game.host
    )
    assert first.entry_count == 23
    other = scoring.game()
    await other.open()
    for board, token in ((other, first.next_page_token), (game, "nonsense"), (game, "AAAA")):
        request = pb.ListEntriesRequest(board_id=board.session_id, page_token=token)
        refused = scoring.boards.ListEntries(request, metadata=board.host)
        assert await reason_of(refused) is Reason.PAGE_TOKEN_INVALID


async def test_neighbours_are_those_of_the_whole(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    await _play(game, players=9, rounds=2)
    whole = await game.board()
    for place, entry in enumerate(whole):
        for instance in (0, 2):
            stub = scoring.instances[instance].boards
            around = pb.ListEntriesAroundRequest(board_id=game.session_id, entry_id=entry.entry_id, radius=2)
            found = await stub.ListEntriesAround(around, metadata=game.host)
            assert list(found.entries) == whole[max(0, place - 2) : place + 3]
            one = pb.GetEntryRequest(board_id=game.session_id, entry_id=entry.entry_id)
            assert (await stub.GetEntry(one, metadata=game.host)).entry == entry


async def test_who_is_not_on_the_board_is_not_found(scoring: Scoring) -> None:
    game = scoring.game()
    await game.open()
    for instance in (0, 2):
        stub = scoring.instances[instance].boards
        around = pb.ListEntriesAroundRequest(board_id=game.session_id, entry_id="none")
        assert await reason_of(stub.ListEntriesAround(around, metadata=game.host)) is Reason.NOT_FOUND
        one = pb.GetEntryRequest(board_id=game.session_id, entry_id="none")
        assert await reason_of(stub.GetEntry(one, metadata=game.host)) is Reason.NOT_FOUND


async def test_a_board_is_there_before_its_first_round(scoring: Scoring) -> None:
    game = scoring.game()
    request = pb.GetBoardRequest(board_id=game.session_id)
    board = (await scoring.boards.GetBoard(request, metadata=game.player().ticket)).board
    assert (board.board_id, board.entry_count) == (game.session_id, 0)
    assert not board.HasField("create_time")
    assert await game.board() == []
    await game.player().submit(await game.open())
    board = (await scoring.boards.GetBoard(request, metadata=game.host)).board
    assert board.entry_count == 1


async def test_a_hidden_seat_is_off_the_board_and_keeps_its_points(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    for name in ("ann", "ben"):
        await game.player(name).submit(round_id)
    await game.seat("ann", hidden=True)
    for instance in range(3):
        assert await _board(game, instance) == [("ben", 10, 1)]
    assert (await game.player("ann").submit(await game.open())).rank_after == 0
    results = {each.participant_id: each for each in (await game.analytics()).participants}
    assert (results["ann"].score, results["ann"].rank) == (20, 0)
    await game.seat("ann", hidden=False)
    for instance in range(3):
        assert await _board(game, instance) == [("ann", 20, 1), ("ben", 10, 2)]


async def test_a_board_that_redis_forgot_is_made_again(scoring: Scoring, redis: Redis) -> None:
    game = scoring.game(base_points=10)
    await _play(game)
    whole = await _board(game)
    await redis.flushall()
    for instance in range(3):
        assert await _board(game, instance) == whole
    late = game.player("late")

    async def ranked() -> bool:
        reply = await late.submit(await game.open())
        return reply.rank_after > 0

    await until(ranked)
    assert await redis.exists(f"muster:scoring:board:{{{game.session_id}}}:lines")
    assert await _board(game) == await _by_sql(game)


async def test_half_a_board_is_not_taken_for_a_board(scoring: Scoring, redis: Redis) -> None:
    game = scoring.game(base_points=10)
    await _play(game)
    await redis.delete(f"muster:scoring:board:{{{game.session_id}}}:places")
    assert await _board(game) == await _by_sql(game)


async def test_answers_are_taken_while_redis_is_away(scoring: Scoring, stores: TestStores) -> None:
    game = scoring.game(base_points=10)
    await game.player("early").submit(await game.open())
    await stores.valkey.stop()
    try:
        round_id = await game.open()
        replies = await asyncio.gather(
            *(player.submit(round_id, instance=place % 2) for place, player in enumerate(game.players(10)))
        )
        assert {(reply.rank_before, reply.rank_after) for reply in replies} == {(0, 0)}
        assert {reply.total_score for reply in replies} == {10}
        assert await _board(game) == await _by_sql(game)
        again = await game.player("p0").submit(await game.open(), request_id="r")
        assert again.response.score == 10
    finally:
        await stores.valkey.start()
    expected = await _by_sql(game)
    assert await _board(game) == expected
    late = game.player("late")

    async def ranked() -> bool:
        return bool((await late.submit(await game.open())).rank_after)

    await until(ranked)
    assert await _board(game) == await _by_sql(game)


async def test_what_an_instance_cannot_tell_is_noticed_by_the_others(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    round_id = await game.open()
    ann = game.player("ann")
    assert (await ann.submit(round_id)).rank_after == 1
    await game.player("ben").submit(round_id, "c", instance=2)

    async def seen() -> bool:
        return await _board(game) == [("ann", 10, 1), ("ben", 5, 2)]

    await until(seen)
    assert (await game.player("eve").submit(round_id, "b")).rank_after in (0, 2, 3)
    assert await _board(game) == await _by_sql(game)
