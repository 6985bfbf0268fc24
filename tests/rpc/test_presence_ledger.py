"""The ledger of presence: each coming once, whoever tells it, in whatever order and however often."""

import itertools
from dataclasses import replace

from muster_presence.model import Cause, Role, ScopeId, ScopeKind, Verb
from muster_presence.model_intervals import time_of_ms
from muster_presence.store import Interval
from muster_presence.store_erasure_postgres import erase_intervals
from muster_presence.store_ledger import Deed, Fact

from tests.conftest import TestStores
from tests.rpc.presence_ledger import Books

SCOPE = ScopeId("org", ScopeKind.SESSION, "s")


async def test_an_interval_is_written_with_all_that_is_known_of_it(books: Books) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT)
    await worker.ledger.close()
    (stay,) = await books.stays()
    assert (stay.user_id, stay.display_name, stay.role) == ("ana", "Ana", Role.PARTICIPANT)
    assert (stay.enter_time, stay.leave_time, stay.cause) == (books.place.clock.time, None, None)
    came = stay.enter_time
    books.place.clock.turn(12.345)
    await books.place.do(Verb.BEAT)
    await worker.ledger.close()
    (stay,) = await books.stays()
    assert stay.last_activity_time == books.place.clock.time
    books.place.clock.turn(1)
    await books.place.do(Verb.LEAVE, sequence=1)
    await worker.ledger.close()
    (stay,) = await books.stays()
    assert (stay.enter_time, stay.leave_time, stay.cause) == (came, books.place.clock.time, Cause.LEFT)


async def test_who_is_away_does_nothing(books: Books) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT)
    for seconds, verb, said in (
        (10, Verb.BEAT, {"is_away": True}),
        (12, Verb.HOLD, {"is_away": True, "holder": "w"}),
        (15, Verb.RENEW, {"holder": "w"}),
    ):
        books.place.clock.turn(seconds)
        await books.place.do(verb, **said)
        await worker.ledger.close()
    (stay,) = await books.stays()
    assert stay.last_activity_time == stay.enter_time


def facts(*told: tuple[int, int | None, int]) -> list[Fact]:
    """Return facts about one person: when they came, when they left, and the order."""
    return [
        Fact(
            SCOPE,
            Interval(
                user_id="ana",
                display_name="Ana",
                role=Role.PARTICIPANT,
                participant_id="seat",
                enter_ms=enter_ms,
                last_activity_ms=enter_ms,
                order=order,
                leave_ms=leave_ms,
                cause=Cause.LEFT if leave_ms else None,
            ),
        )
        for enter_ms, leave_ms, order in told
    ]


async def test_facts_of_several_workers_may_arrive_in_any_order_and_again(books: Books) -> None:
    told = facts((1000, None, 1), (1000, 2000, 3), (3000, None, 5), (3000, 4000, 7))
    for arrived in itertools.permutations(told):
        for fact in arrived:
            await books.store.write([fact], ())
            await books.store.write([fact], ())
        rows = await books.rows(
            "DELETE FROM presence.presence_interval"
            " RETURNING extract(epoch FROM enter_time)::int, extract(epoch FROM leave_time)::int"
        )
        assert sorted(rows) == [(1, 2), (3, 4)]


async def test_who_was_taken_for_gone_while_they_were_here_has_been_here(books: Books) -> None:
    told = facts((1000, None, 1), (1000, 2000, 3), (1000, None, 5))
    for order in ([0, 2, 1], [2, 1, 0], [1, 0, 2]):
        for index in order:
            await books.store.write([told[index]], ())
        assert await books.rows("SELECT leave_time FROM presence.presence_interval") == [(None,)]
        await books.rows("DELETE FROM presence.presence_interval RETURNING 1")


async def test_a_fact_that_cannot_be_stored_takes_no_other_with_it(books: Books) -> None:
    worker = books.open_worker()
    bad = replace(facts((1000, None, 1))[0].interval, user_id="b\0d")
    for fact in facts((1000, None, 1), (2000, None, 2), (3000, None, 3)):
        worker.ledger.note(SCOPE, [fact.interval, bad])
        worker.ledger.note_activity(SCOPE, [("ana", 2000)], 2500)
        worker.ledger.note_activity(SCOPE, [("b\0d", 2000)], 2500)
    await worker.ledger.close()
    rows = await books.rows("SELECT user_id FROM presence.presence_interval")
    assert rows == [("ana",)] * 3


async def test_while_the_database_is_away_facts_wait(books: Books, stores: TestStores) -> None:
    worker = books.use(books.open_worker())
    await books.place.do(Verb.BEAT)
    await worker.ledger.close()
    await stores.postgres.stop()
    try:
        books.place.clock.turn(3)
        await books.place.do(Verb.LEAVE, sequence=1)
        books.place.clock.turn(3)
        await books.place.do(Verb.BEAT, sequence=2)
        await worker.ledger.close()
    finally:
        await stores.postgres.start()
    await worker.ledger.close()
    assert await books.told() == [("ana", 0, 3), ("ana", 6, None)]
    assert worker.ledger.dropped == 0


async def test_memory_is_bounded_and_the_latest_of_each_is_kept(books: Books) -> None:
    worker = books.open_worker(most_kept=3)
    told = facts((1000, 1500, 1), (2000, 2500, 2), (3000, 3500, 3), (4000, 4500, 4), (5000, None, 5))
    worker.ledger.note(SCOPE, [fact.interval for fact in told])
    assert worker.ledger.dropped == 2
    worker.ledger.note(SCOPE, [replace(told[0].interval, user_id="bo")])
    assert worker.ledger.dropped == 3
    await worker.ledger.close()
    enter_times = "SELECT extract(epoch FROM enter_time)::int FROM presence.presence_interval ORDER BY 1"
    assert await books.rows(enter_times) == [(3,), (4,), (5,)]
    for number in range(5):
        worker.ledger.note_activity(SCOPE, [(f"user-{number}", 1000)], 2000)
    assert worker.ledger.dropped == 5


async def test_what_was_on_its_way_when_its_person_was_erased_is_not_written(books: Books) -> None:
    told = facts((1000, None, 1), (3000, None, 3), (3001, None, 5))
    await books.store.write(told[:1], ())
    async with books.database.transaction(SCOPE.organization_id) as transaction:
        erased = await erase_intervals(transaction, "ana", time_of_ms(3000))
    assert erased == (1, {SCOPE})
    await books.store.write(told, [Deed(SCOPE, "ana", 1000, 1500)])
    assert [stay.enter_time for stay in await books.intervals.of_scope(SCOPE)] == [time_of_ms(3001)]
    # Nor is it taken for lost.
    assert await books.store.not_open(SCOPE, [fact.interval for fact in told]) == []
    # A request that is repeated at a clock that is behind.
    async with books.database.transaction(SCOPE.organization_id) as transaction:
        assert await erase_intervals(transaction, "ana", time_of_ms(2000)) == (1, {SCOPE})
    await books.store.write(told[1:2], ())
    assert await books.intervals.of_scope(SCOPE) == []


async def test_what_is_asked_for_is_what_there_was(books: Books) -> None:
    worker = books.use(books.open_worker())
    for user_id in ("ana", "bo"):
        await books.place.do(Verb.BEAT, user_id)
        books.place.clock.turn(10)
    start = books.place.clock.time
    await books.place.do(Verb.LEAVE, "ana", sequence=1)
    books.place.clock.turn(10)
    end = books.place.clock.time
    await books.place.do(Verb.BEAT, "ana", sequence=2)
    await worker.ledger.close()
    assert [stay.user_id for stay in await books.stays(start=start, end=end)] == ["bo"]
    assert [stay.user_id for stay in await books.stays(end=end)] == ["ana", "bo"]
    assert len(await books.stays(user_ids=["ana"])) == 2
    assert await books.stays(user_ids=[]) == []
    earlier = await books.stays(as_of=start.replace(microsecond=0) - (end - start) / 2, user_ids=["ana"])
    assert [(stay.leave_time, stay.cause) for stay in earlier] == [(None, None)]
    activities = await books.intervals.last_activities(books.place.scope.organization_id, [books.place.scope])
    assert activities == {books.place.scope: end}
