"""What presence needs of its index, and what it tells the ledger."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from muster_kit.errors import MusterError
from muster_kit.records import record

from muster_presence.model import Activity, Cause, Outcome, Role, ScopeId, State, Step


@record
class Interval:
    """A fact for the ledger: someone came, or went after having been here; times in milliseconds.

    `leave_ms` is None while it lasts. After a loss of the index the same coming may be told again, with
    the same `enter_ms` for whoever held a stream. Of two facts of a scope the one with the greater `order`
    is the newer one, whoever tells them; only a loss right after a thousand changes a second upsets it.
    """

    user_id: str
    display_name: str
    role: Role
    participant_id: str
    enter_ms: int
    last_activity_ms: int
    order: int
    leave_ms: int | None = None
    cause: Cause | None = None


Device: TypeAlias = tuple[str, str]
"""User and device."""


@record
class Spot:
    """One device of one person in one scope."""

    scope: ScopeId
    user_id: str
    device_id: str


NoteIntervals: TypeAlias = Callable[[ScopeId, Sequence[Interval]], None]
"""Is told who came and went in a scope."""
NoteActivity: TypeAlias = Callable[[ScopeId, Sequence[tuple[str, int]], int], None]
"""Is told who did something in a scope, each with since when they are there, and when; in milliseconds."""


NoteDoing: TypeAlias = Callable[[Spot, Activity | None, bool], None]
"""Is told what a device that this process holds does by now, and whether it is away."""


Result: TypeAlias = tuple[Outcome, int, bytes]
"""What became of a step, since when the person is here, in milliseconds, and what was asked for.

That is the person's presence after it, as the contract's message, or the key of the device's line; empty when
neither was, or the person or the device is not here.
"""


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """People as the contract's messages, each with its number in the order of coming.

    `next_after` is where to go on, 0 at the end: a page may be short of people and not the last one.
    """

    seq: int
    people: Sequence[tuple[int, bytes]]
    next_after: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many people and devices have a role, a state and an activity: kind and target, None for none."""

    role: Role
    state: State
    activity: tuple[str, str] | None
    people: int
    devices: int


@dataclass(frozen=True, slots=True)
class Tallies:
    """All tallies of a scope; `version` grows with each change.

    By channel how many devices are on it, and when one last did something, in milliseconds, 0 for not yet.
    """

    version: int
    tallies: Sequence[Tally]
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class PresenceIndex(Protocol):
    """Who is in which scope now. It may be lost at any time, and fills again with what clients do.

    All methods raise MusterError UNAVAILABLE while it is away, and INTERNAL for a fault of its own. Reads
    return None for a scope in which nobody was for a day.
    """

    async def change(
        self, steps: Mapping[ScopeId, Sequence[Step]], /
    ) -> Mapping[ScopeId, Sequence[Result] | MusterError]:
        """Take steps of several scopes, in order within each, in one round trip; return what became of them.

        A scope that fails has the error in their place, and the others are not touched by it.
        """
        ...

    async def renew(self, holder: str, devices: Mapping[ScopeId, Sequence[Device]], /) -> Sequence[Spot]:
        """Renew the leases of devices that a process holds; return those that it has to hold anew.

        These are not known to be held by it: they were lost, have left, or are of a scope that fails. Or
        they have been held for so long that it is time to say again where they are.
        """
        ...

    async def ping(self) -> None:
        """Return when it answers."""
        ...

    async def sweep(self, *, most_scopes: int) -> bool:
        """Let go of what has run out, wherever that is; False when there may be more."""
        ...

    async def people(
        self,
        scope: ScopeId,
        /,
        *,
        after: int = 0,
        limit: int,
        with_staff: bool,
        kind: str = "",
        target_id: str = "",
    ) -> PeoplePage | None:
        """Return who is here, in order of coming, with any activity or with one of a kind or target."""
        ...

    async def snapshot(self, scope: ScopeId, /, *, limit: int, with_staff: bool) -> PeoplePage:
        """Return the first people of a scope at one moment of its log; a longer call than the others."""
        ...

    async def named(
        self, scope: ScopeId, user_ids: Sequence[str], /, *, with_staff: bool
    ) -> Sequence[bytes] | None:
        """Return presences in the order of the ids, empty for who is not here or not to be seen."""
        ...

    async def tallies(self, scope: ScopeId, /) -> Tallies | None:
        """Return what counts are made of."""
        ...

    async def places(self, organization_id: str, user_id: str, device_id: str, /) -> Sequence[ScopeId]:
        """Return where a device may be; it may have left or vanished there."""
        ...

    async def whereabouts(
        self, organization_id: str, user_ids: Sequence[str], /
    ) -> Mapping[str, Collection[ScopeId]]:
        """Return where people may be with any device, by their ids."""
        ...


class ScopeRooms(Protocol):
    """Scopes as rooms of the hub: each is one as its staff see it, and another as others do."""

    def room_of(self, scope: ScopeId, /, *, with_staff: bool) -> str:
        """Return the room of a scope."""
        ...

    async def begin(self, scope: ScopeId, /, *, begins_anew: bool) -> bool:
        """Return whether there is such a scope; with `begins_anew` there is from now on."""
        ...
