"""What friendships need of their store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_presence.model_friends import Friendship, OpenCounts, Pair, Rate, Reaction, Standing


@dataclass(frozen=True, slots=True)
class FriendFilter:
    """Whom a list is about; `user_ids` None for all."""

    standings: frozenset[Standing]
    user_ids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ListedFriendship:
    """A friendship in a list, and the key by which it stands there."""

    friendship: Friendship
    sort_name: str


class Friends(Protocol):
    """Friendships of one organization within a running transaction.

    What is told becomes known with the commit, in the order of the transactions that name the same people.
    """

    @property
    def organization_id(self) -> str:
        """Whose they are."""
        ...

    @property
    def now(self) -> datetime:
        """The time of the transaction."""
        ...

    async def lock(self, pair: Pair, /) -> Pair:
        """Return what there is between two people, whom nobody else reads here or changes until the end."""
        ...

    async def save(self, before: Pair, after: Pair, /) -> None:
        """Write what is between two people who are locked."""
        ...

    async def keep_name(self, user_id: str, display_name: str, /) -> None:
        """Remember by which name someone goes; an empty one changes nothing."""
        ...

    async def names(self, user_ids: Sequence[str], /) -> Mapping[str, str]:
        """Return by which names people go, as far as they are known."""
        ...

    async def counts(self, user_ids: Sequence[str], /) -> Mapping[str, OpenCounts]:
        """Return what people have; requests from who is blocked do not count as received."""
        ...

    async def block_count(self, user_id: str, /) -> int:
        """Return how many people someone blocks."""
        ...

    async def spend(self, user_id: str, subject: str, rate: Rate, /) -> None:
        """Count something that a locked person does; RATE_LIMITED when it is too much."""
        ...

    async def tell(self, told: Sequence[tuple[str, Friendship | Reaction]], /) -> None:
        """Tell people of a change or a sign, each as they have it, at most once each."""
        ...


class FriendDirectory(Protocol):
    """Friendships as they are read. All methods raise MusterError UNAVAILABLE while the store is away."""

    async def list_friends(
        self,
        organization_id: str,
        user_id: str,
        wanted: FriendFilter,
        /,
        *,
        after: tuple[str, str] | None,
        limit: int,
    ) -> Sequence[ListedFriendship]:
        """Return friendships by sort name and id, from behind `after` on."""
        ...

    async def snapshot(self, organization_id: str, user_id: str, /) -> tuple[int, Sequence[Friendship]]:
        """Return friends and open requests by name at one moment of the person's log, and its seq then.

        At most 1,000, as the contract has it.
        """
        ...

    async def begin(self, organization_id: str, user_id: str, display_name: str, /) -> None:
        """Let the person have a log, unless they do, and remember by which name they go."""
        ...

    async def friend_ids(
        self, organization_id: str, user_ids: Sequence[str], /
    ) -> Mapping[str, frozenset[str]]:
        """Return who is friends with each of these people."""
        ...
