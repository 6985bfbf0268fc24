"""What two people are to each other, over any order of what they do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_kit.errors import MusterError, Reason
from muster_presence.model_friends import Bond, Pair, Standing, pair_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAUSE = timedelta(days=1)

PEOPLE = ("ana", "bo")
VERBS = ("ask", "accept", "decline", "remove", "block", "unblock")

steps = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(VERBS), st.integers(min_value=0, max_value=30)),
    max_size=40,
)


def step(pair: Pair, by: str, verb: str, now: datetime) -> Pair:
    """Let one do one thing."""
    match verb:
        case "ask":
            return pair.asked(by, "hi", now, pause=PAUSE)
        case "accept" | "decline":
            return pair.answered(by, now, accepts=verb == "accept")
        case "remove":
            return pair.removed(by, now)
        case "block":
            return pair.blocked(by, now)
        case _:
            return pair.unblocked(by)


def attempt(pair: Pair, by: str, verb: str, now: datetime) -> tuple[Pair, Reason | None]:
    """Return the pair after it, and why nothing happened."""
    try:
        return step(pair, by, verb, now), None
    except MusterError as error:
        return pair, error.reason


@given(steps)
def test_the_two_never_contradict_each_other(story: list[tuple[str, str, int]]) -> None:
    pair, now = pair_of("bo", "ana"), NOW
    for by, verb, hours in story:
        now += timedelta(hours=hours)
        pair, _ = attempt(pair, by, verb, now)
        ana, bo = (pair.seen_by(person).standing for person in PEOPLE)
        # Friends are friends for both; and whoever has a request has it from one who has asked.
        assert (ana is Standing.FRIENDS) == (bo is Standing.FRIENDS)
        assert ana is not Standing.RECEIVED or bo is Standing.REQUESTED
        assert bo is not Standing.RECEIVED or ana is Standing.REQUESTED
        assert not pair.blocks or pair.bond is not Bond.FRIENDS


@given(steps)
def test_who_is_blocked_lives_in_a_world_without_the_block(story: list[tuple[str, str, int]]) -> None:
    """Ana blocks Bo. In another world, she only removes him, and then does nothing more."""
    pair = pair_of("ana", "bo")
    for by, verb, _ in story[: len(story) // 2]:
        if verb not in ("block", "unblock"):
            pair, _ = attempt(pair, by, verb, NOW)
    blocked, ignored = pair.blocked("ana", NOW), pair.removed("ana", NOW)
    now = NOW
    for _, verb, hours in story[len(story) // 2 :]:
        now += timedelta(hours=hours)
        if verb in ("block", "unblock"):
            continue
        blocked, told = attempt(blocked, "bo", verb, now)
        ignored, would_be_told = attempt(ignored, "bo", verb, now)
        # A request of hers that he might have answered went with the block, as when she takes it back.
        assert told == would_be_told
        assert blocked.seen_by("bo") == ignored.seen_by("bo")
        assert blocked.seen_by("ana").standing is Standing.BLOCKED


@given(steps)
def test_what_fails_or_has_no_effect_is_no_news(story: list[tuple[str, str, int]]) -> None:
    pair = pair_of("ana", "bo")
    for by, verb, _ in story:
        after, _ = attempt(pair, by, verb, NOW)
        again, _ = attempt(after, by, verb, NOW + timedelta(seconds=1))
        if verb != "decline":
            assert [again.seen_by(person) for person in PEOPLE] == [
                after.seen_by(person) for person in PEOPLE
            ]
        pair = after


def test_the_pause_is_for_who_was_declined_alone() -> None:
    pair = pair_of("ana", "bo").asked("ana", "", NOW, pause=PAUSE).answered("bo", NOW, accepts=False)
    with pytest.raises(MusterError) as failed:
        pair.asked("ana", "", NOW + PAUSE / 4, pause=PAUSE)
    assert (failed.value.reason, failed.value.retry_after) == (Reason.RATE_LIMITED, PAUSE * 3 / 4)
    assert pair.asked("bo", "", NOW, pause=PAUSE).seen_by("ana").standing is Standing.RECEIVED
    assert pair.asked("ana", "", NOW + PAUSE, pause=PAUSE).seen_by("bo").standing is Standing.RECEIVED


def test_nobody_makes_a_pair_alone() -> None:
    with pytest.raises(MusterError) as failed:
        pair_of("ana", "ana")
    assert failed.value.reason is Reason.INVALID_FIELD
