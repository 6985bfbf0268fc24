"""Sessions as they were a moment ago: whose they are, and how far they have come."""

import asyncio
from typing import Final

from muster_kit.recent import Recent
from muster_kit.streams.background import Singleflight

from muster_scoring.model import Session
from muster_scoring.store import ResultStore

_CAPACITY: Final = 4096
_FRESH_SECONDS: Final = 1.0


class SessionCache:
    """Sessions by id, read anew when what is here is older than a second."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results
        self._sessions = Recent[tuple[str, str], tuple[float, Session]](
            capacity=_CAPACITY, idle_seconds=_FRESH_SECONDS
        )
        self._flights = Singleflight()

    async def get(self, organization_id: str, session_id: str) -> Session | None:
        """Return the session; None when the organization has none of that id."""
        key = (organization_id, session_id)
        now = asyncio.get_running_loop().time()
        if (cached := self._sessions.get(key)) is not None and now - cached[0] < _FRESH_SECONDS:
            return cached[1]
        session = await self._flights.run(key, lambda: self._results.session(organization_id, session_id))
        if session is None:
            # Not kept: it may be made the moment after, and whoever made it must find it.
            return None
        self._sessions.put(key, (now, session))
        return session

    def forget(self, organization_id: str, session_id: str) -> None:
        """Drop a session; what is being read may still come, and is good for a second."""
        self._sessions.drop((organization_id, session_id))

    async def close(self) -> None:
        """Stop reading."""
        await self._flights.close()
