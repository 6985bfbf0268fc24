"""Who watches a board that a service feeds sees it change, begin anew, and go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from muster.scoring.v1 import board_pb2
from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Metadata
from tests.rpc.scoring_leaderboard import ASCENDING, BEST, INCREMENT, Leaderboard, a_score, service

ORGANIZATION = "o-watch"


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


class Viewer:
    """A client that applies views as the contract says."""

    def __init__(self, call: Any, top: int) -> None:
        self._call = call
        self._top = top
        self.entries: dict[int, board_pb2.BoardEntry] = {}
        self.view = pb.BoardView()

    async def see(self) -> pb.BoardView:
        """Apply the next view, and return it."""
        while True:
            frame = await self._call.read()
            if frame.HasField("reset"):
                self.entries.clear()
            if frame.HasField("view"):
                self._apply(frame.view)
                return self.view

    async def see_until(self, ranking: list[tuple[str, int]]) -> pb.BoardView:
        """Apply views until the top is this; returns the last."""
        while self.top != ranking:
            await self.see()
        return self.view

    @property
    def top(self) -> list[tuple[str, int]]:
        """The top as (id, score), from the best."""
        return [(self.entries[rank].entry_id, self.entries[rank].score) for rank in sorted(self.entries)]

    def _apply(self, view: pb.BoardView) -> None:
        if view.full:
            self.entries.clear()
        gone = set(view.removed_entry_ids) | {entry.entry_id for entry in view.top_entries}
        self.entries = {rank: entry for rank, entry in self.entries.items() if entry.entry_id not in gone}
        self.entries |= {entry.rank: entry for entry in view.top_entries}
        self.view = view


@asynccontextmanager
async def watching(
    board: Leaderboard, *, instance: int = 0, top: int = 10, metadata: Metadata | None = None, radius: int = 0
) -> AsyncIterator[Viewer]:
    """Watch a board."""
    request = pb.WatchBoardRequest(board_id=board.board_id, top=top, radius=radius)
    stub = board.scoring.instances[instance].boards
    call = stub.WatchBoard(request, metadata=metadata or service())
    try:
        yield Viewer(call, top)
    finally:
        call.cancel()


@pytest.mark.parametrize("instance", [0, 1])
async def test_watchers_see_scores_as_differences(scoring: Scoring, instance: int) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(BEST, ASCENDING)
    async with watching(board, instance=instance) as viewer:
        assert (await viewer.see()).full
        await board.batch(a_score("ann", 50), a_score("ben", 40), omit_results=True)
        await viewer.see_until([("ben", 40), ("ann", 50)])
        await board.submit("ann", 30)
        view = await viewer.see_until([("ann", 30), ("ben", 40)])
        assert (view.full, view.entry_count) == (False, 2)


async def test_users_see_their_own_place(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.batch(*(a_score(f"u{place}", place) for place in range(9)))
    editor = board.user(OrganizationRole.EDITOR, subject="u4")
    async with watching(board, metadata=editor, top=2, radius=1) as viewer:
        view = await viewer.see()
        assert (view.me.entry_id, view.me.rank) == ("u4", 5)
        assert [entry.entry_id for entry in view.around_me] == ["u5", "u4", "u3"]
        await board.submit("u4", 100)
        view = await viewer.see_until([("u4", 104), ("u8", 8)])
        assert view.me.rank == 1


@pytest.mark.parametrize("instance", [0, 1])
async def test_an_entry_that_is_removed_is_out_of_sight(scoring: Scoring, instance: int) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.batch(a_score("ann", 3), a_score("rude", 2), a_score("cy", 1))
    async with watching(board, instance=instance) as viewer:
        await viewer.see_until([("ann", 3), ("rude", 2), ("cy", 1)])
        await board.call("RemoveEntry", entry_id="rude")
        view = await viewer.see_until([("ann", 3), ("cy", 1)])
        assert (view.full, view.entry_count) == (True, 2)


@pytest.mark.parametrize("instance", [0, 1])
async def test_a_board_that_begins_anew_is_seen_whole(scoring: Scoring, instance: int) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.batch(a_score("ann", 3), a_score("ben", 2))
    async with watching(board, instance=instance) as viewer:
        await viewer.see_until([("ann", 3), ("ben", 2)])
        await board.call("ResetBoard")
        view = await viewer.see_until([])
        assert (view.full, view.entry_count) == (True, 0)
        await board.submit("ben", 1)
        await viewer.see_until([("ben", 1)])


@pytest.mark.parametrize("instance", [0, 1])
async def test_watchers_see_a_season_end_that_nobody_told_of(scoring: Scoring, instance: int) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(
        INCREMENT, reset_schedule=board_pb2.BOARD_RESET_SCHEDULE_DAILY
    )
    await board.submit("ann", 3)
    async with watching(board, instance=instance) as viewer:
        await viewer.see_until([("ann", 3)])
        await scoring.rows(
            "UPDATE scoring.board SET season_end = clock_timestamp() WHERE board_id = $1", board.board_id
        )
        assert (await viewer.see_until([])).full
    assert (await board.call("GetBoard")).board.season == 2
    assert await board.ranking() == []


@pytest.mark.parametrize("instance", [0, 1])
async def test_the_end_of_a_board_ends_its_watches(scoring: Scoring, instance: int) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make(INCREMENT)
    await board.submit("ann", 3)
    async with watching(board, instance=instance) as viewer:
        await viewer.see_until([("ann", 3)])
        await board.call("DeleteBoard")

        assert await reason_of(viewer.see_until([("never", 0)])) is Reason.NOT_FOUND
    await board.make(INCREMENT)
    async with watching(board, instance=instance) as viewer:
        await viewer.see_until([])
        await board.submit("ben", 1)
        await viewer.see_until([("ben", 1)])


async def test_a_board_of_another_organization_is_not_watched(scoring: Scoring) -> None:
    board = await Leaderboard(scoring, ORGANIZATION).make()
    foreign = service("another"), board.user(OrganizationRole.OWNER, organization="another")
    for metadata in foreign:
        async with watching(board, metadata=metadata) as viewer:
            assert await reason_of(viewer.see()) is Reason.NOT_FOUND
