"""Which guesses at codes and keys are let through: counting, without a store and without a clock."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from muster_session.settings import GuessLimits

FEW: Final = 3
"""Who made fewer wrong guesses than this mistyped; what others did from their address is not held
against them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_EVERYBODY: Final = "organization"
_IPV6_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Guesser:
    """Who guesses, and from where."""

    user_id: str
    network: str

    @property
    def subjects(self) -> Sequence[str]:
        """The names of the counters that a wrong guess of theirs adds to."""
        return (f"user:{self.user_id}", f"address:{self.network}", _EVERYBODY)


@dataclass(frozen=True, slots=True)
class Count:
    """The wrong guesses of a window."""

    window_start: datetime
    failures: int


class Tally:
    """The wrong guesses in an organization, as of now, for guesses that are judged one by one."""

    def __init__(self, limits: GuessLimits, now: datetime, counts: Mapping[str, Count]) -> None:
        self.now = now
        self._limits = limits
        self._counts = counts
        self.changes: dict[str, Count] = {}

    def wait(self, guesser: Guesser, *, holds_seat: bool) -> timedelta | None:
        """Return how long the guesser has to wait; None when they may guess.

        Who holds a seat in the session whose code they give learns nothing from coming back, and is
        refused only for wrong guesses of their own.
        """
        own, from_address, of_all = (self._failures(subject) for subject in guesser.subjects)
        limits = self._limits
        spent = []
        if own >= limits.per_user:
            spent.append(limits.window)
        if from_address >= limits.per_address and own >= FEW and not holds_seat:
            spent.append(limits.window)
        if of_all >= limits.per_minute and not holds_seat:
            spent.append(_MINUTE)
        return max((self._start(window) + window - self.now for window in spent), default=None)

    def count(self, guesser: Guesser) -> None:
        """Count a wrong guess."""
        for subject in guesser.subjects:
            start = self._start(self._window(subject))
            self.changes[subject] = Count(start, self._failures(subject) + 1)

    def forgive(self, guesser: Guesser, guess_time: datetime) -> None:
        """Count a guess made at that time no more; windows that are over stay as they are."""
        for subject in guesser.subjects:
            start, failures = self._start(self._window(subject)), self._failures(subject)
            if failures and start <= guess_time:
                self.changes[subject] = Count(start, failures - 1)

    def _failures(self, subject: str) -> int:
        count = self.changes.get(subject) or self._counts.get(subject)
        if count is None or count.window_start < self._start(self._window(subject)):
            return 0
        return count.failures

    def _window(self, subject: str) -> timedelta:
        return _MINUTE if subject == _EVERYBODY else self._limits.window

    def _start(self, window: timedelta) -> datetime:
        return self.now - (self.now - _EPOCH) % window


def network_of(address: str) -> str:
    """Return what of an address is counted: all of an IPv4 one, of an IPv6 one what one site is given.

    Whoever has IPv6 has at least 2^64 addresses to come from.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
