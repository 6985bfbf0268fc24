"""The session service as presence asks it for rosters: over its contract, with a service's token."""

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import grpc
import structlog
from muster.session.v1 import class_service_pb2 as pb
from muster.session.v1.class_service_pb2_grpc import ClassServiceStub
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.tokens import ServiceTokens

from muster_presence.model import ScopeId
from muster_presence.model_sheet import Student
from muster_presence.store_attendance import Roster

T = TypeVar("T")

_PAGE: Final = 200
_MOST_PAGES: Final = 100
_RETRY_AFTER: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


class SessionRosters:
    """`Rosters` over a channel to the session service."""

    def __init__(self, channel: grpc.aio.Channel, tokens: ServiceTokens | None) -> None:
        self._classes = ClassServiceStub(channel)
        self._tokens = tokens

    async def roster(self, scope: ScopeId, class_ids: Sequence[str]) -> Roster | None:
        """Return the students of a session's classes, and their teachers."""
        students = await self._students(scope)
        if students is None:
            return None
        teachers = []
        for class_id in class_ids:
            request = pb.GetClassRequest(class_id=class_id)
            found = await _asked(self._classes.GetClass(request, metadata=self._metadata(scope)))
            if found is not None:
                teachers.append(getattr(found, "class").settings.teacher_user_id)
        return Roster(students=students, teacher_user_ids=tuple(dict.fromkeys(filter(None, teachers))))

    async def _students(self, scope: ScopeId) -> Sequence[Student] | None:
        students: list[Student] = []
        token = ""
        for _ in range(_MOST_PAGES):
            request = pb.ListSessionRosterRequest(
                session_id=scope.scope_id, page_size=_PAGE, page_token=token
            )
            page = await _asked(self._classes.ListSessionRoster(request, metadata=self._metadata(scope)))
            if page is None:
                return None
            students += [
                Student(user_id=each.user_id, display_name=each.display_name, class_ids=tuple(each.class_ids))
                for each in page.students
            ]
            token = page.next_page_token
            if not token:
                return students
        _log.warning("roster_too_long", session_id=scope.scope_id, students=len(students))
        return students

    def _metadata(self, scope: ScopeId) -> tuple[tuple[str, str], ...]:
        return self._tokens.metadata(scope.organization_id) if self._tokens else ()


async def _asked(call: Awaitable[T]) -> T | None:
    """Return the answer, None for what is not there; MusterError(UNAVAILABLE) when nobody knows."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        detail = f"session: {error.code().name} {error.details()}"
        raise MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=detail) from error
