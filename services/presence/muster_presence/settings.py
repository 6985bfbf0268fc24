"""What an operator can set of the presence service alone, beside the settings all services share."""

from datetime import timedelta
from typing import Final, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from muster_presence.model import Timing

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
        description="How long what a person was told stays in the inbox, such as P30D; of a person's, at least "
        "the newest 512 within that time.",
    )

    attendance_interval: timedelta = Field(
        timedelta(seconds=5),
        ge=timedelta(milliseconds=100),
        description="How often the attendance of a session that runs is looked at for changes to be kept.",
    )
    attendance_settling: timedelta = Field(
        timedelta(seconds=15),
        ge=timedelta(0),
        description="How long after the end of a session its attendance is settled: the ledger may be so late.",
    )

    @property
    def timing(self) -> Timing:
        """Return how long devices are taken to be here."""
        return Timing(
            stale_after_ms=self.stale_after // _MILLISECOND, return_grace_ms=self.return_grace // _MILLISECOND
        )

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.stale_after <= self.beat_interval:
            raise ValueError("stale_after must be longer than beat_interval")
        return self
