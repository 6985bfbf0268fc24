"""What a player answers: the right thing when they know it, something plausible when they do not."""

import random
from typing import Any

from muster.scoring.v1 import answer_pb2 as answers
from muster.session.v1 import block_pb2

_WORDS = ("something", "no idea", "42", "maybe", "the blue one")


def choose(
    block: block_pb2.Block, key: answers.AnswerKey, *, knows: bool, rng: random.Random
) -> answers.Answer:
    """An answer of the kind `block` asks for."""
    kind = block.content.WhichOneof("kind") or ""
    return _KINDS[kind](getattr(block.content, kind), key, knows, rng)


def _choices(content: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    shown = [item.item_id for item in content.choices]
    right = [choice.choice_id for choice in key.choices.choices if choice.credit > 0]
    if knows and right:
        chosen = right if content.multiple else right[:1]
    else:
        chosen = rng.sample(shown, rng.randint(1, len(shown))) if content.multiple else [rng.choice(shown)]
    return answers.Answer(choices=answers.ChoiceAnswer(choice_ids=chosen))


def _true_false(_: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    value = key.true_false.value if knows else rng.random() < 0.5
    return answers.Answer(true_false=answers.TrueFalseAnswer(value=value))


def _blanks(_: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    filled = [
        answers.BlankAnswer(
            blank_id=blank.blank_id, text=blank.accepted[0].text if knows else rng.choice(_WORDS)
        )
        for blank in key.blanks.blanks
    ]
    return answers.Answer(blanks=answers.BlanksAnswer(blanks=filled))


def _pairs(content: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    right = [item.item_id for item in content.right]
    guessed = [answers.Pair(left_id=item.left_id, right_id=rng.choice(right)) for item in key.pairs.pairs]
    return answers.Answer(pairs=answers.PairsAnswer(pairs=key.pairs.pairs if knows else guessed))


def _categories(content: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    categories = [item.item_id for item in content.categories]
    guessed = [
        answers.Placement(item_id=item.item_id, category_id=rng.choice(categories))
        for item in key.categories.placements
    ]
    placements = key.categories.placements if knows else guessed
    return answers.Answer(categories=answers.CategoriesAnswer(placements=placements))


def _order(_: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    items = list(key.order.item_ids)
    if not knows:
        rng.shuffle(items)
    return answers.Answer(order=answers.OrderAnswer(item_ids=items))


def _number(_: Any, key: answers.AnswerKey, knows: bool, rng: random.Random) -> answers.Answer:
    accepted = key.number.ranges[0]
    middle = (accepted.minimum + accepted.maximum) / 2
    value = middle if knows else round(middle * rng.uniform(0.5, 1.5) + rng.randint(1, 9))
    return answers.Answer(number=answers.NumericAnswer(value=value))


def _text(_: Any, __: answers.AnswerKey, ___: bool, rng: random.Random) -> answers.Answer:
    return answers.Answer(text=answers.TextAnswer(text=rng.choice(_WORDS)))


_KINDS = {
    "multiple_choice": _choices,
    "poll": _choices,
    "true_false": _true_false,
    "fill_in_blank": _blanks,
    "matching": _pairs,
    "swipe_categorize": _categories,
    "ordering": _order,
    "numeric": _number,
    "open_text": _text,
}
