"""Channels from contract to model; pure."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from muster.presence.v1 import attendance_service_pb2 as pb
from muster.presence.v1 import channel_pb2

from muster_presence.model_channels import Channel, Line, Times, require_beats_in_time


def channel_of(request: pb.ConfigureChannelRequest, usual: Times) -> Channel:
    """Return a channel as it shall be; MusterError(INVALID_FIELD) when its times do not fit each other.

    What it does not say is as in the `usual` times.
    """
    configuration = request.configuration
    require_beats_in_time(_line(request.name, configuration), usual)
    return Channel(
        name=request.name,
        packed=configuration.SerializeToString(deterministic=True),
        hidden_from_students=configuration.hidden_from_students,
    )


def line_of(name: str, packed: bytes) -> Line:
    """Return how devices are kept track of on a channel with this configuration."""
    return _line(name, channel_pb2.ChannelConfiguration.FromString(packed))


def _line(name: str, configuration: channel_pb2.ChannelConfiguration) -> Line:
    def span(field: str) -> timedelta | None:
        if not configuration.HasField(field):
            return None
        duration: Duration = getattr(configuration, field)
        return duration.ToTimedelta()

    return Line(name, span("heartbeat_interval"), span("stale_after"), span("return_grace"))
