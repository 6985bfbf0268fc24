"""PostgreSQL is away for two seconds: clients with the shipped service config notice nothing."""

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from muster.scoring.v1 import board_service_pb2, round_service_pb2
from muster.session.v1 import session_pb2, session_service_pb2
from muster_kit.errors import CATALOG, Reason
from muster_kit.rpc.channel import service_config
from muster_kit.rpc.status import DETAILS_KEY

from tests.chaos.conftest import Scale
from tests.chaos.history import check_log
from tests.chaos.ledger import Ledger
from tests.chaos.machine import Machine, until
from tests.chaos.people import OWN_CONNECTION, Person
from tests.chaos.quiz import Quiz, open_quiz

CLIENTS: Final = 4
PLAYERS: Final = 5
HANGS, REFUSES, KILLED = "hangs", "refuses", "is killed"
WITH_CONFIG: Final = ("grpc.service_config", service_config())


@dataclass(slots=True)
class Caller:
    """Someone who makes one call after the other and never repeats one by themselves."""

    person: Person
    made: list[str] = field(default_factory=list)
    failures: list[grpc.aio.AioRpcError] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    longest_seconds: float = 0.0
    rounds: int = 0

    async def go_on(self, quiz: Quiz, stop: asyncio.Event) -> None:
        """Call whatever may be repeated, again and again, until told to stop."""
        while not stop.is_set():
            for name, (method, request) in self._calls(quiz).items():
                started = time.monotonic()
                try:
                    reply = await method(request, metadata=self.person.metadata, timeout=30)
                except grpc.aio.AioRpcError as error:
                    self.failures.append(error)
                else:
                    self.done[name] += 1
                    if name == "CreateSession":
                        self.made.append(reply.session.session_id)
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - started)
            self.rounds += 1

    def _calls(self, quiz: Quiz) -> Mapping[str, tuple[Callable[..., Any], Message]]:
        person, session_id, round_id = self.person, quiz.session_id, quiz.round_ids[-1]
        settings = session_pb2.SessionSettings(
            title=self.person.name, visibility=session_pb2.SESSION_VISIBILITY_UNLISTED
        )
        return {
            "CreateSession": (
                person.sessions.CreateSession,
                session_service_pb2.CreateSessionRequest(request_id=uuid.uuid4().hex, settings=settings),
            ),
            "GetSession": (
                person.sessions.GetSession,
                session_service_pb2.GetSessionRequest(session_id=session_id),
            ),
            "ListParticipants": (
                person.sessions.ListParticipants,
                session_service_pb2.ListParticipantsRequest(session_id=session_id),
            ),
            "ListResponses": (
                person.rounds.ListResponses,
                round_service_pb2.ListResponsesRequest(session_id=session_id),
            ),
            "GetRoundStats": (
                person.rounds.GetRoundStats,
                round_service_pb2.GetRoundStatsRequest(round_id=round_id),
            ),
            "ListEntries": (
                person.boards.ListEntries,
                board_service_pb2.ListEntriesRequest(board_id=session_id),
            ),
        }


async def hang(machine: Machine) -> None:
    """PostgreSQL does nothing for two seconds."""
    async with machine.postgres_stopped():
        await asyncio.sleep(2)


async def refuse(machine: Machine) -> None:
    """PostgreSQL takes no connections for two seconds, and ends those there are."""
    async with machine.postgres_refusing():
        await asyncio.sleep(2)


async def die(machine: Machine) -> None:
    """PostgreSQL is killed; how long its successor needs is the machine's to say."""
    postmaster = machine.postmaster()
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    await until(lambda: machine.postmaster() not in (None, postmaster))


OUTAGES: Final[Mapping[str, Callable[[Machine], Awaitable[None]]]] = {
    HANGS: hang,
    REFUSES: refuse,
    KILLED: die,
}


@pytest.mark.parametrize("how", OUTAGES)
async def test_two_seconds_without_postgresql_fail_no_call_that_may_be_repeated(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None], how: str
) -> None:
    async with open_quiz(machine.running, players=PLAYERS, think_seconds=2.0, seed=1) as quiz:
        await quiz.play(1, seconds=1)
        patient = callers(machine, quiz, "patient", WITH_CONFIG)
        hasty = callers(machine, quiz, "hasty", ("grpc.enable_retries", 0))
        for _ in range(max(1, scale.rounds // 5)):
            playing = asyncio.create_task(quiz.play(2, seconds=4))
            figure("away, s", await outage(machine, quiz, OUTAGES[how], [*patient, *hasty]))
            await playing
        for each in (*patient, *hasty):
            await each.person.close()
        # How long a killed one is away is the machine's to say; what fails then fails in the same way.
        if how != KILLED:
            assert [error for each in patient for error in each.failures] == []
            assert [player.person.calls["UNAVAILABLE"] for player in quiz.players] == [0] * PLAYERS
            await check_effects(Ledger(machine, quiz.session_id), patient)
        refused = [error for each in (*patient, *hasty) for error in each.failures]
        for error in refused:
            check_refusal(error)
        # A server that hangs fails nobody: it is only slow.
        assert bool(refused) == (how != HANGS)
        figure("calls that failed without the config", sum(len(each.failures) for each in hasty))
        figure("calls that failed with it", sum(len(each.failures) for each in patient))
        figure("calls that did not", sum(sum(each.done.values()) for each in (*patient, *hasty)))
        figure("longest call, s", max(each.longest_seconds for each in patient))
        ledger = Ledger(machine, quiz.session_id)
        settled = await ledger.settle(quiz)
        assert (settled.lost, settled.doubled, settled.phantom) == (0, 0, 0)
        log = await ledger.log()
        await quiz.until(lambda: all(each.history.bookmark_seq == len(log) for each in quiz.players))
        assert [fault for each in quiz.players for fault in check_log(each.history, log)] == []


def callers(machine: Machine, quiz: Quiz, name: str, option: tuple[str, object]) -> list[Caller]:
    """Some with the rights of the host, each on a connection of their own."""
    options = [option, OWN_CONNECTION]
    return [
        Caller(Person(name, quiz.host_token, grpc.aio.insecure_channel(machine.address, options=options)))
        for _ in range(CLIENTS)
    ]


async def outage(
    machine: Machine, quiz: Quiz, how: Callable[[Machine], Awaitable[None]], everybody: list[Caller]
) -> float:
    """Let everybody call while PostgreSQL is away, and some time longer; returns the seconds it was away."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for each in everybody:
            tasks.create_task(each.go_on(quiz, stop))
        await until(lambda: all(each.rounds > 0 for each in everybody))
        started = time.monotonic()
        await how(machine)
        back_at = await machine.until_queried()
        before = [each.rounds for each in everybody]
        await until(lambda: all(each.rounds > n for each, n in zip(everybody, before, strict=True)))
        stop.set()
    return back_at - started


def check_refusal(error: grpc.aio.AioRpcError) -> None:
    """Assert that a refusal says when to come back, and nothing else."""
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == CATALOG[Reason.UNAVAILABLE].message
    trailers = dict(error.trailing_metadata() or ())
    assert trailers.keys() == {DETAILS_KEY}
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    first, second = status_pb2.Status.FromString(trailers[DETAILS_KEY]).details
    assert first.Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("UNAVAILABLE", "muster", {})
    assert second.Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() > 0


async def check_effects(ledger: Ledger, callers: list[Caller]) -> None:
    """Assert that each call that made a session has made one, however often it was repeated."""
    rows = await ledger.rows(
        "SELECT session_id FROM session.session WHERE title = $2 AND organization_id = "
        "(SELECT organization_id FROM session.session WHERE session_id = $1)",
        ledger.session_id,
        callers[0].person.name,
    )
    made = [session_id for each in callers for session_id in each.made]
    assert made
    assert sorted(row["session_id"] for row in rows) == sorted(made)
