"""One reader at 1 KB/s and one that has stopped, among many: only they notice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from muster.session.v1 import session_service_pb2
from muster.stream.v1 import stream_pb2
from muster_kit.rpc.channel import service_config

from tests.chaos.conftest import Scale
from tests.chaos.crowd import WATCHERS_A_SEAT, Crowd, Ticker, gathered
from tests.chaos.history import History, check_agreement, check_log
from tests.chaos.ledger import Ledger
from tests.chaos.links import NarrowLink
from tests.chaos.machine import Machine
from tests.chaos.memory import MEGABYTE, held
from tests.chaos.people import OWN_CONNECTION, Person
from tests.chaos.quiz import Quiz, open_quiz

SEED: Final = 41
BYTES_A_SECOND: Final = 1000
# Without it, the client's library would take megabytes that nobody has asked it for.
NO_READING_AHEAD: Final = ("grpc.http2.bdp_probe", 0)
PATIENCE_SECONDS: Final = 60.0
WARM_UP_SECONDS: Final = 2.0
BOUND_BYTES: Final = 8 * MEGABYTE
"""By so much may both workers grow on account of the slow two."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything. In each phase, `text` makes the events more than a room's ring holds."""

    watchers: int
    phase_seconds: float
    ticks_a_second: float
    text: str
    factor: float
    slack_seconds: float

    def allows(self, alone: list[list[float]], beside: list[list[float]], grown: list[int]) -> bool:
        """Whether the best phases are as good beside slow readers as without, and cost no memory."""
        without, along = min(map(p99, alone)), min(map(p99, beside))
        return along <= self.factor * without + self.slack_seconds and min(grown) < BOUND_BYTES


# Of two bytes each in UTF-8.
TEXT: Final = "ä" * 5000
SHORT: Final = Size(
    watchers=100, phase_seconds=6, ticks_a_second=20, text=TEXT, factor=2.0, slack_seconds=0.1
)
FULL: Final = Size(
    watchers=500, phase_seconds=12, ticks_a_second=10, text=TEXT, factor=1.2, slack_seconds=0.0
)
MOST_PHASES: Final = 5
ANSWERING: Final = 6
"""So many play on; of the others, whose clients would cost this process too much, there are the seats."""


@dataclass(slots=True)
class Slow:
    """A reader who may stop, and read again."""

    person: Person
    history: History
    session_id: str
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    lags: list[stream_pb2.Lag] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Follow the session, whenever it reads."""
        async for frame in self.person.watch(self._open, self.history):
            async with self.moved:
                if frame.HasField("lag"):
                    self.lags.append(frame.lag)
                elif frame.HasField("reconnect"):
                    self.causes.append(frame.reconnect.cause)
                self.moved.notify_all()
            await self.reading.wait()

    async def until_seq(self, seq: int) -> None:
        """Wait until it is as far as this event."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.moved:
            await self.moved.wait_for(lambda: self.history.bookmark_seq >= seq)

    @property
    def ends(self) -> list[str]:
        """How its streams have ended, but for the last one."""
        names = [f"reconnect {stream_pb2.ReconnectCause.Name(cause)}" for cause in self.causes]
        return names + [name for name, count in self.person.calls.items() for _ in range(count)]

    def _open(self, after: bytes) -> Any:
        request = session_service_pb2.WatchSessionRequest(session_id=self.session_id, after=after)
        return self.person.sessions.WatchSession(request, metadata=self.person.metadata)


async def test_slow_readers_cost_the_others_nothing_and_lose_no_event(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    size = FULL if scale.is_full else SHORT
    seats = -(-size.watchers // WATCHERS_A_SEAT)
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    grown: list[int] = []
    async with open_quiz(machine.running, players=seats + 2, think_seconds=2, seed=SEED) as quiz:
        ticker = Ticker(quiz, text=size.text)
        tokens = [player.person.token for player in quiz.players]
        crowded = (tokens[:seats] * WATCHERS_A_SEAT)[: size.watchers]
        for player in quiz.players[ANSWERING:]:
            quiz.leaves(player)
        async with gathered(quiz, ticker, crowded, machine.address) as crowd:
            await phase(quiz, ticker, crowd, size, seconds=WARM_UP_SECONDS)
            wanted = min(max(scale.rounds, 1), MOST_PHASES)
            # What else the machine does only adds: more phases where none was within the bounds yet.
            while len(grown) < wanted or (len(grown) < MOST_PHASES and not size.allows(alone, beside, grown)):
                alone.append(await phase(quiz, ticker, crowd, size))
                before = memory(machine)
                async with slow_ones(machine, quiz, tokens[-2:]) as (narrow, stopped, link):
                    beside.append(await phase(quiz, ticker, crowd, size))
                    grown.append(memory(machine) - before)
                    figure("workers grew beside the slow ones, MB", grown[-1] / MEGABYTE)
                    figure("bytes that came over the narrow link", link.brought)
                    await check_slow(machine, quiz, narrow, stopped, link, figure)
            assert crowd.lost == 0
            ticks = int(size.phase_seconds * size.ticks_a_second)
            assert {len(seen) for seen in alone + beside} == {size.watchers * ticks}
    figure("p99 of a delivery without slow readers, ms", 1000 * min(map(p99, alone)))
    figure("p99 of a delivery beside slow readers, ms", 1000 * min(map(p99, beside)))
    assert size.allows(alone, beside, grown), grown


async def phase(
    quiz: Quiz, ticker: Ticker, crowd: Crowd, size: Size, *, seconds: float | None = None
) -> list[float]:
    """Play with ticks for a while; return the seconds that each took from the command to each watcher."""
    crowd.latencies.clear()
    seconds = seconds or size.phase_seconds
    await asyncio.gather(
        quiz.play(1, seconds=seconds),
        ticker.run(a_second=size.ticks_a_second, seconds=seconds),
    )
    await crowd.until_seen(len(ticker.sent) - 1)
    return list(crowd.latencies)


@asynccontextmanager
async def slow_ones(
    machine: Machine, quiz: Quiz, tokens: list[str]
) -> AsyncIterator[tuple[Slow, Slow, NarrowLink]]:
    """Someone at the end of a narrow link, and someone who reads one frame and then no more."""

    def slow(name: str, address: str, token: str) -> Slow:
        options = [("grpc.service_config", service_config()), OWN_CONNECTION, NO_READING_AHEAD]
        person = Person(name, token, grpc.aio.insecure_channel(address, options=options))
        return Slow(person, History(name), quiz.session_id)

    async with NarrowLink(machine.address, BYTES_A_SECOND) as link, asyncio.TaskGroup() as tasks:
        narrow = slow("narrow", link.address, tokens[0])
        narrow.reading.set()
        stopped = slow("stopped", machine.address, tokens[1])
        running = [tasks.create_task(each.run()) for each in (narrow, stopped)]
        async with asyncio.timeout(PATIENCE_SECONDS), stopped.moved:
            await stopped.moved.wait_for(lambda: stopped.history.bookmark_seq > 0)
        try:
            yield narrow, stopped, link
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(narrow.person.close(), stopped.person.close())


async def check_slow(
    machine: Machine,
    quiz: Quiz,
    narrow: Slow,
    stopped: Slow,
    link: NarrowLink,
    figure: Callable[[str, object], None],
) -> None:
    """Let the slow ones read as fast as anyone; they were told, and miss nothing."""
    log = await Ledger(machine, quiz.session_id).log()
    assert narrow.history.bookmark_seq < len(log)
    assert stopped.history.bookmark_seq < len(log)
    link.widen()
    stopped.reading.set()
    await asyncio.gather(*(each.until_seq(len(log)) for each in (narrow, stopped)))
    for each in (narrow, stopped):
        assert check_log(each.history, log) == []
        assert not each.history.count("reset")
        told = [f"{lag.events_reread} events, {lag.behind.ToMilliseconds() / 1000} s" for lag in each.lags]
        figure(f"{each.history.client} was told to lag by", told)
        figure(f"{each.history.client} had streams that ended with", each.ends)
        # Who has read too little for half a minute is cut instead, and knows that.
        assert told or each.ends
    assert check_agreement([narrow.history, stopped.history]) == []


def memory(machine: Machine) -> int:
    """Bytes of both workers."""
    return sum(size for name, size in held(machine.running.pid).items() if name.startswith("worker"))


def p99(values: list[float]) -> float:
    """The value that one in a hundred is above."""
    return sorted(values)[int(0.99 * (len(values) - 1))]
