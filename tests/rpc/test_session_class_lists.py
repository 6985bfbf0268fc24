"""Lists of classes: by title, by what they are, and for members those they are in."""

from typing import Any

import pytest
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.rpc.house import House, Metadata, reason_of
from tests.rpc.school import ACTIVE, ARCHIVED, School, student, teacher


async def titles(school: School, by: Metadata | None = None, **fields: Any) -> list[str]:
    answer = await school.call("ListClasses", by=by, **fields)
    return [each.settings.title for each in answer.classes]


async def test_classes_are_listed_by_title_whatever_its_case_and_accents(house: House) -> None:
    school = School(house)
    for title in ("zoology", "Émile's", "algebra", "Eden", "Über", "Art", "數學", "art"):
        await school.make(title)
    assert await titles(school) == ["algebra", "Art", "art", "Eden", "Émile's", "Über", "zoology", "數學"]


async def test_a_new_title_has_a_new_place(house: House) -> None:
    school = School(house)
    one, _ = await school.make("A"), await school.make("B")
    await school.call("UpdateClass", class_id=one, settings={"title": "C"})
    assert await titles(school) == ["B", "C"]


async def test_pages_of_classes_are_all_of_them_once(house: House) -> None:
    school = School(house)
    # Longer than a token has room for, and the same where it counts.
    ids = sorted([await school.make("數" * 200, class_id=f"{n}" + "學" * 63) for n in range(5)])
    found, token = [], ""
    while True:
        page = await school.call("ListClasses", page_size=2, page_token=token)
        found.append([each.class_id for each in page.classes])
        token = page.next_page_token
        if not token:
            break
    assert found == [ids[:2], ids[2:4], ids[4:]]


async def test_a_token_is_good_for_its_own_list_alone(house: House) -> None:
    school, other = School(house), School(house)
    for _ in range(2):
        await school.make()
    token = (await school.call("ListClasses", page_size=1)).next_page_token
    assert token
    for by, fields in (
        (school.tess, {"statuses": [ACTIVE, ARCHIVED]}),
        (school.tess, {"course_id": "c"}),
        (school.user("ana"), {}),
        (other.tess, {}),
    ):
        refused = school.call("ListClasses", by=by, page_token=token, **fields)
        assert await reason_of(refused) is Reason.PAGE_TOKEN_INVALID
    # What it asks for is the same.
    assert await titles(school, page_token=token, statuses=[ACTIVE]) == ["Chemistry"]


@pytest.mark.parametrize("token", ["x", "é", "W10", "A" * 512])
async def test_a_token_that_no_list_gave_is_refused(house: House, token: str) -> None:
    school = School(house)
    class_id, session_id = await school.make(), await school.session([])
    for rpc, fields in (
        ("ListClasses", {}),
        ("ListClassMembers", {"class_id": class_id}),
        ("ListSessionRoster", {"session_id": session_id}),
    ):
        refused = school.call(rpc, page_token=token, **fields)
        assert await reason_of(refused) is Reason.PAGE_TOKEN_INVALID


async def test_archived_classes_are_listed_when_they_are_asked_for(house: House) -> None:
    school = School(house)
    await school.call("ArchiveClass", class_id=await school.make("Old"))
    await school.make("New")
    assert await titles(school) == ["New"]
    assert await titles(school, statuses=[ARCHIVED]) == ["Old"]
    assert await titles(school, statuses=[ARCHIVED, ACTIVE]) == ["New", "Old"]


async def test_classes_are_found_by_what_they_are(house: House) -> None:
    school = School(house)
    await school.make("A", course_id="c1", members=[student("ana"), teacher("uwe")])
    await school.make("B", course_id="c2", members=[teacher("ana")])
    await school.make("C", teacher_user_id="uwe", members=[student("tess")])
    assert await titles(school, teacher_user_id="tess") == ["A", "B"]
    assert await titles(school, teacher_user_id="uwe") == ["A", "C"]
    assert await titles(school, student_user_id="ana") == ["A"]
    assert await titles(school, course_id="c2") == ["B"]
    assert await titles(school, course_id="c1", student_user_id="ana", teacher_user_id="uwe") == ["A"]
    assert await titles(school, course_id="none") == []


async def test_members_list_the_classes_they_are_in(house: House) -> None:
    school, other = School(house), School(house)
    await school.make("A", members=[student("ana"), student("ben")])
    await school.make("B", members=[teacher("ana")])
    await school.make("C", teacher_user_id="ana")
    await school.make("D", members=[student("ben")])
    await other.make("E", members=[student("ana")])
    ana = school.user("ana")
    assert await titles(school, ana) == ["A", "B", "C"]
    assert await titles(school, ana, student_user_id="ana") == ["A"]
    assert await titles(school, ana, teacher_user_id="tess") == ["A", "B"]
    assert await titles(school, school.user("eve")) == []
    # It would tell that Ben is in the same class.
    refused = titles(school, ana, student_user_id="ben")
    assert await reason_of(refused) is Reason.PERMISSION_DENIED
    for role in (OrganizationRole.EDITOR, OrganizationRole.ADMIN, OrganizationRole.OWNER):
        assert await titles(school, school.user("one", role)) == ["A", "B", "C", "D"]
