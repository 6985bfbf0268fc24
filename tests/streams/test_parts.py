"""The parts that need no store: cursors, frames, runs, shelves and the timer wheel."""

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from muster.stream.v1.stream_pb2 import Envelope, EventRun
from muster_kit.streams import Counts, Cursor, frames
from muster_kit.streams.background import Background, Singleflight
from muster_kit.streams.publisher import Publication, Signal, decode, encode_run, encode_signal
from muster_kit.streams.run import Press, Run
from muster_kit.streams.shelf import Shelf
from muster_kit.streams.wheel import Wheel

NOW = datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
BIGINTS = st.integers(0, 2**63 - 1)


@given(BIGINTS, BIGINTS)
def test_a_cursor_survives_the_client(epoch: int, seq: int) -> None:
    assert Cursor.decode(Cursor(epoch, seq).encode()) == Cursor(epoch, seq)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_cursor_or_none(data: bytes) -> None:
    cursor = Cursor.decode(data)
    assert cursor is None or cursor.encode() == data


@given(BIGINTS, BIGINTS, st.lists(st.binary(max_size=20), min_size=1))
def test_a_publication_survives_the_broker(epoch: int, first_seq: int, events: list[bytes]) -> None:
    message = decode(encode_run(epoch, first_seq, events))
    assert isinstance(message, Publication)
    assert (message.epoch, message.first_seq, list(message.events)) == (epoch, first_seq, events)


def test_a_signal_survives_the_broker_and_nothing_else_does() -> None:
    assert decode(encode_signal(b"")) == Signal(b"")
    assert decode(encode_signal(b"wave")) == Signal(b"wave")
    for data in (b"", b"\0", b"\1short", b"what"):
        with pytest.raises(ValueError, match="publisher"):
            decode(data)
    with pytest.raises(DecodeError):
        decode(encode_run(1, 1, [b"event"])[:-1])


def test_the_parts_of_a_frame_merge() -> None:
    body = frames.events(NOW, [b"a", b"b"])
    whole = Envelope.FromString(body + frames.place(Cursor(7, 9)) + frames.delay(1.23456))
    assert EventRun.FromString(whole.events).events == [b"a", b"b"]
    assert Cursor.decode(whole.cursor) == Cursor(7, 9)
    assert (whole.server_time.seconds, whole.server_time.nanos) == (int(NOW.timestamp()), 600_000)
    assert (whole.queue_delay.seconds, whole.queue_delay.nanos) == (1, 234_500_000)


def test_a_later_time_overrides_an_earlier_one_even_on_the_full_second() -> None:
    later = NOW.replace(second=6, microsecond=0)
    merged = Envelope.FromString(frames.heartbeat(NOW) + frames.time(later))
    assert merged.server_time.seconds == int(later.timestamp())
    assert merged.server_time.nanos < 1000


def test_a_frame_that_did_not_wait_says_so() -> None:
    assert Envelope.FromString(frames.delay(0)).HasField("queue_delay")


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=40), st.integers(1, 200), BIGINTS)
def test_runs_hold_all_events_within_the_size(events: list[bytes], frame_bytes: int, epoch: int) -> None:
    runs = Press(epoch, frame_bytes).runs(5, events, now=NOW, made=0.0)
    found: list[bytes] = []
    for run in runs:
        assert run.first_seq == 5 + len(found)
        inside = EventRun.FromString(Envelope.FromString(run.body).events).events
        assert len(inside) == len(run)
        assert len(inside) == 1 or sum(map(len, inside)) <= frame_bytes
        assert Cursor.decode(Envelope.FromString(run.place).cursor) == Cursor(epoch, run.last_seq)
        found.extend(inside)
    assert found == events


def test_the_rest_of_a_run_keeps_its_place_and_time() -> None:
    (run,) = Press(1, 1000).runs(11, [b"a", b"b", b"c"], now=NOW, made=3.0)
    rest = run.after(12)
    assert (rest.first_seq, rest.last_seq, rest.place, rest.made) == (13, 13, run.place, 3.0)
    envelope = Envelope.FromString(rest.body)
    assert EventRun.FromString(envelope.events).events == [b"c"]
    assert envelope.server_time == Envelope.FromString(run.body).server_time


def run_of(first_seq: int, last_seq: int, size: int = 10) -> Run:
    """A run of so many bytes."""
    return Run(first_seq, last_seq, b"x" * size, b"", 0.0)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 50)), max_size=50))
def test_a_shelf_keeps_the_newest_runs_within_its_bounds(sizes: list[tuple[int, int]]) -> None:
    shelf, seq = Shelf(max_events=20, max_bytes=200), 0
    for length, size in sizes:
        shelf.add(run_of(seq + 1, seq + length, size))
        seq += length
        oldest = shelf.oldest_seq
        assert oldest is not None
        kept = {id(run): run for s in range(oldest, seq + 1) if (run := shelf.get(s))}.values()
        assert sum(map(len, kept)) == seq - oldest + 1 <= 20
        assert sum(len(run.body) for run in kept) <= 200
        assert shelf.get(oldest - 1) is None


def test_a_shelf_keeps_one_run_however_large() -> None:
    shelf = Shelf(max_events=2, max_bytes=5)
    shelf.add(run_of(1, 9, 100))
    assert shelf.get(9)
    shelf.add(run_of(10, 19, 100))
    assert shelf.get(9) is None
    assert shelf.get(10)


def test_a_run_that_goes_does_not_take_a_later_one_along() -> None:
    shelf = Shelf(max_events=6, max_bytes=1000)
    shelf.add(run_of(1, 4))
    shelf.add(later := run_of(3, 5))
    shelf.add(run_of(6, 8))
    assert shelf.get(2) is None
    assert shelf.get(3) is shelf.get(4) is later


def test_counts_add_up_and_stay_bounded() -> None:
    def encode(counts: object) -> bytes:
        return repr(counts).encode()

    both = Counts({"a": 2, "b": 1}, encode).merge(Counts({"a": 1, "c": 5}, encode))
    assert both.counts == {"a": 3, "b": 1, "c": 5}
    assert both.messages == 9
    many = both.merge(Counts({str(n): 1 for n in range(1000)}, encode))
    assert len(many.counts) == 64
    assert many.counts["a"] == 3


async def test_the_wheel_rings_in_order_and_then_rests() -> None:
    wheel, rung, done = Wheel(tick_seconds=0.01), list[str](), asyncio.Event()

    def ring_again() -> None:
        rung.append("second")
        wheel.after(0.02, lambda: (rung.append("third"), done.set()))

    wheel.after(0.03, ring_again)
    wheel.after(0.001, lambda: rung.append("first"))
    wheel.after(0.01, lambda: rung.append("never")).cancel()
    async with asyncio.timeout(30):
        await done.wait()
    assert rung == ["first", "second", "third"]
    assert wheel._timer is None
    assert not wheel._slots


async def test_an_alarm_that_fails_keeps_none_of_its_tick_asleep() -> None:
    wheel, rung, done = Wheel(tick_seconds=0.01), set[int](), asyncio.Event()

    def ring(number: int) -> None:
        rung.add(number)
        if len(rung) == 8:
            done.set()
        raise ValueError(number)

    for number in range(8):
        wheel.after(0.001, partial(ring, number))
    async with asyncio.timeout(30):
        await done.wait()


async def test_a_closed_wheel_never_rings() -> None:
    wheel = Wheel(tick_seconds=0.001)
    wheel.after(0.001, pytest.fail)
    wheel.close()
    await asyncio.sleep(0.01)


async def test_a_flight_is_shared_and_survives_whoever_asked_first() -> None:
    flights, calls, land = Singleflight(), list[str](), asyncio.Event()

    async def fetch() -> str:
        calls.append("fetch")
        await land.wait()
        return "here"

    first, second = (asyncio.create_task(flights.run("key", fetch)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    land.set()
    assert await second == "here"
    assert first.cancelled() or first.cancelling()
    assert await flights.run("key", fetch) == "here"
    assert calls == ["fetch", "fetch"]


async def test_background_work_that_fails_ends_and_is_forgotten() -> None:
    background = Background()

    async def fail() -> None:
        raise ValueError

    task = background.spawn(fail(), name="failing")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert not background._tasks
    await background.close()
