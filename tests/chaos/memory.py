"""How much memory the processes of a stack hold, and how fast it grows."""

import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.bench.machine import descendants

MEGABYTE: Final = 1 << 20

_BLOCKS: Final = 12
# Student's t, two-sided, 95 %, for as many degrees of freedom as blocks leave: 12 - 2.
_T: Final = 2.228
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Growth:
    """A slope and the half width of its 95 % confidence interval."""

    megabytes_an_hour: float
    either_way: float

    @property
    def is_certain(self) -> bool:
        """Whether it grows at all, by what can be told."""
        return self.megabytes_an_hour > self.either_way


def held(stack_pid: int) -> dict[str, int]:
    """Bytes of the processes of a `muster up`, by what they are; all PostgreSQL's are one."""
    found: defaultdict[str, int] = defaultdict(int)
    found["supervisor"] = resident(stack_pid)
    workers = 0
    for pid, command in sorted(descendants(stack_pid).items()):
        if "muster_stack.worker" in command:
            workers += 1
            found[f"worker {workers}"] = resident(pid)
        elif "valkey-server" in command:
            found["Valkey"] += resident(pid)
        elif "postgres" in command:
            found["PostgreSQL"] += resident(pid)
    return dict(found)


def resident(pid: int) -> int:
    """Bytes of a process in RAM, without what processes share on purpose; 0 when it has gone.

    Each of PostgreSQL's processes has touched more of the shared buffers the longer it runs, which is no
    growth.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    kilobytes = {
        name: int(amount) for name, amount in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)
    }
    return (kilobytes.get("VmRSS", 0) - kilobytes.get("RssShmem", 0)) * 1024


def growth(samples: Sequence[tuple[float, int]]) -> Growth:
    """Fit a line through samples of (seconds, bytes).

    Neighbouring samples are alike, which makes a plain interval too narrow. So the line goes through the
    means of 12 blocks (the method of batch means; Law, Simulation Modeling and Analysis, 9.5.3).
    Raises ValueError for fewer than 12 samples.
    """
    if len(samples) < _BLOCKS:
        raise ValueError(f"{len(samples)} samples are too few")
    edges = [number * len(samples) // _BLOCKS for number in range(_BLOCKS + 1)]
    blocks = [samples[start:end] for start, end in pairwise(edges)]
    hours = [statistics.fmean(at for at, _ in block) / _HOUR for block in blocks]
    sizes = [statistics.fmean(size for _, size in block) / MEGABYTE for block in blocks]
    slope, intercept = statistics.linear_regression(hours, sizes)
    left = sum((size - intercept - slope * hour) ** 2 for hour, size in zip(hours, sizes, strict=True))
    middle = statistics.fmean(hours)
    spread = sum((hour - middle) ** 2 for hour in hours)
    return Growth(slope, _T * (left / (_BLOCKS - 2) / spread) ** 0.5)
