"""Every count equals a recount after random traffic, and so does what is told of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from muster.scoring.v1 import rules_pb2

from tests.conftest import TestStores
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game, choices_key
from tests.rpc.scoring_recount import recount, stored


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring")) as scoring:
        yield scoring


class Traffic:
    """Players answer at random on both instances while rounds open, close and are cancelled."""

    def __init__(self, game: Game, chance: random.Random) -> None:
        self.game = game
        self._chance = chance
        self._players = game.players(15)
        self._running: list[str] = []

    async def run(self, steps: int) -> None:
        """Take so many steps; what is begun in a step ends in a later one."""
        begun: list[asyncio.Future[Any]] = []
        for _ in range(steps):
            while len(self._running) < 2:
                await self._open()
            count = self._chance.randrange(1, 20)
            begun += [asyncio.ensure_future(self._answer()) for _ in range(count)]
            await self._chance.choice((self._open, self._end, self._end, self._turn))()
            while len(begun) > 30:
                await begun.pop(0)
        await asyncio.gather(*begun)

    async def _answer(self) -> None:
        if not self._running:
            return
        player, round_id = self._chance.choice(self._players), self._chance.choice(self._running)
        choice, instance = self._chance.choice("aaabc"), self._chance.randrange(2)
        try:
            if self._chance.random() < 0.2:
                await player.draft(round_id, choice)
            else:
                await player.submit(round_id, choice, instance=instance)
        except grpc.aio.AioRpcError as error:
            # Answered before, or closed in between.
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    async def _open(self) -> None:
        key = choices_key()
        if self._chance.random() < 0.2:
            key.poll.choice_ids.extend(["a", "b", "c"])
        round_id = await self.game.open(
            key,
            seconds=self._chance.choice((None, 60.0)),
            ago=self._chance.choice((0, 10)),
            base_points=self._chance.choice((0, 100)),
            speed_bonus=50,
            wrong_penalty=self._chance.choice((0, 30)),
            streak_step=7,
            feedback=self._chance.choice((rules_pb2.FEEDBACK_AT_ONCE, rules_pb2.FEEDBACK_ON_CLOSE)),
        )
        self._running.append(round_id)

    async def _end(self) -> None:
        if self._running:
            round_id = self._running.pop(self._chance.randrange(len(self._running)))
            end: Callable[[str], Any] = self._chance.choice(
                (self.game.close, self.game.close, self.game.cancel)
            )
            await end(round_id)
            if end == self.game.close and self._chance.random() < 0.15:
                await self.game.cancel(round_id)

    async def _turn(self) -> None:
        await self.game.pause()
        await self.game.resume()


@pytest.mark.parametrize("seed", range(6))
async def test_every_count_equals_a_recount_after_random_traffic(scoring: Scoring, seed: int) -> None:
    game = scoring.game()
    traffic = Traffic(game, random.Random(seed))
    for _ in range(3):
        await traffic.run(15)
        assert await stored(game) == await recount(game)
    await _compare_with_what_is_told(game)


async def _compare_with_what_is_told(game: Game) -> None:
    counted = await recount(game)
    told = await game.analytics(page_size=200)
    answers, correct, partial, incorrect, points, milliseconds = counted.session
    graded = correct + partial + incorrect
    session = told.session
    assert (session.response_count, session.correct_count) == (answers, correct)
    assert (session.partial_count, session.incorrect_count) == (partial, incorrect)
    assert (session.round_count, session.participant_count) == (
        counted.round_count,
        counted.participant_count,
    )
    assert session.accuracy == pytest.approx(correct / graded)
    assert session.mean_score == pytest.approx(points / counted.participant_count)
    mean = timedelta(milliseconds=milliseconds) / answers
    assert session.mean_response_duration.ToTimedelta() == pytest.approx(mean, abs=timedelta(microseconds=1))
    for round_ in told.rounds:
        (answers, correct, *_, points, _), tokens = counted.rounds[round_.round_id]
        assert (round_.response_count, round_.correct_count) == (answers, correct)
        assert round_.mean_score == pytest.approx(points / answers if answers else 0)
        assert {each.answer: each.count for each in round_.distribution} == tokens
    assert {each.participant_id for each in told.participants} == counted.participants.keys()
    for each in told.participants:
        expected = counted.participants[each.participant_id]
        assert (each.response_count, each.correct_count) == expected.counts[:2]
        assert (each.score, each.streak, each.best_streak) == (
            expected.counts[4],
            expected.streak,
            expected.best_streak,
        )
    on_board = [each.participant_id for each in told.participants if each.rank]
    assert [entry.entry_id for entry in await game.board()] == on_board
    assert [each.rank for each in told.participants if each.rank] == list(range(1, len(on_board) + 1))
