"""One stack with two workers for all end-to-end tests that only call it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.running import Running, muster_up


@pytest.fixture(scope="session")
async def running(short_path: Path) -> AsyncIterator[Running]:
    """A stack with two workers on one port."""
    async with muster_up(short_path / "up", workers=2) as stack:
        yield stack
