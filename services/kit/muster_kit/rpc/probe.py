"""Answers `Probe`, which every service has: the client's clock and payload beside the server's own clock."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from muster.stream.v1.probe_pb2 import ProbeTimes

from muster_kit.clock import Clock
from muster_kit.rpc.call import Call

R = TypeVar("R")


class Probed(Protocol):
    """A service's request of `Probe`."""

    origin_time: Any
    payload: bytes

    def HasField(self, field_name: Any, /) -> bool:  # noqa: N802 - the name that messages have
        """Tell whether a field was set."""
        ...


def echo(request: Probed, response: Callable[..., R], call: Call, clock: Clock) -> R:
    """Return the service's `response` to a request that has just been taken in."""
    taken = timedelta(seconds=time.monotonic() - call.start_time)
    now = clock.now()
    times = ProbeTimes(receive_time=now - taken, transmit_time=now)
    if request.HasField("origin_time"):
        times.origin_time.CopyFrom(request.origin_time)
    return response(times=times, payload=request.payload, server_duration=taken)
