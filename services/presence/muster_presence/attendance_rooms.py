"""The rooms in which attendance is written and watched, one a session."""

from typing import Final

from muster_presence.model import ScopeId

_PREFIX: Final = "attendance/"


def room_of(scope: ScopeId) -> str:
    """Return the room of a session's attendance."""
    return _PREFIX + scope.key


def scope_of_room(room_id: str) -> ScopeId:
    """Return whose attendance a room holds; ValueError when it holds something else."""
    if not is_attendance(room_id):
        raise ValueError(f"not a room of attendance: {room_id}")
    return ScopeId.of_key(room_id.removeprefix(_PREFIX))


def is_attendance(room_id: str) -> bool:
    """Tell whether a room is one of attendance."""
    return room_id.startswith(_PREFIX)
