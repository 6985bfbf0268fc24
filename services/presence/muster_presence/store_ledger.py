"""What keeping the ledger needs of PostgreSQL, and of the index."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_presence.model import ScopeId
from muster_presence.model_intervals import OpenInterval, Trace
from muster_presence.store import Interval


@dataclass(frozen=True, slots=True)
class Fact:
    """An interval and where it was."""

    scope: ScopeId
    interval: Interval


@dataclass(frozen=True, slots=True)
class Deed:
    """That someone, who is in a scope since `enter_ms`, did something there; times in milliseconds."""

    scope: ScopeId
    user_id: str
    enter_ms: int
    act_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A scope to hold against the index, and when that was last done: all was well then, or noted.

    Nothing is left to be done of it while the index has the order `check_order`; None when there is.
    """

    scope: ScopeId
    check_time: datetime | None
    check_order: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """An interval that nobody said had ended, and when it did; `order` is that of the index, seen then."""

    interval: OpenInterval
    leave_time: datetime
    order: int


@dataclass(frozen=True, slots=True)
class Comings:
    """Who is here, as facts; `next_after` is where to go on, 0 at the end."""

    intervals: Sequence[Interval]
    next_after: int


class LedgerStore(Protocol):
    """The ledger in PostgreSQL, of all organizations. All raise UNAVAILABLE while it is away."""

    async def write(self, facts: Sequence[Fact], deeds: Sequence[Deed], /) -> None:
        """Write what was told, all or nothing, in one transaction.

        In whatever order facts arrive, and however often, the newest of an interval is what stays. A deed
        of an interval that is not there is nothing. What was on its way when its person was erased is not
        written. Raises UnstorableError for what PostgreSQL cannot hold.
        """
        ...

    async def know(self, scopes: Collection[ScopeId], /) -> None:
        """Have scopes claimed from now on, until nobody has been there for a while."""
        ...

    async def claim(self, *, limit: int, seconds: float) -> Sequence[Claim]:
        """Return scopes to look at, those that wait longest first; others get them in so many seconds."""
        ...

    async def open_intervals(
        self, scope: ScopeId, /, *, after: tuple[str, datetime] | None, limit: int
    ) -> Sequence[OpenInterval]:
        """Return open intervals by user and time of entering, behind a place."""
        ...

    async def not_open(self, scope: ScopeId, intervals: Sequence[Interval], /) -> Sequence[Interval]:
        """Return those that the ledger does not have as open."""
        ...

    async def mark(
        self,
        scope: ScopeId,
        /,
        *,
        now: datetime,
        found: Sequence[OpenInterval],
        missing: Sequence[tuple[OpenInterval, datetime]],
        ended: Sequence[Ended],
    ) -> None:
        """Note which are found again, which are missing and were seen until when, and end others.

        Nothing of it is done to an interval about which something was told since it was read. What is told
        later of one that was ended here is taken for better.
        """
        ...

    async def unite(self, scope: ScopeId, intervals: Sequence[OpenInterval], /) -> None:
        """Let intervals go on in the next ones of their people, which become parts of them.

        What is told of a part from then on is told of the whole. Nothing is done to an interval about which
        something was told since it was read.
        """
        ...

    async def renew(self, scopes: Sequence[ScopeId], /, *, check_time: datetime) -> None:
        """Note that nothing has changed in scopes since they were last looked at."""
        ...

    async def finish(self, claim: Claim, /, *, is_empty: bool, rest_seconds: float) -> None:
        """Note that a scope was looked at, which need not be done again for so many seconds.

        One that has been empty for a while is not claimed any more.
        """
        ...


class LedgerIndex(Protocol):
    """What the ledger is held against: the index. All raise UNAVAILABLE while it is away."""

    async def some_scopes(self) -> Collection[ScopeId]:
        """Return the next few scopes; in many calls, all of them."""
        ...

    async def orders(self, scopes: Sequence[ScopeId], /) -> Sequence[int]:
        """Return the order that a fact would have now, of each scope.

        As long as it stays the same, so does who is here; 0 for a scope that fails.
        """
        ...

    async def traces(self, scope: ScopeId, user_ids: Sequence[str], /) -> tuple[int, Sequence[Trace | None]]:
        """Return the order, and what is known of people; None for nothing."""
        ...

    async def comings(self, scope: ScopeId, /, *, after: int, limit: int) -> Comings:
        """Return who is here, in order of coming, with staff."""
        ...
