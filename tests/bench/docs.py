"""Writes measured figures into README and docs: python -m tests.bench.docs FILE…, as `--json` wrote them.

Rows that no file has stay as they are.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import shown

_ROOT = Path(__file__).parents[2]
_PLACES = {"summary": _ROOT / "README.md", "figures": _ROOT / "docs" / "performance.md"}

_ROW = re.compile(r"\| \*\*(\d+[a-h]?)\. ")

Row = Mapping[str, Any]


def table(rows: Mapping[str, Sequence[str]], machine: str) -> str:
    """Return a Markdown table of rows, which are lines by the row's number."""
    lines = [f"{machine}; medians.", "", "| | median | rounds | must be |", "|---|--:|--:|--:|"]
    for number in sorted(rows, key=_place):
        lines.extend(rows[number])
    return "\n".join(lines)


def written(row: Row, *, all_figures: bool) -> list[str]:
    """Return the lines of a row, of the figures with a target or of all."""
    lines = [f"| **{row['number']}. {row['title']}** | | | |"]
    lines.extend(_line(each) for each in row["figures"] if all_figures or each["bound"] is not None)
    if row["failure"]:
        lines.append("| not measured | | | |")
    return lines


def kept(text: str) -> dict[str, list[str]]:
    """Return the lines of the rows that a table in a text has, by their numbers."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if begun := _ROW.match(line):
            number = begun[1]
            rows[number] = []
        if rows and line.startswith("|"):
            rows[number].append(line)
    return rows


def fill(text: str, name: str, rows: Mapping[str, Sequence[str]], machine: str) -> str:
    """Return the text with the rows put into the table that is between the marks of that name."""
    begin, end = f"<!-- bench: {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    old, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no place for {name}")
    return f"{before}{begin}\n{table({**kept(old), **rows}, machine)}\n\n{end}{after}"


def _line(figure: Mapping[str, Any]) -> str:
    unit, samples = figure["unit"], figure["samples"]
    spread = f"{shown(min(samples), '').strip()} – {shown(max(samples), '').strip()}" if samples[1:] else ""
    return f"| {figure['label']} | {shown(figure['median'], unit)} | {spread} | {_bound(figure)} |"


def _bound(figure: Mapping[str, Any]) -> str:
    if figure["bound"] is None:
        return ""
    sign = "≥" if figure["at_least"] else "≤"
    return f"{sign} {shown(figure['bound'], figure['unit'])}{'' if figure['met'] else ': missed'}"


def _place(number: str) -> tuple[int, str]:
    """Return where a row stands: 3a after 2, and 10 after 9."""
    digits = number.rstrip("abcdefgh")
    return int(digits), number.removeprefix(digits)


def _newest(files: Sequence[Path]) -> Iterator[tuple[str, str, Row]]:
    """Yield number, machine and row, those of later files last."""
    for file in files:
        told = json.loads(file.read_text())
        for row in told["rows"]:
            yield row["number"], told["machine"], row


def main() -> int:
    """Fill both places; where several files have a row, the last one's counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.docs", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    rows: dict[str, Row] = {}
    machines: set[str] = set()
    for number, machine, row in _newest(parser.parse_args().files):
        rows[number] = row
        machines.add(machine)
    if len(machines) > 1:
        sys.stderr.write(f"measured on different machines: {'; '.join(sorted(machines))}\n")
        return 1
    for name, path in _PLACES.items():
        lines = {number: written(row, all_figures=name == "figures") for number, row in rows.items()}
        path.write_text(fill(path.read_text(), name, lines, min(machines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
