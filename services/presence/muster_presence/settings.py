"""What an operator can set of the presence service alone, beside the settings all services share."""

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from muster_presence.model import Timing
from muster_presence.model_channels import Times
from muster_presence.model_friends import FriendLimits, Rate
from muster_presence.usecases_reactions import ReactionRules

_MILLISECOND: Final = timedelta(milliseconds=1)


class PresenceServiceSettings(BaseSettings):
    """Read from `MUSTER_PRESENCE_…` environment variables, once at start."""

    model_config = SettingsConfigDict(
        env_prefix="MUSTER_PRESENCE_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    beat_interval: timedelta = Field(
        timedelta(seconds=15),
        ge=timedelta(seconds=1),
        description="How often clients that hold no stream are asked to beat, such as PT15S.",
    )
    stale_after: timedelta = Field(
        timedelta(seconds=30),
        description="A device without a stream is stale so long after its last beat; more than the interval.",
    )
    return_grace: timedelta = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        description="How long a stream that broke, or a device that is stale, may take to come back before "
        "others see that it is gone.",
    )

    inbox_kept: timedelta = Field(
        timedelta(days=30),
        ge=timedelta(days=1),
        description="How long what a person was told, in the inbox and of friends, is kept, such as P30D; of "
        "each at least the newest 512 within that time.",
    )

    attendance_interval: timedelta = Field(
        timedelta(seconds=5),
        ge=timedelta(milliseconds=100),
        description="How often the attendance of a session that runs is looked at for changes to be kept, at "
        "most; less often while it is quiet.",
    )
    attendance_roster_interval: timedelta = Field(
        timedelta(seconds=30),
        ge=timedelta(milliseconds=100),
        description="How often the session service is asked who is expected in a session that runs.",
    )
    attendance_settling: timedelta = Field(
        timedelta(seconds=45),
        ge=timedelta(0),
        description="How long after its end a session's attendance is settled: longer than `STALE_AFTER` and "
        "`RETURN_GRACE` together, so that it is known who vanished before the end.",
    )

    max_friends: int = Field(500, ge=1, le=10_000, description="Most friends of one person.")
    max_open_friend_requests: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Most friend requests of one person that wait for an answer, and most "
        "that wait for an answer of theirs.",
    )
    max_blocks: int = Field(1000, ge=1, le=10_000, description="Most people whom one person blocks.")
    friend_requests_per_hour: int = Field(
        60, ge=1, description="Friend requests that a person may send in an hour."
    )
    friend_request_pause: timedelta = Field(
        timedelta(days=1),
        ge=timedelta(0),
        description="How long after a refusal the same person may be asked again by the same, such as P1D.",
    )
    quick_reactions: tuple[Annotated[str, Field(min_length=1, max_length=32)], ...] = Field(
        ("👍", "👏", "💪", "🔥", "🎉", "😂", "😮", "❤️"),
        min_length=1,
        max_length=256,
        description='The quick reactions there are, of at most 32 characters each, such as ["wow","gg"].',
    )
    reactions_to_a_friend_per_minute: int = Field(
        10, ge=1, description="Quick reactions that a person may send to one friend in a minute."
    )
    reactions_per_minute: int = Field(
        60, ge=1, description="Quick reactions that a person may send in a minute."
    )

    @property
    def friend_limits(self) -> FriendLimits:
        """Return how much of everything one person may have."""
        return FriendLimits(
            friends=self.max_friends,
            open_requests=self.max_open_friend_requests,
            blocks=self.max_blocks,
            pause=self.friend_request_pause,
        )

    @property
    def friend_request_rate(self) -> Rate:
        """Return how often somebody may ask."""
        return Rate(self.friend_requests_per_hour, timedelta(hours=1))

    @property
    def reaction_rules(self) -> ReactionRules:
        """Return which reactions there are, and how often somebody may send one."""
        return ReactionRules(
            reactions=frozenset(self.quick_reactions),
            to_one=Rate(self.reactions_to_a_friend_per_minute, timedelta(minutes=1)),
            to_all=Rate(self.reactions_per_minute, timedelta(minutes=1)),
        )

    @property
    def timing(self) -> Timing:
        """Return how long devices are taken to be here."""
        return Timing(
            stale_after_ms=self.stale_after // _MILLISECOND, return_grace_ms=self.return_grace // _MILLISECOND
        )

    @property
    def times(self) -> Times:
        """Return the same as times, with how often devices beat."""
        return Times(self.beat_interval, self.stale_after, self.return_grace)

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.stale_after <= self.beat_interval:
            raise ValueError("stale_after must be longer than beat_interval")
        return self
