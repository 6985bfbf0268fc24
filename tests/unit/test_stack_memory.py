"""A worker's memory after a burst."""

import platform
import subprocess
import sys

import pytest

# Large blocks with small ones between them, which stay: what a crowd of streams does to a heap.
_BURST = """
from pathlib import Path
from muster_stack.memory import give_back_large_blocks

def resident_kilobytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

give_back_large_blocks()
before = resident_kilobytes()
blocks = [(bytearray(100_000), bytes(2_000)) for _ in range(500)]
settled = [small for _, small in blocks]
del blocks
print(resident_kilobytes() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_what_was_needed_for_a_moment_is_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", _BURST], capture_output=True, text=True, check=True)
    # Of fifty megabytes, the one that is still used, and some.
    assert int(told.stdout) < 5_000
