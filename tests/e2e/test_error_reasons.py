"""Every reason an error can have, met by a client over gRPC, and all that the client is told with it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2, status_pb2
from muster.scoring.v1 import answer_pb2, board_pb2, board_service_pb2
from muster.session.v1 import block_service_pb2, class_pb2, class_service_pb2, session_service_pb2
from muster.session.v1.class_service_pb2_grpc import ClassServiceStub
from muster_kit.errors import CATALOG, Reason
from muster_stack.demo.client import Client, bearer

from tests.e2e.error_stage import Failure, Stage, failure_of
from tests.e2e.failing_servers import INSIDE, faulty, going_away, slow, stores_away
from tests.e2e.running import Running

GET_SESSION = "/muster.session.v1.SessionService/GetSession"


@pytest.fixture(scope="module")
async def client(running: Running) -> AsyncIterator[Client]:
    opened = Client.open(running.address)
    yield opened
    await opened.close()


@pytest.fixture
def stage(running: Running, client: Client) -> Stage:
    return Stage(running, client)


async def invalid_field(stage: Stage) -> Failure:
    return await failure_of(stage.create(title=""))


async def malformed_request(stage: Stage) -> Failure:
    return await failure_of(stage.send(GET_SESSION, b"\xff", stage.user()))


async def request_id_reused(stage: Stage) -> Failure:
    await stage.create(request_id="again", title="One")
    return await failure_of(stage.create(request_id="again", title="Two"))


async def question_file_faulty(stage: Stage) -> Failure:
    file = b"What is it?\nA. This\nB. That\nANSWER: C\n"
    aiken = block_service_pb2.QUESTION_FORMAT_AIKEN
    session_id = await stage.create()
    return await failure_of(stage.blocks("ImportBlocks", session_id, format=aiken, content=file))


async def page_token_invalid(stage: Stage) -> Failure:
    request = session_service_pb2.ListSessionsRequest(page_token="the next one, please")
    return await failure_of(stage.client.sessions.ListSessions(request, metadata=stage.user()))


async def answer_mismatch(stage: Stage) -> Failure:
    question = await stage.ask()
    number = answer_pb2.Answer(number=answer_pb2.NumericAnswer(value=1))
    return await failure_of(stage.answer(question.round_id, question.ticket, number))


async def token_invalid(stage: Stage) -> Failure:
    return await failure_of(stage.send(GET_SESSION, b"", ()))


async def ticket_revoked(stage: Stage) -> Failure:
    question = await stage.ask()
    leaving = session_service_pb2.LeaveSessionRequest(session_id=question.session_id)
    await stage.client.sessions.LeaveSession(leaving, metadata=question.ticket)
    return await failure_of(stage.answer(question.round_id, question.ticket))


async def permission_denied(stage: Stage) -> Failure:
    request = session_service_pb2.CreateSessionRequest()
    return await failure_of(stage.client.sessions.CreateSession(request, metadata=stage.user("member")))


async def not_found(stage: Stage) -> Failure:
    return await failure_of(stage.move("StartSession", "nowhere"))


async def join_refused(stage: Stage) -> Failure:
    return await failure_of(stage.join("ZZZZZZ"))


async def already_exists(stage: Stage) -> Failure:
    session_id = await stage.create()
    return await failure_of(stage.create(session_id=session_id))


async def session_status(stage: Stage) -> Failure:
    return await failure_of(stage.move("PauseSession", await stage.create()))


async def block_status(stage: Stage) -> Failure:
    question = await stage.ask()
    await stage.blocks("CloseBlock", question.session_id, block_id=question.block_id)
    return await failure_of(stage.blocks("CloseBlock", question.session_id, block_id=question.block_id))


async def block_busy(stage: Stage) -> Failure:
    question = await stage.ask()
    return await failure_of(stage.blocks("ActivateBlock", question.session_id))


async def session_full(stage: Stage) -> Failure:
    lobby = await stage.open(max_participants=1)
    await stage.join(lobby.join_code, "ann")
    return await failure_of(stage.join(lobby.join_code, "bob"))


async def late_join(stage: Stage) -> Failure:
    lobby = await stage.open(late_join_allowed=False)
    await stage.move("StartSession", lobby.session_id)
    return await failure_of(stage.join(lobby.join_code))


async def banned(stage: Stage) -> Failure:
    lobby = await stage.open()
    joined = await stage.join(lobby.join_code)
    await stage.seat("BanParticipant", lobby.session_id, joined.participant.participant_id)
    return await failure_of(stage.join(lobby.join_code))


async def round_closed(stage: Stage) -> Failure:
    question = await stage.ask()
    await stage.blocks("CloseBlock", question.session_id, block_id=question.block_id)
    return await failure_of(stage.answer(question.round_id, question.ticket))


async def already_answered(stage: Stage) -> Failure:
    question = await stage.ask()
    await stage.answer(question.round_id, question.ticket)
    return await failure_of(stage.answer(question.round_id, question.ticket))


async def participant_status(stage: Stage) -> Failure:
    lobby = await stage.open()
    seat = (await stage.join(lobby.join_code)).participant.participant_id
    await stage.seat("KickParticipant", lobby.session_id, seat)
    return await failure_of(stage.seat("KickParticipant", lobby.session_id, seat))


async def board_closed(stage: Stage) -> Failure:
    service = bearer(stage.running.service_token(organization=stage.organization))
    made = await stage.client.boards.CreateBoard(
        board_service_pb2.CreateBoardRequest(
            organization_id=stage.organization,
            operator=board_pb2.BOARD_OPERATOR_BEST,
            close_time=Timestamp(seconds=1),
        ),
        metadata=service,
    )
    request = board_service_pb2.SubmitScoreRequest(
        board_id=made.board.board_id, submission=board_pb2.ScoreSubmission(entry_id="ann", score=1)
    )
    return await failure_of(stage.client.boards.SubmitScore(request, metadata=service))


async def class_status(stage: Stage) -> Failure:
    classes = ClassServiceStub(stage.client.channel)
    settings = class_pb2.ClassSettings(title="Gone")
    new = class_service_pb2.CreateClassRequest(class_id="gone", settings=settings)
    await classes.CreateClass(new, metadata=stage.user())
    archive = class_service_pb2.ArchiveClassRequest(class_id="gone")
    await classes.ArchiveClass(archive, metadata=stage.user())
    return await failure_of(stage.create(class_ids=["gone"]))


async def revision_stale(stage: Stage) -> Failure:
    return await failure_of(stage.move("OpenLobby", await stage.create(), expected_revision=99))


async def rate_limited(stage: Stage) -> Failure:
    for _ in range(10):
        await failure_of(stage.join("ZZZZZZ"))
    return await failure_of(stage.join("ZZZZZZ"))


async def too_large(stage: Stage) -> Failure:
    return await failure_of(stage.send(GET_SESSION, bytes((4 << 20) + 1), stage.user()))


async def unimplemented(stage: Stage) -> Failure:
    return await failure_of(stage.send("/muster.session.v1.SessionService/Dream", b"", stage.user()))


@dataclass(frozen=True, slots=True)
class Way:
    """A way to meet an error, and what is told besides its reason."""

    meet: Callable[[Stage], Awaitable[Failure]]
    fields: tuple[str, ...] = ()
    retry: bool = False


WAYS: dict[Reason, Way] = {
    Reason.INVALID_FIELD: Way(invalid_field, fields=("settings.title",)),
    Reason.MALFORMED_REQUEST: Way(malformed_request),
    Reason.REQUEST_ID_REUSED: Way(request_id_reused),
    Reason.QUESTION_FILE_FAULTY: Way(question_file_faulty, fields=("content",)),
    Reason.PAGE_TOKEN_INVALID: Way(page_token_invalid),
    Reason.ANSWER_MISMATCH: Way(answer_mismatch),
    Reason.TOKEN_INVALID: Way(token_invalid),
    Reason.TICKET_REVOKED: Way(ticket_revoked),
    Reason.PERMISSION_DENIED: Way(permission_denied),
    Reason.NOT_FOUND: Way(not_found),
    Reason.JOIN_REFUSED: Way(join_refused),
    Reason.ALREADY_EXISTS: Way(already_exists),
    Reason.SESSION_STATUS: Way(session_status),
    Reason.BLOCK_STATUS: Way(block_status),
    Reason.BLOCK_BUSY: Way(block_busy),
    Reason.SESSION_FULL: Way(session_full),
    Reason.LATE_JOIN: Way(late_join),
    Reason.BANNED: Way(banned),
    Reason.ROUND_CLOSED: Way(round_closed),
    Reason.ALREADY_ANSWERED: Way(already_answered),
    Reason.PARTICIPANT_STATUS: Way(participant_status),
    Reason.BOARD_CLOSED: Way(board_closed),
    Reason.CLASS_STATUS: Way(class_status),
    Reason.REVISION_STALE: Way(revision_stale),
    Reason.RATE_LIMITED: Way(rate_limited, retry=True),
    Reason.TOO_LARGE: Way(too_large),
    Reason.UNAVAILABLE: Way(stores_away, retry=True),
    Reason.DRAINING: Way(going_away),
    Reason.DEADLINE_EXCEEDED: Way(slow),
    Reason.UNIMPLEMENTED: Way(unimplemented),
    Reason.INTERNAL: Way(faulty),
}


def test_there_is_a_way_to_every_error() -> None:
    assert WAYS.keys() == set(Reason)


@pytest.mark.parametrize("reason", WAYS)
async def test_an_error_tells_what_it_is_and_no_more(reason: Reason, stage: Stage) -> None:
    failure, entry = await WAYS[reason].meet(stage), CATALOG[reason]
    assert (failure.code().name, failure.details()) == (entry.code, entry.message)
    trailers = dict(failure.trailing_metadata() or ())
    assert trailers.keys() - {"muster-call-id"} == {"grpc-status-details-bin"}
    assert ("muster-call-id" in trailers) is (reason is Reason.INTERNAL)
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (code_pb2.Code.Value(entry.code), entry.message)
    _check_details(status.details, reason, WAYS[reason])
    assert INSIDE not in repr(failure)


def _check_details(details: Iterable[Any], reason: Reason, way: Way) -> None:
    info, faults, retry = (
        _only(kind, details)
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    )
    assert info == error_details_pb2.ErrorInfo(reason=reason.value, domain="muster")
    assert tuple(fault.field for fault in faults.field_violations) == way.fields
    assert all(fault.description for fault in faults.field_violations)
    assert (retry.retry_delay.ToTimedelta() > timedelta(0)) is way.retry
    assert len(list(details)) == 1 + bool(way.fields) + way.retry


def _only(kind: Any, details: Iterable[Any]) -> Any:
    """Return the one detail of this kind, or an empty one."""
    found = kind()
    for detail in details:
        if detail.Is(kind.DESCRIPTOR):
            assert found == kind()
            detail.Unpack(found)
    return found
