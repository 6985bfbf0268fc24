"""The seats of streams that come at once, as when a whole class is back: read together, never remembered."""

import asyncio
from functools import partial
from typing import Final

from muster_kit.streams.background import Singleflight

from muster_session.model import Participant, Session
from muster_session.store_directory import Directory, SeatsFound

_GATHER_SECONDS: Final = 0.2

_SessionKey = tuple[str, str]


class _Group:
    """Those who wait for the same read."""

    __slots__ = ("participant_ids",)

    def __init__(self) -> None:
        self.participant_ids: set[str] = set()


class Arrivals:
    """Finds sessions with a seat for those who open streams, with few reads however many come.

    Whoever comes alone is looked up at once; those who come to the same session within a moment
    of that share the next read. A read begins after all it is for have asked, so what was taken
    from a seat before its holder came is always seen: there is no cache that could let it in.
    """

    def __init__(self, directory: Directory, *, gather_seconds: float = _GATHER_SECONDS) -> None:
        """`gather_seconds` is the least time between the beginnings of two reads of one session."""
        self._directory = directory
        self._gather_seconds = gather_seconds
        self._groups: dict[_SessionKey, _Group] = {}
        # When the next read of a session may begin, by the loop's clock; gone when that is past.
        self._next_times: dict[_SessionKey, float] = {}
        self._flights = Singleflight()

    async def find_with_seat(
        self, organization_id: str, session_id: str, *, user_id: str = "", participant_id: str = ""
    ) -> tuple[Session, Participant | None] | None:
        """Return a session and the seat of the user, or with the id, if there is one; as of now."""
        if not participant_id:
            return await self._directory.find_with_seat(organization_id, session_id, user_id=user_id)
        key = organization_id, session_id
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.participant_ids.add(participant_id)
        found = await self._flights.run(group, partial(self._read, key, group))
        return None if found is None else (found.session, found.seats.get(participant_id))

    async def close(self) -> None:
        """Stop reading; whoever waits is cancelled."""
        await self._flights.close()

    async def _read(self, key: _SessionKey, group: _Group) -> SeatsFound | None:
        loop = asyncio.get_running_loop()
        try:
            if (next_time := self._next_times.get(key)) is not None:
                await asyncio.sleep(next_time - loop.time())
        finally:
            # Who asks from here on is too late for this read.
            del self._groups[key]
        next_time = self._next_times[key] = loop.time() + self._gather_seconds
        loop.call_at(next_time, self._forget, key, next_time)
        return await self._directory.find_with_seats(*key, group.participant_ids)

    def _forget(self, key: _SessionKey, next_time: float) -> None:
        if self._next_times.get(key) == next_time:
            del self._next_times[key]
