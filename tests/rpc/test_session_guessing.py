"""Guessing codes and keys: one answer to whatever is wrong, and few tries."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from muster.session.v1 import session_pb2
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.errors import Reason
from muster_kit.rpc.status import received

from tests.conftest import TestStores
from tests.rpc.house import House, error_of, open_house, reason_of
from tests.rpc.lessons import Lesson, new_lesson

PRIVATE = session_pb2.SESSION_VISIBILITY_PRIVATE
KEY = "a key of the session"
WRONG = "ZZZZZZ"


@pytest.fixture(scope="module")
async def strict_house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house that takes 3 wrong guesses of a user, 20 of all."""
    directory = tmp_path_factory.mktemp("strict")
    limits = {"guesses_per_user": 3, "guesses_per_minute": 20}
    async with open_house(stores, directory, **limits) as house:
        yield house


async def test_every_wrong_guess_gets_the_same_answer(house: House) -> None:
    public, private = await new_lesson(house), await new_lesson(house, key=KEY, visibility=PRIVATE)
    await public.open()
    await private.open()
    guesses = [
        private.join("ana", key="wrong"),
        private.join("ana"),
        private.join("ana", code=WRONG),
        private.join("ana", code=WRONG, key=KEY),
        private.join("ana", code="\u2013 -"),
        private.join("ana", code=public.join_code),
        private.join("ana", code=public.join_code, key=KEY),
    ]
    answers = [await error_of(guess) for guess in guesses]
    assert {(each.reason, each.violations, each.retry_after) for each in answers} == {
        (Reason.JOIN_REFUSED, (), None)
    }


async def test_a_wrong_code_takes_as_long_as_a_wrong_key(house: House) -> None:
    lesson = await new_lesson(house, key=KEY, visibility=PRIVATE)
    await lesson.open()

    async def seconds(**fields: str) -> float:
        began = time.perf_counter()
        assert await reason_of(lesson.join("ana", **fields)) is Reason.JOIN_REFUSED
        return time.perf_counter() - began

    await seconds(code=WRONG, key="first")
    codes = [await seconds(code=WRONG, key=f"wrong {number}") for number in range(4)]
    keys = [await seconds(key=f"other {number}") for number in range(4)]
    # Both pay for the hash; without that a wrong code would be many times faster.
    assert 1 / 4 < min(codes) / min(keys) < 4


async def preview(lesson: Lesson, name: str, code: str) -> object:
    request = pb.GetSessionByCodeRequest(join_code=code)
    return await lesson.house.sessions.GetSessionByCode(request, metadata=lesson.user(name))


async def test_a_user_who_guesses_too_often_has_to_wait(strict_house: House) -> None:
    lesson = await new_lesson(strict_house)
    await lesson.open()
    for _ in range(2):
        assert await reason_of(lesson.join("eve", code=WRONG)) is Reason.JOIN_REFUSED
    assert await reason_of(preview(lesson, "eve", WRONG)) is Reason.JOIN_REFUSED
    # Now even the right code does not help, so that nothing is learned from it.
    for call in (lesson.join("eve"), preview(lesson, "eve", lesson.join_code)):
        error = await error_of(call)
        assert error.reason is Reason.RATE_LIMITED
        assert error.retry_after is not None
        assert 0 < error.retry_after.total_seconds() <= 600
    await lesson.join("ana")


async def test_an_organization_in_which_too_many_guess_has_to_wait(
    stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("all")
    async with open_house(stores, directory, guesses_per_minute=5) as house:
        lesson = await new_lesson(house)
        await lesson.open()
        reasons = [await reason_of(lesson.join(f"eve-{number}", code=WRONG)) for number in range(6)]
    assert set(reasons[:5]) == {Reason.JOIN_REFUSED}
    assert reasons[5] is Reason.RATE_LIMITED


async def test_guesses_made_at_once_are_counted_like_others(strict_house: House) -> None:
    lesson = await new_lesson(strict_house)
    await lesson.open()
    reasons = await asyncio.gather(*(reason_of(lesson.join("eve", code=WRONG)) for _ in range(20)))
    assert reasons.count(Reason.JOIN_REFUSED) == 3
    assert reasons.count(Reason.RATE_LIMITED) == 17


async def test_right_guesses_are_not_counted(strict_house: House) -> None:
    lesson = await new_lesson(strict_house)
    await lesson.open()
    for _ in range(10):
        await lesson.join("ana")
        await preview(lesson, "ana", lesson.join_code)


async def test_the_window_passes(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("window")
    async with open_house(stores, directory, guesses_per_user=1, guess_window="PT1S") as house:
        lesson = await new_lesson(house)
        await lesson.open()
        assert await reason_of(lesson.join("eve", code=WRONG)) is Reason.JOIN_REFUSED
        async with asyncio.timeout(10):
            while True:
                try:
                    await lesson.join("eve")
                    return
                except grpc.aio.AioRpcError as error:
                    told = received(error)
                    assert told is not None
                    assert told.retry_after is not None
                    await asyncio.sleep(told.retry_after.total_seconds())


async def test_codes_grow_when_there_are_many(
    stores: TestStores, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # So many guesses a day that the code of the second session already would be found.
    per_minute = 31**6 // (24 * 60 * 2) + 1
    directory = tmp_path_factory.mktemp("codes")
    async with open_house(stores, directory, guesses_per_minute=per_minute) as house:
        first, second = await new_lesson(house), await new_lesson(house)
        assert len(await first.open()) == 6
        house.apps["session"]._parts.directory._counted = float("-inf")
        assert len(await second.open()) == 7
