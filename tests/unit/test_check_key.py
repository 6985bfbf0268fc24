"""The answer key of a block must fit its content; where it does not, the very field is named."""

from collections.abc import Callable

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from muster.scoring.v1.answer_pb2 import AnswerKey
from muster.session.v1.block_pb2 import BlockContent, NewBlock
from muster_kit.errors import MusterError, Reason
from muster_session.convert_blocks import bodies_of, body_of, scattered
from muster_session.convert_keys import check_key

from tests.fitting_blocks import FITTING


def block(kind: str) -> NewBlock:
    return text_format.Parse(FITTING[kind], NewBlock())


def fits(new: NewBlock) -> None:
    check_key(new.content, new.answer_key, field="blocks[2]")


def faults(new: NewBlock, field: str = "blocks[2]") -> set[str]:
    with pytest.raises(MusterError) as refused:
        check_key(new.content, new.answer_key, field=field)
    assert refused.value.reason is Reason.INVALID_FIELD
    assert all(violation.description for violation in refused.value.violations)
    return {violation.field for violation in refused.value.violations}


def test_there_is_a_fitting_pair_for_every_kind() -> None:
    assert set(FITTING) == {field.name for field in BlockContent.DESCRIPTOR.oneofs_by_name["kind"].fields}


@pytest.mark.parametrize("kind", FITTING)
def test_a_fitting_pair_passes(kind: str) -> None:
    fits(block(kind))


@pytest.mark.parametrize("kind", FITTING)
@pytest.mark.parametrize("other", FITTING)
def test_a_key_of_another_kind_is_refused(kind: str, other: str) -> None:
    new = block(kind)
    new.answer_key.CopyFrom(block(other).answer_key)
    if kind != other:
        assert faults(new) == {"blocks[2].answer_key"}


def test_content_without_a_kind_is_refused() -> None:
    assert faults(NewBlock(content=BlockContent(prompt="?"))) == {"blocks[2].content.kind"}


def choice_unknown(new: NewBlock) -> None:
    new.answer_key.choices.choices[1].choice_id = "d"


def choice_twice(new: NewBlock) -> None:
    new.answer_key.choices.choices.add(choice_id="b")


def choice_shown_twice(new: NewBlock) -> None:
    new.content.multiple_choice.choices.add(item_id="a")


def no_right_choice(new: NewBlock) -> None:
    new.answer_key.choices.choices[0].credit = -0.5


def credit_not_a_number(new: NewBlock) -> None:
    new.answer_key.choices.choices[2].credit = float("nan")


def several_against_one(new: NewBlock) -> None:
    new.answer_key.choices.multiple = True


def blank_without_a_place(new: NewBlock) -> None:
    new.content.fill_in_blank.text = "{{x}} alone"


def blank_missing(new: NewBlock) -> None:
    del new.answer_key.blanks.blanks[0]


def pair_with_an_unknown_right(new: NewBlock) -> None:
    new.answer_key.pairs.pairs[0].right_id = "r9"


def pair_with_an_unknown_left(new: NewBlock) -> None:
    new.answer_key.pairs.pairs[1].left_id = "l9"


def spare_that_belongs(new: NewBlock) -> None:
    new.answer_key.pairs.spare_right_ids.append("r1")


def spare_unnamed(new: NewBlock) -> None:
    del new.answer_key.pairs.spare_right_ids[:]


def item_in_no_category(new: NewBlock) -> None:
    new.answer_key.categories.placements[1].category_id = "c9"


def item_placed_twice(new: NewBlock) -> None:
    new.answer_key.categories.placements.add(item_id="i1", category_id="c1")


def category_unnamed(new: NewBlock) -> None:
    del new.answer_key.categories.category_ids[0]


def item_without_a_place(new: NewBlock) -> None:
    del new.answer_key.order.item_ids[1]


def item_shown_twice(new: NewBlock) -> None:
    new.content.ordering.items.add(item_id="c")


def ends_swapped(new: NewBlock) -> None:
    new.answer_key.number.ranges[0].minimum = 3


def poll_of_one_against_several(new: NewBlock) -> None:
    new.answer_key.poll.multiple = False


def poll_choice_missing(new: NewBlock) -> None:
    del new.answer_key.poll.choice_ids[1]


def text_length_of_its_own(new: NewBlock) -> None:
    new.answer_key.text.max_length = 501


@pytest.mark.parametrize(
    ("kind", "spoil", "fields"),
    [
        (
            "multiple_choice",
            choice_unknown,
            {"answer_key.choices.choices[1].choice_id", "answer_key.choices.choices"},
        ),
        ("multiple_choice", choice_twice, {"answer_key.choices.choices[3].choice_id"}),
        ("multiple_choice", choice_shown_twice, {"content.multiple_choice.choices[3].item_id"}),
        ("multiple_choice", no_right_choice, {"answer_key.choices.choices"}),
        ("multiple_choice", credit_not_a_number, {"answer_key.choices.choices[2].credit"}),
        ("multiple_choice", several_against_one, {"answer_key.choices.multiple"}),
        ("fill_in_blank", blank_without_a_place, {"content.fill_in_blank.blank_ids[1]"}),
        ("fill_in_blank", blank_missing, {"answer_key.blanks.blanks"}),
        (
            "matching",
            pair_with_an_unknown_right,
            {"answer_key.pairs.pairs[0].right_id", "answer_key.pairs.spare_right_ids"},
        ),
        (
            "matching",
            pair_with_an_unknown_left,
            {"answer_key.pairs.pairs[1].left_id", "answer_key.pairs.pairs"},
        ),
        ("matching", spare_that_belongs, {"answer_key.pairs.spare_right_ids[1]"}),
        ("matching", spare_unnamed, {"answer_key.pairs.spare_right_ids"}),
        ("swipe_categorize", item_in_no_category, {"answer_key.categories.placements[1].category_id"}),
        ("swipe_categorize", item_placed_twice, {"answer_key.categories.placements[2].item_id"}),
        ("swipe_categorize", category_unnamed, {"answer_key.categories.category_ids"}),
        ("ordering", item_without_a_place, {"answer_key.order.item_ids"}),
        ("ordering", item_shown_twice, {"content.ordering.items[3].item_id"}),
        ("numeric", ends_swapped, {"answer_key.number.ranges[0].maximum"}),
        ("poll", poll_of_one_against_several, {"answer_key.poll.multiple"}),
        ("poll", poll_choice_missing, {"answer_key.poll.choice_ids"}),
        ("open_text", text_length_of_its_own, {"answer_key.text.max_length"}),
    ],
)
def test_the_faulty_field_is_named(kind: str, spoil: Callable[[NewBlock], None], fields: set[str]) -> None:
    new = block(kind)
    spoil(new)
    assert faults(new) == {f"blocks[2].{field}" for field in fields}
    assert faults(new, field="") == fields


def test_an_open_text_takes_the_length_of_its_content() -> None:
    new = block("open_text")
    new.content.open_text.max_length = new.answer_key.text.max_length = 40
    fits(new)


def test_two_left_items_may_belong_to_the_same_right_one() -> None:
    new = block("matching")
    new.answer_key.pairs.pairs[0].right_id = "r1"
    new.answer_key.pairs.spare_right_ids.append("r2")
    fits(new)


def test_faults_of_all_blocks_are_told_at_once() -> None:
    good, bad, worse = block("poll"), block("poll"), block("numeric")
    poll_of_one_against_several(bad)
    ends_swapped(worse)
    with pytest.raises(MusterError) as refused:
        bodies_of([("1", good), ("2", bad), ("3", worse)], field="blocks")
    assert [violation.field for violation in refused.value.violations] == [
        "blocks[1].answer_key.poll.multiple",
        "blocks[2].answer_key.number.ranges[0].maximum",
    ]


@given(order=st.permutations(list("abcdef")), seed=st.text(max_size=8))
def test_the_shown_order_tells_nothing_of_the_order_written(order: list[str], seed: str) -> None:
    content, canonical = BlockContent(prompt="?"), BlockContent(prompt="?")
    for item_id in order:
        content.ordering.items.add(item_id=item_id, text=item_id * 2)
    for item_id in sorted(order):
        canonical.ordering.items.add(item_id=item_id, text=item_id * 2)
    shown = scattered(content, seed)
    assert shown == scattered(canonical, seed)
    assert sorted(item.item_id for item in shown.ordering.items) == sorted(order)
    assert scattered(shown, seed) == shown


def test_every_order_is_shown_about_as_often() -> None:
    content = BlockContent(prompt="?")
    for item_id in "abc":
        content.ordering.items.add(item_id=item_id)
    orders = ["".join(i.item_id for i in scattered(content, str(n)).ordering.items) for n in range(600)]
    assert {len(set(orders))} == {6}
    assert all(60 <= orders.count(order) <= 140 for order in set(orders))


def test_items_to_categorize_are_shown_in_disorder_and_categories_as_written() -> None:
    content = BlockContent(prompt="?")
    for index in range(20):
        content.swipe_categorize.items.add(item_id=f"i{index}")
        content.swipe_categorize.categories.add(item_id=f"c{index}")
    shown = scattered(content, "seed").swipe_categorize
    assert list(shown.categories) == list(content.swipe_categorize.categories)
    assert list(shown.items) != list(content.swipe_categorize.items)
    assert {item.item_id for item in shown.items} == {f"i{index}" for index in range(20)}


def test_right_sides_are_shown_in_disorder_and_left_ones_as_written() -> None:
    content = BlockContent(prompt="?")
    for index in range(20):
        content.matching.left.add(item_id=f"l{index}")
        content.matching.right.add(item_id=f"r{index}")
    shown = scattered(content, "seed").matching
    assert list(shown.left) == list(content.matching.left)
    assert list(shown.right) != list(content.matching.right)
    assert {item.item_id for item in shown.right} == {f"r{index}" for index in range(20)}


@pytest.mark.parametrize("kind", sorted(FITTING.keys() - {"ordering", "matching", "swipe_categorize"}))
def test_other_kinds_are_shown_as_written(kind: str) -> None:
    content = block(kind).content
    assert scattered(content, "seed") == content


def test_key_and_content_are_kept_as_they_came() -> None:
    new = block("multiple_choice")
    body = body_of(new, "id", field="block")
    assert BlockContent.FromString(body.content) == new.content
    assert AnswerKey.FromString(body.answer_key) == new.answer_key
    assert (body.time_limit, body.rules) == (None, None)
