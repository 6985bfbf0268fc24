"""What a server of ours is held against: the same gRPC server with a handler that does nothing."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import uvloop
from muster_kit.rpc.options import DEFAULT_LIMITS, server_options

from tests.bench import machine


class _Empty(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers every method with an empty message, or with a stream of one that stays open."""

    def __init__(self, *, streams: bool) -> None:
        self._handler = (
            grpc.unary_stream_rpc_method_handler(_stay)
            if streams
            else grpc.unary_unary_rpc_method_handler(_answer)
        )

    def service(self, _: grpc.HandlerCallDetails) -> Any:
        return self._handler


async def _answer(_request: bytes, _context: Any) -> bytes:
    return b""


async def _stay(_request: bytes, context: Any) -> None:
    await context.write(b"")
    await asyncio.Event().wait()


async def _serve(port: int, *, streams: bool) -> None:
    """Serve on a port that others may share, and print it, until stdin ends."""
    server = grpc.aio.server(
        handlers=(_Empty(streams=streams),), options=server_options(DEFAULT_LIMITS, reuse_port=True)
    )
    sys.stdout.write(f"{server.add_insecure_port(f'127.0.0.1:{port}')}\n")
    await server.start()
    sys.stdout.flush()
    # The parent holds the other end: whatever becomes of it, this process ends too.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


class EmptyServers:
    """Some of them on one address, as workers of ours would be."""

    def __init__(self, address: str, pids: Sequence[int]) -> None:
        self.address = address
        self._pids = pids

    def seconds(self) -> float:
        """CPU time until now."""
        return machine.cpu_seconds(self._pids)


@contextlib.asynccontextmanager
async def empty_servers(count: int, *, streams: bool = False) -> AsyncIterator[EmptyServers]:
    """Run so many processes until the block ends; of `streams`, every method is one that stays open."""
    processes: list[asyncio.subprocess.Process] = []
    port = 0
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.bench.empty_server", "--port", str(port)),
                *(("--streams",) if streams else ()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            processes.append(process)
            assert process.stdout is not None
            async with asyncio.timeout(30):
                port = int(await process.stdout.readline())
        yield EmptyServers(f"127.0.0.1:{port}", [process.pid for process in processes])
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--streams", action="store_true")
    options = parser.parse_args()
    uvloop.run(_serve(options.port, streams=options.streams))
