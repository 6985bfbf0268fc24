"""A school to test with: an organization of its own, its teacher, and calls about its classes."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from muster.session.v1 import class_pb2, session_pb2, session_service_pb2
from muster.session.v1 import class_service_pb2 as pb
from muster_kit.caller import OrganizationRole

from tests.rpc.house import House, Metadata

ACTIVE, ARCHIVED = class_pb2.CLASS_STATUS_ACTIVE, class_pb2.CLASS_STATUS_ARCHIVED
STUDENT, TEACHER = class_pb2.CLASS_MEMBER_ROLE_STUDENT, class_pb2.CLASS_MEMBER_ROLE_TEACHER


def student(user_id: str, name: str = "") -> class_pb2.NewClassMember:
    """Return a student to add."""
    return class_pb2.NewClassMember(user_id=user_id, display_name=name)


def teacher(user_id: str, name: str = "") -> class_pb2.NewClassMember:
    """Return someone to add who teaches."""
    return class_pb2.NewClassMember(user_id=user_id, display_name=name, role=TEACHER)


@dataclass(frozen=True, slots=True)
class School:
    """An organization; calls are those of the editor `tess` unless told otherwise."""

    house: House
    organization: str = field(default_factory=lambda: f"school-{uuid.uuid4().hex[:8]}")

    def user(self, name: str, role: OrganizationRole = OrganizationRole.MEMBER) -> Metadata:
        """Return a user of the school."""
        return self.house.user(name, organization=self.organization, role=role)

    @property
    def tess(self) -> Metadata:
        """The teacher who makes what is made here."""
        return self.user("tess", OrganizationRole.EDITOR)

    @property
    def admin(self) -> Metadata:
        """An admin of the school."""
        return self.user("boss", OrganizationRole.ADMIN)

    async def call(self, rpc: str, *, by: Metadata | None = None, **fields: Any) -> Any:
        """Call a method of ClassService."""
        request = getattr(pb, f"{rpc}Request")(**fields)
        return await getattr(self.house.classes, rpc)(request, metadata=by or self.tess)

    async def make(
        self, title: str = "Chemistry", *, by: Metadata | None = None, class_id: str = "", **settings: Any
    ) -> str:
        """Make a class and return its id; `members` are its first ones."""
        members = settings.pop("members", ())
        made = await self.call(
            "CreateClass",
            by=by,
            class_id=class_id,
            members=members,
            settings=class_pb2.ClassSettings(title=title, **settings),
        )
        made_id: str = class_of(made).class_id
        return made_id

    async def get(self, class_id: str, by: Metadata | None = None) -> Any:
        """Read a class."""
        return class_of(await self.call("GetClass", by=by, class_id=class_id))

    async def members(self, class_id: str, **fields: Any) -> list[Any]:
        """Return the first page of a class's members."""
        return list((await self.call("ListClassMembers", class_id=class_id, **fields)).members)

    async def session(self, class_ids: list[str], **fields: Any) -> str:
        """Make a session for classes and return its id."""
        created = await self.house.sessions.CreateSession(
            session_service_pb2.CreateSessionRequest(settings=for_classes(class_ids), **fields),
            metadata=self.tess,
        )
        session_id: str = created.session.session_id
        return session_id


def class_of(answer: Any) -> Any:
    """Return the class of an answer, whose field has the name of a keyword."""
    return getattr(answer, "class")


def for_classes(class_ids: list[str], **settings: Any) -> session_pb2.SessionSettings:
    """Return settings of a session for classes."""
    return session_pb2.SessionSettings(
        title="Lesson",
        visibility=session_pb2.SESSION_VISIBILITY_UNLISTED,
        class_ids=class_ids,
        **settings,
    )
