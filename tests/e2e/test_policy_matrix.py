"""Who may call what: every method of every contract, by every kind of caller, against a table of its own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.protobuf.descriptor import MethodDescriptor
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason
from muster_kit.rpc.tokens import issue_user_token
from muster_stack.credentials import Credentials
from muster_stack.demo.client import Client, bearer

from tests.contract.contracts import methods, name
from tests.e2e.generic_calls import Metadata, Outcome, ask
from tests.e2e.policy_table import ACTORS, ROWS
from tests.e2e.requests_from_descriptors import Requests
from tests.e2e.running import Running
from tests.e2e.staged_room import StagedRoom, stage_room

METHODS = {name(method): method for method in methods()}
# What these services change, they change in the session: each such method gets one of its own.
CHANGING = (
    "muster.session.v1.SessionService",
    "muster.session.v1.BlockService",
    "muster.scoring.v1.RoundService",
)
READING = ("Get", "List", "Watch", "Probe")
UNREADABLE = b"\xff"
# What is said inside to a request that cannot be read, or by a stream that nobody serves yet.
INSIDE = {Reason.MALFORMED_REQUEST, Reason.UNIMPLEMENTED}
OWN_SEAT = "muster.session.v1.SessionService/UpdateParticipant"
BOARDS = "muster.scoring.v1.BoardService"


@pytest.fixture(scope="module")
async def client(running: Running) -> AsyncIterator[Client]:
    opened = Client.open(running.address)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def shared_room(running: Running, client: Client) -> StagedRoom:
    return await stage_room(running, client, "matrix")


@pytest.fixture(scope="module")
def nobodies(running: Running) -> dict[str, Metadata]:
    """Those whom no method that looks at tokens lets in."""
    secret = Credentials.read(running.state / "credentials.json").user_token_secret
    owner = {
        "subject": "owner",
        "organization_id": "matrix",
        "organization_role": OrganizationRole.OWNER,
    }
    head, body, signature = running.user_token("owner", role="owner", organization="matrix").split(".")
    return {
        "no token": (),
        "no bearer": (("authorization", "Basic b3duZXI6b3duZXI="),),
        "expired": bearer(issue_user_token(secret, lifetime=timedelta(minutes=-1), **owner)),
        "forged": bearer(issue_user_token("x" * 64, **owner)),
        "cut": bearer(f"{head}.{body}."),
        "mended": bearer(f"{head}.{body}.{signature[::-1]}"),
    }


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    assert ROWS.keys() == METHODS.keys()
    assert set("".join(ROWS.values())) <= set(ACTORS)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_the_door_is_open_to_those_of_the_row_alone(
    client: Client, shared_room: StagedRoom, method: MethodDescriptor
) -> None:
    """The door comes before the request is read, so that it is seen with one that cannot be."""
    calls = (ask(client.channel, method, UNREADABLE, shared_room.metadata(actor)) for actor in ACTORS)
    reasons = [_reason(outcome) for outcome in await asyncio.gather(*calls)]
    assert set(reasons) <= {*INSIDE, Reason.PERMISSION_DENIED}
    let_in = {actor for actor, reason in zip(ACTORS, reasons, strict=True) if reason in INSIDE}
    assert let_in == set(ROWS[name(method)])


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_those_of_the_row_may_do_it_and_no_others(
    running: Running, client: Client, shared_room: StagedRoom, method: MethodDescriptor
) -> None:
    room = await stage_room(running, client, "matrix") if _changes_a_room(method) else shared_room
    wrong = {}
    for actor in ACTORS:
        outcome = await ask(client.channel, method, _request(method, room, actor), room.metadata(actor))
        may = actor in ROWS[name(method)]
        if outcome.is_refused if may else _reason(outcome) is not Reason.PERMISSION_DENIED:
            wrong[actor] = str(outcome)
    assert wrong == {}, f"it is for {ROWS[name(method)]}"


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_who_shows_no_valid_token_is_not_let_in(
    client: Client, shared_room: StagedRoom, nobodies: dict[str, Metadata], method: MethodDescriptor
) -> None:
    request = _request(method, shared_room, "o")
    outcomes = await asyncio.gather(*(ask(client.channel, method, request, who) for who in nobodies.values()))
    assert {who: str(outcome) for who, outcome in zip(nobodies, outcomes, strict=True)} == dict.fromkeys(
        nobodies, "UNAUTHENTICATED/TOKEN_INVALID"
    )


def _reason(outcome: Outcome) -> Reason | None:
    return outcome.error.reason if outcome.error else None


def _changes_a_room(method: MethodDescriptor) -> bool:
    return method.containing_service.full_name in CHANGING and not method.name.startswith(READING)


def _request(method: MethodDescriptor, room: StagedRoom, actor: str) -> bytes:
    values = room.values()
    if name(method) == OWN_SEAT and actor in room.seats:
        # Participants may change their own name, and no one else's.
        values["participant_id"] = room.seats[actor]
    if method.containing_service.full_name == BOARDS and not method.name.startswith(READING):
        # The board of a session is fed by answers, whoever asks; services have boards of their own.
        values["board_id"] = "a service's"
    request: bytes = Requests(values).minimal(method.input_type).SerializeToString()
    return request
