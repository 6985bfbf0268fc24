"""Rounds, answers and results between contract and model; pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from muster.scoring.v1 import answer_pb2, round_pb2, round_service_pb2, rules_pb2
from muster_kit.timestamps import time_of

from muster_scoring.convert_answers import answer_from_proto, key_from_proto, rules_from_proto
from muster_scoring.model import Round, RoundStats, RoundStatus, Session
from muster_scoring.model_answers import Answer, AnswerKey, ResponseStatus
from muster_scoring.points import ScoreParts, ScoringRules
from muster_scoring.usecases_responses import Submission, SubmitReply
from muster_scoring.usecases_results import Analytics, ParticipantResult, ShownResponse
from muster_scoring.usecases_rounds import Opening, OpenRound

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_STATUSES: Final = {
    ResponseStatus.SUBMITTED: round_pb2.RESPONSE_STATUS_SUBMITTED,
    ResponseStatus.CORRECT: round_pb2.RESPONSE_STATUS_CORRECT,
    ResponseStatus.INCORRECT: round_pb2.RESPONSE_STATUS_INCORRECT,
    ResponseStatus.PARTIAL: round_pb2.RESPONSE_STATUS_PARTIAL,
}

_ROUND_STATUSES: Final = {
    RoundStatus.OPEN: round_pb2.ROUND_STATUS_OPEN,
    RoundStatus.PAUSED: round_pb2.ROUND_STATUS_PAUSED,
    RoundStatus.CLOSED: round_pb2.ROUND_STATUS_CLOSED,
    RoundStatus.CANCELLED: round_pb2.ROUND_STATUS_CANCELLED,
}


class Codec:
    """The AnswerCodec: what is stored are the contract's messages."""

    def read_answer(self, data: bytes) -> Answer:
        """Return an answer."""
        return answer_from_proto(answer_pb2.Answer.FromString(data))

    def read_key(self, data: bytes) -> AnswerKey:
        """Return an answer key."""
        return key_from_proto(answer_pb2.AnswerKey.FromString(data))

    def read_rules(self, data: bytes) -> ScoringRules:
        """Return scoring rules."""
        return rules_from_proto(rules_pb2.ScoringRules.FromString(data))


def put_time(message: Timestamp, at: datetime) -> None:
    """Set a time in place, several times faster than what the library does with a datetime."""
    since = at - _EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1000


def put_span(message: Duration, span: timedelta) -> None:
    """Set a span that is not negative."""
    message.seconds = span.days * 86_400 + span.seconds
    message.nanos = span.microseconds * 1000


def open_round(request: round_service_pb2.OpenRoundRequest) -> OpenRound:
    """What OpenRound asks for."""
    window = request.window
    return OpenRound(
        session_id=request.session_id,
        host_user_id=request.host_user_id,
        round_id=request.round_id,
        block_id=request.block_id,
        key=key_from_proto(request.answer_key),
        rules=rules_from_proto(request.rules),
        opening=Opening(
            open_time=time_of(window.open_time, "window.open_time"),
            time_limit=window.time_limit.ToTimedelta() if window.HasField("time_limit") else None,
            answer_key=request.answer_key.SerializeToString(),
            rules=request.rules.SerializeToString(),
        ),
    )


def submission(
    request: round_service_pb2.SubmitResponseRequest
    | round_service_pb2.StreamResponsesRequest
    | round_service_pb2.SaveDraftRequest
    | round_service_pb2.ParticipantAnswer,
    *,
    round_id: str = "",
    delivery_proof: bytes = b"",
) -> Submission:
    """The answer in a request, or in a part of it that does not name the round itself."""
    message = request.answer
    # What nobody knows was checked by nobody, and would be kept and sent on.
    message.DiscardUnknownFields()
    return Submission(
        request_id=request.request_id,
        round_id=round_id or request.round_id,  # type: ignore[union-attr]
        answer=answer_from_proto(message),
        packed=message.SerializeToString(),
        delivery_proof=delivery_proof,
    )


def round_to_proto(round_: Round) -> round_pb2.Round:
    """A round, without its key."""
    message = round_pb2.Round(
        round_id=round_.round_id,
        session_id=round_.session_id,
        block_id=round_.block_id,
        status=_ROUND_STATUSES[round_.status],
        ordinal=round_.ordinal,
    )
    put_time(message.open_time, round_.open_time)
    if round_.close_time is not None:
        put_time(message.close_time, round_.close_time)
    if round_.time_left is not None:
        put_span(message.time_left, round_.time_left)
        # A span of zero is set all the same: the round has a time limit, and nothing is left of it.
        message.time_left.SetInParent()
    return message


def put_response(message: round_pb2.Response, shown: ShownResponse) -> None:
    """Fill in an answer, and what it was worth unless that is withheld."""
    response = shown.response
    message.round_id = response.round_id
    message.block_id = shown.block_id
    message.participant_id = response.participant_id
    message.display_name = response.display_name
    message.from_draft = response.from_draft
    message.answer.MergeFromString(response.answer)
    put_span(message.response_duration, response.duration)
    message.response_duration.SetInParent()
    if response.delivery_delay:
        put_span(message.delivery_delay, response.delivery_delay)
    if response.network_credit:
        put_span(message.network_credit, response.network_credit)
    put_time(message.submit_time, response.submit_time)
    if shown.withheld:
        message.status = round_pb2.RESPONSE_STATUS_SUBMITTED
        return
    message.status = _STATUSES[response.status]
    message.score = response.parts.total
    put_parts(message.parts, response.parts)


def put_parts(message: rules_pb2.ScoreParts, parts: ScoreParts) -> None:
    """Fill in where points come from."""
    message.base = parts.base
    message.speed = parts.speed
    message.streak = parts.streak
    message.penalty = parts.penalty
    message.credit = parts.credit
    message.rule_version = parts.rule_version


def submit_reply(reply: SubmitReply) -> round_service_pb2.SubmitResponseResponse:
    """The reply to an answer."""
    message = round_service_pb2.SubmitResponseResponse()
    put_response(message.response, ShownResponse(reply.response, reply.round.block_id, reply.withheld))
    if not reply.withheld:
        message.total_score = reply.response.total_score
        message.rank_before = reply.rank.before
        message.rank_after = reply.rank.after
    return message


def stats_to_proto(stats: RoundStats, *, counts_alone: bool = False) -> round_pb2.RoundStats:
    """The counts of a round; `counts_alone` is all that participants may know while it is open."""
    message = round_pb2.RoundStats(
        round_id=stats.round_id,
        block_id=stats.block_id,
        status=_ROUND_STATUSES[stats.status],
        response_count=stats.response_count,
    )
    if counts_alone:
        return message
    message.correct_count = stats.correct_count
    message.partial_count = stats.partial_count
    message.incorrect_count = stats.incorrect_count
    if stats.response_count:
        put_span(message.mean_response_duration, stats.duration / stats.response_count)
        message.mean_score = stats.score_total / stats.response_count
    message.accuracy = _accuracy(stats)
    for answer, count in stats.distribution:
        message.distribution.add(answer=answer, count=count)
    return message


def analytics_to_proto(analytics: Analytics, next_page_token: str) -> round_service_pb2.GetAnalyticsResponse:
    """Results of a session."""
    return round_service_pb2.GetAnalyticsResponse(
        session=_session(analytics.session),
        rounds=map(stats_to_proto, analytics.rounds),
        participants=map(_participant, analytics.participants),
        next_page_token=next_page_token,
    )


def _session(session: Session) -> round_pb2.SessionStats:
    message = round_pb2.SessionStats(
        session_id=session.session_id,
        round_count=session.round_count,
        participant_count=session.participant_count,
        response_count=session.response_count,
        correct_count=session.correct_count,
        partial_count=session.partial_count,
        incorrect_count=session.incorrect_count,
        accuracy=_accuracy(session),
    )
    if session.participant_count:
        message.mean_score = session.score_total / session.participant_count
    if session.response_count:
        put_span(message.mean_response_duration, session.duration / session.response_count)
    return message


def _participant(result: ParticipantResult) -> round_pb2.ParticipantStats:
    standing = result.standing
    message = round_pb2.ParticipantStats(
        participant_id=standing.participant_id,
        display_name=standing.display_name,
        score=standing.score,
        rank=result.rank,
        response_count=standing.response_count,
        correct_count=standing.correct_count,
        partial_count=standing.partial_count,
        incorrect_count=standing.incorrect_count,
        streak=standing.streak,
        best_streak=standing.best_streak,
    )
    put_span(message.mean_response_duration, standing.duration / standing.response_count)
    return message


def _accuracy(counts: RoundStats | Session) -> float:
    graded = counts.correct_count + counts.partial_count + counts.incorrect_count
    return counts.correct_count / graded if graded else 0.0
