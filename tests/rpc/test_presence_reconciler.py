"""The ledger held against the index: what a crash or a loss has left untold is found, and no more."""

from dataclasses import replace

from muster_presence.model import Cause, Verb
from muster_presence.scope_keys import keys_of
from muster_presence.store_redis import SCOPES

from tests.rpc.presence_ledger import Books, Worker, ms

BOUND_SECONDS = 40


async def lose_index(books: Books) -> None:
    """Lose all that the index knows of the scope."""
    await books.place.redis.delete(*keys_of(books.place.scope))


async def test_a_stream_has_one_interval_over_a_loss(books: Books) -> None:
    first, second = books.open_worker(), books.open_worker()
    books.use(first)
    await books.place.do(Verb.HOLD, holder="w1")
    enter_ms = ms(books.place.clock.time)
    books.place.clock.turn(30)
    await lose_index(books)
    books.use(second)
    await books.place.do(Verb.RENEW, holder="w1", enter_ms=enter_ms)
    books.place.clock.turn(30)
    await books.place.do(Verb.LEAVE, sequence=1)
    # The second worker is faster.
    await second.ledger.close()
    await first.ledger.close()
    assert await books.told() == [("ana", 0, 60)]


async def test_who_vanishes_where_no_sweep_looks_any_more_is_gone_all_the_same(books: Books) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT)
    await books.check(worker)
    # In a cluster, the node that tells where to sweep may lose that alone.
    await books.place.redis.zrem(SCOPES, books.place.scope.key)
    await books.place.wait(BOUND_SECONDS)
    assert [one.user_id for one in await books.place.here()] == ["ana"]
    await books.check(worker)
    await books.place.wait(0)
    assert await books.place.here() == []
    assert await books.place.told() == ["entered", "left"]


async def test_nobody_is_sent_away_by_a_loss_and_who_comes_back_was_never_away(books: Books) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT, "ana")
    await books.place.do(Verb.BEAT, "bo")
    await books.check(worker)
    books.place.clock.turn(10)
    await books.check(worker)
    await lose_index(books)
    await books.check(worker)
    books.place.clock.turn(15)
    await books.place.do(Verb.BEAT, "ana")
    await books.check(worker)
    assert await books.told() == [("ana", 0, 25), ("ana", 25, None), ("bo", 0, None)]
    # Bo does not come back: the last that is known is that all was well just before the loss.
    await stay(books, worker, seconds=60)
    assert await books.told() == [("ana", 0, None), ("bo", 0, 10)]
    (bo,) = await books.stays(user_ids=["bo"])
    assert bo.cause is Cause.VANISHED


async def stay(books: Books, worker: Worker, *, seconds: int) -> None:
    """Let ana beat for a while, and hold the ledger against the index."""
    for _ in range(0, seconds, 10):
        books.place.clock.turn(10)
        await books.place.do(Verb.BEAT, "ana")
        await books.check(worker)


async def test_who_only_beats_has_one_interval_over_losses(books: Books) -> None:
    worker, late = books.open_worker(), books.open_worker()
    books.use(worker)
    await books.place.do(Verb.BEAT)
    await books.check(worker)
    # The second loss comes before the first has been sorted out.
    for _ in range(2):
        await lose_index(books)
        await stay(books, worker, seconds=20)
    assert [since for _, since, _ in await books.told()] == [0, 10, 30]
    await stay(books, worker, seconds=60)
    assert await books.told() == [("ana", 0, None)]
    # What is told of it is told of the whole, in time and late.
    await lose_index(books)
    await stay(books, worker, seconds=60)
    assert await books.told() == [("ana", 0, None)]
    (before,) = await books.stays()
    books.use(late)
    books.place.clock.turn(3)
    await books.place.do(Verb.LEAVE, sequence=1)
    books.place.clock.turn(5)
    books.use(worker)
    await books.place.do(Verb.BEAT, sequence=2)
    await books.check(worker)
    await late.ledger.close()
    assert await books.told() == [("ana", 0, 163), ("ana", 168, None)]
    (first, _) = await books.stays()
    assert (first.cause, before.last_activity_time) == (Cause.LEFT, first.last_activity_time)


async def test_nothing_is_left_of_the_parts_of_an_interval(books: Books) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT)
    await books.check(worker)
    await lose_index(books)
    await stay(books, worker, seconds=60)
    parts = "SELECT count(*) FROM presence.interval_part"
    assert await books.rows(parts) == [(1,)]
    await books.place.do(Verb.LEAVE, sequence=1)
    await books.check(worker)
    assert await books.rows(parts) == [(1,)]
    # As when nobody was there for a day.
    await lose_index(books)
    await books.forget_touches()
    await books.check(worker)
    assert await books.rows(parts) == [(0,)]


async def test_a_goodbye_that_died_with_its_process_is_found(books: Books) -> None:
    worker, dying = books.open_worker(), books.open_worker()
    books.use(worker)
    await books.place.do(Verb.BEAT)
    await books.check(worker)
    books.place.clock.turn(20)
    books.use(dying)
    await books.place.do(Verb.LEAVE, sequence=1)
    books.place.clock.turn(5)
    await books.forget_touches()
    await books.check(worker)
    assert await books.told() == [("ana", 0, None)]
    books.place.clock.turn(BOUND_SECONDS)
    await books.check(worker)
    # The index knew for a while when it was.
    assert await books.told() == [("ana", 0, 20)]
    # Not dead after all: what was told counts for more than what was assumed.
    await dying.ledger.close()
    (stay,) = await books.stays()
    assert stay.cause is Cause.LEFT


async def test_a_coming_that_died_with_its_process_is_found(books: Books) -> None:
    worker, dying = books.open_worker(), books.open_worker()
    books.use(dying)
    await books.place.do(Verb.BEAT, "ana")
    books.place.clock.turn(7)
    books.use(worker)
    await books.place.do(Verb.BEAT, "bo")
    await books.check(worker)
    assert await books.told() == [("ana", 0, None), ("bo", 7, None)]
    await dying.ledger.close()
    books.place.clock.turn(3)
    await books.place.do(Verb.LEAVE, "ana", sequence=1)
    await books.check(worker)
    assert await books.told() == [("ana", 0, 10), ("bo", 7, None)]


async def test_a_coming_is_found_again_when_who_found_it_died_too(books: Books) -> None:
    dying, finder, other = books.open_worker(), books.open_worker(), books.open_worker()
    books.use(dying)
    await books.place.do(Verb.BEAT)
    await books.look(finder)
    await books.forget_touches()
    await books.look(finder)
    await books.check(other)
    assert await books.told() == [("ana", 0, None)]


async def test_a_scope_that_cannot_be_read_keeps_no_other_from_being_looked_at(books: Books) -> None:
    worker, dying = books.open_worker(), books.open_worker()
    broken = replace(books.place.scope, scope_id="broken")
    await books.place.redis.set(keys_of(broken)[0], "no hash")
    await books.place.redis.hset(keys_of(broken)[4], "epoch", "12345678")
    await books.place.redis.zadd(keys_of(broken)[2], {"ana": 1})
    await books.store.know([broken])
    books.use(dying)
    await books.place.do(Verb.BEAT)
    await books.check(worker)
    assert await books.told() == [("ana", 0, None)]


async def test_nothing_is_done_to_a_scope_in_which_nothing_happened(books: Books) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT)
    await books.check(worker)
    await books.forget_touches()
    await books.check(worker)
    books.place.clock.turn(10)
    await books.check(worker)
    # But everybody is known to have been there until now.
    check_time = "SELECT check_time FROM presence.ledger_scope WHERE organization_id = :organization_id"
    organization_id = books.place.scope.organization_id
    assert await books.rows(check_time, organization_id=organization_id) == [(books.place.clock.time,)]
    # It would be found missing by whoever looked.
    moved = "UPDATE presence.presence_interval SET enter_time = enter_time - interval '1 s' RETURNING 1"
    await books.rows(moved)
    await books.check(worker)
    missing = "SELECT count(*) FROM presence.presence_interval WHERE missing_time IS NOT NULL"
    assert await books.rows(missing) == [(0,)]
    await books.place.do(Verb.BEAT, "bo")
    await books.check(worker)
    assert await books.rows(missing + " AND user_id = 'ana'") == [(1,)]


async def test_what_is_told_after_the_last_look_is_looked_at(books: Books) -> None:
    worker, late, dying = books.open_worker(), books.open_worker(), books.open_worker()
    books.use(late)
    await books.place.do(Verb.BEAT)
    books.use(dying)
    await books.place.do(Verb.LEAVE, sequence=1)
    await books.check(worker)
    await books.forget_touches()
    await books.check(worker)
    assert await books.told() == []
    await late.ledger.close()
    await books.check(worker)
    books.place.clock.turn(BOUND_SECONDS)
    await books.check(worker)
    assert await books.told() == [("ana", 0, 0)]
