"""The write path of rooms: order, groups, and who hears of which failure."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from muster_kit.db import Commands
from muster_kit.errors import MusterError, Reason
from muster_kit.ids import new_id
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.rpc.notes import (
    ANA,
    STRANGER,
    Listener,
    Notes,
    NotesService,
    request,
    seq_answer,
    until,
    write,
    writing,
)

UseCase = Callable[[Notes], Awaitable[int]]


class Group:
    """Commands that are carried out in one transaction, because another process holds the room."""

    def __init__(self, service: NotesService, commands: Commands[Notes], room_id: str) -> None:
        self._service = service
        self._commands = commands
        self._room_id = room_id

    async def of(self, *use_cases: UseCase, request_ids: bool = False) -> list[int | BaseException]:
        """Carry them out together and return what each caller gets."""
        tasks = await self.started(*use_cases, request_ids=request_ids)
        return [
            Int64Value.FromString(outcome).value if isinstance(outcome, bytes) else outcome
            for outcome in await asyncio.gather(*tasks, return_exceptions=True)
        ]

    async def started(self, *use_cases: UseCase, request_ids: bool = False) -> list["asyncio.Task[bytes]"]:
        """Have the commands wait for one another, and let them go together."""
        async with self._service.admin.connection() as holder:
            await holder.execute(
                text("SELECT 1 FROM notes.room_log WHERE room_id = :id FOR UPDATE"), {"id": self._room_id}
            )
            # The first is a group of its own, stuck at the lock; the others gather behind it.
            first = asyncio.ensure_future(self._run(writing("the first"), ""))
            await until(lambda: is_waiting(self._service))
            tasks = [
                asyncio.ensure_future(self._run(use_case, f"request {i}" if request_ids else ""))
                for i, use_case in enumerate(use_cases)
            ]
            await asyncio.sleep(0)
        assert await first
        return tasks

    async def _run(self, use_case: UseCase, request_id: str) -> bytes:
        return await self._commands.run(
            ANA, self._room_id, use_case, request=request("a note", request_id), encode=seq_answer
        )


async def is_waiting(service: NotesService) -> bool:
    """Whether somebody waits for a lock."""
    rows = await service.all(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows)


@pytest.fixture
async def room_id(service: NotesService) -> str:
    return await service.new_room()


@pytest.fixture
def group(service: NotesService, room_id: str) -> Group:
    return Group(service, service.commands(), room_id)


async def test_seqs_have_no_gaps_and_follow_the_order_of_commits_across_processes(
    service: NotesService, room_id: str
) -> None:
    listeners = [Listener(), Listener()]
    processes = [
        service.commands(publisher=listeners[0]),
        service.commands(publisher=listeners[1], database=service.open(service.urls.app_url)),
    ]
    writes = asyncio.gather(*(write(processes[i % 2], room_id, f"note {i}") for i in range(200)))
    seen: list[int] = []
    while not writes.done():
        # Were a seq ever visible before a lower one, this count would be less than the highest.
        (row,) = await service.all(
            "SELECT count(*), coalesce(max(seq), 0) FROM notes.room_event WHERE room_id = :id", id=room_id
        )
        assert row[0] == row[1]
        seen.append(row[0])
    seqs = [Int64Value.FromString(answer).value for answer in await writes]
    assert sorted(seqs) == list(range(1, 201))
    assert seen == sorted(seen)

    for process in processes:
        await process.close()
    log = dict(await service.events(room_id))
    assert {log[seq] for seq in seqs} == {f"{seq}:note {i}".encode() for i, seq in enumerate(seqs)}
    assert listeners[0].heard(room_id) | listeners[1].heard(room_id) == log
    for listener in listeners:
        firsts = [first_seq for _, _, first_seq, _ in listener.runs]
        assert firsts == sorted(firsts)


async def test_waiting_commands_share_one_transaction_and_one_publication(
    service: NotesService, room_id: str
) -> None:
    listener = Listener()
    commands = service.commands(publisher=listener)
    seqs = await Group(service, commands, room_id).of(*(writing(f"note {i}") for i in range(20)))
    assert seqs == list(range(2, 22))
    await commands.close()
    assert sum(len(events) for *_, events in listener.runs) == 21
    assert len(listener.runs) <= 2
    (row,) = await service.all("SELECT count(DISTINCT xmin::text) FROM notes.room_event WHERE seq > 1")
    assert row == (1,)


async def test_a_failing_command_leaves_no_trace_and_the_others_land(
    service: NotesService, room_id: str, group: Group
) -> None:
    async def refused(notes: Notes) -> int:
        await notes.write("refused")
        await notes.transaction.set_deadline("refused", notes.transaction.now)
        raise MusterError(Reason.FEATURE_OFF)

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
    assert outcomes[0].reason is Reason.FEATURE_OFF
    assert outcomes[1] == 2
    assert isinstance(outcomes[2], DBAPIError)
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
        raise MusterError(Reason.FEATURE_OFF)

    commands = service.commands()
    with pytest.raises(MusterError, match="FEATURE_OFF"):
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


async def test_time_does_not_go_back_within_a_room(service: NotesService, room_id: str) -> None:
    processes = [service.commands(), service.commands(database=service.open(service.urls.app_url))]
    await asyncio.gather(*(write(processes[i % 2], room_id, f"note {i}") for i in range(60)))
    rows = await service.all("SELECT create_time FROM notes.room_event ORDER BY seq")
    times: list[datetime] = [row[0] for row in rows]
    assert all(earlier <= later for earlier, later in pairwise(times))


async def test_time_is_read_after_the_wait_for_the_room(service: NotesService, room_id: str) -> None:
    async with service.admin.connection() as holder:
        await holder.execute(
            text("SELECT 1 FROM notes.room_log WHERE room_id = :id FOR UPDATE"), {"id": room_id}
        )
        writing_late = asyncio.ensure_future(write(service.commands(), room_id, "late"))
        await until(lambda: is_waiting(service))
        released = await service.app.now()
    await writing_late
    (row,) = await service.all("SELECT create_time FROM notes.room_event")
    assert row[0] > released


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


async def test_a_room_of_another_organization_is_not_there(service: NotesService, room_id: str) -> None:
    commands = service.commands()
    for caller, room in ((STRANGER, room_id), (ANA, new_id()), (ANA, "nul \0")):
        with pytest.raises(MusterError, match="NOT_FOUND"):
            await write(commands, room, "x", caller=caller, request_id="id")
    assert await service.notes(room_id) == []
    assert await service.requests() == set()


async def test_a_room_is_made_once(service: NotesService, room_id: str) -> None:
    commands = service.commands()
    for caller in (ANA, STRANGER):
        with pytest.raises(MusterError, match="ALREADY_EXISTS"):
            await commands.create(
                caller, room_id, writing("again"), request=request("x", "id"), encode=seq_answer
            )
    assert await service.notes(room_id) == []
    assert await service.requests() == set()


async def test_a_new_room_begins_with_the_events_of_its_making(service: NotesService) -> None:
    listener = Listener()
    commands = service.commands(publisher=listener)
    room_id = new_id()
    await commands.create(ANA, room_id, writing("made"), request=request("x"), encode=seq_answer)
    await write(commands, room_id, "used")
    await commands.close()
    assert await service.events(room_id) == [(1, b"1:made"), (2, b"2:used")]
    (row,) = await service.all("SELECT epoch, first_seq FROM notes.room_log WHERE room_id = :id", id=room_id)
    assert {epoch for _, epoch, _, _ in listener.runs} == {row[0]}
    assert row[1] == 1


async def test_what_the_system_does_joins_the_room_and_returns_its_value(
    service: NotesService, room_id: str
) -> None:
    assert await service.commands().system("north", room_id, writing("by the clock")) == 1
    assert await service.events(room_id) == [(1, b"1:by the clock")]


async def test_a_broker_that_is_away_loses_no_acknowledgement(service: NotesService, room_id: str) -> None:
    listener = Listener(away=True)
    commands = service.commands(publisher=listener)
    await write(commands, room_id, "unheard")
    await until(lambda: listener.lost)
    listener.away = False
    await write(commands, room_id, "heard")
    await commands.close()
    assert listener.heard(room_id) == {2: b"2:heard"}
    assert len(await service.events(room_id)) == 2


async def test_callbacks_run_after_the_commit_of_what_landed(
    service: NotesService, room_id: str, group: Group
) -> None:
    called: list[str] = []

    def calling(name: str, error: Exception | None = None) -> UseCase:
        def callback() -> None:
            called.append(name)
            raise ValueError(name)

        async def use_case(notes: Notes) -> int:
            notes.transaction.after_commit(callback)
            if error:
                raise error
            return await notes.write(name)

        return use_case

    assert (
        await group.of(calling("one"), calling("failed", MusterError(Reason.FEATURE_OFF)), calling("two"))
    )[::2] == [2, 3]
    assert called == ["one", "two"]


async def test_closing_finishes_what_is_there_and_refuses_what_comes(
    service: NotesService, room_id: str
) -> None:
    listener = Listener()
    commands = service.commands(publisher=listener)
    tasks = [asyncio.ensure_future(write(commands, room_id, f"note {i}")) for i in range(5)]
    await asyncio.sleep(0)
    await commands.close()
    assert all(task.done() and task.result() for task in tasks)
    assert len(listener.heard(room_id)) == 5
    with pytest.raises(MusterError, match="DRAINING"):
        await write(commands, room_id, "late")


async def test_a_rooms_queue_is_forgotten_when_it_is_empty(service: NotesService, room_id: str) -> None:
    commands = service.commands()
    await asyncio.gather(*(write(commands, room_id, f"note {i}") for i in range(5)))
    cancelled = asyncio.ensure_future(write(commands, room_id, "cancelled"))
    await asyncio.sleep(0)
    cancelled.cancel()
    await until(lambda: not commands._queues)
