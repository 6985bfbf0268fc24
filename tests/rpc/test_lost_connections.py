"""Connections that are cut, backends that are killed, a server that is away: nothing lost, nothing twice."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

import pytest
from muster_kit.db import (
    Transaction,
)
from muster_kit.db.migrate import APP_ROLE
from muster_kit.errors import MusterError, Reason
from sqlalchemy import text

from tests.conftest import TestStores
from tests.rpc.cutting_proxy import CuttingProxy
from tests.rpc.notes import (
    ANA,
    Listener,
    Notes,
    NotesService,
    adding,
    request,
    seq_answer,
    write,
)


async def test_a_backend_killed_in_mid_group_loses_and_doubles_nothing(
    service: NotesService, room_id: str
) -> None:
    listener = Listener()
    commands = service.commands(publisher=listener)
    inside, killed = asyncio.Event(), asyncio.Event()
    backends: list[int] = []

    async def doomed(notes: Notes) -> int:
        pid = await notes.transaction.connection.scalar(text("SELECT pg_backend_pid()"))
        backends.append(pid)
        seq = await notes.write("doomed")
        inside.set()
        await killed.wait()
        return seq

    writes = [
        asyncio.ensure_future(
            commands.run(ANA, room_id, doomed, request=request("doomed"), encode=seq_answer)
        ),
        *(
            asyncio.ensure_future(write(commands, room_id, f"note {i}", request_id=f"id {i}"))
            for i in range(9)
        ),
        *(asyncio.ensure_future(write(commands, room_id, f"unnamed {i}")) for i in range(9)),
    ]
    await inside.wait()
    await service.all("SELECT pg_terminate_backend(:pid, 5000)", pid=backends[0])
    killed.set()
    # Nothing was committed yet, so even those without a request_id are simply done again.
    await asyncio.gather(*writes)
    assert len(backends) == 2
    assert sorted(await service.notes(room_id)) == sorted(
        ["doomed", *(f"note {i}" for i in range(9)), *(f"unnamed {i}" for i in range(9))]
    )
    await commands.close()
    assert listener.heard(room_id) == dict(await service.events(room_id))


@pytest.mark.parametrize("landed", [True, False])
async def test_a_commit_nobody_heard_of_is_settled_for_requests_with_an_id(
    service: NotesService, room_id: str, proxy: CuttingProxy, landed: bool
) -> None:
    commands = service.commands(database=service.open(proxy.url))
    await write(commands, room_id, "warm")
    proxy.cut_at(b"COMMIT", delivers=landed)
    answer = await write(commands, room_id, "with an id", request_id="id")
    assert proxy.cuts == 1
    assert await write(commands, room_id, "with an id", request_id="id") == answer
    assert await service.notes(room_id) == ["warm", "with an id"]
    assert len(await service.events(room_id)) == 2


@pytest.mark.parametrize("landed", [True, False])
async def test_a_commit_nobody_heard_of_is_unavailable_for_requests_without_an_id(
    service: NotesService, room_id: str, proxy: CuttingProxy, landed: bool
) -> None:
    commands = service.commands(database=service.open(proxy.url))
    await write(commands, room_id, "warm")
    async with asyncio.timeout(10):
        proxy.cut_at(b"COMMIT", delivers=landed)
        with pytest.raises(MusterError) as refused:
            await write(commands, room_id, "without")
    assert refused.value.reason is Reason.UNAVAILABLE
    assert refused.value.retry_after
    assert await service.notes(room_id) == (["warm", "without"] if landed else ["warm"])


@pytest.mark.parametrize(
    "marker", [b"BEGIN", b"SAVEPOINT", b"RELEASE", b"ROLLBACK TO", b"set_config", b"note 3"]
)
async def test_a_connection_cut_before_the_commit_costs_nobody_anything(
    service: NotesService, room_id: str, proxy: CuttingProxy, marker: bytes
) -> None:
    async def refused(notes: Notes) -> int:
        raise MusterError(Reason.SESSION_FULL)

    commands = service.commands(database=service.open(proxy.url))
    proxy.cut_at(marker, delivers=False)
    first = asyncio.ensure_future(write(commands, room_id, "note"))
    await asyncio.sleep(0)
    outcomes = await asyncio.gather(
        first,
        *(write(commands, room_id, f"note {i}") for i in range(5)),
        commands.run(ANA, room_id, refused, request=request("x"), encode=seq_answer),
        write(commands, room_id, "last"),
        return_exceptions=True,
    )
    assert proxy.cuts == 1
    failed = [str(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]
    assert failed == ["SESSION_FULL"]
    assert sorted(await service.notes(room_id)) == ["last", "note", *(f"note {i}" for i in range(5))]
    await service.events(room_id)


async def test_clients_that_try_again_over_cut_connections_have_each_effect_once(
    service: NotesService, room_id: str, proxy: CuttingProxy
) -> None:
    chance = random.Random(7)
    processes = [service.commands(database=service.open(proxy.url)) for _ in range(2)]
    acknowledged: dict[str, bytes] = {}

    async def client(number: int) -> None:
        for i in range(8):
            name = f"{number}-{i}"
            while name not in acknowledged:
                with suppress(MusterError):
                    process = processes[chance.randrange(2)]
                    acknowledged[name] = await write(process, room_id, name, request_id=name)

    async def cutter() -> None:
        while True:
            proxy.cut_at(
                chance.choice([b"COMMIT", b"RELEASE", b"room_event", b"set_config"]),
                delivers=chance.random() < 0.5,
            )
            await proxy.was_cut.wait()
            if chance.random() < 0.2:
                proxy.cut_all()

    cutting = asyncio.ensure_future(cutter())
    await asyncio.gather(*(client(number) for number in range(8)))
    cutting.cancel()
    assert proxy.cuts > 5
    assert sorted(await service.notes(room_id)) == sorted(acknowledged)
    assert len(await service.events(room_id)) == 64
    assert await service.requests() == set(acknowledged)


async def test_work_on_a_connection_that_is_lost_is_done_again_once(
    service: NotesService, proxy: CuttingProxy
) -> None:
    database = service.open(proxy.url)
    work = adding("once")
    proxy.cut_at(b"once", delivers=True)
    assert await database.run("north", work) == "once"
    assert work.runs == 2
    assert await service.notes("") == ["once"]


async def test_a_commit_nobody_heard_of_is_done_again_only_if_that_does_no_harm(
    service: NotesService, proxy: CuttingProxy
) -> None:
    database = service.open(proxy.url)
    once, twice = adding("once"), adding("twice")
    proxy.cut_at(b"COMMIT", delivers=True)
    with pytest.raises(MusterError, match="UNAVAILABLE"):
        await database.run("north", once)
    proxy.cut_at(b"COMMIT", delivers=False)
    await database.run("north", twice, repeatable=True)
    assert (once.runs, twice.runs) == (1, 2)
    assert await service.notes("") == ["once", "twice"]


async def test_idle_connections_that_were_lost_are_not_handed_out(service: NotesService) -> None:
    database = service.open(service.urls.app_url, pool_size=3)
    await asyncio.gather(*(database.now() for _ in range(3)))
    await service.all(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND usename = 'muster_app'"
    )
    for _ in range(3):
        assert await database.now()


async def test_while_postgres_is_away_everything_is_unavailable_and_then_it_works_again(
    service: NotesService, stores: TestStores
) -> None:
    room_id = await service.new_room()
    commands = service.commands()
    attempts = (
        service.app.now,
        lambda: service.app.run("north", adding("away")),
        lambda: write(commands, room_id, "away", request_id="id"),
        lambda: write(commands, room_id, "away"),
    )
    await stores.postgres.stop()
    try:
        for attempt in attempts:
            with pytest.raises(MusterError) as refused:
                await attempt()
            assert refused.value.reason is Reason.UNAVAILABLE
            assert refused.value.retry_after == timedelta(seconds=1)
    finally:
        await stores.postgres.start()
    await write(commands, room_id, "back", request_id="id")
    assert await service.notes(room_id) == ["back"]


async def test_too_many_connections_are_unavailable(service: NotesService) -> None:
    await service.app.now()
    await service.all("SELECT 1")
    async with service.admin.connection() as connection:
        await connection.execute(text(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT 1"))
    try:
        with pytest.raises(MusterError, match="UNAVAILABLE"):
            await service.open(service.urls.app_url).now()
    finally:
        async with service.admin.connection() as connection:
            await connection.execute(text(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT -1"))


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
async def test_a_database_that_does_not_get_it_done_in_time_is_unavailable(
    service: NotesService, setting: str
) -> None:
    lock = text("LOCK TABLE notes.note IN EXCLUSIVE MODE")

    async def impatient(transaction: Transaction) -> None:
        await transaction.connection.execute(text(f"SET LOCAL {setting} = '20ms'"))
        await adding("late")(transaction)

    async with service.admin.connection() as holder:
        await holder.execute(lock)
        with pytest.raises(MusterError, match="UNAVAILABLE"):
            await service.app.run("north", impatient)
