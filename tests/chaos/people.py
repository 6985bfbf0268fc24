"""Clients as real ones are: a connection each, the shipped retry policy, and a record of all they see."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from muster.scoring.v1.board_service_pb2_grpc import BoardServiceStub
from muster.scoring.v1.round_service_pb2_grpc import RoundServiceStub
from muster.session.v1.block_service_pb2_grpc import BlockServiceStub
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub
from muster_kit.rpc.channel import service_config

from tests.chaos.history import History

Metadata = tuple[tuple[str, str], ...]

CODE: Final = grpc.StatusCode

_COMING_BACK: Final = frozenset({CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED, CODE.CANCELLED})
_ATTEMPT_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = (0.05, 0.2)

OWN_CONNECTION: Final = ("grpc.use_local_subchannel_pool", 1)


@dataclass(slots=True)
class Person:
    """Someone on a connection of their own.

    `calls` counts what became of each attempt at a call, by the name of its status.
    """

    name: str
    token: str
    channel: Any
    calls: Counter[str] = field(default_factory=Counter)
    histories: list[History] = field(default_factory=list)
    sessions: Any = None
    blocks: Any = None
    rounds: Any = None
    boards: Any = None

    def __post_init__(self) -> None:
        self.sessions = SessionServiceStub(self.channel)
        self.blocks = BlockServiceStub(self.channel)
        self.rounds = RoundServiceStub(self.channel)
        self.boards = BoardServiceStub(self.channel)

    @classmethod
    def on(cls, address: str, name: str, token: str, *, config: str | None = None) -> "Person":
        """Someone who connects to `address` with the shipped service config, or with another."""
        options = [("grpc.service_config", service_config() if config is None else config), OWN_CONNECTION]
        return cls(name, token, grpc.aio.insecure_channel(address, options=options))

    @property
    def metadata(self) -> Metadata:
        """The metadata of a call; the name is for proxies on the way."""
        return (("authorization", f"Bearer {self.token}"), ("x-client", self.name))

    async def call(self, method: Any, request: Message) -> Any:
        """Call until the server has answered, with the very same request; return its reply.

        Raises grpc.aio.AioRpcError for what coming back does not mend, and after a minute.
        """
        started = time.monotonic()
        while True:
            try:
                reply = await method(request, metadata=self.metadata, timeout=_ATTEMPT_SECONDS)
            except grpc.aio.AioRpcError as error:
                self.calls[error.code().name] += 1
                if error.code() not in _COMING_BACK or time.monotonic() - started > _PATIENCE_SECONDS:
                    raise
                await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
            else:
                self.calls["OK"] += 1
                return reply

    async def watch(self, open_stream: Callable[[bytes], Any], history: History) -> AsyncIterator[Any]:
        """Frames of a watch for as long as they are wanted, recorded, over as many streams as it takes.

        Each stream goes on behind the last cursor. Raises grpc.aio.AioRpcError as `call` does.
        """
        self.histories.append(history)
        last_frame = time.monotonic()
        while True:
            history.open(history.bookmark)
            try:
                async for frame in open_stream(history.bookmark):
                    history.see(frame)
                    last_frame = time.monotonic()
                    yield frame
            except grpc.aio.AioRpcError as error:
                self.calls[f"watch {error.code().name}"] += 1
                if error.code() not in _COMING_BACK or time.monotonic() - last_frame > _PATIENCE_SECONDS:
                    raise
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))

    async def close(self) -> None:
        """End the connection."""
        await self.channel.close()
