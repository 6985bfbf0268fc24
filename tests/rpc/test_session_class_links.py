"""Sessions for classes: only for those there are, and with the roster that is the total of attendance."""

import asyncio
from typing import Any

import pytest
from muster.session.v1 import session_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_kit.errors import Reason
from muster_session.model_classes import ClassStatus
from muster_session.store_postgres_classes import PostgresClasses

from tests.rpc.house import House, Metadata, bearer, error_of, reason_of
from tests.rpc.school import School, for_classes, student, teacher

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%'"


async def update(school: School, session_id: str, class_ids: list[str]) -> Any:
    request = pb.UpdateSessionRequest(session_id=session_id, settings=for_classes(class_ids))
    return await school.house.sessions.UpdateSession(request, metadata=school.tess)


async def roster(school: School, session_id: str, by: Metadata | None = None, **fields: Any) -> Any:
    return await school.call("ListSessionRoster", by=by, session_id=session_id, **fields)


async def join(school: School, by: Metadata, **session: str) -> Metadata:
    request = pb.JoinSessionRequest(**session)
    joined = await school.house.sessions.JoinSession(request, metadata=by)
    return bearer(joined.ticket.token)


async def test_a_session_is_for_classes_that_its_organization_has(house: House) -> None:
    school, other = School(house), School(house)
    known, theirs = await school.make(), await other.make()
    for class_ids in ([known, "nowhere"], [known, theirs]):
        error = await error_of(school.session(class_ids))
        assert error.reason is Reason.INVALID_FIELD
        assert [violation.field for violation in error.violations] == ["settings.class_ids[1]"]
    session_id = await school.session([known])
    error = await error_of(update(school, session_id, ["nowhere", known, theirs]))
    assert [v.field for v in error.violations] == ["settings.class_ids[0]", "settings.class_ids[2]"]


async def test_an_archived_class_takes_no_new_sessions_and_keeps_those_it_has(house: House) -> None:
    school = School(house)
    archived, active = await school.make(members=[student("ana")]), await school.make()
    held, free = await school.session([archived]), await school.session([])
    await school.call("ArchiveClass", class_id=archived)
    assert await reason_of(school.session([active, archived])) is Reason.CLASS_STATUS
    assert await reason_of(update(school, free, [archived])) is Reason.CLASS_STATUS
    assert list((await update(school, held, [archived, active])).session.settings.class_ids) == [
        archived,
        active,
    ]
    assert (await roster(school, held)).student_count == 1
    await update(school, held, [active])
    assert await reason_of(update(school, held, [archived])) is Reason.CLASS_STATUS
    await school.call("RestoreClass", class_id=archived)
    await update(school, held, [archived])


async def test_a_session_waits_for_a_class_that_is_being_archived(house: House) -> None:
    school = School(house)
    class_id = await school.make()
    database = house.apps["session"]._stores.database  # type: ignore[attr-defined]
    async with asyncio.timeout(10), database.transaction(school.organization) as transaction:
        classes = PostgresClasses(transaction)
        locked = await classes.lock(class_id)
        await classes.save(locked.moved(ClassStatus.ARCHIVED, classes.now))
        making = asyncio.create_task(school.session([class_id]))
        while not (making.done() or await house.rows(WAITING)):
            pass
    assert await reason_of(making) is Reason.CLASS_STATUS


async def test_a_roster_has_the_students_of_all_classes_once_by_name(house: House) -> None:
    school = School(house)
    one = await school.make(
        members=[student("ana", "Ána"), student("ben", "ben"), teacher("tom", "Tom")], class_id="one"
    )
    two = await school.make(
        members=[student("zoe", "Zoe"), student("ana", "Ana B."), teacher("ben", "ben"), student("id")],
        class_id="two",
    )
    await school.make(members=[student("elsewhere")])
    session_id = await school.session([two, one])
    listed = await roster(school, session_id)
    assert [(s.user_id, s.display_name, list(s.class_ids)) for s in listed.students] == [
        ("ana", "Ána", ["one", "two"]),
        ("ben", "ben", ["one"]),
        ("id", "", ["two"]),
        ("zoe", "Zoe", ["two"]),
    ]
    assert (listed.student_count, listed.next_page_token) == (4, "")
    asked = await roster(school, session_id, user_ids=["zoe", "tom", "nobody", "ben"])
    assert [s.user_id for s in asked.students] == ["ben", "zoe"]
    assert asked.student_count == 4


async def test_pages_of_a_roster_are_all_of_it_once(house: House) -> None:
    school = School(house)
    # Equal names, so that the ids have to tell them apart.
    people = [student(f"s{number}", "Same") for number in range(7)]
    session_id = await school.session([await school.make(members=people), await school.make(members=people)])
    found, token = [], ""
    while True:
        page = await roster(school, session_id, page_size=3, page_token=token)
        assert page.student_count == 7
        found.append([s.user_id for s in page.students])
        token = page.next_page_token
        if not token:
            break
    assert found == [["s0", "s1", "s2"], ["s3", "s4", "s5"], ["s6"]]
    last = await roster(school, session_id, page_size=6)
    for fields in ({"user_ids": ["s1"]}, {"session_id": await school.session([])}):
        wanted = {"session_id": session_id, **fields}
        refused = school.call("ListSessionRoster", page_token=last.next_page_token, **wanted)
        assert await reason_of(refused) is Reason.PAGE_TOKEN_INVALID


async def test_a_session_for_no_class_expects_nobody(house: House) -> None:
    school = School(house)
    listed = await roster(school, await school.session([]))
    assert (list(listed.students), listed.student_count) == ([], 0)


async def test_a_roster_is_for_who_runs_the_session_and_for_services(house: House) -> None:
    school, other = School(house), School(house)
    session_id = await school.session([await school.make(members=[student("ana")])])
    join_code = await opened(school, session_id)
    host = await join(school, school.tess, session_id=session_id)
    elsewhere = await school.session([])
    await opened(school, elsewhere)
    service = house.service(organization=school.organization)
    for by in (school.tess, host, school.admin, service):
        assert (await roster(school, session_id, by)).student_count == 1
    for stranger in (
        school.user("other", OrganizationRole.EDITOR),
        other.tess,
        other.admin,
        house.service(organization=other.organization),
        house.service(),
        await join(school, school.tess, session_id=elsewhere),
    ):
        assert await reason_of(roster(school, session_id, stranger)) is Reason.NOT_FOUND
    colleague = school.user("uwe", OrganizationRole.EDITOR)
    await join(school, colleague, join_code=join_code)
    assert await reason_of(roster(school, session_id, colleague)) is Reason.PERMISSION_DENIED


async def opened(school: School, session_id: str) -> str:
    request = pb.OpenLobbyRequest(session_id=session_id)
    lobby = await school.house.sessions.OpenLobby(request, metadata=school.tess)
    join_code: str = lobby.session.join_code
    return join_code


@pytest.mark.parametrize("classes", [1, 50])
async def test_sessions_are_found_by_any_of_their_classes(house: House, classes: int) -> None:
    school = School(house)
    class_ids = await asyncio.gather(*(school.make() for _ in range(classes)))
    session_id = await school.session(list(class_ids))
    await school.session([])
    for class_id in class_ids[:1] + class_ids[-1:]:
        request = pb.ListSessionsRequest(class_id=class_id)
        answer = await house.sessions.ListSessions(request, metadata=school.tess)
        assert [session.session_id for session in answer.sessions] == [session_id]
