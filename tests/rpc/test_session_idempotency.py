"""The same request has its effect once: every mutation of the contract, repeated in every way."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from muster.session.v1 import block_service_pb2, session_pb2, session_service_pb2
from muster_kit.errors import Reason

from tests.rpc.house import House, Metadata, reason_of
from tests.rpc.lessons import Lesson, Seat, new_lesson, request_id, true_false

LATER = datetime(2100, 1, 1, tzinfo=UTC)
GIFT = b"One and one? {=2 ~3}"


class Stage:
    """A lesson with somebody in it, and the fields of the call that is tested."""

    def __init__(self, lesson: Lesson, ana: Seat | None) -> None:
        self.lesson = lesson
        self.ana = ana

    @property
    def seat(self) -> Seat:
        assert self.ana is not None
        return self.ana

    @property
    def block(self) -> str:
        return self.lesson.block_ids[0]


Fields = Callable[[Stage], dict[str, Any]]

# What each mutation needs: the status of the session, the fields of the request, and others of another
# body. Requests of `Service.rpc` not in here have to be listed in `NOT_SERVED`.
MUTATIONS: dict[str, tuple[str, Fields, Fields]] = {
    "CreateSession": (
        "none",
        lambda _: {"settings": session_pb2.SessionSettings(title="A", visibility=2)},
        lambda _: {"settings": session_pb2.SessionSettings(title="B", visibility=2)},
    ),
    "UpdateSession": (
        "draft",
        lambda _: {"settings": session_pb2.SessionSettings(title="A", visibility=2)},
        lambda _: {"settings": session_pb2.SessionSettings(title="B", visibility=2)},
    ),
    "ScheduleSession": (
        "draft",
        lambda _: {"scheduled_time": LATER},
        lambda _: {"scheduled_time": LATER + timedelta(days=1)},
    ),
    "OpenLobby": ("draft", lambda _: {}, lambda _: {"reason": "other"}),
    "StartSession": ("waiting", lambda _: {}, lambda _: {"reason": "other"}),
    "PauseSession": ("active", lambda _: {}, lambda _: {"reason": "other"}),
    "ResumeSession": ("paused", lambda _: {}, lambda _: {"reason": "other"}),
    "EndSession": ("active", lambda _: {}, lambda _: {"reason": "other"}),
    "CancelSession": ("waiting", lambda _: {}, lambda _: {"reason": "other"}),
    "DeleteSession": ("draft", lambda _: {}, lambda _: {"expected_revision": 1}),
    "JoinSession": ("waiting", lambda _: {"as_spectator": False}, lambda _: {"as_spectator": True}),
    "LeaveSession": ("waiting", lambda _: {}, None),
    "KickParticipant": (
        "waiting",
        lambda stage: {"participant_id": stage.seat.id},
        lambda stage: {"participant_id": stage.seat.id, "reason": "other"},
    ),
    "BanParticipant": (
        "waiting",
        lambda stage: {"participant_id": stage.seat.id},
        lambda stage: {"participant_id": stage.seat.id, "lift": True},
    ),
    "UpdateParticipant": (
        "waiting",
        lambda stage: {"participant_id": stage.seat.id, "display_name": "A"},
        lambda stage: {"participant_id": stage.seat.id, "display_name": "B"},
    ),
    "AddBlocks": ("draft", lambda _: {"blocks": [true_false("a")]}, lambda _: {"blocks": [true_false("b")]}),
    "UpdateBlock": (
        "draft",
        lambda stage: {"block_id": stage.block, "block": true_false("a")},
        lambda stage: {"block_id": stage.block, "block": true_false("b")},
    ),
    "DeleteBlock": (
        "draft",
        lambda stage: {"block_id": stage.block},
        lambda stage: {"block_id": stage.lesson.block_ids[1]},
    ),
    "ReorderBlocks": (
        "draft",
        lambda stage: {"block_ids": stage.lesson.block_ids[::-1]},
        lambda stage: {"block_ids": stage.lesson.block_ids},
    ),
    "ActivateBlock": (
        "active",
        lambda stage: {"block_id": stage.lesson.block_ids[1]},
        lambda stage: {"block_id": stage.lesson.block_ids[2]},
    ),
    "CloseBlock": (
        "active",
        lambda stage: {"block_id": stage.block},
        lambda stage: {"block_id": stage.lesson.block_ids[1]},
    ),
    "SkipBlock": (
        "active",
        lambda stage: {"block_id": stage.block},
        lambda stage: {"block_id": stage.lesson.block_ids[1]},
    ),
    "ImportBlocks": (
        "draft",
        lambda _: {"format": 1, "content": GIFT},
        lambda _: {"format": 1, "content": GIFT, "max_blocks": 1},
    ),
}
NOT_SERVED = {"EraseUser"}
SESSION_SERVICE = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]
BLOCK_SERVICE = block_service_pb2.DESCRIPTOR.services_by_name["BlockService"]
BLOCK_CALLS = {method.name for method in BLOCK_SERVICE.methods}


def test_every_mutation_of_the_contract_is_tested() -> None:
    mutations = {
        method.name
        for service in (SESSION_SERVICE, BLOCK_SERVICE)
        for method in service.methods
        if "request_id" in method.input_type.fields_by_name
    }
    assert mutations - NOT_SERVED == MUTATIONS.keys()


async def staged(house: House, rpc: str) -> Stage:
    status = MUTATIONS[rpc][0]
    lesson = await new_lesson(house, blocks=3, parallel_blocks_allowed=True, late_join_allowed=True)
    if status in {"none", "draft"}:
        return Stage(lesson, None)
    await lesson.open()
    ana = await lesson.join("ana")
    if status != "waiting":
        await lesson.call("StartSession")
        await lesson.block_call("ActivateBlock", block_id=lesson.block_ids[0])
    if status == "paused":
        await lesson.call("PauseSession")
    return Stage(lesson, ana)


def caller(stage: Stage, rpc: str) -> Callable[..., Awaitable[Any]]:
    lesson = stage.lesson

    async def call(**fields: Any) -> Any:
        if rpc == "CreateSession":
            request = session_service_pb2.CreateSessionRequest(**fields)
            return await lesson.house.sessions.CreateSession(request, metadata=lesson.host)
        if rpc == "JoinSession":
            request = session_service_pb2.JoinSessionRequest(join_code=lesson.join_code, **fields)
            joined = await lesson.house.sessions.JoinSession(request, metadata=lesson.user("ben"))
            assert joined.ticket.token
            # Each answer brings a ticket that is fresh.
            joined.ClearField("ticket")
            return joined
        if rpc in BLOCK_CALLS:
            return await lesson.block_call(rpc, **fields)
        by: Metadata | None = stage.seat.user if rpc == "LeaveSession" else None
        return await lesson.call(rpc, by=by, **fields)

    return call


async def effects(stage: Stage) -> list[tuple[Any, ...]]:
    """Return a count of all that a second effect would add to."""
    organization = stage.lesson.organization
    tables = ("session", "participant", "block", "status_change", "transition", "room_event")
    sql = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM session.{table} WHERE organization_id = :organization"
        for table in tables
    )
    return await stage.lesson.house.rows(sql, organization=organization)


@pytest.mark.parametrize("rpc", MUTATIONS)
async def test_a_repeated_request_gets_the_first_answer_and_has_no_second_effect(
    house: House, rpc: str
) -> None:
    stage = await staged(house, rpc)
    call, fields = caller(stage, rpc), MUTATIONS[rpc][1](stage)
    asked = request_id()
    first = await call(request_id=asked, **fields)
    after = await effects(stage)
    for _ in range(3):
        assert await call(request_id=asked, **fields) == first
    assert await effects(stage) == after


@pytest.mark.parametrize("rpc", MUTATIONS)
async def test_requests_repeated_at_once_have_one_effect(house: House, rpc: str) -> None:
    stage = await staged(house, rpc)
    call, fields = caller(stage, rpc), MUTATIONS[rpc][1](stage)
    asked = request_id()
    answers = await asyncio.gather(*(call(request_id=asked, **fields) for _ in range(8)))
    after = await effects(stage)
    assert all(answer == answers[0] for answer in answers)
    assert await call(request_id=asked, **fields) == answers[0]
    assert await effects(stage) == after


@pytest.mark.parametrize("rpc", [rpc for rpc, (_, _, other) in MUTATIONS.items() if other])
async def test_the_same_id_with_another_body_is_refused(house: House, rpc: str) -> None:
    stage = await staged(house, rpc)
    call = caller(stage, rpc)
    _, fields, other = MUTATIONS[rpc]
    wanted, different = fields(stage), other(stage)
    asked = request_id()
    await call(request_id=asked, **wanted)
    after = await effects(stage)
    assert await reason_of(call(request_id=asked, **different)) is Reason.REQUEST_ID_REUSED
    assert await effects(stage) == after


async def test_a_request_that_failed_may_be_made_again_with_its_id(house: House) -> None:
    lesson = await new_lesson(house)
    asked = request_id()
    assert await reason_of(lesson.call("StartSession", request_id=asked)) is Reason.SESSION_STATUS
    await lesson.open()
    await lesson.call("StartSession", request_id=asked)


async def test_ids_of_different_callers_are_different_requests(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    ana = await lesson.join("ana", request_id="the-same")
    ben = await lesson.join("ben", request_id="the-same")
    assert ana.id != ben.id


async def test_the_answer_to_joining_is_not_given_again_to_who_gave_the_seat_up(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    ana = await lesson.join("ana", request_id="mine")
    await lesson.call("LeaveSession", by=ana.ticket)
    assert await reason_of(lesson.join("ana", request_id="mine")) is Reason.PARTICIPANT_STATUS


async def test_a_key_leaves_no_trace_in_what_is_kept_of_a_request(house: House) -> None:
    """A fast hash over a request that holds the key would make the slow one of the key pointless."""
    lesson = await new_lesson(house, visibility=session_pb2.SESSION_VISIBILITY_PRIVATE, key="right")
    await lesson.open()
    asked = request_id()
    await lesson.join("ana", key="right", request_id=asked)
    sql = "SELECT fingerprint FROM session.request WHERE request_id = :asked"
    (kept,) = await house.rows(sql, asked=asked)
    settings = (await lesson.session()).settings
    await lesson.call("UpdateSession", settings=settings, key="other")
    await lesson.join("ben", key="other", request_id=asked)
    both = {bytes(row[0]) for row in await house.rows(sql, asked=asked)}
    assert both == {bytes(kept[0])}
