"""Servers that fail a call by themselves: away from their stores, going away, too slow, faulty."""

import asyncio
import tempfile
import uuid
from pathlib import Path
from typing import Any, Final

import grpc
from muster.session.v1 import session_service_pb2
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub
from muster_kit.caller import OrganizationRole
from muster_kit.rpc.call import Call
from muster_kit.rpc.options import Limits
from muster_kit.rpc.tokens import issue_user_token, write_ticket_key
from muster_kit.settings import Settings
from muster_session.app import build
from muster_stack.demo.client import bearer
from muster_stack.hosting import Host
from pydantic import SecretStr

from tests.e2e.error_stage import Failure, failure_of
from tests.rpc.kit_service import EchoServicer, SayRequest, serve

INSIDE: Final = "host=10.1.2.3 password=hunter2"
"""What a client must not see of a fault."""

_SECRET: Final = uuid.uuid4().hex
_NOWHERE: Final = "127.0.0.1:1"


async def stores_away(_: object) -> Failure:
    """Call the session service while it reaches neither PostgreSQL nor Valkey."""
    role = OrganizationRole.OWNER
    token = issue_user_token(_SECRET, subject="ana", organization_id="acme", organization_role=role)
    with tempfile.TemporaryDirectory() as directory:
        settings = _settings(Path(directory))
        async with (
            Host(settings, [build(settings)]) as host,
            grpc.aio.insecure_channel(f"127.0.0.1:{host.port}") as channel,
        ):
            request = session_service_pb2.GetSessionRequest(session_id="s")
            return await failure_of(SessionServiceStub(channel).GetSession(request, metadata=bearer(token)))


async def going_away(_: object) -> Failure:
    """Call a server that drains before it has answered."""
    begun = asyncio.Event()

    async def linger(request: Any, call: Call) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with serve(EchoServicer(say=linger)) as serving:
        call = asyncio.create_task(failure_of(serving.unary(SayRequest())))
        await begun.wait()
        await serving.server.drain(0.0)
        return await call


async def slow(_: object) -> Failure:
    """Call a server that takes longer than it may."""

    async def linger(request: Any, call: Call) -> None:
        await asyncio.Event().wait()

    limits = Limits(unary_seconds=0.05, sweep_seconds=0.05)
    async with serve(EchoServicer(say=linger), limits=limits) as serving:
        return await failure_of(serving.unary(SayRequest()))


async def faulty(_: object) -> Failure:
    """Call a server with a fault."""

    async def stumble(request: Any, call: Call) -> None:
        raise RuntimeError(INSIDE)

    async with serve(EchoServicer(say=stumble)) as serving:
        return await failure_of(serving.unary(SayRequest()))


def _settings(directory: Path) -> Settings:
    write_ticket_key(directory / "ticket.pem")
    return Settings(
        listen="127.0.0.1:0",
        database_url=f"postgresql://muster_app@{_NOWHERE}/muster",
        writer_database_url=f"postgresql://muster_writer@{_NOWHERE}/muster",
        redis_url=f"redis://{_NOWHERE}/0",
        user_token_secret=SecretStr(_SECRET),
        service_token_secret=SecretStr(_SECRET),
        ticket_private_key_file=directory / "ticket.pem",
    )
