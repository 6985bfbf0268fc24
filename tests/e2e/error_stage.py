"""An organization to make mistakes in, over gRPC and in few words."""

import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from muster.scoring.v1 import answer_pb2, round_service_pb2
from muster.session.v1 import block_service_pb2, session_pb2, session_service_pb2
from muster_stack.demo.client import Client, bearer

from tests.e2e.generic_calls import Metadata
from tests.e2e.running import Running
from tests.e2e.staged_room import question, yes

Failure = grpc.aio.AioRpcError


@dataclass(frozen=True, slots=True)
class Lobby:
    """A session that can be joined."""

    session_id: str
    join_code: str
    block_ids: list[str]


@dataclass(frozen=True, slots=True)
class Question:
    """A block that is open, and the metadata of someone who may answer it."""

    session_id: str
    block_id: str
    round_id: str
    ticket: Metadata


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stack, and an organization in which nothing has happened.

    Everything is done by one editor, unless something else is said.
    """

    running: Running
    client: Client
    organization: str = field(default_factory=lambda: uuid.uuid4().hex)

    def user(self, role: str = "editor", name: str = "") -> Metadata:
        """Return the metadata of a user of the organization."""
        token = self.running.user_token(name or role, role=role, organization=self.organization)
        return bearer(token)

    async def create(self, *, session_id: str = "", request_id: str = "", **settings: Any) -> str:
        """Make a session, and return its id."""
        usual = {"title": "Errors", "visibility": session_pb2.SESSION_VISIBILITY_UNLISTED}
        request = session_service_pb2.CreateSessionRequest(
            settings=session_pb2.SessionSettings(**usual | settings),
            session_id=session_id,
            request_id=request_id,
        )
        created = await self.client.sessions.CreateSession(request, metadata=self.user())
        made: str = created.session.session_id
        return made

    async def open(self, *, blocks: int = 0, **settings: Any) -> Lobby:
        """Make a session and open its lobby."""
        session_id, block_ids = await self.create(**settings), []
        if blocks:
            added = await self.blocks("AddBlocks", session_id, blocks=[question()] * blocks)
            block_ids = [block.block_id for block in added.blocks]
        opened = await self.move("OpenLobby", session_id)
        return Lobby(session_id, opened.session.join_code, block_ids)

    async def ask(self) -> Question:
        """Start a session with someone in it, and open the first of its two blocks."""
        lobby = await self.open(blocks=2)
        joined = await self.join(lobby.join_code)
        await self.move("StartSession", lobby.session_id)
        block_id = lobby.block_ids[0]
        activated = await self.blocks("ActivateBlock", lobby.session_id, block_id=block_id)
        ticket = bearer(joined.ticket.token)
        return Question(lobby.session_id, block_id, activated.block.round_id, ticket)

    async def join(self, join_code: str, name: str = "ann") -> Any:
        """Join as a member."""
        request = session_service_pb2.JoinSessionRequest(join_code=join_code)
        return await self.client.sessions.JoinSession(request, metadata=self.user("member", name))

    async def answer(self, round_id: str, ticket: Metadata, answer: answer_pb2.Answer | None = None) -> Any:
        """Answer a question, rightly unless another answer is given."""
        request = round_service_pb2.SubmitResponseRequest(
            round_id=round_id, answer=answer or yes(), request_id=uuid.uuid4().hex
        )
        return await self.client.rounds.SubmitResponse(request, metadata=ticket)

    async def move(self, verb: str, session_id: str, **request: Any) -> Any:
        """Move the status of a session, by `StartSession` say."""
        message = getattr(session_service_pb2, f"{verb}Request")(session_id=session_id, **request)
        return await getattr(self.client.sessions, verb)(message, metadata=self.user())

    async def seat(self, verb: str, session_id: str, participant_id: str) -> Any:
        """Do something to a seat, by `KickParticipant` say."""
        return await self.move(verb, session_id, participant_id=participant_id)

    async def blocks(self, verb: str, session_id: str, **request: Any) -> Any:
        """Do something to the blocks of a session, by `CloseBlock` say."""
        message = getattr(block_service_pb2, f"{verb}Request")(session_id=session_id, **request)
        return await getattr(self.client.blocks, verb)(message, metadata=self.user())

    async def send(self, path: str, request: bytes, metadata: Metadata) -> Any:
        """Call a unary method with any bytes."""
        return await self.client.channel.unary_unary(path)(request, metadata=metadata)


async def failure_of(call: Awaitable[Any]) -> Failure:
    """Return how the call failed."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value
