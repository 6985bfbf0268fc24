"""Reads one row of a table of questions."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from muster_session.question_files.errors import FaultLog, quote
from muster_session.question_files.number_text import read_number, read_range
from muster_session.question_files.question import (
    Accepted,
    Blank,
    Categorize,
    Choice,
    Choices,
    FillIn,
    Link,
    Matching,
    Number,
    NumberRange,
    OpenText,
    Ordering,
    Part,
    Poll,
    Question,
    TrueFalse,
)

_TRUTH: Final = MappingProxyType({"true": True, "t": True, "false": False, "f": False})
_ARROW: Final = "->"
_LONGEST_WAIT: Final = 10**9


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its filled cells by column, its choices in order, the line it starts on."""

    cells: Mapping[str, str]
    choices: tuple[str, ...]
    line: int


def read_row(row: Row, faults: FaultLog) -> Question | None:
    """The question of a row, or None with its faults appended."""
    name = re.sub(r"[\s-]+", "_", row.cells.get("kind", "").casefold())
    kind = _KINDS.get(name)
    if kind is None:
        message = f"{quote(row.cells['kind'])} is no kind" if name else "the kind is empty"
        faults.add(row.line, f"{message}; known are {', '.join(_KINDS)}")
        return None
    known = len(faults)
    for message in _strays(row, name, kind):
        faults.add(row.line, message)
    try:
        question = Question(
            prompt=row.cells.get("prompt", ""),
            part=kind.read(row),
            line=row.line,
            title=row.cells.get("title", ""),
            time_limit=_time_limit(row),
            explanation=row.cells.get("explanation", ""),
        )
    except ValueError as error:
        faults.add(row.line, str(error))
        return None
    return question if len(faults) == known else None


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of row is read, and which columns it uses beside those of all kinds."""

    read: Callable[[Row], Part]
    columns: frozenset[str]


_OF_ALL_KINDS: Final = frozenset({"kind", "prompt", "title", "time_limit_seconds", "explanation"})


def _strays(row: Row, name: str, kind: _Kind) -> Iterator[str]:
    """Cells that mean nothing for the kind: most likely they slipped."""
    used = _OF_ALL_KINDS | kind.columns
    for column in row.cells:
        if column not in used:
            yield f"{quote(row.cells[column])} stands in '{column}', which {name} does not use"
    if row.choices and "choices" not in used:
        yield f"{quote(row.choices[0])} stands in 'choice_1', which {name} does not use"


def _single_choice(row: Row) -> Choices:
    right = _right_choices(row)
    if len(right) > 1:
        raise ValueError("there are several right choices; the kind for that is multiple_choice")
    return _graded(row, right, multiple=False)


def _multiple_choice(row: Row) -> Choices:
    return _graded(row, _right_choices(row), multiple=True)


def _graded(row: Row, right: set[int], *, multiple: bool) -> Choices:
    choices = enumerate(row.choices, start=1)
    return Choices(
        tuple(Choice(text, 1 / len(right) if number in right else 0.0) for number, text in choices),
        multiple=multiple,
    )


def _right_choices(row: Row) -> set[int]:
    numbers = set()
    for text in _alternatives(row.cells.get("answer", "")):
        number = int(text) if re.fullmatch("[0-9]{1,3}", text) else 0
        if not 1 <= number <= len(row.choices):
            raise ValueError(f"the answer {quote(text)} is not the number of a choice")
        numbers.add(number)
    if not numbers:
        raise ValueError("there is no right answer")
    return numbers


def _true_false(row: Row) -> TrueFalse:
    answer = row.cells.get("answer", "")
    if answer.casefold() not in _TRUTH:
        raise ValueError(f"the answer {quote(answer)} is neither true nor false")
    return TrueFalse(_TRUTH[answer.casefold()])


def _fill_in(row: Row) -> FillIn:
    case_sensitive = _TRUTH.get(row.cells.get("case_sensitive", "false").casefold())
    if case_sensitive is None:
        raise ValueError("'case_sensitive' is neither true nor false")
    text, answer = row.cells.get("text", ""), row.cells.get("answer", "")
    if not text:
        return FillIn((_blank(answer, case_sensitive=case_sensitive),))
    if answer:
        raise ValueError("the accepted words stand in the {{…}} of 'text'; 'answer' must be empty")
    first, *rest = text.split("{{")
    segments, blanks = [first], []
    for piece in rest:
        words, closed, segment = piece.partition("}}")
        if not closed:
            raise ValueError("a '{{' in 'text' has no '}}'")
        blanks.append(_blank(words, case_sensitive=case_sensitive))
        segments.append(segment)
    return FillIn(tuple(blanks), tuple(segments))


def _blank(words: str, *, case_sensitive: bool) -> Blank:
    return Blank(tuple(Accepted(word) for word in _alternatives(words)), case_sensitive)


def _numeric(row: Row) -> Number:
    ranges = (read_range(text) for text in _alternatives(row.cells.get("answer", "")))
    return Number(tuple(NumberRange(*ends) for ends in ranges), row.cells.get("unit", ""))


def _matching(row: Row) -> Matching:
    pairs, spare = _links(row)
    return Matching(pairs, spare)


def _categorize(row: Row) -> Categorize:
    placements, empty = _links(row)
    return Categorize(placements, tuple(dict.fromkeys([*(each.right for each in placements), *empty])))


def _links(row: Row) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """The choices as `left -> right`, and those without a left side."""
    linked: list[Link] = []
    alone: list[str] = []
    for number, choice in enumerate(row.choices, start=1):
        left, _, right = (side.strip() for side in choice.partition(_ARROW))
        if not right:
            raise ValueError(f"choice_{number} is not of the form 'item -> what it belongs to'")
        if left:
            linked.append(Link(left, right))
        else:
            alone.append(right)
    return tuple(linked), tuple(alone)


def _open_text(row: Row) -> OpenText:
    length = row.cells.get("max_length")
    if length is None:
        return OpenText()
    if not re.fullmatch("[0-9]{1,9}", length):
        raise ValueError(f"'max_length' is {quote(length)}, not a whole number")
    return OpenText(int(length))


def _time_limit(row: Row) -> timedelta | None:
    text = row.cells.get("time_limit_seconds")
    if text is None:
        return None
    seconds = read_number(text)
    if not 0 <= seconds < _LONGEST_WAIT:
        raise ValueError("the time limit is not from 1 to 86400 seconds")
    return timedelta(seconds=float(seconds))


def _alternatives(cell: str) -> list[str]:
    r"""The parts of a cell between `|`; `\|` is the sign itself."""
    # NUL is in no normalized text.
    parts = cell.replace(r"\|", "\0").split("|")
    return [part.replace("\0", "|").strip() for part in parts if part.strip()]


_KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "single_choice": _Kind(_single_choice, frozenset({"choices", "answer"})),
        "multiple_choice": _Kind(_multiple_choice, frozenset({"choices", "answer"})),
        "true_false": _Kind(_true_false, frozenset({"answer"})),
        "fill_in_blank": _Kind(_fill_in, frozenset({"text", "answer", "case_sensitive"})),
        "numeric": _Kind(_numeric, frozenset({"answer", "unit"})),
        "ordering": _Kind(lambda row: Ordering(row.choices), frozenset({"choices"})),
        "matching": _Kind(_matching, frozenset({"choices"})),
        "categorize": _Kind(_categorize, frozenset({"choices"})),
        "poll": _Kind(lambda row: Poll(row.choices), frozenset({"choices"})),
        "multiple_poll": _Kind(lambda row: Poll(row.choices, multiple=True), frozenset({"choices"})),
        "open_text": _Kind(_open_text, frozenset({"max_length"})),
    }
)
