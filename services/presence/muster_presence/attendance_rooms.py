"""The rooms in which attendance is written and watched, one a session."""

from typing import Final

from muster_presence.model import ScopeId

ATTENDANCE_ROOMS: Final = "attendance/"
"""What their ids begin with."""


def room_of(scope: ScopeId) -> str:
    """Return the room of a session's attendance."""
    return ATTENDANCE_ROOMS + scope.key


def scope_of_room(room_id: str) -> ScopeId:
    """Return whose attendance a room holds; ValueError when it holds something else."""
    if not is_attendance(room_id):
        raise ValueError(f"not a room of attendance: {room_id}")
    return ScopeId.of_key(room_id.removeprefix(ATTENDANCE_ROOMS))


def is_attendance(room_id: str) -> bool:
    """Tell whether a room is one of attendance."""
    return room_id.startswith(ATTENDANCE_ROOMS)
