"""The process that hosts services: one server, one port, stopped by SIGTERM after a drain.

`python -m muster_stack.worker [--ready-fd N] [--shared] SERVICE…`; settings come from the environment.
"""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from importlib import import_module
from typing import Any, Final

import uvloop
from muster_kit.app import BuildApp, ServiceApp
from muster_kit.settings import Settings
from muster_kit.telemetry import configure_logging

from muster_stack.configuration import read_settings
from muster_stack.hosting import Host
from muster_stack.memory import give_back_large_blocks
from muster_stack.problem import Problem

# So many more objects than at the last collection start the next one; the interpreter's 700 are few calls.
_COLLECT_AFTER: Final = 10_000
_COLLECTIONS_A_GENERATION: Final = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="muster_stack.worker")
    parser.add_argument("services", nargs="*")
    parser.add_argument("--ready-fd", type=int, help="Descriptor to write a line to once serving.")
    parser.add_argument("--shared", action="store_true", help="Other workers listen on the same port.")
    options = parser.parse_args(arguments)
    give_back_large_blocks()
    try:
        settings = read_settings()
        configure_logging(json=settings.log_json)
        uvloop.run(serve(settings, options.services, ready_fd=options.ready_fd, shared=options.shared))
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


async def serve(
    settings: Settings, services: Sequence[str], *, ready_fd: int | None = None, shared: bool = False
) -> None:
    """Host `services` until SIGTERM or SIGINT; a second signal cuts the drain short."""
    told_to_stop = _stop_signals()
    async with Host(settings, [_build(name, settings) for name in services], reuse_port=shared) as host:
        _spare_collections()
        _say_ready(ready_fd)
        await _first_of(told_to_stop.wait(), host.lost())
        told_to_stop.clear()
        await _first_of(host.drain(), told_to_stop.wait())


async def _first_of(*ways: Coroutine[Any, Any, object]) -> None:
    """Wait until one of them has returned or raised, which is raised here too; the others are cancelled."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _build(name: str, settings: Settings) -> ServiceApp:
    build: BuildApp = import_module(f"muster_{name}.app").build
    try:
        return build(settings)
    except (ValueError, OSError) as error:
        # What an operator forgot or mistyped, such as the file of a key.
        raise Problem(f"The service {name} cannot be composed: {str(error).rstrip('.')}.") from error


def _stop_signals() -> asyncio.Event:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    return told


def _spare_collections() -> None:
    """Leave what has been made so far out of garbage collections: it stays until the end.

    These are some hundred thousand objects: code, contracts, tables. To look through all of them takes a
    tenth of a second, in which no call is served.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, _COLLECTIONS_A_GENERATION, _COLLECTIONS_A_GENERATION)


def _say_ready(descriptor: int | None) -> None:
    if descriptor is not None:
        os.write(descriptor, b"ready\n")
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
