"""What an operator can set of the scoring service alone, beside the settings all services share."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingBounds:
    """The most that is left out of the time of an answer."""

    delivery_delay: timedelta
    network_credit: timedelta


class ScoringServiceSettings(BaseSettings):
    """Read from `MUSTER_SCORING_…` environment variables, once at start."""

    model_config = SettingsConfigDict(
        env_prefix="MUSTER_SCORING_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    max_network_credit: timedelta = Field(
        timedelta(seconds=1),
        ge=timedelta(0),
        description="Most that the way through the network can take off the time of an answer, such as PT1S; "
        "0 for no credit. It is also the most that a client can gain by lying.",
    )
    max_delivery_delay: timedelta = Field(
        timedelta(seconds=1),
        ge=timedelta(0),
        description="Latest moment after the opening at which the time of an answer begins, for whoever was "
        "shown the question late; 0: with the opening, for all.",
    )

    @property
    def bounds(self) -> TimingBounds:
        """Return the bounds of what is left out of the time of an answer."""
        return TimingBounds(delivery_delay=self.max_delivery_delay, network_credit=self.max_network_credit)
