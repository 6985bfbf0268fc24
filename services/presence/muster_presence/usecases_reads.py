"""Who is here, listed and counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason

from muster_presence.model import Role, State
from muster_presence.store import PresenceIndex, Tallies, Tally
from muster_presence.usecases_access import Doors, Place, Sight

_MOST_ACTIVITIES: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a list or count is about; without a kind and a target all, with and without an activity."""

    include_staff: bool = False
    kind: str = ""
    target_id: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many people are in a scope; activities by kind and target, most frequent first."""

    version: int
    total: int
    devices: int
    roles: Sequence[tuple[Role, int]]
    states: Sequence[tuple[State, int]]
    activities: Sequence[tuple[tuple[str, str], int]]


class Reads:
    """What can be asked about scopes. All of these raise NOT_FOUND and PERMISSION_DENIED, as `Doors.look`."""

    def __init__(self, index: PresenceIndex, doors: Doors) -> None:
        self._index = index
        self._doors = doors

    async def presences(
        self, caller: Caller, place: Place, user_ids: Sequence[str]
    ) -> tuple[Sight, Sequence[bytes]]:
        """Return presences in the order of the ids, empty for who is not here or not to be seen."""
        sight = self._doors.look(caller, place, include_staff=False)
        found = await self._index.named(sight.scope, user_ids, with_staff=False)
        if found is None:
            require_certain(sight)
            return sight, [b""] * len(user_ids)
        return sight, found

    async def active(
        self, caller: Caller, place: Place, wanted: Wanted, *, after: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """Return up to `limit` people after a number in the order of coming, each with their own."""
        sight = self._doors.look(caller, place, include_staff=wanted.include_staff)
        people: list[tuple[int, bytes]] = []
        while len(people) < limit:
            page = await self._index.people(
                sight.scope,
                after=after,
                limit=limit - len(people),
                with_staff=sight.with_staff,
                kind=wanted.kind,
                target_id=wanted.target_id,
            )
            if page is None:
                require_certain(sight)
                break
            people.extend(page.people)
            after = page.next_after
            if not after:
                break
        return people

    async def counts(self, caller: Caller, place: Place, wanted: Wanted) -> Counts:
        """Count who is in a scope."""
        sight = self._doors.look(caller, place, include_staff=wanted.include_staff)
        tallies = await self._index.tallies(sight.scope)
        if tallies is None:
            require_certain(sight)
        return count(tallies or Tallies(0, ()), wanted)


def count(tallies: Tallies, wanted: Wanted) -> Counts:
    """Return the counts that tallies make."""
    counted = [each for each in tallies.tallies if _is_counted(each, wanted)]
    roles: Counter[Role] = Counter()
    states: Counter[State] = Counter()
    activities: Counter[tuple[str, str]] = Counter()
    for each in counted:
        roles[each.role] += each.people
        states[each.state] += each.people
        if each.activity is not None:
            activities[each.activity] += each.people
    return Counts(
        tallies.version,
        sum(each.people for each in counted),
        sum(each.devices for each in counted),
        sorted(roles.items()),
        sorted(states.items()),
        sorted(activities.items(), key=lambda item: (-item[1], item[0]))[:_MOST_ACTIVITIES],
    )


def require_certain(sight: Sight) -> None:
    """Raise NOT_FOUND for a scope of which nobody has heard, unless it is certain that it exists."""
    if not sight.certain:
        raise MusterError(Reason.NOT_FOUND, detail="nobody was there")


def _is_counted(tally: Tally, wanted: Wanted) -> bool:
    if tally.role is Role.STAFF and not wanted.include_staff:
        return False
    if not wanted.kind and not wanted.target_id:
        return True
    kind, target_id = tally.activity or ("", "")
    is_kind = wanted.kind in ("", kind)
    return tally.activity is not None and is_kind and wanted.target_id in ("", target_id)
