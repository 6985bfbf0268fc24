"""What somebody sees of friends: what each stream was given adds up to the same, however much it skipped."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from muster_kit.clock import SystemClock
from muster_kit.streams.background import Background
from muster_kit.streams.log import NoLog
from muster_kit.streams.process import Process
from muster_kit.streams.room import Room
from muster_kit.streams.tuning import Tuning
from muster_kit.streams.wheel import Wheel
from muster_presence import usecases_friend_sight
from muster_presence.usecases_friend_sight import Look, Shape, Sight

FRIENDS = frozenset("abcdefgh")


def encode(version: int, presences: Sequence[bytes], full: bool) -> bytes:
    return b"|".join([str(version).encode(), b"full" if full else b"part", *presences])


def away(user_id: str) -> bytes:
    return f"{user_id}=away".encode()


def look(user_id: str, state: int, seconds: int = 0) -> Look:
    return Look(f"{user_id}={state}@{seconds}".encode(), str(state).encode())


SHAPE = Shape("friends", encode)


@dataclass
class Client:
    """A stream that is given views now and then, and what it holds."""

    last_version: int | None = None
    here: dict[str, str] = field(default_factory=dict)

    def take(self, room: Room) -> None:
        offered = room.views.offered[SHAPE.key]
        if self.last_version == offered.view.version:
            return
        payload = offered.view.render(None, self.last_version)
        assert payload is not None
        version, kind, *presences = payload.decode().split("|")
        assert int(version) == offered.view.version > (self.last_version or 0)
        assert kind == "full" or self.last_version is not None
        self.last_version = int(version)
        self.here = {} if kind == "full" else self.here
        self.here |= dict(each.split("=") for each in presences)
        self.here = {user_id: state for user_id, state in self.here.items() if state != "away"}


@pytest.fixture
async def room() -> Room:
    process = Process(
        clock=SystemClock(),
        tuning=Tuning(),
        wheel=Wheel(),
        background=Background(),
        on_doubt=lambda: None,
    )
    return Room("room", NoLog(), process)


def sight_in(room: Room) -> Sight:
    sight = Sight("org", "me", version=100, away=away)
    sight.show_in(room, SHAPE)
    return sight


@pytest.mark.parametrize("seed", range(30))
async def test_all_streams_come_to_see_the_same(
    room: Room, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usecases_friend_sight, "_MOST_GONE", 2)
    dice, sight = random.Random(seed), sight_in(room)
    sight.regroup(FRIENDS)
    sight.know()
    clients = [Client() for _ in range(4)]
    truth: dict[str, int] = {}
    for _ in range(60):
        if dice.random() < 0.1:
            friends = frozenset(dice.sample(sorted(FRIENDS), 5))
            added, _ = sight.regroup(friends)
            assert added.isdisjoint(truth)
            truth = {user_id: state for user_id, state in truth.items() if user_id in friends}
        changed = dice.sample(sorted(FRIENDS), 2)
        states = {user_id: dice.choice([None, 1, 2]) for user_id in changed}
        sight.see(
            {user_id: None if state is None else look(user_id, state) for user_id, state in states.items()}
        )
        for user_id, state in states.items():
            truth.pop(user_id, None)
            if state is not None and user_id in sight.friends:
                truth[user_id] = state
        for client in clients:
            if dice.random() < 0.3:
                client.take(room)
    for client in clients:
        client.take(room)
        assert client.here == {user_id: f"{state}@0" for user_id, state in truth.items()}


async def test_that_somebody_is_still_there_is_no_news(room: Room) -> None:
    sight, client = sight_in(room), Client()
    sight.regroup(FRIENDS)
    sight.see({"a": look("a", 1)})
    sight.know()
    client.take(room)
    version = client.last_version
    sight.see({"a": look("a", 1, seconds=5), "b": None})
    client.take(room)
    assert client.last_version == version


async def test_nothing_is_shown_before_it_was_looked(room: Room) -> None:
    sight = sight_in(room)
    sight.regroup(FRIENDS)
    sight.see({"a": look("a", 1)})
    assert SHAPE.key not in room.views.offered
    sight.know()
    assert SHAPE.key in room.views.offered


async def test_whoever_is_no_friend_is_not_seen(room: Room) -> None:
    sight, client = sight_in(room), Client()
    sight.regroup(frozenset("a"))
    sight.know()
    sight.see({"a": look("a", 1), "z": look("z", 1)})
    client.take(room)
    assert client.here == {"a": "1@0"}
    sight.regroup(frozenset())
    client.take(room)
    assert client.here == {}


async def test_the_view_stays_until_the_last_stream_goes(room: Room) -> None:
    sight = sight_in(room)
    sight.show_in(room, SHAPE)
    sight.know()
    sight.hide_from(room, SHAPE)
    assert SHAPE.key in room.views.offered
    sight.hide_from(room, SHAPE)
    assert (SHAPE.key in room.views.offered, sight.shown_in) == (False, [])
