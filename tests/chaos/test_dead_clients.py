"""Clients that are no more are found and let go; those that make sure of the connection are let be."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from muster.session.v1 import session_service_pb2
from muster_kit.rpc.options import DEFAULT_LIMITS

from tests.chaos import http2
from tests.chaos.conftest import Scale
from tests.chaos.people import OWN_CONNECTION
from tests.chaos.quiz import Quiz, open_quiz
from tests.e2e.running import Running, muster_up

FREED_WITHIN_SECONDS: Final = 20.0
MOBILE_PING_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0
WATCH: Final = "WatchSession"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack whose workers tell their metrics."""

    running: Running
    ports: range

    async def open_streams(self) -> int:
        """How many watches of sessions are open, at both workers."""
        return sum(await asyncio.gather(*(asyncio.to_thread(self._streams, port) for port in self.ports)))

    async def until_open(self, streams: int) -> float:
        """Wait until so many are; returns when that was seen."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.open_streams() != streams:  # noqa: ASYNC110 - metrics are there to be asked
                await asyncio.sleep(0.1)
        return time.monotonic()

    def _streams(self, port: int) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as told:
            page = told.read().decode()
        pattern = rf'^grpc_server_open_streams{{[^}}]*grpc_method="{WATCH}"[^}}]*}} (\S+)$'
        found = re.search(pattern, page, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))


@pytest.fixture(scope="module")
async def stack(short_path: Path) -> AsyncIterator[Stack]:
    """One of their own, since only a start can say where metrics are."""
    first = free_ports(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSTER_METRICS_LISTEN", f"127.0.0.1:{first}")
        async with muster_up(short_path / "metrics", workers=2) as running:
            yield Stack(running, range(first, first + 2))


@pytest.fixture(scope="module")
async def quiz(stack: Stack) -> AsyncIterator[Quiz]:
    """A session that is quiet: nothing but pings tells whether a watcher is still there."""
    async with open_quiz(stack.running, players=1, think_seconds=1, seed=51) as quiz:
        await quiz.until(lambda: quiz.history.bookmark_seq > 0)
        yield quiz


async def test_a_stopped_client_is_let_go_and_one_that_pings_is_not(
    stack: Stack, quiz: Quiz, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    # All three take their time, and do not disturb each other.
    pings = int(65 / MOBILE_PING_SECONDS) if scale.is_full else 4
    every_seconds = MOBILE_PING_SECONDS if scale.is_full else 1.02 * DEFAULT_LIMITS.client_ping_seconds
    freed, answered, _ = await asyncio.gather(
        stop_one(stack, quiz),
        ping(stack.running.address, every_seconds=every_seconds, count=pings),
        watch_with_pings(stack, quiz, seconds=every_seconds * pings),
    )
    figure("a stopped client's stream was freed after, s", freed)
    figure(f"pings every {every_seconds} s, all answered", answered)
    assert freed <= FREED_WITHIN_SECONDS
    assert answered == pings


async def test_a_client_that_pings_without_end_is_sent_away(stack: Stack) -> None:
    with pytest.raises(SentAwayError) as caught:
        await ping(stack.running.address, every_seconds=0.02, count=500)
    assert caught.value.args == (http2.ENHANCE_YOUR_CALM,)


async def stop_one(stack: Stack, quiz: Quiz) -> float:
    """Stop a client that watches; return the seconds until the server has let go of its stream."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.stopped_client", stack.running.address, quiz.session_id),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{quiz.players[0].person.token}\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.stdout.readline() == b"snapshot\n"
        there = await stack.open_streams()
        os.kill(process.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        return await stack.until_open(there - 1) - stopped_at
    finally:
        process.kill()
        await process.wait()


class SentAwayError(Exception):
    """The server ends the connection, for a reason that has this number."""


async def ping(address: str, *, every_seconds: float, count: int) -> int:
    """Ping on a connection without a call; return how many pings were answered.

    Raises SentAwayError when the server has enough.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = 0

    async def listen() -> None:
        nonlocal answers
        frames = http2.Frames()
        while data := await reader.read(65536):
            for frame in frames.feed(data):
                answers += frame.kind == http2.Kind.PING and bool(frame.flags & http2.ACK)
                if frame.kind == http2.Kind.GOAWAY:
                    raise SentAwayError(int.from_bytes(frame.payload[4:8], "big"))
                writer.write(http2.answer(frame))
            if answers == count:
                return
        raise ConnectionResetError

    writer.write(http2.opening())
    listening = asyncio.create_task(listen())
    try:
        for number in range(count):
            writer.write(bytes(http2.Frame(http2.Kind.PING, 0, 0, number.to_bytes(8, "big"))))
            done, _ = await asyncio.wait([listening], timeout=every_seconds)
            if done:
                break
        async with asyncio.timeout(PATIENCE_SECONDS):
            await listening
    finally:
        listening.cancel()
        writer.close()
    return answers


async def watch_with_pings(stack: Stack, quiz: Quiz, *, seconds: float) -> None:
    """Watch as mobile clients do, whose library pings; nothing may end the stream."""
    options: list[Any] = [
        OWN_CONNECTION,
        ("grpc.keepalive_time_ms", int(MOBILE_PING_SECONDS * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    person = quiz.players[0].person
    async with grpc.aio.insecure_channel(stack.running.address, options=options) as channel:
        watch = channel.unary_stream(
            f"/muster.session.v1.SessionService/{WATCH}",
            request_serializer=session_service_pb2.WatchSessionRequest.SerializeToString,
            response_deserializer=session_service_pb2.WatchSessionResponse.FromString,
        )
        request = session_service_pb2.WatchSessionRequest(session_id=quiz.session_id)
        frames = watch(request, metadata=person.metadata)
        assert (await frames.read()).HasField("snapshot")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    assert (await frames.read()).HasField("heartbeat")


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        with contextlib.ExitStack() as taken:
            first = _bound(taken, 0)
            try:
                for port in range(first + 1, first + count):
                    _bound(taken, port)
            except OSError:
                continue
            return first


def _bound(taken: contextlib.ExitStack, port: int) -> int:
    bound = taken.enter_context(socket.socket())
    bound.bind(("127.0.0.1", port))
    number: int = bound.getsockname()[1]
    return number
