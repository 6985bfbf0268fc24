"""People of an organization who make friends, as they call presence and watch."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from muster.presence.v1 import friend_pb2, presence_service_pb2
from muster.presence.v1 import friend_service_pb2 as pb
from muster.presence.v1.presence_pb2 import PRESENCE_STATE_ACTIVE, PRESENCE_STATE_AWAY, Activity
from muster.presence.v1.scope_pb2 import SCOPE_KIND_ORGANIZATION, Scope, ScopeEntry
from muster_kit.caller import OrganizationRole

from tests.rpc.house import House, Metadata

REQUESTED = friend_pb2.FRIENDSHIP_STATE_REQUESTED
RECEIVED = friend_pb2.FRIENDSHIP_STATE_RECEIVED
FRIENDS = friend_pb2.FRIENDSHIP_STATE_FRIENDS
BLOCKED = friend_pb2.FRIENDSHIP_STATE_BLOCKED
NONE = friend_pb2.FRIENDSHIP_STATE_NONE
ACCEPT, DECLINE = friend_pb2.FRIEND_ANSWER_ACCEPT, friend_pb2.FRIEND_ANSWER_DECLINE

HERE = {PRESENCE_STATE_ACTIVE, PRESENCE_STATE_AWAY}

SECONDS = 10


@dataclass(slots=True)
class Club:
    """An organization of its own; people are named by their user ids."""

    house: House
    organization: str = field(default_factory=lambda: f"club-{uuid.uuid4().hex[:8]}")

    def user(self, user_id: str, role: OrganizationRole = OrganizationRole.MEMBER) -> Metadata:
        """A user with their own token."""
        return self.house.user(user_id, organization=self.organization, role=role, name=user_id.title())

    @property
    def service(self) -> Metadata:
        """A service that acts for the organization."""
        return self.house.service("arena", organization=self.organization)

    async def call(self, rpc: str, by: str | Metadata, **fields: Any) -> Any:
        """Call a method of FriendService."""
        request = getattr(pb, f"{rpc}Request")(**fields)
        who = self.user(by) if isinstance(by, str) else by
        return await getattr(self.house.friends, rpc)(request, metadata=who)

    async def ask(self, by: str, whom: str, **fields: Any) -> Any:
        """Ask someone to be friends; return the friendship."""
        return (await self.call("RequestFriend", by, user_id=whom, **fields)).friendship

    async def answer(self, by: str, whose: str, answer: Any = ACCEPT, **fields: Any) -> Any:
        """Answer a request; return the friendship."""
        reply = await self.call("RespondToFriendRequest", by, user_id=whose, answer=answer, **fields)
        return reply.friendship

    async def befriend(self, one: str, *others: str) -> None:
        """Make people friends of one."""
        for other in others:
            await self.ask(one, other)
            await self.answer(other, one)

    async def block(self, by: str, whom: str) -> Any:
        """Block someone; return the friendship."""
        return (await self.call("BlockUser", by, user_id=whom)).friendship

    async def seen(self, by: str) -> dict[str, int]:
        """Return all that somebody has with others, by user."""
        states = [REQUESTED, RECEIVED, FRIENDS, BLOCKED]
        reply = await self.call("ListFriends", by, states=states, page_size=200)
        return {each.user_id: each.state for each in reply.friendships}

    async def beat(self, user_id: str, *, device_id: str = "phone", **said: Any) -> None:
        """Be in the organization."""
        said = {"scopes": [ScopeEntry(scope=Scope(kind=SCOPE_KIND_ORGANIZATION))], **said}
        request = presence_service_pb2.HeartbeatRequest(device_id=device_id, **said)
        await self.house.presence.Heartbeat(request, metadata=self.user(user_id))

    async def leave(self, user_id: str) -> None:
        """Say goodbye everywhere."""
        request = presence_service_pb2.LeaveRequest(device_id="phone")
        await self.house.presence.Leave(request, metadata=self.user(user_id))


def doing(kind: str, audience: Any = 0, **fields: Any) -> Activity:
    """Return an activity."""
    return Activity(kind=kind, audience=audience, **fields)


class Watcher:
    """Someone who watches friends, and what they hold."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.cursor = b""
        self.friendships: dict[str, int] = {}
        self.told: list[tuple[str, int]] = []
        self.reactions: list[Any] = []
        self.here: dict[str, Any] = {}
        self.kinds: list[str] = []
        self.seq = 0
        self.views = 0

    async def until(self, condition: Callable[["Watcher"], object]) -> None:
        """Read frames until a condition of this watcher holds."""
        async with asyncio.timeout(SECONDS):
            while not condition(self):
                self.take(await self.call.read())

    def take(self, frame: pb.WatchFriendsResponse) -> None:
        """Apply a frame."""
        self.cursor = frame.cursor or self.cursor
        kind = frame.WhichOneof("frame")
        self.kinds.append(kind)
        if kind == "snapshot":
            self.friendships = {each.user_id: each.state for each in frame.snapshot.friendships}
            self.seq = 0
        elif kind == "events":
            for event in frame.events.events:
                self.happen(event)
        elif kind == "view":
            self.views += 1
            self.see(frame.view.full, frame.view.presences)

    def see(self, full: bool, presences: Any) -> None:
        """Apply a view."""
        if full:
            self.here = {}
        self.here |= {one.user_id: one for one in presences}

    def happen(self, event: Any) -> None:
        """Apply an event."""
        assert self.seq in (0, event.seq - 1)
        self.seq = event.seq
        if event.HasField("quick_reaction"):
            self.reactions.append(event.quick_reaction)
            return
        changed = event.changed
        self.told.append((changed.user_id, changed.state))
        self.friendships[changed.user_id] = changed.state

    def state_of(self, user_id: str) -> int:
        """Return how present a friend is, 0 for unheard of."""
        return self.here[user_id].state if user_id in self.here else 0


def active(*user_ids: str) -> Callable[[Any], bool]:
    """Return the condition that whoever holds presences sees these friends here, and no others."""
    return lambda held: {user_id for user_id in held.here if held.state_of(user_id) in HERE} == set(user_ids)


@asynccontextmanager
async def watching(club: Club, user_id: str, **wanted: Any) -> AsyncIterator[Watcher]:
    """Watch friends."""
    call = club.house.friends.WatchFriends(pb.WatchFriendsRequest(**wanted), metadata=club.user(user_id))
    try:
        yield Watcher(call)
    finally:
        call.cancel()
