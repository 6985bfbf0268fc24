"""Rounds that open, stop and close and take no answers: what the session sees of scoring."""

from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from muster.scoring.v1 import round_pb2
from muster.scoring.v1 import round_service_pb2 as pb


class TinyRounds:
    """Answers the calls of services."""

    def __init__(self) -> None:
        self.rounds: dict[str, Any] = {}

    def answer(self, name: str) -> Callable[..., Awaitable[bytes]]:
        async def call(data: bytes, **_: Any) -> bytes:
            request = getattr(pb, f"{name}Request").FromString(data)
            return getattr(self, name)(request).SerializeToString()

        return call

    def OpenRound(self, request: Any) -> Any:
        if request.round_id not in self.rounds:
            opened = round_pb2.Round(
                round_id=request.round_id,
                session_id=request.session_id,
                block_id=request.block_id,
                status=round_pb2.ROUND_STATUS_OPEN,
                open_time=request.window.open_time,
            )
            if request.window.HasField("time_limit"):
                opened.close_time.FromDatetime(
                    request.window.open_time.ToDatetime(UTC) + request.window.time_limit.ToTimedelta()
                )
            self.rounds[request.round_id] = opened
        return pb.OpenRoundResponse(round=self.rounds[request.round_id])

    def PauseRounds(self, request: Any) -> Any:
        rounds = [r for r in self.rounds.values() if r.session_id == request.session_id and r.status == 1]
        for each in rounds:
            each.status = round_pb2.ROUND_STATUS_PAUSED
            if each.HasField("close_time"):
                each.time_left.FromTimedelta(
                    each.close_time.ToDatetime(UTC) - request.pause_time.ToDatetime(UTC)
                )
                each.ClearField("close_time")
        return pb.PauseRoundsResponse(rounds=rounds)

    def ResumeRounds(self, request: Any) -> Any:
        rounds = [
            r for r in self.rounds.values() if r.session_id == request.session_id and r.status in (1, 2)
        ]
        for each in rounds:
            if each.status == round_pb2.ROUND_STATUS_PAUSED and each.HasField("time_left"):
                each.close_time.FromDatetime(
                    request.resume_time.ToDatetime(UTC) + each.time_left.ToTimedelta()
                )
                each.ClearField("time_left")
            each.status = round_pb2.ROUND_STATUS_OPEN
        return pb.ResumeRoundsResponse(rounds=rounds)

    def CloseRound(self, request: Any) -> Any:
        closed = self.rounds[request.round_id]
        closed.status = round_pb2.ROUND_STATUS_CLOSED
        now = Timestamp()
        now.GetCurrentTime()
        closed.close_time.CopyFrom(now)
        return pb.CloseRoundResponse(round=closed)

    def CancelRound(self, request: Any) -> Any:
        self.rounds[request.round_id].status = round_pb2.ROUND_STATUS_CANCELLED
        return pb.CancelRoundResponse(round=self.rounds[request.round_id])

    def UpdateSeat(self, request: Any) -> Any:
        return pb.UpdateSeatResponse()
