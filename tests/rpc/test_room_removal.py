"""A room that a command removes is gone: for the commands beside it, in the log, and for whoever listens."""

import pytest
from muster_kit.errors import MusterError, Reason

from tests.rpc.notes import (
    ANA,
    Listener,
    Notes,
    NotesService,
    request,
    seq_answer,
    write,
    writing,
)
from tests.rpc.notes_group import Group

TABLES = ("room_log", "room_event", "deadline")


async def removing(notes: Notes) -> int:
    await notes.transaction.remove_room()
    return 0


async def with_a_deadline(notes: Notes) -> int:
    await notes.transaction.set_deadline("some day", notes.transaction.now)
    return await notes.write("with a deadline")


async def left(service: NotesService, room_id: str) -> list[str]:
    """The tables that still hold something of a room."""
    return [
        table
        for table in TABLES
        if await service.all(f"SELECT 1 FROM notes.{table} WHERE room_id = :id", id=room_id)
    ]


async def test_nothing_is_left_of_a_removed_room_whatever_its_group_did_before(
    service: NotesService, room_id: str, group: Group
) -> None:
    outcomes = await group.of(with_a_deadline, writing("one"), removing)
    assert outcomes == [2, 3, 0]
    assert await left(service, room_id) == []


async def test_commands_behind_the_removal_find_no_room(
    service: NotesService, room_id: str, group: Group
) -> None:
    one, removed, late = await group.of(writing("one"), removing, with_a_deadline, request_ids=True)
    assert (one, removed) == (2, 0)
    assert isinstance(late, MusterError)
    assert late.reason is Reason.NOT_FOUND
    assert await left(service, room_id) == []
    assert await service.notes(room_id) == ["the first", "one"]
    assert await service.requests() == {"request 0", "request 1"}


async def test_a_removal_that_fails_removes_nothing(
    service: NotesService, room_id: str, group: Group
) -> None:
    async def failing(notes: Notes) -> int:
        await removing(notes)
        raise MusterError(Reason.SESSION_STATUS)

    failed, one = await group.of(failing, writing("one"))
    assert isinstance(failed, MusterError)
    assert one == 2
    assert await service.events(room_id) == [(1, b"1:the first"), (2, b"2:one")]


async def test_nobody_is_told_events_that_no_log_has(service: NotesService, room_id: str) -> None:
    listener = Listener()
    commands = service.commands(publisher=listener)
    await Group(service, commands, room_id).of(writing("one"), removing)
    # Then all is published that ever will be.
    await commands.close()
    assert listener.heard(room_id) == {1: b"1:the first"}


async def test_the_id_of_a_removed_room_can_be_used_again(service: NotesService, room_id: str) -> None:
    commands = service.commands()
    await write(commands, room_id, "old")
    await commands.run(ANA, room_id, removing, request=request("remove"), encode=seq_answer)
    with pytest.raises(MusterError, match="NOT_FOUND"):
        await write(commands, room_id, "late")
    await commands.create(ANA, room_id, writing("new"), request=request(""), encode=seq_answer)
    assert await service.events(room_id) == [(1, b"1:new")]
