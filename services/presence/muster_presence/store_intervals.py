"""The ledger as it is read: when people were where."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_presence.model import Cause, Role, ScopeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One time that someone was in a scope: from `enter_time` to before `leave_time`, None while it lasts.

    For who vanished `leave_time` is when they were last heard of. For less than a minute after a loss of the
    index one may begin when the person's last ended, or a little before; then they are one.
    """

    scope: ScopeId
    user_id: str
    display_name: str
    role: Role
    participant_id: str
    enter_time: datetime
    leave_time: datetime | None
    cause: Cause | None
    last_activity_time: datetime | None


class Intervals(Protocol):
    """The intervals of presence, as they were told up to a few seconds ago; both raise UNAVAILABLE."""

    async def of_scope(
        self,
        scope: ScopeId,
        /,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        user_ids: Collection[str] | None = None,
        as_of: datetime | None = None,
    ) -> Sequence[Stay]:
        """Return the stays that have a part in [start, end), by person and in order of coming.

        They are whole, not cut at the bounds; None is no bound. With `user_ids` only of these people. With
        `as_of` as they stood at that time: without those that began later, and those that ended later last.
        """
        ...

    async def last_activities(
        self, organization_id: str, scopes: Collection[ScopeId], /
    ) -> Mapping[ScopeId, datetime]:
        """Return when somebody last did something in each of the organization's scopes.

        A scope in which nobody ever did is left out; so is what staff did.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which stays to list: those that lasted until after `start` and began before `end`.

    None and "" are for any. With `visible_to` a user's own, and those in the organization itself.
    """

    scope: ScopeId | None = None
    user_id: str = ""
    start: datetime | None = None
    end: datetime | None = None
    visible_to: str = ""


@dataclass(frozen=True, slots=True)
class HistoryPlace:
    """Where a stay is in a history."""

    enter_time: datetime
    interval_id: int


class History(Protocol):
    """The stays of an organization as pages."""

    async def history(
        self, organization_id: str, wanted: HistoryFilter, /, *, after: HistoryPlace | None, limit: int
    ) -> Sequence[tuple[HistoryPlace, Stay]]:
        """Return stays behind a place, last come first; raises UNAVAILABLE."""
        ...
