"""The embedded stores that every test shares, and fresh databases in them."""

import copy
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import hypothesis
import pytest
from muster_kit.db.migrate import create_roles
from muster_stack.embedded.postgres import Postgres
from muster_stack.embedded.site import choose_site
from muster_stack.embedded.stores import DATABASE, Stores, prepare_stores
from muster_stack.embedded.valkey import Valkey
from muster_stack.state import State

from tests.valkey_cluster import ValkeyCluster

# A busy machine is no failure. Where nobody looks at what was found, the examples are the same each time.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """One database, as each role reaches it."""

    name: str
    admin_url: str
    owner_url: str
    app_url: str
    writer_url: str


class TestStores:
    """The running stores; `postgres` and `valkey` can be stopped, killed and started by a test.

    Whoever stops one starts it again before the test ends. With a cluster, that is the Valkey.
    """

    __test__ = False

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self.valkey: Valkey | ValkeyCluster = stores.valkey
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}
        main = self.urls(DATABASE)
        self.admin_url, self.owner_url = main.admin_url, main.owner_url
        self.app_url, self.writer_url = main.app_url, main.writer_url
        self.redis_url = self.valkey.url
        self.role_passwords = stores.role_passwords

    @property
    def postgres(self) -> Postgres:
        """`await stop()`, `kill()`, `await wait()`, `await start()`."""
        return self._stores.postgres

    def over(self, cluster: ValkeyCluster) -> "TestStores":
        """The same, with a cluster for the Valkey."""
        stores = copy.copy(self)
        stores.valkey, stores.redis_url = cluster, cluster.url
        return stores

    def urls(self, name: str) -> DatabaseUrls:
        """The addresses of a database."""
        stores = self._stores
        return DatabaseUrls(
            name,
            stores.admin_url(name),
            stores.owner_url(name),
            stores.app_url(name),
            stores.writer_url(name),
        )

    async def create_database(self, template: str = "template1") -> DatabaseUrls:
        """A new database that muster_owner owns, copied from `template`, which nobody may be connected to."""
        name = f"test_{next(self._numbers)}"
        await self._administer(f'CREATE DATABASE "{name}" OWNER muster_owner TEMPLATE "{template}"')
        return self.urls(name)

    async def copy_of(self, key: str, prepare: Callable[[DatabaseUrls], Awaitable[None]]) -> DatabaseUrls:
        """A new database as `prepare` (migrations, say) left it; it runs once a session for each `key`."""
        if key not in self._templates:
            made = await self.create_database()
            await prepare(made)
            self._templates[key] = made.name
        return await self.create_database(self._templates[key])

    async def drop_database(self, database: DatabaseUrls) -> None:
        """Drop a database, cutting who is still connected."""
        await self._administer(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self._stores.admin_url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for sockets in it."""
    directory = Path(tempfile.mkdtemp(prefix="muster-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def state_directory(short_path: Path) -> AsyncIterator[State]:
    """A state directory that is this run's."""
    state = State(short_path / "state")
    state.prepare()
    with state.locked():
        yield state


@pytest.fixture(scope="session")
async def embedded_stores(state_directory: State) -> AsyncIterator[TestStores]:
    """PostgreSQL and Valkey for the whole run; they die with this process, however it ends."""
    running = await prepare_stores(state_directory)
    try:
        await running.start()
        await create_roles(running.admin_url(DATABASE), running.role_passwords)
        yield TestStores(running)
    finally:
        await running.stop()


@pytest.fixture(scope="session")
async def cluster(state_directory: State) -> AsyncIterator[ValkeyCluster]:
    """A Valkey Cluster for the whole run; it dies with this process too."""
    cluster = ValkeyCluster(
        home=state_directory.root,
        log=state_directory.logs / "cluster.log",
        site=await choose_site(state_directory),
    )
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@pytest.fixture(scope="session")
def clustered_stores(embedded_stores: TestStores, cluster: ValkeyCluster) -> TestStores:
    """PostgreSQL and a Valkey Cluster."""
    return embedded_stores.over(cluster)


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest, embedded_stores: TestStores) -> TestStores:
    """PostgreSQL and Valkey, or with MUSTER_TEST_REDIS=cluster a cluster of it."""
    if os.environ.get("MUSTER_TEST_REDIS") == "cluster":
        clustered: TestStores = request.getfixturevalue("clustered_stores")
        return clustered
    return embedded_stores


@pytest.fixture(scope="module")
async def database(stores: TestStores) -> AsyncIterator[DatabaseUrls]:
    """An empty database for one test module."""
    urls = await stores.create_database()
    yield urls
    await stores.drop_database(urls)
