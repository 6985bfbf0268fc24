"""Telling people something, and what they hear of it when they connect."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.streams import Hub, Renewal
from muster_kit.streams.opening import Opening

from muster_presence.model_inbox import Notice, inbox_room
from muster_presence.store_inbox import Inboxes, InboxReader, Waiting
from muster_presence.usecases_access import require_service_for

T = TypeVar("T")

LEASE: Final = "lease"
"""The view of an inbox's room that is another for every stream: what its viewer says of its lease."""

_INBOX: Final = "inbox"


class Requests(Protocol):
    """Carries out use cases on inboxes, each request once."""

    async def run(
        self,
        caller: Caller,
        use_case: Callable[[Inboxes], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Return the serialized answer; raises what the use case does, REQUEST_ID_REUSED, UNAVAILABLE."""
        ...


class Notifications:
    """Tells people what services have to say."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def notify(
        self,
        caller: Caller,
        organization_id: str,
        user_ids: Sequence[str],
        notice: Notice,
        *,
        request: Message,
        encode: Callable[[int], Message],
    ) -> bytes:
        """Put a notice into people's inboxes, all or none; return the answer, made of how many have one.

        PERMISSION_DENIED when the service does not act for the organization, REQUEST_ID_REUSED,
        UNAVAILABLE.
        """
        require_service_for(caller, organization_id)
        told = dict.fromkeys(user_ids, notice)
        acting = replace(caller, organization_id=organization_id)
        return await self._requests.run(
            acting, lambda inboxes: inboxes.put(told), request=request, encode=encode
        )


@dataclass(frozen=True, slots=True)
class InboxViewer:
    """What views of an inbox show to one stream: its lease, as a view serialized, and friends or not."""

    lease: bytes
    include_friends: bool


def shows_friends(viewer: object) -> bool:
    """Tell whether a viewer of an inbox asked for friends: the person's other devices may not have."""
    return isinstance(viewer, InboxViewer) and viewer.include_friends


class LeaseView:
    """A stream's own lease, once."""

    version = 1

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:
        """Return what the viewer says of its lease, unless it was given before."""
        return viewer.lease if isinstance(viewer, InboxViewer) and last_version is None else None


LEASE_VIEW: Final = LeaseView()


class InboxStreams:
    """Inboxes as streams. One that cannot be read now waits, while the device is here all the same."""

    def __init__(
        self, hub: Hub, reader: InboxReader, encode: Callable[[Waiting], bytes], clock: Clock
    ) -> None:
        """`encode` makes the contract's snapshot of what waits."""
        self._hub = hub
        self._reader = reader
        self._encode = encode
        self._clock = clock

    def open(
        self, caller: Caller, viewer: InboxViewer, *, after: bytes, max_frames: int, replay_only: bool
    ) -> Opening:
        """Watch the caller's inbox from a cursor on, as `Hub.open`; `LEASE_VIEW` is to be offered.

        Entering raises DRAINING; UNAVAILABLE with `replay_only`.
        """
        organization_id = caller.organization_id
        room_id = inbox_room(organization_id, caller.subject)
        return self._hub.open(
            organization_id,
            room_id,
            after,
            snapshot=partial(self._snapshot, organization_id, room_id),
            # All devices of a person are told the same.
            snapshot_key=_INBOX,
            viewer=viewer,
            max_frames=max_frames,
            replay_only=replay_only,
            renewal=Renewal.never(caller.expire_time, self._clock.now()),
            may_wait=True,
        )

    async def _snapshot(self, organization_id: str, room_id: str) -> tuple[int, bytes]:
        room = self._hub.room(room_id)
        # Nothing waits that was not told, and many have been told nothing.
        is_empty = room is not None and room.tail.opened and not room.tail.head
        waiting = Waiting() if is_empty else await self._reader.waiting(organization_id, room_id)
        return waiting.seq, self._encode(waiting)
