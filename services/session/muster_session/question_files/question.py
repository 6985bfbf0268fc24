"""A question as every file format and every block can hold it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose; `credit` is its share of the full credit, -1 to 1."""

    text: str
    credit: float
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """One or, when `multiple`, several of the choices; right ones have a credit above 0."""

    choices: tuple[Choice, ...]
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class TrueFalse:
    """A statement; the feedbacks are for those who answer right and wrong."""

    value: bool
    right_feedback: str = ""
    wrong_feedback: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A text that a blank takes; `credit` is above 0, to 1."""

    text: str
    credit: float = 1.0
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Blank:
    """A gap, and the texts that fill it."""

    accepted: tuple[Accepted, ...]
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class FillIn:
    """Words for blanks.

    `segments` is the text around the blanks, one more than there are blanks; empty when the prompt
    is enough.
    """

    blanks: tuple[Blank, ...]
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Numbers from `minimum` to `maximum`, both included; `credit` is above 0, to 1."""

    minimum: float
    maximum: float
    credit: float = 1.0
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in any of the ranges; the best credit counts."""

    ranges: tuple[NumberRange, ...]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """`left` belongs to `right`: a pair, or an item and its category."""

    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs to find; `spare` are right items that belong to nothing."""

    pairs: tuple[Link, ...]
    spare: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Categorize:
    """Items, each linked to its category; `categories` are all, with those that stay empty."""

    placements: tuple[Link, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ordering:
    """Items in their right order."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """Choices without a right one."""

    choices: tuple[str, ...]
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class OpenText:
    """Free text of at most `max_length` characters."""

    max_length: int = 500


Part: TypeAlias = Choices | TrueFalse | FillIn | Number | Matching | Categorize | Ordering | Poll | OpenText
"""What is particular to a kind of question."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a file; `line` is where it starts, from 1.

    All texts are Markdown, but for accepted texts and units. `explanation` is the general one;
    feedback to single answers stays with the answers.
    """

    prompt: str
    part: Part
    line: int
    title: str = ""
    time_limit: timedelta | None = None
    explanation: str = ""
