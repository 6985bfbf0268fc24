"""Calls of methods that nobody serves, whatever bytes their names are."""

import asyncio

import pytest

from tests.chaos import http2
from tests.rpc.kit_service import NAME, SayRequest, serve


async def said(address: str, path: bytes, token: str) -> bytes:
    """Call a path, and return what the server sends until it has ended the call."""
    headers, body = http2.call("/path", SayRequest().SerializeToString(), token)
    literal = headers.payload.replace(b"\x05/path", bytes((len(path),)) + path)
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(http2.opening() + bytes(http2.Frame(headers.kind, headers.flags, 1, literal)) + bytes(body))
    frames, heard = http2.Frames(), b""
    try:
        async with asyncio.timeout(10):
            while data := await reader.read(65536):
                for frame in frames.feed(data):
                    heard += frame.payload
                    if frame.kind == http2.Kind.HEADERS and frame.flags & http2.END_STREAM:
                        return heard
    finally:
        writer.transport.abort()
    raise AssertionError("the server broke off")


@pytest.mark.parametrize(
    "path", [b"/\xf3\x28", b"\xff", b"/" + NAME.encode() + b"/Say\xe4", b"/no/Such", b"/unknown", b"*"]
)
async def test_a_path_of_any_bytes_is_unimplemented_and_ends_nothing(path: bytes) -> None:
    async with serve() as serving:
        token = dict(serving.user)["authorization"].removeprefix("Bearer ")
        heard = await said(serving.address, path, token)
        assert b"grpc-status\x0212" in heard
        assert b"This release does not have the method." in heard
        # It takes up calls as before.
        assert b"grpc-status\x010" in await said(serving.address, b"/" + NAME.encode() + b"/Say", token)
        assert (await serving.unary(SayRequest(text="hello"))).text == "hello"
