"""One block of every kind, each with an answer key that can be found again in a stream of bytes."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from muster.scoring.v1 import answer_pb2 as keys
from muster.session.v1 import block_pb2 as blocks


@dataclass(frozen=True, slots=True)
class Example:
    """A block to add, a wrong (or any) answer to it, and what must not be seen before it closes."""

    block: blocks.NewBlock
    answer: keys.Answer
    needles: tuple[bytes, ...]


def _items(*ids: str) -> list[blocks.Item]:
    return [blocks.Item(item_id=each, text=f"text of {each}") for each in ids]


def _example(content: blocks.BlockContent, key: keys.AnswerKey, answer: keys.Answer) -> Example:
    marker = f"explained-{uuid.uuid4().hex}"
    content.prompt = f"A question of kind {content.WhichOneof('kind')}?"
    kind = key.WhichOneof("kind")
    assert kind is not None
    inner: bytes = getattr(key, kind).SerializeToString()
    key.explanation = marker
    needles = (marker.encode(), key.SerializeToString())
    if len(inner) >= 8:
        # Shorter ones are found in any stream by chance.
        needles = (*needles, inner)
    return Example(blocks.NewBlock(content=content, answer_key=key), answer, needles)


def examples() -> Mapping[str, Example]:
    """By kind, in the order of the contract; all kinds of `BlockContent`, which a test makes sure of."""
    secret = uuid.uuid4().hex
    return {
        "multiple_choice": _example(
            blocks.BlockContent(multiple_choice=blocks.MultipleChoice(choices=_items("a", "b", "c"))),
            keys.AnswerKey(
                choices=keys.ChoiceKey(
                    choices=[
                        keys.ChoiceCredit(choice_id="a", credit=-0.123456789),
                        keys.ChoiceCredit(choice_id="b", credit=1),
                        keys.ChoiceCredit(choice_id="c", credit=-0.987654321),
                    ]
                )
            ),
            keys.Answer(choices=keys.ChoiceAnswer(choice_ids=["a"])),
        ),
        "true_false": _example(
            blocks.BlockContent(true_false=blocks.TrueFalse()),
            keys.AnswerKey(true_false=keys.TrueFalseKey(value=True)),
            keys.Answer(true_false=keys.TrueFalseAnswer(value=False)),
        ),
        "fill_in_blank": _example(
            blocks.BlockContent(fill_in_blank=blocks.FillInBlank(text="{{x}}", blank_ids=["x"])),
            keys.AnswerKey(
                blanks=keys.BlanksKey(
                    blanks=[
                        keys.BlankKey(
                            blank_id="x", accepted=[keys.AcceptedText(text=f"word-{secret}", credit=1)]
                        )
                    ]
                )
            ),
            keys.Answer(blanks=keys.BlanksAnswer(blanks=[keys.BlankAnswer(blank_id="x", text="wrong")])),
        ),
        "matching": _example(
            blocks.BlockContent(
                matching=blocks.Matching(left=_items("l1", "l2", "l3"), right=_items("r1", "r2", "r3"))
            ),
            keys.AnswerKey(
                pairs=keys.PairsKey(
                    pairs=[
                        keys.Pair(left_id="l1", right_id="r3"),
                        keys.Pair(left_id="l2", right_id="r1"),
                        keys.Pair(left_id="l3", right_id="r2"),
                    ]
                )
            ),
            keys.Answer(pairs=keys.PairsAnswer(pairs=[keys.Pair(left_id="l1", right_id="r1")])),
        ),
        "swipe_categorize": _example(
            blocks.BlockContent(
                swipe_categorize=blocks.SwipeCategorize(
                    items=_items("i1", "i2", "i3"), categories=_items("c1", "c2")
                )
            ),
            keys.AnswerKey(
                categories=keys.CategoriesKey(
                    placements=[
                        keys.Placement(item_id="i1", category_id="c2"),
                        keys.Placement(item_id="i2", category_id="c1"),
                        keys.Placement(item_id="i3", category_id="c2"),
                    ],
                    category_ids=["c1", "c2"],
                )
            ),
            keys.Answer(
                categories=keys.CategoriesAnswer(placements=[keys.Placement(item_id="i1", category_id="c1")])
            ),
        ),
        "ordering": _example(
            blocks.BlockContent(ordering=blocks.Ordering(items=_items("o1", "o2", "o3", "o4"))),
            keys.AnswerKey(order=keys.OrderKey(item_ids=["o3", "o1", "o4", "o2"])),
            keys.Answer(order=keys.OrderAnswer(item_ids=["o2", "o4", "o1", "o3"])),
        ),
        "numeric": _example(
            blocks.BlockContent(numeric=blocks.Numeric(unit="m")),
            keys.AnswerKey(
                number=keys.NumericKey(
                    ranges=[keys.NumericRange(minimum=8848.123456, maximum=8849.654321, credit=1)]
                )
            ),
            keys.Answer(number=keys.NumericAnswer(value=1)),
        ),
        "poll": _example(
            blocks.BlockContent(poll=blocks.Poll(choices=_items("a", "b"))),
            keys.AnswerKey(poll=keys.PollKey(choice_ids=["a", "b"])),
            keys.Answer(choices=keys.ChoiceAnswer(choice_ids=["a"])),
        ),
        "open_text": _example(
            blocks.BlockContent(open_text=blocks.OpenText(max_length=100)),
            keys.AnswerKey(text=keys.TextKey(max_length=100)),
            keys.Answer(text=keys.TextAnswer(text="my words")),
        ),
    }
