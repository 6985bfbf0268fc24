"""What `muster up` says: for people, in colours where there is a terminal, or as JSON lines."""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from muster_stack.state import default_path
from muster_stack.supervisor import Notice
from muster_stack.up import Serving

_STYLES = {"ended": "yellow", "failed": "red", "restarted": "green"}

# A call that changes something, for those who have the session service, and one that works without.
_CREATE = (
    "muster.session.v1.SessionService/CreateSession",
    {"settings": {"title": "First quiz", "visibility": "SESSION_VISIBILITY_UNLISTED"}},
)
_CHECK: tuple[str, dict[str, Any]] = ("grpc.health.v1.Health/Check", {})


class Screen:
    """Says what happens, once it has happened."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        # Soft wrapping: a command that is copied must stay one line.
        self._console = Console(soft_wrap=True, highlight=False)

    def serving(self, serving: Serving) -> None:
        """Where it is served, and how to call it."""
        commands = example_commands(serving)
        if self._as_json:
            self._line(
                event="serving",
                address=serving.address,
                pid=os.getpid(),
                state=str(serving.state),
                services=list(serving.services),
                workers=serving.workers,
                commands=commands,
            )
            return
        many = "1 worker" if serving.workers == 1 else f"{serving.workers} workers"
        self._console.print(Text(f"Muster serves on {serving.address}", "bold green"), f"({many})")
        services = ", ".join(serving.services) or "health and reflection alone"
        for label, text in {"services": services, "state": str(serving.state), **commands}.items():
            self._console.print(Text(f"  {label:<9}", "bold"), Text(text), sep="")
        self._console.print("Ctrl-C stops it.")

    def notice(self, notice: Notice) -> None:
        """Something ended, could not be started, or runs again."""
        if self._as_json:
            self._line(event=notice.event, unit=notice.unit, text=notice.text)
        else:
            self._console.print(Text(notice.text, _STYLES.get(notice.event, "")))

    def stopped(self) -> None:
        """Everything has stopped."""
        if self._as_json:
            self._line(event="stopped")
        else:
            self._console.print("Muster has stopped.")

    def _line(self, **fields: object) -> None:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def example_commands(serving: Serving) -> dict[str, str]:
    """Shell commands that work as printed: how to get a token, and two ways to make a call."""
    token = f"{_ours()} token"
    if serving.state != default_path():
        token += f" --state {shlex.quote(str(serving.state))}"
    method, body = _CREATE if "session" in serving.services else _CHECK
    call = f'-H "authorization: Bearer $({token})" -d {shlex.quote(json.dumps(body))}'
    address = _reachable(serving.address)
    return {
        "token": token,
        "buf": f"{_tool('buf')} curl --protocol grpc --http2-prior-knowledge {call} http://{address}/{method}",
        "grpcurl": f"{_tool('grpcurl')} -plaintext {call} {address} {method}",
    }


def _reachable(address: str) -> str:
    host, _, port = address.rpartition(":")
    return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host) + f":{port}"  # noqa: S104 - not bound


def _ours() -> str:
    return (
        _tool("muster")
        if (Path(sys.executable).parent / "muster").exists()
        else f"{sys.executable} -m muster_stack"
    )


def _tool(name: str) -> str:
    """How to call a tool from a shell: by name when it is on the PATH, else beside this Python."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    if beside.exists() and (found is None or not beside.samefile(found)):
        return shlex.quote(str(beside))
    return name
