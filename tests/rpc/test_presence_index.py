"""The index of presence: who is here, who came and went, and what is left after a loss."""

import random
from collections.abc import AsyncIterator

import pytest
from muster.presence.v1.presence_pb2 import LEAVE_CAUSE_VANISHED, PRESENCE_STATE_STALE
from muster_kit.errors import MusterError, Reason
from muster_kit.redis_client import open_redis
from muster_presence.model import Cause, Profile, Role, ScopeId, ScopeKind, Step, Verb
from muster_presence.scope_keys import KEPT_EVENTS, keys_of, places_key, room_of
from muster_presence.store import Spot
from redis.asyncio import Redis

from tests.conftest import TestStores
from tests.rpc.presence_index import Place


@pytest.fixture
async def redis(stores: TestStores) -> AsyncIterator[Redis]:
    async with open_redis(stores.redis_url) as redis:
        yield redis


@pytest.fixture
def place(redis: Redis) -> Place:
    return Place(redis)


@pytest.mark.parametrize("seed", range(5))
async def test_three_devices_that_drop_at_random_come_once_and_go_once(place: Place, seed: int) -> None:
    chance, devices = random.Random(seed), ("phone", "laptop", "tv")
    await place.do(Verb.HOLD, device_id="phone", holder="w1")
    for _ in range(60):
        device_id, holder = chance.choice(devices), chance.choice(("w1", "w2"))
        await place.do(chance.choice((Verb.HOLD, Verb.CLOSE)), device_id=device_id, holder=holder)
        # One of them is always back within the grace.
        await place.do(Verb.RENEW, device_id=chance.choice(devices), holder=holder)
        await place.wait(chance.uniform(0, 4))
    await place.wait(60)
    assert await place.told() == ["entered", "left"]
    (came, went) = place.facts
    assert (came.leave_ms, went.cause, went.enter_ms) == (None, Cause.VANISHED, came.enter_ms)


async def test_who_vanishes_is_stale_and_then_gone(place: Place) -> None:
    await place.do(Verb.BEAT)
    await place.wait(30)
    (ana,) = await place.here()
    assert ana.state == PRESENCE_STATE_STALE
    await place.wait(5)
    assert await place.here() == []
    assert (await place.events())[-1].left.cause == LEAVE_CAUSE_VANISHED
    # They were last heard of when they beat.
    assert place.facts[-1].leave_ms == place.facts[0].enter_ms


async def test_nothing_is_left_of_who_has_gone(place: Place, redis: Redis) -> None:
    await place.do(Verb.BEAT)
    await place.do(Verb.LEAVE, "bo", sequence=1)
    await place.wait(35)
    await place.wait(61)
    people, due, order, _, _, counts = keys_of(place.scope)
    assert await redis.exists(people, due, order, counts) == 0
    assert await redis.zscore("muster:presence:scopes", place.scope.key) is None


async def test_a_scope_that_was_empty_is_swept_again_when_somebody_comes(place: Place) -> None:
    for _ in range(3):
        await place.do(Verb.BEAT)
        await place.wait(35)
    assert (
        await place.told() == ["entered", "updated", "left"] * 3
        or await place.told()
        == [
            "entered",
            "left",
        ]
        * 3
    )


async def test_staff_are_hidden_from_others_without_a_gap(place: Place) -> None:
    await place.do(Verb.BEAT, "host", role=Role.STAFF)
    await place.do(Verb.BEAT, "ana")
    await place.do(Verb.LEAVE, "host")
    assert await place.told() == ["hidden", "entered", "hidden"]
    assert await place.told(with_staff=True) == ["entered", "entered", "left"]
    assert [one.user_id for one in await place.here()] == ["ana"]
    packed = b"".join(event.SerializeToString() for event in await place.events())
    assert b"host" not in packed


async def test_who_becomes_staff_leaves_the_others_sight_and_comes_back(place: Place) -> None:
    await place.do(Verb.BEAT, "ana")
    await place.do(Verb.BEAT, "ana", role=Role.STAFF)
    await place.do(Verb.BEAT, "ana")
    assert await place.told() == ["entered", "left", "entered"]
    assert await place.told(with_staff=True) == ["entered", "updated", "updated"]


async def test_the_log_keeps_the_newest_events(place: Place) -> None:
    for _ in range(KEPT_EVENTS // 500 + 1):
        for verb in (Verb.BEAT, Verb.LEAVE):
            steps = [
                Step(verb=verb, user_id=f"u{number}", device_id="d", profile=Profile(""))
                for number in range(500)
            ]
            await place.index.change({place.scope: steps})
    events = await place.events()
    assert len(events) == KEPT_EVENTS
    assert events[-1].seq == 1000 * (KEPT_EVENTS // 500 + 1)


async def test_after_a_loss_a_new_life_begins_and_streams_bring_people_back(
    place: Place, redis: Redis
) -> None:
    await place.do(Verb.HOLD, holder="w1")
    room_id = room_of(place.scope, with_staff=False)
    before = (await place.log.heads([room_id]))[room_id]
    enter_ms = place.facts[0].enter_ms
    await redis.delete(*keys_of(place.scope))
    place.clock.turn(3)
    await place.do(Verb.RENEW, holder="w1", enter_ms=enter_ms)
    after = (await place.log.heads([room_id]))[room_id]
    assert before.epoch != after.epoch
    assert after.seq == 1
    assert place.facts[1].enter_ms == enter_ms
    assert (
        await place.log.read(place.scope.organization_id, room_id, epoch=before.epoch, after_seq=0, limit=9)
        == ()
    )


async def test_after_a_restart_who_watches_starts_over_and_everybody_is_still_here(
    place: Place, redis: Redis
) -> None:
    await place.do(Verb.HOLD, holder="w1")
    room_id = room_of(place.scope, with_staff=False)
    before = (await place.log.heads([room_id]))[room_id]
    assert (await place.log.heads([room_id]))[room_id] == before
    place.clock.turn(3)
    # As another server would find it, or the same one once it has begun anew.
    await redis.hset(keys_of(place.scope)[4], "run", "another")
    after = (await place.log.heads([room_id]))[room_id]
    assert after.epoch != before.epoch
    assert after.seq == before.seq
    assert (await place.log.heads([room_id]))[room_id] == after
    assert [one.user_id for one in await place.here()] == ["ana"]
    await place.do(Verb.LEAVE, sequence=1)
    # Whatever the ledger was told of what is forgotten, at up to a thousand changes a second, is older.
    assert place.facts[1].order >= place.facts[0].order + 3000


async def test_half_of_what_was_lost_is_not_kept(place: Place, redis: Redis) -> None:
    await place.do(Verb.BEAT)
    await redis.delete(keys_of(place.scope)[4])
    await place.do(Verb.BEAT, "bo")
    assert [one.user_id for one in await place.here()] == ["bo"]
    tallies = await place.index.tallies(place.scope)
    assert tallies is not None
    assert [each.people for each in tallies.tallies] == [1]


async def test_a_scope_is_its_organizations_alone(place: Place) -> None:
    await place.do(Verb.BEAT)
    room_id = room_of(place.scope, with_staff=False)
    assert await place.log.head("other", room_id) is None
    other = ScopeId("other", ScopeKind.SESSION, place.scope.scope_id)
    assert await place.index.people(other, limit=1, with_staff=True) is None


async def test_pages_end_and_filters_hold(place: Place) -> None:
    for number in range(7):
        await place.do(Verb.BEAT, f"u{number}")
    first = await place.index.people(place.scope, limit=4, with_staff=False)
    assert first is not None
    assert (len(first.people), first.next_after) == (4, 4)
    second = await place.index.people(place.scope, after=4, limit=4, with_staff=False)
    assert second is not None
    assert (len(second.people), second.next_after) == (3, 0)
    filtered = await place.index.people(place.scope, limit=4, with_staff=False, kind="quiz")
    assert filtered is not None
    assert filtered.people == []


async def test_devices_are_found_where_they_are(place: Place) -> None:
    await place.do(Verb.BEAT)
    await place.do(Verb.BEAT, device_id="tv")
    organization_id = place.scope.organization_id
    assert await place.index.places(organization_id, "ana", "phone") == [place.scope]
    await place.do(Verb.LEAVE)
    assert await place.index.places(organization_id, "ana", "phone") == []
    assert await place.index.places(organization_id, "ana", "tv") == [place.scope]


async def test_after_a_loss_streams_tell_where_they_are(place: Place, redis: Redis) -> None:
    organization_id = place.scope.organization_id
    await place.do(Verb.HOLD, holder="w1")
    await redis.delete(places_key(organization_id, "ana"))
    await redis.delete(*keys_of(place.scope))
    held = [("ana", "phone")]
    (lost,) = await place.index.renew("w1", {place.scope: held})
    assert lost == Spot(place.scope, "ana", "phone")
    await place.do(Verb.RENEW, holder="w1")
    assert await place.index.places(organization_id, "ana", "phone") == [place.scope]
    # Where they are is on another node of a cluster than that they are, and not kept for ever.
    await redis.delete(places_key(organization_id, "ana"))
    for _ in range(200):
        place.clock.turn(15)
        if await place.index.renew("w1", {place.scope: held}):
            break
    await place.do(Verb.RENEW, holder="w1")
    assert await place.index.places(organization_id, "ana", "phone") == [place.scope]
    assert await place.index.renew("w1", {place.scope: held}) == []
    assert await place.told() == ["entered"]


@pytest.mark.parametrize("strange", ["{}", "a}b", "é\0ü", "x" * 64])
async def test_strange_names_are_names_like_others(redis: Redis, strange: str) -> None:
    place = Place(redis, scope=ScopeId(f"{strange}{id(strange)}", ScopeKind.SESSION, strange))
    await place.do(Verb.BEAT, strange, strange)
    (one,) = await place.here()
    assert (one.user_id, one.scope.scope_id) == (strange, strange)
    await place.wait(35)
    assert await place.here() == []


async def test_large_sequences_keep_their_order(place: Place) -> None:
    await place.do(Verb.BEAT, sequence=2**64 - 1)
    await place.do(Verb.LEAVE, sequence=2**64 - 2)
    assert len(await place.here()) == 1


async def test_a_redis_that_is_away_is_unavailable(place: Place, stores: TestStores) -> None:
    await stores.valkey.stop()
    try:
        with pytest.raises(MusterError) as caught:
            await place.do(Verb.BEAT)
        assert caught.value.reason is Reason.UNAVAILABLE
    finally:
        await stores.valkey.start()


async def test_a_script_that_was_flushed_is_sent_again(place: Place, redis: Redis) -> None:
    await place.do(Verb.BEAT)
    await redis.script_flush()
    await place.do(Verb.BEAT, "bo")
    assert len(await place.here()) == 2
    await place.wait(35)
    assert await place.here() == []
