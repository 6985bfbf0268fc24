"""A lesson of a class whose students hold streams, come back when these break, and are watched."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from muster.presence.v1 import attendance_service_pb2, presence_service_pb2
from muster.presence.v1.attendance_service_pb2_grpc import AttendanceServiceStub
from muster.presence.v1.presence_pb2 import Activity
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster.session.v1 import class_pb2, class_service_pb2, session_pb2, session_service_pb2
from muster.session.v1.class_service_pb2_grpc import ClassServiceStub

from tests.chaos.history import History, Opened
from tests.chaos.people import Person
from tests.chaos.quiz import join, move
from tests.chaos.scope_watch import ScopeWatch
from tests.e2e.running import Running
from tests.waiting import until

_JOIN_AT_ONCE: Final = 20
_PAGE: Final = 200


@dataclass(slots=True)
class Student:
    """Someone who is in the lesson for as long as it lasts."""

    person: Person
    session_id: str
    history: History = field(init=False)
    presence: Any = field(init=False)
    connected_at: float = 0.0
    """When the last stream brought something, by the monotonic clock."""

    def __post_init__(self) -> None:
        self.history = History(self.person.name)
        self.presence = PresenceServiceStub(self.person.channel)

    @property
    def is_connected(self) -> bool:
        """Whether the last stream that was opened brought something."""
        return bool(self.history.entries) and not isinstance(self.history.entries[-1], Opened)

    @property
    def streams(self) -> int:
        """How many streams were opened."""
        return sum(isinstance(entry, Opened) for entry in self.history.entries)

    async def stay(self) -> None:
        """Hold a stream until cancelled."""
        async for _ in self.person.watch(self._connect, self.history):
            if isinstance(self.history.entries[-2], Opened):
                self.connected_at = time.monotonic()

    def _connect(self, after: bytes) -> Any:
        request = presence_service_pb2.ConnectRequest(
            device_id="tablet", activity=Activity(kind="lesson"), after=after
        )
        return self.presence.Connect(request, metadata=self.person.metadata)


@dataclass(slots=True)
class Lesson:
    """A session that has started, its teacher, its students, and those who watch who is there."""

    session_id: str
    teacher: Person
    students: Sequence[Student]
    watches: Sequence[ScopeWatch]
    changes_before: int = 0
    """How many changes of attendance there were before anything was broken."""

    @property
    def names(self) -> list[str]:
        """The ids of all students."""
        return [student.person.name for student in self.students]

    async def until_connected(self) -> None:
        """Wait until every student holds a stream."""
        await until(lambda: all(student.is_connected for student in self.students))

    async def until_shown(self, *, resets: int) -> None:
        """Wait until every watch shows all of them, having been told to start over so many times."""
        await asyncio.gather(*(watch.until_here(self.names, resets=resets) for watch in self.watches))

    async def attendance(self) -> dict[str, Any]:
        """The record of each student, as it stands."""
        stub: Any = AttendanceServiceStub(self.teacher.channel)
        records: dict[str, Any] = {}
        request = attendance_service_pb2.ListAttendanceRequest(session_id=self.session_id, page_size=_PAGE)
        while True:
            listed = await self.teacher.call(stub.ListAttendance, request)
            records |= {record.user_id: record for record in listed.records}
            request.page_token = listed.next_page_token
            if not listed.next_page_token:
                return records

    async def changes(self) -> list[Any]:
        """All changes of attendance that were kept, oldest first."""
        stub: Any = AttendanceServiceStub(self.teacher.channel)
        changes: list[Any] = []
        request = attendance_service_pb2.ListAttendanceChangesRequest(
            session_id=self.session_id, page_size=_PAGE
        )
        while True:
            listed = await self.teacher.call(stub.ListAttendanceChanges, request)
            changes += listed.changes
            request.page_token = listed.next_page_token
            if not listed.next_page_token:
                return changes


@asynccontextmanager
async def open_lesson(running: Running, *, students: int, watches: int) -> AsyncIterator[Lesson]:
    """A lesson with so many students of its class, all of them there, watched over so many connections."""
    organization = f"chaos-{uuid.uuid4().hex[:8]}"

    def person(name: str, role: str = "member") -> Person:
        token = running.user_token(name, role=role, organization=organization)
        return Person.on(running.address, name, token)

    teacher = person("teacher", "editor")
    people = [person(f"student-{number}") for number in range(students)]
    eyes = [person("teacher", "editor") for _ in range(watches)]
    try:
        session_id = await _create(teacher, [each.name for each in people])
        join_code = (await move(teacher, "OpenLobby", session_id)).session.join_code
        for start in range(0, students, _JOIN_AT_ONCE):
            await asyncio.gather(*(join(each, join_code) for each in people[start : start + _JOIN_AT_ONCE]))
        await join(teacher, join_code)
        for each in eyes:
            each.token = teacher.token
        lesson = Lesson(
            session_id,
            teacher,
            [Student(each, session_id) for each in people],
            [ScopeWatch(each, session_id) for each in eyes],
        )
        async with asyncio.TaskGroup() as staying:
            tasks = [staying.create_task(each.stay()) for each in lesson.students]
            tasks += [staying.create_task(each.run()) for each in lesson.watches]
            await lesson.until_shown(resets=0)
            await move(teacher, "StartSession", session_id)
            yield lesson
            for task in tasks:
                task.cancel()
    finally:
        await asyncio.gather(*(each.close() for each in (teacher, *eyes, *people)))


async def _create(teacher: Person, student_ids: Sequence[str]) -> str:
    classes: Any = ClassServiceStub(teacher.channel)
    made = await teacher.call(
        classes.CreateClass,
        class_service_pb2.CreateClassRequest(
            request_id=uuid.uuid4().hex,
            settings=class_pb2.ClassSettings(title="Chaos"),
            members=[class_pb2.NewClassMember(user_id=each, display_name=each) for each in student_ids],
        ),
    )
    settings = session_pb2.SessionSettings(
        title="Chaos",
        visibility=session_pb2.SESSION_VISIBILITY_UNLISTED,
        class_ids=[getattr(made, "class").class_id],
    )
    created = await teacher.call(
        teacher.sessions.CreateSession,
        session_service_pb2.CreateSessionRequest(request_id=uuid.uuid4().hex, settings=settings),
    )
    session_id: str = created.session.session_id
    return session_id
