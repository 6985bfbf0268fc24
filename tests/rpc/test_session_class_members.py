"""Rosters: people put into classes and taken out, counted exactly, up to thousands of them."""

import asyncio
import random

from muster_kit.errors import Reason

from tests.rpc.house import House, reason_of
from tests.rpc.school import STUDENT, TEACHER, School, student, teacher

MANY = 5_000
AT_ONCE = 500


async def test_members_are_added_in_the_order_of_the_request(house: House) -> None:
    school = School(house)
    class_id = await school.make()
    wanted = [student("zoe", "Zoe"), teacher("tom", "Tom"), student("ana", "Ana")]
    added = await school.call("AddClassMembers", class_id=class_id, members=wanted)
    assert [(m.user_id, m.display_name, m.role) for m in added.members] == [
        ("zoe", "Zoe", STUDENT),
        ("tom", "Tom", TEACHER),
        ("ana", "Ana", STUDENT),
    ]
    assert added.student_count == 2
    assert all(m.class_id == class_id and m.HasField("create_time") for m in added.members)
    assert await school.members(class_id) == sorted(added.members, key=lambda m: m.display_name)
    assert [m.user_id for m in await school.members(class_id, role=TEACHER)] == ["tom"]


async def test_who_is_in_it_already_gets_the_new_name_and_role_and_counts_once(house: House) -> None:
    school = School(house)
    class_id = await school.make(members=[student("ana", "Ana"), teacher("tom", "Tom")])
    before = {m.user_id: m.create_time for m in await school.members(class_id)}
    changed = [student("ana", "Anna"), student("tom", "Tom"), student("new", "New")]
    added = await school.call("AddClassMembers", class_id=class_id, members=changed)
    assert added.student_count == 3
    assert [m.display_name for m in added.members] == ["Anna", "Tom", "New"]
    assert {m.user_id: m.create_time for m in added.members if m.user_id in before} == before
    promoted = await school.call("AddClassMembers", class_id=class_id, members=[teacher("ana", "Anna")])
    assert promoted.student_count == 2
    assert (await school.get(class_id)).student_count == 2


async def test_a_token_is_good_for_the_members_of_its_class_and_role_alone(house: House) -> None:
    school = School(house)
    people = [student("ana"), student("ben"), teacher("tom")]
    one, two = await school.make(members=people), await school.make(members=people)
    token = (await school.call("ListClassMembers", class_id=one, page_size=1)).next_page_token
    assert [m.user_id for m in await school.members(one, page_token=token)] == ["ben", "tom"]
    for class_id, role in ((one, STUDENT), (two, 0)):
        refused = school.members(class_id, role=role, page_token=token)
        assert await reason_of(refused) is Reason.PAGE_TOKEN_INVALID


async def test_who_is_not_in_it_is_passed_over_when_members_are_removed(house: House) -> None:
    school = School(house)
    class_id = await school.make(members=[student("ana"), student("ben"), teacher("tom")])
    removed = await school.call("RemoveClassMembers", class_id=class_id, user_ids=["ben", "tom", "nobody"])
    assert (removed.removed_count, removed.student_count) == (2, 1)
    again = await school.call("RemoveClassMembers", class_id=class_id, user_ids=["ben"])
    assert (again.removed_count, again.student_count) == (0, 1)
    assert [m.user_id for m in await school.members(class_id)] == ["ana"]


async def test_members_of_one_class_are_not_those_of_another(house: House) -> None:
    school = School(house)
    one, two = await school.make(members=[student("ana")]), await school.make(members=[student("ana")])
    await school.call("RemoveClassMembers", class_id=one, user_ids=["ana"])
    assert ((await school.get(one)).student_count, (await school.get(two)).student_count) == (0, 1)


async def test_the_count_stays_exact_when_many_change_a_roster_at_once(house: House) -> None:
    school = School(house)
    class_id = await school.make()
    chance = random.Random(7)

    async def change() -> None:
        users = chance.sample([f"s{number}" for number in range(12)], 6)
        if chance.random() < 0.4:
            await school.call("RemoveClassMembers", class_id=class_id, user_ids=users)
        else:
            members = [chance.choice((student, teacher))(user) for user in users]
            await school.call("AddClassMembers", class_id=class_id, members=members)

    await asyncio.gather(*(change() for _ in range(60)))
    counted = await house.rows(
        "SELECT count(*) FROM session.class_member"
        " WHERE organization_id = :organization AND role = 'student'",
        organization=school.organization,
    )
    assert [((await school.get(class_id)).student_count,)] == counted


async def test_a_class_of_thousands_is_filled_and_paged_by_name(house: House) -> None:
    school = School(house)
    class_id = await school.make()
    everybody = [student(f"user-{number}", f"Name {number:04}") for number in range(MANY)]
    random.Random(7).shuffle(everybody)
    for start in range(0, MANY, AT_ONCE):
        added = await school.call(
            "AddClassMembers", class_id=class_id, members=everybody[start : start + AT_ONCE]
        )
        assert added.student_count == start + AT_ONCE
    names, token = [], ""
    while True:
        page = await school.call("ListClassMembers", class_id=class_id, page_size=200, page_token=token)
        names += [member.display_name for member in page.members]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted(member.display_name for member in everybody)
