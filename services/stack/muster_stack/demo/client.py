"""What a client of Muster needs in Python: a channel, the stubs, a token in the metadata."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from muster.scoring.v1.board_service_pb2_grpc import BoardServiceStub
from muster.scoring.v1.round_service_pb2_grpc import RoundServiceStub
from muster.session.v1.block_service_pb2_grpc import BlockServiceStub
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub

Metadata = tuple[tuple[str, str], ...]

_RETRY_SECONDS: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
_COMING_BACK: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


@dataclass(frozen=True, slots=True)
class Client:
    """One connection and the stubs on it; close it with `close`."""

    channel: Any
    sessions: Any
    blocks: Any
    rounds: Any
    boards: Any

    @classmethod
    def open(cls, address: str) -> "Client":
        """A connection of its own: players are on different phones, so they share none."""
        channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        return cls(
            channel=channel,
            sessions=SessionServiceStub(channel),
            blocks=BlockServiceStub(channel),
            rounds=RoundServiceStub(channel),
            boards=BoardServiceStub(channel),
        )

    async def close(self) -> None:
        """End the connection."""
        await self.channel.close()


def bearer(token: str) -> Metadata:
    """The metadata that shows `token`."""
    return (("authorization", f"Bearer {token}"),)


async def follow(
    watch: Callable[[bytes], AsyncIterator[Any]], *, attempts: int = len(_RETRY_SECONDS)
) -> AsyncIterator[Any]:
    """Frames of a watch stream for as long as the caller wants them.

    `watch(after)` opens the stream behind a cursor. When it ends or breaks it is opened again with
    the cursor of the last frame, which is all a client has to do to miss nothing. Raises
    grpc.aio.AioRpcError for an error that coming back does not mend, or when no frame came in
    `attempts` tries.
    """
    cursor, failures = b"", 0
    while True:
        try:
            async for frame in watch(cursor):
                cursor, failures = frame.cursor or cursor, 0
                yield frame
        except grpc.aio.AioRpcError as error:
            if error.code() not in _COMING_BACK or failures >= attempts:
                raise
        await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)] * random.uniform(0.5, 1))  # noqa: S311 — spread, not secrecy
        failures += 1
