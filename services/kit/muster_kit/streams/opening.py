"""How a stream comes into a room and leaves it."""

from typing import Protocol

from muster_kit.errors import MusterError, Reason
from muster_kit.streams.feed import Feed
from muster_kit.streams.process import Process
from muster_kit.streams.room import Room
from muster_kit.streams.tail import Tail
from muster_kit.streams.watch import Watch


class Door(Protocol):
    """Where rooms are entered: the hub."""

    async def enter_room(self, room_id: str) -> Room:
        """Return the room, which is kept up to date until it is left; DRAINING."""
        ...

    def open_late(self, room: Room, organization_id: str) -> None:
        """Open the room's log when it is back."""
        ...

    def leave_room(self, room: Room, stream: Feed | None) -> None:
        """Let a stream go, or who did not get as far as to have one."""
        ...


class Opening:
    """A stream of a room, as an async context manager.

    A class, since it lasts as long as the stream: a generator that makes one keeps a kilobyte more.
    """

    __slots__ = ("_door", "_feed", "_organization_id", "_process", "_room_id", "_tail", "_watch")

    def __init__(
        self,
        door: Door,
        process: Process,
        room_id: str,
        watch: Watch,
        *,
        organization_id: str = "",
        tail: Tail | None = None,
    ) -> None:
        """`tail` is what is read in place of the room's log, which has to be the organization's."""
        self._door = door
        self._process = process
        self._room_id = room_id
        self._watch = watch
        self._organization_id = organization_id
        self._tail = tail
        self._feed: Feed | None = None

    async def __aenter__(self) -> Feed:
        """Enter the room; MusterError: NOT_FOUND, DRAINING."""
        room = await self._door.enter_room(self._room_id)
        try:
            if (tail := self._tail) is None:
                tail = room.tail
                await self._open(room)
            feed = self._feed = Feed(room, tail, self._process, self._watch)
        except BaseException:
            self._door.leave_room(room, None)
            raise
        room.enter(feed)
        return feed

    async def _open(self, room: Room) -> None:
        try:
            await room.tail.open(self._organization_id)
        except MusterError as error:
            # Who wants what is there and no more has to come again.
            if error.reason is not Reason.UNAVAILABLE or not self._watch.may_wait or self._watch.replay_only:
                raise
            self._door.open_late(room, self._organization_id)

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        if self._feed is not None:
            self._door.leave_room(self._feed.room, self._feed)
