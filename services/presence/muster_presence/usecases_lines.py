"""How devices are kept track of on the channels of sessions, as their teachers configured them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import structlog
from muster_kit.db.group_commit import GroupCommit
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model import ScopeId, ScopeKind
from muster_presence.model_channels import MAIN, USUAL, Line

_KEPT_SECONDS: Final = 5.0
_MOST_KEPT: Final = 4096
_SCOPES_A_READ: Final = 256

_WAIT_SECONDS: Final = 0.5
"""Being here does not depend on PostgreSQL: nobody waits longer to be told how."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChannelLine:
    """A channel's line, and whether students are told of the channel."""

    line: Line
    hidden_from_students: bool


ChannelLines: TypeAlias = Mapping[str, ChannelLine]
"""The lines of a session's configured channels, by name."""


class LineStore(Protocol):
    """Where the configurations of channels are."""

    async def lines(
        self, organization_id: str, scopes: Sequence[ScopeId], /
    ) -> Mapping[ScopeId, ChannelLines]:
        """Return those of sessions of one organization; MusterError UNAVAILABLE."""
        ...


class Lines:
    """The lines of sessions whose devices are heard here; a change of one counts within some seconds.

    While PostgreSQL is away what is known of a session counts, and of others what the deployment has.
    """

    def __init__(
        self,
        store: LineStore,
        *,
        now: Callable[[], float] = time.monotonic,
        kept_seconds: float = _KEPT_SECONDS,
        most_kept: int = _MOST_KEPT,
    ) -> None:
        """`now` counts seconds; of `most_kept` sessions what is known is kept."""
        self._store = store
        self._now = now
        self._kept_seconds = kept_seconds
        self._most_kept = most_kept
        self._known: dict[ScopeId, tuple[float, ChannelLines]] = {}
        self._reads: GroupCommit[ScopeId, ChannelLines] = GroupCommit(self._read, max_items=_SCOPES_A_READ)
        self._away_until = float("-inf")

    async def find(self, scope: ScopeId, channel: str, *, sees_hidden: bool, field: str) -> Line:
        """Return the line of a device on a channel, the main one without a name.

        MusterError(INVALID_FIELD) about `field` for a channel that there is not, as far as the caller knows.
        """
        if scope.kind is not ScopeKind.SESSION:
            if channel:
                raise _refused(field, "is for sessions")
            return USUAL
        lines = await self.known(scope)
        if lines is None:
            return USUAL
        found = lines.get(channel or MAIN)
        if channel not in ("", MAIN) and (found is None or (found.hidden_from_students and not sees_hidden)):
            raise _refused(field, "is no channel of the session")
        return found.line if found is not None else USUAL

    async def known(self, scope: ScopeId) -> ChannelLines | None:
        """Return the lines of a session, None while nobody knows."""
        now = self._now()
        until, lines = self._known.get(scope, (now, None))
        if now < until or now < self._away_until:
            return lines
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                read = await self._reads.submit(scope)
        except (TimeoutError, MusterError) as error:
            if now >= self._away_until:
                _log.warning("channels_not_read", error=str(error))
            self._away_until = self._now() + self._kept_seconds
            return lines
        # The last to be read stand last.
        self._known.pop(scope, None)
        self._known[scope] = now + self._kept_seconds, read
        while len(self._known) > self._most_kept:
            del self._known[next(iter(self._known))]
        return read

    async def close(self) -> None:
        """Finish what is being read."""
        await self._reads.close()

    async def _read(self, scopes: Sequence[ScopeId]) -> Sequence[ChannelLines]:
        by_organization: defaultdict[str, set[ScopeId]] = defaultdict(set)
        for scope in scopes:
            by_organization[scope.organization_id].add(scope)
        found: dict[ScopeId, ChannelLines] = {}
        for organization_id, wanted in by_organization.items():
            found.update(await self._store.lines(organization_id, list(wanted)))
        return [found.get(scope, {}) for scope in scopes]


def _refused(field: str, rule: str) -> MusterError:
    return MusterError(Reason.INVALID_FIELD, violations=[Violation(field, rule)])
