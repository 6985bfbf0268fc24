"""Rooms in a database of the module's own."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import TestStores
from tests.streams.rooms import Worker, World, prepare


@pytest.fixture(scope="module")
async def world(stores: TestStores) -> AsyncIterator[World]:
    """A database of rooms, and a Redis."""
    urls = await stores.copy_of("rooms", prepare)
    async with World.over(urls, stores.redis_url) as world:
        yield world
    await stores.drop_database(urls)


@pytest.fixture
async def worker(world: World) -> AsyncIterator[Worker]:
    """One worker."""
    async with world.worker() as worker:
        yield worker


@pytest.fixture
async def other_worker(world: World) -> AsyncIterator[Worker]:
    """Another worker."""
    async with world.worker() as worker:
        yield worker


@pytest.fixture
async def room_id(world: World) -> str:
    """A room of north without events."""
    return await world.create_room()
