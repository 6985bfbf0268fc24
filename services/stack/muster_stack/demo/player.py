"""One player: joins by code, watches the session, answers each question after some thought."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import grpc
from muster.scoring.v1 import answer_pb2, round_service_pb2
from muster.session.v1 import block_pb2, session_pb2, session_service_pb2
from muster_kit.ids import new_id

from muster_stack.demo.answers import choose
from muster_stack.demo.client import Client, bearer, follow

_TOO_LATE = {grpc.StatusCode.FAILED_PRECONDITION}


@dataclass(slots=True)
class Player:
    """A player with a skill from 0 to 1, the chance of knowing an answer.

    `knowledge` is what the player could know: the answer keys by block, as the host read them. The
    server never sends a key to a player before the block closes; this is the player's own head.
    """

    address: str
    name: str
    token: str
    skill: float
    knowledge: Mapping[str, answer_pb2.AnswerKey]
    think_seconds: tuple[float, float]
    rng: random.Random
    answered: int = 0
    late: int = 0
    _answering: set[asyncio.Task[None]] = field(default_factory=set)

    async def play(self, join_code: str) -> None:
        """Take part until the session has ended; raises grpc.aio.AioRpcError when that fails."""
        client = Client.open(self.address)
        try:
            joined = await client.sessions.JoinSession(
                session_service_pb2.JoinSessionRequest(
                    request_id=new_id(), join_code=join_code, display_name=self.name
                ),
                metadata=bearer(self.token),
            )
            await self._follow(client, joined.session.session_id, joined.ticket.token)
        finally:
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)
            await client.close()

    async def _follow(self, client: Client, session_id: str, ticket: str) -> None:
        current = bearer(ticket)
        frames = follow(
            lambda after: client.sessions.WatchSession(
                session_service_pb2.WatchSessionRequest(session_id=session_id, after=after), metadata=current
            )
        )
        async for frame in frames:
            if frame.HasField("ticket"):
                current = bearer(frame.ticket.token)
            for block in _opened(frame):
                self._think_about(block, client, current)
            if _ended(frame):
                return

    def _think_about(
        self, block: block_pb2.Block, client: Client, ticket: tuple[tuple[str, str], ...]
    ) -> None:
        task = asyncio.create_task(self._answer(block, client, ticket))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(
        self, block: block_pb2.Block, client: Client, ticket: tuple[tuple[str, str], ...]
    ) -> None:
        # Who knows answers sooner.
        knows = self.rng.random() < self.skill
        shortest, longest = self.think_seconds
        await asyncio.sleep(self.rng.uniform(shortest, (shortest + longest) / 2 if knows else longest))
        answer = choose(block, self.knowledge[block.block_id], knows=knows, rng=self.rng)
        try:
            await client.rounds.SubmitResponse(
                round_service_pb2.SubmitResponseRequest(
                    request_id=new_id(), round_id=block.round_id, answer=answer
                ),
                metadata=ticket,
            )
            self.answered += 1
        except grpc.aio.AioRpcError as error:
            if error.code() not in _TOO_LATE:
                raise
            self.late += 1


def _opened(frame: session_service_pb2.WatchSessionResponse) -> Iterator[block_pb2.Block]:
    yield from (block for block in frame.snapshot.blocks if block.status == block_pb2.BLOCK_STATUS_ACTIVE)
    for event in frame.events.events:
        if event.HasField("block_activated"):
            yield event.block_activated.block


def _ended(frame: session_service_pb2.WatchSessionResponse) -> bool:
    statuses = [event.status_changed.session.status for event in frame.events.events]
    return session_pb2.SESSION_STATUS_ENDED in (frame.snapshot.session.status, *statuses)
