"""Transactions and sweeps, against a real PostgreSQL."""

import traceback
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from muster_kit.db import Transaction, sweep_requests
from muster_kit.db.engine import asyncpg_url
from muster_kit.db.faults import DatabaseAwayError, UnstorableError, fault_of
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.rpc.cutting_proxy import CuttingProxy
from tests.rpc.notes import (
    TABLES,
    NotesService,
    adding,
)


async def test_a_transaction_is_kept_whole_or_not_at_all(service: NotesService) -> None:
    await service.app.run("north", adding("kept"))

    async def fails(transaction: Transaction) -> None:
        await adding("lost")(transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await service.app.run("north", fails)
    assert await service.notes("") == ["kept"]


async def test_a_commit_after_an_error_somebody_caught_is_an_error(service: NotesService) -> None:
    async def hushes_up(transaction: Transaction) -> None:
        await adding("lost")(transaction)
        with pytest.raises(DBAPIError):
            await transaction.connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DBAPIError, match="had failed"):
        await service.app.run("north", hushes_up)
    assert await service.notes("") == []


@pytest.mark.parametrize("statement", ["SELECT CAST(:value AS integer)", "SELECT CAST('secret' AS integer)"])
async def test_an_error_that_quotes_a_value_does_not_reach_the_log(
    service: NotesService, statement: str
) -> None:
    async def fails(transaction: Transaction) -> None:
        values = {"value": "secret"} if ":value" in statement else {}
        await transaction.connection.execute(text(statement), values)

    with pytest.raises(UnstorableError) as raised:
        await service.app.run("north", fails)
    logged = "".join(traceback.format_exception(raised.value))
    assert "UnstorableError" in logged
    # The statement itself is the caller's line in the test above, not what the database said.
    assert "invalid input" not in logged


async def test_a_connection_that_the_driver_lost_track_of_is_away(service: NotesService) -> None:
    times = iter([asyncpg.InternalClientError("cannot switch to state 15"), None])

    async def fails_once(transaction: Transaction) -> str:
        if (error := next(times)) is not None:
            raise error
        return "done"

    assert await service.app.run("north", fails_once) == "done"
    fault = fault_of(asyncpg.InternalClientError("cannot switch to state 15"), commit_unknown=True)
    assert isinstance(fault, DatabaseAwayError)
    assert fault.commit_unknown


async def test_now_is_the_databases_time(service: NotesService) -> None:
    before = await service.app.now()
    async with service.app.transaction("north") as transaction:
        assert before < transaction.now < await service.app.now()
    assert abs(datetime.now(UTC) - before) < timedelta(seconds=60)


async def test_asking_for_the_time_is_one_round_trip(service: NotesService, proxy: CuttingProxy) -> None:
    database = service.open(proxy.url, pool_size=1)
    for _ in range(2):
        await database.now()
    proxy.round_trips = 0
    await database.now()
    assert proxy.round_trips == 1


async def test_a_plan_that_a_migration_made_invalid_is_made_anew(service: NotesService) -> None:
    database = service.open(service.urls.app_url, pool_size=1)

    async def all_columns(transaction: Transaction) -> int:
        result = await transaction.connection.execute(text("SELECT * FROM notes.note"))
        return len(result.keys())

    assert await database.run("north", all_columns) == 4
    async with service.admin.connection() as connection:
        await connection.execute(text("ALTER TABLE notes.note ADD COLUMN colour text"))
    assert await database.run("north", all_columns) == 5


def test_an_address_may_be_written_as_libpq_writes_it() -> None:
    url = asyncpg_url("postgresql://app:p%40ss@db.example:6432/muster?sslmode=require")
    assert url.drivername == "postgresql+asyncpg"
    assert url.query == {"ssl": "require"}
    assert (url.username, url.password, url.host, url.port) == ("app", "p@ss", "db.example", 6432)


async def test_answered_requests_are_kept_for_a_day_and_then_removed(
    two_organizations: NotesService,
) -> None:
    service = two_organizations
    assert await sweep_requests(service.writer, TABLES.request) == 0
    await service.all(
        "UPDATE notes.request SET create_time = now() - interval '25 hours' "
        "WHERE organization_id = 'north' RETURNING 1"
    )
    assert await sweep_requests(service.writer, TABLES.request) == 1
    assert await service.all("SELECT organization_id FROM notes.request") == [("south",)]
    with pytest.raises(ValueError, match="kept"):
        await sweep_requests(service.writer, TABLES.request, kept=timedelta(hours=23))
