"""Reads the tickets that calls name beside their own token."""

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.revocations import Revocations


class TicketReader:
    """Verifies tickets as those of calls are."""

    def __init__(self, authenticator: Authenticator, revocations: Revocations) -> None:
        self._authenticator = authenticator
        self._revocations = revocations

    async def read(self, ticket: str) -> Caller | None:
        """Return the ticket's holder, None when it is no good; MusterError TICKET_REVOKED if withdrawn."""
        try:
            holder = self._authenticator.recall(ticket) or await self._authenticator.verify(ticket)
        except MusterError as error:
            if error.reason is not Reason.TOKEN_INVALID:
                raise
            return None
        if not holder.is_ticket:
            return None
        self._revocations.check(holder)
        return holder
