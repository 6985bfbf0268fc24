"""Grading of every kind: what is right is right, what is not of the block is refused, credit is a share."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_kit.errors import MusterError, Reason
from muster_scoring.grading import answer_tokens, grade, is_graded, normalize_text
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
    Grade,
    NumericAnswer,
    NumericKey,
    NumericRange,
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

ids = st.text("abcdefgh", min_size=1, max_size=3)
id_lists = st.lists(ids, min_size=2, max_size=8, unique=True)


@st.composite
def choice_keys(draw: st.DrawFn) -> ChoiceKey:
    choices = draw(id_lists)
    right = draw(st.integers(1, len(choices)))
    shares = [1 / right] * right + [draw(st.sampled_from([0.0, -0.5, -1.0]))] * (len(choices) - right)
    multiple = draw(st.booleans())
    if not multiple:
        shares = [1.0] + [0.0] * (len(choices) - 1)
    return ChoiceKey(dict(zip(choices, shares, strict=True)), multiple=multiple)


@st.composite
def pairs_keys(draw: st.DrawFn) -> PairsKey:
    left, right = draw(id_lists), draw(id_lists)
    pairs = {item: draw(st.sampled_from(right)) for item in left}
    return PairsKey(pairs, frozenset(right))


@st.composite
def categories_keys(draw: st.DrawFn) -> CategoriesKey:
    pairs = draw(pairs_keys())
    return CategoriesKey(pairs.pairs, pairs.right_ids)


@st.composite
def blanks_keys(draw: st.DrawFn) -> BlanksKey:
    texts = st.text(min_size=1, max_size=12).filter(str.strip)
    blanks = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    return BlanksKey(
        {
            blank: BlankKey(
                tuple(AcceptedText(text, 1.0) for text in draw(st.lists(texts, min_size=1, max_size=3))),
                case_sensitive=draw(st.booleans()),
            )
            for blank in blanks
        }
    )


@st.composite
def numeric_keys(draw: st.DrawFn) -> NumericKey:
    middle = draw(st.floats(-1e6, 1e6))
    return NumericKey((NumericRange(middle - draw(st.floats(0, 10)), middle, 1.0),))


KEYS = (
    choice_keys()
    | st.builds(TrueFalseKey, st.booleans())
    | blanks_keys()
    | pairs_keys()
    | categories_keys()
    | st.builds(OrderKey, id_lists.map(tuple))
    | numeric_keys()
)


def right_answer(key: AnswerKey) -> Answer:
    match key:
        case ChoiceKey(credits, multiple):
            right = tuple(choice for choice, credit in credits.items() if credit > 0)
            return ChoiceAnswer(right if multiple else right[:1])
        case TrueFalseKey(value):
            return TrueFalseAnswer(value)
        case BlanksKey(blanks):
            return BlanksAnswer({blank: each.accepted[0].text for blank, each in blanks.items()})
        case PairsKey(pairs, _):
            return PairsAnswer(pairs)
        case CategoriesKey(placements, _):
            return CategoriesAnswer(placements)
        case OrderKey(item_ids):
            return OrderAnswer(item_ids)
        case NumericKey(ranges):
            return NumericAnswer(ranges[0].maximum)
        case _:
            raise AssertionError(key)


@given(key=KEYS)
def test_the_right_answer_gets_the_full_credit(key: AnswerKey) -> None:
    assert grade(key, right_answer(key)) == Grade(ResponseStatus.CORRECT, 1.0)


@given(key=KEYS, other=KEYS)
def test_an_answer_of_another_kind_is_refused(key: AnswerKey, other: AnswerKey) -> None:
    if type(key) is type(other):
        return
    with pytest.raises(MusterError) as caught:
        grade(key, right_answer(other))
    assert caught.value.reason is Reason.ANSWER_MISMATCH


@given(key=choice_keys(), data=st.data())
def test_choices_credit_is_a_share_and_only_the_exact_set_is_correct(
    key: ChoiceKey, data: st.DataObject
) -> None:
    bound = len(key.credits) if key.multiple else 1
    chosen = data.draw(
        st.lists(st.sampled_from(sorted(key.credits)), min_size=1, max_size=bound, unique=True)
    )
    result = grade(key, ChoiceAnswer(tuple(chosen)))
    right = {choice for choice, credit in key.credits.items() if credit > 0}
    assert 0 <= result.credit <= 1
    assert (result.status is ResponseStatus.CORRECT) == (set(chosen) == right)


def test_choosing_everything_is_never_right() -> None:
    key = ChoiceKey({"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0}, multiple=True)
    assert grade(key, ChoiceAnswer(("a", "b", "c", "d"))).status is ResponseStatus.INCORRECT
    assert grade(key, ChoiceAnswer(("a",))).credit == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        (ChoiceKey({"a": 1.0, "b": 0.0}, multiple=False), ChoiceAnswer(("a", "b"))),
        (ChoiceKey({"a": 1.0, "b": 0.0}, multiple=False), ChoiceAnswer(("x",))),
        (ChoiceKey({"a": 1.0, "b": 0.0}, multiple=True), ChoiceAnswer(("a", "a"))),
        (PollKey(frozenset({"a", "b"}), multiple=False), ChoiceAnswer(("a", "b"))),
        (PollKey(frozenset({"a", "b"}), multiple=True), ChoiceAnswer(("c",))),
        (BlanksKey({"x": BlankKey((AcceptedText("a", 1),), False)}), BlanksAnswer({"y": "a"})),
        (PairsKey({"l": "r"}, frozenset({"r"})), PairsAnswer({"m": "r"})),
        (PairsKey({"l": "r"}, frozenset({"r"})), PairsAnswer({"l": "s"})),
        (CategoriesKey({"i": "c"}, frozenset({"c", "d"})), CategoriesAnswer({"j": "c"})),
        (CategoriesKey({"i": "c"}, frozenset({"c", "d"})), CategoriesAnswer({"i": "e"})),
        (OrderKey(("a", "b")), OrderAnswer(("a",))),
        (OrderKey(("a", "b")), OrderAnswer(("a", "a"))),
        (TextKey(3), TextAnswer("long")),
    ],
)
def test_what_is_not_of_the_block_is_refused(key: AnswerKey, answer: Answer) -> None:
    with pytest.raises(MusterError) as caught:
        grade(key, answer)
    assert caught.value.reason is Reason.ANSWER_MISMATCH


@given(items=id_lists, seed=st.integers())
def test_orders_get_kendalls_tau(items: list[str], seed: int) -> None:
    shuffled = items.copy()
    random.Random(seed).shuffle(shuffled)
    place = {item: index for index, item in enumerate(items)}
    pairs = [(a, b) for i, a in enumerate(shuffled) for b in shuffled[i + 1 :]]
    discordant = sum(place[a] > place[b] for a, b in pairs)
    expected = max(0.0, 1 - 2 * discordant / len(pairs))
    assert grade(OrderKey(tuple(items)), OrderAnswer(tuple(shuffled))).credit == pytest.approx(expected)
    reversed_items = OrderAnswer(tuple(reversed(items)))
    assert grade(OrderKey(tuple(items)), reversed_items).status is ResponseStatus.INCORRECT


@given(key=pairs_keys(), data=st.data())
def test_pairs_and_categories_get_the_share_that_is_right(key: PairsKey, data: st.DataObject) -> None:
    given_pairs = {item: data.draw(st.sampled_from(sorted(key.right_ids))) for item in key.pairs}
    share = sum(given_pairs[item] == key.pairs[item] for item in key.pairs) / len(key.pairs)
    assert grade(key, PairsAnswer(given_pairs)).credit == pytest.approx(share)
    categories = CategoriesKey(key.pairs, key.right_ids)
    assert grade(categories, CategoriesAnswer(given_pairs)).credit == pytest.approx(share)


@pytest.mark.parametrize("written", ["Łódź", "  łódź ", "ŁÓDŹ", "Ło\u0301dz\u0301"])
def test_texts_are_compared_as_people_read_them(written: str) -> None:
    key = BlanksKey({"x": BlankKey((AcceptedText("Łódź", 1.0),), case_sensitive=False)})
    assert grade(key, BlanksAnswer({"x": written})).status is ResponseStatus.CORRECT


def test_case_counts_where_the_key_says_so() -> None:
    key = BlanksKey({"x": BlankKey((AcceptedText("pH", 1.0),), case_sensitive=True)})
    assert grade(key, BlanksAnswer({"x": "PH"})).status is ResponseStatus.INCORRECT


@given(text=st.text(), sensitive=st.booleans())
def test_normalizing_twice_changes_nothing(text: str, sensitive: bool) -> None:
    once = normalize_text(text, case_sensitive=sensitive)
    assert normalize_text(once, case_sensitive=sensitive) == once


@given(key=numeric_keys(), value=st.floats(-2e6, 2e6))
def test_numbers_inside_a_range_are_right_and_others_wrong(key: NumericKey, value: float) -> None:
    low, high = key.ranges[0].minimum, key.ranges[0].maximum
    inside = low <= value <= high
    # A rounding error beyond an end is forgiven, in proportion to the ends.
    slack = 1e-8 * max(abs(low), abs(high))
    if min(abs(value - low), abs(value - high)) > slack:
        assert (grade(key, NumericAnswer(value)).status is ResponseStatus.CORRECT) == inside


def test_the_best_range_counts() -> None:
    key = NumericKey((NumericRange(0, 10, 0.5), NumericRange(5, 5, 1.0)))
    assert grade(key, NumericAnswer(5)).credit == 1.0
    assert grade(key, NumericAnswer(6)).status is ResponseStatus.PARTIAL


def test_polls_and_open_texts_are_taken_without_a_grade() -> None:
    poll, text = PollKey(frozenset({"a", "b"}), multiple=False), TextKey(10)
    assert grade(poll, ChoiceAnswer(("a",))).status is ResponseStatus.SUBMITTED
    assert grade(text, TextAnswer("hello")).status is ResponseStatus.SUBMITTED
    assert not is_graded(poll)
    assert not is_graded(text)
    assert is_graded(TrueFalseKey(True))


_BLANKS = BlanksKey({"x": BlankKey((AcceptedText("Foo", 1),), case_sensitive=False)})


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (ChoiceAnswer(("a", "b")), ["a", "b"]),
        (TrueFalseAnswer(False), ["false"]),
        (BlanksAnswer({"x": " Foo  BAR "}), ["x=foo bar"]),
        (PairsAnswer({"l": "r"}), ["l=r"]),
        (CategoriesAnswer({"i": "c"}), ["i=c"]),
        (OrderAnswer(("b", "a")), ["b,a"]),
        (NumericAnswer(3.50), ["3.5"]),
        (TextAnswer("anything"), []),
    ],
)
def test_the_distribution_counts_answers_by_token(answer: Answer, tokens: list[str]) -> None:
    assert answer_tokens(_BLANKS, answer) == tokens


def test_blanks_are_counted_in_the_form_they_are_graded_in_and_whole() -> None:
    exact = BlanksKey({"x": BlankKey((AcceptedText("Foo", 1),), case_sensitive=True)})
    assert answer_tokens(exact, BlanksAnswer({"x": " Foo  BAR "})) == ["x=Foo BAR"]
    long = "y" * 200
    assert answer_tokens(_BLANKS, BlanksAnswer({"x": long + "1"})) == [f"x={long}1"]
