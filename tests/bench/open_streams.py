"""Many server streams in the generator's process, told by lines of JSON what to do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.bench.generator import Generator, Load, environment, require_no_failures
from tests.bench.stack import NotMeasuredError

_NANO = 1e-9
_WAIT_SECONDS = 60.0


class OpenStreams:
    """The streams of one generator process; it ends them when it ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def wait_until_ready(self) -> float:
        """Wait until every stream has a frame; returns the seconds since the first was opened."""
        return float((await self._told("ready"))["seconds"])

    async def seen(self, number: int) -> tuple[float, float]:
        """Wait until all streams have seen an event; returns when the first and the last had it."""
        while int((told := await self._told("tick"))["number"]) < number:
            pass
        return told["first"] * _NANO, told["last"] * _NANO

    async def drop(self) -> None:
        """Cut all connections."""
        await self._say("drop")
        await self._told("dropped")

    async def come_back(self) -> None:
        """Open all streams again, each with its cursor."""
        await self._say("return")

    async def check(self) -> int:
        """Return how many frames came; NotMeasuredError when a stream failed or saw an event twice."""
        await self._say("report")
        told = await self._told("report")
        require_no_failures(told)
        if told["doubles"]:
            raise NotMeasuredError(f"{told['doubles']} events came twice.")
        return int(told["frames"])

    async def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def _told(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                while line := await self._process.stdout.readline():
                    told: dict[str, Any] = json.loads(line)
                    if told["event"] == event:
                        return told
        except TimeoutError:
            raise NotMeasuredError(f"{event!r} did not come within {_WAIT_SECONDS:.0f} s.") from None
        raise NotMeasuredError(f"The generator ended before {event!r}.")


@contextlib.asynccontextmanager
async def opened(
    generator: Generator, address: str, load: Load, *, connections: int, **flags: object
) -> AsyncIterator[OpenStreams]:
    """Open a stream for each request of the load, and close them when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *generator.arguments("watch", address, load, connections=connections, **flags),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        yield OpenStreams(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
