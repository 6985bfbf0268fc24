"""Both embedded stores over one state directory."""

from muster_stack.credentials import Credentials, credentials_of
from muster_stack.embedded.log import Log
from muster_stack.embedded.postgres import Postgres
from muster_stack.embedded.site import choose_site
from muster_stack.embedded.valkey import Valkey
from muster_stack.state import State

DATABASE = "muster"


class Stores:
    """An embedded PostgreSQL and Valkey and the secrets to reach them."""

    def __init__(self, *, postgres: Postgres, valkey: Valkey, credentials: Credentials) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.credentials = credentials

    def admin_url(self, database: str = "postgres") -> str:
        """The address of a database for the superuser, who alone makes roles and databases."""
        return self.postgres.url(database=database)

    def owner_url(self, database: str = DATABASE) -> str:
        """The address of a database for the role that owns the tables."""
        return self.postgres.url("muster_owner", self.credentials.muster_owner, database)

    def app_url(self, database: str = DATABASE) -> str:
        """The address of a database for the services."""
        return self.postgres.url("muster_app", self.credentials.muster_app, database)

    def writer_url(self, database: str = DATABASE) -> str:
        """The address of a database for batch writers and timers."""
        return self.postgres.url("muster_writer", self.credentials.muster_writer, database)

    async def start(self) -> None:
        """Start both and see to it that the database exists."""
        await self.valkey.start()
        await self.postgres.start()
        await self.ensure_database()

    async def ensure_database(self) -> None:
        """Make the database of the services when it does not exist; PostgreSQL has to run."""
        await self.postgres.catalog().ensure_database(DATABASE)

    async def stop(self) -> None:
        """Stop both, cleanly."""
        await self.valkey.stop()
        await self.postgres.stop()

    @property
    def redis_url(self) -> str:
        """The address of Valkey."""
        return self.valkey.url

    @property
    def role_passwords(self) -> dict[str, str]:
        """Role → password, of the roles that migrations need."""
        secrets = self.credentials
        return {
            "muster_owner": secrets.muster_owner,
            "muster_app": secrets.muster_app,
            "muster_writer": secrets.muster_writer,
        }


async def prepare_stores(state: State) -> Stores:
    """Stores over `state`, not started yet; a Problem when they cannot run here."""
    site = await choose_site(state)
    credentials = credentials_of(state.root)
    postgres = Postgres(
        home=state.postgres,
        log=Log(state.logs / "postgres.log"),
        password=credentials.postgres,
        site=site,
    )
    valkey = Valkey(
        home=state.valkey,
        log=Log(state.logs / "valkey.log"),
        password=credentials.valkey,
        site=site,
    )
    return Stores(postgres=postgres, valkey=valkey, credentials=credentials)
