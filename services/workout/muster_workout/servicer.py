"""The workout contract as served today: Probe; every other method answers UNIMPLEMENTED."""

import time
from datetime import timedelta

from muster.stream.v1.probe_pb2 import ProbeTimes
from muster.workout.v1 import workout_service_pb2 as contract
from muster_kit.clock import Clock
from muster_kit.rpc.call import Call


class WorkoutServicer:
    """Serves `muster.workout.v1.WorkoutService`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def Probe(self, request: contract.ProbeRequest, call: Call) -> contract.ProbeResponse:
        """Echo the client's clock and payload beside our own clock."""
        taken = timedelta(seconds=time.monotonic() - call.start_time)
        now = self._clock.now()
        times = ProbeTimes(receive_time=now - taken, transmit_time=now)
        if request.HasField("origin_time"):
            times.origin_time.CopyFrom(request.origin_time)
        return contract.ProbeResponse(times=times, payload=request.payload, server_duration=taken)


class ChatServicer:
    """Serves `muster.workout.v1.ChatService`, of which nothing is built."""


class InvitationServicer:
    """Serves `muster.workout.v1.InvitationService`, of which nothing is built."""
