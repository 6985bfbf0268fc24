"""Those who come at once share what they read: a few transactions, however many they are."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from muster_kit.db import Database, Transaction
from muster_presence.shared_reads import SharedReads
from sqlalchemy import text

from tests.rpc.house import House


@pytest.fixture
async def database(house: House) -> AsyncIterator[Database]:
    database = Database.open(house.urls.app_url, pool_size=1)
    yield database
    await database.close()


async def test_those_who_ask_at_once_are_answered_together(database: Database) -> None:
    asked: list[tuple[str, int]] = []

    async def double(transaction: Transaction, numbers: Sequence[int]) -> Mapping[int, int]:
        asked.append((transaction.organization_id, len(numbers)))
        query = text("SELECT number, 2 * number FROM unnest(CAST(:numbers AS int[])) AS number")
        rows = await transaction.connection.execute(query, {"numbers": list(numbers)})
        return {number: doubled for number, doubled in rows if number < 90}

    reads = SharedReads(database, double, most=40)
    questions = [("one", number) for number in range(100)] + [("other", number) for number in range(3)]
    answers = await asyncio.gather(*(reads.ask(*each) for each in questions))
    assert answers == [2 * number if number < 90 else None for _, number in questions]
    assert sorted(asked) == [("one", 20), ("one", 40), ("one", 40), ("other", 3)]
    await asyncio.sleep(0)
    assert not reads._queues


async def test_a_failure_is_told_to_all_who_share_it_and_to_nobody_after(database: Database) -> None:
    failures = [ValueError("not now")]

    async def read(_: Transaction, keys: Sequence[str]) -> Mapping[str, str]:
        if failures:
            raise failures.pop()
        return {key: key for key in keys}

    reads = SharedReads(database, read)
    answers = await asyncio.gather(*(reads.ask("org", key) for key in "abc"), return_exceptions=True)
    assert [str(each) for each in answers] == ["not now"] * 3
    assert await reads.ask("org", "d") == "d"
