"""A whole stack as a newcomer starts it: `muster up` as a process, found through what it prints."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from muster_kit.caller import OrganizationRole
from muster_kit.rpc.tokens import issue_service_token, issue_user_token
from muster_stack.credentials import Credentials
from muster_stack.embedded.daemon import Launch
from muster_stack.embedded.identity import OURSELVES

MUSTER = Path(sys.executable).parent / "muster"


@dataclass(frozen=True, slots=True)
class Running:
    """A running stack: its address, and tokens its services take."""

    address: str
    state: Path
    pid: int
    said: asyncio.StreamReader
    """What it goes on to say, a JSON object a line."""

    def user_token(self, user: str, *, role: str, organization: str = "school", name: str = "") -> str:
        """A token of a user, as an identity provider would give."""
        return issue_user_token(
            Credentials.read(self.state / "credentials.json").user_token_secret,
            subject=user,
            organization_id=organization,
            organization_role=OrganizationRole(role),
            display_name=name or user,
        )

    def service_token(self, service: str = "tests", *, organization: str = "") -> str:
        """A token of an internal service."""
        secret = Credentials.read(self.state / "credentials.json").service_token_secret
        return issue_service_token(secret, service=service, organization_id=organization)


def untraced_environment() -> dict[str, str]:
    """The environment of stacks that run for long or are started often: tracing costs them half as much more.

    Those of `muster demo` and `muster serve` are traced.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


@contextlib.asynccontextmanager
async def muster_up(state: Path, *, workers: int = 1) -> AsyncIterator[Running]:
    """Run `muster up` on any free port until the block ends; it must stop cleanly then.

    It stops as well when this process dies, however that happens.
    """
    command = [MUSTER, "up", "--json", "--port", "0", "--state", state, "--workers", str(workers)]
    environment = {**untraced_environment(), "PYTHONUNBUFFERED": "1"}
    launch = Launch(command, OURSELVES, signal.SIGTERM, environment, Path.cwd())
    process = await launch.spawn(stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line, f"muster up ended with {await process.wait()}"
        serving = json.loads(line)
        assert serving["event"] == "serving", serving
        yield Running(serving["address"], state, process.pid, process.stdout)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.wait()
    assert process.returncode == 0
