"""Questions of files as blocks, kind by kind; guessing formats and decoding files."""

from datetime import timedelta

import protovalidate
import pytest
from google.protobuf import json_format
from muster.session.v1 import block_pb2
from muster_session.convert_keys import check_key
from muster_session.question_files import (
    QuestionFileError,
    QuestionFormat,
    decode,
    guess_format,
    parse,
    to_block,
    to_blocks,
)


def block(text: str, form: QuestionFormat = QuestionFormat.GIFT) -> block_pb2.NewBlock:
    (made,) = to_blocks(parse(form, text))
    protovalidate.validate(made)
    check_key(made.content, made.answer_key)
    return made


def row(kind: str, *choices: str, **cells: str) -> block_pb2.NewBlock:
    named = {
        "kind": kind,
        "prompt": "Q",
        **{f"choice_{at}": text for at, text in enumerate(choices, start=1)},
    }
    columns = named | cells
    return block("\t".join(columns) + "\n" + "\t".join(columns.values()), QuestionFormat.CSV)


def test_choices_have_their_credits_under_ids_in_their_order() -> None:
    made = block("::t::Q{~a =b ~%50%c}")
    assert (made.content.title, made.content.prompt) == ("t", "Q")
    assert [(each.item_id, each.text) for each in made.content.multiple_choice.choices] == [
        ("a", "a"),
        ("b", "b"),
        ("c", "c"),
    ]
    assert [(each.choice_id, each.credit) for each in made.answer_key.choices.choices] == [
        ("a", 0),
        ("b", 1),
        ("c", 0.5),
    ]
    assert not made.content.multiple_choice.multiple
    assert not made.answer_key.choices.multiple


def test_several_choices_are_allowed_in_content_and_key() -> None:
    made = block("Q{~%50%a ~%50%b ~c}")
    assert made.content.multiple_choice.multiple
    assert made.answer_key.choices.multiple


@pytest.mark.parametrize(("written", "value"), [("T", True), ("F", False)])
def test_true_and_false_are_set_in_the_key(written: str, value: bool) -> None:
    made = block(f"Q{{{written}}}")
    assert made.content.WhichOneof("kind") == "true_false"
    assert made.answer_key.WhichOneof("kind") == "true_false"
    assert made.answer_key.true_false.value is value


def test_accepted_words_become_a_blank() -> None:
    made = block("Two {=plus =%50%and#Nearly.} two.")
    assert made.content.prompt == "Two _____ two."
    assert made.content.fill_in_blank.text == ""
    assert made.content.fill_in_blank.blank_ids == ["a"]
    (blank,) = made.answer_key.blanks.blanks
    assert blank.blank_id == "a"
    assert [(each.text, each.credit) for each in blank.accepted] == [("plus", 1), ("and", 0.5)]
    assert made.answer_key.explanation == "- and: Nearly."


def test_a_text_with_blanks_has_their_ids_where_they_stand() -> None:
    made = row("fill_in_blank", text="{{Oslo}}, {{Norway|Norge}}.", case_sensitive="true")
    assert made.content.fill_in_blank.text == "{{a}}, {{b}}."
    assert made.content.fill_in_blank.blank_ids == ["a", "b"]
    assert [each.blank_id for each in made.answer_key.blanks.blanks] == ["a", "b"]
    assert all(each.case_sensitive for each in made.answer_key.blanks.blanks)


def test_numbers_become_ranges() -> None:
    made = block("Q{#=3 =%50%3:2}")
    assert [(each.minimum, each.maximum, each.credit) for each in made.answer_key.number.ranges] == [
        (3, 3, 1),
        (1, 5, 0.5),
    ]
    assert made.content.WhichOneof("kind") == "numeric"
    assert row("numeric", answer="1", unit="km").content.numeric.unit == "km"


def test_pairs_refer_to_right_items_that_are_shared_and_scattered() -> None:
    made = block("Q{=ant -> animal =bee -> animal =oak -> plant = -> stone}")
    left = {each.item_id: each.text for each in made.content.matching.left}
    right = {each.item_id: each.text for each in made.content.matching.right}
    assert list(left.values()) == ["ant", "bee", "oak"]
    assert sorted(right.values()) == ["animal", "plant", "stone"]
    assert list(right) == ["a", "b", "c"]
    assert [(left[each.left_id], right[each.right_id]) for each in made.answer_key.pairs.pairs] == [
        ("ant", "animal"),
        ("bee", "animal"),
        ("oak", "plant"),
    ]
    assert [right[each] for each in made.answer_key.pairs.spare_right_ids] == ["stone"]


def test_items_to_order_are_shown_scattered_and_keyed_in_order() -> None:
    words = [f"item {number}" for number in range(30)]
    made = row("ordering", *words)
    shown = {each.item_id: each.text for each in made.content.ordering.items}
    assert [shown[each] for each in made.answer_key.order.item_ids] == words
    assert list(shown.values()) != words
    assert list(shown)[25:] == ["z", "aa", "ab", "ac", "ad"]


def test_items_to_categorize_know_their_category() -> None:
    made = row("categorize", "ant -> animal", "oak -> plant", "-> stone")
    items = {each.item_id: each.text for each in made.content.swipe_categorize.items}
    categories = {each.item_id: each.text for each in made.content.swipe_categorize.categories}
    key = made.answer_key.categories
    assert list(categories.values()) == ["animal", "plant", "stone"]
    assert {items[each.item_id]: categories[each.category_id] for each in key.placements} == {
        "ant": "animal",
        "oak": "plant",
    }
    assert key.category_ids == list(categories)


@pytest.mark.parametrize("kind", ["poll", "multiple_poll"])
def test_polls_have_choices_and_nothing_right(kind: str) -> None:
    made = row(kind, "a", "b")
    assert made.answer_key.poll.choice_ids == [each.item_id for each in made.content.poll.choices]
    assert made.content.poll.multiple is made.answer_key.poll.multiple is (kind == "multiple_poll")


def test_open_text_has_its_bound_in_content_and_key() -> None:
    made = block("Q{}")
    assert made.content.open_text.max_length == made.answer_key.text.max_length == 500


@pytest.mark.parametrize(
    "text",
    [
        "P" * 5000 + "{}",
        f"::{'t' * 200}::Q{{T####{'e' * 2000}}}",
        f"Q{{={'c' * 2000} {'~x' * 49}}}",
        "Q{" + f"={'a' * 500}" * 50 + "}",
        f"Q{{#{'=1..2' * 20}}}",
        "Q{" + "".join(f"={each} -> {each} = -> spare {each}" for each in range(50)) + "}",
    ],
)
def test_a_question_at_every_limit_is_a_block_still(text: str) -> None:
    assert block(text).content.prompt


def test_a_time_limit_is_taken_over_and_absent_without_one() -> None:
    made = row("open_text", time_limit_seconds="2.5")
    assert made.time_limit.ToTimedelta() == timedelta(seconds=2.5)
    assert not block("Q{}").HasField("time_limit")


def test_feedback_joins_the_explanation() -> None:
    assert (
        block("Q{~a#no =b#yes ~c ####All in all.}").answer_key.explanation
        == "All in all.\n\n- a: no\n- b: yes"
    )
    assert block("Q{F#wrong#right####general}").answer_key.explanation == "general\n\nright\nwrong"
    assert block("Q{#=3#exact =%50%3:2#near}").answer_key.explanation == "- 3: exact\n- 1 – 5: near"


def test_the_content_tells_nothing_of_the_right_answer() -> None:
    first, second = block("Q{=a ~b}"), block("Q{~a =b}")
    assert json_format.MessageToDict(first.content) == json_format.MessageToDict(second.content)
    forth, back = row("ordering", "a", "b", "c"), row("ordering", "c", "b", "a")
    assert forth.content == back.content


def test_the_same_question_gives_the_same_block() -> None:
    (question,) = parse(QuestionFormat.GIFT, "Q{=a -> b =c -> d}")
    assert to_block(question) == to_block(question)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("quiz.GIFT", "", QuestionFormat.GIFT),
        ("quiz.csv", "A. x\nANSWER: A", QuestionFormat.CSV),
        ("quiz.tsv", "", QuestionFormat.CSV),
        ("quiz.aiken", "", QuestionFormat.AIKEN),
        ("quiz.txt", "Q?\r\nA. a\r\nB. b\r\nANSWER: A", QuestionFormat.AIKEN),
        ("quiz.txt", "\ufeffKind,Prompt\npoll,x", QuestionFormat.CSV),
        ("quiz.txt", "Q?{T}", QuestionFormat.GIFT),
        ("", "", QuestionFormat.GIFT),
    ],
)
def test_a_format_is_told_by_name_or_by_content(name: str, text: str, expected: QuestionFormat) -> None:
    assert guess_format(name, text) is expected


def test_a_file_in_another_encoding_is_a_fault_of_its_line() -> None:
    assert decode("né\n".encode()) == "né\n"
    with pytest.raises(QuestionFileError) as caught:
        decode("one\ntwo\nné\n".encode("latin-1"))
    assert str(caught.value) == "line 3: the file is not UTF-8"
