"""Composition root of the workout service."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.workout.v1 import chat_service_pb2, invitation_service_pb2, workout_service_pb2
from muster_kit.clock import SystemClock
from muster_kit.rpc.policy import Policy
from muster_kit.rpc.service import Service
from muster_kit.settings import Settings

from muster_workout.policy import POLICY
from muster_workout.servicer import ChatServicer, InvitationServicer, WorkoutServicer


@dataclass(frozen=True, slots=True)
class WorkoutApp:
    """The workout service; it has no stores yet, so there is nothing to open and it is always ready."""

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


def build(settings: Settings) -> WorkoutApp:  # noqa: ARG001 - nothing of it can be set yet
    """Compose the service; opens nothing."""
    workouts = workout_service_pb2.DESCRIPTOR.services_by_name["WorkoutService"]
    chat = chat_service_pb2.DESCRIPTOR.services_by_name["ChatService"]
    invitations = invitation_service_pb2.DESCRIPTOR.services_by_name["InvitationService"]
    return WorkoutApp(
        (
            Service(workouts, WorkoutServicer(SystemClock())),
            Service(chat, ChatServicer()),
            Service(invitations, InvitationServicer()),
        ),
        POLICY,
    )
