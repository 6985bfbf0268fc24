"""What telling people things needs of its store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from muster_presence.model_inbox import ItemKind, Notice


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """What waits in an inbox; `payload` is the notice in its contract's bytes."""

    kind: ItemKind
    payload: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in an inbox as of event `seq`: of each kind the newest, newest first."""

    seq: int = 0
    items: Sequence[WaitingItem] = ()


class Inboxes(Protocol):
    """The inboxes of one organization, in a running transaction."""

    async def put(self, told: Mapping[str, Notice], /) -> int:
        """Put notices into people's inboxes, by user; return into how many.

        Who was erased has none; who knows the same or something later is not told, nor who blocks the one
        that invites. It becomes known with the commit. Whoever puts several times in one transaction may meet
        others who do in a circle, of whom one has to begin anew.
        """
        ...


class InboxReader(Protocol):
    """Inboxes as they are read."""

    async def waiting(self, organization_id: str, room_id: str, /) -> Waiting:
        """Return what waits in an inbox; MusterError UNAVAILABLE while the store is away."""
        ...
