"""Measures what a change in a scope costs its watchers' worker: python -m tests.bench.fanout_scope.

As `fanout`, with the scope in a Redis: people change what they do ten times a second, and everybody who
watches is told, and how many do what.
"""

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from muster.presence.v1.presence_pb2 import Activity as ActivityMessage
from muster_kit.caller import Caller, CallerKind, OrganizationRole
from muster_kit.clock import SystemClock
from muster_kit.ids import new_id
from muster_kit.streams import Hub
from muster_presence import convert
from muster_presence.model import Activity, Profile, ScopeId, ScopeKind, Step, Timing, Verb
from muster_presence.scope_keys import SCHEMA
from muster_presence.scope_log import RedisScopeLog
from muster_presence.store_redis import RedisPresence
from muster_presence.usecases_access import Doors, Place
from muster_presence.usecases_watch import Extent, ScopeWatches, Shapes
from redis.asyncio import Redis

from tests.bench.fanout import Bare, served, settled

_CHANGES_A_SECOND = 10
_CHANGES = 20
_EXTENT = Extent(after=b"", max_frames=0, replay_only=False, counts_only=False)


class _OpenDoors(Doors):
    """Nobody enters here, and who looks shows what they are."""

    def __init__(self) -> None:
        pass


class Scope(Bare):
    """Watchers of an organization in which one after the other does something else."""

    def __init__(self, watches: ScopeWatches, index: RedisPresence, hub: Hub) -> None:
        super().__init__()
        self.frames = 0
        self._watches = watches
        self._index = index
        self._hub = hub
        self._scope = ScopeId(new_id(), ScopeKind.ORGANIZATION)
        self._caller = Caller(
            kind=CallerKind.USER,
            subject="watcher",
            organization_id=self._scope.organization_id,
            organization_role=OrganizationRole.MEMBER,
            expire_time=datetime.now(UTC) + timedelta(hours=1),
        )
        self._changes = 0

    async def watch(self, _request: bytes, context: Any) -> None:
        async def write(frame: bytes) -> None:
            self.frames += 1
            await context.write(frame)

        await self._watches.watch(
            self._caller, Place(ScopeKind.ORGANIZATION), include_staff=False, extent=_EXTENT, write=write
        )

    def ready(self) -> int:
        room = self._hub.room(f"others/{self._scope.key}")
        return 0 if room is None else sum(s._waiter is not None for s in room.streams)  # type: ignore[attr-defined]

    async def come(self, people: int) -> None:
        """Let so many people come."""
        steps = [self._step(number, 0) for number in range(people)]
        await self._index.change({self._scope: steps})

    async def deliver(self) -> None:
        """Let somebody do something else, of which everybody is told."""
        self._changes += 1
        await self._index.change({self._scope: [self._step(self._changes % 1000, self._changes)]})

    def _step(self, number: int, doing: int) -> Step:
        message = ActivityMessage(kind="exercise", target_id=f"exercise-{doing % 8}")
        return Step(
            verb=Verb.BEAT,
            user_id=f"user-{number}",
            device_id="phone",
            profile=Profile(f"User {number}"),
            activity=Activity(message.kind, message.target_id, message.SerializeToString()),
        )


async def cost(deliver: Callable[[], Awaitable[None]], frames: Callable[[], int]) -> tuple[float, float]:
    """Return the microseconds of CPU of a frame, and of a change, at so many changes a second."""
    loop = asyncio.get_running_loop()
    before, start = frames(), time.process_time()
    for _ in range(_CHANGES):
        at = loop.time() + 1 / _CHANGES_A_SECOND
        await deliver()
        await asyncio.sleep(max(at - loop.time(), 0))
    used = (time.process_time() - start) * 1e6
    return used / (frames() - before), used / _CHANGES


async def compare(redis: Redis, streams: int, rounds: int) -> list[dict[str, float]]:
    """Both in turns: frames of a scope, and bare writes of as many bytes at the same pace."""
    clock, timing = SystemClock(), Timing(stale_after_ms=600_000)
    index, log = RedisPresence(redis, clock, timing), RedisScopeLog(redis, clock, timing)
    async with Hub(redis, log, schema=SCHEMA, clock=clock) as hub:
        shapes = Shapes(convert.snapshot, convert.view)
        watches = ScopeWatches(hub, index, log, _OpenDoors(), shapes, clock)
        scope, bare = Scope(watches, index, hub), Bare()
        await scope.come(streams)
        told = []
        async with served({"bare": bare, "scope": scope}, streams):
            written = 0

            async def write_all() -> None:
                nonlocal written
                await bare.deliver()
                written += streams

            for number in range(rounds + 1):
                of_bare, _ = await cost(write_all, lambda: written)
                await settled(lambda: scope.ready() == streams)
                of_scope, of_change = await cost(scope.deliver, lambda: scope.frames)
                await settled(lambda: scope.ready() == streams)
                if number:
                    told.append({"bare": of_bare, "scope": of_scope, "change": of_change / streams})
        return told


async def main(url: str, streams: int, rounds: int) -> None:
    """Print the rounds as JSON, in microseconds."""
    async with Redis.from_url(url) as redis:
        print(json.dumps(await compare(redis, streams, rounds)))


if __name__ == "__main__":
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fanout_scope", description=__doc__)
    parser.add_argument("--redis", required=True, help="address of an empty Redis")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(main(options.redis, options.streams, options.rounds))
