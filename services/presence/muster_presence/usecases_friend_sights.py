"""Keeps up to date what people with open streams see of their friends."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Protocol

import structlog
from muster_kit.clock import Clock
from muster_kit.streams import Hub
from muster_kit.streams.background import Background
from muster_kit.streams.room import Room

from muster_presence.store_friends import FriendDirectory
from muster_presence.usecases_friend_sight import FriendPresence, Look, Shape, Sight

_PAUSE_SECONDS: Final = 0.1
"""What changes within it is looked at once."""

_CHECK_SECONDS: Final = 15.0
_PARTS: Final = 8
"""So many checks it takes to look at everybody again."""

_RETRY_SECONDS: Final = 1.0
_PEOPLE_A_CALL: Final = 500

_PRESENCE: Final = b"p"
_FRIENDS: Final = b"f"

_log = structlog.get_logger(__name__)


class ShowFriends(Protocol):
    """Shows friends as one kind of stream has them."""

    def __call__(
        self, organization_id: str, user_id: str, room: Room, *, waits: bool
    ) -> AbstractAsyncContextManager[None]:
        """Show someone's friends in a room; see `FriendSights.showing`."""
        ...


class Bells(Protocol):
    """How those are called who watch friends: one room of the hub for each organization."""

    def room_of(self, organization_id: str, /) -> str:
        """Return the room of an organization."""
        ...

    def organization_of(self, room_id: str, /) -> str | None:
        """Return the organization of such a room; None for another room."""
        ...

    def person_of(self, room_id: str, /) -> tuple[str, str] | None:
        """Return who is told of friends in a room, by organization and user; None for another room."""
        ...

    async def ring(self, organization_id: str, payload: bytes, /) -> None:
        """Call; nobody may hear it."""
        ...


class FriendSights:
    """What is seen by those who have a stream in this process.

    The index calls with the names of those who are seen otherwise by friends, and whoever makes or ends a
    friendship with those of the two. A call is a hint: all is looked at again now and then, and when calls
    may have been missed. All who came or changed within a moment are read in one go, by one task.
    """

    def __init__(
        self,
        directory: FriendDirectory,
        presence: FriendPresence,
        bells: Bells,
        *,
        hub: Hub,
        clock: Clock,
        away: Callable[[str, str], bytes],
    ) -> None:
        """`away` makes the presence of who is not here, of an organization and a user."""
        self._directory = directory
        self._presence = presence
        self._bells = bells
        self._hub = hub
        self._clock = clock
        self._away = away
        self._sights: defaultdict[str, dict[str, Sight]] = defaultdict(dict)
        self._seeing: defaultdict[tuple[str, str], set[Sight]] = defaultdict(set)
        self._due_friends: defaultdict[str, set[str]] = defaultdict(set)
        self._due_people: defaultdict[str, set[str]] = defaultdict(set)
        self._unknown: set[Sight] = set()
        self._checks = 0
        self._wanted = asyncio.Event()
        self._background = Background()
        hub.on_run(lambda room_id, _: self._hear_log(room_id))
        hub.on_signal(self._hear)

    @asynccontextmanager
    async def showing(
        self, organization_id: str, user_id: str, room: Room, shape: Shape, *, waits: bool
    ) -> AsyncIterator[None]:
        """Show someone's friends in a room until the context ends; MusterError DRAINING, UNAVAILABLE.

        It begins once it was looked who is here if it `waits`, else at once, and they are shown when they are
        known.
        """
        # Before anything is read: what changes meanwhile must not be missed.
        bell = await self._hub.enter_room(self._bells.room_of(organization_id))
        sights = self._sights[organization_id]
        if (sight := sights.get(user_id)) is None:
            sight = sights[user_id] = self._new(organization_id, user_id)
        sight.show_in(room, shape)
        try:
            if not sight.is_known:
                self._begin(sight)
                if waits:
                    # Or could not be: that is shown when the stores are back.
                    await sight.was_looked.wait()
            yield
        finally:
            sight.hide_from(room, shape)
            if not sight.shown_in:
                self._drop(sight)
            self._hub.leave_room(bell, None)

    def regrouped(self, organization_id: str, user_ids: AbstractSet[str]) -> None:
        """Have it seen, here and elsewhere, that people have other friends now."""
        self._regroup(organization_id, user_ids)
        self._background.spawn(
            self._bells.ring(organization_id, _FRIENDS + _packed(user_ids)), name="ring_friends"
        )

    async def keep_looking(self) -> None:
        """Look at whoever changed until cancelled."""
        loop, was_away = asyncio.get_running_loop(), False
        check_at = loop.time() + _CHECK_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(check_at):
                    await self._wanted.wait()
            if loop.time() >= check_at:
                self._doubt_some()
                check_at = loop.time() + _CHECK_SECONDS
            self._wanted.clear()
            try:
                await self._look()
                was_away = False
            except Exception as error:  # noqa: BLE001 - no fault may end what every such stream waits for
                if not was_away:
                    _log.warning("friends_not_seen", error=repr(error))
                was_away = True
                self._wanted.set()
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def close(self) -> None:
        """Call nobody any more."""
        await self._background.close()

    def _new(self, organization_id: str, user_id: str) -> Sight:
        # Grows from stream to stream, as times do.
        version = int(self._clock.now().timestamp() * 1000)
        return Sight(
            organization_id, user_id, version=version, away=lambda other: self._away(organization_id, other)
        )

    def _begin(self, sight: Sight) -> None:
        self._unknown.add(sight)
        self._due_friends[sight.organization_id].add(sight.user_id)
        self._wanted.set()

    def _drop(self, sight: Sight) -> None:
        self._unknown.discard(sight)
        self._group(sight, frozenset())
        sights = self._sights[sight.organization_id]
        if sights.get(sight.user_id) is sight:
            del sights[sight.user_id]
        if not sights:
            del self._sights[sight.organization_id]

    def _group(self, sight: Sight, friends: frozenset[str]) -> frozenset[str]:
        """Let someone see other friends; return who was added."""
        added, removed = sight.regroup(friends)
        for friend_id in added:
            self._seeing[sight.organization_id, friend_id].add(sight)
        for friend_id in removed:
            key = sight.organization_id, friend_id
            self._seeing[key].discard(sight)
            if not self._seeing[key]:
                del self._seeing[key]
        return added

    def _hear(self, room_id: str, payload: bytes) -> None:
        organization_id = self._bells.organization_of(room_id)
        if organization_id is None:
            return
        user_ids = {user_id.decode() for user_id in payload[1:].split(b"\0")}
        if payload[:1] == _PRESENCE:
            seen = {user_id for user_id in user_ids if (organization_id, user_id) in self._seeing}
            if seen:
                self._due_people[organization_id] |= seen
                self._wanted.set()
        elif payload[:1] == _FRIENDS:
            self._regroup(organization_id, user_ids)
        else:
            self._doubt(organization_id)

    def _hear_log(self, room_id: str) -> None:
        # What is told there is found even if nobody was called.
        person = self._bells.person_of(room_id)
        if person is not None:
            self._regroup(person[0], {person[1]})

    def _regroup(self, organization_id: str, user_ids: AbstractSet[str]) -> None:
        here = user_ids & self._sights.get(organization_id, {}).keys()
        if here:
            self._due_friends[organization_id] |= here
            self._wanted.set()

    def _doubt(self, organization_id: str) -> None:
        sights = self._sights.get(organization_id, {})
        self._due_friends[organization_id] |= sights.keys()
        for sight in sights.values():
            self._due_people[organization_id] |= sight.friends
        self._wanted.set()

    def _doubt_some(self) -> None:
        """Look again at a part of all, another each time."""
        self._checks += 1
        for organization_id, sights in self._sights.items():
            some = {
                user_id
                for user_id in sights
                if hash((organization_id, user_id)) % _PARTS == self._checks % _PARTS
            }
            self._due_friends[organization_id] |= some
            for user_id in some:
                self._due_people[organization_id] |= sights[user_id].friends
        self._wanted.set()

    async def _look(self) -> None:
        # Whoever comes while others are looked at is not known by that.
        unknown, self._unknown = self._unknown, set()
        try:
            await self._look_at_due()
        except BaseException:
            self._unknown |= unknown
            raise
        else:
            for sight in unknown:
                sight.know()
        finally:
            for sight in unknown:
                sight.was_looked.set()

    async def _look_at_due(self) -> None:
        try:
            await self._work_off(self._due_friends, self._look_who)
        except Exception:
            # While nobody knows who has become a friend, it is still seen which of the friends are here.
            await self._work_off(self._due_people, self._look_at)
            raise
        await self._work_off(self._due_people, self._look_at)

    async def _work_off(
        self, due: defaultdict[str, set[str]], look: Callable[[str, Sequence[str]], Awaitable[None]]
    ) -> None:
        for organization_id in list(due):
            people = sorted(due.pop(organization_id))
            for start in range(0, len(people), _PEOPLE_A_CALL):
                try:
                    # They are off the list before they are read: what changes meanwhile is read again.
                    await look(organization_id, people[start : start + _PEOPLE_A_CALL])
                except BaseException:
                    due[organization_id] |= set(people[start:])
                    raise

    async def _look_who(self, organization_id: str, user_ids: Sequence[str]) -> None:
        found = await self._directory.friend_ids(organization_id, user_ids)
        for user_id, friends in found.items():
            sight = self._sights.get(organization_id, {}).get(user_id)
            if sight is not None:
                self._due_people[organization_id] |= self._group(sight, friends)

    async def _look_at(self, organization_id: str, user_ids: Sequence[str]) -> None:
        looks = await self._presence.seen(organization_id, user_ids)
        by_sight: defaultdict[Sight, dict[str, Look | None]] = defaultdict(dict)
        for user_id in user_ids:
            for sight in self._seeing.get((organization_id, user_id), ()):
                by_sight[sight][user_id] = looks.get(user_id)
        for sight, found in by_sight.items():
            sight.see(found)


def _packed(user_ids: Iterable[str]) -> bytes:
    return b"\0".join(user_id.encode() for user_id in user_ids)
