"""Damaged requests at every method, from everybody: each is answered, and no worker minds."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from muster.session.v1 import session_service_pb2
from muster_kit.errors import CATALOG
from muster_stack.demo.client import Client, bearer

from tests.chaos import http2
from tests.chaos.conftest import Scale
from tests.chaos.machine import Machine
from tests.chaos.memory import MEGABYTE, resident
from tests.chaos.mutations import damaged, damaged_call, random_message
from tests.contract.contracts import methods, name
from tests.e2e.generic_calls import Metadata, Outcome, ask
from tests.e2e.policy_table import ACTORS, ROWS
from tests.e2e.requests_from_descriptors import Requests
from tests.e2e.staged_room import StagedRoom, stage_room

SEED: Final = 61
METHODS: Final = methods()
AT_ONCE: Final = 32
CALLS_A_ROOM: Final = 1500
NOTE_EVERY: Final = 250
"""After so many, somebody has deleted what there was to be asked for."""
READ_SECONDS: Final = 0.15
WARM_UP: Final = 0.4
STEPS: Final = 2
"""So many leaps do not count: keys are hashed by two threads; each keeps what its first hash took."""
SHORT_BOUND: Final = 10 * MEGABYTE
"""What a short run may add: nothing is as warm then as it gets."""
FULL_BOUND_A_CALL: Final = 400
"""Bytes that both may grow for each call, as caches of tokens, rounds and statements fill."""

DOCUMENTED: Final = {grpc.StatusCode[entry.code] for entry in CATALOG.values()} | {grpc.StatusCode.OK}
FAULTS: Final = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
"""Of those, what is no answer to a bad request."""
INSIDE: Final = re.compile(
    rb"Traceback|asyncpg|sqlalchemy|postgres|redis|valkey|protobuf|\.py\b|site-packages|, line \d"
    rb"|/(?:root|home|tmp|usr|var|opt)/|object at 0x|\w(?:Error|Exception)\b|NoneType|muster_[a-z]+",
    re.IGNORECASE,
)
"""Words of the inside: names of libraries, modules, files and classes."""


class Workers:
    """The workers, watched for crashes and for what they hold."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._pids = machine.workers()
        self._held: list[tuple[int, int]] = []
        assert len(self._pids) == 2

    def note(self, calls: int) -> None:
        """Note what they hold after so many calls."""
        self._held.append((calls, sum(map(resident, self._pids))))

    def check(self, scale: Scale, figure: Callable[[str, object], None]) -> None:
        """Assert that they are the same still, and have not grown."""
        assert self._machine.workers() == self._pids
        warm = self._held[int(WARM_UP * len(self._held)) :]
        calls = warm[-1][0] - warm[0][0]
        growth = sum(sorted(later - before for (_, before), (_, later) in pairwise(warm))[:-STEPS])
        figure("calls", warm[-1][0])
        figure("both workers grew, bytes a call once warm", growth / calls)
        assert growth <= (FULL_BOUND_A_CALL * calls if scale.is_full else SHORT_BOUND)


async def test_damaged_requests_are_answered_with_a_reason(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    calls = 100_000 if scale.is_full else 3_000
    rng, outcomes, workers = random.Random(SEED), Counter[str](), Workers(machine)
    client = Client.open(machine.address)
    try:
        for start in range(0, calls, CALLS_A_ROOM):
            room = await stage_room(machine.running, client, f"fuzz-{start}")
            count = min(CALLS_A_ROOM, calls - start)
            for more in range(0, count, NOTE_EVERY):
                outcomes += await fire(client, room, rng, NOTE_EVERY)
                workers.note(start + more + NOTE_EVERY)
        workers.check(scale, figure)
    finally:
        await client.close()
    figure("answers", dict(outcomes))


async def fire(client: Client, room: StagedRoom, rng: random.Random, count: int) -> Counter[str]:
    """Make so many calls with damaged requests; return how they ended."""
    requests, outcomes = Requests(room.values()), Counter[str]()
    shots = iter(range(count))

    async def one_after_another() -> None:
        for _ in shots:
            method = rng.choice(METHODS)
            request = shot(rng, requests, method)
            outcome = await ask(client.channel, method, request, caller(rng, room, method))
            check_answer(outcome, method, request)
            outcomes[outcome.code.name] += 1

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return outcomes


def shot(rng: random.Random, requests: Requests, method: MethodDescriptor) -> bytes:
    """Return a request that is random, damaged, or both."""
    request: bytes = random_message(rng, requests, method.input_type).SerializeToString()
    if rng.random() < 0.4:
        return request
    other = requests.minimal(rng.choice(METHODS).input_type).SerializeToString()
    return damaged(rng, request, other)


def caller(rng: random.Random, room: StagedRoom, method: MethodDescriptor) -> Metadata:
    """Return the metadata of somebody who may call the method, mostly."""
    chance = rng.random()
    if chance < 0.7:
        return room.metadata(rng.choice(ROWS[name(method)]))
    if chance < 0.9:
        return room.metadata(rng.choice(ACTORS))
    if chance < 0.95:
        return ()
    token = damaged(rng, room.tokens[rng.choice(ACTORS)].encode(), b"")
    return bearer("".join(chr(byte) for byte in token[:4000] if 0x20 <= byte < 0x7F))


def check_answer(outcome: Outcome, method: MethodDescriptor, request: bytes) -> None:
    """The answer is one that the contracts tell of, and says nothing of the inside."""
    what = (name(method), request.hex(), str(outcome.failure))
    assert outcome.code in DOCUMENTED - FAULTS, what
    if outcome.failure is None:
        return
    assert outcome.error is not None, what
    assert outcome.failure.details() == CATALOG[outcome.error.reason].message, what
    metadata = [*(outcome.failure.initial_metadata() or ()), *(outcome.failure.trailing_metadata() or ())]
    for key, value in metadata:
        sent = value if isinstance(value, bytes) else value.encode()
        assert not INSIDE.search(sent), (what, key, sent)


async def test_damaged_frames_of_http2_break_no_worker(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    connections = 20_000 if scale.is_full else 600
    rng, workers = random.Random(SEED), Workers(machine)
    client = Client.open(machine.address)
    try:
        room = await stage_room(machine.running, client, "fuzz-http2")
        numbers = iter(range(connections))
        answered = 0

        async def one_after_another() -> None:
            nonlocal answered
            for number in numbers:
                said = await strike(machine.address, broken_call(rng, room))
                assert not INSIDE.search(said), said
                answered += b"grpc-status" in said
                if number % (connections // 20) == 0:
                    workers.note(number + 1)

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        workers.note(connections)
        workers.check(scale, figure)
        # Whoever does it right is served as before, by whichever worker. In a room of its own: some of those
        # calls were sound after all, and may have deleted the other.
        room = await stage_room(machine.running, client, "after-http2")
        request = session_service_pb2.GetSessionRequest(session_id=room.session_id)
        for _ in range(8):
            good = Client.open(machine.address)
            await good.sessions.GetSession(request, metadata=room.metadata("H"))
            await good.close()
    finally:
        await client.close()
    figure("connections on which a call was answered all the same", answered)
    assert answered > connections / 10


def broken_call(rng: random.Random, room: StagedRoom) -> bytes:
    """Return what a client sends whose HTTP/2 is broken somewhere."""
    method = rng.choice(METHODS)
    message = Requests(room.values()).minimal(method.input_type).SerializeToString()
    token = room.tokens[rng.choice(ROWS[name(method)])]
    data = damaged_call(rng, http2.call(f"/{name(method)}", message, token))
    opening = http2.opening()
    return (damaged(rng, opening, data) if rng.random() < 0.1 else opening) + data


async def strike(address: str, data: bytes) -> bytes:
    """Send this on a connection, and return what comes back within a moment."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    said = bytearray()
    try:
        writer.write(data)
        async with asyncio.timeout(READ_SECONDS):
            while more := await reader.read(65536):
                said += more
    except (TimeoutError, ConnectionError):
        # Broken off by us or by them: both are fine.
        pass
    finally:
        writer.transport.abort()
    return bytes(said)
