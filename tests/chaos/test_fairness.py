"""Who reacts equally scores equally, over any link; who keeps things back gains the bound at most."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from muster.scoring.v1 import answer_pb2, rules_pb2
from muster.scoring.v1 import round_service_pb2 as rpc
from muster.session.v1 import session_service_pb2
from muster_stack.demo.client import Client, Metadata

from tests.chaos.slow_link import SlowLink
from tests.chaos.stalls import StallMeter
from tests.conftest import TestStores
from tests.rpc.house import House, open_house
from tests.rpc.lessons import Lesson, new_lesson, seconds

LINKS = {"near": 0.02, "town": 0.1, "land": 0.3, "far": 0.8}
"""Round trips of the honest, in seconds."""

LIMIT_SECONDS = 4.0
BONUS = 1000
BAND = 0.03
KEPT_BACK_SECONDS = 0.5
QUESTIONS = 8
"""So often a test asks, until the machine did not stand still for so long meanwhile."""
STALL_SECONDS = 0.03
SLACK = timedelta(milliseconds=100)
"""What a busy machine may add."""


@dataclass(slots=True)
class Player:
    """Somebody at the end of a link, who answers a fixed time after a question has come."""

    client: Client
    ticket: Metadata
    stream: Any
    keeps_back_seconds: float = 0.0

    async def react(self, reaction_seconds: float) -> Any:
        """Answer the next question rightly; return what was stored."""
        asked: list[str] = []
        while not asked:
            frame = await self.stream.read()
            asked = [
                event.block_activated.block.round_id
                for event in frame.events.events
                if event.HasField("block_activated")
            ]
        async with asyncio.TaskGroup() as tasks:
            acknowledging = tasks.create_task(self._acknowledge(asked[0], frame.delivery_stamp))
            await asyncio.sleep(reaction_seconds)
            request = rpc.SubmitResponseRequest(
                round_id=asked[0],
                answer=answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True)),
                delivery_proof=acknowledging.result() if acknowledging.done() else frame.delivery_stamp,
            )
            return (await self.client.rounds.SubmitResponse(request, metadata=self.ticket)).response

    async def _acknowledge(self, round_id: str, stamp: bytes) -> bytes:
        await asyncio.sleep(self.keeps_back_seconds)
        request = rpc.AcknowledgeDeliveryRequest(round_id=round_id, delivery_stamp=stamp)
        reply = await self.client.rounds.AcknowledgeDelivery(request, metadata=self.ticket)
        proof: bytes = reply.delivery_proof
        return proof


@dataclass(slots=True)
class Stage:
    """A lesson, and those who watch it, each over a link of their own."""

    lesson: Lesson
    players: dict[str, Player]

    async def ask(self, *, reaction_seconds: float) -> dict[str, Any]:
        """Ask until this machine keeps up; return the answers where it did best, by player."""
        best: tuple[float, dict[str, Any]] = (math.inf, {})
        for _ in range(QUESTIONS):
            async with StallMeter() as stalls:
                answers = await self._ask(reaction_seconds)
            best = min(best, (stalls.longest_seconds, answers), key=lambda asked: asked[0])
            if stalls.longest_seconds < STALL_SECONDS:
                break
        return best[1]

    async def _ask(self, reaction_seconds: float) -> dict[str, Any]:
        async with asyncio.TaskGroup() as tasks:
            reacting = {
                name: tasks.create_task(player.react(reaction_seconds))
                for name, player in self.players.items()
            }
            block = (await self.lesson.block_call("ActivateBlock")).block
        await self.lesson.block_call("CloseBlock", block_id=block.block_id)
        return {name: task.result() for name, task in reacting.items()}


@pytest.fixture(scope="module")
async def house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(stores, tmp_path_factory.mktemp("fair")) as house:
        yield house


@pytest.fixture(scope="module")
async def stage(house: House) -> AsyncIterator[Stage]:
    """Players that are all watching."""
    rules = rules_pb2.ScoringRules(base_points=1000, speed_bonus=BONUS)
    lesson = await new_lesson(
        house, blocks=3 * QUESTIONS, default_time_limit=seconds(LIMIT_SECONDS), rules=rules
    )
    await lesson.open()
    async with AsyncExitStack() as exits:
        players = await asyncio.gather(
            *(exits.enter_async_context(_player(lesson, name, LINKS[name])) for name in LINKS)
        )
        await lesson.call("StartSession")
        yield Stage(lesson, dict(zip(LINKS, players, strict=True)))


@asynccontextmanager
async def _player(lesson: Lesson, name: str, round_trip_seconds: float) -> AsyncIterator[Player]:
    seat = await lesson.join(name)
    async with SlowLink(lesson.house.settings.listen, round_trip_seconds) as link:
        client = Client.open(link.address)
        request = session_service_pb2.WatchSessionRequest(session_id=lesson.session_id)
        stream = client.sessions.WatchSession(request, metadata=seat.ticket)
        await stream.read()
        try:
            yield Player(client, seat.ticket, stream)
        finally:
            stream.cancel()
            await client.close()


def speeds(answers: dict[str, Any]) -> list[int]:
    return [answer.parts.speed for answer in answers.values()]


def credit_of(answer: Any) -> timedelta:
    credit: timedelta = answer.network_credit.ToTimedelta()
    return credit


def assert_fair(answers: dict[str, Any], reaction_seconds: float) -> None:
    """All of them are within the band, and where somebody without a link would be."""
    assert max(speeds(answers)) - min(speeds(answers)) <= BAND * max(speeds(answers)), speeds(answers)
    true_speed = BONUS * (1 - reaction_seconds / LIMIT_SECONDS)
    assert speeds(answers) == pytest.approx([true_speed] * len(answers), rel=BAND)


@pytest.mark.parametrize("reaction_seconds", [0.3, 0.9])
async def test_equal_reactions_score_equally_over_any_link(stage: Stage, reaction_seconds: float) -> None:
    """The first is over before the proof has come back over the longest link."""
    answers = await stage.ask(reaction_seconds=reaction_seconds)
    assert_fair(answers, reaction_seconds)
    for name, answer in answers.items():
        assert timedelta(seconds=LINKS[name]) <= credit_of(answer) <= timedelta(seconds=LINKS[name]) + SLACK


async def test_who_keeps_acknowledgements_back_gains_that_much_until_one_is_prompt(house: House) -> None:
    lesson = await new_lesson(
        house,
        blocks=3 * QUESTIONS,
        default_time_limit=seconds(LIMIT_SECONDS),
        rules=rules_pb2.ScoringRules(speed_bonus=BONUS),
    )
    await lesson.open()
    async with _player(lesson, "liar", LINKS["near"]) as liar:
        await lesson.call("StartSession")
        stage = Stage(lesson, {"liar": liar})
        given = []
        for keeps_back_seconds in (KEPT_BACK_SECONDS, 0, KEPT_BACK_SECONDS):
            liar.keeps_back_seconds = keeps_back_seconds
            given.append(credit_of((await stage.ask(reaction_seconds=0.6))["liar"]))
        near = timedelta(seconds=LINKS["near"])
        assert given[0] <= timedelta(seconds=KEPT_BACK_SECONDS) + near + SLACK
        assert near <= given[1] <= near + SLACK
        assert given[2] <= given[1]


async def test_it_is_fair_as_well_while_redis_is_away(stage: Stage, stores: TestStores) -> None:
    """Questions come late then, for all who watch at a worker; the time begins when they come."""
    await stores.valkey.stop()
    try:
        answers = await stage.ask(reaction_seconds=0.3)
    finally:
        await stores.valkey.start()
    assert_fair(answers, 0.3)
