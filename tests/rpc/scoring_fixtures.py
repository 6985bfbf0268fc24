"""The scoring service as its tests call it: one or several processes' worth of it over one database."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from muster.scoring.v1 import rules_pb2
from muster.scoring.v1.board_service_pb2_grpc import BoardServiceStub
from muster.scoring.v1.round_service_pb2_grpc import RoundServiceStub
from muster_kit.db.migrate import migrate
from muster_kit.rpc.tokens import TicketSigner, write_ticket_key
from muster_kit.settings import Settings
from muster_scoring.app import ScoringApp, build
from muster_stack.hosting import Host
from muster_stack.services import migrations_of

from tests.conftest import DatabaseUrls, TestStores
from tests.rpc.scoring_game import SECRET, Game

_NOWHERE = "redis://127.0.0.1:1/0"


@dataclass(frozen=True, slots=True)
class Instance:
    """One process's worth of the service."""

    app: ScoringApp
    address: str
    channel: Any
    rounds: Any
    boards: Any


@dataclass(slots=True)
class Scoring:
    """Instances over one database; calls go to the first unless told otherwise."""

    urls: DatabaseUrls
    signer: TicketSigner
    instances: Sequence[Instance]

    @property
    def rounds(self) -> Any:
        """The first instance's RoundService."""
        return self.instances[0].rounds

    @property
    def boards(self) -> Any:
        """The first instance's BoardService."""
        return self.instances[0].boards

    def game(self, **rules: Any) -> Game:
        """A new session in an organization of its own."""
        return Game(self, organization=f"o-{uuid.uuid4().hex[:8]}", rules=rules_pb2.ScoringRules(**rules))

    async def rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Rows of any query, as the superuser sees them."""
        connection = await asyncpg.connect(self.urls.admin_url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *values)
            return rows
        finally:
            await connection.close()


@asynccontextmanager
async def open_scoring(
    stores: TestStores, directory: Path, *, instances: int = 2, deaf_instances: int = 0
) -> AsyncIterator[Scoring]:
    """Run the service, migrated, in a database of its own; the last `deaf_instances` cannot reach Redis."""
    urls = await stores.copy_of("scoring", prepare)
    ticket_key = directory / "ticket-key.pem"
    write_ticket_key(ticket_key)
    redis_urls = [stores.redis_url] * instances + [_NOWHERE] * deaf_instances
    async with AsyncExitStack() as exits:
        running = []
        for redis_url in redis_urls:
            settings = Settings(
                database_url=urls.app_url,
                writer_database_url=urls.writer_url,
                redis_url=redis_url,
                listen="127.0.0.1:0",
                user_token_secret=SECRET,
                service_token_secret=SECRET,
                ticket_private_key_file=ticket_key,
                drain_seconds=1,
            )
            running.append(await _start(settings, exits))
        yield Scoring(urls, TicketSigner.read(ticket_key), running)
    await stores.drop_database(urls)


async def _start(settings: Settings, exits: AsyncExitStack) -> Instance:
    app = build(settings)
    host = await exits.enter_async_context(Host(settings, [app]))
    address = f"127.0.0.1:{host.port}"
    # Channels of one process share connections, unless they are told apart.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = await exits.enter_async_context(grpc.aio.insecure_channel(address, options))
    return Instance(app, address, channel, RoundServiceStub(channel), BoardServiceStub(channel))


async def prepare(urls: DatabaseUrls) -> None:
    """Migrate a database for scoring."""
    versions = migrations_of("scoring")
    assert versions is not None
    await migrate(urls.owner_url, schema="scoring", versions=versions)
