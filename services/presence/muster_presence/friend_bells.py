"""How those are called who watch friends, over the hub's channels."""

from muster_kit.streams import RedisPublisher

from muster_presence.model_inbox import inbox_person
from muster_presence.person_rooms import friends_person
from muster_presence.scope_keys import bell_of, bell_room


class RedisBells:
    """`Bells` over the channels that the scripts of scopes call by, too."""

    def __init__(self, publisher: RedisPublisher) -> None:
        self._publisher = publisher

    def room_of(self, organization_id: str) -> str:
        """Return the room of an organization."""
        return bell_room(organization_id)

    def organization_of(self, room_id: str) -> str | None:
        """Return the organization of such a room; None for another room."""
        return bell_of(room_id)

    def person_of(self, room_id: str) -> tuple[str, str] | None:
        """Return who is told of friends in a room, by organization and user; None for another room."""
        return friends_person(room_id) or inbox_person(room_id)

    async def ring(self, organization_id: str, payload: bytes) -> None:
        """Call; nobody may hear it."""
        await self._publisher.signal(bell_room(organization_id), payload)
