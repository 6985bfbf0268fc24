"""Questions as the blocks of a session, ready to be added."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from muster.scoring.v1 import answer_pb2
from muster.session.v1 import block_pb2

from muster_session.question_files.explanation import explain
from muster_session.question_files.question import (
    Blank,
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


def to_blocks(questions: Iterable[Question]) -> list[block_pb2.NewBlock]:
    """One block for each question, in their order."""
    return [to_block(question) for question in questions]


def to_block(question: Question) -> block_pb2.NewBlock:
    """The block of a question; the same question always gives the same block.

    Items have the ids `a`, `b`, … `z`, `aa`, … in the order they are shown in, and so tell nothing.
    """
    block = block_pb2.NewBlock(
        content=block_pb2.BlockContent(prompt=question.prompt, title=question.title),
        answer_key=answer_pb2.AnswerKey(explanation=explain(question)),
    )
    if question.time_limit is not None:
        block.time_limit.FromTimedelta(question.time_limit)
    _set_part(block.content, block.answer_key, question.part)
    return block


def _set_part(content: block_pb2.BlockContent, key: answer_pb2.AnswerKey, part: Part) -> None:
    match part:
        case Choices():
            _set_choices(content, key, part)
        case TrueFalse(value):
            content.true_false.SetInParent()
            key.true_false.value = value
            key.true_false.SetInParent()
        case FillIn():
            _set_fill_in(content, key, part)
        case Number():
            _set_number(content, key, part)
        case Matching():
            _set_matching(content, key, part)
        case Categorize():
            _set_categorize(content, key, part)
        case Ordering(items):
            shown = _scattered(items)
            content.ordering.items.extend(_items(shown))
            key.order.item_ids.extend(_ids(shown)[item] for item in items)
        case Poll(choices, multiple):
            content.poll.choices.extend(_items(choices))
            content.poll.multiple = key.poll.multiple = multiple
            key.poll.choice_ids.extend(item.item_id for item in content.poll.choices)
        case OpenText(max_length):
            content.open_text.max_length = key.text.max_length = max_length


def _set_choices(content: block_pb2.BlockContent, key: answer_pb2.AnswerKey, part: Choices) -> None:
    shown = content.multiple_choice
    shown.choices.extend(_items([choice.text for choice in part.choices]))
    shown.multiple = key.choices.multiple = part.multiple
    for item, choice in zip(shown.choices, part.choices, strict=True):
        key.choices.choices.add(choice_id=item.item_id, credit=choice.credit)


def _set_fill_in(content: block_pb2.BlockContent, key: answer_pb2.AnswerKey, part: FillIn) -> None:
    blank_ids = [_id(index) for index in range(len(part.blanks))]
    content.fill_in_blank.blank_ids.extend(blank_ids)
    if part.segments:
        gaps = [f"{{{{{blank_id}}}}}" for blank_id in blank_ids]
        content.fill_in_blank.text = "".join(
            segment + gap for segment, gap in zip_longest(part.segments, gaps, fillvalue="")
        )
    key.blanks.blanks.extend(
        _blank_key(blank_id, blank) for blank_id, blank in zip(blank_ids, part.blanks, strict=True)
    )


def _blank_key(blank_id: str, blank: Blank) -> answer_pb2.BlankKey:
    accepted = [answer_pb2.AcceptedText(text=each.text, credit=each.credit) for each in blank.accepted]
    return answer_pb2.BlankKey(blank_id=blank_id, accepted=accepted, case_sensitive=blank.case_sensitive)


def _set_number(content: block_pb2.BlockContent, key: answer_pb2.AnswerKey, part: Number) -> None:
    content.numeric.unit = part.unit
    content.numeric.SetInParent()
    for each in part.ranges:
        key.number.ranges.add(minimum=each.minimum, maximum=each.maximum, credit=each.credit)


def _set_matching(content: block_pb2.BlockContent, key: answer_pb2.AnswerKey, part: Matching) -> None:
    belonging = {pair.right for pair in part.pairs}
    spare = [text for text in dict.fromkeys(part.spare) if text not in belonging]
    shown = _scattered([*belonging, *spare])
    right_ids = _ids(shown)
    content.matching.left.extend(_items([pair.left for pair in part.pairs]))
    content.matching.right.extend(_items(shown))
    for item, pair in zip(content.matching.left, part.pairs, strict=True):
        key.pairs.pairs.add(left_id=item.item_id, right_id=right_ids[pair.right])
    key.pairs.spare_right_ids.extend(right_ids[text] for text in spare)


def _set_categorize(content: block_pb2.BlockContent, key: answer_pb2.AnswerKey, part: Categorize) -> None:
    shown = _scattered([placement.left for placement in part.placements])
    item_ids, category_ids = _ids(shown), _ids(part.categories)
    content.swipe_categorize.items.extend(_items(shown))
    content.swipe_categorize.categories.extend(_items(part.categories))
    for placement in part.placements:
        key.categories.placements.add(
            item_id=item_ids[placement.left], category_id=category_ids[placement.right]
        )
    key.categories.category_ids.extend(category_ids.values())


def _items(texts: Sequence[str]) -> list[block_pb2.Item]:
    return [block_pb2.Item(item_id=_id(index), text=text) for index, text in enumerate(texts)]


def _ids(texts: Sequence[str]) -> dict[str, str]:
    return {text: _id(index) for index, text in enumerate(texts)}


def _id(index: int) -> str:
    high, low = divmod(index, 26)
    return (_id(high - 1) if high else "") + chr(ord("a") + low)


def _scattered(texts: Iterable[str]) -> list[str]:
    """In an order that tells nothing and is the same every time: that of their digests.

    An alphabetical order would give pairs away whose left sides the author sorted.
    """
    return sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
