"""The forms a question file may have, and the way from such a file to its questions."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import PurePath
from types import MappingProxyType
from typing import Final

from muster_session.question_files.aiken import read_aiken
from muster_session.question_files.check import check
from muster_session.question_files.csv_table import read_csv
from muster_session.question_files.errors import FaultLog
from muster_session.question_files.gift import read_gift
from muster_session.question_files.question import Question
from muster_session.question_files.source import normalize


class QuestionFormat(StrEnum):
    """The form of a question file; `docs/question-files.md` describes each."""

    GIFT = "gift"
    AIKEN = "aiken"
    CSV = "csv"


_READERS: Final[Mapping[QuestionFormat, Callable[[str, FaultLog], Iterable[Question]]]] = MappingProxyType(
    {
        QuestionFormat.GIFT: read_gift,
        QuestionFormat.AIKEN: read_aiken,
        QuestionFormat.CSV: read_csv,
    }
)
_SUFFIXES: Final[Mapping[str, QuestionFormat]] = MappingProxyType(
    {
        ".gift": QuestionFormat.GIFT,
        ".aiken": QuestionFormat.AIKEN,
        ".csv": QuestionFormat.CSV,
        ".tsv": QuestionFormat.CSV,
    }
)
_MOST_QUESTIONS: Final = 10_000


def parse(file_format: QuestionFormat, text: str) -> list[Question]:
    """The questions of a file, all of them fit to be blocks.

    Raises QuestionFileError with all faults of the file when there is one, or no question.
    """
    faults = FaultLog()
    questions: list[Question] = []
    for question in _READERS[file_format](normalize(text), faults):
        if len(questions) == _MOST_QUESTIONS:
            faults.add(question.line, f"there are more than {_MOST_QUESTIONS} questions")
            break
        for message in check(question):
            faults.add(question.line, message)
        questions.append(question)
    if not questions and not faults:
        faults.add(1, "there is no question in the file")
    faults.raise_if_any()
    return questions


def guess_format(name: str, text: str) -> QuestionFormat:
    """The likely form of a file: by the suffix of its name, or else by what its lines look like."""
    by_name = _SUFFIXES.get(PurePath(name).suffix.lower())
    if by_name is not None:
        return by_name
    lines = [line.strip().lower() for line in text.removeprefix("\ufeff").splitlines()]
    if any(line.startswith("answer:") for line in lines):
        return QuestionFormat.AIKEN
    header = next(filter(None, lines), "")
    if "kind" in header and "prompt" in header and "{" not in header:
        return QuestionFormat.CSV
    return QuestionFormat.GIFT
