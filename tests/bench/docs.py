"""Writes measured figures into README and docs: python -m tests.bench.docs FILE…, as `--json` wrote them."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import shown

_ROOT = Path(__file__).parents[2]
_PLACES = {"summary": _ROOT / "README.md", "figures": _ROOT / "docs" / "performance.md"}

Row = Mapping[str, Any]


def table(rows: Sequence[Row], machine: str, *, all_figures: bool) -> str:
    """Return a Markdown table, of the figures with a target or of all."""
    lines = [f"{machine}; medians.", "", "| | median | rounds | must be |", "|---|--:|--:|--:|"]
    for row in rows:
        lines.append(f"| **{row['number']}. {row['title']}** | | | |")
        lines.extend(_line(each) for each in row["figures"] if all_figures or each["bound"] is not None)
        if row["failure"]:
            lines.append("| not measured | | | |")
    return "\n".join(lines)


def fill(text: str, name: str, content: str) -> str:
    """Return the text with what is between the marks of that name made anew."""
    begin, end = f"<!-- bench: {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no place for {name}")
    return f"{before}{begin}\n{content}\n\n{end}{after}"


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
    ordered = [rows[number] for number in sorted(rows, key=_place)]
    for name, path in _PLACES.items():
        content = table(ordered, min(machines), all_figures=name == "figures")
        path.write_text(fill(path.read_text(), name, content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
