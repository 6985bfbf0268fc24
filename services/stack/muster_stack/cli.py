"""The `muster` command: its frame, and the one place where commands are registered."""

import sys
from importlib.metadata import version as installed_version

import typer

from muster_stack import cli_contracts, cli_play, cli_serve, cli_tokens, cli_up
from muster_stack.problem import Problem

app = typer.Typer(
    name="muster",
    help="The backend for what people do live, together: quizzes, lessons, tests, workouts.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would show passwords.
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"muster {installed_version('muster')}")


# Each module adds its commands, and imports what is slow, or loads grpc, only when one of them runs:
# the supervisor must not have it.
for _commands in (cli_play, cli_up, cli_serve, cli_tokens, cli_contracts):
    _commands.register(app)


def main() -> None:
    """Run the command line; what stands in the way is one sentence on stderr and exit code 1."""
    try:
        app()
    except Problem as problem:
        typer.echo(f"{problem}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
