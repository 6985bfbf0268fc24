"""Streams over time: tickets renewed, heartbeats, processes that go away, seats that are taken away."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from muster.session.v1 import session_service_pb2 as pb
from muster.stream.v1 import stream_pb2

from tests.conftest import TestStores
from tests.rpc.house import House, bearer, house_over, open_house
from tests.rpc.lessons import Lesson, new_lesson, true_false


@pytest.fixture(scope="module")
async def hasty_house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house with tickets of 6 seconds and a heartbeat every half second."""
    directory = tmp_path_factory.mktemp("hasty")
    changes = {"ticket_lifetime": "PT6S", "heartbeat_seconds": (0.3, 0.5)}
    async with open_house(stores, directory, **changes) as house:
        yield house


async def test_a_stream_brings_a_new_ticket_before_the_old_one_runs_out(hasty_house: House) -> None:
    lesson = await new_lesson(hasty_house)
    await lesson.open()
    ana, host = await lesson.join("ana"), bearer((await lesson.join_by_id(lesson.host)).ticket.token)
    async with lesson.watch(ana.ticket) as watch, lesson.watch(host) as hosting:
        renewed = (await watch.frame("ticket")).ticket
        old = ana.joined.ticket.expire_time
        assert renewed.expire_time.ToNanoseconds() > old.ToNanoseconds()
        assert watch.frames[-1].server_time.ToNanoseconds() < old.ToNanoseconds()
        assert (await lesson.session(bearer(renewed.token))).session_id == lesson.session_id
        await lesson.call("StartSession", by=bearer((await hosting.frame("ticket")).ticket.token))


async def test_who_comes_with_an_old_ticket_gets_a_new_one_at_once(hasty_house: House) -> None:
    lesson = await new_lesson(hasty_house)
    await lesson.open()
    ana = await lesson.join("ana")
    # Old is what could run out before a stream that opens now brings the next one.
    await asyncio.sleep(1.5)
    async with lesson.watch(ana.ticket) as watch:
        await watch.frame("ticket")
        kinds = [frame.WhichOneof("frame") for frame in watch.frames]
        # Before anything that time alone brings.
        assert set(kinds[: kinds.index("ticket")]) <= {"snapshot", "view"}
    # Who wants the past alone gets no ticket for the future.
    request = pb.WatchSessionRequest(session_id=lesson.session_id, replay_only=True)
    frames = hasty_house.sessions.WatchSession(request, metadata=ana.ticket)
    assert [frame.WhichOneof("frame") async for frame in frames] == ["snapshot"]


async def test_a_quiet_stream_says_that_nothing_was_missed(hasty_house: House) -> None:
    lesson = await new_lesson(hasty_house, blocks=2)
    async with lesson.watch() as watch:
        beat = await watch.frame("heartbeat")
        assert beat.cursor == watch.frames[0].cursor
        await lesson.add(true_false())
        await watch.event("blocks_added")


async def test_clients_are_sent_elsewhere_when_a_process_goes_away(house: House, stores: TestStores) -> None:
    lesson = await new_lesson(house, blocks=1)
    async with house_over(stores, house.urls, house.directory) as leaving:
        there = Lesson(leaving, lesson.organization, lesson.host, lesson.session_id)
        async with there.watch() as watch:
            draining = asyncio.ensure_future(leaving.apps["session"].drain())
            goodbye = await watch.frame("reconnect")
            assert await watch.ended() is grpc.StatusCode.OK
            await draining
    assert goodbye.reconnect.cause == stream_pb2.RECONNECT_CAUSE_DRAINING
    assert goodbye.cursor == watch.frames[0].cursor


async def test_a_seat_taken_away_ends_streams_even_when_no_revocation_was_heard(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    ana = await lesson.join("ana")
    async with lesson.watch(ana.ticket) as watch:
        # As if the withdrawal had been lost on its way to the process that has the stream.
        tickets = house.apps["session"]._parts.tickets
        kept, tickets._revocations = tickets._revocations, _Deaf()
        try:
            await lesson.call("KickParticipant", participant_id=ana.id)
            assert await watch.ended() is grpc.StatusCode.UNAUTHENTICATED
        finally:
            tickets._revocations = kept


class _Deaf:
    async def revoke(self, *_: object) -> None:
        """Tell nobody."""
