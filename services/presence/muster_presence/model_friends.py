"""What two people of an organization are to each other, and how that changes; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from muster_kit.errors import MusterError, Reason, Violation


class Standing(IntEnum):
    """Where a friendship stands, as one of the two has it; numbers as in the contract."""

    REQUESTED = 1
    RECEIVED = 2
    FRIENDS = 3
    BLOCKED = 4
    NONE = 5


class Bond(StrEnum):
    """What is between two people, apart from blocks."""

    NONE = "none"
    PENDING = "pending"
    """The requester waits for an answer."""
    FRIENDS = "friends"
    DECLINED = "declined"
    """As none, but for how soon the requester may ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Friendship:
    """What someone is to another person, whose id and name these are; `note` is that of an open request.

    `change_time` is since when, None when nobody knows, as where there never was anything.
    """

    user_id: str
    display_name: str = ""
    standing: Standing = Standing.NONE
    note: str = ""
    change_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A sign from a friend; `activity` is the contract's message of what the reader was doing, or empty."""

    from_user_id: str
    from_display_name: str
    reaction: str
    activity: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two people, the smaller id first.

    A block is a veil before the eyes of who blocks: what is behind it goes on as if it were not there, so
    whoever is blocked sees nothing of it. `blocks` has since when, by who blocks.
    """

    first_id: str
    second_id: str
    bond: Bond = Bond.NONE
    requester_id: str = ""
    note: str = ""
    change_time: datetime | None = None
    blocks: Mapping[str, datetime] = field(default_factory=dict)

    def other(self, user_id: str) -> str:
        """Return the other of the two."""
        return self.second_id if user_id == self.first_id else self.first_id

    def seen_by(self, user_id: str) -> Friendship:
        """Return what the other is to one of the two; without a name."""
        other = self.other(user_id)
        if (since := self.blocks.get(user_id)) is not None:
            return Friendship(user_id=other, standing=Standing.BLOCKED, change_time=since)
        match self.bond:
            case Bond.FRIENDS:
                return Friendship(user_id=other, standing=Standing.FRIENDS, change_time=self.change_time)
            case Bond.PENDING:
                asked = self.requester_id == user_id
                standing = Standing.REQUESTED if asked else Standing.RECEIVED
                return Friendship(
                    user_id=other, standing=standing, note=self.note, change_time=self.change_time
                )
            case Bond.DECLINED | Bond.NONE:
                return Friendship(user_id=other, change_time=self.change_time)

    def asked(self, by: str, note: str, now: datetime, *, pause: timedelta) -> "Pair":
        """Return the pair after one asked the other: friends, if that one had asked.

        RATE_LIMITED within the `pause` after the other said no.
        """
        match self.seen_by(by).standing:
            case Standing.RECEIVED:
                return self._bound(Bond.FRIENDS, now)
            case Standing.NONE:
                self._require_pause(by, now, pause)
                return replace(self, bond=Bond.PENDING, requester_id=by, note=note, change_time=now)
            case _:
                return self

    def answered(self, by: str, now: datetime, *, accepts: bool) -> "Pair":
        """Return the pair after one answered the other's request; NOT_FOUND when there is none.

        To accept a friend changes nothing: both may have asked at once.
        """
        standing = self.seen_by(by).standing
        if standing is Standing.FRIENDS and accepts:
            return self
        if standing is not Standing.RECEIVED:
            raise MusterError(Reason.NOT_FOUND, detail="no request to answer")
        return self._bound(Bond.FRIENDS if accepts else Bond.DECLINED, now)

    def removed(self, by: str, now: datetime) -> "Pair":
        """Return the pair without the friendship, or without the request of who removes."""
        if self.seen_by(by).standing in (Standing.FRIENDS, Standing.REQUESTED):
            return self._bound(Bond.NONE, now)
        return self

    def blocked(self, by: str, now: datetime) -> "Pair":
        """Return the pair with a block; the request of who is blocked goes on waiting."""
        if by in self.blocks:
            return self
        return replace(self.removed(by, now), blocks={**self.blocks, by: now})

    def unblocked(self, by: str) -> "Pair":
        """Return the pair without a block."""
        return replace(
            self, blocks={user_id: since for user_id, since in self.blocks.items() if user_id != by}
        )

    def _bound(self, bond: Bond, now: datetime) -> "Pair":
        return replace(self, bond=bond, note="", change_time=now)

    def _require_pause(self, by: str, now: datetime, pause: timedelta) -> None:
        if self.bond is not Bond.DECLINED or self.requester_id != by or self.change_time is None:
            return
        left = self.change_time + pause - now
        if left > timedelta(0):
            raise MusterError(Reason.RATE_LIMITED, retry_after=left, detail="was told no of late")


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """How many friends someone has, and how many requests sent and received wait for an answer."""

    friends: int
    sent: int
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FriendLimits:
    """How much of everything one person may have."""

    friends: int
    open_requests: int
    blocks: int
    pause: timedelta
    """After a refusal, before the same may be asked by the same again."""

    def require_room(self, before: Pair, after: Pair, counts: Mapping[str, OpenCounts]) -> None:
        """Raise TOO_LARGE when one of the two would have too many friends or open requests."""
        if after.bond is before.bond:
            return
        if after.bond is Bond.FRIENDS and max(each.friends for each in counts.values()) >= self.friends:
            raise MusterError(Reason.TOO_LARGE, detail="one of them has too many friends")
        if after.bond is Bond.PENDING:
            sent = counts[after.requester_id].sent
            received = counts[after.other(after.requester_id)].received
            if max(sent, received) >= self.open_requests:
                raise MusterError(Reason.TOO_LARGE, detail="one of them has too many open requests")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many within a window that begins with the first."""

    most: int
    window: timedelta


def pair_of(one: str, other: str) -> Pair:
    """Return two people between whom there is nothing; INVALID_FIELD when they are one."""
    if one == other:
        raise MusterError(
            Reason.INVALID_FIELD, violations=[Violation("user_id", "must be somebody else than the caller")]
        )
    first_id, second_id = sorted((one, other))
    return Pair(first_id=first_id, second_id=second_id)
