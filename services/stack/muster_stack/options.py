"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from muster_stack.state import default_path

StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="MUSTER_STATE",
        default_factory=default_path,
        show_default="~/.local/state/muster, or /var/lib/muster for root",
        # Whether it can be used is for us to say, in our words.
        readable=False,
        help="Directory that holds the data, the secrets and the logs.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, for scripts.")]

ServicesArgument = Annotated[list[str], typer.Argument(help="session, presence, scoring, workout")]
