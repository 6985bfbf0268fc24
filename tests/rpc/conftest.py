"""A migrated database with the service of notes over it, and a house with all services in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from muster_kit.redis_client import open_redis

from tests.conftest import TestStores
from tests.rpc.cutting_proxy import CuttingProxy
from tests.rpc.house import House, open_house
from tests.rpc.notes import ANA, STRANGER, NotesService, prepare, write
from tests.rpc.notes_group import Group
from tests.rpc.presence_ledger import Books, open_books


@pytest.fixture
async def service(stores: TestStores) -> AsyncIterator[NotesService]:
    """The service of notes, in a database of the test's own."""
    urls = await stores.copy_of("notes", prepare)
    service = NotesService.over(urls)
    yield service
    await service.close()
    await stores.drop_database(urls)


@pytest.fixture
async def room_id(service: NotesService) -> str:
    return await service.new_room()


@pytest.fixture
def group(service: NotesService, room_id: str) -> Group:
    return Group(service, service.commands(), room_id)


@pytest.fixture
async def proxy(
    service: NotesService, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(service.urls.app_url, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture
async def two_organizations(service: NotesService) -> NotesService:
    """A room with a row in every table, in each of two organizations."""
    for caller in (ANA, STRANGER):
        room_id = await service.new_room(caller)
        await write(service.commands(), room_id, caller.organization_id, request_id="id", caller=caller)
    await service.all(
        "INSERT INTO notes.deadline (room_id, key, organization_id, fire_time, payload) "
        "SELECT room_id, 'key', organization_id, now(), '' FROM notes.room_log RETURNING 1"
    )
    return service


@pytest.fixture(scope="session")
async def house(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """All services behind one server; a test keeps to an organization of its own."""
    directory: Path = tmp_path_factory.mktemp("house")
    async with open_house(stores, directory) as house:
        yield house


@pytest.fixture
async def books(stores: TestStores) -> AsyncIterator[Books]:
    """A ledger of presence with nothing in it, in a database of the test's own."""
    async with open_redis(stores.redis_url) as redis, open_books(stores, redis) as books:
        yield books
