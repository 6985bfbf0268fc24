"""A client in a process of its own that watches a session, says so, and can be stopped by a signal.

`python -m tests.chaos.stopped_client ADDRESS SESSION_ID`, with the token on stdin.
"""

import asyncio
import sys

import grpc
from muster.session.v1 import session_service_pb2
from muster.session.v1.session_service_pb2_grpc import SessionServiceStub


async def watch(address: str, session_id: str, token: str) -> None:
    """Print a line for each frame."""
    async with grpc.aio.insecure_channel(address) as channel:
        request = session_service_pb2.WatchSessionRequest(session_id=session_id)
        metadata = (("authorization", f"Bearer {token}"),)
        async for frame in SessionServiceStub(channel).WatchSession(request, metadata=metadata):
            print(frame.WhichOneof("frame"), flush=True)


if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1], sys.argv[2], sys.stdin.readline().strip()))
