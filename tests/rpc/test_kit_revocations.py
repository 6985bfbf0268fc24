"""Withdrawn tickets are heard of by every process, through restarts of either side."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import structlog.testing
from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_client import open_redis
from muster_kit.rpc.revocations import CHANNEL, RECENT, Revocations
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.one_server import of_one_server
from tests.quickness import assert_quick
from tests.rpc.kit_service import hearing


def seated(generation: int, *, room: str, seat: str = "seat") -> Caller:
    return Caller(CallerKind.TICKET, room_id=room, participant_id=seat, generation=generation)


def is_revoked(revocations: Revocations, caller: Caller) -> bool:
    try:
        revocations.check(caller)
    except MusterError as error:
        return error.reason is Reason.TICKET_REVOKED
    return False


async def pings(redis: Redis) -> int:
    """How often the store was asked whether it is there."""
    return int((await redis.info("commandstats")).get("cmdstat_ping", {"calls": 0})["calls"])


async def put_back(redis: Redis, revocation: list[object]) -> None:
    """Wait until Redis has been told of a revocation again; others tell it of theirs."""
    async with asyncio.timeout(30):
        while await redis.zscore(RECENT, json.dumps(revocation)) is None:
            pass


class Heard:
    """What a process is told of a room, one by one."""

    def __init__(self, revocations: Revocations, room: str) -> None:
        self._queue: asyncio.Queue[tuple[str, str, int]] = asyncio.Queue()
        self._told: set[tuple[str, str, int]] = set()
        revocations.subscribe(lambda *told: self._queue.put_nowait(told) if told[0] == room else None)

    def forget(self) -> None:
        """Let everything be told anew."""
        self._told.clear()

    async def next(self) -> tuple[str, str, int]:
        """What is told next that was not told before: who comes back after a silence reads all again."""
        async with asyncio.timeout(30):
            while (told := await self._queue.get()) in self._told:
                pass
        self._told.add(told)
        return told


@pytest.fixture
async def redis(stores: TestStores) -> AsyncIterator[Redis]:
    async with open_redis(stores.redis_url) as connected:
        await connected.delete(RECENT)
        yield connected


@pytest.fixture
def room() -> str:
    """A room of the test's own: servers of other tests tell Redis again what it has lost of theirs."""
    return uuid.uuid4().hex


async def test_a_revocation_is_heard_by_every_process_within_milliseconds(redis: Redis, room: str) -> None:
    here, elsewhere = Revocations(redis), Revocations(redis)
    heard = Heard(elsewhere, room)
    async with hearing(elsewhere):

        async def seconds() -> float:
            start = time.monotonic()
            await here.revoke(room, "seat", 3)
            assert await heard.next() == (room, "seat", 3)
            took = time.monotonic() - start
            heard.forget()
            return took

        await assert_quick(0.5, seconds)
    for revocations in (here, elsewhere):
        assert is_revoked(revocations, seated(2, room=room))
        assert not is_revoked(revocations, seated(3, room=room))
        assert not is_revoked(revocations, seated(1, seat="other", room=room))
        assert not is_revoked(revocations, seated(1, room="other"))


async def test_an_older_revocation_does_not_let_anybody_back_in(redis: Redis, room: str) -> None:
    revocations = Revocations(redis)
    await revocations.revoke(room, "seat", 5)
    await revocations.revoke(room, "seat", 2)
    assert is_revoked(revocations, seated(4, room=room))


async def test_a_process_that_starts_later_knows_what_was_said_before(redis: Redis, room: str) -> None:
    await Revocations(redis).revoke(room, "seat", 1)
    async with hearing(Revocations(redis)) as later:
        assert is_revoked(later, seated(0, room=room))


async def test_revocations_are_forgotten_when_the_tickets_have_expired(redis: Redis, room: str) -> None:
    revocations = Revocations(redis, ticket_lifetime=timedelta(0))
    await revocations.revoke(room, "seat", 1)
    await revocations.revoke(room, "other", 1)
    assert not is_revoked(revocations, seated(0, room=room))
    assert await redis.ttl(RECENT) <= 1


async def test_listening_goes_on_after_redis_was_away(stores: TestStores, redis: Redis, room: str) -> None:
    revocations = Revocations(redis)
    async with hearing(revocations):
        with structlog.testing.capture_logs() as log:
            await stores.valkey.stop()
            # Nobody else hears it now, but here it counts.
            here = Revocations(redis)
            await here.revoke(room, "lost", 1)
            assert is_revoked(here, seated(0, seat="lost", room=room))
            await stores.valkey.start()
        assert "revocation_not_published" in {entry["event"] for entry in log}
        heard = Heard(revocations, room)
        # Whether it is heard as it is said or read on coming back: it arrives.
        await Revocations(redis).revoke(room, "seat", 7)
        assert await heard.next() == (room, "seat", 7)


async def test_what_redis_lost_is_known_to_who_starts_later(redis: Redis, room: str) -> None:
    survivor = Revocations(redis, silence_seconds=0.3)
    heard = Heard(survivor, room)
    async with hearing(survivor):
        for generation in (1, 2):
            await Revocations(redis).revoke(room, "seat", generation)
            assert await heard.next() == (room, "seat", generation)
        await redis.delete(RECENT)
        await put_back(redis, [room, "seat", 2])
    assert 0 < await redis.ttl(RECENT) <= timedelta(minutes=15).total_seconds() + 1
    async with hearing(Revocations(redis)) as later:
        assert is_revoked(later, seated(1, room=room))
        assert not is_revoked(later, seated(2, room=room))


async def test_what_redis_lost_is_told_although_more_is_there_than_was_lost(redis: Redis, room: str) -> None:
    survivor = Revocations(redis, silence_seconds=0.3)
    heard = Heard(survivor, room)
    async with hearing(survivor):
        await Revocations(redis).revoke(room, "seat", 2)
        assert await heard.next() == (room, "seat", 2)
        await redis.delete(RECENT)
        for generation in range(1, 4):
            await Revocations(redis).revoke(room, "other", generation)
        await put_back(redis, [room, "seat", 2])


async def test_being_heard_again_keeps_nothing_longer(redis: Redis, room: str) -> None:
    await Revocations(redis, ticket_lifetime=timedelta(seconds=1)).revoke(room, "seat", 2)
    later = Revocations(redis)
    async with hearing(later):
        assert is_revoked(later, seated(1, room=room))
        async with asyncio.timeout(30):
            while is_revoked(later, seated(1, room=room)):
                await later.revoke(room, "somebody", 1)


@of_one_server
async def test_silence_is_told_from_a_dead_connection(redis: Redis, room: str) -> None:
    revocations = Revocations(redis, silence_seconds=0.4)
    heard = Heard(revocations, room)
    async with hearing(revocations):
        with structlog.testing.capture_logs() as log:
            asked = await pings(redis)
            async with asyncio.timeout(20):
                while await pings(redis) < asked + 3:
                    pass
            assert not log
            # Everything hangs, as when the network drops without a word.
            await redis.execute_command("CLIENT", "PAUSE", "1500", "ALL")
            await Revocations(redis).revoke(room, "seat", 2)
            assert await heard.next() == (room, "seat", 2)
        assert "no answer" in log[0]["error"]


async def test_what_is_not_a_revocation_is_ignored(redis: Redis, room: str) -> None:
    revocations = Revocations(redis)
    heard = Heard(revocations, room)
    with structlog.testing.capture_logs() as log:
        async with hearing(revocations):
            for nonsense in (b"", b"{}", b"[1]", b'["room", "seat", null]', b"\xff"):
                await redis.publish(CHANNEL, nonsense)
            await Revocations(redis).revoke(room, "seat", 1)
            assert await heard.next() == (room, "seat", 1)
    # Other servers of this process may hear them, and say so, as well.
    assert len([entry for entry in log if entry["event"] == "revocation_not_understood"]) >= 5
