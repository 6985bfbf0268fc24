"""Row 5: the store's write path, and the whole call, against triggers that recount and rank."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from operator import truediv
from pathlib import Path

from muster_kit.db import Database
from muster_kit.db.group_commit import GroupCommit
from muster_scoring.convert import Codec
from muster_scoring.convert_answers import answer_from_proto
from muster_scoring.grading import answer_tokens, grade
from muster_scoring.model import Entry, Round, Seat
from muster_scoring.points import score
from muster_scoring.store import Outcome, Verdict
from muster_scoring.store_responses import PostgresResponses
from muster_scoring.store_results import PostgresResults

from tests.bench.bench_row import Effort
from tests.bench.figures import Figure, at_least
from tests.bench.generator import Burst, Generator
from tests.bench.stack import ORGANIZATION, NotMeasuredError, Seeded, Stack, new_stack
from tests.bench.submissions import Submissions, answer_of
from tests.bench.triggers import AS_WRITTEN, SPARING, Triggers, triggers

_PARTICIPANTS = 300
_ROUNDS = 500
_WAITING = 1024
_CONNECTIONS = (1, 8)


async def background_design(generator: Generator, effort: Effort) -> Sequence[Figure]:
    """Measure in turns: responses by triggers, by our store, and by our rpc; all durable and counted."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(new_stack())

        async def opponent(name: str, *schemas: Path) -> Triggers:
            return await exits.enter_async_context(
                triggers(*(stack, name, *schemas), participants=_PARTICIPANTS, connections=max(_CONNECTIONS))
            )

        as_written = await opponent("as_written", AS_WRITTEN)
        sparing = await opponent("sparing", AS_WRITTEN, SPARING)
        # One turn more than is measured: it warms up.
        turns = effort.rounds + 1
        stored = await stack.seed("store", participants=_PARTICIPANTS, rounds=_ROUNDS)
        submissions = Submissions(await stack.seed("calls", participants=_PARTICIPANTS, rounds=_ROUNDS))
        write_path = await exits.enter_async_context(_write_path(stack, stored))
        share = submissions.left // turns
        rates = [
            (
                (await write_path.burst(_ROUNDS * _PARTICIPANTS // turns)).rate,
                (await _best(as_written, effort.seconds)).rate,
                (await _best(sparing, effort.seconds)).rate,
                (await generator.unary(stack.address, submissions.take(share), seconds=effort.seconds)).rate,
            )
            for _ in range(turns)
        ]
    rows, theirs, spared, calls = zip(*rates[1:], strict=True)
    return [
        Figure("rows stored, to triggers", list(map(truediv, rows, theirs)), "×", at_least(200)),
        Figure("rows stored, to sparing triggers", list(map(truediv, rows, spared)), "×"),
        Figure("whole calls, to triggers", list(map(truediv, calls, theirs)), "×"),
        Figure("triggers", theirs, "/s"),
        Figure("sparing triggers: changed ranks only", spared, "/s"),
        Figure("ours, rows stored", rows, "/s"),
        Figure("ours, whole calls", calls, "/s"),
    ]


async def _best(opponent: Triggers, seconds: float) -> Burst:
    """Whichever number of connections serves it better."""
    bursts = [await opponent.burst(seconds=seconds / 2, connections=count) for count in _CONNECTIONS]
    return max(bursts, key=lambda burst: burst.rate)


class _WritePath:
    """Graded answers through group commit into the store, without the call around them."""

    def __init__(self, store: PostgresResponses, entries: Iterator[Entry]) -> None:
        self._group: GroupCommit[Entry, Outcome] = GroupCommit(partial(store.submit, wait=False))
        self._entries = entries

    async def burst(self, count: int) -> Burst:
        """Store so many, with many waiting at once as under load."""
        # Made beforehand: grading is part of the call, and measured there.
        entries = iter(list(islice(self._entries, count)))
        start = time.monotonic()

        async def write() -> None:
            for entry in entries:
                outcome = await self._group.submit(entry)
                if outcome.verdict is not Verdict.ACCEPTED:
                    raise NotMeasuredError(f"The store said {outcome.verdict.name}.")

        async with asyncio.TaskGroup() as group:
            for _ in range(_WAITING):
                group.create_task(write())
        return Burst(count, time.monotonic() - start)


@asynccontextmanager
async def _write_path(stack: Stack, seeded: Seeded) -> AsyncIterator[_WritePath]:
    database, writer = Database.open(stack.url("muster_app")), Database.open(stack.url("muster_writer"))
    results = PostgresResults(database, writer, Codec())
    store = PostgresResponses(stack.url("muster_writer"))
    try:
        found = [await results.read_round(ORGANIZATION, round_id) for round_id in seeded.round_ids]
        yield _WritePath(store, _entries(seeded, [round_ for round_ in found if round_ is not None]))
    finally:
        await store.close()
        await writer.close()
        await database.close()


def _entries(seeded: Seeded, rounds: Sequence[Round]) -> Iterator[Entry]:
    for number, round_ in enumerate(rounds):
        for place, participant_id in enumerate(seeded.participant_ids):
            answer = answer_of(number + place)
            plain = answer_from_proto(answer)
            graded, now = grade(round_.key, plain), datetime.now(UTC)
            elapsed = round_.elapsed(now)
            yield Entry(
                seat=Seat(
                    session_id=seeded.session_id,
                    participant_id=participant_id,
                    organization_id=ORGANIZATION,
                    generation=1,
                    display_name=f"player {place}",
                ),
                round=round_,
                request_id=f"bench-{number}-{place}",
                answer=answer.SerializeToString(),
                tokens=answer_tokens(round_.key, plain),
                grade=graded,
                parts=score(graded, round_.rules, elapsed=elapsed, limit=round_.time_limit, streak=0),
                duration=elapsed,
                submit_time=now,
            )
