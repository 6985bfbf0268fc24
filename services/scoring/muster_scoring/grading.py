"""Grades an answer by its key: pure, total over the kinds, the same on every worker."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any, Final

from muster_kit.errors import MusterError, Reason

from muster_scoring.model_answers import (
    Answer,
    AnswerKey,
    BlankKey,
    BlanksAnswer,
    BlanksKey,
    CategoriesAnswer,
    CategoriesKey,
    ChoiceAnswer,
    ChoiceKey,
    Grade,
    NumericAnswer,
    NumericKey,
    OrderAnswer,
    OrderKey,
    PairsAnswer,
    PairsKey,
    PollKey,
    ResponseStatus,
    TextAnswer,
    TextKey,
    TrueFalseAnswer,
    TrueFalseKey,
)

_EXACT: Final = 1e-9
"""Credits within this of 0 or 1 are 0 or 1: sums of thirds are not exact in binary."""

_BLANKS_KEPT: Final = 1024
"""So many blanks' accepted texts are kept in the form in which they are compared."""

_UNGRADED: Final = Grade(ResponseStatus.SUBMITTED, 0.0)


def grade(key: AnswerKey, answer: Answer) -> Grade:
    """Grade `answer`; polls and open texts are SUBMITTED with credit 0.

    Raises MusterError(ANSWER_MISMATCH) when the answer is of another kind than the key, names ids
    the key does not have, or chooses several where one is allowed.
    """
    answer_type, grader = _GRADERS[type(key)]
    if type(answer) is not answer_type:
        raise MusterError(Reason.ANSWER_MISMATCH, detail=f"{type(answer).__name__} for {type(key).__name__}")
    credit: float | None = grader(key, answer)
    if credit is None:
        return _UNGRADED
    if credit >= 1 - _EXACT:
        return Grade(ResponseStatus.CORRECT, 1.0)
    if credit <= _EXACT:
        return Grade(ResponseStatus.INCORRECT, 0.0)
    return Grade(ResponseStatus.PARTIAL, credit)


def is_graded(key: AnswerKey) -> bool:
    """Whether answers to this key can be right or wrong."""
    return not isinstance(key, PollKey | TextKey)


def normalize_text(text: str, *, case_sensitive: bool) -> str:
    """The form in which texts are compared: NFKC, white space runs as one space, case folded."""
    folded = " ".join(unicodedata.normalize("NFKC", text).split())
    # Folding can undo the normal form (U+0345), so it is made once more: the form is a fixed point.
    return folded if case_sensitive else unicodedata.normalize("NFKC", folded.casefold())


def answer_tokens(key: AnswerKey, answer: Answer) -> list[str]:
    """What the answer distribution counts; open texts count nothing.

    Choices count by id, true or false by word, pairs and placements as `left=right`, blanks as
    `blank=text` in the form in which they are graded, orders as all ids with commas, numbers in their
    shortest form. `answer` is one that `grade` takes.
    """
    match answer:
        case ChoiceAnswer(choice_ids):
            return list(choice_ids)
        case TrueFalseAnswer(value):
            return ["true" if value else "false"]
        case BlanksAnswer(texts):
            blanks = key.blanks if isinstance(key, BlanksKey) else {}
            return [
                f"{blank}={normalize_text(text, case_sensitive=blanks[blank].case_sensitive)}"
                for blank, text in texts.items()
            ]
        case PairsAnswer(pairs):
            return [f"{left}={right}" for left, right in pairs.items()]
        case CategoriesAnswer(placements):
            return [f"{item}={category}" for item, category in placements.items()]
        case OrderAnswer(item_ids):
            return [",".join(item_ids)]
        case NumericAnswer(value):
            return [format(value, ".12g")]
        case TextAnswer():
            return []


def _require(known: bool, detail: str) -> None:
    if not known:
        raise MusterError(Reason.ANSWER_MISMATCH, detail=detail)


def _require_choices(chosen: Iterable[str], known: Iterable[str], *, multiple: bool) -> None:
    picked = list(chosen)
    _require(multiple or len(picked) == 1, "one choice is allowed")
    _require(len(set(picked)) == len(picked), "a choice is named twice")
    _require(set(picked) <= set(known), "a choice is not of the block")


def _choices(key: ChoiceKey, answer: ChoiceAnswer) -> float:
    """One choice: its credit. Several: the sum over the sum of the right ones.

    Among several a wrong choice without a negative credit takes as much as a mean right one gives;
    otherwise to choose everything would be right.
    """
    _require_choices(answer.choice_ids, key.credits, multiple=key.multiple)
    if not key.multiple:
        return key.credits[answer.choice_ids[0]]
    right = [credit for credit in key.credits.values() if credit > 0]
    if not right:
        return 0.0
    full = sum(right)
    total = sum(
        credit or -full / len(right) for credit in (key.credits[choice] for choice in answer.choice_ids)
    )
    return total / full


def _true_false(key: TrueFalseKey, answer: TrueFalseAnswer) -> float:
    return 1.0 if key.value == answer.value else 0.0


def _blanks(key: BlanksKey, answer: BlanksAnswer) -> float:
    """Mean credit over all blanks; one left open is worth nothing."""
    _require(answer.texts.keys() <= key.blanks.keys(), "a blank is not of the block")
    return sum(_blank(key.blanks[blank], text) for blank, text in answer.texts.items()) / len(key.blanks)


def _blank(key: BlankKey, text: str) -> float:
    return _accepted(key).get(normalize_text(text, case_sensitive=key.case_sensitive), 0.0)


@lru_cache(maxsize=_BLANKS_KEPT)
def _accepted(key: BlankKey) -> Mapping[str, float]:
    """Return the credits of a blank by what is written, in the form in which texts are compared."""
    worth: dict[str, float] = {}
    for each in key.accepted:
        text = normalize_text(each.text, case_sensitive=key.case_sensitive)
        worth[text] = max(each.credit, worth.get(text, 0.0))
    return worth


def _share(right: Mapping[str, str], given: Mapping[str, str]) -> float:
    return sum(given.get(item) == place for item, place in right.items()) / len(right)


def _pairs(key: PairsKey, answer: PairsAnswer) -> float:
    """Share of the left items that got their right item."""
    _require(answer.pairs.keys() <= key.pairs.keys(), "a left item is not of the block")
    _require(set(answer.pairs.values()) <= key.right_ids, "a right item is not of the block")
    return _share(key.pairs, answer.pairs)


def _categories(key: CategoriesKey, answer: CategoriesAnswer) -> float:
    """Share of the items that are in their category."""
    _require(answer.placements.keys() <= key.placements.keys(), "an item is not of the block")
    _require(set(answer.placements.values()) <= key.category_ids, "a category is not of the block")
    return _share(key.placements, answer.placements)


def _order(key: OrderKey, answer: OrderAnswer) -> float:
    """Kendall's tau (M. G. Kendall, "A new measure of rank correlation", 1938), but not below 0.

    Pairs in the right order less pairs in the wrong order, over all pairs: a reversed list is worth
    nothing, one swap of neighbours costs little.
    """
    _require(sorted(answer.item_ids) == sorted(key.item_ids), "not every item of the block once")
    place = {item: index for index, item in enumerate(key.item_ids)}
    places = [place[item] for item in answer.item_ids]
    pairs = len(places) * (len(places) - 1) / 2
    if not pairs:
        return 1.0
    return sum(1 if first < second else -1 for first, second in combinations(places, 2)) / pairs


def _number(key: NumericKey, answer: NumericAnswer) -> float:
    """Best credit of the ranges that hold the number; ends count, a rounding error beyond them too."""

    def holds(minimum: float, maximum: float) -> bool:
        slack = _EXACT * max(abs(minimum), abs(maximum))
        return minimum - slack <= answer.value <= maximum + slack

    return max((each.credit for each in key.ranges if holds(each.minimum, each.maximum)), default=0.0)


def _poll(key: PollKey, answer: ChoiceAnswer) -> None:
    _require_choices(answer.choice_ids, key.choice_ids, multiple=key.multiple)


def _text(key: TextKey, answer: TextAnswer) -> None:
    _require(len(answer.text) <= key.max_length, "the text is too long")


_GRADERS: Final[Mapping[type, tuple[type, Callable[[Any, Any], float | None]]]] = {
    ChoiceKey: (ChoiceAnswer, _choices),
    TrueFalseKey: (TrueFalseAnswer, _true_false),
    BlanksKey: (BlanksAnswer, _blanks),
    PairsKey: (PairsAnswer, _pairs),
    CategoriesKey: (CategoriesAnswer, _categories),
    OrderKey: (OrderAnswer, _order),
    NumericKey: (NumericAnswer, _number),
    PollKey: (ChoiceAnswer, _poll),
    TextKey: (TextAnswer, _text),
}
