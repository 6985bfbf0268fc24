"""Limits on guessing: nobody passes them, and nobody is locked out by what others did."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import grpc
import pytest
from muster.session.v1 import session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.db import Database
from muster_kit.errors import Reason
from muster_kit.rpc.status import received
from sqlalchemy import text

from tests.conftest import TestStores
from tests.rpc.house import House, house_over, open_house, reason_of
from tests.rpc.lessons import Lesson, new_lesson, request_id

PRIVATE = session_pb2.SESSION_VISIBILITY_PRIVATE
KEY = "a key of the session"
WRONG = "ZZZZZZ"
T = TypeVar("T")

PER_USER, PER_ADDRESS, PER_MINUTE = 5, 8, 30
LIMITS = {
    "guesses_per_user": PER_USER,
    "guesses_per_address": PER_ADDRESS,
    "guesses_per_minute": PER_MINUTE,
    # No test sees the end of a window.
    "guess_window": "P1D",
}


@pytest.fixture(scope="module")
async def workers(
    stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[House, House]]:
    """Two processes' worth of services over one database, with low limits, behind a proxy."""
    directory = tmp_path_factory.mktemp("limits")
    async with (
        open_house(stores, directory, trusted_proxies=1, **LIMITS) as one,
        house_over(stores, one.urls, directory, trusted_proxies=1, **LIMITS) as other,
    ):
        yield one, other


@pytest.fixture
async def lesson(workers: tuple[House, House]) -> Lesson:
    lesson = await new_lesson(workers[0])
    await lesson.open()
    return lesson


async def join(lesson: Lesson, name: str, *, code: str = "", address: str = "192.0.2.1") -> object:
    metadata = (*lesson.user(name), ("x-forwarded-for", address))
    request = pb.JoinSessionRequest(join_code=code or lesson.join_code)
    return await lesson.house.sessions.JoinSession(request, metadata=metadata)


async def miss(lesson: Lesson, name: str, *, times: int = 1, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        assert await reason_of(join(lesson, name, code=WRONG, address=address)) is Reason.JOIN_REFUSED


async def counted(lesson: Lesson) -> dict[str, int]:
    rows = await lesson.house.rows(
        "SELECT subject, failures FROM session.wrong_guess WHERE organization_id = :organization",
        organization=lesson.organization,
    )
    return {row[0]: row[1] for row in rows}


async def in_one_minute(house: House, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what an attempt returns that did not see the end of a minute, and of its window."""
    while True:
        began = await house.rows("SELECT date_trunc('minute', clock_timestamp())")
        result = await attempt()
        if await house.rows("SELECT date_trunc('minute', clock_timestamp())") == began:
            return result


@asynccontextmanager
async def counting_held(house: House) -> AsyncIterator[Database]:
    """Let nothing be counted until the end of the block."""
    admin = Database.open(house.urls.admin_url, pool_size=2)
    try:
        async with admin.connection() as connection:
            await connection.execute(text("LOCK TABLE session.wrong_guess IN SHARE MODE"))
            yield admin
    finally:
        await admin.close()


async def somebody_waits(admin: Database, locks: int = 1) -> None:
    """Return once so many wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE datname = current_database() AND NOT granted"
    )
    async with asyncio.timeout(30):
        while True:
            async with admin.connection() as connection:
                if (await connection.execute(waiting)).scalar_one() >= locks:
                    return


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_wrong_guess_counts_when_its_caller_does_not_wait_for_the_answer(
    workers: tuple[House, House], key: str
) -> None:
    lesson = await new_lesson(workers[0], key=KEY, visibility=PRIVATE)
    await lesson.open()
    request = pb.JoinSessionRequest(join_code=lesson.join_code, key=key)
    async with counting_held(lesson.house) as admin:
        call = lesson.house.sessions.JoinSession(request, metadata=lesson.user("eve"))
        given_up = asyncio.ensure_future(_failure(call))
        await somebody_waits(admin)
        call.cancel()
        assert await given_up is grpc.StatusCode.CANCELLED
        # The server has seen that when it has answered another call on the same connection.
        await lesson.session()
    await miss(lesson, "eve")
    assert (await counted(lesson))["user:eve"] == 2


async def _failure(call: object) -> grpc.StatusCode:
    try:
        await call  # type: ignore[misc]
    except asyncio.CancelledError:
        return grpc.StatusCode.CANCELLED
    raise AssertionError("it was answered")


async def test_no_more_guesses_are_let_through_when_they_come_at_once(workers: tuple[House, House]) -> None:
    async def burst() -> list[Reason]:
        lesson = await new_lesson(workers[0])
        houses = [replace(lesson, house=house) for house in workers]
        guesses = (
            join(houses[n % 2], f"eve-{n}", code=WRONG, address=f"192.0.2.{n}") for n in range(3 * PER_MINUTE)
        )
        return await asyncio.gather(*(reason_of(guess) for guess in guesses))

    reasons = await in_one_minute(workers[0], burst)
    assert reasons.count(Reason.JOIN_REFUSED) == PER_MINUTE
    assert reasons.count(Reason.RATE_LIMITED) == 2 * PER_MINUTE


async def test_keys_tried_at_once_are_limited_like_others(workers: tuple[House, House]) -> None:
    lesson = await new_lesson(workers[0], key=KEY, visibility=PRIVATE)
    await lesson.open()
    houses = [replace(lesson, house=house) for house in workers]
    reasons = await asyncio.gather(
        *(reason_of(houses[n % 2].join("eve", key=f"wrong {n}")) for n in range(8 * PER_USER))
    )
    assert reasons.count(Reason.JOIN_REFUSED) == (await counted(lesson))["user:eve"] == PER_USER
    assert reasons.count(Reason.RATE_LIMITED) == 7 * PER_USER


@pytest.mark.parametrize("code", ["", WRONG])
async def test_a_known_key_does_not_overtake_wrong_ones(workers: tuple[House, House], code: str) -> None:
    lesson = await new_lesson(workers[0], key=KEY, visibility=PRIVATE)
    await lesson.open()
    await lesson.join("ana", key=KEY)
    wrong = [
        asyncio.ensure_future(reason_of(lesson.join("eve", code=code, key=f"wrong {n}")))
        for n in range(PER_USER)
    ]
    async with asyncio.timeout(30):
        while (await counted(lesson)).get("user:eve") != PER_USER:
            pass
    assert await reason_of(lesson.join("eve", key=KEY)) is Reason.RATE_LIMITED
    assert await asyncio.gather(*wrong) == [Reason.JOIN_REFUSED] * PER_USER


async def test_a_class_that_gives_its_key_at_once_counts_as_no_guesses(workers: tuple[House, House]) -> None:
    lesson = await new_lesson(workers[0], key=KEY, visibility=PRIVATE)
    await lesson.open()
    names = [f"pupil-{number}" for number in range(3 * PER_MINUTE)]
    await asyncio.gather(*(lesson.join(name, key=KEY) for name in names))
    assert set((await counted(lesson)).values()) == {0}


async def test_a_right_guess_does_not_overtake_wrong_ones(
    workers: tuple[House, House], lesson: Lesson
) -> None:
    await miss(lesson, "eve", times=PER_USER - 1)
    async with counting_held(lesson.house) as admin:
        wrong = asyncio.ensure_future(reason_of(join(lesson, "eve", code=WRONG)))
        await somebody_waits(admin)
        right = asyncio.ensure_future(reason_of(join(replace(lesson, house=workers[1]), "eve")))
        await somebody_waits(admin, 2)
    assert await wrong is Reason.JOIN_REFUSED
    assert await right is Reason.RATE_LIMITED


async def test_addresses_of_one_network_are_counted_together(lesson: Lesson) -> None:
    for number, address in enumerate(("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1")):
        await miss(lesson, f"eve-{number}", address=address)
    addresses = {subject: n for subject, n in (await counted(lesson)).items() if "address" in subject}
    assert addresses == {"address:2001:db8::/64": 2, "address:2001:db8:0:1::/64": 1}


async def test_a_class_is_not_locked_out_by_one_of_them(lesson: Lesson) -> None:
    await join(lesson, "ana")
    await miss(lesson, "ana", times=3)
    await miss(lesson, "eve", times=PER_ADDRESS - 3)
    # Who has not guessed is let in, and may mistype.
    await join(lesson, "ben")
    await miss(lesson, "cleo", times=2)
    await join(lesson, "cleo")
    await miss(lesson, "dan", times=3)
    assert await reason_of(join(lesson, "dan")) is Reason.RATE_LIMITED
    # What they tried has counted.
    assert (await counted(lesson))["address:192.0.2.1"] == PER_ADDRESS + 5
    # Who holds a seat comes back to it, but looks for no other.
    await join(lesson, "ana")
    assert await reason_of(join(lesson, "ana", code=WRONG)) is Reason.RATE_LIMITED
    # Elsewhere others are not kept out by it.
    await join(lesson, "dan", address="192.0.2.2")


async def test_who_holds_a_seat_comes_back_when_the_organization_has_to_wait(
    workers: tuple[House, House],
) -> None:
    async def exhausted() -> list[Reason | None]:
        lesson = await new_lesson(workers[0])
        await lesson.open()
        left, kicked = [await lesson.join(name) for name in ("ana", "ben", "cleo")][1:]
        await lesson.call("LeaveSession", by=left.ticket)
        await lesson.call("KickParticipant", participant_id=kicked.id)
        for number in range(PER_MINUTE):
            await miss(lesson, f"eve-{number}", address=f"192.0.2.{number}")
        return [await outcome(join(lesson, name)) for name in ("ana", "ben", "cleo", "dan")]

    limited = Reason.RATE_LIMITED
    assert await in_one_minute(workers[0], exhausted) == [None, None, limited, limited]


async def outcome(call: Awaitable[object]) -> Reason | None:
    """Return why a call fails; None when it does not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        told = received(error)
        return told.reason if told else Reason.INTERNAL
    return None


async def test_a_seat_does_not_help_who_guesses(lesson: Lesson) -> None:
    await join(lesson, "ana")
    await miss(lesson, "ana", times=PER_USER)
    assert await reason_of(join(lesson, "ana")) is Reason.RATE_LIMITED


@pytest.mark.parametrize("key", ["", KEY])
async def test_a_repeated_join_is_answered_after_the_end_and_is_no_guess(
    workers: tuple[House, House], key: str
) -> None:
    visibility = PRIVATE if key else session_pb2.SESSION_VISIBILITY_UNLISTED
    lesson = await new_lesson(workers[0], key=key, visibility=visibility)
    await lesson.open()
    asked = request_id()
    first = (await lesson.join("ana", request_id=asked, key=key)).joined
    await lesson.call("StartSession")
    await lesson.call("EndSession")
    again = (await lesson.join("ana", request_id=asked, key=key)).joined
    assert again.ticket.token
    for answer in (first, again):
        answer.ClearField("ticket")
    assert again == first
    assert not any((await counted(lesson)).values())


async def test_a_request_id_that_was_used_asks_nothing_else(lesson: Lesson) -> None:
    asked = request_id()
    await lesson.join("ana", request_id=asked)
    other = await new_lesson(lesson.house)
    await other.open()
    for code in (WRONG, other.join_code):
        assert await reason_of(lesson.join("ana", request_id=asked, code=code)) is Reason.REQUEST_ID_REUSED
    assert await counted(lesson) == {}
