"""Sessions as they were a moment ago: whose they are, and how far they have come."""

from muster_scoring.fresh import Fresh
from muster_scoring.model import Session
from muster_scoring.store import ResultStore


class SessionCache:
    """Sessions by organization and id, read anew when what is here is older than a second."""

    def __init__(self, results: ResultStore) -> None:
        self._sessions = Fresh[tuple[str, str], Session](lambda key: results.session(*key))

    async def get(self, organization_id: str, session_id: str) -> Session | None:
        """Return the session; None when the organization has none of that id."""
        return await self._sessions.get((organization_id, session_id))

    def forget(self, organization_id: str, session_id: str) -> None:
        """Drop a session; what is being read may still come, and is good for a second."""
        self._sessions.forget((organization_id, session_id))

    async def close(self) -> None:
        """Stop reading."""
        await self._sessions.close()
