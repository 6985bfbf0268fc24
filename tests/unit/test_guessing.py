"""Guessing: who is let through, who has to wait, and that a day of it finds nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from muster_session.guessing import FEW, Count, Guesser, Tally, network_of
from muster_session.join_codes import ALPHABET, code_length
from muster_session.settings import GuessLimits, SessionServiceSettings

LIMITS = GuessLimits(per_user=5, per_address=20, per_minute=50, window=timedelta(minutes=10))
NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
ANA = Guesser("ana", "192.0.2.1")


def tally(counts: Mapping[str, int], *, now: datetime = NOW, counted: datetime = NOW) -> Tally:
    """Return a tally, at `now`, of guesses made at `counted`."""
    known = {}
    for subject, failures in counts.items():
        minutes = 1 if subject == "organization" else 10
        start = counted.replace(minute=counted.minute - counted.minute % minutes, second=0)
        known[subject] = Count(start, failures)
    return Tally(LIMITS, now, known)


def test_who_guessed_too_often_waits_for_the_next_window() -> None:
    spent = tally({"user:ana": 5})
    assert spent.wait(ANA, holds_seat=False) == timedelta(minutes=9, seconds=30)
    assert spent.wait(ANA, holds_seat=True) == timedelta(minutes=9, seconds=30)
    assert spent.wait(Guesser("ben", ANA.network), holds_seat=False) is None
    later = tally({"user:ana": 5}, now=NOW + timedelta(minutes=10))
    assert later.wait(ANA, holds_seat=False) is None


def test_guesses_count_for_the_user_the_address_and_all() -> None:
    counting = tally({"user:ana": 1, "organization": 7})
    counting.count(ANA)
    counting.count(Guesser("ben", ANA.network))
    assert {subject: count.failures for subject, count in counting.changes.items()} == {
        "user:ana": 2,
        "user:ben": 1,
        "address:192.0.2.1": 2,
        "organization": 9,
    }


def test_a_new_window_begins_at_one() -> None:
    counting = tally({"user:ana": 5, "organization": 50}, now=NOW + timedelta(minutes=10))
    counting.count(ANA)
    assert {count.failures for count in counting.changes.values()} == {1}


def test_a_guess_that_was_right_is_forgiven_in_the_windows_it_counted_in() -> None:
    made, now = NOW, NOW + timedelta(minutes=1)
    forgiving = tally({"user:ana": 3, "address:192.0.2.1": 3, "organization": 3}, now=now, counted=now)
    forgiving.forgive(ANA, made)
    assert {subject: count.failures for subject, count in forgiving.changes.items()} == {
        "user:ana": 2,
        "address:192.0.2.1": 2,
    }


@pytest.mark.parametrize("own", range(FEW + 1))
def test_who_mistyped_is_not_kept_out_by_others_at_their_address(own: int) -> None:
    shared = tally({"user:ana": own, "address:192.0.2.1": 20})
    assert (shared.wait(ANA, holds_seat=False) is None) == (own < FEW)
    assert shared.wait(ANA, holds_seat=True) is None


def test_the_limit_of_all_is_for_everybody_without_a_seat() -> None:
    spent = tally({"organization": 50})
    assert spent.wait(ANA, holds_seat=False) == timedelta(seconds=30)
    assert spent.wait(ANA, holds_seat=True) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_an_address_is_counted_by_what_one_site_is_given(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize("live_codes", [0, 1_000, 100_000])
def test_a_walker_with_a_thousand_addresses_and_any_number_of_users_finds_less_than_one_code_a_day(
    live_codes: int,
) -> None:
    limits = SessionServiceSettings().guess_limits
    length = code_length(live_codes, limits.per_day)
    evaluated = sum(_evaluated(limits, minute) for minute in (0, 1))
    assert evaluated == 2 * limits.per_minute
    a_day = evaluated // 2 * (24 * 60 + 1)
    assert a_day == limits.per_day
    assert (live_codes + 1) * a_day / len(ALPHABET) ** length < 1


def _evaluated(limits: GuessLimits, minute: int) -> int:
    """Return how many guesses of a minute are judged, each by a user who never guessed before."""
    walking = Tally(limits, NOW + timedelta(minutes=minute), {})
    walkers = [Guesser(f"user-{minute}-{n}", f"192.0.{n % 1000 // 250}.{n % 250}") for n in range(3_000)]
    judged = 0
    for walker in walkers:
        if walking.wait(walker, holds_seat=False) is None:
            walking.count(walker)
            judged += 1
    return judged
