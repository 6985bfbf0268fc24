"""The load generator: a small Go program, built when it is first needed and told what to send."""

import asyncio
import json
import os
import shutil
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.stack import NotMeasuredError

_SOURCES = Path(__file__).parent / "load"
_BUILD_SECONDS = 300.0
# Beyond what a burst was told to take: for the answers that are under way.
_GRACE_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What a burst of calls came to; latencies in seconds, of those that succeeded."""

    done: int
    seconds: float
    p50: float = 0.0
    p99: float = 0.0

    @property
    def rate(self) -> float:
        """What was done in a second."""
        return self.done / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to one method: the tokens, and for each request the number of its token and its bytes."""

    method: str
    tokens: Sequence[str]
    calls: Sequence[tuple[int, bytes]]


class Generator:
    """Runs the program against addresses on this machine."""

    def __init__(self, program: Path, files: Path) -> None:
        self._program = program
        self._files = files
        self._count = 0

    @classmethod
    async def built(cls, files: Path) -> "Generator":
        """Build the program into `files`; NotMeasuredError when there is no Go."""
        go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        if go is None:
            raise NotMeasuredError("The load generator needs Go 1.22 or newer: put `go` on the PATH.")
        program = files / "load"
        process = await asyncio.create_subprocess_exec(
            *(go, "build", "-o", program, "."), cwd=_SOURCES, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(_BUILD_SECONDS):
            _, said = await process.communicate()
        if process.returncode:
            raise NotMeasuredError(f"go build: {said.decode(errors='replace').strip()}")
        return cls(program, files)

    def arguments(self, command: str, address: str, load: Load, **flags: object) -> list[str]:
        """The command line for a load, whose files are written."""
        self._count += 1
        calls, tokens = self._files / f"calls-{self._count}", self._files / f"tokens-{self._count}"
        calls.write_bytes(b"".join(_packed(load.calls)))
        tokens.write_text("\n".join(load.tokens))
        given = {"address": address, "method": load.method, "calls": calls, "tokens": tokens, **flags}
        return [str(self._program), command, *(f"-{k.replace('_', '-')}={v}" for k, v in given.items())]

    async def unary(
        self, address: str, load: Load, *, seconds: float, concurrency: int = 64, connections: int = 32
    ) -> Burst:
        """Make the calls, each once, so many at a time; any failure makes it mean nothing."""
        told = await self._run(
            self.arguments(
                *("unary", address, load),
                seconds=seconds,
                concurrency=concurrency,
                connections=connections,
            ),
            seconds,
        )
        return Burst(told["done"], told["seconds"], told["p50"], told["p99"])

    async def streams(
        self, address: str, load: Load, *, seconds: float, streams: int, window: int, refused_field: int
    ) -> Burst:
        """Send the requests over some bidirectional streams and wait for all acknowledgements."""
        arguments = self.arguments(
            *("streams", address, load),
            seconds=seconds,
            concurrency=streams,
            connections=streams,
            window=window,
            refused_field=refused_field,
        )
        told = await self._run(arguments, seconds)
        if told["refused"]:
            raise NotMeasuredError(f"{told['refused']} messages were refused.")
        return Burst(told["done"], told["seconds"])

    async def _run(self, arguments: Sequence[str], seconds: float) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise NotMeasuredError(err.decode(errors="replace").strip())
        told: dict[str, Any] = json.loads(out)
        require_no_failures(told)
        return told


def environment() -> dict[str, str]:
    """The program's environment: its memory is cheap here, its CPU is not."""
    return {**os.environ, "GOGC": "400"}


def require_no_failures(told: dict[str, Any]) -> None:
    """Raise NotMeasuredError when calls failed: a figure of which is not to be had."""
    if failures := told["failures"]:
        said = ", ".join(f"{each['count']} × {code} ({each['first']})" for code, each in failures.items())
        raise NotMeasuredError(f"Calls failed: {said}.")


def _packed(calls: Iterable[tuple[int, bytes]]) -> Iterable[bytes]:
    for token, request in calls:
        yield struct.pack("<II", token, len(request))
        yield request
