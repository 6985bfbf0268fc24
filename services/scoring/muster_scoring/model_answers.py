"""Answers and answer keys of every kind, as values; what a key accepts is in grading."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from muster_kit.records import record


class ResponseStatus(StrEnum):
    """What became of an answer; names are those of the contract."""

    SUBMITTED = "submitted"
    CORRECT = "correct"
    INCORRECT = "incorrect"
    PARTIAL = "partial"


@record
class ChoiceAnswer:
    """Ids of the chosen choices, each once."""

    choice_ids: tuple[str, ...]


@record
class TrueFalseAnswer:
    """What the participant holds for true."""

    value: bool


@record
class BlanksAnswer:
    """What was written, by blank id."""

    texts: Mapping[str, str]


@record
class PairsAnswer:
    """Right item by left item."""

    pairs: Mapping[str, str]


@record
class CategoriesAnswer:
    """Category by item."""

    placements: Mapping[str, str]


@record
class OrderAnswer:
    """Item ids, first to last."""

    item_ids: tuple[str, ...]


@record
class NumericAnswer:
    """A finite number."""

    value: float


@record
class TextAnswer:
    """Free text."""

    text: str


Answer = (
    ChoiceAnswer
    | TrueFalseAnswer
    | BlanksAnswer
    | PairsAnswer
    | CategoriesAnswer
    | OrderAnswer
    | NumericAnswer
    | TextAnswer
)


@dataclass(frozen=True, slots=True)
class ChoiceKey:
    """Credit of every choice, -1 to 1; right ones have more than 0."""

    credits: Mapping[str, float]
    multiple: bool


@dataclass(frozen=True, slots=True)
class TrueFalseKey:
    """The right value."""

    value: bool


@dataclass(frozen=True, slots=True)
class AcceptedText:
    """An accepted text and its share of the blank's credit, above 0 to 1."""

    text: str
    credit: float


@dataclass(frozen=True, slots=True)
class BlankKey:
    """What one blank accepts."""

    accepted: tuple[AcceptedText, ...]
    case_sensitive: bool


@dataclass(frozen=True, slots=True)
class BlanksKey:
    """What every blank accepts, by blank id."""

    blanks: Mapping[str, BlankKey]


@dataclass(frozen=True, slots=True)
class PairsKey:
    """Right item by left item, and all right items with those that belong to none."""

    pairs: Mapping[str, str]
    right_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class CategoriesKey:
    """Category by item, and all categories with those nothing belongs to."""

    placements: Mapping[str, str]
    category_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class OrderKey:
    """All item ids in the right order."""

    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumericRange:
    """An accepted range, both ends included, and its credit, above 0 to 1."""

    minimum: float
    maximum: float
    credit: float


@dataclass(frozen=True, slots=True)
class NumericKey:
    """Accepted ranges; the best credit counts."""

    ranges: tuple[NumericRange, ...]


@dataclass(frozen=True, slots=True)
class PollKey:
    """All choices; nothing is right."""

    choice_ids: frozenset[str]
    multiple: bool


@dataclass(frozen=True, slots=True)
class TextKey:
    """Longest text, in characters; nothing is right."""

    max_length: int


AnswerKey = (
    ChoiceKey
    | TrueFalseKey
    | BlanksKey
    | PairsKey
    | CategoriesKey
    | OrderKey
    | NumericKey
    | PollKey
    | TextKey
)


@record
class Grade:
    """What an answer is worth: a status and the share of the full credit, 0 to 1."""

    status: ResponseStatus
    credit: float
