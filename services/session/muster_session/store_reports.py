"""What telling presence of sessions needs of it."""

from typing import Protocol

from muster_session.model_reports import Report


class Register(Protocol):
    """Where presence keeps what it knows of sessions."""

    async def report(self, report: Report, /) -> None:
        """Say where a session stands; an older report than the last changes nothing, nor does the same again.

        Raises RefusedError when that definitely was not taken and never will be, and other MusterErrors
        when nobody knows.
        """
        ...
