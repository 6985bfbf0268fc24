"""Reads Moodle's GIFT format, as https://docs.moodle.org/en/GIFT_format describes it."""

from collections.abc import Iterator
from typing import Final

from muster_session.question_files.errors import FaultLog
from muster_session.question_files.gift_answers import read_answers
from muster_session.question_files.gift_scanner import Passage, paragraphs
from muster_session.question_files.question import Question

_GAP: Final = "_____"

_NO_BLOCK: Final = "there is no answer block; write {} for free text, or // before what is no question"
_INNER_BRACE: Final = "there is a '{' inside an answer block; close the block, or write \\{"
_SECOND_BLOCK: Final = "there is a second answer block; part questions by a blank line"
_STRAY_BRACE: Final = "there is a '}' without a '{'; write \\} for the sign itself"


def read_gift(text: str, faults: FaultLog) -> Iterator[Question]:
    """The questions of a normalized file; those with faults are left out and the faults appended."""
    for paragraph in paragraphs(text):
        known = len(faults)
        question = _question(paragraph, faults)
        if question is not None and len(faults) == known:
            yield question


def _question(paragraph: Passage, faults: FaultLog) -> Question | None:
    title, rest = _split_title(paragraph, faults)
    found = _split_block(rest, faults)
    if found is None:
        return None
    before, block, after = found
    answers, general_feedback = block.rpartition("####")
    part = read_answers(answers.strip(), faults)
    gap = _GAP + after.marked if after else ""
    prompt = Passage(before.marked + gap, before.line).reveal()
    if not prompt:
        faults.add(paragraph.line, "the question has no text")
    if part is None:
        return None
    return Question(
        prompt=prompt, part=part, line=paragraph.line, title=title, explanation=general_feedback.reveal()
    )


def _split_title(paragraph: Passage, faults: FaultLog) -> tuple[str, Passage]:
    if not paragraph.marked.startswith("::"):
        return "", paragraph
    rest = paragraph.cut(2)
    if "::" not in rest.marked:
        faults.add(paragraph.line, "the title is not closed with '::'")
        return "", rest
    title, rest = rest.partition("::")
    return " ".join(title.reveal().split()), rest


def _split_block(text: Passage, faults: FaultLog) -> tuple[Passage, Passage, Passage] | None:
    """The text before the answer block, the inside of the block, and the text after it."""
    before, rest = text.partition("{")
    block, after = rest.partition("}")
    if _has_fault(before, "}", _STRAY_BRACE, faults):
        return None
    if "{" not in text.marked:
        faults.add(text.strip().line, _NO_BLOCK)
        return None
    if "}" not in rest.marked:
        faults.add(before.line_after, "the answer block is not closed")
        return None
    if (
        _has_fault(block, "{", _INNER_BRACE, faults)
        or _has_fault(after, "{", _SECOND_BLOCK, faults)
        or _has_fault(after, "}", _STRAY_BRACE, faults)
    ):
        return None
    return before, block, after


def _has_fault(passage: Passage, mark: str, message: str, faults: FaultLog) -> bool:
    if mark not in passage.marked:
        return False
    faults.add(passage.partition(mark)[0].line_after, message)
    return True
