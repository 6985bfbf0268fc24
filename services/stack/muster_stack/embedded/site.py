"""Where the stores run on this machine: as whom, from which programs, behind which sockets."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from muster_stack.embedded import child
from muster_stack.embedded.binaries import Programs
from muster_stack.embedded.daemon import Launch
from muster_stack.embedded.identity import NOBODY_ID, Identity, candidates
from muster_stack.problem import Problem
from muster_stack.state import State


@dataclass(frozen=True, slots=True)
class Site:
    """What both stores share; `postgres_version` is such as "18.6"."""

    identity: Identity
    programs: Programs
    sockets: Path
    postgres_version: str


async def choose_site(state: State) -> Site:
    """The first identity under which PostgreSQL runs here, with all it needs within its reach.

    Raises Problem when a wheel is missing, or when no identity will do.
    """
    wheels = Programs.from_wheels()
    refusals = []
    for identity in candidates():
        programs = _within_reach(wheels, identity, state)
        code, output = await _try(programs, identity)
        if code == 0:
            sockets = state.sockets()
            identity.take(sockets)
            return Site(identity, programs, sockets, _version_in(output))
        refusals.append(output.strip().rstrip(".") or f"exit code {code}")
        if code != child.IDENTITY_REFUSED:
            break
    hint = "; run it as an ordinary user" if os.geteuid() == 0 else ""
    raise Problem(f"The embedded PostgreSQL does not run here: {refusals[-1]}{hint}.")


def _within_reach(wheels: Programs, identity: Identity, state: State) -> Programs:
    """Programs that the identity can run: those of the wheels, or else a copy in the state directory."""
    if identity.owner_id != NOBODY_ID:
        return wheels
    if not identity.reaches(state.root):
        raise Problem(
            f"PostgreSQL may not run as root, and nobody else may enter {state.root}: "
            "choose a directory such as /var/lib/muster with --state."
        )
    # Nobody has to get to what is theirs; all else in there stays closed by its own mode.
    state.root.chmod(0o711)
    if identity.reaches(wheels.postgres) and identity.reaches(wheels.valkey):
        return wheels
    return wheels.copied_to(state.root / "programs")


async def _try(programs: Programs, identity: Identity) -> tuple[int, str]:
    launch = Launch([programs.postgres, "--version"], identity, SIGKILL, {"LC_ALL": "C"})
    process = await launch.spawn(stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await process.communicate()
    return await process.wait(), output.decode(errors="replace")


def _version_in(output: str) -> str:
    found = re.search(r"\d+(?:\.\d+)*", output)
    return found.group() if found else output.strip()
