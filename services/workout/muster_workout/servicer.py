"""The workout contract as served today: Probe; every other method answers UNIMPLEMENTED."""

from muster.workout.v1 import workout_service_pb2 as contract
from muster_kit.clock import Clock
from muster_kit.rpc.call import Call
from muster_kit.rpc.probe import echo


class WorkoutServicer:
    """Serves `muster.workout.v1.WorkoutService`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def Probe(self, request: contract.ProbeRequest, call: Call) -> contract.ProbeResponse:
        """Echo the client's clock and payload beside our own clock."""
        return echo(request, contract.ProbeResponse, call, self._clock)


class ChatServicer:
    """Serves `muster.workout.v1.ChatService`, of which nothing is built."""


class InvitationServicer:
    """Serves `muster.workout.v1.InvitationService`, of which nothing is built."""
