"""Reads the Aiken format, as https://docs.moodle.org/en/Aiken_format describes it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Final

from muster_session.question_files.errors import FaultLog, quote
from muster_session.question_files.question import Choice, Choices, Question

_CHOICE: Final = re.compile(r"([A-Za-z])[.)](\s?)(.*)")
_ANSWER: Final = re.compile(r"ANSWER ?:(.*)", re.IGNORECASE)


def read_aiken(text: str, faults: FaultLog) -> Iterator[Question]:
    """The questions of a normalized file; those with faults are left out and the faults appended."""
    draft: _Draft | None = None
    for number, padded in enumerate(text.split("\n"), start=1):
        line = padded.strip()
        if not line:
            continue
        if answer := _ANSWER.fullmatch(line):
            question = _finish(draft, answer[1].strip(), number, faults)
            draft = None
            if question is not None:
                yield question
        elif choice := _choice(line, draft):
            draft = _with_choice(draft, choice, number, faults)
        else:
            _report_unfinished(draft, faults)
            draft = _Draft(line, number)
    _report_unfinished(draft, faults)


@dataclass(slots=True)
class _Draft:
    """A question that is being read; what follows the first fault in it is passed over."""

    prompt: str
    line: int
    choices: list[str] = field(default_factory=list)
    is_faulty: bool = False

    @property
    def next_letter(self) -> str:
        return ascii_uppercase[len(self.choices) :][:1]


def _choice(line: str, draft: _Draft | None) -> tuple[str, str] | None:
    """Letter and text of a choice line, None when it is a question.

    The letter must be upper case with a space after it; where the very letter is due, neither is asked.
    """
    found = _CHOICE.fullmatch(line)
    if not found:
        return None
    letter, space, text = found.groups()
    is_due = draft is not None and letter.upper() == draft.next_letter
    is_marked = letter.isupper() and (space or not text)
    return (letter.upper(), text.strip()) if is_due or is_marked else None


def _with_choice(draft: _Draft | None, choice: tuple[str, str], number: int, faults: FaultLog) -> _Draft:
    letter, text = choice
    if draft is None:
        faults.add(number, f"choice {letter} has no question before it")
        return _Draft("", number, is_faulty=True)
    if draft.is_faulty:
        return draft
    if letter != draft.next_letter:
        message = (
            f"choice {draft.next_letter or 'Z'} must {'come here' if draft.next_letter else 'be the last'}"
        )
        faults.add(number, f"{message}, not {letter}")
        draft.is_faulty = True
    elif not text:
        faults.add(number, f"choice {letter} has no text")
        draft.is_faulty = True
    else:
        draft.choices.append(text)
    return draft


def _finish(draft: _Draft | None, answer: str, number: int, faults: FaultLog) -> Question | None:
    if draft is None:
        faults.add(number, "there is an ANSWER line without a question")
        return None
    if draft.is_faulty:
        return None
    right = ascii_uppercase.find(answer.upper()) if len(answer) == 1 else -1
    if not 0 <= right < len(draft.choices):
        faults.add(number, f"the answer {quote(answer)} is none of the choices' letters")
        return None
    choices = tuple(Choice(text, float(index == right)) for index, text in enumerate(draft.choices))
    return Question(prompt=draft.prompt, part=Choices(choices), line=draft.line)


def _report_unfinished(draft: _Draft | None, faults: FaultLog) -> None:
    if draft is None or draft.is_faulty:
        return
    if draft.choices:
        faults.add(draft.line, "the question has no ANSWER line")
    else:
        faults.add(draft.line, "the question must stand on one line, with its choices after it")
