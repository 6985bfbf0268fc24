"""What an operator can set of the session service alone, beside the settings all services share."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """How many wrong codes and keys are too many: a user's and an address's in a window, all in a minute."""

    per_user: int
    per_address: int
    per_minute: int
    window: timedelta

    @property
    def per_day(self) -> int:
        """Return the most wrong guesses one organization's callers have in any 24 hours."""
        # That many touch one minute more than they hold.
        return self.per_minute * (24 * 60 + 1)


class SessionServiceSettings(BaseSettings):
    """Read from `MUSTER_SESSION_…` environment variables, once at start."""

    model_config = SettingsConfigDict(
        env_prefix="MUSTER_SESSION_", env_ignore_empty=True, frozen=True, extra="forbid"
    )

    max_participants: int = Field(
        1000, ge=1, le=100_000, description="Most participants of one session; hosts may set less."
    )
    guesses_per_user: int = Field(
        10, ge=1, description="Wrong join codes or keys a user may try in a window before having to wait."
    )
    guesses_per_address: int = Field(
        600,
        ge=1,
        description="Wrong join codes or keys that may come from an IP address, or an IPv6 network of 64 "
        "bits, in a window; then those who made several themselves have to wait.",
    )
    guesses_per_minute: int = Field(
        600, ge=1, description="Wrong join codes or keys that may come from an organization in a minute."
    )
    guess_window: timedelta = Field(
        timedelta(minutes=10), gt=timedelta(0), description="The window of the first two, such as PT10M."
    )

    @property
    def guess_limits(self) -> GuessLimits:
        """Return the limits on guessing."""
        return GuessLimits(
            self.guesses_per_user, self.guesses_per_address, self.guesses_per_minute, self.guess_window
        )
