"""The tables in docs/ are those the code makes now."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_tables_are_up_to_date() -> None:
    command = [sys.executable, ROOT / "docs" / "make_tables.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
