"""The write path of rooms: order, groups, time, publication and what happens after a commit."""

import asyncio
from datetime import datetime
from itertools import pairwise

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from muster_kit.errors import MusterError, Reason
from muster_kit.ids import new_id
from sqlalchemy import text

from tests.rpc.notes import ANA, STRANGER, Listener, Notes, NotesService, request, seq_answer, write, writing
from tests.rpc.notes_group import Group, UseCase, is_waiting
from tests.waiting import until


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
        await group.of(calling("one"), calling("failed", MusterError(Reason.SESSION_FULL)), calling("two"))
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
