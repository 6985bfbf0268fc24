"""Rows of scoring's tables as values of the model."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from muster_scoring.model import MILLISECOND, Response, Round, RoundStats, RoundStatus, Session, Standing
from muster_scoring.model_answers import ResponseStatus
from muster_scoring.points import ScoreParts
from muster_scoring.store import AnswerCodec

STATUS_NUMBERS: Final[Mapping[ResponseStatus, int]] = {
    ResponseStatus.SUBMITTED: 1,
    ResponseStatus.CORRECT: 2,
    ResponseStatus.INCORRECT: 3,
    ResponseStatus.PARTIAL: 4,
}
"""The contract's numbers, which the tables and the functions in them have too."""

_STATUSES: Final = {number: status for status, number in STATUS_NUMBERS.items()}

Row = Any
"""A row whose columns are items by name: asyncpg's, or a mapping of SQLAlchemy's."""


def milliseconds(span: timedelta) -> int:
    """Return whole milliseconds."""
    return span // MILLISECOND


def session_of(row: Row) -> Session:
    """Return a row of `session`."""
    return Session(
        session_id=row["session_id"],
        organization_id=row["organization_id"],
        host_user_id=row["host_user_id"],
        create_time=row["create_time"],
        seq=row["seq"],
        opened_count=row["opened_count"],
        round_count=row["round_count"],
        participant_count=row["participant_count"],
        response_count=row["response_count"],
        correct_count=row["correct_count"],
        partial_count=row["partial_count"],
        incorrect_count=row["incorrect_count"],
        score_total=row["score_total"],
        duration=row["duration_ms"] * MILLISECOND,
    )


def round_of(row: Row, codec: AnswerCodec) -> Round:
    """Return a row of `round`."""
    return Round(
        round_id=row["round_id"],
        session_id=row["session_id"],
        organization_id=row["organization_id"],
        block_id=row["block_id"],
        ordinal=row["ordinal"],
        status=RoundStatus(row["status"]),
        revision=row["revision"],
        open_time=row["open_time"],
        close_time=row["close_time"],
        time_limit=row["time_limit"],
        time_left=row["time_left"],
        pause_time=row["pause_time"],
        paused=row["paused"],
        key=codec.read_key(row["answer_key"]),
        rules=codec.read_rules(row["rules"]),
    )


def response_of(row: Row) -> Response:
    """Return a row of `response`."""
    return Response(
        round_id=row["round_id"],
        participant_id=row["participant_id"],
        display_name=row["display_name"],
        seq=row["seq"],
        request_id=row["request_id"],
        answer=row["answer"],
        status=_STATUSES[row["status"]],
        parts=ScoreParts(
            base=row["base"],
            speed=row["speed"],
            streak=row["streak"],
            penalty=row["penalty"],
            credit=row["credit"],
            rule_version=row["rule_version"],
        ),
        duration=row["duration_ms"] * MILLISECOND,
        delivery_delay=row["delivery_delay_ms"] * MILLISECOND,
        network_credit=row["network_credit_ms"] * MILLISECOND,
        submit_time=row["submit_time"],
        from_draft=row["from_draft"],
        total_score=row["total_score"],
    )


def standing_of(row: Row) -> Standing:
    """Return a row of `participant`."""
    return Standing(
        participant_id=row["participant_id"],
        display_name=row["display_name"],
        minimum_generation=row["minimum_generation"],
        hidden=row["hidden"],
        version=row["version"],
        reached_seq=row["reached_seq"],
        score=row["score"],
        duration=row["duration_ms"] * MILLISECOND,
        response_count=row["response_count"],
        correct_count=row["correct_count"],
        partial_count=row["partial_count"],
        incorrect_count=row["incorrect_count"],
        streak=row["streak"],
        best_streak=row["best_streak"],
        held_score=row["held_score"],
        held_duration=row["held_duration_ms"] * MILLISECOND,
        held_count=row["held_count"],
    )


def stats_of(row: Row, distribution: tuple[tuple[str, int], ...] = ()) -> RoundStats:
    """Return the counts in a row of `round`."""
    return RoundStats(
        round_id=row["round_id"],
        block_id=row["block_id"],
        status=RoundStatus(row["status"]),
        response_count=row["response_count"],
        correct_count=row["correct_count"],
        partial_count=row["partial_count"],
        incorrect_count=row["incorrect_count"],
        score_total=row["score_total"],
        duration=row["duration_ms"] * MILLISECOND,
        change_seq=row["change_seq"],
        distribution=distribution,
    )
