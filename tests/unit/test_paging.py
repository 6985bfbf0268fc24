"""Page tokens lead back to where a page ended, and nowhere else."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from muster_kit.errors import MusterError, Reason
from muster_kit.paging import DEFAULT_PAGE_SIZE, LARGEST_BIGINT, LARGEST_INTEGER, Pages

NOON = datetime(2024, 5, 1, 12, 0, 0, 123456, UTC)
PAGES = Pages("rows", "one", frozenset({"a"}))


def refused(read: Callable[[], object]) -> bool:
    with pytest.raises(MusterError) as failed:
        read()
    return failed.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize("key", [(NOON, "id"), (NOON - timedelta(days=30_000), "ünï"), (NOON, "")])
def test_a_time_and_an_id_come_back(key: tuple[datetime, str]) -> None:
    assert PAGES.time_and_id(PAGES.token(*key)) == key


@pytest.mark.parametrize("key", [("a text", "id"), ("ünï", ""), ("", "id")])
def test_a_text_and_an_id_come_back(key: tuple[str, str]) -> None:
    assert PAGES.text_and_id(PAGES.token(key[0], "\0", key[1])) == key


@pytest.mark.parametrize("key", [b"", b"text", b"text\0id\0", b"\xff\0id"])
def test_what_is_no_text_and_id_is_refused(key: bytes) -> None:
    assert refused(lambda: PAGES.text_and_id(PAGES.token(key)))


@pytest.mark.parametrize("key", [0, 1, LARGEST_INTEGER])
def test_a_number_comes_back(key: int) -> None:
    assert PAGES.number(PAGES.token(key)) == key


def test_bytes_come_back_as_what_they_stand_for() -> None:
    token = PAGES.token(b"\0\xff", b"key")
    assert PAGES.after(token, lambda data: data) == b"\0\xffkey"
    assert len(token) < 512


def test_the_first_page_has_no_key() -> None:
    assert PAGES.number("") == 0
    assert PAGES.time_and_id("") is None
    assert PAGES.text_and_id("") is None
    assert PAGES.after("", lambda data: data) is None


def test_pages_have_a_usual_size_and_read_one_row_more() -> None:
    assert (PAGES.size, PAGES.limit) == (DEFAULT_PAGE_SIZE, DEFAULT_PAGE_SIZE + 1)
    assert (Pages("rows", page_size=3).size, Pages("rows", page_size=3).limit) == (3, 4)


@pytest.mark.parametrize("other", [("rows", "two"), ("rows",), ("rows", "one", frozenset())])
def test_a_token_of_another_list_is_refused(other: tuple[object, ...]) -> None:
    token = Pages(*other).token(5)
    assert refused(lambda: PAGES.number(token))


@pytest.mark.parametrize("token", ["x", "é", "====", "AAAA", "%" * 40, "\0"])
def test_what_is_no_token_is_refused(token: str) -> None:
    for read in (PAGES.number, PAGES.time_and_id, PAGES.text_and_id):
        assert refused(partial(read, token))


def test_numbers_beyond_what_the_list_has_are_refused() -> None:
    token = PAGES.token(LARGEST_INTEGER + 1)
    assert refused(lambda: PAGES.number(token))
    assert PAGES.number(token, largest=LARGEST_BIGINT) == LARGEST_INTEGER + 1
    assert refused(lambda: PAGES.number(PAGES.token(2**63), largest=LARGEST_BIGINT))


@pytest.mark.parametrize(
    "key", [b"", b"short", b"\x7f" + 7 * b"\xff" + b"id", 8 * b"\0" + b"\0", 8 * b"\0" + b"\xff"]
)
def test_a_forged_key_is_refused(key: bytes) -> None:
    assert refused(lambda: PAGES.time_and_id(PAGES.token(key)))


def test_a_key_that_the_reader_cannot_take_is_refused() -> None:
    def take(data: bytes) -> int:
        return int(data)

    assert PAGES.after(PAGES.token(b"12"), take) == 12
    assert refused(lambda: PAGES.after(PAGES.token(b"twelve"), take))


@pytest.mark.parametrize(("read", "shown", "last"), [(0, 0, None), (2, 2, None), (3, 2, 1)])
def test_a_page_ends_in_front_of_the_row_that_says_that_there_is_more(
    read: int, shown: int, last: int | None
) -> None:
    rows = range(read)
    assert Pages("rows", page_size=2).cut(rows) == (range(shown), last)


def test_a_token_is_good_in_a_url() -> None:
    token = PAGES.token(b"\xfb\xff\xfe" * 5)
    assert token == token.strip("=")
    assert base64.urlsafe_b64decode(token + "==")
