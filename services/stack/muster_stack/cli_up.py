"""`muster up`: everything on one machine, with stores of our own."""

import asyncio
from typing import Annotated

import typer

from muster_stack.options import JsonOption, StateOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    state: StateOption,
    *,
    host: Annotated[
        str, typer.Option(help="Address to serve on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 for any free one.")] = 7700,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes that share the port.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Start PostgreSQL, Valkey and all services on one address; Ctrl-C stops everything."""
    from muster_stack.screen import Screen
    from muster_stack.services import all_built
    from muster_stack.up import Plan, Serving, run

    screen = Screen(as_json=as_json)

    async def announce(serving: Serving) -> None:
        screen.serving(serving)
        await asyncio.Event().wait()

    plan = Plan(state, host, port, workers, all_built())
    asyncio.run(run(plan, while_serving=announce, report=screen.notice))
    screen.stopped()
