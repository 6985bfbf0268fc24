"""Decide whether a call is let in: who calls, and whether the method's rule allows it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from muster_kit.caller import PUBLIC, Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.auth import Authenticator
from muster_kit.rpc.call import Context
from muster_kit.rpc.open_calls import OpenCalls
from muster_kit.rpc.policy import Rule
from muster_kit.rpc.revocations import Revocations
from muster_kit.rpc.sightings import Sightings

_DRAINING_RETRY: Final = timedelta(milliseconds=100)


class Admission:
    """The door every call passes, before its request is even parsed."""

    def __init__(
        self,
        authenticator: Authenticator,
        revocations: Revocations | None,
        open_calls: OpenCalls,
        sightings: Sightings | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._revocations = revocations
        self._open_calls = open_calls
        self._sightings = sightings

    async def admit(self, rule: Rule, context: Context) -> Caller:
        """Return the caller; raises MusterError when the call is not let in."""
        if rule.ignores_tokens:
            return PUBLIC
        if self._open_calls.draining:
            raise MusterError(Reason.DRAINING, retry_after=_DRAINING_RETRY)
        token = bearer_token(context.invocation_metadata())
        caller = PUBLIC
        if token is not None:
            caller = self._authenticator.recall(token) or await self._authenticator.verify(token)
            # After the wait for a key, if there was one: from here to the servicer nothing waits.
            if caller.is_ticket and self._revocations is not None:
                self._revocations.check(caller)
        if not rule.allows(caller):
            raise MusterError(Reason.PERMISSION_DENIED if token else Reason.TOKEN_INVALID)
        if self._sightings is not None and not rule.tells_presence:
            self._sightings.note(caller)
        return caller


def bearer_token(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """Return the token in `authorization: Bearer …`; None without the header."""
    for key, value in metadata:
        if key == "authorization":
            scheme, _, token = str(value).partition(" ")
            if scheme.lower() != "bearer":
                raise MusterError(Reason.TOKEN_INVALID, detail="not a bearer token")
            return token.strip()
    return None
