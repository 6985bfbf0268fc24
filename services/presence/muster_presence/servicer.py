"""The presence contract as served today: Probe; every other method answers UNIMPLEMENTED."""

import time
from datetime import timedelta

from muster.presence.v1 import presence_service_pb2 as contract
from muster.stream.v1.probe_pb2 import ProbeTimes
from muster_kit.clock import Clock
from muster_kit.rpc.call import Call


class PresenceServicer:
    """Serves `muster.presence.v1.PresenceService`."""

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


class FriendServicer:
    """Serves `muster.presence.v1.FriendService`, of which nothing is built."""


class AttendanceServicer:
    """Serves `muster.presence.v1.AttendanceService`, of which nothing is built."""
