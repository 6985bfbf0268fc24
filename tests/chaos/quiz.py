"""A quiz whose players answer over gRPC, retry until they are told, and write down what they were told."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from muster.scoring.v1 import rules_pb2
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2

from tests.chaos.board_watch import BoardWatch
from tests.chaos.history import History
from tests.chaos.people import Person
from tests.chaos.players import Player, Submitted, question
from tests.e2e.running import Running

_RULES: Final = rules_pb2.ScoringRules(base_points=600, speed_bonus=400, streak_step=50, streak_maximum=200)
_JOIN_AT_ONCE: Final = 20
_PATIENCE_SECONDS: Final = 90.0


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

    async def until_accepted(self, *, since: float) -> float:
        """Wait for the first answer accepted from a moment on; returns for how long somebody had asked."""

        def first() -> Submitted | None:
            accepted = (each for each in self.acknowledged if each.acknowledged_at >= since)
            return min(accepted, key=lambda each: each.acknowledged_at, default=None)

        await self.until(lambda: first() is not None)
        accepted = first()
        assert accepted is not None
        asking = (begun_at for player in self.players for begun_at in player.asking.values())
        begun_at = min(asking, default=accepted.begun_at)
        return accepted.acknowledged_at - max(since, min(begun_at, accepted.begun_at))

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
        join_code = (await move(host, "OpenLobby", session_id)).session.join_code
        joined = []
        for start in range(0, players, _JOIN_AT_ONCE):
            some = people[start : start + _JOIN_AT_ONCE]
            joined += await asyncio.gather(*(join(each, join_code) for each in some))
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
        await join(host, join_code)
        await move(host, "StartSession", session_id)
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


async def join(person: Person, join_code: str) -> str:
    """Take a seat, and call with its ticket from now on; returns the seat's id."""
    joined = await person.call(
        person.sessions.JoinSession,
        session_service_pb2.JoinSessionRequest(
            request_id=uuid.uuid4().hex, join_code=join_code, display_name=person.name
        ),
    )
    person.token = joined.ticket.token
    participant_id: str = joined.participant.participant_id
    return participant_id


async def move(host: Person, verb: str, session_id: str) -> Any:
    """Make a move that takes no more than the session, such as `StartSession`."""
    request = getattr(session_service_pb2, f"{verb}Request")
    return await host.call(
        getattr(host.sessions, verb), request(request_id=uuid.uuid4().hex, session_id=session_id)
    )
