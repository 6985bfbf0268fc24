"""People of an organization with tokens of their own, and what their devices say, as bytes."""

from collections.abc import Sequence

from muster.presence.v1 import presence_pb2, presence_service_pb2, scope_pb2

from tests.bench.generator import Load
from tests.bench.stack import ORGANIZATION, Stack

_SERVICE = "/muster.presence.v1.PresenceService"
AFTER_FIELD = presence_service_pb2.ConnectRequest.DESCRIPTOR.fields_by_name["after"].number
MARKER = "tick-"
"""What activities are called that are timed."""

HOME = scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_ORGANIZATION)


def session(session_id: str) -> scope_pb2.Scope:
    """Return the scope of a session."""
    return scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_SESSION, scope_id=session_id)


def ticking(number: int) -> presence_pb2.Activity:
    """Return an activity that is told from all others, and counted with some of them."""
    return presence_pb2.Activity(
        kind="exercise", target_id=f"exercise-{number % 8}", title=f"{MARKER}{number:06}"
    )


class People:
    """So many members of the organization; each has a token, and one device."""

    def __init__(self, stack: Stack, count: int) -> None:
        self.user_ids = [f"user-{number}" for number in range(count)]
        self.tokens = [
            stack.running.user_token(user_id, role="member", organization=ORGANIZATION)
            for user_id in self.user_ids
        ]

    def connects(self) -> Load:
        """Each opens a stream."""
        request = presence_service_pb2.ConnectRequest(device_id="device", scopes=[_entry(HOME)])
        return self._each("Connect", request.SerializeToString())

    def watches(self) -> Load:
        """Each watches who is in the organization."""
        request = presence_service_pb2.WatchScopeRequest(scope=HOME)
        return self._each("WatchScope", request.SerializeToString())

    def beats(self, count: int) -> Load:
        """So many beats, of all people in turns, which say where they are."""
        request = presence_service_pb2.HeartbeatRequest(device_id="device", scopes=[_entry(HOME)])
        calls = [(number % len(self.tokens), request.SerializeToString()) for number in range(count)]
        return Load(f"{_SERVICE}/Heartbeat", self.tokens, calls)

    def activities(self, numbers: Sequence[int]) -> Load:
        """One after the other does something else."""
        calls = []
        for number in numbers:
            request = presence_service_pb2.SetActivityRequest(
                device_id="device", scope=HOME, activity=ticking(number)
            )
            calls.append((number % len(self.tokens), request.SerializeToString()))
        return Load(f"{_SERVICE}/SetActivity", self.tokens, calls)

    def _each(self, method: str, request: bytes) -> Load:
        return Load(
            f"{_SERVICE}/{method}", self.tokens, [(number, request) for number in range(len(self.tokens))]
        )


def batches(token: str, *, people: int, size: int, count: int) -> Load:
    """So many calls of a service, with beats of as many people of sessions of a thousand, in turns."""
    requests = [
        presence_service_pb2.HeartbeatBatchRequest(
            organization_id=ORGANIZATION,
            beats=[_beat(number) for number in range(start, start + size)],
        ).SerializeToString()
        for start in range(0, people, size)
    ]
    return Load(
        f"{_SERVICE}/HeartbeatBatch", [token], [(0, requests[n % len(requests)]) for n in range(count)]
    )


def _beat(number: int) -> presence_service_pb2.UserBeat:
    return presence_service_pb2.UserBeat(
        user_id=f"player-{number}",
        display_name=f"Player {number}",
        scope=session(f"game-{number // 1000}"),
        participant_id=f"seat-{number}",
    )


def _entry(scope: scope_pb2.Scope) -> scope_pb2.ScopeEntry:
    return scope_pb2.ScopeEntry(scope=scope)
