"""Answers, keys and rules between contract and model; pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from muster.scoring.v1 import answer_pb2, rules_pb2
from muster_kit.errors import MusterError, Reason

from muster_scoring.model_answers import (
    AcceptedText,
    Answer,
    AnswerKey,
    BlankKey,
    BlanksAnswer,
    BlanksKey,
    CategoriesAnswer,
    CategoriesKey,
    ChoiceAnswer,
    ChoiceKey,
    NumericAnswer,
    NumericKey,
    NumericRange,
    OrderAnswer,
    OrderKey,
    PairsAnswer,
    PairsKey,
    PollKey,
    TextAnswer,
    TextKey,
    TrueFalseAnswer,
    TrueFalseKey,
)
from muster_scoring.points import Feedback, PartialCredit, ScoringRules

_ANSWERS: Final[Mapping[str, Callable[[Any], Answer]]] = {
    "choices": lambda part: ChoiceAnswer(tuple(part.choice_ids)),
    "true_false": lambda part: TrueFalseAnswer(part.value),
    "blanks": lambda part: BlanksAnswer(_once((each.blank_id, each.text) for each in part.blanks)),
    "pairs": lambda part: PairsAnswer(_once((each.left_id, each.right_id) for each in part.pairs)),
    "categories": lambda part: CategoriesAnswer(
        _once((each.item_id, each.category_id) for each in part.placements)
    ),
    "order": lambda part: OrderAnswer(tuple(part.item_ids)),
    "number": lambda part: NumericAnswer(part.value),
    "text": lambda part: TextAnswer(part.text),
}

_KEYS: Final[Mapping[str, Callable[[Any], AnswerKey]]] = {
    "choices": lambda part: ChoiceKey(
        {each.choice_id: each.credit for each in part.choices}, multiple=part.multiple
    ),
    "true_false": lambda part: TrueFalseKey(part.value),
    "blanks": lambda part: BlanksKey({each.blank_id: _blank_key(each) for each in part.blanks}),
    "pairs": lambda part: PairsKey(
        {each.left_id: each.right_id for each in part.pairs},
        frozenset(part.spare_right_ids) | {each.right_id for each in part.pairs},
    ),
    "categories": lambda part: CategoriesKey(
        {each.item_id: each.category_id for each in part.placements}, frozenset(part.category_ids)
    ),
    "order": lambda part: OrderKey(tuple(part.item_ids)),
    "number": lambda part: NumericKey(
        tuple(NumericRange(each.minimum, each.maximum, each.credit) for each in part.ranges)
    ),
    "poll": lambda part: PollKey(frozenset(part.choice_ids), multiple=part.multiple),
    "text": lambda part: TextKey(part.max_length),
}


def answer_from_proto(message: answer_pb2.Answer) -> Answer:
    """The answer in `message`; raises MusterError(ANSWER_MISMATCH) when something is answered twice."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise MusterError(Reason.ANSWER_MISMATCH, detail="empty answer")
    return _ANSWERS[kind](getattr(message, kind))


def key_from_proto(message: answer_pb2.AnswerKey) -> AnswerKey:
    """The key in `message`; raises MusterError(INVALID_FIELD) when it is empty."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise MusterError(Reason.INVALID_FIELD, detail="empty answer key")
    return _KEYS[kind](getattr(message, kind))


def rules_from_proto(message: rules_pb2.ScoringRules) -> ScoringRules:
    """The rules in `message`; what is not set takes the contract's default."""
    return ScoringRules(
        base_points=message.base_points,
        speed_bonus=message.speed_bonus,
        wrong_penalty=message.wrong_penalty,
        streak_step=message.streak_step,
        streak_maximum=message.streak_maximum,
        partial_credit=(
            PartialCredit.NONE
            if message.partial_credit == rules_pb2.PARTIAL_CREDIT_NONE
            else PartialCredit.PROPORTIONAL
        ),
        multiplier=message.multiplier or 1,
        feedback=(Feedback.ON_CLOSE if message.feedback == rules_pb2.FEEDBACK_ON_CLOSE else Feedback.AT_ONCE),
    )


def _blank_key(message: answer_pb2.BlankKey) -> BlankKey:
    return BlankKey(
        tuple(AcceptedText(each.text, each.credit) for each in message.accepted),
        case_sensitive=message.case_sensitive,
    )


def _once(pairs: Any) -> dict[str, str]:
    result: dict[str, str] = {}
    for key, value in pairs:
        if key in result:
            raise MusterError(Reason.ANSWER_MISMATCH, detail="answered twice")
        result[key] = value
    return result
