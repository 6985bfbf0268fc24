"""What every question must fulfil to become a block, whatever file it came from."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from muster_session.question_files.errors import quote
from muster_session.question_files.explanation import explain
from muster_session.question_files.question import (
    Categorize,
    Choices,
    FillIn,
    Matching,
    Number,
    OpenText,
    Ordering,
    Part,
    Poll,
    Question,
    TrueFalse,
)

# The limits of muster.session.v1.NewBlock.
_LONGEST_PROMPT: Final = 5000
_LONGEST_TITLE: Final = 200
_LONGEST_ITEM: Final = 2000
_LONGEST_ACCEPTED: Final = 500
_LONGEST_EXPLANATION: Final = 2000
_LONGEST_UNIT: Final = 32
_LONGEST_OPEN_TEXT: Final = 5000
_GAP_LENGTH: Final = len("{{aa}}")
_SHORTEST_TIME: Final = timedelta(seconds=1)
_LONGEST_TIME: Final = timedelta(days=1)

_WEIGHT_TOLERANCE: Final = 0.011
"""Three times 33 % are meant to be the whole."""


def check(question: Question) -> Iterator[str]:
    """What keeps the question from being a block, in sentences for its author."""
    if not question.prompt:
        yield "the question has no text"
    yield from _too_long("the question", question.prompt, _LONGEST_PROMPT)
    yield from _too_long("the title", question.title, _LONGEST_TITLE)
    yield from _too_long("the explanation with all feedback", explain(question), _LONGEST_EXPLANATION)
    limit = question.time_limit
    if limit is not None and not _SHORTEST_TIME <= limit <= _LONGEST_TIME:
        yield "the time limit is not from 1 to 86400 seconds"
    yield from _part(question.part)


def _part(part: Part) -> Iterator[str]:
    match part:
        case Choices():
            yield from _choices(part)
        case FillIn():
            yield from _fill_in(part)
        case Number():
            yield from _number(part)
        case Matching():
            yield from _matching(part)
        case Categorize():
            yield from _categorize(part)
        case Ordering(items):
            yield from _items("items", items, least=2, most=50)
            yield from _twice(items)
        case Poll(choices):
            yield from _items("choices", choices, least=2, most=50)
        case OpenText():
            yield from _open_text(part)
        case TrueFalse():
            return


def _choices(part: Choices) -> Iterator[str]:
    yield from _items("choices", [choice.text for choice in part.choices], least=2, most=50)
    right = [choice.credit for choice in part.choices if choice.credit > 0]
    if not right:
        yield "there is no right answer"
    elif part.multiple and abs(sum(right) - 1) > _WEIGHT_TOLERANCE:
        yield f"the weights of the right answers add up to {sum(right):.0%}, not to 100%"
    elif not part.multiple and max(right) < 1:
        yield "no answer is worth 100%"


def _fill_in(part: FillIn) -> Iterator[str]:
    yield from _count("blanks", len(part.blanks), least=1, most=50)
    yield from _too_long("the text", "".join(part.segments), _LONGEST_PROMPT - _GAP_LENGTH * len(part.blanks))
    for blank in part.blanks:
        yield from _credits(each.credit for each in blank.accepted)
        yield from _count("accepted texts", len(blank.accepted), least=0, most=50)
        for each in blank.accepted:
            yield from _too_long(f"the answer {quote(each.text)}", each.text, _LONGEST_ACCEPTED)


def _number(part: Number) -> Iterator[str]:
    yield from _credits(each.credit for each in part.ranges)
    yield from _count("accepted numbers", len(part.ranges), least=0, most=20)
    yield from _too_long("the unit", part.unit, _LONGEST_UNIT)


def _matching(part: Matching) -> Iterator[str]:
    lefts = [pair.left for pair in part.pairs]
    rights = {*(pair.right for pair in part.pairs), *part.spare}
    yield from _items("pairs", lefts, least=1, most=50)
    yield from _twice(lefts)
    if len(rights) < 2:
        yield "all items belong to the same; at least two are needed to choose from"
    yield from _items("items to pair with", rights, least=0, most=100)
    yield from _count("items without a pair", len(part.spare), least=0, most=50)


def _categorize(part: Categorize) -> Iterator[str]:
    items = [placement.left for placement in part.placements]
    yield from _items("items", items, least=1, most=100)
    yield from _twice(items)
    yield from _items("categories", part.categories, least=2, most=20)


def _open_text(part: OpenText) -> Iterator[str]:
    if not 1 <= part.max_length <= _LONGEST_OPEN_TEXT:
        yield f"the longest free text is not from 1 to {_LONGEST_OPEN_TEXT} characters"


def _credits(credits_: Iterable[float]) -> Iterator[str]:
    best = max(credits_, default=0.0)
    if best <= 0:
        yield "there is no right answer"
    elif best < 1:
        yield "no answer is worth 100%"


def _items(what: str, texts: Iterable[str], *, least: int, most: int) -> Iterator[str]:
    listed = list(texts)
    yield from _count(what, len(listed), least=least, most=most)
    for text in listed:
        yield from _too_long(quote(text), text, _LONGEST_ITEM)


def _twice(texts: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            yield f"{quote(text)} stands there twice"
        seen.add(text)


def _count(what: str, count: int, *, least: int, most: int) -> Iterator[str]:
    if count < least:
        yield f"too few {what}: {count} of at least {least}"
    elif count > most:
        yield f"too many {what}: {count} of at most {most}"


def _too_long(what: str, text: str, longest: int) -> Iterator[str]:
    if len(text) > longest:
        yield f"{what} is longer than {longest} characters"
