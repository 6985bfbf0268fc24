"""Serves `muster.session.v1.ClassService`: classes, and who is in them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from muster.session.v1 import class_service_pb2 as pb
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call

from muster_session.class_requests import ClassRequests
from muster_session.convert_classes import (
    class_message,
    class_settings_of,
    class_statuses_of,
    member_message,
    member_role_of,
    new_members_of,
    roster_message,
)
from muster_session.model_classes import ClassMember, ClassStatus
from muster_session.store_classes import ClassDirectory, ClassFilter
from muster_session.store_directory import Directory
from muster_session.usecases_classes import (
    add_members,
    create_class,
    move_class,
    remove_members,
    seen_class,
    session_with_roster,
    update_class,
    within_sight,
)


class ClassServicer:
    """All calls of the service."""

    def __init__(self, requests: ClassRequests, classes: ClassDirectory, sessions: Directory) -> None:
        self._requests = requests
        self._classes = classes
        self._sessions = sessions

    async def CreateClass(self, request: pb.CreateClassRequest, call: Call) -> bytes:
        """Make a class."""
        return await self._requests.run(
            call.caller,
            partial(
                create_class,
                caller=call.caller,
                settings=class_settings_of(request.settings),
                members=new_members_of(request.members),
                class_id=request.class_id,
            ),
            request=request,
            encode=lambda made: pb.CreateClassResponse(**{"class": class_message(made)}),
        )

    async def GetClass(self, request: pb.GetClassRequest, call: Call) -> pb.GetClassResponse:
        """Read a class."""
        found = await seen_class(self._classes, call.caller, request.class_id)
        return pb.GetClassResponse(**{"class": class_message(found)})

    async def ListClasses(self, request: pb.ListClassesRequest, call: Call) -> pb.ListClassesResponse:
        """List classes by title: those that the caller may see."""
        wanted = within_sight(
            call.caller,
            ClassFilter(
                statuses=class_statuses_of(request.statuses),
                teacher_user_id=request.teacher_user_id,
                student_user_id=request.student_user_id,
                course_id=request.course_id,
            ),
        )
        organization_id = call.caller.organization_id
        # In an order of its own: that of a set is another in each process.
        scope = replace(wanted, statuses=frozenset()), sorted(wanted.statuses)
        pages = Pages("classes", organization_id, *scope, page_size=request.page_size)
        after = pages.text_and_id(request.page_token)
        rows = await self._classes.list_classes(organization_id, wanted, after=after, limit=pages.limit)
        shown, last = pages.cut(rows)
        return pb.ListClassesResponse(
            classes=[class_message(row) for row in shown],
            next_page_token=pages.token(last.settings.sort_title, "\0", last.class_id) if last else "",
        )

    async def UpdateClass(self, request: pb.UpdateClassRequest, call: Call) -> bytes:
        """Replace the settings."""
        return await self._requests.run(
            call.caller,
            partial(
                update_class,
                caller=call.caller,
                settings=class_settings_of(request.settings),
                class_id=request.class_id,
                expected_revision=request.expected_revision,
            ),
            request=request,
            encode=lambda updated: pb.UpdateClassResponse(**{"class": class_message(updated)}),
        )

    async def ArchiveClass(self, request: pb.ArchiveClassRequest, call: Call) -> bytes:
        """Put a class away."""
        return await self._move(ClassStatus.ARCHIVED, request, call, pb.ArchiveClassResponse)

    async def RestoreClass(self, request: pb.RestoreClassRequest, call: Call) -> bytes:
        """Take a class into use again."""
        return await self._move(ClassStatus.ACTIVE, request, call, pb.RestoreClassResponse)

    async def AddClassMembers(self, request: pb.AddClassMembersRequest, call: Call) -> bytes:
        """Add members."""

        def encode(added: tuple[Sequence[ClassMember], int]) -> pb.AddClassMembersResponse:
            members, student_count = added
            return pb.AddClassMembersResponse(
                members=map(member_message, members), student_count=student_count
            )

        return await self._requests.run(
            call.caller,
            partial(
                add_members,
                caller=call.caller,
                members=new_members_of(request.members),
                class_id=request.class_id,
            ),
            request=request,
            encode=encode,
        )

    async def RemoveClassMembers(self, request: pb.RemoveClassMembersRequest, call: Call) -> bytes:
        """Remove members."""

        def encode(removed: tuple[int, int]) -> pb.RemoveClassMembersResponse:
            removed_count, student_count = removed
            return pb.RemoveClassMembersResponse(removed_count=removed_count, student_count=student_count)

        return await self._requests.run(
            call.caller,
            partial(
                remove_members,
                caller=call.caller,
                user_ids=list(request.user_ids),
                class_id=request.class_id,
            ),
            request=request,
            encode=encode,
        )

    async def ListClassMembers(
        self, request: pb.ListClassMembersRequest, call: Call
    ) -> pb.ListClassMembersResponse:
        """List the members of a class by name."""
        await seen_class(self._classes, call.caller, request.class_id)
        pages = Pages("members", request.class_id, request.role, page_size=request.page_size)
        rows = await self._classes.list_members(
            call.caller.organization_id,
            request.class_id,
            member_role_of(request.role),
            after=pages.text_and_id(request.page_token),
            limit=pages.limit,
        )
        shown, last = pages.cut(rows)
        return pb.ListClassMembersResponse(
            members=map(member_message, shown),
            next_page_token=pages.token(last.sort_name, "\0", last.user_id) if last else "",
        )

    async def ListSessionRoster(
        self, request: pb.ListSessionRosterRequest, call: Call
    ) -> pb.ListSessionRosterResponse:
        """List the students of all classes of a session by name."""
        session = await session_with_roster(self._sessions, call.caller, request.session_id)
        user_ids = sorted(request.user_ids)
        pages = Pages("roster", request.session_id, user_ids, page_size=request.page_size)
        rows, student_count = await self._classes.list_roster(
            session.organization_id,
            session.settings.class_ids,
            user_ids,
            after=pages.text_and_id(request.page_token),
            limit=pages.limit,
        )
        shown, last = pages.cut(rows)
        return pb.ListSessionRosterResponse(
            students=map(roster_message, shown),
            next_page_token=pages.token(last.sort_name, "\0", last.user_id) if last else "",
            student_count=student_count,
        )

    async def _move(
        self,
        status: ClassStatus,
        request: pb.ArchiveClassRequest | pb.RestoreClassRequest,
        call: Call,
        response: type[pb.ArchiveClassResponse | pb.RestoreClassResponse],
    ) -> bytes:
        return await self._requests.run(
            call.caller,
            partial(
                move_class,
                caller=call.caller,
                status=status,
                class_id=request.class_id,
                expected_revision=request.expected_revision,
            ),
            request=request,
            encode=lambda moved: response(**{"class": class_message(moved)}),
        )
