"""Publication of committed runs: in order, joined while they wait, and never in anybody's way."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from muster_kit.db.publications import Publications, Run, joined


def run(first_seq: int, *events: bytes, room_id: str = "room", epoch: int = 1) -> Run:
    return Run(room_id, epoch, first_seq, events)


class Broker:
    """A publisher that the test holds and lets go."""

    def __init__(self) -> None:
        self.published: list[Run] = []
        self.open = asyncio.Event()

    async def publish(self, room_id: str, epoch: int, first_seq: int, events: Sequence[bytes]) -> None:
        await self.open.wait()
        if b"refused" in events:
            raise ConnectionError
        self.published.append(Run(room_id, epoch, first_seq, list(events)))


def test_adjacent_runs_become_one() -> None:
    assert joined([run(1, b"a"), run(2, b"b", b"c"), run(4, b"d")]) == [
        Run("room", 1, 1, [b"a", b"b", b"c", b"d"])
    ]


def test_runs_with_something_between_them_stay_apart() -> None:
    apart = [run(1, b"a"), run(3, b"c"), run(4, b"d", epoch=2)]
    assert joined(apart) == apart


@given(st.lists(st.tuples(st.integers(1, 9), st.lists(st.binary(max_size=2), min_size=1, max_size=3))))
def test_joining_neither_loses_nor_moves_an_event(parts: list[tuple[int, list[bytes]]]) -> None:
    def placed(runs: Sequence[Run]) -> list[tuple[int, bytes]]:
        return [(each.first_seq + i, event) for each in runs for i, event in enumerate(each.events)]

    runs = [run(first_seq, *events) for first_seq, events in parts]
    assert placed(joined(runs)) == placed(runs)


async def test_what_waits_goes_out_in_order_and_as_one() -> None:
    broker = Broker()
    publications = Publications(broker)
    publications.offer(run(1, b"a"))
    await asyncio.sleep(0)
    for seq in range(2, 5):
        publications.offer(run(seq, b"x"))
        publications.offer(run(10 * seq, b"y", room_id="another"))
    broker.open.set()
    await publications.close()
    assert [each for each in broker.published if each.room_id == "room"] == [
        Run("room", 1, 1, [b"a"]),
        Run("room", 1, 2, [b"x", b"x", b"x"]),
    ]
    assert [each.first_seq for each in broker.published if each.room_id == "another"] == [20, 30, 40]


async def test_a_run_that_cannot_be_published_does_not_hold_up_the_others() -> None:
    broker = Broker()
    broker.open.set()
    publications = Publications(broker)
    publications.offer(run(1, b"refused"))
    publications.offer(run(3, b"c"))
    publications.offer(run(1, b"z", room_id="another"))
    await publications.close()
    assert {(each.room_id, each.first_seq) for each in broker.published} == {("another", 1), ("room", 3)}


async def test_too_many_waiting_runs_are_dropped_and_nobody_fails() -> None:
    broker = Broker()
    publications = Publications(broker)
    for seq in range(1, 10_000):
        publications.offer(run(2 * seq, b"x"))
    broker.open.set()
    await publications.close()
    assert 0 < len(broker.published) < 9_999
    assert [each.first_seq for each in broker.published] == [
        2 * seq for seq in range(1, len(broker.published) + 1)
    ]
