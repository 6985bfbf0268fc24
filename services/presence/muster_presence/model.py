"""The words of presence: places, and what a device says in one."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from muster_kit.records import record

from muster_presence.model_channels import Line


class ScopeKind(IntEnum):
    """What kind of place a scope is; numbers as in the contract, here as below."""

    ORGANIZATION = 1
    SESSION = 2
    WORKOUT = 3


class Role(IntEnum):
    """What someone is in a scope."""

    PARTICIPANT = 1
    SPECTATOR = 2
    STAFF = 3


class State(IntEnum):
    """How present someone is, over all their devices; the best counts, which is the smallest."""

    ACTIVE = 1
    AWAY = 2
    STALE = 3
    OFFLINE = 4


class Cause(IntEnum):
    """Why someone is not here any more."""

    LEFT = 1
    VANISHED = 2
    REMOVED = 3
    SCOPE_ENDED = 4


class Verb(StrEnum):
    """What a device does in a scope."""

    BEAT = "beat"
    """Is here for `stale_after`."""
    TOUCH = "touch"
    """The same, if it is here already."""
    HOLD = "hold"
    """Has opened a stream, which a process holds."""
    RENEW = "renew"
    """The process still holds it; brings back a device that the index has lost, but none that has left.

    Of one that the index knows it changes nothing but the lease.
    """
    CLOSE = "close"
    """The last stream that the process held has ended without a goodbye."""
    LEAVE = "leave"
    """Says goodbye."""
    CALL = "call"
    """Has called a service: whoever is here has done something, on a device that nobody named."""


class Outcome(IntEnum):
    """What became of a step."""

    TAKEN = 0
    LATE = 1
    """The device has said something newer."""
    ABSENT = 2
    """The device is not here, or not held by this process."""


@record
class ScopeId:
    """A place of one organization; `scope_id` is empty for the organization itself."""

    organization_id: str
    kind: ScopeKind
    scope_id: str = ""

    @property
    def key(self) -> str:
        """One text for each scope; no two scopes share one, whatever characters ids are made of."""
        return f"{self.kind.value}:{len(self.organization_id)}:{self.organization_id}:{self.scope_id}"

    @classmethod
    def of_key(cls, key: str) -> "ScopeId":
        """Return the scope of a key; ValueError when it is none."""
        kind, size, rest = key.split(":", 2)
        end = int(size)
        if rest[end : end + 1] != ":":
            raise ValueError(f"not the key of a scope: {key}")
        return cls(rest[:end], ScopeKind(int(kind)), rest[end + 1 :])


@record
class Profile:
    """What someone is in a scope; an empty name stands for the last one."""

    display_name: str
    role: Role = Role.PARTICIPANT
    participant_id: str = ""


@record
class Activity:
    """What someone is doing; `packed` is the contract's message, without the time since when.

    One that is not shared is for friends alone; one that is shared is also for friends elsewhere if it is
    `for_friends`.
    """

    kind: str = ""
    target_id: str = ""
    packed: bytes = b""
    is_shared: bool = True
    for_friends: bool = False

    @property
    def key(self) -> str:
        """What it is the same activity by: no kind holds a NUL."""
        return f"{self.kind}\0{self.target_id}"


@record(kw_only=True)
class Step:
    """One thing that one device does in a scope.

    `sequence` 0 is for the order of arrival. Without a `profile` it is as before. `keeps_activity` leaves
    what the device does as it was; else no `activity` is nothing in particular. `holder` is the process
    of a stream, and `enter_ms` since when it knows the person to be here, 0 for not at all. One `of_service`
    is of a device that nobody but a service knows. Without a `line` the device is kept track of as before.
    With `wants_presence` the result holds the person's, else with `wants_line` the key of the device's line.
    """

    verb: Verb
    user_id: str
    device_id: str
    sequence: int = 0
    is_away: bool = False
    profile: Profile | None = None
    activity: Activity | None = None
    keeps_activity: bool = False
    holder: str = ""
    enter_ms: int = 0
    cause: Cause = Cause.LEFT
    of_service: bool = False
    line: Line | None = None
    wants_presence: bool = False
    wants_line: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a device is taken to be here, in milliseconds."""

    stale_after_ms: int = 30_000
    """Without a stream, this long after its last beat it is stale; it is gone `return_grace_ms` later."""

    return_grace_ms: int = 5_000
    """A stream that broke is not seen by others for so long, in which the client may come back."""

    stream_lease_ms: int = 15_000
    """A process that does not renew its streams for so long is dead."""

    memory_ms: int = 60_000
    """A device that has left is remembered for so long, so that late calls do not bring it back."""
