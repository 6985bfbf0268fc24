"""What no client should send: broken rules, noise, guesses; the answers help who errs, and nobody else."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from muster.session.v1 import session_pb2, session_service_pb2
from muster_kit.errors import CATALOG, Reason
from muster_kit.rpc.status import received
from muster_stack.demo.client import Client, bearer

from tests.contract.contracts import methods, name, request_fields, rules
from tests.e2e.broken_rules import breaches
from tests.e2e.error_stage import Stage, failure_of
from tests.e2e.extreme_values import extremes
from tests.e2e.generic_calls import Metadata, Outcome, ask
from tests.e2e.policy_table import ROWS
from tests.e2e.requests_from_descriptors import Requests
from tests.e2e.running import Running
from tests.e2e.staged_room import StagedRoom, stage_room

METHODS = {name(method): method for method in methods()}
UNARY = {key: m for key, m in METHODS.items() if not (m.client_streaming or m.server_streaming)}
NOISES = 40
AT_ONCE = 32
# One seat has no more than eight streams open; the oldest ends otherwise.
STREAMS_AT_ONCE = 4
YEAR_9999 = Timestamp(seconds=253_370_764_800)
FAULTS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS}


@pytest.fixture(scope="module")
async def client(running: Running) -> AsyncIterator[Client]:
    opened = Client.open(running.address)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def room(running: Running, client: Client) -> StagedRoom:
    return await stage_room(running, client, "faulty")


def test_every_kind_of_rule_in_the_contracts_is_broken() -> None:
    found = {kind for field in request_fields() for kind in _kinds(field)}
    requests = Requests({})
    broken = {breach.rule for method in METHODS.values() for breach in breaches(requests, method.input_type)}
    assert broken - {"oneof.required"} == found


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_a_broken_rule_is_answered_with_the_field(
    client: Client, room: StagedRoom, method: MethodDescriptor
) -> None:
    metadata, turns = _allowed(method, room), _turns(method)

    async def named(path: str, request: Message) -> str:
        async with turns:
            outcome = await ask(client.channel, method, request.SerializeToString(), metadata)
        error = outcome.error
        if method.client_streaming and error and error.reason is Reason.UNIMPLEMENTED:
            # Who serves no stream reads none of its requests.
            return path[:200]
        if outcome.code is not grpc.StatusCode.INVALID_ARGUMENT or error is None:
            return str(outcome)
        return ", ".join({violation.field for violation in error.violations})

    broken = list(breaches(Requests(room.values()), method.input_type))
    answers = await asyncio.gather(*(named(breach.path, breach.request) for breach in broken))
    wrong = {
        f"{breach.rule} of {breach.path}": answer
        for breach, answer in zip(broken, answers, strict=True)
        if answer != breach.path[:200]
    }
    assert wrong == {}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_no_value_is_too_much(client: Client, room: StagedRoom, method: MethodDescriptor) -> None:
    metadata, turns = _allowed(method, room), _turns(method)

    async def answered(what: str, request: Message) -> None:
        async with turns:
            _check_reasoned(await ask(client.channel, method, request.SerializeToString(), metadata), what)

    requests = extremes(Requests(room.values()), method.input_type)
    await asyncio.gather(*(answered(what, request) for what, request in requests))


@pytest.mark.parametrize("method", UNARY.values(), ids=UNARY)
async def test_noise_is_answered_with_a_reason(
    client: Client, room: StagedRoom, method: MethodDescriptor
) -> None:
    # Seeded by a text, so that a failure comes again.
    chance = random.Random(name(method))
    valid = Requests(room.values()).minimal(method.input_type).SerializeToString()
    metadata = _allowed(method, room)
    noises = [_noise(chance, valid) for _ in range(NOISES)]
    outcomes = await asyncio.gather(*(ask(client.channel, method, noise, metadata) for noise in noises))
    for noise, outcome in zip(noises, outcomes, strict=True):
        _check_reasoned(outcome, noise)


async def test_a_lobby_opens_before_time_ends(running: Running, client: Client) -> None:
    stage = Stage(running, client)
    session_id = await stage.create()
    too_late = await failure_of(stage.move("ScheduleSession", session_id, scheduled_time=YEAR_9999))
    assert [violation.field for violation in received(too_late).violations] == ["scheduled_time"]
    in_time = Timestamp(seconds=YEAR_9999.seconds - 1)
    await stage.move("ScheduleSession", session_id, scheduled_time=in_time)
    assert (await stage.move("GetSession", session_id)).session.scheduled_time == in_time


async def test_a_guess_learns_nothing(running: Running, client: Client) -> None:
    """Code, key, a missing key and another organization's code: the answers are the same, byte for byte."""
    code, key = await _private_session(running, client), "open sesame"
    elsewhere = await _private_session(running, client, organization="elsewhere")
    request = session_service_pb2.JoinSessionRequest
    guesses = [
        request(join_code="ZZZZZZ"),
        request(join_code="ZZZZZZ", key=key),
        request(join_code="?"),
        request(join_code=code),
        request(join_code=code, key="wrong"),
        request(join_code=elsewhere),
        request(join_code=elsewhere, key=key),
    ]
    join = METHODS["muster.session.v1.SessionService/JoinSession"]
    guesser = bearer(running.user_token("guesser", role="member", organization="guessed"))
    answers = [await ask(client.channel, join, guess.SerializeToString(), guesser) for guess in guesses]
    assert {_seen(answer) for answer in answers} == {_seen(answers[0])}
    assert str(answers[0]) == "NOT_FOUND/JOIN_REFUSED"
    # That is not because nobody gets in.
    joined = await ask(client.channel, join, request(join_code=code, key=key).SerializeToString(), guesser)
    assert joined.code is grpc.StatusCode.OK


async def test_looking_a_code_up_tells_no_more_than_joining(running: Running, client: Client) -> None:
    elsewhere = await _private_session(running, client, organization="elsewhere")
    look = METHODS["muster.session.v1.SessionService/GetSessionByCode"]
    looker = bearer(running.user_token("looker", role="member", organization="guessed"))
    request = session_service_pb2.GetSessionByCodeRequest
    answers = [
        await ask(client.channel, look, request(join_code=code).SerializeToString(), looker)
        for code in ("ZZZZZZ", "?", elsewhere)
    ]
    assert {_seen(answer) for answer in answers} == {_seen(answers[0])}
    assert str(answers[0]) == "NOT_FOUND/JOIN_REFUSED"


def _allowed(method: MethodDescriptor, room: StagedRoom) -> Metadata:
    return room.metadata(ROWS[name(method)][0])


def _check_reasoned(outcome: Outcome, what: object) -> None:
    """The call succeeded, or failed for a reason of the catalog that is no fault of the server."""
    assert outcome.code not in FAULTS, (what, outcome.failure)
    if outcome.failure is not None:
        assert outcome.error is not None, (what, outcome.failure)
        assert outcome.failure.details() == CATALOG[outcome.error.reason].message


def _kinds(field: FieldDescriptor) -> Iterator[str]:
    """Yield the rules of a field by name, such as `repeated.items.string.max_len`."""
    found = rules(field)
    if found.required:
        yield "required"
    for kind, of_kind in found.ListFields():
        if kind.name not in {"required", "ignore"}:
            yield from _leaves(kind.name, of_kind)


def _leaves(path: str, of_kind: Message) -> Iterator[str]:
    for rule, value in of_kind.ListFields():
        if rule.name in {"items", "keys", "values"}:
            for kind, inner in value.ListFields():
                yield from _leaves(f"{path}.{rule.name}.{kind.name}", inner)
        else:
            yield f"{path}.{rule.name}"


def _noise(chance: random.Random, valid: bytes) -> bytes:
    """Return random bytes, or a valid request with a piece of it changed, cut out, doubled or replaced."""
    if not valid or chance.random() < 0.3:
        return chance.randbytes(chance.randrange(1, 100))
    start = chance.randrange(len(valid))
    end = chance.randrange(start, len(valid)) + 1
    piece = chance.choice((b"", valid[start:end] * 2, chance.randbytes(end - start), b"\xff" * 10))
    return valid[:start] + piece + valid[end:]


async def _private_session(running: Running, client: Client, *, organization: str = "guessed") -> str:
    """Make a session that is open to those with the key, and return its code."""
    host = bearer(running.user_token("host", role="editor", organization=organization))
    settings = session_pb2.SessionSettings(title="Secret", visibility=session_pb2.SESSION_VISIBILITY_PRIVATE)
    created = await client.sessions.CreateSession(
        session_service_pb2.CreateSessionRequest(settings=settings, key="open sesame"), metadata=host
    )
    opened = await client.sessions.OpenLobby(
        session_service_pb2.OpenLobbyRequest(session_id=created.session.session_id), metadata=host
    )
    code: str = opened.session.join_code
    return code


def _seen(outcome: Outcome) -> tuple[object, ...]:
    """Return all that a client gets of a failure."""
    failure = outcome.failure
    assert failure is not None
    return (
        failure.code(),
        failure.details(),
        tuple(failure.initial_metadata() or ()),
        tuple(failure.trailing_metadata() or ()),
    )


def _turns(method: MethodDescriptor) -> asyncio.Semaphore:
    streams = method.client_streaming or method.server_streaming
    return asyncio.Semaphore(STREAMS_AT_ONCE if streams else AT_ONCE)
