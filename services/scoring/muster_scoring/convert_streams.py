"""Streams of answers between contract and model; pure."""

from collections.abc import AsyncIterator, Iterator, Sequence

from muster.scoring.v1 import round_service_pb2 as pb
from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation

from muster_scoring.convert import submission, submit_reply
from muster_scoring.usecases_stream import Given, Sequenced, Told, seat_for


async def sequenced(
    caller: Caller, requests: AsyncIterator[pb.StreamResponsesRequest]
) -> AsyncIterator[Sequenced]:
    """What the requests ask for, each with its number, or why it is refused."""
    async for request in requests:
        yield request.sequence, _given(caller, request)


def replies(run: Sequence[Told]) -> Iterator[pb.StreamResponsesResponse]:
    """What a participant is told: each answer's result."""
    for sequence, told in run:
        for reply in told:
            if isinstance(reply, MusterError):
                yield pb.StreamResponsesResponse(sequence=sequence, refused_reason=reply.reason)
            else:
                yield pb.StreamResponsesResponse(sequence=sequence, result=submit_reply(reply))


def acknowledgement(run: Sequence[Told]) -> pb.StreamResponsesResponse:
    """What a service is told: how far it got, and what was refused of that."""
    response = pb.StreamResponsesResponse(sequence=run[-1][0])
    for sequence, told in run:
        for index, reply in enumerate(told):
            if isinstance(reply, MusterError):
                response.refused.add(sequence=sequence, reason=reply.reason, index=index)
    return response


def _given(caller: Caller, request: pb.StreamResponsesRequest) -> Sequence[Given | MusterError]:
    if request.HasField("answer") == bool(request.answers):
        return [_unclear("answer")]
    if not request.answers:
        return [_one(caller, request, request)]
    if caller.is_ticket:
        return [_unclear("answers")]
    return [_one(caller, request, answer) for answer in request.answers]


def _one(
    caller: Caller,
    request: pb.StreamResponsesRequest,
    message: pb.StreamResponsesRequest | pb.ParticipantAnswer,
) -> Given | MusterError:
    try:
        seat = seat_for(
            caller,
            organization_id=request.organization_id,
            session_id=request.session_id,
            participant_id=message.participant_id,
            display_name=message.display_name,
        )
        return seat, submission(message, round_id=request.round_id, delivery_proof=request.delivery_proof)
    except MusterError as error:
        return error


def _unclear(field: str) -> MusterError:
    violation = Violation(field, "must be given, or `answers` by services")
    return MusterError(Reason.INVALID_FIELD, violations=[violation])
