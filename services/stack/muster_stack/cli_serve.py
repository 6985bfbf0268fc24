"""`muster serve`, `migrate` and `health`: services on a PostgreSQL and a Redis that others run."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from muster_stack.options import ServicesArgument
from muster_stack.problem import Problem


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(migrate)
    app.command()(health)


def serve(
    services: ServicesArgument,
    *,
    listen: Annotated[
        str, typer.Option(envvar="MUSTER_LISTEN", help="Address to serve on.")
    ] = "127.0.0.1:7700",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes that share the port.")] = 1,
) -> None:
    """Serve one or several services on the stores that the MUSTER_… settings name."""
    from muster_stack.configuration import read_settings
    from muster_stack.services import chosen

    names = chosen(services)
    os.environ["MUSTER_LISTEN"] = listen
    settings = read_settings()
    for variable, value in {
        "MUSTER_DATABASE_URL": settings.database_url,
        "MUSTER_WRITER_DATABASE_URL": settings.writer_database_url,
    }.items():
        if not value:
            raise Problem(f"{variable} is not set: say where PostgreSQL is, or use `muster up`.")
    if workers == 1:
        from muster_stack.worker import main

        sys.exit(main(names))
    from muster_stack.crew import run_crew

    asyncio.run(run_crew(names, settings, workers))


def migrate() -> None:
    """Make or update the schemas in PostgreSQL; also the roles, given MUSTER_ADMIN_DATABASE_URL."""
    from muster_stack.configuration import ADMIN_VARIABLE, read_settings
    from muster_stack.migration import bring_up_to_date

    schemas = asyncio.run(bring_up_to_date(read_settings(), os.environ.get(ADMIN_VARIABLE, "")))
    typer.echo(f"Up to date: {', '.join(schemas) or 'nothing to keep'}.")


def health(
    address: Annotated[str, typer.Argument(help="host:port; default: the setting `advertise`.")] = "",
    *,
    service: Annotated[str, typer.Option(help="A service by its full name; default: all of them.")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 3.0,
) -> None:
    """Ask a server whether it serves; exits with 1 unless it does."""
    from muster_stack.checking import check
    from muster_stack.configuration import read_settings

    settings = read_settings()
    typer.echo(asyncio.run(check(address or settings.advertise, service, timeout, settings.tls_ca_file)))
