"""What the session needs of the scoring service: rounds opened, timed and closed, seats kept up to date."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from muster_kit.errors import MusterError

from muster_session.model import Participant


class RefusedError(MusterError):
    """The service that was asked definitely did not do it, and asking again will not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOpening:
    """A round to open; key and rules in their contract's bytes, None for the usual rules."""

    organization_id: str
    session_id: str
    block_id: str
    round_id: str
    host_user_id: str
    answer_key: bytes
    rules: bytes | None
    open_time: datetime
    time_limit: timedelta | None


@dataclass(frozen=True, slots=True)
class RoundWindow:
    """When a round opened, and when it will close; None without a limit."""

    open_time: datetime
    close_time: datetime | None


class Scoring(Protocol):
    """What the session needs of the scoring service; every call may be repeated without harm.

    All raise RefusedError when scoring definitely did not do it and never will, and other
    MusterErrors when nobody knows: then the call has to be repeated until it is known.
    """

    async def open_round(self, opening: RoundOpening) -> RoundWindow:
        """Open a round; one that is open already keeps its times, which are returned."""
        ...

    async def close_round(self, organization_id: str, round_id: str) -> datetime | None:
        """Submit the drafts, settle and close a round; return when it closed, if scoring says."""
        ...

    async def cancel_round(self, organization_id: str, round_id: str) -> None:
        """Cancel a round and take back its points."""
        ...

    async def pause_rounds(
        self, organization_id: str, session_id: str, pause_time: datetime, request_id: str
    ) -> None:
        """Stop the clocks of the session's open rounds."""
        ...

    async def resume_rounds(
        self, organization_id: str, session_id: str, resume_time: datetime
    ) -> Mapping[str, datetime]:
        """Let the clocks go on; return the new close times by round, of those that have one."""
        ...

    async def delete_session(self, organization_id: str, session_id: str, request_id: str) -> None:
        """Delete all that is kept of a session, once for a `request_id`, however late it is repeated."""
        ...

    async def update_seat(self, seat: Participant, organization_id: str) -> None:
        """Refuse the seat's older tickets; show it on the board, or not."""
        ...
