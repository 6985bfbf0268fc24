"""Roles and schemas brought up to date; the supervisor runs it as a child process and waits.

`python -m muster_stack.migration`: addresses come from the environment, `MUSTER_ADMIN_DATABASE_URL`
beside the settings. With it the database and the roles are made too; without, an operator has made them.
"""

import asyncio
import os
import sys
from urllib.parse import unquote, urlsplit

import asyncpg
from muster_kit.db.migrate import APP_ROLE, OWNER_ROLE, WRITER_ROLE, create_roles, migrate
from muster_kit.settings import Settings
from sqlalchemy.exc import SQLAlchemyError

from muster_stack.configuration import ADMIN_VARIABLE, read_settings
from muster_stack.problem import Problem
from muster_stack.services import SERVICES, migrations_of


async def bring_up_to_date(settings: Settings, admin_url: str = "") -> list[str]:
    """Make what is missing: roles (with the passwords in the settings' addresses) and schemas, named.

    Raises Problem when the database refuses or is not there; each service's schema is changed in one
    transaction, so that a failure leaves it as it was.
    """
    if not settings.owner_database_url:
        raise Problem("MUSTER_OWNER_DATABASE_URL is not set: migrations need the role that owns the tables.")
    try:
        if admin_url:
            await create_roles(admin_url, _passwords(settings))
        folders = {service: versions for service in SERVICES if (versions := migrations_of(service))}
        for schema, versions in folders.items():
            await migrate(settings.owner_database_url, schema=schema, versions=versions)
        return list(folders)
    except (SQLAlchemyError, asyncpg.PostgresError, OSError) as error:
        raise Problem(f"The database cannot be brought up to date: {_first_line(error)}.") from error


def _passwords(settings: Settings) -> dict[str, str]:
    addresses = {
        OWNER_ROLE: settings.owner_database_url,
        APP_ROLE: settings.database_url,
        WRITER_ROLE: settings.writer_database_url,
    }
    passwords = {}
    for role, address in addresses.items():
        parts = urlsplit(address)
        if unquote(parts.username or "") != role or not parts.password:
            raise Problem(f"To make the role {role}, its address has to name it and its password.")
        passwords[role] = unquote(parts.password)
    return passwords


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def main() -> int:
    """Run as a program; returns the exit code, with one sentence on stderr when it is not 0."""
    try:
        asyncio.run(bring_up_to_date(read_settings(), os.environ.get(ADMIN_VARIABLE, "")))
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
