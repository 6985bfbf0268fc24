"""Each request has its effect once, repeated in whatever way."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from muster_kit.caller import Caller, CallerKind
from muster_kit.db import (
    Commands,
    Requests,
    Transaction,
)
from muster_kit.db.faults import UnstorableError
from muster_kit.errors import MusterError, Reason
from muster_kit.ids import new_id
from sqlalchemy import insert, text

from tests.rpc.cutting_proxy import CuttingProxy
from tests.rpc.notes import (
    ANA,
    BEN,
    NOTE,
    TABLES,
    Listener,
    Notes,
    NotesService,
    request,
    seq_answer,
    text_answer,
    write,
    writing,
)
from tests.waiting import until


async def test_a_request_repeated_in_parallel_has_one_effect_and_one_answer(
    service: NotesService, room_id: str
) -> None:
    listener = Listener()
    processes = [
        service.commands(publisher=listener),
        service.commands(publisher=listener, database=service.open(service.urls.app_url)),
    ]
    answers = await asyncio.gather(
        *(write(processes[i % 2], room_id, "once", request_id="id") for i in range(50))
    )
    assert len(set(answers)) == 1
    assert await service.notes(room_id) == ["once"]
    assert await service.events(room_id) == [(1, b"1:once")]
    for process in processes:
        await process.close()
    assert len(listener.runs) == 1


async def test_a_room_asked_for_in_parallel_is_made_once(service: NotesService) -> None:
    processes = [service.commands(), service.commands(database=service.open(service.urls.app_url))]

    def create(process: Commands[Notes]) -> Awaitable[bytes]:
        room_id = new_id()

        async def use_case(notes: Notes) -> str:
            await notes.write("made")
            return room_id

        return process.create(ANA, room_id, use_case, request=request("x", "id"), encode=text_answer)

    answers = await asyncio.gather(*(create(processes[i % 2]) for i in range(20)))
    (answer,) = set(answers)
    room_id = StringValue.FromString(answer).value
    assert await service.all("SELECT room_id FROM notes.room_log") == [(room_id,)]
    assert await service.notes(room_id) == ["made"]


async def test_a_request_id_used_for_something_else_is_refused(service: NotesService, room_id: str) -> None:
    commands = service.commands()
    other_room = await service.new_room()
    await write(commands, room_id, "first", request_id="id")
    for room, note in ((room_id, "second"), (other_room, "first")):
        with pytest.raises(MusterError, match="REQUEST_ID_REUSED"):
            await write(commands, room, note, request_id="id")
    outcomes = await asyncio.gather(
        *(write(commands, room_id, f"note {i}", request_id="another") for i in range(10)),
        return_exceptions=True,
    )
    assert len([outcome for outcome in outcomes if isinstance(outcome, bytes)]) == 1
    refused = [outcome.reason for outcome in outcomes if isinstance(outcome, MusterError)]
    assert refused == [Reason.REQUEST_ID_REUSED] * 9
    assert len(await service.notes(room_id)) == 2
    assert await service.notes(other_room) == []


async def test_a_user_is_the_same_caller_with_a_token_and_with_a_ticket(
    service: NotesService, room_id: str
) -> None:
    commands = service.commands()
    ticket = Caller(CallerKind.TICKET, subject="ana", organization_id="north", room_id=room_id)
    answer = await write(commands, room_id, "x", request_id="id", caller=ANA)
    assert await write(commands, room_id, "x", request_id="id", caller=ticket) == answer
    # The same id from somebody else is another request.
    with pytest.raises(UnstorableError, match="UniqueViolation"):
        await write(commands, room_id, "x", request_id="id", caller=BEN)


async def test_a_request_that_failed_runs_again(service: NotesService, room_id: str) -> None:
    commands = service.commands()
    is_open = False

    async def when_open(notes: Notes) -> int:
        if not is_open:
            raise MusterError(Reason.SESSION_FULL)
        return await notes.write("x")

    async def attempt(note: str) -> bytes:
        return await commands.run(ANA, room_id, when_open, request=request(note, "id"), encode=seq_answer)

    with pytest.raises(MusterError, match="SESSION_FULL"):
        await attempt("as it was")
    is_open = True
    answers = await asyncio.gather(attempt("corrected"), attempt("corrected"))
    assert answers[0] == answers[1]
    with pytest.raises(MusterError, match="REQUEST_ID_REUSED"):
        await attempt("as it was")


@pytest.mark.parametrize("value", [7, 0])
async def test_a_request_that_removed_its_room_is_still_answered(
    service: NotesService, room_id: str, value: int
) -> None:
    async def remove(notes: Notes) -> int:
        await notes.transaction.connection.execute(text("DELETE FROM notes.room_log"))
        return value

    commands = service.commands()

    async def attempt(request_id: str) -> bytes:
        return await commands.run(ANA, room_id, remove, request=request("x", request_id), encode=seq_answer)

    answer = await attempt("id")
    assert Int64Value.FromString(answer).value == value
    assert await attempt("id") == answer
    with pytest.raises(MusterError, match="NOT_FOUND"):
        await attempt("another id")


@pytest.mark.parametrize("request_id", ["nul \0", "x" * 129])
async def test_an_id_that_cannot_be_stored_is_refused_before_it_harms_anybody(
    service: NotesService, room_id: str, request_id: str
) -> None:
    with pytest.raises(MusterError) as refused:
        await write(service.commands(), room_id, "x", request_id=request_id)
    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.violations[0].field == "request_id"


async def test_a_request_outside_of_rooms_has_its_effect_once(
    service: NotesService, proxy: CuttingProxy
) -> None:
    requests = Requests(service.open(proxy.url), TABLES.request)

    def adding(note: str) -> Callable[[Transaction], Awaitable[str]]:
        async def work(transaction: Transaction) -> str:
            row = {"organization_id": transaction.organization_id, "room_id": "", "text": note}
            await transaction.connection.execute(insert(NOTE), row)
            return note

        return work

    async def add(note: str, request_id: str) -> bytes:
        return await requests.run(
            ANA,
            adding(note),
            request=request(note, request_id),
            encode=text_answer,
            landed=landed.append,
        )

    landed: list[str] = []
    answers = await asyncio.gather(*(add("once", "id") for _ in range(20)))
    assert set(answers) == {StringValue(value="once").SerializeToString()}
    with pytest.raises(MusterError, match="REQUEST_ID_REUSED"):
        await add("something else", "id")
    assert landed == ["once"]
    proxy.cut_at(b"COMMIT", delivers=True)
    await add("cut", "another id")
    proxy.cut_at(b"COMMIT", delivers=True)
    with pytest.raises(MusterError, match="UNAVAILABLE"):
        await add("without an id", "")
    assert await service.notes("") == ["once", "cut", "without an id"]
    assert await service.requests() == {"id", "another id"}
    # What may or may not have landed is told to nobody.
    assert landed == ["once"]


async def test_round_trips_of_a_command(service: NotesService, room_id: str, proxy: CuttingProxy) -> None:
    commands = service.commands(database=service.open(proxy.url, pool_size=1))
    for i in range(2):
        await write(commands, room_id, f"warm {i}", request_id=f"warm {i}")
    proxy.round_trips = 0
    await write(commands, room_id, "measured", request_id="measured")
    # BEGIN, the room's lock with the claim, the note itself, the events with the answer, COMMIT.
    assert proxy.round_trips == 5
    proxy.round_trips = 0
    await asyncio.gather(*(write(commands, room_id, f"note {i}", request_id=f"id {i}") for i in range(41)))
    # All arrived in the same instant: one group, with a note and a savepoint for each.
    assert proxy.round_trips == 41 * 2 + 1 + 4


async def test_answering_never_reads_the_whole_table_of_requests(service: NotesService, room_id: str) -> None:
    database = service.open(service.urls.app_url)
    commands = service.commands(database=database)
    # More often than a plan is made for its parameters alone, and with the table known to be small.
    for round_ in range(10):
        async with service.admin.connection() as connection:
            await connection.execute(text("ANALYZE notes.request"))
        await asyncio.gather(
            *(write(commands, room_id, f"{round_}-{i}", request_id=f"{round_}-{i}") for i in range(10))
        )
    await commands.close()
    await database.close()

    async def counters() -> tuple[int, int]:
        table = "relname = 'request' AND schemaname = 'notes'"
        (row,) = await service.all(f"SELECT n_tup_ins, seq_scan FROM pg_stat_user_tables WHERE {table}")
        return row[0], row[1]

    async def are_complete() -> bool:
        return (await counters())[0] == 100

    await until(are_complete)
    assert await counters() == (100, 0)


async def test_a_use_case_runs_for_the_first_of_equal_requests_only(
    service: NotesService, room_id: str
) -> None:
    commands = service.commands()
    proceed = asyncio.Event()
    runs = 0

    async def counted(notes: Notes) -> int:
        nonlocal runs
        runs += 1
        await proceed.wait()
        return await notes.write("x")

    tasks = [
        asyncio.ensure_future(
            commands.run(ANA, room_id, counted, request=request("x", "id"), encode=seq_answer)
        )
        for _ in range(10)
    ]
    await until(lambda: runs > 0)
    proceed.set()
    await asyncio.gather(*tasks)
    assert runs == 1
    assert await commands.run(ANA, room_id, writing("y"), request=request("x", "id"), encode=seq_answer)
    assert await service.notes(room_id) == ["x"]
