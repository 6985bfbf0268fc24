"""Join codes: unambiguous, random, and long enough that guessing is hopeless."""

import re

from hypothesis import given
from hypothesis import strategies as st
from muster_session.join_codes import ALPHABET, SHORTEST, code_length, new_code, normalize

GUESSES_PER_DAY = 600 * 60 * 24


def test_the_alphabet_has_no_characters_that_are_mistaken_for_one_another() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 31
    assert not set("0O1IL") & set(ALPHABET)


def test_codes_have_the_length_and_the_alphabet() -> None:
    for length in (6, 7, 12):
        assert re.fullmatch(f"[{ALPHABET}]{{{length}}}", new_code(length))


def test_codes_use_the_whole_alphabet() -> None:
    assert set("".join(new_code(8) for _ in range(500))) == set(ALPHABET)


def test_few_live_codes_are_short() -> None:
    assert code_length(0, GUESSES_PER_DAY) == SHORTEST == 6


def test_a_code_grows_by_one_at_the_bound() -> None:
    bound = len(ALPHABET) ** 6 // GUESSES_PER_DAY
    assert code_length(bound - 1, GUESSES_PER_DAY) == 6
    assert code_length(bound, GUESSES_PER_DAY) == 7


@given(live=st.integers(0, 10**9), guesses=st.integers(1, 10**12))
def test_a_day_of_guessing_finds_less_than_one_code(live: int, guesses: int) -> None:
    length = code_length(live, guesses)
    assert (live + 1) * guesses / len(ALPHABET) ** length < 1
    assert length == SHORTEST or (live + 1) * guesses >= len(ALPHABET) ** (length - 1)


@given(live=st.integers(0, 10**6), more=st.integers(0, 10**6))
def test_more_live_codes_never_make_codes_shorter(live: int, more: int) -> None:
    assert code_length(live + more, GUESSES_PER_DAY) >= code_length(live, GUESSES_PER_DAY)


def test_what_people_type_is_understood() -> None:
    for typed in ("abc234", "ABC-234", " abc 234 ", "AbC\u20112\u00a034", "abc\u2013234"):
        assert normalize(typed) == "ABC234"


@given(code=st.text(ALPHABET, min_size=6, max_size=10))
def test_a_code_is_its_own_normal_form(code: str) -> None:
    assert normalize(code) == code
    assert normalize(" ".join(code.lower())) == code
