"""The least round trips of seats, and what keeping them promises."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol


class SeatKey(NamedTuple):
    """A seat in a session."""

    session_id: str
    participant_id: str


class RoundTrips(Protocol):
    """Remembers the least round trip of each seat for all workers; a help, which may be lost at any time."""

    async def note(self, samples: Sequence[tuple[SeatKey, timedelta]]) -> Sequence[timedelta]:
        """Add round trips, in one round trip of our own; return the least of each seat, in the same order.

        Raises UNAVAILABLE while the store behind it is away.
        """
        ...

    async def remove(self, session_id: str) -> None:
        """Remove those of a session. Raises UNAVAILABLE."""
        ...
