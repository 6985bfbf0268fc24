"""What somebody is told of friends: the log of their friendships, and a view of who is here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.streams import Hub, Renewal

from muster_presence.model_friends import Friendship
from muster_presence.store_friends import FriendDirectory
from muster_presence.usecases_friend_sight import Shape
from muster_presence.usecases_friend_sights import FriendSights

Write: TypeAlias = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class FriendShapes:
    """Makes the contract's messages of friendships, and of who is here."""

    snapshot: Callable[[Sequence[Friendship]], bytes]
    view: Shape


class FriendWatches:
    """The friendships of a person as a stream."""

    def __init__(
        self,
        hub: Hub,
        directory: FriendDirectory,
        sights: FriendSights,
        shapes: FriendShapes,
        *,
        room_of: Callable[[str, str], str],
        clock: Clock,
    ) -> None:
        """`room_of` names the room of a person's log, by organization and user."""
        self._hub = hub
        self._directory = directory
        self._sights = sights
        self._shapes = shapes
        self._room_of = room_of
        self._clock = clock

    async def watch(
        self, caller: Caller, *, after: bytes, max_frames: int, replay_only: bool, write: Write
    ) -> None:
        """Stream the caller's friendships until the stream ends; MusterError DRAINING, UNAVAILABLE."""
        organization_id, user_id = caller.organization_id, caller.subject
        await self._directory.begin(organization_id, user_id, caller.display_name)
        opening = self._hub.open(
            organization_id,
            self._room_of(organization_id, user_id),
            after,
            snapshot=partial(self._snapshot, organization_id, user_id),
            # The room is the person's own: on all devices they see the same.
            snapshot_key="friends",
            max_frames=max_frames,
            replay_only=replay_only,
            renewal=Renewal.never(caller.expire_time, self._clock.now()),
        )
        async with (
            opening as feed,
            # Who takes only what is there now is shown friends, too.
            self._sights.showing(
                organization_id, user_id, feed.room, self._shapes.view, waits=replay_only or max_frames > 0
            ),
        ):
            await feed.serve(write)

    async def _snapshot(self, organization_id: str, user_id: str) -> tuple[int, bytes]:
        seq, friendships = await self._directory.snapshot(organization_id, user_id)
        return seq, self._shapes.snapshot(friendships)
