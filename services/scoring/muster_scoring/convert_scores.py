"""Scores, and boards that services make, between contract and model; pure."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from muster.scoring.v1 import board_pb2, board_service_pb2
from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation
from muster_kit.timestamps import time_of

from muster_scoring.board_wire import entry_field, field_tag, message_field
from muster_scoring.convert import put_time
from muster_scoring.model_scoreboards import (
    EntryShown,
    NewBoard,
    Operator,
    ResetSchedule,
    Score,
    Scoreboard,
    ScoreUnit,
)
from muster_scoring.score_ranking import RankedScore
from muster_scoring.usecases_score_stream import Refused, Sequenced

_OPERATORS: Final = {
    Operator.BEST: board_pb2.BOARD_OPERATOR_BEST,
    Operator.SET: board_pb2.BOARD_OPERATOR_SET,
    Operator.INCREMENT: board_pb2.BOARD_OPERATOR_INCREMENT,
}

_SCHEDULES: Final = {
    ResetSchedule.NEVER: board_pb2.BOARD_RESET_SCHEDULE_UNSPECIFIED,
    ResetSchedule.DAILY: board_pb2.BOARD_RESET_SCHEDULE_DAILY,
    ResetSchedule.WEEKLY: board_pb2.BOARD_RESET_SCHEDULE_WEEKLY,
    ResetSchedule.MONTHLY: board_pb2.BOARD_RESET_SCHEDULE_MONTHLY,
}

_FINGERPRINT_BYTES: Final = 16

_SUBMIT_RESULT: Final = field_tag(board_service_pb2.SubmitScoreResponse.RESULT_FIELD_NUMBER)
_BATCH_RESULT: Final = field_tag(board_service_pb2.BatchSubmitScoresResponse.RESULTS_FIELD_NUMBER)
_ENTRY: Final = field_tag(board_pb2.ScoreResult.ENTRY_FIELD_NUMBER)


def new_board(request: board_service_pb2.CreateBoardRequest) -> NewBoard:
    """Return the board to make. Raises INVALID_FIELD for times that nobody can hold."""
    return NewBoard(
        board_id=request.board_id,
        title=request.title,
        operator=Operator(request.operator),
        ascending=request.order == board_pb2.BOARD_ORDER_ASCENDING,
        reset_schedule=ResetSchedule(request.reset_schedule),
        open_time=time_of(request.open_time, "open_time") if request.HasField("open_time") else None,
        close_time=time_of(request.close_time, "close_time") if request.HasField("close_time") else None,
        team_board_id=request.team_board_id,
    )


def scoreboard_to_proto(board: Scoreboard, entry_count: int = 0) -> board_pb2.Board:
    """Return a board as the contract has it."""
    message = board_pb2.Board(
        board_id=board.board_id,
        title=board.title,
        operator=_OPERATORS[board.operator],
        order=board_pb2.BOARD_ORDER_ASCENDING if board.ascending else board_pb2.BOARD_ORDER_DESCENDING,
        reset_schedule=_SCHEDULES[board.reset_schedule],
        team_board_id=board.team_board_id,
        entry_count=entry_count,
        season=board.season,
    )
    put_time(message.create_time, board.create_time)
    for field, at in (
        (message.open_time, board.open_time),
        (message.close_time, board.close_time),
        (message.season_end_time, board.season_end),
    ):
        if at is not None:
            put_time(field, at)
    return message


def one_score(request: board_service_pb2.SubmitScoreRequest, caller: Caller) -> ScoreUnit:
    """Return the unit of one score. Raises INVALID_FIELD when it has two different request ids."""
    own, outer = request.submission.request_id, request.request_id
    if own and outer and own != outer:
        raise _invalid("request_id", "must be that of the submission, if both are given")
    score = _score(request.submission, caller, own or outer)
    return _unit(caller, request.board_id, [score], wants_results=True)


def batch(request: board_service_pb2.BatchSubmitScoresRequest, caller: Caller) -> ScoreUnit:
    """Return the unit of a batch. Raises INVALID_FIELD when two of its scores have one request id."""
    scores = _scores(request.submissions, caller)
    if not request.request_id:
        return _unit(caller, request.board_id, scores, wants_results=not request.omit_results)
    return ScoreUnit(
        request.board_id,
        caller.organization_id,
        _request_key(caller, request.request_id),
        _fingerprint(request.SerializeToString(deterministic=True)),
        not request.omit_results,
        scores,
    )


def sequenced(request: board_service_pb2.StreamSubmitScoresRequest, caller: Caller) -> Sequenced:
    """Return the scores of a message of a stream with its number, or why they are none."""
    try:
        if request.HasField("submission") == bool(request.submissions):
            raise _invalid("submission", "must be given, or submissions")
        submissions = request.submissions or (request.submission,)
        scores = _scores(submissions, caller)
    except MusterError as error:
        return request.sequence, error
    return request.sequence, _unit(caller, request.board_id, scores, wants_results=False)


def acknowledgement(
    sequence: int, refused: Iterable[Refused]
) -> board_service_pb2.StreamSubmitScoresResponse:
    """Return an acknowledgement on a stream."""
    response = board_service_pb2.StreamSubmitScoresResponse(acknowledged_sequence=sequence)
    for refused_sequence, reason in refused:
        response.refused.add(sequence=refused_sequence, reason=reason)
    return response


def pack_shown(shown: EntryShown) -> bytes:
    """Return an entry as the contract has it, without its rank."""
    entry_id, display_name, score, duration_ms, submission_count = shown
    message = board_pb2.BoardEntry(
        entry_id=entry_id, display_name=display_name, score=score, submission_count=submission_count
    )
    duration = message.total_duration
    duration.seconds, duration.nanos = duration_ms // 1000, duration_ms % 1000 * 1_000_000
    return message.SerializeToString()


def submit_reply(result: RankedScore) -> bytes:
    """The wire form of SubmitScoreResponse."""
    return message_field(_SUBMIT_RESULT, _result(result))


def batch_reply(results: Sequence[RankedScore], accepted_count: int) -> bytes:
    """The wire form of BatchSubmitScoresResponse."""
    rest = board_service_pb2.BatchSubmitScoresResponse(accepted_count=accepted_count)
    return (
        b"".join(message_field(_BATCH_RESULT, _result(each)) for each in results) + rest.SerializeToString()
    )


def _result(result: RankedScore) -> bytes:
    """Compose a ScoreResult: what is concatenated merges."""
    rest = board_pb2.ScoreResult(rank_before=result.rank.before, changed=result.changed)
    return entry_field(_ENTRY, result.packed, result.rank.after) + rest.SerializeToString()


def _unit(caller: Caller, board_id: str, scores: Sequence[Score], *, wants_results: bool) -> ScoreUnit:
    return ScoreUnit(board_id, caller.organization_id, "", b"", wants_results, scores)


def _scores(submissions: Iterable[board_pb2.ScoreSubmission], caller: Caller) -> list[Score]:
    scores = [_score(submission, caller, submission.request_id) for submission in submissions]
    keys = [score.request_key for score in scores if score.request_key]
    if len(set(keys)) < len(keys):
        place = next(
            place
            for place, score in enumerate(scores)
            if score.request_key in {each.request_key for each in scores[:place]} - {""}
        )
        raise _invalid(f"submissions[{place}].request_id", "must not come twice in one message")
    return scores


def _score(submission: board_pb2.ScoreSubmission, caller: Caller, request_id: str) -> Score:
    entry_id, display_name, team_id = submission.entry_id, submission.display_name, submission.team_id
    value, duration = submission.score, submission.duration
    duration_ms = duration.seconds * 1000 + duration.nanos // 1_000_000
    if not request_id:
        return Score(entry_id, display_name, team_id, value, duration_ms, "", b"")
    told = repr((entry_id, display_name, team_id, value, duration_ms)).encode()
    key = _request_key(caller, request_id)
    return Score(entry_id, display_name, team_id, value, duration_ms, key, _fingerprint(told))


def _request_key(caller: Caller, request_id: str) -> str:
    return f"{caller.subject}\x1f{request_id}"


def _fingerprint(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_FINGERPRINT_BYTES).digest()


def _invalid(field: str, rule: str) -> MusterError:
    return MusterError(Reason.INVALID_FIELD, violations=[Violation(field, rule)])
