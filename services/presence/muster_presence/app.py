"""Composition root of the presence service."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.presence.v1 import attendance_service_pb2, friend_service_pb2, presence_service_pb2
from muster_kit.clock import SystemClock
from muster_kit.rpc.policy import Policy
from muster_kit.rpc.service import Service
from muster_kit.settings import Settings

from muster_presence.policy import POLICY
from muster_presence.servicer import AttendanceServicer, FriendServicer, PresenceServicer


@dataclass(frozen=True, slots=True)
class PresenceApp:
    """The presence service; it has no stores yet, so there is nothing to open and it is always ready."""

    services: Sequence[Service]
    policy: Policy

    async def start(self) -> None:
        """Nothing is to be opened."""

    async def drain(self) -> None:
        """No stream is open."""

    async def close(self) -> None:
        """Nothing is open."""

    def ready(self) -> bool:
        """Without stores, nothing can be away."""
        return True


def build(settings: Settings) -> PresenceApp:  # noqa: ARG001 - nothing of it can be set yet
    """Compose the service; opens nothing."""
    presence = presence_service_pb2.DESCRIPTOR.services_by_name["PresenceService"]
    friends = friend_service_pb2.DESCRIPTOR.services_by_name["FriendService"]
    attendance = attendance_service_pb2.DESCRIPTOR.services_by_name["AttendanceService"]
    return PresenceApp(
        (
            Service(presence, PresenceServicer(SystemClock())),
            Service(friends, FriendServicer()),
            Service(attendance, AttendanceServicer()),
        ),
        POLICY,
    )
