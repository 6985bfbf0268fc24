"""What telling people of their sessions needs of others."""

from collections.abc import Sequence
from typing import Protocol

from muster_session.model import Session
from muster_session.model_notices import Start, Telling


class Recipients(Protocol):
    """Who belongs to a session."""

    async def page(self, session: Session, telling: Telling, /, *, limit: int) -> Sequence[str]:
        """Return the user ids of the next who are to be told, in order: seats, and members of its classes.

        Those who came after it happened are left out; so are, except at the end, those who had left. The
        host knows. MusterError UNAVAILABLE.
        """
        ...


class NoticeRows(Protocol):
    """What is still to be told of a session, in its running transaction."""

    async def left(self) -> Telling | None:
        """Return what is still to be told, if anything."""
        ...

    async def recipients(self, session: Session, telling: Telling, /) -> Sequence[str]:
        """Return the user ids of all who are still to be told, as `Recipients.page` has them."""
        ...


class Inboxes(Protocol):
    """The inboxes of users, at the presence service."""

    async def tell(self, organization_id: str, start: Start, user_ids: Sequence[str], /) -> None:
        """Put into inboxes where a session stands; the same once, however often it is repeated.

        Raises RefusedError when that definitely was not done and never will be, and other MusterErrors
        when nobody knows.
        """
        ...
