"""Measures Muster on this machine, each figure against another of the same run: python -m tests.bench."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from tests.bench import machine
from tests.bench.bench_row import QUICK, THOROUGH, Effort, Row
from tests.bench.figures import Result
from tests.bench.generator import Generator
from tests.bench.rows import ROWS
from tests.bench.stack import NotMeasuredError, new_directory
from tests.bench.table import as_json, print_table

_PLAIN_COLUMNS = 110


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    known = ", ".join(f"{row.number}: {row.title}" for row in ROWS)
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        choices=[row.number for row in ROWS],
        help=f"rows to measure; default: all ({known})",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser.parse_args()


async def _measured(row: Row, generator: Generator, effort: Effort) -> Result:
    """Measure one row; what goes wrong there is its own affair."""
    start, figures, failure = time.monotonic(), (), ""
    try:
        async with asyncio.timeout(row.limit_seconds):
            figures = await row.measure(generator, effort)
    except NotMeasuredError as error:
        failure = str(error)
    except TimeoutError:
        failure = f"It took longer than {row.limit_seconds:.0f} s."
    except Exception as error:  # noqa: BLE001 - the other rows are measured all the same
        failure = _first(error)
    return Result(
        number=row.number,
        title=row.title,
        figures=figures,
        seconds=time.monotonic() - start,
        load_average=machine.load_average(),
        failure=failure,
    )


def _first(error: BaseException) -> str:
    """What went wrong first, of all that went wrong at once."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{error}" if isinstance(error, NotMeasuredError) else f"{type(error).__name__}: {error}"


def _end_cleanly_when_told() -> None:
    """Whoever ends the bench, also by a time limit around it, ends what it started."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)


async def _main(rows: Sequence[Row], effort: Effort, console: Console) -> list[Result]:
    _end_cleanly_when_told()
    results = []
    async with new_directory() as files:
        generator = await Generator.built(files)
        for row in rows:
            console.print(f"row {row.number}: {row.title}", style="dim")
            results.append(await _measured(row, generator, effort))
    return results


def _wide_enough(console: Console) -> Console:
    """A console as it is where somebody looks at it, and one that holds the table elsewhere."""
    return console if console.is_terminal else Console(width=_PLAIN_COLUMNS)


def main() -> int:
    """Measure and print; returns the exit code."""
    options = _arguments()
    # Sessions of the bench are larger than most deployments allow.
    os.environ.setdefault("MUSTER_SESSION_MAX_PARTICIPANTS", "100000")
    logging.disable()
    progress = Console(stderr=True)
    rows = [row for row in ROWS if not options.rows or row.number in options.rows]
    try:
        results = uvloop.run(_main(rows, QUICK if options.quick else THOROUGH, progress))
    except NotMeasuredError as error:
        progress.print(f"{error}", style="red")
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        progress.print("Ended before its time.", style="red")
        return 1
    about = machine.described()
    print_table(results, about, _wide_enough(Console()))
    if options.json:
        options.json.write_text(json.dumps(as_json(results, about), indent=2) + "\n")
    return int(options.strict and not all(result.met for result in results))


if __name__ == "__main__":
    sys.exit(main())
