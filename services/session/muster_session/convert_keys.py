"""Whether a block's answer key fits its content: the same kind, the very same ids, sane credits."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from muster.scoring.v1 import answer_pb2 as keys
from muster.session.v1 import block_pb2 as pb
from muster_kit.errors import MusterError, Reason, Violation

OPEN_TEXT_LENGTH: Final = 500
"""Longest open text, in characters, when the content does not say."""

Faults = Iterator[Violation]


def check_key(content: pb.BlockContent, key: keys.AnswerKey, *, field: str = "") -> None:
    """Raise MusterError(INVALID_FIELD) naming every field in which key and content do not fit.

    `field` is the path of the block that holds both, such as `blocks[2]`; the fields are then
    `blocks[2].answer_key.choices.choices[1].choice_id`.
    """
    prefix = f"{field}." if field else ""
    violations = [Violation(prefix + fault.field, fault.description) for fault in faults_of(content, key)]
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)


def faults_of(content: pb.BlockContent, key: keys.AnswerKey) -> list[Violation]:
    """Return what is wrong with the pair; fields start with `content` or `answer_key`."""
    kind = content.WhichOneof("kind")
    if kind is None:
        return [Violation("content.kind", "is required")]
    key_kind, check = _CHECKS[kind]
    if key.WhichOneof("kind") != key_kind:
        return [Violation("answer_key", f"must be `{key_kind}` for content of the kind `{kind}`")]
    return list(check(getattr(content, kind), getattr(key, key_kind)))


def _choices(content: pb.MultipleChoice, key: keys.ChoiceKey) -> Faults:
    ids = [item.item_id for item in content.choices]
    named = [choice.choice_id for choice in key.choices]
    yield from _same_multiple(content.multiple, key.multiple, "answer_key.choices")
    yield from _unique(ids, "content.multiple_choice.choices[{}].item_id")
    yield from _the_same(ids, named, "answer_key.choices.choices", ".choice_id")
    for index, choice in enumerate(key.choices):
        if not math.isfinite(choice.credit):
            yield Violation(f"answer_key.choices.choices[{index}].credit", "must be from -1 to 1")
    if not any(choice.credit > 0 for choice in key.choices):
        yield Violation("answer_key.choices.choices", "must have a right choice, with a credit above 0")


def _true_false(_content: pb.TrueFalse, _key: keys.TrueFalseKey) -> Faults:
    yield from ()


def _blanks(content: pb.FillInBlank, key: keys.BlanksKey) -> Faults:
    named = [blank.blank_id for blank in key.blanks]
    yield from _the_same(content.blank_ids, named, "answer_key.blanks.blanks", ".blank_id")
    for index, blank_id in enumerate(content.blank_ids):
        if content.text and f"{{{{{blank_id}}}}}" not in content.text:
            yield Violation(f"content.fill_in_blank.blank_ids[{index}]", "has no place in the text")


def _pairs(content: pb.Matching, key: keys.PairsKey) -> Faults:
    left = [item.item_id for item in content.left]
    right = [item.item_id for item in content.right]
    belonging = {pair.right_id for pair in key.pairs}
    yield from _unique(left, "content.matching.left[{}].item_id")
    yield from _unique(right, "content.matching.right[{}].item_id")
    yield from _the_same(left, [pair.left_id for pair in key.pairs], "answer_key.pairs.pairs", ".left_id")
    for index, pair in enumerate(key.pairs):
        yield from _known(pair.right_id, right, f"answer_key.pairs.pairs[{index}].right_id")
    spare = [item_id for item_id in right if item_id not in belonging]
    yield from _the_same(spare, key.spare_right_ids, "answer_key.pairs.spare_right_ids")


def _categories(content: pb.SwipeCategorize, key: keys.CategoriesKey) -> Faults:
    items = [item.item_id for item in content.items]
    categories = [item.item_id for item in content.categories]
    placed = [placement.item_id for placement in key.placements]
    yield from _unique(items, "content.swipe_categorize.items[{}].item_id")
    yield from _unique(categories, "content.swipe_categorize.categories[{}].item_id")
    yield from _the_same(items, placed, "answer_key.categories.placements", ".item_id")
    for index, placement in enumerate(key.placements):
        field = f"answer_key.categories.placements[{index}].category_id"
        yield from _known(placement.category_id, categories, field)
    yield from _the_same(categories, key.category_ids, "answer_key.categories.category_ids")


def _order(content: pb.Ordering, key: keys.OrderKey) -> Faults:
    ids = [item.item_id for item in content.items]
    yield from _unique(ids, "content.ordering.items[{}].item_id")
    yield from _the_same(ids, key.item_ids, "answer_key.order.item_ids")


def _number(_content: pb.Numeric, key: keys.NumericKey) -> Faults:
    for index, each in enumerate(key.ranges):
        if not each.minimum <= each.maximum:
            yield Violation(f"answer_key.number.ranges[{index}].maximum", "must not be below `minimum`")


def _poll(content: pb.Poll, key: keys.PollKey) -> Faults:
    ids = [item.item_id for item in content.choices]
    yield from _same_multiple(content.multiple, key.multiple, "answer_key.poll")
    yield from _unique(ids, "content.poll.choices[{}].item_id")
    yield from _the_same(ids, key.choice_ids, "answer_key.poll.choice_ids")


def _text(content: pb.OpenText, key: keys.TextKey) -> Faults:
    longest = content.max_length or OPEN_TEXT_LENGTH
    if key.max_length != longest:
        yield Violation("answer_key.text.max_length", f"must be {longest}, as in the content")


def _same_multiple(shown: bool, accepted: bool, field: str) -> Faults:
    if shown != accepted:
        yield Violation(f"{field}.multiple", "must be as in the content")


def _unique(ids: Sequence[str], pattern: str) -> Faults:
    for index in _repeated(ids):
        yield Violation(pattern.format(index), "is not unique in the block")


def _known(item_id: str, known: Iterable[str], field: str) -> Faults:
    if item_id not in known:
        yield Violation(field, "is not of the content")


def _the_same(shown: Iterable[str], named: Sequence[str], field: str, leaf: str = "") -> Faults:
    """Every id that is shown must be named once in the key, and no other."""
    expected = set(shown)
    for index, item_id in enumerate(named):
        yield from _known(item_id, expected, f"{field}[{index}]{leaf}")
    for index in _repeated(named):
        yield Violation(f"{field}[{index}]{leaf}", "is named twice")
    missing = sorted(expected.difference(named))
    if missing:
        yield Violation(field, f"must name {', '.join(missing[:5])}")


def _repeated(named: Sequence[str]) -> Iterator[int]:
    seen: set[str] = set()
    for index, item_id in enumerate(named):
        if item_id in seen:
            yield index
        seen.add(item_id)


_CHECKS: Final[Mapping[str, tuple[str, Callable[[Any, Any], Faults]]]] = {
    "multiple_choice": ("choices", _choices),
    "true_false": ("true_false", _true_false),
    "fill_in_blank": ("blanks", _blanks),
    "matching": ("pairs", _pairs),
    "swipe_categorize": ("categories", _categories),
    "ordering": ("order", _order),
    "numeric": ("number", _number),
    "poll": ("poll", _poll),
    "open_text": ("text", _text),
}
