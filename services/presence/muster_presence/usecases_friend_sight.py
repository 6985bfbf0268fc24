"""What one person sees of their friends, in versions: streams are given what changed since theirs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeAlias

from muster_kit.streams import SharedView, View
from muster_kit.streams.room import Room

_MOST_GONE: Final = 1000
"""So many of those who went are remembered; a stream that knows nothing of later ones gets the whole."""


@dataclass(frozen=True, slots=True)
class Look:
    """How friends see a person who is here: the contract's message, and what of it counts as a change."""

    presence: bytes
    shown: bytes


class FriendPresence(Protocol):
    """Presence as friends see it."""

    async def seen(self, organization_id: str, user_ids: Sequence[str], /) -> Mapping[str, Look]:
        """Return how those of the people are seen who are here; MusterError UNAVAILABLE."""
        ...


EncodeView: TypeAlias = Callable[[int, Sequence[bytes], bool], bytes]
"""Makes the contract's view of a version and presences; the last says whether they are all."""


def _anybody(_: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Shape:
    """How streams of one kind show friends: the key of the view in their room, and its message.

    Others may share the room: only viewers whom `is_for` tells are shown it.
    """

    key: str
    encode: EncodeView
    is_for: Callable[[object], bool] = _anybody


class _ViewFor:
    """A view for some of those who share a room."""

    __slots__ = ("_is_for", "_shared", "version")

    def __init__(self, shared: SharedView, is_for: Callable[[object], bool]) -> None:
        self.version = shared.version
        self._shared = shared
        self._is_for = is_for

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:
        """Return what the viewer is to be shown, None for nothing."""
        return self._shared.render(viewer, last_version) if self._is_for(viewer) else None


class Sight:
    """The friends of one person and who of them is here, as of a version."""

    def __init__(
        self, organization_id: str, user_id: str, *, version: int, away: Callable[[str], bytes]
    ) -> None:
        """`away` makes the presence of who is not here; `version` is greater than any before it."""
        self.organization_id = organization_id
        self.user_id = user_id
        self.friends: frozenset[str] = frozenset()
        self.is_known = False
        """Whether it was ever seen who is here: until then there is nothing to show."""
        self.was_looked = asyncio.Event()
        """Set when it was looked for the first time, in vain perhaps."""
        self.shown_in: list[tuple[Room, Shape]] = []
        self._away = away
        self._version = version
        self._since = version
        # What changed last is last.
        self._seen: dict[str, tuple[int, Look | None]] = {}
        self._gone: set[str] = set()

    def regroup(self, friends: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Take other friends; return who was added, and who is none any more and is not seen from now on."""
        added, removed = friends - self.friends, self.friends - friends
        self.friends = friends
        self._put(dict.fromkeys(removed))
        return added, removed

    def see(self, found: Mapping[str, Look | None]) -> None:
        """Take how friends are seen, None for who is not here; others are passed over."""
        self._put({user_id: look for user_id, look in found.items() if user_id in self.friends})

    def know(self) -> None:
        """Show what was seen, if only that nobody is here."""
        if not self.is_known:
            self.is_known = True
            self._offer()

    def show_in(self, room: Room, shape: Shape) -> None:
        """Show it in a room from now on."""
        self.shown_in.append((room, shape))
        if self.is_known:
            room.offer(shape.key, self._view(shape))

    def hide_from(self, room: Room, shape: Shape) -> None:
        """Show it once less in a room; nothing is kept there after the last time."""
        self.shown_in.remove((room, shape))
        if (room, shape) not in self.shown_in:
            room.withdraw(shape.key)

    def _put(self, found: Mapping[str, Look | None]) -> None:
        changed = {user_id: look for user_id, look in found.items() if self._differs(user_id, look)}
        if not changed:
            return
        self._version += 1
        for user_id, look in changed.items():
            self._seen.pop(user_id, None)
            self._seen[user_id] = self._version, look
            (self._gone.add if look is None else self._gone.discard)(user_id)
        if len(self._gone) > _MOST_GONE:
            self._since = self._version
            for user_id in self._gone:
                del self._seen[user_id]
            self._gone.clear()
        if self.is_known:
            self._offer()

    def _differs(self, user_id: str, look: Look | None) -> bool:
        _, known = self._seen.get(user_id, (0, None))
        return (known and known.shown) != (look and look.shown)

    def _offer(self) -> None:
        for room, shape in self.shown_in:
            room.offer(shape.key, self._view(shape))

    def _view(self, shape: Shape) -> View:
        # Whatever is seen later is offered at once: what is shown is always the newest version.
        shared = SharedView(
            self._version, whole=partial(self._whole, shape), delta=partial(self._changes, shape)
        )
        return _ViewFor(shared, shape.is_for)

    def _whole(self, shape: Shape) -> bytes:
        here = [look.presence for _, look in self._seen.values() if look is not None]
        return shape.encode(self._version, here, True)

    def _changes(self, shape: Shape, last_version: int) -> bytes | None:
        if last_version < self._since:
            return None
        changed = []
        for user_id, (changed_in, look) in reversed(self._seen.items()):
            if changed_in <= last_version:
                break
            changed.append(self._away(user_id) if look is None else look.presence)
        return shape.encode(self._version, changed, False)
