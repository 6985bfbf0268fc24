"""Reads the answer block of a GIFT question: what stands between its braces."""

import re
from collections.abc import Iterator
from typing import Final

from muster_session.question_files.errors import FaultLog, quote
from muster_session.question_files.gift_scanner import Passage
from muster_session.question_files.number_text import read_range
from muster_session.question_files.question import (
    Accepted,
    Blank,
    Choice,
    Choices,
    FillIn,
    Link,
    Matching,
    Number,
    NumberRange,
    OpenText,
    Part,
    TrueFalse,
)

_MOST_ANSWERS: Final = 100
_TRUTH: Final = {"T": True, "TRUE": True, "F": False, "FALSE": False}
_WEIGHT: Final = re.compile(r"\s*%([-+0-9., ]{1,20})%")
_WEIGHT_NUMBER: Final = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]+)?")


def read_answers(block: Passage, faults: FaultLog) -> Part | None:
    """What the stripped block asks for; appends what is wrong with it to `faults`.

    None, with a fault, when it cannot be told.
    """
    marked = block.marked
    if marked.count("=") + marked.count("~") > _MOST_ANSWERS:
        faults.add(block.line, f"too many answers: at most {_MOST_ANSWERS} are read")
        return None
    if not block:
        return OpenText()
    if marked.startswith("#"):
        return _number(block.cut(1), faults)
    if "~" in marked:
        return _choices(block, faults)
    if "=" in marked and "->" in marked:
        return _matching(block, faults)
    return _true_false(block) or _fill_in(block, faults)


def _choices(block: Passage, faults: FaultLog) -> Choices:
    choices: list[Choice] = []
    has_full = False
    for mark, answer in _answers(block, "=~", faults):
        credit, rest = _weighted(answer, 1.0 if mark == "=" else 0.0, faults)
        text, feedback = _with_feedback(rest, faults)
        has_full = has_full or (mark == "=" and credit == 1)
        choices.append(Choice(text, credit, feedback))
    # Moodle's rule: without one answer that is wholly right, several make up the right one.
    return Choices(tuple(choices), multiple=not has_full)


def _true_false(block: Passage) -> TrueFalse | None:
    word, feedback = block.partition("#")
    value = _TRUTH.get(word.reveal().upper())
    if value is None:
        return None
    wrong, right = feedback.partition("#")
    return TrueFalse(value, right_feedback=right.reveal(), wrong_feedback=wrong.reveal())


def _fill_in(block: Passage, faults: FaultLog) -> FillIn:
    accepted: list[Accepted] = []
    for _, answer in _answers(block, "=", faults):
        credit, rest = _weighted(answer, 1.0, faults)
        text, feedback = _with_feedback(rest, faults)
        if credit <= 0:
            continue
        if "*" in text.replace(r"\*", ""):
            message = f"{quote(text)} has a wildcard; write the texts out, or \\* for the sign itself"
            faults.add(answer.line, message)
        accepted.append(Accepted(text.replace(r"\*", "*"), credit, feedback))
    return FillIn((Blank(tuple(accepted)),))


def _matching(block: Passage, faults: FaultLog) -> Matching:
    pairs: list[Link] = []
    spare: list[str] = []
    for _, answer in _answers(block, "=", faults):
        left, right = (side.reveal() for side in answer.partition("->"))
        if not right:
            faults.add(answer.line, f"{quote(left)} has no '-> …' that belongs to it")
        elif left:
            pairs.append(Link(left, right))
        else:
            spare.append(right)
    return Matching(tuple(pairs), tuple(spare))


def _number(block: Passage, faults: FaultLog) -> Number:
    ranges: list[NumberRange] = []
    # After "~" stands feedback for all other numbers, which belongs to no answer.
    right, _ = block.partition("~")
    for mark, answer in right.split("="):
        if not mark and not answer:
            continue
        credit, rest = _weighted(answer.strip(), 1.0, faults)
        text, feedback = rest.partition("#")
        if credit <= 0:
            continue
        try:
            minimum, maximum = read_range(text.reveal())
        except ValueError as error:
            faults.add(answer.strip().line, str(error))
        else:
            ranges.append(NumberRange(minimum, maximum, credit, feedback.reveal()))
    return Number(tuple(ranges))


def _answers(block: Passage, marks: str, faults: FaultLog) -> Iterator[tuple[str, Passage]]:
    """Each answer with its mark; what stands before the first mark is a fault."""
    for mark, answer in block.split(marks):
        if mark:
            yield mark, answer.strip()
        elif answer:
            message = f"{quote(answer.reveal())} must begin with '=' or '~' to be an answer"
            faults.add(answer.line, message)


def _weighted(answer: Passage, unmarked: float, faults: FaultLog) -> tuple[float, Passage]:
    """The credit that a weight such as `%50%` gives, or `unmarked`, and the answer without it."""
    found = _WEIGHT.match(answer.marked)
    if not found:
        return unmarked, answer
    weight = found[1].strip()
    credit = float(weight) / 100 if _WEIGHT_NUMBER.fullmatch(weight) else None
    if credit is None or not -1 <= credit <= 1:
        faults.add(answer.line, f"'%{weight}%' is not a weight from -100 to 100")
        credit = 0.0
    return credit, answer.cut(found.end())


def _with_feedback(answer: Passage, faults: FaultLog) -> tuple[str, str]:
    text, feedback = (side.reveal() for side in answer.partition("#"))
    if not text:
        faults.add(answer.line, "there is an answer without text")
    return text, feedback
