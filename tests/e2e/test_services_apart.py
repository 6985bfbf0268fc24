"""The four services as processes of their own on stores that somebody else runs, as a deployment has them."""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import grpc
import pytest
from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster.scoring.v1 import answer_pb2, board_service_pb2, round_service_pb2
from muster.session.v1 import block_pb2, block_service_pb2, session_pb2, session_service_pb2
from muster.workout.v1 import workout_service_pb2
from muster.workout.v1.workout_service_pb2_grpc import WorkoutServiceStub
from muster_kit.caller import OrganizationRole
from muster_kit.rpc.tokens import issue_user_token
from muster_stack.demo.client import Client, bearer

from tests.conftest import TestStores
from tests.e2e.running import MUSTER

SERVICES = ("session", "presence", "scoring", "workout")
USER_SECRET = uuid.uuid4().hex


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def _run(environment: Mapping[str, str], *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(MUSTER, *arguments, env=environment)
    assert await process.wait() == 0


@contextlib.asynccontextmanager
async def _serving(service: str, address: str, environment: Mapping[str, str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        MUSTER,
        "serve",
        service,
        env={**environment, "MUSTER_LISTEN": address},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(30):
            await channel.channel_ready()
        yield
    finally:
        process.terminate()
        _, told = await process.communicate()
    assert process.returncode == 0, told.decode()


@pytest.fixture(scope="module")
async def addresses(stores: TestStores, short_path: Path) -> AsyncIterator[dict[str, str]]:
    """Where each of the four services is."""
    database = await stores.create_database()
    await _run(dict(os.environ), "secrets", str(short_path / "deployment"))
    addresses = dict(zip(SERVICES, (f"127.0.0.1:{port}" for port in _free_ports(4)), strict=True))
    environment = {
        **os.environ,
        "MUSTER_ADMIN_DATABASE_URL": "",
        "MUSTER_OWNER_DATABASE_URL": database.owner_url,
        "MUSTER_DATABASE_URL": database.app_url,
        "MUSTER_WRITER_DATABASE_URL": database.writer_url,
        "MUSTER_REDIS_URL": stores.redis_url,
        "MUSTER_USER_TOKEN_SECRET": USER_SECRET,
        "MUSTER_SERVICE_TOKEN_SECRET": uuid.uuid4().hex,
        "MUSTER_DRAIN_SECONDS": "2",
    }
    environment |= {f"MUSTER_{name.upper()}_ADDRESS": address for name, address in addresses.items()}
    await _run(environment, "migrate")
    # As in compose.yaml: only who makes tickets has the private key.
    secrets = short_path / "deployment" / "secrets"
    public = {"MUSTER_TICKET_PUBLIC_KEY_FILE": str(secrets / "ticket_public_key.pem")}
    private = {"MUSTER_TICKET_PRIVATE_KEY_FILE": str(secrets / "ticket_private_key.pem")}
    async with contextlib.AsyncExitStack() as running:
        for name, address in addresses.items():
            keys = public | (private if name in ("session", "workout") else {})
            await running.enter_async_context(_serving(name, address, {**environment, **keys}))
        yield addresses
    await stores.drop_database(database)


def _token(user: str, role: OrganizationRole) -> str:
    return issue_user_token(USER_SECRET, subject=user, organization_id="school", organization_role=role)


async def test_a_question_is_asked_and_answered_across_services(addresses: dict[str, str]) -> None:
    session, scoring = Client.open(addresses["session"]), Client.open(addresses["scoring"])
    host = bearer(_token("host", OrganizationRole.EDITOR))
    try:
        created = await session.sessions.CreateSession(
            session_service_pb2.CreateSessionRequest(
                settings=session_pb2.SessionSettings(
                    title="Apart", visibility=session_pb2.SESSION_VISIBILITY_UNLISTED
                )
            ),
            metadata=host,
        )
        session_id = created.session.session_id
        block = block_pb2.NewBlock(
            content=block_pb2.BlockContent(prompt="2 + 2 = 4", true_false=block_pb2.TrueFalse()),
            answer_key=answer_pb2.AnswerKey(true_false=answer_pb2.TrueFalseKey(value=True)),
        )
        await session.blocks.AddBlocks(
            block_service_pb2.AddBlocksRequest(session_id=session_id, blocks=[block]), metadata=host
        )
        opened = await session.sessions.OpenLobby(
            session_service_pb2.OpenLobbyRequest(session_id=session_id), metadata=host
        )
        joined = await session.sessions.JoinSession(
            session_service_pb2.JoinSessionRequest(join_code=opened.session.join_code, display_name="Ann"),
            metadata=bearer(_token("ann", OrganizationRole.MEMBER)),
        )
        await session.sessions.StartSession(
            session_service_pb2.StartSessionRequest(session_id=session_id), metadata=host
        )
        activated = await session.blocks.ActivateBlock(
            block_service_pb2.ActivateBlockRequest(session_id=session_id), metadata=host
        )
        ticket = bearer(joined.ticket.token)
        submitted = await scoring.rounds.SubmitResponse(
            round_service_pb2.SubmitResponseRequest(
                round_id=activated.block.round_id,
                answer=answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True)),
            ),
            metadata=ticket,
        )
        assert (submitted.total_score, submitted.rank_after) == (1000, 1)
        board = await scoring.boards.ListEntries(
            board_service_pb2.ListEntriesRequest(board_id=session_id), metadata=ticket
        )
        assert [entry.display_name for entry in board.entries] == ["Ann"]
        await session.sessions.EndSession(
            session_service_pb2.EndSessionRequest(session_id=session_id), metadata=host
        )
    finally:
        await session.close()
        await scoring.close()


async def test_presence_and_workout_answer_on_their_own(addresses: dict[str, str]) -> None:
    for name, stub, request in (
        ("presence", PresenceServiceStub, presence_service_pb2.ProbeRequest(payload=b"x")),
        ("workout", WorkoutServiceStub, workout_service_pb2.ProbeRequest(payload=b"x")),
    ):
        async with grpc.aio.insecure_channel(addresses[name]) as channel:
            answer = await stub(channel).Probe(
                request, metadata=bearer(_token("ann", OrganizationRole.MEMBER)), timeout=5
            )
        assert answer.payload == b"x"
