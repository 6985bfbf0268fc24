"""Serves `muster.session.v1.SessionService`, whose calls are kept by noun."""

from muster_session.parts import Parts
from muster_session.servicer_participants import ParticipantCalls
from muster_session.servicer_sessions import SessionCalls
from muster_session.servicer_watch import WatchCalls


class SessionServicer(SessionCalls, ParticipantCalls, WatchCalls):
    """All calls of the service; what is not here answers UNIMPLEMENTED."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)


class NotServed:
    """A service of the contract of which nothing is built yet."""
