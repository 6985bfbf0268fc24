"""A quiz whose players answer over gRPC, retry until they are told, and write down what they were told."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from muster.scoring.v1 import answer_pb2, round_service_pb2, rules_pb2
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2
from muster_kit.errors import Reason
from muster_kit.rpc.status import received

from tests.chaos.board_watch import BoardWatch
from tests.chaos.history import History
from tests.chaos.people import Person
from tests.e2e.running import Running

_RULES: Final = rules_pb2.ScoringRules(base_points=600, speed_bonus=400, streak_step=50, streak_maximum=200)
_JOIN_AT_ONCE: Final = 20
_PATIENCE_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Submitted:
    """One answer and what became of it: `score` is None when it was refused as too late."""

    round_id: str
    participant_id: str
    request_id: str
    value: bool
    score: int | None
    seconds: float
    acknowledged_at: float


@dataclass(slots=True)
class Player:
    """A participant who answers every block they hear of, once, after some thought."""

    person: Person
    participant_id: str
    history: History
    rng: random.Random
    think_seconds: float
    submitted: dict[str, Submitted] = field(default_factory=dict)
    _playing: asyncio.Task[None] | None = None

    async def play(self, session_id: str, moved: asyncio.Condition) -> None:
        """Follow the session until cancelled, or until they `leave`."""
        self._playing = asyncio.current_task()
        request = session_service_pb2.WatchSessionRequest

        def stream(after: bytes) -> Any:
            return self.person.sessions.WatchSession(
                request(session_id=session_id, after=after), metadata=self.person.metadata
            )

        async with asyncio.TaskGroup() as answering:
            async for frame in self.person.watch(stream, self.history):
                async with moved:
                    moved.notify_all()
                if frame.HasField("ticket"):
                    self.person.token = frame.ticket.token
                for block in opened(frame):
                    if block.round_id not in self.submitted:
                        answering.create_task(self._answer(block.round_id, moved))

    def leave(self) -> None:
        """Follow no longer."""
        if self._playing is not None:
            self._playing.cancel()

    async def _answer(self, round_id: str, moved: asyncio.Condition) -> None:
        value, request_id = self.rng.random() < 0.7, uuid.uuid4().hex
        await asyncio.sleep(self.rng.uniform(0, self.think_seconds))
        request = round_service_pb2.SubmitResponseRequest(
            request_id=request_id, round_id=round_id, answer=yes_or_no(value)
        )
        started, score = time.monotonic(), None
        try:
            reply = await self.person.call(self.person.rounds.SubmitResponse, request)
        except grpc.aio.AioRpcError as error:
            told = received(error)
            if told is None or told.reason is not Reason.ROUND_CLOSED:
                raise
        else:
            score = reply.response.score
            self.history.answered(request_id, reply.response.SerializeToString(deterministic=True))
        now = time.monotonic()
        submitted = Submitted(round_id, self.participant_id, request_id, value, score, now - started, now)
        async with moved:
            self.submitted[round_id] = submitted
            moved.notify_all()


class Quiz:
    """A running session, its host and its players."""

    def __init__(self, host: Person, session_id: str, players: Sequence[Player]) -> None:
        self.host = host
        self.host_token = host.token
        self.session_id = session_id
        self.players = list(players)
        self.history = History("host")
        self.board = BoardWatch(host, session_id)
        self.round_ids: list[str] = []
        self.closed: list[str] = []
        self.moved = asyncio.Condition()

    @property
    def submitted(self) -> list[Submitted]:
        """All answers so far."""
        return [each for player in self.players for each in player.submitted.values()]

    @property
    def acknowledged(self) -> list[Submitted]:
        """The answers that the server said it has."""
        return [each for each in self.submitted if each.score is not None]

    async def play(self, blocks: int, *, seconds: float) -> None:
        """Open so many new blocks at once; returns when all have answered, and the clock has closed them."""
        added = await self.host.call(
            self.host.blocks.AddBlocks,
            block_service_pb2.AddBlocksRequest(
                request_id=uuid.uuid4().hex, session_id=self.session_id, blocks=[question()] * blocks
            ),
        )
        for block in added.blocks:
            limit = Duration()
            limit.FromMilliseconds(int(seconds * 1000))
            activated = await self.host.call(
                self.host.blocks.ActivateBlock,
                block_service_pb2.ActivateBlockRequest(
                    request_id=uuid.uuid4().hex,
                    session_id=self.session_id,
                    block_id=block.block_id,
                    time_limit=limit,
                ),
            )
            self.round_ids.append(activated.block.round_id)
        await self.until(self._is_over)

    async def until_acknowledged(self, *, since: float) -> float:
        """Wait for the first answer that is begun and acknowledged from a moment on; returns when it was."""

        def first() -> float | None:
            times = (each.acknowledged_at for each in self.acknowledged)
            return min((at for at in times if at >= since), default=None)

        await self.until(lambda: first() is not None)
        return first() or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the players or the host hear of."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self.moved:
            await self.moved.wait_for(condition)

    def leaves(self, player: Player) -> None:
        """Let a player, who is about to be sent away, take part no more."""
        self.players.remove(player)
        player.leave()

    def _is_over(self) -> bool:
        rounds = set(self.round_ids)
        return rounds <= set(self.closed) and all(
            rounds <= player.submitted.keys() for player in self.players
        )

    async def watch_session(self) -> None:
        """Follow the session as its host until cancelled."""
        host = self.host

        def stream(after: bytes) -> Any:
            request = session_service_pb2.WatchSessionRequest(session_id=self.session_id, after=after)
            return host.sessions.WatchSession(request, metadata=host.metadata)

        async for frame in host.watch(stream, self.history):
            closed = [
                event.block_closed.round_id for event in frame.events.events if event.HasField("block_closed")
            ]
            closed += [
                block.round_id
                for block in frame.snapshot.blocks
                if block.status == block_pb2.BLOCK_STATUS_CLOSED
            ]
            if frame.HasField("ticket"):
                host.token = frame.ticket.token
            async with self.moved:
                self.closed += closed
                self.moved.notify_all()


@asynccontextmanager
async def open_quiz(
    running: Running, *, players: int, think_seconds: float, seed: int
) -> AsyncIterator[Quiz]:
    """A started session with so many players, everybody watching."""
    organization = f"chaos-{uuid.uuid4().hex[:8]}"

    def person(name: str, role: str) -> Person:
        token = running.user_token(name, role=role, organization=organization)
        return Person.on(running.address, name, token)

    host = person("host", "editor")
    session_id = await _create(host)
    people = [person(f"player-{number}", "member") for number in range(players)]
    try:
        join_code = (await _verb(host, "OpenLobby", session_id)).session.join_code
        joined = []
        for start in range(0, players, _JOIN_AT_ONCE):
            some = people[start : start + _JOIN_AT_ONCE]
            joined += await asyncio.gather(*(_join(each, join_code) for each in some))
        rng = random.Random(seed)
        quiz = Quiz(
            host,
            session_id,
            [
                Player(each, participant_id, History(each.name), random.Random(rng.random()), think_seconds)
                for each, participant_id in zip(people, joined, strict=True)
            ],
        )
        # The host too has a seat: scoring knows hosts by their tickets before the first round.
        await _join(host, join_code)
        await _verb(host, "StartSession", session_id)
        async with asyncio.TaskGroup() as watching:
            tasks = [
                watching.create_task(each)
                for each in (
                    quiz.watch_session(),
                    quiz.board.run(),
                    *(player.play(session_id, quiz.moved) for player in quiz.players),
                )
            ]
            yield quiz
            for task in tasks:
                task.cancel()
    finally:
        await asyncio.gather(*(each.close() for each in (host, *people)))


async def _create(host: Person) -> str:
    settings = session_pb2.SessionSettings(
        title="Chaos",
        visibility=session_pb2.SESSION_VISIBILITY_PUBLIC,
        parallel_blocks_allowed=True,
        rules=_RULES,
    )
    created = await host.call(
        host.sessions.CreateSession,
        session_service_pb2.CreateSessionRequest(request_id=uuid.uuid4().hex, settings=settings),
    )
    session_id: str = created.session.session_id
    return session_id


async def _join(person: Person, join_code: str) -> str:
    joined = await person.call(
        person.sessions.JoinSession,
        session_service_pb2.JoinSessionRequest(
            request_id=uuid.uuid4().hex, join_code=join_code, display_name=person.name
        ),
    )
    person.token = joined.ticket.token
    participant_id: str = joined.participant.participant_id
    return participant_id


async def _verb(host: Person, verb: str, session_id: str) -> Any:
    request = getattr(session_service_pb2, f"{verb}Request")
    return await host.call(
        getattr(host.sessions, verb), request(request_id=uuid.uuid4().hex, session_id=session_id)
    )


def question() -> block_pb2.NewBlock:
    """A block that is answered with true or false; true is right."""
    return block_pb2.NewBlock(
        content=block_pb2.BlockContent(prompt="Is it so?", true_false=block_pb2.TrueFalse()),
        answer_key=answer_pb2.AnswerKey(true_false=answer_pb2.TrueFalseKey(value=True)),
    )


def yes_or_no(value: bool) -> answer_pb2.Answer:
    """An answer to it."""
    return answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=value))


def opened(frame: Any) -> list[Any]:
    """The blocks that a frame shows to be open."""
    found = [block for block in frame.snapshot.blocks if block.status == block_pb2.BLOCK_STATUS_ACTIVE]
    found += [
        event.block_activated.block for event in frame.events.events if event.HasField("block_activated")
    ]
    return found
