"""Runs a client as a process of its own, against a stack that runs already or one started for it."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from muster_stack.configuration import read_settings
from muster_stack.credentials import Credentials
from muster_stack.embedded.daemon import Launch
from muster_stack.embedded.identity import OURSELVES
from muster_stack.problem import Problem
from muster_stack.services import all_built
from muster_stack.state import State
from muster_stack.supervisor import Notice
from muster_stack.up import Plan, Serving, run

ADDRESS_VARIABLE = "MUSTER_ADDRESS"
"""Where the client finds the server; this process never loads grpc, so the client is a child."""


async def run_client(module: str, arguments: Sequence[str], *, state: Path, address: str) -> int:
    """Run `python -m module` and return its exit code.

    It plays on `address` if there is one, else on the `muster up` that runs on `state`, else on a stack
    started on `state` and stopped again afterwards.
    """
    if address:
        return await _client(module, arguments, {ADDRESS_VARIABLE: address})
    kept = State(state)
    if running := kept.running():
        secrets = Credentials.read(kept.root / "credentials.json")
        environment = {
            ADDRESS_VARIABLE: running.address,
            "MUSTER_USER_TOKEN_SECRET": secrets.user_token_secret,
            "MUSTER_SERVICE_TOKEN_SECRET": secrets.service_token_secret,
        }
        return await _client(module, arguments, {**environment, **os.environ})
    codes: list[int] = []

    async def play(serving: Serving) -> None:
        environment = {**serving.environment, ADDRESS_VARIABLE: serving.address}
        codes.append(await _client(module, arguments, environment))

    plan = Plan(state, "127.0.0.1", 0, 1, all_built())
    await run(plan, while_serving=play, report=_report)
    return codes[0] if codes else 128 + signal.SIGINT


async def _client(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    command = [sys.executable, "-P", "-m", module, *arguments]
    launch = Launch(command, OURSELVES, signal.SIGKILL, {**os.environ, **environment}, Path.cwd())
    process = await launch.spawn()
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise


def _report(notice: Notice) -> None:
    sys.stderr.write(f"{notice.text}\n")


def client_address() -> str:
    """Where to connect, as the parent said."""
    return os.environ.get(ADDRESS_VARIABLE) or read_settings().advertise


def user_token_secret() -> str:
    """The secret to sign users' tokens with; a Problem when there is none."""
    return _given(read_settings().user_token_secret, "MUSTER_USER_TOKEN_SECRET")


def service_token_secret() -> str:
    """The secret to sign services' tokens with; a Problem when there is none."""
    return _given(read_settings().service_token_secret, "MUSTER_SERVICE_TOKEN_SECRET")


def _given(secret: SecretStr | None, variable: str) -> str:
    if secret is None:
        raise Problem(f"{variable} is not set: the server's secret is needed to make tokens.")
    return secret.get_secret_value()
