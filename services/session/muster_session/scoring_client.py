"""The scoring service as the session calls it: over its contract, with a service's token."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import grpc
from muster.scoring.v1 import answer_pb2, round_pb2, rules_pb2
from muster.scoring.v1 import round_service_pb2 as pb
from muster.scoring.v1.round_service_pb2_grpc import RoundServiceStub
from muster_kit.errors import Reason
from muster_kit.rpc.tokens import ServiceTokens

from muster_session.model import Participant
from muster_session.service_calls import asked
from muster_session.store_scoring import RefusedError, RoundOpening, RoundWindow

_asked: Final = partial(asked, service="scoring")
_USUAL_RULES: Final = rules_pb2.ScoringRules(base_points=1000)


class ScoringClient:
    """`Scoring` over a channel to the scoring service."""

    def __init__(self, channel: grpc.aio.Channel, tokens: ServiceTokens | None) -> None:
        self._rounds = RoundServiceStub(channel)
        self._tokens = tokens

    async def open_round(self, opening: RoundOpening) -> RoundWindow:
        """Open a round."""
        request = pb.OpenRoundRequest(
            organization_id=opening.organization_id,
            session_id=opening.session_id,
            block_id=opening.block_id,
            round_id=opening.round_id,
            answer_key=answer_pb2.AnswerKey.FromString(opening.answer_key),
            rules=_USUAL_RULES if opening.rules is None else rules_pb2.ScoringRules.FromString(opening.rules),
            window=round_pb2.RoundWindow(open_time=opening.open_time, time_limit=opening.time_limit),
            host_user_id=opening.host_user_id,
        )
        answer = await _asked(
            self._rounds.OpenRound(request, metadata=self._metadata(opening.organization_id))
        )
        opened = answer.round
        if opened.status != round_pb2.ROUND_STATUS_OPEN:
            raise RefusedError(Reason.BLOCK_STATUS, detail="the round of this id is over")
        return RoundWindow(opened.open_time.ToDatetime(UTC), _close_time(opened))

    async def close_round(self, organization_id: str, round_id: str) -> datetime | None:
        """Settle and close a round."""
        request = pb.CloseRoundRequest(organization_id=organization_id, round_id=round_id)
        answer = await _asked(self._rounds.CloseRound(request, metadata=self._metadata(organization_id)))
        return _close_time(answer.round)

    async def cancel_round(self, organization_id: str, round_id: str) -> None:
        """Cancel a round."""
        request = pb.CancelRoundRequest(organization_id=organization_id, round_id=round_id)
        await _asked(self._rounds.CancelRound(request, metadata=self._metadata(organization_id)))

    async def pause_rounds(
        self, organization_id: str, session_id: str, pause_time: datetime, request_id: str
    ) -> None:
        """Stop the clocks."""
        request = pb.PauseRoundsRequest(
            request_id=request_id,
            organization_id=organization_id,
            session_id=session_id,
            pause_time=pause_time,
        )
        await _asked(self._rounds.PauseRounds(request, metadata=self._metadata(organization_id)))

    async def resume_rounds(
        self, organization_id: str, session_id: str, resume_time: datetime
    ) -> Mapping[str, datetime]:
        """Let the clocks go on."""
        request = pb.ResumeRoundsRequest(
            organization_id=organization_id, session_id=session_id, resume_time=resume_time
        )
        answer = await _asked(self._rounds.ResumeRounds(request, metadata=self._metadata(organization_id)))
        close_times = {each.round_id: _close_time(each) for each in answer.rounds}
        return {round_id: time for round_id, time in close_times.items() if time is not None}

    async def delete_session(self, organization_id: str, session_id: str, request_id: str) -> None:
        """Delete all that is kept of a session."""
        request = pb.DeleteSessionRequest(
            request_id=request_id, organization_id=organization_id, session_id=session_id
        )
        await _asked(self._rounds.DeleteSession(request, metadata=self._metadata(organization_id)))

    async def update_seat(self, seat: Participant, organization_id: str) -> None:
        """Refuse the seat's older tickets; show it on the board, or not."""
        request = pb.UpdateSeatRequest(
            organization_id=organization_id,
            session_id=seat.session_id,
            participant_id=seat.participant_id,
            minimum_generation=seat.generation,
            hidden=seat.is_hidden,
        )
        await _asked(self._rounds.UpdateSeat(request, metadata=self._metadata(organization_id)))

    def _metadata(self, organization_id: str) -> tuple[tuple[str, str], ...]:
        return self._tokens.metadata(organization_id) if self._tokens else ()


def _close_time(told: round_pb2.Round) -> datetime | None:
    return told.close_time.ToDatetime(UTC) if told.HasField("close_time") else None
