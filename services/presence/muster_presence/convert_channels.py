"""Channels from contract to model; pure."""

from muster.presence.v1 import attendance_service_pb2 as pb

from muster_presence.model_channels import Channel, require_beats_in_time


def channel_of(request: pb.ConfigureChannelRequest) -> Channel:
    """Return a channel as it shall be; MusterError(INVALID_FIELD) when its times do not fit each other."""
    configuration = request.configuration
    interval = stale_after = None
    if configuration.HasField("heartbeat_interval"):
        interval = configuration.heartbeat_interval.ToTimedelta()
    if configuration.HasField("stale_after"):
        stale_after = configuration.stale_after.ToTimedelta()
    require_beats_in_time(interval, stale_after)
    return Channel(
        name=request.name,
        packed=configuration.SerializeToString(deterministic=True),
        hidden_from_students=configuration.hidden_from_students,
    )
