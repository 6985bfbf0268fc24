"""What belongs to others: whoever may call a method still reaches nothing with it that is not theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from muster.scoring.v1 import board_pb2
from muster.session.v1 import session_service_pb2
from muster_kit.errors import Reason
from muster_stack.demo.client import Client, bearer

from tests.contract.contracts import methods, name
from tests.e2e.generic_calls import Metadata, Outcome, ask
from tests.e2e.policy_table import ROWS
from tests.e2e.requests_from_descriptors import Requests, assign
from tests.e2e.running import Running
from tests.e2e.staged_room import StagedRoom, stage_room, yes

METHODS = {name(method): method for method in methods()}
AT_ONCE = 16

GONE = {Reason.NOT_FOUND, Reason.JOIN_REFUSED, Reason.UNIMPLEMENTED}
REFUSED = GONE | {Reason.PERMISSION_DENIED}
# About a seat that the caller does not hold: there is none to leave or to rename.
OF_ONES_SEAT = {
    "muster.session.v1.SessionService/LeaveSession",
    "muster.session.v1.SessionService/UpdateParticipant",
}
# What makes something under an id that is taken says so, whoever has taken it.
TAKEN = {"muster.scoring.v1.RoundService/OpenRound"}
# Done to all that is kept of a session, which is nothing here; a session that has had no round is no error.
ALL_OF_NONE = {
    "muster.scoring.v1.RoundService/DeleteSession",
    "muster.scoring.v1.RoundService/PauseRounds",
    "muster.scoring.v1.RoundService/ResumeRounds",
}
# By its code, everybody of the organization may find and join a session.
BY_CODE = {
    "muster.session.v1.SessionService/GetSessionByCode",
    "muster.session.v1.SessionService/JoinSession",
}
# Editors see all classes: they may hold sessions for them.
OF_EVERY_EDITOR = {
    "muster.session.v1.ClassService/GetClass",
    "muster.session.v1.ClassService/ListClasses",
    "muster.session.v1.ClassService/ListClassMembers",
}
# What no rule demands, since other fields may stand for it.
SAID: dict[str, dict[str, Any]] = {
    "muster.scoring.v1.RoundService/StreamResponses": {"answer": yes()},
    "muster.scoring.v1.BoardService/StreamSubmitScores": {
        "submission": board_pb2.ScoreSubmission(entry_id="x")
    },
}
# What no rule demands, since holders of tickets leave it out.
NAMED_BY_SERVICES = {
    "muster.scoring.v1.RoundService/StreamResponses": ("organization_id", "session_id", "participant_id"),
}


@dataclass(frozen=True, slots=True)
class Rooms:
    """Ours, one more of our organization, and one of another."""

    ours: StagedRoom
    neighbours: StagedRoom
    theirs: StagedRoom

    def names_ours(self, message: bytes) -> bool:
        """Whether something of our room is in the message."""
        room = self.ours
        ids = (
            room.session_id,
            room.join_code,
            room.round_id,
            room.class_id,
            *room.block_ids,
            *room.seats.values(),
        )
        return any(each.encode() in message for each in ids)


@dataclass(frozen=True, slots=True)
class Try:
    """Someone who calls a method with our ids in the request, and how that may end."""

    who: str
    method: MethodDescriptor
    request: bytes
    metadata: Metadata
    allowed: set[Reason]


@pytest.fixture(scope="module")
async def client(running: Running) -> AsyncIterator[Client]:
    opened = Client.open(running.address)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def rooms(running: Running, client: Client) -> Rooms:
    ours = await stage_room(running, client, "ours")
    neighbours = await stage_room(running, client, "ours")
    return Rooms(ours, neighbours, await stage_room(running, client, "theirs"))


@pytest.fixture
async def unharmed(client: Client, rooms: Rooms) -> AsyncIterator[None]:
    """Our room is after the test as it was before."""
    before = await rooms.ours.state(client)
    yield
    assert await rooms.ours.state(client) == before


def by_another_organization(rooms: Rooms, method: MethodDescriptor) -> Iterator[Try]:
    """All who may call the method, in an organization of their own, for which their services act."""
    allowed = GONE | ({Reason.ALREADY_EXISTS} if name(method) in TAKEN else set())
    for actor in ROWS[name(method)]:
        request = _request(method, rooms.ours, actor, organization_id="theirs")
        yield Try(actor, method, request, rooms.theirs.metadata(actor), allowed)


def by_their_service_for_ours(rooms: Rooms, method: MethodDescriptor) -> Iterator[Try]:
    """A service whose token is for another organization, and that says ours in the request."""
    if "V" in ROWS[name(method)]:
        yield Try("V", method, _request(method, rooms.ours, "V"), rooms.theirs.metadata("V"), REFUSED)


def by_another_room(rooms: Rooms, method: MethodDescriptor) -> Iterator[Try]:
    """Those with tickets for another session of our organization."""
    for actor in sorted(set("HCPS") & set(ROWS[name(method)])):
        yield Try(actor, method, _request(method, rooms.ours, actor), rooms.neighbours.metadata(actor), GONE)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("tries", [by_another_organization, by_their_service_for_ours, by_another_room])
async def test_nothing_of_ours_is_reached(
    client: Client, rooms: Rooms, tries: Callable[[Rooms, MethodDescriptor], Iterator[Try]]
) -> None:
    all_tries = [each for method in METHODS.values() for each in tries(rooms, method)]
    assert await _reached(client, rooms, all_tries) == {}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("role", ["editor", "member"])
async def test_who_has_no_part_in_a_session_neither_runs_it_nor_looks_into_it(
    running: Running, client: Client, rooms: Rooms, role: str
) -> None:
    stranger = bearer(running.user_token("stranger", role=role, organization="ours"))
    tries = [
        Try(role, METHODS[key], _request(METHODS[key], rooms.ours, role), stranger, allowed)
        for key in METHODS.keys() - BY_CODE - (OF_EVERY_EDITOR if role == "editor" else set())
        for allowed in [REFUSED | ({Reason.PARTICIPANT_STATUS} if key in OF_ONES_SEAT else set())]
    ]
    assert await _reached(client, rooms, tries) == {}


@pytest.mark.parametrize(("whose", "is_listed"), [("ours", True), ("theirs", False)])
async def test_lists_hold_what_is_of_the_organization(
    client: Client, rooms: Rooms, whose: str, is_listed: bool
) -> None:
    owner: Metadata = getattr(rooms, whose).metadata("o")
    listed = await client.sessions.ListSessions(session_service_pb2.ListSessionsRequest(), metadata=owner)
    assert rooms.names_ours(listed.SerializeToString()) is is_listed


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_an_id_that_is_taken_is_not_taken_over(client: Client, rooms: Rooms, whose: str) -> None:
    create = METHODS["muster.session.v1.SessionService/CreateSession"]
    request = Requests(rooms.ours.values()).minimal(create.input_type)
    request.session_id = rooms.ours.session_id
    owner = getattr(rooms, whose).metadata("o")
    outcome = await ask(client.channel, create, request.SerializeToString(), owner)
    assert str(outcome) == "ALREADY_EXISTS/ALREADY_EXISTS"


def _request(method: MethodDescriptor, room: StagedRoom, actor: str, **values: Any) -> bytes:
    known = room.values() | values
    request = Requests(known).minimal(method.input_type)
    for field, value in SAID.get(name(method), {}).items():
        assign(request, field, value)
    for field in NAMED_BY_SERVICES.get(name(method), ()) if actor == "V" else ():
        assign(request, field, known[field])
    said: bytes = request.SerializeToString()
    return said


async def _reached(client: Client, rooms: Rooms, tries: list[Try]) -> dict[str, str]:
    """Make all tries, and return those that did not end as they may."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def outcome_of(each: Try) -> Outcome:
        async with turns:
            return await ask(client.channel, each.method, each.request, each.metadata)

    outcomes = await asyncio.gather(*map(outcome_of, tries))
    return {
        f"{name(each.method)} by {each.who}": str(outcome)
        for each, outcome in zip(tries, outcomes, strict=True)
        if not _is_harmless(rooms, each, outcome)
    }


def _is_harmless(rooms: Rooms, each: Try, outcome: Outcome) -> bool:
    """Tell whether nothing of ours was told; and whether who named something of ours was refused."""
    told = outcome.response or b""
    if rooms.names_ours(told):
        return False
    if outcome.error is None and each.method.client_streaming and told:
        # On a stream, what is refused does not end it.
        answer: Any = GetMessageClass(each.method.output_type).FromString(told)
        own = [answer.refused_reason] if getattr(answer, "refused_reason", "") else []
        reasons = [*own, *(refused.reason for refused in answer.refused)]
        return bool(reasons) and set(reasons) <= each.allowed
    if outcome.error is None:
        return not rooms.names_ours(each.request) or (name(each.method) in ALL_OF_NONE and not told)
    return not rooms.names_ours(each.request) or outcome.error.reason in each.allowed
