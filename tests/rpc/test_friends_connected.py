"""Whoever connects may have friends shown on the stream that says they are here themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from muster.presence.v1 import presence_service_pb2
from muster.presence.v1.presence_pb2 import PRESENCE_STATE_UNSPECIFIED

from tests.rpc.house import House
from tests.rpc.presence_friends import SECONDS, Club, active, watching


@pytest.fixture
def club(house: House) -> Club:
    return Club(house)


class Connected:
    """Someone who is connected, and the friends that views have brought them."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.here: dict[str, Any] = {}
        self.views = 0
        self.leases = 0
        self.told = 0

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition(self):
                frame = await self.call.read()
                self.told += len(frame.events.events)
                if frame.WhichOneof("frame") != "view":
                    continue
                self.views += 1
                self.leases += frame.view.HasField("lease")
                self.here = {} if frame.view.full else self.here
                self.here |= {one.user_id: one for one in frame.view.friends}

    def state_of(self, user_id: str) -> int:
        return self.here[user_id].state if user_id in self.here else PRESENCE_STATE_UNSPECIFIED


@asynccontextmanager
async def connected(club: Club, user_id: str, **said: Any) -> AsyncIterator[Connected]:
    request = presence_service_pb2.ConnectRequest(**{"device_id": "phone", **said})
    call = club.house.presence.Connect(request, metadata=club.user(user_id))
    try:
        yield Connected(call)
    finally:
        call.cancel()


async def test_whoever_connects_may_have_friends_shown(club: Club) -> None:
    await club.befriend("me", "ana", "bo")
    await club.beat("bo")
    async with (
        connected(club, "me", include_friends=True) as with_friends,
        connected(club, "me", device_id="tv") as without,
    ):
        await with_friends.until(active("bo"))
        assert with_friends.leases == 1
        await without.until(lambda held: held.leases)
        await club.beat("ana")
        await with_friends.until(active("ana", "bo"))
        await club.leave("bo")
        await with_friends.until(active("ana"))
        await club.call("RemoveFriend", "ana", user_id="me")
        await with_friends.until(active())
        await club.ask("cy", "me")
        # The friendship that ended, and the request: what was before it has been sent before it.
        await without.until(lambda held: held.told == 2)
        assert (without.views, without.here) == (1, {})
    async with connected(club, "me", include_friends=True) as again:
        await again.until(lambda held: held.views == 2)
        assert again.here == {}


async def test_two_who_connect_see_each_other(club: Club) -> None:
    await club.befriend("ana", "bo")
    async with connected(club, "ana", include_friends=True) as ana:
        await ana.until(lambda held: held.views == 2)
        async with connected(club, "bo", include_friends=True) as bo:
            await bo.until(active("ana"))
            await ana.until(active("bo"))


async def test_nothing_is_kept_of_those_who_have_gone(club: Club) -> None:
    await club.befriend("me", "ana")
    app: Any = club.house.apps["presence"]
    async with watching(club, "me") as watcher, connected(club, "me", include_friends=True) as device:
        await watcher.until(lambda held: held.views)
        await device.until(lambda held: held.views == 2)
        assert club.organization in app._friends.sights._sights
    async with asyncio.timeout(SECONDS):
        while club.organization in app._friends.sights._sights:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert not [key for key in app._friends.sights._seeing if key[0] == club.organization]
