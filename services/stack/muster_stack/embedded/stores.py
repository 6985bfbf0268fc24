"""Both embedded stores over one state directory."""

import asyncio
import os
from signal import SIGKILL

from muster_stack.credentials import Credentials, credentials_of
from muster_stack.embedded import child
from muster_stack.embedded.binaries import postgres_program, valkey_program
from muster_stack.embedded.daemon import Launch
from muster_stack.embedded.identity import NOBODY_ID, Identity, candidates
from muster_stack.embedded.log import Log
from muster_stack.embedded.postgres import Postgres, version_in
from muster_stack.embedded.valkey import Valkey
from muster_stack.problem import Problem
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
        await self.postgres.ensure_database(DATABASE)

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
    """Stores over `state`, not started yet; a Problem when a binary or an identity is missing."""
    identity, version = await _identify()
    sockets = state.sockets()
    if identity.owner_id == NOBODY_ID:
        # Nobody has to get to what is theirs; what is not stays closed by its own mode.
        state.root.chmod(0o711)
    identity.take(sockets)
    credentials = credentials_of(state.root)
    postgres = Postgres(
        home=state.postgres,
        sockets=sockets,
        log=Log(state.logs / "postgres.log"),
        password=credentials.postgres,
        identity=identity,
        version=version,
    )
    valkey = Valkey(
        home=state.valkey,
        sockets=sockets,
        log=Log(state.logs / "valkey.log"),
        password=credentials.valkey,
        identity=identity,
    )
    return Stores(postgres=postgres, valkey=valkey, credentials=credentials)


async def _identify() -> tuple[Identity, str]:
    """The first identity under which PostgreSQL runs here, and PostgreSQL's version."""
    program = postgres_program("postgres")
    valkey_program()
    output = ""
    for identity in candidates():
        launch = Launch([program, "--version"], identity, SIGKILL, {"LC_ALL": "C"})
        process = await launch.spawn(stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        output = (await process.communicate())[0].decode(errors="replace")
        if process.returncode == 0:
            return identity, version_in(output)
        if process.returncode not in (child.IDENTITY_REFUSED, child.PROGRAM_MISSING):
            break
    if os.geteuid() == 0:
        raise Problem(
            "PostgreSQL may not run as root, and user namespaces are refused here while nobody may not reach "
            f"{program}: install Muster where every user can read it, or run it as an ordinary user."
        )
    raise Problem(f"The embedded PostgreSQL does not run here: {output.strip() or 'no output'}.")
