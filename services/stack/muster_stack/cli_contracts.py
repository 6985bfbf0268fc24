"""`muster protoset`: the contracts as one file, for tools that cannot ask by reflection."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster_stack.problem import Problem


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(protoset)


def protoset(
    file: Annotated[Path, typer.Argument(help="Where to write it; - for stdout.")] = Path("-"),
) -> None:
    """Write all contracts and what they import as a FileDescriptorSet (for ghz and grpcurl -protoset)."""
    from muster_stack.contracts import descriptor_set

    content = descriptor_set().SerializeToString(deterministic=True)
    if file != Path("-"):
        try:
            file.write_bytes(content)
        except OSError as error:
            raise Problem.from_os_error(error, file) from error
        return
    if sys.stdout.isatty():
        raise Problem("A protoset is not text: name a file, or send it somewhere else than the terminal.")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
