"""Changes of classes have their effect once, however often and however many at once they are asked for."""

import asyncio
from typing import Any

import pytest
from muster.session.v1 import class_pb2, class_service_pb2
from muster_kit.errors import Reason

from tests.rpc.house import House, reason_of
from tests.rpc.lessons import request_id
from tests.rpc.school import School, student

AT_ONCE = 50
# What each change asks for, and other things it could ask for under the same id.
MUTATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "CreateClass": (
        {"settings": class_pb2.ClassSettings(title="A"), "members": [student("ben")]},
        {"settings": class_pb2.ClassSettings(title="B")},
    ),
    "UpdateClass": (
        {"settings": class_pb2.ClassSettings(title="A")},
        {"settings": class_pb2.ClassSettings(title="B")},
    ),
    "ArchiveClass": ({}, {"expected_revision": 1}),
    "RestoreClass": ({}, {"expected_revision": 2}),
    "AddClassMembers": ({"members": [student("ben")]}, {"members": [student("cem")]}),
    "RemoveClassMembers": ({"user_ids": ["ana"]}, {"user_ids": ["ana", "ben"]}),
}
SERVICE = class_service_pb2.DESCRIPTOR.services_by_name["ClassService"]


def test_every_change_of_the_contract_is_tested() -> None:
    changes = {m.name for m in SERVICE.methods if "request_id" in m.input_type.fields_by_name}
    assert changes == MUTATIONS.keys()


async def staged(house: House, rpc: str) -> tuple[School, dict[str, Any]]:
    """Return a school with a class, and what names it in a request."""
    school = School(house)
    class_id = await school.make("First", members=[student("ana")])
    if rpc == "RestoreClass":
        await school.call("ArchiveClass", class_id=class_id)
    return school, {} if rpc == "CreateClass" else {"class_id": class_id}


async def state(school: School) -> list[tuple[Any, ...]]:
    return await school.house.rows(
        "SELECT class.*, class_member.* FROM session.class LEFT JOIN session.class_member"
        " USING (organization_id, class_id) WHERE organization_id = :organization"
        " ORDER BY class.class_id, user_id",
        organization=school.organization,
    )


@pytest.mark.parametrize("rpc", MUTATIONS)
async def test_requests_repeated_at_once_have_one_effect_and_one_answer(house: House, rpc: str) -> None:
    school, named = await staged(house, rpc)
    wanted = {"request_id": request_id(), **named, **MUTATIONS[rpc][0]}
    answers = await asyncio.gather(*(school.call(rpc, **wanted) for _ in range(AT_ONCE)))
    after = await state(school)
    assert all(answer == answers[0] for answer in answers)
    assert await school.call(rpc, **wanted) == answers[0]
    assert await state(school) == after
    if rpc in {"UpdateClass", "ArchiveClass", "RestoreClass"}:
        assert (await school.get(named["class_id"])).revision == (3 if rpc == "RestoreClass" else 2)


@pytest.mark.parametrize("rpc", MUTATIONS)
async def test_the_same_id_with_another_body_is_refused(house: House, rpc: str) -> None:
    school, named = await staged(house, rpc)
    asked = request_id()
    wanted, other = MUTATIONS[rpc]
    await school.call(rpc, request_id=asked, **named, **wanted)
    after = await state(school)
    refused = school.call(rpc, request_id=asked, **named, **other)
    assert await reason_of(refused) is Reason.REQUEST_ID_REUSED
    assert await state(school) == after


async def test_without_an_id_each_request_is_another(house: House) -> None:
    school = School(house)
    assert len(set(await asyncio.gather(*(school.make() for _ in range(5))))) == 5


async def test_what_failed_may_be_asked_again_under_its_id(house: House) -> None:
    school, asked = School(house), request_id()
    class_id = await school.make()
    await school.call("ArchiveClass", class_id=class_id)
    add = {"request_id": asked, "class_id": class_id, "members": [student("ana")]}
    assert await reason_of(school.call("AddClassMembers", **add)) is Reason.CLASS_STATUS
    await school.call("RestoreClass", class_id=class_id)
    assert (await school.call("AddClassMembers", **add)).student_count == 1


async def test_an_old_answer_is_given_again_when_the_class_has_changed_since(house: House) -> None:
    school, asked = School(house), request_id()
    class_id = await school.make()
    wanted = {"request_id": asked, "class_id": class_id, "settings": {"title": "A"}, "expected_revision": 1}
    first = await school.call("UpdateClass", **wanted)
    await school.call("UpdateClass", class_id=class_id, settings={"title": "B"})
    assert await school.call("UpdateClass", **wanted) == first
    assert (await school.get(class_id)).settings.title == "B"


async def test_ids_of_different_callers_are_different_requests(house: House) -> None:
    school, asked = School(house), request_id()
    made = [
        await school.call("CreateClass", by=by, request_id=asked, settings={"title": "A"})
        for by in (school.tess, school.admin)
    ]
    assert made[0] != made[1]
