"""Commands that fail, hang, lose a race or lose their caller: who hears of it, and what is left."""

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from muster_kit.db.faults import UnstorableError
from muster_kit.errors import MusterError, Reason
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.rpc.notes import (
    ANA,
    Notes,
    NotesService,
    request,
    seq_answer,
    write,
    writing,
)
from tests.rpc.notes_group import Group, UseCase


async def test_a_failing_command_leaves_no_trace_and_the_others_land(
    service: NotesService, room_id: str, group: Group
) -> None:
    async def refused(notes: Notes) -> int:
        await notes.write("refused")
        await notes.transaction.set_deadline("refused", notes.transaction.now)
        raise MusterError(Reason.SESSION_FULL)

    async def broken(notes: Notes) -> int:
        await notes.write("broken")
        await notes.transaction.connection.execute(text("SELECT 1 / 0"))
        raise AssertionError

    async def not_encodable(notes: Notes) -> int:
        await notes.insert("not encodable")
        return notes.transaction.append("\0")

    async def hushed_up(notes: Notes) -> int:
        with pytest.raises(IntegrityError):
            await notes.write("one")
        return 0

    outcomes = await group.of(
        refused, writing("one"), broken, not_encodable, hushed_up, writing("two"), request_ids=True
    )
    assert isinstance(outcomes[0], MusterError)
    assert outcomes[0].reason is Reason.SESSION_FULL
    assert outcomes[1] == 2
    assert isinstance(outcomes[2], UnstorableError)
    assert isinstance(outcomes[3], ValueError)
    assert "current transaction is aborted" in str(outcomes[4])
    assert outcomes[5] == 3

    assert await service.notes(room_id) == ["the first", "one", "two"]
    assert await service.events(room_id) == [(1, b"1:the first"), (2, b"2:one"), (3, b"3:two")]
    assert await service.all("SELECT 1 FROM notes.deadline") == []
    assert await service.requests() == {"request 1", "request 5"}


async def test_a_lone_failing_command_leaves_no_trace(service: NotesService, room_id: str) -> None:
    async def refused(notes: Notes) -> int:
        await notes.write("refused")
        raise MusterError(Reason.SESSION_FULL)

    commands = service.commands()
    with pytest.raises(MusterError, match="SESSION_FULL"):
        await commands.run(ANA, room_id, refused, request=request("x", "id"), encode=seq_answer)
    assert await service.events(room_id) == []
    assert await service.notes(room_id) == []
    assert await service.requests() == set()
    assert await write(commands, room_id, "accepted", request_id="id")


async def test_an_error_of_the_database_that_a_lone_command_hushes_up_is_not_acknowledged(
    service: NotesService, room_id: str
) -> None:
    async def hushed_up(notes: Notes) -> int:
        await notes.insert("lost with the rest")
        with pytest.raises(DBAPIError):
            await notes.transaction.connection.execute(text("SELECT 1 / 0"))
        return 0

    with pytest.raises(DBAPIError):
        await service.commands().run(ANA, room_id, hushed_up, request=request("x"), encode=seq_answer)
    assert await service.notes(room_id) == []


async def test_an_answer_that_cannot_be_encoded_undoes_its_command(
    service: NotesService, room_id: str
) -> None:
    with pytest.raises(ValueError, match="range"):
        await service.commands().run(
            ANA, room_id, writing("x"), request=request("x"), encode=lambda seq: Int64Value(value=2**64 + seq)
        )
    assert await service.notes(room_id) == []


async def test_something_cancelled_inside_a_command_fails_that_command_alone(
    service: NotesService, room_id: str, group: Group
) -> None:
    async def cancelled_inside(notes: Notes) -> int:
        await notes.write("lost")
        raise asyncio.CancelledError

    outcomes = await group.of(cancelled_inside, writing("one"))
    assert isinstance(outcomes[0], RuntimeError)
    assert outcomes[1] == 2
    assert await service.notes(room_id) == ["the first", "one"]


async def test_a_caller_that_is_cancelled_does_no_harm_to_its_group(
    service: NotesService, room_id: str
) -> None:
    commands = service.commands()
    inside, released = asyncio.Event(), asyncio.Event()

    async def slow(notes: Notes) -> int:
        inside.set()
        await released.wait()
        return await notes.write("in flight")

    in_flight = asyncio.ensure_future(
        commands.run(ANA, room_id, slow, request=request("x"), encode=seq_answer)
    )
    await inside.wait()
    waiting = [asyncio.ensure_future(write(commands, room_id, f"waiting {i}")) for i in range(3)]
    await asyncio.sleep(0)
    for task in (in_flight, waiting[1]):
        task.cancel()
    await asyncio.wait([in_flight, waiting[1]])
    released.set()
    assert await asyncio.gather(waiting[0], waiting[2])
    # Nobody waits for the first any more, but it was on its way; the other one had not begun.
    assert await service.notes(room_id) == ["in flight", "waiting 0", "waiting 2"]
    await service.events(room_id)


async def test_a_use_case_that_hangs_gives_its_room_back(service: NotesService, room_id: str) -> None:
    async def hanging(notes: Notes) -> int:
        await notes.write("lost")
        await asyncio.Event().wait()
        raise AssertionError

    commands = service.commands(time_limit=timedelta(seconds=0.3))
    hung = asyncio.ensure_future(
        commands.run(ANA, room_id, hanging, request=request("x", "id"), encode=seq_answer)
    )
    await asyncio.sleep(0)
    with pytest.raises(MusterError, match="UNAVAILABLE"):
        await hung
    assert await write(commands, room_id, "goes on")
    assert await service.notes(room_id) == ["goes on"]


async def test_a_timeout_of_a_use_case_is_its_own(service: NotesService, room_id: str, group: Group) -> None:
    async def impatient(notes: Notes) -> int:
        await notes.write("lost")
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
        raise AssertionError

    outcomes = await group.of(impatient, writing("one"))
    assert isinstance(outcomes[0], MusterError)
    assert outcomes[0].reason is Reason.UNAVAILABLE
    assert outcomes[1] == 2


async def test_two_rooms_that_wait_for_each_other_both_land(service: NotesService) -> None:
    rooms = [await service.new_room(), await service.new_room()]
    commands = service.commands()
    meeting = asyncio.Barrier(2)
    tries = 0

    def crossing(first: int, second: int) -> UseCase:
        async def use_case(notes: Notes) -> int:
            nonlocal tries
            tries += 1
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            await notes.transaction.connection.execute(lock, {"key": first})
            if tries <= 2:
                await meeting.wait()
            await notes.transaction.connection.execute(lock, {"key": second})
            return await notes.write("landed")

        return use_case

    answers = await asyncio.gather(
        commands.run(ANA, rooms[0], crossing(1, 2), request=request("x"), encode=seq_answer),
        commands.run(ANA, rooms[1], crossing(2, 1), request=request("x"), encode=seq_answer),
    )
    assert len(answers) == 2
    assert tries == 3
    assert [await service.notes(room_id) for room_id in rooms] == [["landed"], ["landed"]]


async def test_a_command_that_loses_every_race_is_told_to_come_back_and_the_others_land(
    service: NotesService, room_id: str, group: Group
) -> None:
    async def losing(notes: Notes) -> int:
        await notes.write("lost")
        raised = "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = 'serialization_failure'; END $$"
        await notes.transaction.connection.execute(text(raised))
        raise AssertionError

    outcomes = await group.of(losing, writing("one"))
    assert isinstance(outcomes[0], MusterError)
    assert outcomes[0].reason is Reason.UNAVAILABLE
    assert outcomes[0].retry_after
    assert outcomes[1] == 2
    assert await service.notes(room_id) == ["the first", "one"]
