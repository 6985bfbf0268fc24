"""Row 3: answers and scores over streams and in batches, acknowledged when durable and ranked."""

from collections.abc import Awaitable, Callable, Sequence

import grpc
from google.protobuf.duration_pb2 import Duration
from muster.scoring.v1 import board_pb2, board_service_pb2, round_service_pb2
from muster.scoring.v1.board_service_pb2_grpc import BoardServiceStub

from tests.bench.bench_row import Effort
from tests.bench.figures import Figure, at_least
from tests.bench.generator import Burst, Generator, Load
from tests.bench.stack import ORGANIZATION, NotMeasuredError, Seeded, Stack, new_stack
from tests.bench.submissions import answer_of

_PARTICIPANTS, _ENTRIES = 1000, 1000
_STREAMS, _WINDOW = 4, 1024
_BATCH = 100
# More than one worker takes in a second: nothing may run out.
_MOST_RESPONSES, _MOST_SCORES = 20_000, 60_000
_BOARD = "bench"
_REFUSED_RESPONSE, _REFUSED_SCORES = 4, 2
_MICRO = 1e6


async def responses(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure StreamResponses of a service that answers for a session's players; one worker."""
    share = int(_MOST_RESPONSES * effort.seconds / _BATCH)
    async with new_stack() as stack:
        rounds = share * _BATCH * (effort.rounds + 1) // _PARTICIPANTS + 1
        seeded = await stack.seed("bench", participants=_PARTICIPANTS, rounds=min(rounds, 500))
        calls = [(0, request) for request in _answers(seeded)]
        load = [
            Load(
                "/muster.scoring.v1.RoundService/StreamResponses",
                [stack.service_token()],
                calls[number * share : (number + 1) * share],
            )
            for number in range(effort.rounds + 1)
        ]
        parts = iter(load)

        async def burst() -> Burst:
            burst = await generator.streams(
                *(stack.address, next(parts)),
                seconds=effort.seconds,
                streams=_STREAMS,
                window=_WINDOW // _BATCH,
                refused_field=_REFUSED_RESPONSE,
            )
            return Burst(burst.done * _BATCH, burst.seconds)

        return await _rate(f"StreamResponses, {_BATCH} a message", 10_000, stack, effort, burst)


async def scores(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure StreamSubmitScores and BatchSubmitScores of a service, on a board that adds; one worker."""
    async with new_stack() as stack:
        await _make_board(stack)
        token = stack.service_token()
        messages = Load(
            "/muster.scoring.v1.BoardService/StreamSubmitScores",
            [token],
            [(0, _message(number)) for number in range(int(_MOST_SCORES * effort.seconds / _BATCH))],
        )
        batches = Load(
            "/muster.scoring.v1.BoardService/BatchSubmitScores",
            [token],
            [(0, _batch(number)) for number in range(int(_MOST_SCORES * effort.seconds / _BATCH))],
        )

        async def streamed() -> Burst:
            burst = await generator.streams(
                *(stack.address, messages),
                seconds=effort.seconds,
                streams=_STREAMS,
                window=_WINDOW // _BATCH,
                refused_field=_REFUSED_SCORES,
            )
            return Burst(burst.done * _BATCH, burst.seconds)

        async def batched() -> Burst:
            burst = await generator.unary(
                *(stack.address, batches), seconds=effort.seconds, concurrency=8, connections=4
            )
            return Burst(burst.done * _BATCH, burst.seconds)

        return [
            *await _rate(f"StreamSubmitScores, {_BATCH} a message", 25_000, stack, effort, streamed),
            *await _rate(f"BatchSubmitScores, {_BATCH} a call", 25_000, stack, effort, batched),
        ]


async def _rate(
    label: str, bound: float, stack: Stack, effort: Effort, burst: Callable[[], Awaitable[Burst]]
) -> list[Figure]:
    await burst()
    rates, worker, stores = [], [], []
    for _ in range(effort.rounds):
        before = stack.worker_seconds(), stack.store_seconds()
        done = await burst()
        rates.append(done.rate)
        worker.append((stack.worker_seconds() - before[0]) / done.done * _MICRO)
        stores.append((stack.store_seconds() - before[1]) / done.done * _MICRO)
    return [
        Figure(label, rates, "/s", at_least(bound)),
        Figure("worker's CPU for each", worker, "µs"),
        Figure("stores' CPU for each", stores, "µs"),
    ]


def _answers(seeded: Seeded) -> list[bytes]:
    # Field 1, the sequence, is the generator's to add.
    return [
        round_service_pb2.StreamResponsesRequest(
            session_id=seeded.session_id,
            round_id=round_id,
            answers=[
                round_service_pb2.ParticipantAnswer(
                    participant_id=seeded.participant_ids[seat],
                    answer=answer_of(number + seat),
                    request_id=f"bench-{number}-{seat}",
                )
                for seat in range(first, first + _BATCH)
            ],
        ).SerializeToString()
        for number, round_id in enumerate(seeded.round_ids)
        for first in range(0, _PARTICIPANTS, _BATCH)
    ]


def _message(number: int) -> bytes:
    request = board_service_pb2.StreamSubmitScoresRequest(board_id=_BOARD, submissions=_submissions(number))
    return request.SerializeToString()


def _batch(number: int) -> bytes:
    request = board_service_pb2.BatchSubmitScoresRequest(
        board_id=_BOARD, submissions=_submissions(number), omit_results=True
    )
    return request.SerializeToString()


def _submissions(number: int) -> list[board_pb2.ScoreSubmission]:
    return [_submission(number * _BATCH + place) for place in range(_BATCH)]


def _submission(number: int) -> board_pb2.ScoreSubmission:
    return board_pb2.ScoreSubmission(
        entry_id=f"player-{number % _ENTRIES}", score=number % 97 + 1, duration=Duration(seconds=1)
    )


async def _make_board(stack: Stack) -> None:
    request = board_service_pb2.CreateBoardRequest(
        organization_id=ORGANIZATION,
        board_id=_BOARD,
        title="Bench",
        operator=board_pb2.BOARD_OPERATOR_INCREMENT,
    )
    metadata = (("authorization", f"Bearer {stack.service_token()}"),)
    async with grpc.aio.insecure_channel(stack.address) as channel:
        try:
            await BoardServiceStub(channel).CreateBoard(request, metadata=metadata, timeout=30)
        except grpc.aio.AioRpcError as error:
            raise NotMeasuredError(f"CreateBoard: {error.code().name}") from error
