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
from tests.chaos.scope_watch import ScopeWatch
from tests.e2e.running import Running, muster_up

FREED_WITHIN_SECONDS: Final = 20.0
GONE_WITHIN_SECONDS: Final = 31.0
"""With a sweep."""
MOBILE_PING_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0
WATCH: Final = "WatchSession"
CONNECT: Final = "Connect"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack whose workers tell their metrics."""

    running: Running
    ports: range

    async def open_streams(self, method: str) -> int:
        """How many streams of a method are open, at both workers."""
        asked = (asyncio.to_thread(self._streams, port, method) for port in self.ports)
        return sum(await asyncio.gather(*asked))

    async def until_open(self, method: str, streams: int) -> float:
        """Wait until so many are; returns when that was seen."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.open_streams(method) != streams:  # noqa: ASYNC110 - metrics are there to be asked
                await asyncio.sleep(0.1)
        return time.monotonic()

    def _streams(self, port: int, method: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as told:
            page = told.read().decode()
        pattern = rf'^grpc_server_open_streams{{[^}}]*grpc_method="{method}"[^}}]*}} (\S+)$'
        found = re.search(pattern, page, re.MULTILINE)
        # A worker that never had one says nothing of it.
        return int(float(found[1])) if found is not None else 0


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
    freed, (let_go, gone), answered, _ = await asyncio.gather(
        stop_one(stack, quiz),
        vanish(stack, quiz),
        ping(stack.running.address, every_seconds=every_seconds, count=pings),
        watch_with_pings(stack, quiz, seconds=every_seconds * pings),
    )
    figure("a stopped client's stream was freed after, s", freed)
    figure("the stream of who vanished was freed after, s", let_go)
    figure("others were told of it after, s", gone)
    figure(f"pings every {every_seconds} s, all answered", answered)
    assert freed <= FREED_WITHIN_SECONDS
    assert let_go <= FREED_WITHIN_SECONDS
    # Somebody in a tunnel is not seen to go; somebody who has gone is.
    assert let_go < gone <= GONE_WITHIN_SECONDS
    assert answered == pings


async def test_a_client_that_pings_without_end_is_sent_away(stack: Stack) -> None:
    with pytest.raises(SentAwayError) as caught:
        await ping(stack.running.address, every_seconds=0.02, count=500)
    assert caught.value.args == (http2.ENHANCE_YOUR_CALM,)


async def stop_one(stack: Stack, quiz: Quiz) -> float:
    """Stop a client that watches; return the seconds until the server has let go of its stream."""
    async with holding(stack, quiz, WATCH) as process:
        there = await stack.open_streams(WATCH)
        os.kill(process.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        return await stack.until_open(WATCH, there - 1) - stopped_at


async def vanish(stack: Stack, quiz: Quiz) -> tuple[float, float]:
    """Stop a client that is connected; return after how many seconds it was let go of, and seen to go."""
    player = quiz.players[0].person
    watch = ScopeWatch(quiz.host, quiz.session_id)
    watching = asyncio.create_task(watch.run())
    try:
        async with holding(stack, quiz, CONNECT) as process:
            await watch.until_here([player.name], resets=0)
            there = await stack.open_streams(CONNECT)
            os.kill(process.pid, signal.SIGSTOP)
            stopped_at = time.monotonic()
            freed_at = await stack.until_open(CONNECT, there - 1)
            await watch.until_gone(player.name)
            assert watch.goings == {player.name: 1}
            return freed_at - stopped_at, time.monotonic() - stopped_at
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@contextlib.asynccontextmanager
async def holding(stack: Stack, quiz: Quiz, stream: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have a process that holds a stream as the player, and has heard of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.stopped_client", stack.running.address, stream, quiz.session_id),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{quiz.players[0].person.token}\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.stdout.readline() == b"snapshot\n"
        yield process
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
