"""`muster demo`, `import` and `seed`: clients of a running stack, or of one started for them."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from muster_stack.options import JsonOption, StateOption

AddressOption = Annotated[
    str,
    typer.Option(help="Play on this server (host:port), with MUSTER_USER_TOKEN_SECRET; default: our own."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command(name="import")(import_questions)
    app.command()(seed)


def demo(
    state: StateOption,
    *,
    questions: Annotated[
        Path | None, typer.Option(help="Question file (GIFT, Aiken or CSV); default: one of our own.")
    ] = None,
    players: Annotated[int, typer.Option(min=1, max=2000, help="How many play.")] = 30,
    blocks: Annotated[int, typer.Option(min=0, max=2000, help="How many questions; 0 for all.")] = 0,
    pace: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds a question is open at most.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Makes players' names and answers repeatable.")] = 1,
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """Play a quiz with real clients: a host, players who join by code, the leaderboard moving."""
    from muster_stack.playing import run_client

    arguments = ["--players", str(players), "--blocks", str(blocks), "--pace", str(pace), "--seed", str(seed)]
    if questions is not None:
        arguments += ["--questions", str(questions)]
    if as_json:
        arguments.append("--json")
    sys.exit(asyncio.run(run_client("muster_stack.demo", arguments, state=state, address=address)))


def import_questions(
    file: Annotated[Path, typer.Argument(help="Question file: .gift, .txt or .aiken, .csv.")],
    state: StateOption,
    *,
    session: Annotated[str, typer.Option(help="Session to add them to; default: a new draft.")] = "",
    user: Annotated[str, typer.Option(help="As whom.")] = "ada",
    organization: Annotated[str, typer.Option(help="In which organization.")] = "demo",
    check: Annotated[bool, typer.Option("--check", help="Look for faults only; add nothing.")] = False,
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add the questions of a file to a session, all or none; faults are told with their lines."""
    from muster_stack.playing import run_client

    arguments = [str(file), "--session", session, "--user", user, "--organization", organization]
    arguments += ["--check"] * check + ["--json"] * as_json
    sys.exit(asyncio.run(run_client("muster_stack.importing", arguments, state=state, address=address)))


def seed(
    state: StateOption,
    *,
    session: Annotated[str, typer.Option(help="Id of the session to make.")] = "seed",
    participants: Annotated[int, typer.Option(min=1, max=100_000, help="How many join.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, max=500, help="How many rounds are open for answers.")] = 1,
    organization: Annotated[str, typer.Option(help="In which organization.")] = "demo",
    out: Annotated[Path | None, typer.Option(help="File for the JSON; default: standard output.")] = None,
    ghz: Annotated[
        Path | None, typer.Option(help="Directory for what the profiles of deploy/ghz send.")
    ] = None,
    address: AddressOption = "",
) -> None:
    """Make a running session ready for load, with predictable ids, and write its tickets as JSON."""
    from muster_stack.playing import run_client

    arguments = ["--session", session, "--participants", str(participants), "--rounds", str(rounds)]
    arguments += ["--organization", organization]
    if out is not None:
        arguments += ["--out", str(out)]
    if ghz is not None:
        arguments += ["--ghz", str(ghz)]
    sys.exit(asyncio.run(run_client("muster_stack.seeding", arguments, state=state, address=address)))
