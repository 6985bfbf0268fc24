"""Sealed deliveries: what comes back is what was sealed, for whom it was sealed, or nothing."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_kit.delivery import Addressee, Delivery, DeliverySeal
from muster_kit.settings import Settings

SECRET = "a secret of the tests that is long enough"
SEAL = DeliverySeal(SECRET)
ANN = Addressee("session", "ann", "round")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TRIPS = st.none() | st.timedeltas(timedelta(), timedelta(hours=1))
IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=64)
ADDRESSEES = st.builds(Addressee, IDS, IDS, IDS)


@given(ADDRESSEES, TIMES, TRIPS)
def test_what_was_sealed_is_read(to: Addressee, time: datetime, trip: timedelta | None) -> None:
    sealed = SEAL.seal(to, Delivery(time, trip))
    assert len(sealed) == 28
    assert SEAL.read(to, sealed) == Delivery(time, trip)


@given(ADDRESSEES, ADDRESSEES)
def test_it_means_nothing_for_anybody_else(one: Addressee, other: Addressee) -> None:
    assert (SEAL.read(other, SEAL.seal(one, Delivery(NOON))) is None) == (one != other)


@pytest.mark.parametrize(
    "other",
    [
        replace(ANN, session_id="another"),
        replace(ANN, participant_id="ben"),
        replace(ANN, round_id="another"),
        # Moved from one id to the next.
        Addressee("sessiona", "nn", "round"),
        Addressee("session", "annr", "ound"),
    ],
)
def test_each_part_of_the_address_counts(other: Addressee) -> None:
    assert SEAL.read(other, SEAL.seal(ANN, Delivery(NOON))) is None


@given(st.integers(0, 27), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, change: int) -> None:
    sealed = bytearray(SEAL.seal(ANN, Delivery(NOON, timedelta(milliseconds=20))))
    sealed[place] ^= change
    assert SEAL.read(ANN, bytes(sealed)) is None


@given(st.binary(max_size=64))
def test_nonsense_is_nothing(data: bytes) -> None:
    assert SEAL.read(ANN, data) is None


def test_no_length_but_its_own_is_read() -> None:
    sealed = SEAL.seal(ANN, Delivery(NOON))
    assert SEAL.read(ANN, sealed[:-1]) is None
    assert SEAL.read(ANN, sealed + b"\0") is None


def test_round_trips_longer_than_can_be_kept_stay_measured() -> None:
    read = SEAL.read(ANN, SEAL.seal(ANN, Delivery(NOON, timedelta(days=1))))
    assert read is not None
    assert read.round_trip is not None
    assert read.round_trip > timedelta(hours=1)


def test_services_that_share_the_secret_read_each_others_seals() -> None:
    settings = Settings(service_token_secret=SECRET)
    sealed = DeliverySeal.from_settings(settings).seal(ANN, Delivery(NOON))
    assert DeliverySeal.from_settings(settings).read(ANN, sealed) == Delivery(NOON)
    assert DeliverySeal(SECRET + "!").read(ANN, sealed) is None


def test_without_a_secret_nobody_else_can_seal() -> None:
    first, second = (DeliverySeal.from_settings(Settings()) for _ in range(2))
    sealed = first.seal(ANN, Delivery(NOON))
    assert first.read(ANN, sealed) == Delivery(NOON)
    assert second.read(ANN, sealed) is None


def test_the_bytes_hold_no_secret_and_no_key() -> None:
    sealed = SEAL.seal(ANN, Delivery(NOON))
    for hidden in (SECRET.encode(), SEAL._key, SEAL._key[:16]):
        assert hidden not in sealed
        assert base64.b64encode(hidden) not in base64.b64encode(sealed)
