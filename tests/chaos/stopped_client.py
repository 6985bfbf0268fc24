"""A client in a process of its own that has a stream open, says so, and can be stopped by a signal.

`python -m tests.chaos.stopped_client ADDRESS STREAM SESSION_ID`, with the token on stdin; STREAM is
`WatchSession` or `Connect`.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import grpc
from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster.session.v1 import session_service_pb2
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub

_Metadata = tuple[tuple[str, str], ...]


def _watch(channel: grpc.aio.Channel, session_id: str, metadata: _Metadata) -> Any:
    stub: Any = SessionServiceStub(channel)
    return stub.WatchSession(
        session_service_pb2.WatchSessionRequest(session_id=session_id), metadata=metadata
    )


def _connect(channel: grpc.aio.Channel, session_id: str, metadata: _Metadata) -> Any:
    """Be in the room of the ticket."""
    stub: Any = PresenceServiceStub(channel)
    request = presence_service_pb2.ConnectRequest(device_id="stopped")
    return stub.Connect(request, metadata=metadata)


STREAMS: Final[dict[str, Callable[[grpc.aio.Channel, str, _Metadata], Any]]] = {
    "WatchSession": _watch,
    "Connect": _connect,
}


async def hold(address: str, stream: str, session_id: str, token: str) -> None:
    """Print a line for each frame."""
    async with grpc.aio.insecure_channel(address) as channel:
        metadata = (("authorization", f"Bearer {token}"),)
        async for frame in STREAMS[stream](channel, session_id, metadata):
            print(frame.WhichOneof("frame"), flush=True)


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1], sys.argv[2], sys.argv[3], sys.stdin.readline().strip()))
