"""What reading costs: nothing large is read from end to end, and no key is decoded in vain.

Plans are made while the tables are empty and nobody collects statistics: the worst that can happen to a
planner. Then the tables grow under its feet.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import pytest
from muster.scoring.v1 import round_service_pb2
from muster_kit.db import Database
from muster_scoring.convert import Codec
from muster_scoring.model import Round
from muster_scoring.model_answers import AnswerKey
from muster_scoring.rounds_monitor import RoundsMonitor
from muster_scoring.store import ResponseFilter
from muster_scoring.store_postgres import PostgresLedger
from muster_scoring.store_results import PostgresResults
from muster_scoring.views_rounds import RoundsView, RoundsViewer
from sqlalchemy import event

from tests.conftest import DatabaseUrls, TestStores
from tests.rpc.scoring_fixtures import prepare
from tests.rpc.scoring_game import choices_key

ROUNDS, PARTICIPANTS, SESSIONS = 60, 1000, 60
LARGE = ("response", "draft", "participant")

_BEGIN = (
    *(f"ALTER TABLE scoring.{table} SET (autovacuum_enabled = false)" for table in ("round", *LARGE)),
    f"""
    INSERT INTO scoring.session (session_id, organization_id, host_user_id, seq)
    SELECT 's' || s, 'o', 'host', {ROUNDS * PARTICIPANTS} FROM generate_series(1, {SESSIONS}) AS s
    """,
    f"""
    INSERT INTO scoring.round (
        round_id, session_id, organization_id, block_id, ordinal, status, graded, withheld, open_time,
        answer_key, rules, streak_step, streak_maximum, change_seq, response_count
    )
    SELECT
        'r' || r, 's1', 'o', 'b' || r, r, 1, true, true, now(), decode('{{key}}', 'hex'), '', 0, 0,
        r * {PARTICIPANTS}, {PARTICIPANTS}
    FROM generate_series(1, {ROUNDS}) AS r
    """,
)
_GROW = (
    f"""
    INSERT INTO scoring.participant (session_id, participant_id, organization_id, response_count, streak)
    SELECT 's' || s, 'p' || p, 'o', {ROUNDS}, 1
    FROM generate_series(1, {PARTICIPANTS}) AS p, generate_series(1, {SESSIONS}) AS s
    """,
    f"""
    INSERT INTO scoring.response
    SELECT
        'r' || r, 'p' || p, 's1', 'o', (r - 1) * {PARTICIPANTS} + p, '', '', '', 2, 1, 1, 0, 0, 0, 1, 1, 10,
        now(), false, r
    FROM generate_series(1, {ROUNDS}) AS r, generate_series(1, {PARTICIPANTS}) AS p
    """,
    # Of everybody who has answered, and of as many who have not.
    f"""
    INSERT INTO scoring.draft
    SELECT 'r' || r, 'p' || p, 's1', 'o', 1, '', '', now(), '{{}}', '{{}}', '{{}}'
    FROM generate_series(1, {ROUNDS}) AS r, generate_series(1, {2 * PARTICIPANTS}) AS p
    """,
)


async def no_board(_: str) -> bool:
    return False


class CountingCodec(Codec):
    """Counts the keys that are decoded."""

    def __init__(self) -> None:
        self.decoded = 0

    def read_key(self, data: bytes) -> AnswerKey:
        self.decoded += 1
        return super().read_key(data)


@dataclass(frozen=True, slots=True)
class Read:
    """Rows that PostgreSQL read of a table."""

    from_end_to_end: int
    by_index: int


class Reader:
    """The stores over one connection, whose plans are as old as it is."""

    def __init__(self, urls: DatabaseUrls) -> None:
        self._admin_url = urls.admin_url
        self._database = Database.open(urls.app_url, pool_size=1)
        self.codec = CountingCodec()
        self.statements = 0
        event.listen(self._database._engine.sync_engine, "before_cursor_execute", self._count)
        self.results = PostgresResults(self._database, self._database, self.codec)

    async def close(self) -> None:
        await self._database.close()

    async def in_ledger(self, work: Callable[[PostgresLedger, Round], Awaitable[Any]]) -> None:
        """Do something to a round, and take it back."""
        async with self._database.transaction("o") as transaction:
            ledger = PostgresLedger(transaction, self.codec, is_board=no_board)
            round_ = await ledger.round("r7")
            assert round_ is not None
            await work(ledger, round_)
            await transaction.connection.rollback()

    async def cost(self, work: Callable[[], Awaitable[Any]]) -> Mapping[str, Read]:
        """What something reads of each large table, as PostgreSQL counts it."""
        before = await self._counters()
        await work()
        after = await self._counters()
        return {
            table: Read(*(b - a for a, b in zip(before[table], after[table], strict=True))) for table in LARGE
        }

    def _count(self, *_: object) -> None:
        self.statements += 1

    async def _counters(self) -> Mapping[str, tuple[int, int]]:
        async with self._database.connection() as connection:
            await connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        admin = await asyncpg.connect(self._admin_url)
        try:
            rows = await admin.fetch(
                "SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables"
                " WHERE schemaname = 'scoring'"
            )
        finally:
            await admin.close()
        return {row["relname"]: (row["seq_tup_read"], row["idx_tup_fetch"] or 0) for row in rows}


def _own(reader: Reader) -> Awaitable[Any]:
    return reader.results.responses("o", ResponseFilter("s1", "", "p5"), after_seq=0, limit=51)


def _page(reader: Reader) -> Awaitable[Any]:
    return reader.results.responses("o", ResponseFilter("s1"), after_seq=30_000, limit=51)


def _newest(reader: Reader) -> Awaitable[Any]:
    return reader.results.newest_responses("o", "s1", after_seq=0, until_seq=60_000, limit=50)


def _drafts(reader: Reader) -> Awaitable[Any]:
    return reader.in_ledger(lambda ledger, round_: ledger.drafts(round_.round_id))


def _settle(reader: Reader) -> Awaitable[Any]:
    return reader.in_ledger(lambda ledger, round_: ledger.settle(round_, 60_000))


def _take_back(reader: Reader) -> Awaitable[Any]:
    return reader.in_ledger(lambda ledger, round_: ledger.take_back(round_, 60_000))


def _results(reader: Reader) -> Awaitable[Any]:
    return reader.results.results("o", "s1", after=None, limit=50)


def _ranked(reader: Reader) -> Awaitable[Any]:
    return reader.results.ranked_page("o", "s1", after=None, limit=50)


_WORK = (_own, _page, _newest, _drafts, _settle, _take_back, _results, _ranked)


@pytest.fixture(scope="module")
async def reader(stores: TestStores) -> AsyncIterator[Reader]:
    urls = await stores.copy_of("scoring", prepare)
    admin = await asyncpg.connect(urls.admin_url)
    for statement in _BEGIN:
        await admin.execute(statement.replace("{key}", choices_key().SerializeToString().hex()))
    reader = Reader(urls)
    for work in _WORK:
        # From the sixth time on a plan is kept for good.
        for _ in range(7):
            await work(reader)
    for statement in _GROW:
        await admin.execute(statement)
    await admin.close()
    yield reader
    await reader.close()
    await stores.drop_database(urls)


@pytest.mark.parametrize(
    ("work", "bounds"),
    [
        (_own, {"response": ROUNDS}),
        (_page, {"response": 51}),
        (_newest, {"response": 50}),
        (_drafts, {"draft": 2 * PARTICIPANTS, "response": PARTICIPANTS}),
        (_settle, {"participant": 3 * PARTICIPANTS, "response": PARTICIPANTS}),
        (_take_back, {"participant": 4 * PARTICIPANTS, "response": (ROUNDS + 3) * PARTICIPANTS}),
        (_results, {"participant": PARTICIPANTS}),
        (_ranked, {"participant": PARTICIPANTS}),
    ],
    ids=lambda each: each.__name__.strip("_") if callable(each) else "",
)
async def test_nothing_large_is_read_from_end_to_end(
    reader: Reader, work: Callable[[Reader], Awaitable[Any]], bounds: Mapping[str, int]
) -> None:
    cost = await reader.cost(partial(work, reader))
    for table, read in cost.items():
        assert read.from_end_to_end == 0
        assert read.by_index <= bounds.get(table, 0)


async def _answer(reader: Reader, seq: int) -> None:
    """Somebody answers the seventh round."""
    async with reader._database.transaction("o") as transaction:
        await transaction.connection.exec_driver_sql(
            f"UPDATE scoring.round SET change_seq = {seq}, response_count = response_count + 1"
            " WHERE round_id = 'r7'"
        )
        await transaction.connection.exec_driver_sql(
            f"INSERT INTO scoring.response SELECT 'r7', 'late{seq}', 's1', 'o', {seq}, '', '', '', 2, 1, 1,"
            " 0, 0, 0, 1, 1, 10, now(), false, 1"
        )


def _shown(view: RoundsView, *, is_staff: bool, last_version: int | None) -> round_service_pb2.RoundsView:
    return round_service_pb2.RoundsView.FromString(view.render(RoundsViewer(is_staff), last_version) or b"")


@pytest.mark.parametrize("is_staff", [False, True], ids=["participants", "staff"])
async def test_a_moment_of_watching_reads_what_changed_alone(reader: Reader, *, is_staff: bool) -> None:
    monitor = RoundsMonitor(reader.results, "o", "s1")
    with monitor.staff() if is_staff else nullcontext():
        first = await monitor.compute()
        assert first is not None
        if is_staff:
            await monitor.show_answers()
        whole = _shown(first, is_staff=is_staff, last_version=None)
        assert (len(whole.rounds), len(whole.recent_responses)) == (ROUNDS, 50 if is_staff else 0)

        await _answer(reader, first.version + 1)
        decoded, statements = reader.codec.decoded, reader.statements
        views: list[RoundsView | None] = []

        async def compute() -> None:
            views.append(await monitor.compute())

        cost = await reader.cost(compute)
        (view,) = views
        assert view is not None
        change = _shown(view, is_staff=is_staff, last_version=first.version)
        assert [each.round_id for each in change.rounds] == ["r7"]
        assert len(change.recent_responses) == is_staff
        # Each read begins with a statement of its own, and the counters take two.
        assert reader.statements - statements == 2 + (5 if is_staff else 3)
        assert cost["response"] == Read(0, is_staff)
        assert (cost["participant"], cost["draft"]) == (Read(0, 0), Read(0, 0))
        assert reader.codec.decoded == decoded


async def test_staff_who_come_late_are_shown_the_answers_of_before(reader: Reader) -> None:
    monitor = RoundsMonitor(reader.results, "o", "s1")
    view = await monitor.compute()
    assert view is not None
    assert not _shown(view, is_staff=False, last_version=None).recent_responses
    with monitor.staff():
        await monitor.show_answers()
        assert len(_shown(view, is_staff=True, last_version=None).recent_responses) == 50
        assert not _shown(view, is_staff=False, last_version=None).recent_responses
