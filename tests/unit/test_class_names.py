"""What lists of classes and of people go by: names as people look them up, small enough for a token."""

import pytest
from hypothesis import given
from hypothesis.strategies import text
from muster_kit.sort_keys import sort_key
from muster_session.model_classes import NewMember


@pytest.mark.parametrize(
    "names",
    [
        ["Ana", "ánB", "ANC"],
        ["Émile", "Emily", "emmA"],
        ["Ｗide", "width", "Ｚ"],
        ["straße", "Strasser"],
    ],
)
def test_neither_case_nor_accents_nor_width_count(names: list[str]) -> None:
    assert sorted(set(names), key=sort_key) == names


@given(text())
def test_a_key_is_small_and_brings_no_separator(name: str) -> None:
    key = sort_key(name)
    assert len(key.encode()) <= 96
    assert "\0" not in key or "\0" in name


def test_a_long_name_is_cut_between_characters() -> None:
    assert sort_key("a" + "數" * 200) == "a" + "數" * 31


def test_who_has_no_name_goes_by_the_id() -> None:
    assert NewMember(user_id="Zoe").sort_name == "zoe"
    assert NewMember(user_id="Zoe", display_name="Ána").sort_name == "ana"
