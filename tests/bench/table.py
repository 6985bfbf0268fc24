"""The results as a table for people, and as JSON for tools."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.bench.figures import Figure, Result, shown


def print_table(results: Sequence[Result], machine: str, console: Console) -> None:
    """Print the results; in colours where the console has them."""
    table = Table(title=f"{machine}, medians", title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("what", ratio=1)
    for name in ("median", "rounds", "must be"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for result in results:
        _add(table, result)
    console.print(table)


def as_json(results: Sequence[Result], machine: str) -> dict[str, Any]:
    """The same as plain values."""
    return {"machine": machine, "rows": [_row(result) for result in results]}


def _add(table: Table, result: Result) -> None:
    load = f"load {result.load_average:.1f}, {result.seconds:.0f} s"
    table.add_row(result.number, Text(result.title, style="bold"), "", Text(load, style="dim"), "", "")
    if result.failure:
        table.add_row("", Text(result.failure, style="red"), "", "", "", Text("not measured", style="red"))
    for figure in result.figures:
        median = Text(shown(figure.value, figure.unit), style="bold" if figure.target else "")
        table.add_row("", f"  {figure.label}", median, _spread(figure), _bound(figure), _verdict(figure))


def _spread(figure: Figure) -> str:
    if len(figure.samples) == 1:
        return ""
    return f"{shown(min(figure.samples), '').strip()} – {shown(max(figure.samples), '').strip()}"


def _bound(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return ("≥ " if figure.target.at_least else "≤ ") + shown(figure.target.bound, figure.unit)


def _verdict(figure: Figure) -> Text:
    if figure.met is None:
        return Text("")
    return Text("met", style="green") if figure.met else Text("missed", style="bold red")


def _row(result: Result) -> dict[str, Any]:
    return {
        "number": result.number,
        "title": result.title,
        "seconds": round(result.seconds, 1),
        "load_average": round(result.load_average, 2),
        "failure": result.failure,
        "met": result.met,
        "figures": [
            {
                "label": figure.label,
                "unit": figure.unit,
                "median": figure.value,
                "samples": list(figure.samples),
                "bound": None if figure.target is None else figure.target.bound,
                "at_least": figure.target is not None and figure.target.at_least,
                "met": figure.met,
            }
            for figure in result.figures
        ],
    }
