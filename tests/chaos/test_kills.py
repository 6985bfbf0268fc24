"""Processes are killed in the middle of questions: nothing acknowledged is lost, nothing counts twice."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tests.chaos.conftest import Scale
from tests.chaos.history import check_agreement, check_log, check_views
from tests.chaos.ledger import Ledger, listed_board, listed_responses
from tests.chaos.machine import Machine
from tests.chaos.quiz import Quiz, open_quiz
from tests.chaos.resuming import check_resumable

SEED: Final = 20
BLOCKS: Final = 10
WORKER, POSTMASTER, BACKEND, VALKEY, CHILD = "a worker", "PostgreSQL", "a backend", "Valkey", "any child"
VICTIMS: Final = (WORKER, POSTMASTER, BACKEND, VALKEY, CHILD)


@dataclass(frozen=True, slots=True)
class Kill:
    """One process killed: seconds until it was back, and from then until an answer was accepted.

    When nobody was asking, these begin with the first who did.
    """

    victim: str
    away_seconds: float
    accepted_seconds: float


async def kill(machine: Machine, victim: str, rng: random.Random) -> float:
    """Kill a process, and return when it was back."""
    if victim == CHILD:
        victim = rng.choice([WORKER, POSTMASTER, VALKEY])
    pids = {
        WORKER: machine.workers,
        POSTMASTER: lambda: [machine.postmaster()],
        BACKEND: machine.backends,
        VALKEY: lambda: [machine.valkey()],
    }[victim]()
    pid = rng.choice(pids)
    assert pid is not None
    since = time.monotonic()
    if victim == BACKEND:
        # PostgreSQL ends all its other backends then, and recovers: nobody but itself tells of it.
        async with machine.cut_off():
            os.kill(pid, signal.SIGKILL)
        return await machine.until_queried()
    os.kill(pid, signal.SIGKILL)
    ended = await machine.until_told("ended", "worker" if victim == WORKER else victim, since=since)
    return (await machine.until_told("restarted", ended.unit, since=since)).at


async def disturb(machine: Machine, quiz: Quiz, victim: str, rng: random.Random, seconds: float) -> Kill:
    """Kill one process in the middle of a question."""
    before = len(quiz.acknowledged)
    await quiz.until(lambda: len(quiz.acknowledged) > before)
    await asyncio.sleep(rng.uniform(0, seconds))
    killed_at = time.monotonic()
    back_at = await kill(machine, victim, rng)
    return Kill(victim, back_at - killed_at, await quiz.until_accepted(since=back_at))


async def test_nothing_acknowledged_is_lost_when_processes_are_killed_again_and_again(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    rounds, players, seconds = (scale.rounds, 105, 6.0) if scale.is_full else (4, 32, 2.0)
    wanted = rounds * (1_000 if scale.is_full else 300)
    rng = random.Random(SEED)
    kills: list[Kill] = []
    async with open_quiz(machine.running, players=players, think_seconds=0.7 * seconds, seed=SEED) as quiz:
        while len(kills) < rounds or len(quiz.acknowledged) < wanted:
            victim = VICTIMS[len(kills)] if len(kills) < len(VICTIMS) else rng.choice(VICTIMS)
            disturbing = asyncio.create_task(disturb(machine, quiz, victim, rng, 0.3 * seconds))
            await quiz.play(BLOCKS, seconds=seconds)
            while not disturbing.done():
                await quiz.play(BLOCKS, seconds=seconds)
            kills.append(disturbing.result())
        await check(machine, quiz, figure)
    report(kills, quiz, figure)
    assert max(each.accepted_seconds for each in kills) <= 3.0


async def check(machine: Machine, quiz: Quiz, figure: Callable[[str, object], None]) -> None:
    """Assert everything that was promised."""
    ledger = Ledger(machine, quiz.session_id)
    settled = await ledger.settle(quiz)
    figure("acknowledged, lost, doubled, phantom", settled)
    assert (settled.lost, settled.doubled, settled.phantom) == (0, 0, 0)
    await ledger.check_sums()
    answers = await listed_responses(quiz.host, quiz.session_id)
    assert sorted(answers) == sorted(
        (each.round_id, each.participant_id, each.score) for each in quiz.acknowledged
    )
    ranking = await ledger.ranking()
    assert await listed_board(quiz.host, quiz.session_id) == ranking
    await quiz.board.until_shown(ranking)
    await check_deadlines(ledger, quiz, figure)
    await check_histories(ledger, quiz)


async def check_deadlines(ledger: Ledger, quiz: Quiz, figure: Callable[[str, object], None]) -> None:
    """Assert that the clock has closed every block once, and that nothing is left to fire."""
    events = await ledger.events()
    closed = [event.block_closed for event in events if event.HasField("block_closed")]
    assert [each.by_deadline for each in closed] == [True] * len(quiz.round_ids)
    assert sorted(each.round_id for each in closed) == sorted(quiz.round_ids)
    rounds = await ledger.rows(
        "SELECT round_id FROM scoring.round WHERE session_id = $1 AND status = 3", ledger.session_id
    )
    assert sorted(row["round_id"] for row in rounds) == sorted(quiz.round_ids)
    assert await ledger.rows("SELECT key FROM session.deadline WHERE room_id = $1", ledger.session_id) == []
    due = {
        event.block_activated.block.round_id: event.block_activated.block.close_time
        for event in events
        if event.HasField("block_activated")
    }
    late = [
        _seconds(event.create_time) - _seconds(due[event.block_closed.round_id])
        for event in events
        if event.HasField("block_closed")
    ]
    assert min(late) >= 0
    figure("deadlines fired once", len(closed))
    figure("latest deadline, seconds after its time", max(late))


async def check_histories(ledger: Ledger, quiz: Quiz) -> None:
    """Assert that everybody saw every event, once and in order, and could have gone on from anywhere."""
    log = await ledger.log()
    assert list(log) == list(range(1, len(log) + 1))
    histories = [quiz.history, *(player.history for player in quiz.players)]
    await quiz.until(lambda: all(history.bookmark_seq >= len(log) for history in histories))
    assert [fault for history in histories for fault in check_log(history, log)] == []
    assert check_agreement(histories) == []
    assert check_views(quiz.board.history) == []
    await check_resumable(quiz.host, quiz.session_id, quiz.history, log, samples=20, seed=SEED)


def report(kills: list[Kill], quiz: Quiz, figure: Callable[[str, object], None]) -> None:
    """Note what was measured."""
    for victim in VICTIMS:
        own = [each for each in kills if each.victim == victim]
        if own:
            figure(f"{victim} killed", f"{len(own)} times")
            figure(f"{victim} back after at most, s", max(each.away_seconds for each in own))
            figure(
                f"{victim}: first answer accepted after at most, s",
                max(each.accepted_seconds for each in own),
            )
    figure("longest wait of a player for an answer, s", max(each.seconds for each in quiz.acknowledged))
    figure("refused as too late", len(quiz.submitted) - len(quiz.acknowledged))
    outcomes = sum((player.person.calls for player in quiz.players), quiz.host.calls)
    figure("attempts by outcome", dict(outcomes))


def _seconds(time: Timestamp) -> float:
    return time.ToNanoseconds() / 1e9
