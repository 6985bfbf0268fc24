"""The log file of a child process, and its last words when it ends badly."""

import os
from pathlib import Path
from typing import TextIO

from muster_stack.problem import disk_full, free_bytes

_KEPT_BYTES = 8 * 1024 * 1024
_TAIL_BYTES = 8192
_SCANT_BYTES = 64 * 1024
_NO_ROOM = "No space left on device"
# PostgreSQL's answer to us while it recovers: FATAL for the connection, not for the server.
_STARTING = "the database system is starting up"
_TELLING = ("FATAL", "PANIC", "rror", "refused")


class Log:
    """A file that a child appends to; the one before it is kept when it has grown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> TextIO:
        """Open it for a child that is about to start."""
        if self.path.exists() and self.path.stat().st_size > _KEPT_BYTES:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        file = self.path.open("a")
        self._start = file.tell()
        return file

    def last_words(self, name: str) -> str:
        """One sentence on why the child ended, as far as it said so since it was started."""
        lines = [line for line in self._said() if line.strip() and _STARTING not in line]
        # On a full disk the log itself ends before the reason.
        if any(_NO_ROOM in line for line in lines) or free_bytes(self.path.parent) < _SCANT_BYTES:
            return disk_full(self.path.parent)
        telling = [line for line in lines if any(word in line for word in _TELLING)]
        said = (telling or lines or ["it left no message"])[-1].strip().rstrip(".")
        return f"{name} ended: {said} (see {self.path})."

    def last_line(self) -> str:
        """The last line the child wrote since it was started; empty when it wrote none."""
        return next((line for line in reversed(self._said()) if line.strip()), "")

    def _said(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._start, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
