"""The attendance of one session to test with: who is expected, when it was active, and who was there."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from muster.presence.v1 import attendance_pb2
from muster.presence.v1 import attendance_service_pb2 as pb
from muster.presence.v1 import presence_service_pb2 as presence_pb
from muster.presence.v1.attendance_service_pb2_grpc import AttendanceServiceStub
from muster.presence.v1.scope_pb2 import SCOPE_KIND_SESSION, Scope
from muster_kit.caller import OrganizationRole, RoomRole
from muster_kit.db import Database
from muster_kit.rpc.tokens import TicketSigner
from sqlalchemy import text

from tests.rpc.house import House, Metadata, bearer
from tests.rpc.school import School, student

PRESENT, LATE, LEFT_EARLY, ABSENT, EXCUSED = (
    getattr(attendance_pb2, f"ATTENDANCE_STATUS_{name}")
    for name in ("PRESENT", "LATE", "LEFT_EARLY", "ABSENT", "EXCUSED")
)
ACTIVE, PAUSED, ENDED = (
    getattr(presence_pb, f"SCOPE_PHASE_{name}") for name in ("ACTIVE", "PAUSED", "ENDED")
)
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
"""When sessions of tests began: long enough ago for all that happens in them to have happened."""

_STAY = """
INSERT INTO presence.presence_interval
    (organization_id, scope_kind, scope_id, user_id, enter_time, leave_time, cause, role, display_name,
     participant_id, told_order)
VALUES (:organization_id, 2, :session_id, :user_id, :enter_time, :leave_time, :cause, :role, :name, '', 1)
"""


def minute(number: float) -> datetime:
    """Return a time by the minutes since the start."""
    return START + timedelta(minutes=number)


def stamp(number: float) -> Timestamp:
    """Return the same as the contract has it."""
    message = Timestamp()
    message.FromDatetime(minute(number))
    return message


@dataclass(slots=True)
class Register:
    """A session of the editor `tess` for a class of `ana`, `bo` and `cy`, in a school of its own."""

    school: School
    session_id: str
    class_id: str
    revision: int = 1_000_000
    house: House = field(init=False)
    stub: Any = field(init=False)

    def __post_init__(self) -> None:
        self.house = self.school.house
        self.stub = AttendanceServiceStub(self.house.channel)

    @property
    def tess(self) -> Metadata:
        """The teacher."""
        return self.school.tess

    @property
    def scope(self) -> Scope:
        """The session as a scope."""
        return Scope(kind=SCOPE_KIND_SESSION, scope_id=self.session_id)

    def ticket(self, user_id: str, role: RoomRole = RoomRole.PARTICIPANT, session_id: str = "") -> Metadata:
        """Return who calls with a ticket to the session."""
        key = self.house.settings.ticket_private_key_file
        assert key is not None
        token, _ = TicketSigner.read(key).issue(
            subject=user_id,
            organization_id=self.school.organization,
            organization_role=OrganizationRole.MEMBER,
            room_id=session_id or self.session_id,
            room_role=role,
            participant_id=f"seat-{user_id}",
            generation=1,
            display_name=user_id.title(),
        )
        return bearer(token)

    async def report(
        self,
        phase: int = ENDED,
        *spans: tuple[float, float | None],
        by: Metadata | None = None,
        **fields: Any,
    ) -> None:
        """Report where the session stands; without spans it was active for the first 50 minutes."""
        self.revision += 1
        request = presence_pb.ReportScopeRequest(
            **{
                "organization_id": self.school.organization,
                "scope": self.scope,
                "phase": phase,
                "change_time": stamp(50),
                "revision": self.revision,
                "title": "Lesson",
                "host_user_id": "tess",
                "class_ids": [self.class_id],
                **fields,
            }
        )
        for start, end in spans or ([(0, 50)] if "active_spans" not in fields and phase == ENDED else []):
            span = request.active_spans.add(start_time=stamp(start))
            if end is not None:
                span.end_time.CopyFrom(stamp(end))
        await self.house.presence.ReportScope(request, metadata=by or self.house.service("tests"))

    def admin_database(self) -> Database:
        """Return the database as the superuser sees it; close it."""
        return Database.open(self.house.urls.admin_url, pool_size=1)

    async def came(self, user_id: str, *stays: tuple[float, float | None], role: int = 1) -> None:
        """Let the ledger know when somebody was there, from minute to minute."""
        database = self.admin_database()
        async with database.connection() as connection:
            for start, end in stays:
                values = {
                    "organization_id": self.school.organization,
                    "session_id": self.session_id,
                    "user_id": user_id,
                    "name": user_id.capitalize(),
                    "role": role,
                    "enter_time": minute(start),
                    "leave_time": None if end is None else minute(end),
                    "cause": None if end is None else 1,
                }
                await connection.execute(text(_STAY), values)
        await database.close()

    async def call(self, rpc: str, *, by: Metadata | None = None, **fields: Any) -> Any:
        """Call a method about the session, as the teacher unless told otherwise."""
        request = getattr(pb, f"{rpc}Request")(**{"session_id": self.session_id, **fields})
        return await getattr(self.stub, rpc)(request, metadata=by or self.tess)

    async def records(self, **fields: Any) -> dict[str, Any]:
        """Return the first page of records by person."""
        listed = await self.call("ListAttendance", **fields)
        return {record.user_id: record for record in listed.records}

    async def statuses(self, **fields: Any) -> dict[str, int]:
        """Return what counts by person."""
        return {user_id: record.status for user_id, record in (await self.records(**fields)).items()}

    async def mark(self, *marks: tuple[str, int], by: Metadata | None = None, **fields: Any) -> Any:
        """Mark people."""
        wanted = [
            attendance_pb2.NewAttendanceMark(user_id=user_id, status=status, reason="the doctor's")
            for user_id, status in marks
        ]
        return await self.call("MarkAttendance", by=by, marks=wanted, **fields)

    async def changes(self, **fields: Any) -> list[Any]:
        """Return the first page of the history."""
        return list((await self.call("ListAttendanceChanges", **fields)).changes)

    async def file(self, *, by: Metadata | None = None, **fields: Any) -> bytes:
        """Return an export."""
        request = pb.ExportAttendanceRequest(session_id=self.session_id, **fields)
        call = self.stub.ExportAttendance(request, metadata=by or self.tess)
        return b"".join([answer.chunk async for answer in call])


async def new_register(house: House) -> Register:
    """Make a session and its class; nothing is reported of it but by who makes it."""
    school = School(house)
    members = [student("ana", "Ana"), student("bo", "Bo"), student("cy", "Cy")]
    class_id = await school.make(members=members)
    session_id = await school.session([class_id], session_id=uuid.uuid4().hex)
    return Register(school, session_id, class_id)
