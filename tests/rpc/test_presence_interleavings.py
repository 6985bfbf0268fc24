"""Whatever devices do, in any order: the index shows what the model says, and tells it in legal order."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from muster.presence.v1.presence_pb2 import Activity as ActivityMessage
from muster.presence.v1.presence_pb2 import Presence, ScopeEvent
from muster_kit.errors import MusterError
from muster_kit.redis_client import open_redis
from muster_presence.model import Activity, Cause, Profile, Role, ScopeId, ScopeKind, Step, Timing, Verb
from muster_presence.model_channels import USUAL, Line
from muster_presence.scope_keys import room_of
from muster_presence.scope_log import RedisScopeLog
from muster_presence.store import Interval, Spot
from muster_presence.store_redis import RedisPresence

from tests.conftest import TestStores
from tests.presence_person import Person, Shown

TIMING = Timing()
# Ahead of what services take for the past.
START = datetime(2100, 1, 1, tzinfo=UTC)

USERS = st.sampled_from(["ana", "ana", "bo"])
DEVICES = st.sampled_from(["phone", "phone", "laptop", "tv"])
HOLDERS = st.sampled_from(["w1", "w1", "w2"])
SEQUENCES = st.sampled_from([0, 0, 0, 1, 2, 3])
PROFILES = st.none() | st.builds(
    Profile, st.sampled_from(["", "Ana"]), st.sampled_from(Role), st.sampled_from(["", "seat"])
)


def _activity(kind: str, title: str, is_shared: bool) -> Activity:
    return Activity(kind, "x", ActivityMessage(kind=kind, title=title).SerializeToString(), is_shared)


ACTIVITIES = st.none() | st.builds(_activity, st.sampled_from("ab"), st.sampled_from("pq"), st.booleans())
# With times of their own, also none at all to return in.
LINES = st.sampled_from(
    [
        None,
        USUAL,
        Line("projector"),
        Line("remote", stale_after=timedelta(seconds=10), return_grace=timedelta(seconds=2)),
        Line("main", stale_after=timedelta(seconds=60), return_grace=timedelta(0)),
    ]
)
STEPS = st.builds(
    Step,
    verb=st.sampled_from(Verb),
    user_id=USERS,
    device_id=DEVICES,
    sequence=SEQUENCES,
    is_away=st.booleans(),
    profile=PROFILES,
    activity=ACTIVITIES,
    keeps_activity=st.booleans(),
    holder=HOLDERS,
    enter_ms=st.just(0) | st.just(int(START.timestamp() * 1000) - 5),
    cause=st.sampled_from([Cause.LEFT, Cause.REMOVED]),
    line=LINES,
)


class FakeClock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


class Interleavings(RuleBasedStateMachine):
    """Two people with three devices each, at two processes."""

    redis_url = ""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.redis = open_redis(self.redis_url)
        self.facts: list[Interval] = []
        self.index = RedisPresence(self.redis, self.clock, TIMING, note=self.note)
        self.log = RedisScopeLog(self.redis, self.clock, TIMING)
        self.scope = ScopeId(uuid.uuid4().hex, ScopeKind.SESSION, "s")
        self.people: dict[str, Person] = {}

    def note(self, scope: ScopeId, intervals: Sequence[Interval]) -> None:
        # A sweep is of all scopes, those of other examples too.
        if scope == self.scope:
            self.facts.extend(intervals)

    @property
    def now_ms(self) -> int:
        return int(self.clock.time.timestamp() * 1000)

    @rule(steps=st.lists(STEPS, min_size=1, max_size=6))
    def do(self, steps: list[Step]) -> None:
        taken = self.runner.run(self.index.change({self.scope: steps}))[self.scope]
        assert not isinstance(taken, MusterError)
        for step, (outcome, _, _) in zip(steps, taken, strict=True):
            person = self.people.setdefault(step.user_id, Person(TIMING))
            assert person.take(step, self.now_ms)[0] is outcome, step
            self.forget_gone()
        self.compare()

    @rule(user_id=USERS, device_id=DEVICES, holder=HOLDERS)
    def renew(self, user_id: str, device_id: str, holder: str) -> None:
        lost = self.runner.run(self.index.renew(holder, {self.scope: [(user_id, device_id)]}))
        person = self.people.get(user_id)
        is_held = person is not None and person.renew(device_id, holder, self.now_ms)
        assert lost == ([] if is_held else [Spot(self.scope, user_id, device_id)])
        self.compare()

    @rule(seconds=st.sampled_from([1, 4, 5, 6, 15, 20, 30, 36, 61]), is_swept=st.booleans())
    def wait(self, seconds: int, is_swept: bool) -> None:
        self.clock.time += timedelta(seconds=seconds)
        if is_swept:
            self.sweep()

    def sweep(self) -> None:
        while not self.runner.run(self.index.sweep(most_scopes=100)):
            pass
        for person in self.people.values():
            person.sweep(self.now_ms)
        self.forget_gone()
        self.compare()

    def forget_gone(self) -> None:
        # Who is gone with all devices is forgotten, their last name too.
        self.people = {user_id: person for user_id, person in self.people.items() if person.devices}

    def compare(self) -> None:
        for user_id, person in list(self.people.items()):
            if not person.devices:
                del self.people[user_id]
        expected = {user_id: person for user_id, person in self.people.items() if person.shown}
        found = {one.user_id: one for one in self.listed(with_staff=True)}
        assert found.keys() == expected.keys()
        for user_id, person in expected.items():
            assert person.shown is not None
            assert _shown(found[user_id]) == _message(person.shown)
            assert found[user_id].device_count == person.device_count
            assert _ms(found[user_id].enter_time) == person.enter_ms
            assert _ms(found[user_id].last_seen_time) == person.last_seen_ms
            assert _ms(found[user_id].last_activity_time) == person.last_activity_ms
        tallies = self.runner.run(self.index.tallies(self.scope))
        counted = tallies.tallies if tallies else ()
        assert sum(each.people for each in counted) == len(expected)
        assert sum(each.devices for each in counted) == sum(one.device_count for one in expected.values())
        channels = sum((person.channels() for person in expected.values()), Counter[str]())
        live = tallies.channels if tallies else {}
        assert Counter({name: devices for name, (devices, _) in live.items() if devices}) == channels

    def listed(self, *, with_staff: bool) -> list[Presence]:
        page = self.runner.run(self.index.people(self.scope, limit=10, with_staff=with_staff))
        return [Presence.FromString(packed) for _, packed in (page.people if page else ())]

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        for with_staff in (False, True):
            told = replayed(self.runner.run(self.events(with_staff=with_staff)))
            assert told == {one.user_id: _shown(one) for one in self.listed(with_staff=with_staff)}
        intervals(self.facts)
        self.runner.run(self.redis.aclose())
        self.runner.close()

    async def events(self, *, with_staff: bool) -> list[ScopeEvent]:
        room_id = room_of(self.scope, with_staff=with_staff)
        head = (await self.log.heads([room_id]))[room_id]
        stored = await self.log.read(
            self.scope.organization_id, room_id, epoch=head.epoch, after_seq=0, limit=10_000
        )
        events = [ScopeEvent.FromString(each.payload) for each in stored]
        assert [event.seq for event in events] == list(range(1, head.seq + 1))
        return events


def replayed(events: list[ScopeEvent]) -> dict[str, Any]:
    """Who is here by the events alone; fails when they are not in legal order."""
    here: dict[str, Any] = {}
    for event in events:
        match event.WhichOneof("event"):
            case "entered":
                assert event.entered.presence.user_id not in here
                here[event.entered.presence.user_id] = _shown(event.entered.presence)
            case "updated":
                shown = _shown(event.updated.presence)
                assert here[event.updated.presence.user_id] != shown
                here[event.updated.presence.user_id] = shown
            case "left":
                assert event.left.cause
                del here[event.left.user_id]
            case kind:
                assert kind == "hidden"
    return here


def intervals(facts: list[Interval]) -> None:
    """Fail unless everyone's times here begin, end, and do not overlap."""
    open_since: dict[str, int] = {}
    for fact in facts:
        if fact.leave_ms is None:
            assert fact.user_id not in open_since
            open_since[fact.user_id] = fact.enter_ms
        else:
            assert open_since.pop(fact.user_id) == fact.enter_ms <= fact.leave_ms
            assert fact.cause is not None


def _ms(timestamp: Any) -> int:
    return int(timestamp.ToMilliseconds())


def _shown(one: Presence) -> tuple[Any, ...]:
    activity = (one.activity.kind, one.activity.title, _ms(one.activity.start_time))
    shown = activity if one.HasField("activity") else None
    return one.state, one.role, one.display_name, one.participant_id, shown


def _message(shown: Shown) -> tuple[Any, ...]:
    activity = None
    if shown.activity is not None:
        message = ActivityMessage.FromString(shown.activity.packed)
        activity = (message.kind, message.title, shown.start_ms)
    profile = shown.profile
    return shown.state.value, profile.role.value, profile.display_name, profile.participant_id, activity


@pytest.fixture
def machine(stores: TestStores) -> type[Interleavings]:
    return type("Here", (Interleavings,), {"redis_url": stores.redis_url})


def test_any_interleaving_of_devices_ends_as_the_model_says(machine: type[Interleavings]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
