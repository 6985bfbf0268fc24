"""What the kernel knows of the machine and of processes: cores, load, CPU time, memory."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import grpc

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def described() -> str:
    """The machine as far as it matters for ratios."""
    return f"{cores()} shared cores, Python {platform.python_version()}, grpcio {grpc.__version__}"


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))


def load_average() -> float:
    """Runnable processes, averaged over the last minute."""
    return os.getloadavg()[0]


def descendants(pid: int) -> dict[int, str]:
    """The command lines of a process's children, theirs, and so on, by process id."""
    parents: dict[int, list[int]] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and (fields := _fields(int(directory.name))):
            parents.setdefault(int(fields[1]), []).append(int(directory.name))
    found: dict[int, str] = {}
    left = [pid]
    while left:
        for child in parents.get(left.pop(), ()):
            found[child] = _command(child)
            left.append(child)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of processes and of their children that have ended, user and system."""
    total = 0
    for pid in pids:
        if fields := _fields(pid):
            # utime, stime, cutime and cstime: fields 14 to 17 of proc(5), which counts from 1.
            total += sum(int(field) for field in fields[11:15])
    return total * _TICK_SECONDS


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no Rss")


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat behind the name, which may hold anything; empty when the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
