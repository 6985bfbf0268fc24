"""Players who answer over gRPC, repeat until they are told, and write down what they were told."""

import asyncio
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import grpc
from muster.scoring.v1 import answer_pb2, round_service_pb2
from muster.session.v1 import block_pb2, session_service_pb2
from muster_kit.errors import Reason
from muster_kit.rpc.status import received

from tests.chaos.history import History
from tests.chaos.people import Person


@dataclass(frozen=True, slots=True)
class Submitted:
    """One answer and what became of it: `score` is None when it was refused as too late.

    Times are by the monotonic clock.
    """

    round_id: str
    participant_id: str
    request_id: str
    value: bool
    score: int | None
    begun_at: float
    acknowledged_at: float

    @property
    def seconds(self) -> float:
        """How long the player waited for it, repetitions included."""
        return self.acknowledged_at - self.begun_at


@dataclass(slots=True)
class Player:
    """A participant who answers every block they hear of, once, after some thought.

    `asking` are the answers on their way: round → when the player sent it first.
    """

    person: Person
    participant_id: str
    history: History
    rng: random.Random
    think_seconds: float
    submitted: dict[str, Submitted] = field(default_factory=dict)
    asking: dict[str, float] = field(default_factory=dict)
    _heard: set[str] = field(default_factory=set)
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
                    if block.round_id not in self._heard:
                        self._heard.add(block.round_id)
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
        score = None
        begun_at = self.asking[round_id] = time.monotonic()
        try:
            reply = await self.person.call(self.person.rounds.SubmitResponse, request)
        except grpc.aio.AioRpcError as error:
            told = received(error)
            if told is None or told.reason is not Reason.ROUND_CLOSED:
                raise
        else:
            score = reply.response.score
            self.history.answered(request_id, reply.response.SerializeToString(deterministic=True))
        del self.asking[round_id]
        submitted = Submitted(
            round_id, self.participant_id, request_id, value, score, begun_at, time.monotonic()
        )
        async with moved:
            self.submitted[round_id] = submitted
            moved.notify_all()


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
