"""Text with the character NUL, which no store takes, stays outside."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from muster_kit.errors import Reason

from tests.rpc.kit_service import Item, SayRequest, Serving, refusal, serve, told


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[Serving]:
    async with serve() as running:
        yield running


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (SayRequest(text="a\0"), {"text"}),
        (SayRequest(items=[Item(name="a"), Item(name="\0")]), {"items[1].name"}),
        (SayRequest(labels={"a": Item(name="\0b")}), {'labels["a"].name'}),
        (SayRequest(labels={"\0": Item(name="b")}), {'labels["\\u0000"]'}),
        (SayRequest(text="\0", items=[Item(name="\0")]), {"text", "items[0].name"}),
    ],
)
async def test_nul_in_a_text_is_refused_with_the_field(
    serving: Serving, request_: Any, fields: set[str]
) -> None:
    error = told(await refusal(serving.unary(request_)))
    assert error.reason is Reason.INVALID_FIELD
    assert {violation.field for violation in error.violations} == fields


async def test_a_zero_byte_that_is_no_character_passes(serving: Serving) -> None:
    no_nanos = b"\x22\x02\x10\x00"
    request = SayRequest(text="hello", sent=Timestamp(seconds=1)).SerializeToString() + no_nanos
    assert (await serving.unary(request)).text == "hello"
