"""Reads a table of questions, one a row; `docs/question-files.md` describes the columns."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from muster_session.question_files.csv_row import Row, read_row
from muster_session.question_files.errors import FaultLog, quote
from muster_session.question_files.question import Question

_DELIMITERS: Final = ",;\t"
_REQUIRED: Final = ("kind", "prompt")
_COLUMNS: Final = frozenset(
    {
        *_REQUIRED,
        "title",
        "text",
        "answer",
        "unit",
        "case_sensitive",
        "max_length",
        "time_limit_seconds",
        "explanation",
    }
)
_CHOICE: Final = re.compile(r"choice_?([1-9][0-9]{0,2})")
_UNREADABLE: Final = "from here on the table cannot be read: a quote is not closed, or a cell is too long"


def read_csv(text: str, faults: FaultLog) -> Iterator[Question]:
    """The questions of a normalized file; those with faults are left out and the faults appended."""
    records = _records(text, faults)
    header = next(records, None)
    if header is None:
        return
    names = _names(header, faults)
    if names is None:
        return
    for record in records:
        row = _row(names, record, faults)
        question = read_row(row, faults) if row is not None else None
        if question is not None:
            yield question


@dataclass(frozen=True, slots=True)
class _Record:
    """The cells of a row and the line the row starts on."""

    cells: tuple[str, ...]
    line: int


def _records(text: str, faults: FaultLog) -> Iterator[_Record]:
    """The rows that are not empty, the header first."""
    first_line = next((line for line in text.split("\n", 100) if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first_line.count)
    # Line feeds alone end lines here: text.splitlines() would also part a cell at a form feed.
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                yield _Record(stripped, line)
            line = reader.line_num + 1
    except csv.Error:
        faults.add(line, _UNREADABLE)


def _names(header: _Record, faults: FaultLog) -> tuple[str, ...] | None:
    """The columns' names, or None with faults when they are not the documented ones."""
    known = len(faults)
    names = tuple(_name(cell) for cell in header.cells)
    seen: set[str] = set()
    for name in filter(None, names):
        if name not in _COLUMNS and not _CHOICE.fullmatch(name):
            faults.add(header.line, f"there is no column {quote(name)}")
        if name in seen:
            faults.add(header.line, f"the column {quote(name)} stands there twice")
        seen.add(name)
    for name in _REQUIRED:
        if name not in seen:
            faults.add(header.line, f"the column '{name}' is missing")
    return names if len(faults) == known else None


def _name(cell: str) -> str:
    """`Choice 1`, `choice-1` and `choice1` all name the column `choice_1`."""
    name = re.sub(r"[\s-]+", "_", cell.casefold())
    numbered = _CHOICE.fullmatch(name)
    return f"choice_{numbered[1]}" if numbered else name


def _row(names: tuple[str, ...], record: _Record, faults: FaultLog) -> Row | None:
    if any(record.cells[len(names) :]):
        faults.add(record.line, "the row has more cells than the header")
        return None
    cells: dict[str, str] = {}
    choices: dict[int, str] = {}
    for name, cell in zip(names, record.cells, strict=False):
        if not cell:
            continue
        numbered = _CHOICE.fullmatch(name)
        if numbered:
            choices[int(numbered[1])] = cell
        elif name:
            cells[name] = cell
        else:
            faults.add(record.line, f"{quote(cell)} stands in a column without a name")
            return None
    if not _has_no_gap(choices, record.line, faults):
        return None
    return Row(cells, tuple(choices[number] for number in sorted(choices)), record.line)


def _has_no_gap(choices: Mapping[int, str], line: int, faults: FaultLog) -> bool:
    missing = next((number for number in range(1, len(choices) + 1) if number not in choices), None)
    if missing is not None:
        faults.add(line, f"choice_{missing} is empty, but not the choices after it")
    return missing is None
