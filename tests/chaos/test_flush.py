"""Valkey loses everything in the middle of a quiz: boards, tickets and limits are as before."""

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from muster.scoring.v1 import board_service_pb2, round_service_pb2
from muster.session.v1 import session_service_pb2
from muster.stream.v1 import stream_pb2
from muster_kit.errors import Reason
from muster_kit.redis_client import open_redis
from muster_kit.rpc.status import received

from tests.chaos.board_watch import BoardWatch
from tests.chaos.conftest import Scale
from tests.chaos.history import check_log, check_views
from tests.chaos.ledger import Ledger, listed_board
from tests.chaos.machine import Machine
from tests.chaos.people import Person
from tests.chaos.players import yes_or_no
from tests.chaos.quiz import Quiz, open_quiz

SEED: Final = 7
BLOCKS: Final = 5
WATCHES: Final = 8
WRONG_GUESSES: Final = 10
DURABLE: Final = ("SubmitResponse", "SaveDraft", "WatchSession")
TICKETED: Final = (*DURABLE, "ListResponses", "ListEntries", "WatchRounds", "WatchBoard")


async def flush(machine: Machine) -> None:
    """Empty Valkey."""
    redis = open_redis(machine.stores.redis_url)
    await redis.flushall()
    await redis.aclose()


async def refusal(call: Any) -> Reason | None:
    """Why a call is refused, or a stream ended; None when it is not."""
    try:
        await (_drained(call) if isinstance(call, grpc.aio.UnaryStreamCall) else call)
    except grpc.aio.AioRpcError as error:
        told = received(error)
        if told is None:
            raise
        return told.reason
    return None


async def _drained(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_a_board_is_the_same_after_its_index_was_emptied(
    machine: Machine, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    players, seconds = (100, 4.0) if scale.is_full else (20, 2.0)
    rng = random.Random(SEED)
    slowest = 0.0
    async with open_quiz(machine.running, players=players, think_seconds=0.8 * seconds, seed=SEED) as quiz:
        # Over connections of their own, so that both workers have some.
        watches = [BoardWatch(player.person, quiz.session_id) for player in quiz.players[:WATCHES]]
        async with asyncio.TaskGroup() as watching:
            tasks = [watching.create_task(each.run()) for each in watches]
            watches.append(quiz.board)
            await quiz.play(BLOCKS, seconds=seconds)
            ledger = Ledger(machine, quiz.session_id)
            for flushed in range(1, max(1, scale.rounds) + 1):
                playing = asyncio.create_task(quiz.play(BLOCKS, seconds=seconds))
                await asyncio.sleep(rng.uniform(0.2, 0.6) * seconds)
                slowest = max(slowest, await flush_under(machine, watches, flushed))
                await playing
                await check_boards(ledger, quiz, watches, flushed)
            for task in tasks:
                task.cancel()
        log = await ledger.log()
        await quiz.until(lambda: all(each.history.bookmark_seq == len(log) for each in quiz.players))
        assert [fault for player in quiz.players for fault in check_log(player.history, log)] == []
    figure("Valkey emptied", f"{flushed} times")
    figure("watches told to start over, once each time", len(watches))
    figure("slowest of these, s", slowest)


async def flush_under(machine: Machine, watches: Sequence[BoardWatch], flushed: int) -> float:
    """Empty Valkey; returns after how many seconds the last watch was told to start over."""
    since = time.monotonic()
    await flush(machine)
    await asyncio.gather(*(watch.until_reset(flushed) for watch in watches))
    return time.monotonic() - since


async def check_boards(ledger: Ledger, quiz: Quiz, watches: Sequence[BoardWatch], flushed: int) -> None:
    """Assert that the listed and the watched boards are what the answers make, after one reset a flush."""
    ranking = await ledger.ranking()
    assert len(ranking) == len(quiz.players)
    assert await listed_board(quiz.host, quiz.session_id) == ranking
    for watch in watches:
        await watch.until_shown(ranking)
        assert resets(watch) == [stream_pb2.RESET_CAUSE_STORE_REBUILT] * flushed
        assert check_views(watch.history) == []
    await ledger.check_sums()


def resets(watch: BoardWatch) -> list[int]:
    """Why a watch was told to start over, each time."""
    return [frame.reset_cause for frame in watch.history.frames if frame.kind == "reset"]


async def test_who_was_sent_away_stays_away_although_nobody_remembers_it(
    machine: Machine, scale: Scale
) -> None:
    async with open_quiz(machine.running, players=3, think_seconds=0.5, seed=SEED) as quiz:
        await quiz.play(1, seconds=2)
        gone = quiz.players[0]
        ghost = Person.on(machine.address, "ghost", gone.person.token)
        quiz.leaves(gone)
        kick = session_service_pb2.KickParticipantRequest(
            request_id=uuid.uuid4().hex, session_id=quiz.session_id, participant_id=gone.participant_id
        )
        await quiz.host.call(quiz.host.sessions.KickParticipant, kick)
        await flush(machine)
        assert await refusals(ghost, quiz) == dict.fromkeys(TICKETED, Reason.TICKET_REVOKED)
        if scale.is_full:
            await restart_workers_after_flush(machine)
            told = await refusals(ghost, quiz)
            assert {name: told[name] for name in DURABLE} == dict.fromkeys(DURABLE, Reason.TICKET_REVOKED)
        await ghost.close()


async def restart_workers_after_flush(machine: Machine) -> None:
    """Let there be workers who know nothing by heart, and nothing from Valkey."""
    await flush(machine)
    since = time.monotonic()
    for pid in machine.workers():
        os.kill(pid, signal.SIGKILL)
    for unit in ("worker 1", "worker 2"):
        await machine.until_told("restarted", unit, since=since)


async def refusals(person: Person, quiz: Quiz) -> dict[str, Reason | None]:
    """Why somebody is refused everything that takes a ticket, while a question is open."""
    rounds = len(quiz.round_ids)
    playing = asyncio.create_task(quiz.play(1, seconds=2))
    await quiz.until(lambda: len(quiz.round_ids) > rounds)
    told = {name: await refusal(call) for name, call in calls_of(person, quiz).items()}
    await playing
    return told


def calls_of(person: Person, quiz: Quiz) -> dict[str, Any]:
    """What takes a ticket, being called."""
    session_id, round_id, metadata = quiz.session_id, quiz.round_ids[-1], person.metadata
    answer = {"request_id": uuid.uuid4().hex, "round_id": round_id, "answer": yes_or_no(True)}
    return {
        "SubmitResponse": person.rounds.SubmitResponse(
            round_service_pb2.SubmitResponseRequest(**answer), metadata=metadata
        ),
        "SaveDraft": person.rounds.SaveDraft(round_service_pb2.SaveDraftRequest(**answer), metadata=metadata),
        "ListResponses": person.rounds.ListResponses(
            round_service_pb2.ListResponsesRequest(session_id=session_id), metadata=metadata
        ),
        "ListEntries": person.boards.ListEntries(
            board_service_pb2.ListEntriesRequest(board_id=session_id), metadata=metadata
        ),
        "WatchRounds": person.rounds.WatchRounds(
            round_service_pb2.WatchRoundsRequest(session_id=session_id, replay_only=True), metadata=metadata
        ),
        "WatchBoard": person.boards.WatchBoard(
            board_service_pb2.WatchBoardRequest(board_id=session_id, replay_only=True), metadata=metadata
        ),
        "WatchSession": person.sessions.WatchSession(
            session_service_pb2.WatchSessionRequest(session_id=session_id, replay_only=True),
            metadata=metadata,
        ),
    }


async def test_wrong_guesses_stay_counted(machine: Machine) -> None:
    organization = f"chaos-{uuid.uuid4().hex[:8]}"
    token = machine.running.user_token("guesser", role="member", organization=organization)
    guesser = Person.on(machine.address, "guesser", token)

    async def guess() -> Reason | None:
        request = session_service_pb2.JoinSessionRequest(request_id=uuid.uuid4().hex, join_code="ZZZZZZ")
        return await refusal(guesser.sessions.JoinSession(request, metadata=guesser.metadata))

    try:
        assert {await guess() for _ in range(WRONG_GUESSES)} == {Reason.JOIN_REFUSED}
        assert await guess() is Reason.RATE_LIMITED
        await flush(machine)
        assert await guess() is Reason.RATE_LIMITED
    finally:
        await guesser.close()
