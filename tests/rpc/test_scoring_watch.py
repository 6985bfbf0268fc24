"""Boards and rounds as streams: whole first, then what changes, as far as the viewer may see it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from muster.scoring.v1 import board_service_pb2 as boards
from muster.scoring.v1 import round_pb2
from muster.scoring.v1 import round_service_pb2 as rpc
from muster.stream.v1.stream_pb2 import RECONNECT_CAUSE_TICKET_EXPIRED
from muster_kit.caller import OrganizationRole, RoomRole

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game, Metadata


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), deaf_instances=1) as scoring:
        yield scoring


class BoardHolder:
    """What a client holds of a board."""

    def __init__(self) -> None:
        self.top: dict[str, Any] = {}
        self.me: Any = None
        self.around: list[Any] = []
        self.entry_count = 0
        self.version = 0
        self.views = 0

    def take(self, frame: boards.WatchBoardResponse) -> None:
        """Apply a frame as the contract says."""
        if frame.WhichOneof("frame") != "view":
            return
        view = frame.view
        assert view.version >= self.version
        assert frame.HasField("server_time")
        if view.full:
            self.top = {}
        for entry_id in view.removed_entry_ids:
            del self.top[entry_id]
        self.top |= {entry.entry_id: entry for entry in view.top_entries}
        self.me = view.me if view.HasField("me") else None
        self.around = list(view.around_me)
        self.entry_count, self.version = view.entry_count, view.version
        self.views += 1

    def ranking(self) -> list[Any]:
        """The top from the best."""
        return sorted(self.top.values(), key=lambda entry: int(entry.rank))


class RoundsHolder:
    """What a client holds of a session's rounds."""

    def __init__(self) -> None:
        self.rounds: dict[str, Any] = {}
        self.recent: list[Any] = []
        self.version = 0

    def take(self, frame: rpc.WatchRoundsResponse) -> None:
        """Apply a frame as the contract says."""
        if frame.WhichOneof("frame") != "view":
            return
        if frame.view.full:
            self.rounds, self.recent = {}, []
        self.rounds |= {each.round_id: each for each in frame.view.rounds}
        self.recent += frame.view.recent_responses
        self.version = frame.view.version


class Watch:
    """A stream that is read all the time."""

    def __init__(self, call: Any, holder: BoardHolder | RoundsHolder) -> None:
        self._call = call
        self._holder = holder
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until what is held is so."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: is_so() or self._reader.done())
        assert is_so()

    async def stop(self) -> None:
        """Watch no more."""
        self._call.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for frame in self._call:
                async with self._news:
                    self._holder.take(frame)
                    self._news.notify_all()
        finally:
            async with self._news:
                self._news.notify_all()


@asynccontextmanager
async def watched_board(
    game: Game, *, by: Metadata = (), instance: int = 0, **fields: Any
) -> AsyncIterator[tuple[BoardHolder, Watch]]:
    request = boards.WatchBoardRequest(board_id=game.session_id, **fields)
    holder = BoardHolder()
    call = game.scoring.instances[instance].boards.WatchBoard(request, metadata=by or game.host)
    watch = Watch(call, holder)
    yield holder, watch
    await watch.stop()


@asynccontextmanager
async def watched_rounds(
    game: Game, *, by: Metadata = (), instance: int = 0, **fields: Any
) -> AsyncIterator[tuple[RoundsHolder, Watch]]:
    request = rpc.WatchRoundsRequest(session_id=game.session_id, **fields)
    holder = RoundsHolder()
    call = game.scoring.instances[instance].rounds.WatchRounds(request, metadata=by or game.host)
    watch = Watch(call, holder)
    yield holder, watch
    await watch.stop()


@pytest.mark.parametrize("instance", range(3))
async def test_applied_changes_of_a_board_are_its_list_in_the_end(scoring: Scoring, instance: int) -> None:
    game = scoring.game(base_points=10, wrong_penalty=3)
    chance = random.Random(instance)
    players = game.players(30)
    me = players[0]
    async with watched_board(game, by=me.ticket, instance=instance, top=5, radius=2) as (holder, watch):
        await watch.until(lambda: holder.views > 0)
        assert (holder.top, holder.me, holder.entry_count) == ({}, None, 0)
        for _ in range(4):
            round_id = await game.open()
            await asyncio.gather(
                *(
                    player.submit(round_id, chance.choice("aab"), instance=chance.randrange(3))
                    for player in players
                )
            )
            await game.close(round_id, instance=chance.randrange(2))
        whole = await game.board()
        await watch.until(lambda: holder.ranking() == whole[:5])
        place = next(place for place, entry in enumerate(whole) if entry.entry_id == me.participant_id)
        assert holder.me == whole[place]
        assert holder.around == whole[max(0, place - 2) : place + 3]
        assert holder.entry_count == 30
        await game.seat(whole[0].entry_id, hidden=True)
        whole = await game.board()
        await watch.until(lambda: holder.ranking() == whole[:5])
        assert holder.entry_count == 29


async def test_the_present_board_alone_can_be_asked_for(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    request = boards.WatchBoardRequest(board_id=game.session_id, replay_only=True)
    (empty,) = [frame async for frame in scoring.boards.WatchBoard(request, metadata=game.host)]
    assert (empty.view.full, empty.view.entry_count) == (True, 0)
    await game.player("ann").submit(await game.open())
    frames = [frame async for frame in scoring.instances[1].boards.WatchBoard(request, metadata=game.host)]
    assert [entry.entry_id for frame in frames for entry in frame.view.top_entries] == ["ann"]


async def test_a_watch_ends_after_as_many_frames_as_were_asked_for(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    request = boards.WatchBoardRequest(board_id=game.session_id, max_frames=2)
    call = scoring.boards.WatchBoard(request, metadata=game.host)
    assert (await call.read()).view.full
    await game.player("ann").submit(await game.open())
    assert not (await call.read()).view.full
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("method", ["WatchBoard", "WatchRounds"])
async def test_a_watch_ends_with_the_token(scoring: Scoring, method: str) -> None:
    game = scoring.game()
    await game.open()
    briefly = game.user("owner", OrganizationRole.OWNER, lifetime=timedelta(seconds=2))
    if method == "WatchBoard":
        call = scoring.boards.WatchBoard(boards.WatchBoardRequest(board_id=game.session_id), metadata=briefly)
    else:
        call = scoring.rounds.WatchRounds(
            rpc.WatchRoundsRequest(session_id=game.session_id), metadata=briefly
        )
    async with asyncio.timeout(20):
        frames = [frame async for frame in call]
    assert frames[-1].reconnect.cause == RECONNECT_CAUSE_TICKET_EXPIRED


async def test_participants_get_counts_alone_while_a_round_is_open(scoring: Scoring) -> None:
    game = scoring.game(base_points=10)
    ann, ben = game.player("ann"), game.player("ben")
    async with (
        watched_rounds(game, by=ann.ticket) as (seen, watch),
        watched_rounds(game, by=game.ticket("co", RoomRole.COHOST), instance=1) as (staff, staff_watch),
    ):
        round_id = await game.open()
        await ann.submit(round_id, "a")
        await ben.submit(round_id, "b", instance=1)
        await watch.until(lambda: round_id in seen.rounds and seen.rounds[round_id].response_count == 2)
        assert seen.rounds[round_id] == round_pb2.RoundStats(
            round_id=round_id, block_id="block", response_count=2, status=round_pb2.ROUND_STATUS_OPEN
        )
        assert seen.recent == []
        await staff_watch.until(lambda: len(staff.recent) == 2)
        stats = staff.rounds[round_id]
        assert (stats.correct_count, stats.incorrect_count, stats.mean_score) == (1, 1, 5.0)
        assert {each.answer: each.count for each in stats.distribution} == {"a": 1, "b": 1}
        assert [(each.participant_id, each.score) for each in staff.recent] == [("ann", 10), ("ben", 0)]
        assert (await game.stats(round_id, by=ann.ticket)) == seen.rounds[round_id]

        closed = await game.close(round_id)
        for holder, watching in ((seen, watch), (staff, staff_watch)):
            await watching.until(
                lambda holder=holder: holder.rounds[round_id].status == round_pb2.ROUND_STATUS_CLOSED
            )
            assert holder.rounds[round_id] == closed.stats
        assert seen.recent == []
        assert (await game.stats(round_id, by=ann.ticket)) == closed.stats


async def test_every_change_of_a_round_is_seen_also_without_redis(scoring: Scoring) -> None:
    game = scoring.game()
    async with watched_rounds(game, instance=2) as (staff, watch):
        first = await game.open(seconds=60)
        second = await game.open(seconds=60)
        await game.pause()
        await watch.until(lambda: len(staff.rounds) == 2)
        await watch.until(
            lambda: {each.status for each in staff.rounds.values()} == {round_pb2.ROUND_STATUS_PAUSED}
        )
        await game.resume()
        await game.cancel(second)
        await watch.until(lambda: staff.rounds[second].status == round_pb2.ROUND_STATUS_CANCELLED)
        assert staff.rounds[first].status == round_pb2.ROUND_STATUS_OPEN
        await game.player("ann").submit(first, instance=2)
        await watch.until(lambda: staff.rounds[first].response_count == 1)
        assert [each.participant_id for each in staff.recent] == ["ann"]


async def test_who_comes_late_gets_the_whole(scoring: Scoring) -> None:
    game = scoring.game()
    rounds = [await game.open() for _ in range(3)]
    for player in game.players(60):
        await player.submit(rounds[0])
    request = rpc.WatchRoundsRequest(session_id=game.session_id, replay_only=True)
    (frame,) = [frame async for frame in scoring.rounds.WatchRounds(request, metadata=game.host)]
    assert frame.view.full
    assert [each.round_id for each in frame.view.rounds] == rounds
    assert [each.participant_id for each in frame.view.recent_responses] == [f"p{n}" for n in range(10, 60)]


async def test_boards_survive_the_loss_of_redis_while_they_are_watched(
    scoring: Scoring, stores: TestStores
) -> None:
    game = scoring.game(base_points=10)
    players = game.players(10)
    async with watched_board(game, by=players[0].ticket, instance=1) as (holder, watch):
        round_id = await game.open()
        await asyncio.gather(*(player.submit(round_id) for player in players[:5]))
        await watch.until(lambda: holder.entry_count == 5)
        await stores.valkey.stop()
        try:
            await asyncio.gather(*(player.submit(round_id) for player in players[5:]))
            await watch.until(lambda: holder.entry_count == 10)
        finally:
            await stores.valkey.start()
        await players[0].submit(await game.open())
        await watch.until(lambda: holder.me.score == 20)
        assert holder.ranking() == (await game.board())[:10]
