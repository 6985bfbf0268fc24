"""Classes: made, read, changed, archived and restored, by those who may."""

import asyncio
from typing import Any

import pytest
from muster.session.v1 import class_pb2
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason

from tests.rpc.house import House, error_of, reason_of
from tests.rpc.school import ACTIVE, ARCHIVED, School, class_of, student, teacher

SETTINGS = class_pb2.ClassSettings(title="Physics", description="Of all", course_id="p1")
# What needs the teacher, or somebody above.
CHANGES: dict[str, dict[str, Any]] = {
    "UpdateClass": {"settings": class_pb2.ClassSettings(title="Taken")},
    "ArchiveClass": {},
    "RestoreClass": {},
    "AddClassMembers": {"members": [student("eve")]},
    "RemoveClassMembers": {"user_ids": ["ana"]},
}


async def test_a_class_is_read_as_it_was_made(house: House) -> None:
    school = School(house)
    made = class_of(
        await school.call("CreateClass", settings=SETTINGS, members=[student("ana"), teacher("tom")])
    )
    wanted = class_pb2.ClassSettings()
    wanted.CopyFrom(SETTINGS)
    wanted.teacher_user_id = "tess"
    assert made.settings == wanted
    assert (made.organization_id, made.status, made.revision) == (school.organization, ACTIVE, 1)
    assert made.student_count == 1
    assert made.HasField("create_time")
    assert not made.HasField("archive_time")
    assert await school.get(made.class_id) == made


async def test_an_id_is_taken_once_in_each_organization(house: House) -> None:
    school, other = School(house), School(house)
    assert await school.make(class_id="7b") == "7b"
    assert await reason_of(school.make(class_id="7b")) is Reason.ALREADY_EXISTS
    assert await other.make("Theirs", class_id="7b") == "7b"
    assert (await school.get("7b")).settings.title == "Chemistry"
    assert (await other.get("7b")).settings.title == "Theirs"


async def test_an_update_replaces_all_settings_but_keeps_the_teacher_unless_it_names_one(
    house: House,
) -> None:
    school = School(house)
    class_id = await school.make(description="Old", course_id="c")
    updated = class_of(
        await school.call("UpdateClass", by=school.admin, class_id=class_id, settings={"title": "New"})
    )
    assert updated.settings == class_pb2.ClassSettings(title="New", teacher_user_id="tess")
    assert updated.revision == 2
    handed = {"title": "New", "teacher_user_id": "uwe"}
    await school.call("UpdateClass", class_id=class_id, settings=handed)
    refused = school.call("UpdateClass", class_id=class_id, settings={"title": "Mine again"})
    assert await reason_of(refused) is Reason.PERMISSION_DENIED
    assert (await school.get(class_id)).settings == class_pb2.ClassSettings(**handed)


async def test_an_archived_class_takes_no_members_and_can_be_restored(house: House) -> None:
    school = School(house)
    class_id = await school.make(members=[student("ana"), student("ben")])
    archived = class_of(await school.call("ArchiveClass", class_id=class_id))
    assert (archived.status, archived.revision, archived.HasField("archive_time")) == (ARCHIVED, 2, True)
    assert await school.get(class_id) == archived
    add = school.call("AddClassMembers", class_id=class_id, members=[student("cem")])
    assert await reason_of(add) is Reason.CLASS_STATUS
    assert await reason_of(school.call("ArchiveClass", class_id=class_id)) is Reason.CLASS_STATUS
    # Who has to be forgotten can be taken out.
    await school.call("RemoveClassMembers", class_id=class_id, user_ids=["ben"])
    restored = class_of(await school.call("RestoreClass", class_id=class_id))
    assert (restored.status, restored.revision, restored.student_count) == (ACTIVE, 3, 1)
    assert not restored.HasField("archive_time")
    assert await reason_of(school.call("RestoreClass", class_id=class_id)) is Reason.CLASS_STATUS
    await school.call("AddClassMembers", class_id=class_id, members=[student("cem")])


@pytest.mark.parametrize("rpc", ["UpdateClass", "ArchiveClass", "RestoreClass"])
async def test_a_change_of_what_has_changed_since_is_refused(house: House, rpc: str) -> None:
    school = School(house)
    class_id = await school.make()
    if rpc == "RestoreClass":
        await school.call("ArchiveClass", class_id=class_id, expected_revision=1)
    seen = (await school.get(class_id)).revision
    fields = {"class_id": class_id, "expected_revision": seen, **CHANGES[rpc]}
    stale = {**fields, "expected_revision": seen + 1}
    assert await reason_of(school.call(rpc, **stale)) is Reason.REVISION_STALE
    await school.call(rpc, **fields)
    assert await reason_of(school.call(rpc, **fields)) is Reason.REVISION_STALE


async def test_of_changes_from_the_same_revision_one_gets_through(house: House) -> None:
    school = School(house)
    class_id = await school.make()
    answers = await asyncio.gather(
        *(
            school.call(
                "UpdateClass", class_id=class_id, expected_revision=1, settings={"title": f"Title {number}"}
            )
            for number in range(16)
        ),
        return_exceptions=True,
    )
    (landed,) = (answer for answer in answers if not isinstance(answer, BaseException))
    assert await school.get(class_id) == class_of(landed)
    assert class_of(landed).revision == 2


async def test_a_roster_does_not_change_the_revision(house: House) -> None:
    school = School(house)
    class_id = await school.make()
    await school.call("AddClassMembers", class_id=class_id, members=[student("ana")])
    assert ((await school.get(class_id)).revision, (await school.get(class_id)).student_count) == (1, 1)


@pytest.mark.parametrize("rpc", CHANGES)
async def test_only_its_teacher_and_those_above_change_a_class(house: House, rpc: str) -> None:
    school = School(house)
    class_id = await school.make(members=[teacher("uwe"), student("ana")])
    before = await school.get(class_id)
    for name in ("uwe", "other"):
        colleague = school.user(name, OrganizationRole.EDITOR)
        refused = school.call(rpc, by=colleague, class_id=class_id, **CHANGES[rpc])
        assert await reason_of(refused) is Reason.PERMISSION_DENIED
    member = school.call(rpc, by=school.user("ana"), class_id=class_id, **CHANGES[rpc])
    assert await reason_of(member) is Reason.PERMISSION_DENIED
    assert await school.get(class_id) == before
    if rpc == "RestoreClass":
        await school.call("ArchiveClass", class_id=class_id)
    owner = school.user("owner", OrganizationRole.OWNER)
    await school.call(rpc, by=owner, class_id=class_id, **CHANGES[rpc])


async def test_members_see_the_classes_they_are_in_and_no_others(house: House) -> None:
    school = School(house)
    class_id = await school.make(members=[student("ana")], teacher_user_id="tom")
    for sees in (
        school.user("ana"),
        school.user("tom"),
        school.user("other", OrganizationRole.EDITOR),
        house.service(organization=school.organization),
    ):
        assert (await school.get(class_id, sees)).class_id == class_id
    assert await reason_of(school.get(class_id, school.user("eve"))) is Reason.NOT_FOUND
    await school.call("RemoveClassMembers", by=school.admin, class_id=class_id, user_ids=["ana"])
    assert await reason_of(school.get(class_id, school.user("ana"))) is Reason.NOT_FOUND


@pytest.mark.parametrize("rpc", [*CHANGES, "GetClass", "ListClassMembers"])
async def test_for_another_organization_the_class_is_not_there(house: House, rpc: str) -> None:
    school, other = School(house), School(house)
    class_id = await school.make(members=[student("ana")])
    before = await school.get(class_id)
    strangers = [other.user("tess", OrganizationRole.OWNER), other.tess]
    if rpc in {"GetClass", "ListClassMembers"}:
        strangers += [house.service(organization=other.organization), house.service()]
    for stranger in strangers:
        refused = other.call(rpc, by=stranger, class_id=class_id, **CHANGES.get(rpc, {}))
        assert await reason_of(refused) is Reason.NOT_FOUND
    assert await school.get(class_id) == before


async def test_rows_of_other_organizations_are_out_of_reach_of_any_query(house: House) -> None:
    """Row-level security, with the conditions of the queries taken away."""
    school, other = School(house), School(house)
    for each in (school, other):
        await each.make(members=[student("ana")])
    database = house.apps["session"]._stores.database  # type: ignore[attr-defined]
    async with database.transaction(school.organization) as transaction:
        for table in ("class", "class_member"):
            seen = await transaction.connection.exec_driver_sql(
                f"SELECT DISTINCT organization_id FROM session.{table}"
            )
            assert [row[0] for row in seen] == [school.organization]
            taken = await transaction.connection.exec_driver_sql(
                f"UPDATE session.{table} SET organization_id = organization_id"
            )
            assert taken.rowcount == 1


@pytest.mark.parametrize(
    ("rpc", "fields", "path"),
    [
        ("CreateClass", {"settings": {}}, "settings.title"),
        ("CreateClass", {}, "settings"),
        ("CreateClass", {"settings": {"title": "x" * 201}}, "settings.title"),
        ("CreateClass", {"settings": {"title": "a\0b"}}, "settings.title"),
        (
            "CreateClass",
            {"settings": SETTINGS, "members": [student("ana"), student("ben"), teacher("ana")]},
            "members[2].user_id",
        ),
        ("AddClassMembers", {"members": [student("ana"), student("ana")]}, "members[1].user_id"),
        ("AddClassMembers", {"members": [student("")]}, "members[0].user_id"),
        ("AddClassMembers", {"members": [{"user_id": "ana", "role": 9}]}, "members[0].role"),
        ("AddClassMembers", {}, "members"),
        ("AddClassMembers", {"members": [student(f"s{n}") for n in range(501)]}, "members"),
        ("RemoveClassMembers", {"user_ids": ["ana", "ana"]}, "user_ids"),
        ("UpdateClass", {"settings": SETTINGS, "expected_revision": -1}, "expected_revision"),
        ("ListClassMembers", {"page_size": 201}, "page_size"),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    house: House, rpc: str, fields: dict[str, Any], path: str
) -> None:
    school = School(house)
    if rpc != "CreateClass":
        fields = {"class_id": await school.make(members=[student("zoe")]), **fields}
    error = await error_of(school.call(rpc, **fields))
    assert error.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in error.violations] == [path]
    kept = await house.rows(
        "SELECT student_count FROM session.class WHERE organization_id = :organization",
        organization=school.organization,
    )
    assert kept == ([] if rpc == "CreateClass" else [(1,)])
