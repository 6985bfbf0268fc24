"""How the devices of a person make one presence."""

import pytest
from muster_presence.model import (
    Activity,
    Cause,
    Outcome,
    Profile,
    Role,
    ScopeId,
    ScopeKind,
    State,
    Step,
    Timing,
    Verb,
)

from tests.presence_person import MOST_DEVICES, Event, Person

TIMING = Timing()
ANA = Profile("Ana")


def step(verb: Verb, device_id: str = "phone", **said: object) -> Step:
    return Step(verb=verb, user_id="ana", device_id=device_id, **{"profile": ANA, **said})  # type: ignore[arg-type]


def here(*steps: Step, at: int = 1000) -> Person:
    """Someone who did all that at once."""
    person = Person(TIMING)
    for each in steps:
        person.take(each, at)
    return person


def state_of(person: Person) -> State:
    return person.shown.state if person.shown else State.OFFLINE


def test_beats_keep_someone_here_then_stale_then_gone() -> None:
    person = here(step(Verb.BEAT))
    assert state_of(person) is State.ACTIVE
    assert person.sweep(30_999) is None
    assert person.sweep(31_000) is not None
    assert state_of(person) is State.STALE
    assert person.sweep(35_999) is None
    gone = person.sweep(36_000)
    assert gone is not None
    assert (gone.after, gone.cause) == (None, Cause.VANISHED)


def test_the_best_device_counts() -> None:
    person = here(step(Verb.BEAT, is_away=True), step(Verb.BEAT, "laptop", is_away=False))
    assert state_of(person) is State.ACTIVE
    person.take(step(Verb.BEAT, "laptop", is_away=True), 2000)
    assert state_of(person) is State.AWAY


def test_a_reload_is_not_seen() -> None:
    person = here(step(Verb.HOLD, holder="w1"))
    assert person.take(step(Verb.CLOSE, holder="w1"), 2000) == (Outcome.TAKEN, None)
    assert person.sweep(6999) is None
    assert person.take(step(Verb.HOLD, holder="w2"), 6999) == (Outcome.TAKEN, None)
    assert person.sweep(7001) is None


def test_a_stream_that_closed_is_gone_after_the_grace_although_the_device_beat_before() -> None:
    person = here(step(Verb.BEAT), step(Verb.HOLD, holder="w1"))
    person.take(step(Verb.CLOSE, holder="w1"), 2000)
    gone = person.sweep(7000)
    assert gone is not None
    assert gone.after is None


def test_two_tabs_at_two_workers_are_one_device_that_goes_with_the_last() -> None:
    person = here(step(Verb.HOLD, holder="w1"), step(Verb.HOLD, holder="w2"))
    person.take(step(Verb.CLOSE, holder="w1"), 2000)
    assert person.sweep(7500) is None
    assert person.device_count == 1


def test_streams_of_a_dead_process_run_out_without_being_stale() -> None:
    person = here(step(Verb.HOLD, holder="w1"), at=0)
    assert person.sweep(TIMING.stream_lease_ms + TIMING.return_grace_ms - 1) is None
    assert person.sweep(TIMING.stream_lease_ms + TIMING.return_grace_ms) is not None


def test_a_goodbye_is_seen_at_once_and_no_late_beat_undoes_it() -> None:
    person = here(step(Verb.BEAT, sequence=5))
    outcome, event = person.take(step(Verb.LEAVE, sequence=6), 2000)
    assert outcome is Outcome.TAKEN
    assert event is not None
    assert event.cause is Cause.LEFT
    assert person.take(step(Verb.BEAT, sequence=5), 2001) == (Outcome.LATE, None)
    assert person.take(step(Verb.RENEW, holder="w1"), 2002) == (Outcome.ABSENT, None)
    assert person.take(step(Verb.BEAT, sequence=7), 2003)[1] is not None


def test_a_late_goodbye_changes_nothing() -> None:
    person = here(step(Verb.BEAT, sequence=7))
    assert person.take(step(Verb.LEAVE, sequence=6), 2000) == (Outcome.LATE, None)
    assert state_of(person) is State.ACTIVE


def test_a_goodbye_that_overtook_its_beat_still_counts() -> None:
    person = here(step(Verb.LEAVE, sequence=6))
    assert person.take(step(Verb.BEAT, sequence=5), 2000) == (Outcome.LATE, None)


def test_the_last_activity_wins_and_goes_with_its_device() -> None:
    reading = Activity("block", "b1", b"reading")
    quiz = Activity("competition", "c1", b"quiz")
    person = here(
        step(Verb.BEAT, activity=reading), step(Verb.BEAT, "laptop", activity=quiz), step(Verb.BEAT, "tv")
    )
    assert person.shown is not None
    assert person.shown.activity == quiz
    _, event = person.take(step(Verb.LEAVE, "laptop"), 2000)
    assert event is not None
    assert event.after is not None
    assert event.after.activity == reading


def test_an_activity_goes_on_since_when_it_began() -> None:
    person = here(step(Verb.BEAT, activity=Activity("exercise", "e1", b"set 1")))
    person.take(step(Verb.BEAT, "watch", activity=Activity("exercise", "e1", b"set 2")), 9000)
    assert person.shown is not None
    assert person.shown.start_ms == 1000
    person.take(step(Verb.TOUCH, "watch", activity=Activity("exercise", "e2", b"set 1")), 9500)
    assert person.shown.start_ms == 9500


def test_what_is_for_friends_alone_is_no_event() -> None:
    person = here(step(Verb.BEAT))
    secret = Activity("exercise", "e1", b"", is_shared=False)
    assert person.take(step(Verb.TOUCH, activity=secret), 2000) == (Outcome.TAKEN, None)


def test_a_lost_person_is_brought_back_by_their_stream_as_having_been_here() -> None:
    person = Person(TIMING)
    outcome, event = person.take(step(Verb.RENEW, holder="w1", enter_ms=500), 2000)
    assert outcome is Outcome.TAKEN
    assert isinstance(event, Event)
    assert person.enter_ms == 500


def test_away_is_no_activity() -> None:
    person = here(step(Verb.BEAT))
    person.take(step(Verb.BEAT, is_away=True), 5000)
    assert (person.last_activity_ms, person.last_seen_ms) == (1000, 5000)


def test_devices_are_bounded() -> None:
    person = here()
    for number in range(MOST_DEVICES + 5):
        person.take(step(Verb.BEAT, f"device {number}"), 1000 + number)
    assert len(person.devices) == MOST_DEVICES
    assert "device 0" not in person.devices


@pytest.mark.parametrize("organization_id", ["acme", "a:b", "7:acme", "{}", "é\0"])
def test_a_scope_is_known_by_its_key(organization_id: str) -> None:
    for scope in (
        ScopeId(organization_id, ScopeKind.ORGANIZATION),
        ScopeId(organization_id, ScopeKind.SESSION, "s:1:2"),
    ):
        assert ScopeId.of_key(scope.key) == scope


def test_no_two_scopes_share_a_key() -> None:
    one = ScopeId("x", ScopeKind.SESSION, "y:3")
    other = ScopeId("x:y", ScopeKind.SESSION, "3")
    assert one.key != other.key


def test_a_new_role_is_seen() -> None:
    person = here(step(Verb.BEAT))
    _, event = person.take(step(Verb.TOUCH, profile=Profile("Ana", Role.SPECTATOR)), 2000)
    assert event is not None
