"""A migrated database with the service of notes over it."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import TestStores
from tests.rpc.notes import NotesService, prepare


@pytest.fixture
async def service(stores: TestStores) -> AsyncIterator[NotesService]:
    """The service of notes, in a database of the test's own."""
    urls = await stores.copy_of("notes", prepare)
    service = NotesService.over(urls)
    yield service
    await service.close()
    await stores.drop_database(urls)
