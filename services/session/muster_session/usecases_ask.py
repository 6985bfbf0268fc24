"""What scoring has to be told before a move is made, in calls that may be repeated."""

from collections.abc import Awaitable
from typing import Final, TypeVar

import structlog
from muster_kit.errors import Reason

from muster_session.model_blocks import BlockStatus, TransitionKind
from muster_session.store_scoring import RefusedError, RoundOpening, Scoring
from muster_session.usecases_finish import Plan, Times

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_GONE: Final = frozenset({Reason.NOT_FOUND, Reason.ROUND_CLOSED})


async def ask_scoring(scoring: Scoring, asked: Plan) -> Times:
    """Have scoring make the move; return the times it made of it.

    RefusedError when it never will; UNAVAILABLE when nobody knows whether it did.
    """
    if asked.transition.kind is TransitionKind.ACTIVATE:
        return await _open(scoring, asked)
    if not any(block.status is BlockStatus.ACTIVE for block in asked.blocks):
        return Times()
    return await _change(scoring, asked)


async def _open(scoring: Scoring, asked: Plan) -> Times:
    transition, block = asked.transition, asked.blocks[0]
    window = await scoring.open_round(
        RoundOpening(
            organization_id=transition.organization_id,
            session_id=transition.session_id,
            block_id=block.block_id,
            round_id=transition.round_id,
            host_user_id=asked.session.host_user_id,
            answer_key=block.body.answer_key,
            rules=block.body.rules if block.body.rules is not None else asked.session.settings.rules,
            # The time of this attempt: after a process was lost, nobody shall have less time to answer.
            open_time=asked.now,
            time_limit=transition.time_limit,
        )
    )
    close_times = {} if window.close_time is None else {transition.round_id: window.close_time}
    return Times({transition.round_id: window.open_time}, close_times)


async def _change(scoring: Scoring, asked: Plan) -> Times:
    transition = asked.transition
    organization_id, session_id = transition.organization_id, transition.session_id
    match transition.kind:
        case TransitionKind.SKIP:
            await _unless_gone(scoring.cancel_round(organization_id, transition.round_id))
        case TransitionKind.PAUSE:
            # With an id: a pause that arrives late, after a resume, must not stop the clocks again.
            pause_time, request_id = transition.begin_time, transition.transition_id
            await _unless_gone(scoring.pause_rounds(organization_id, session_id, pause_time, request_id))
        case TransitionKind.RESUME:
            resumed = await _unless_gone(scoring.resume_rounds(organization_id, session_id, asked.now))
            return Times(close_times=resumed or {})
        case TransitionKind.CLOSE | TransitionKind.END:
            closed = {
                block.round_id: await _unless_gone(scoring.close_round(organization_id, block.round_id))
                for block in asked.blocks
            }
            return Times(close_times={round_id: time for round_id, time in closed.items() if time})
    return Times()


async def _unless_gone(call: Awaitable[T]) -> T | None:
    """Return what the call returns; None when scoring has no such round, or it is over there.

    Then it is over for the session as well, which must not be stuck with it.
    """
    try:
        return await call
    except RefusedError as refused:
        if refused.reason not in _GONE:
            raise
        _log.warning("round_gone", detail=refused.detail)
        return None
