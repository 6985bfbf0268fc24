"""Takes up calls method by method, so that no path that a client invents is ever decoded.

grpc.aio takes up all calls in one loop, which decodes the path of each as UTF-8. One path that is none
ends the loop, and with it the server: any client could shut down a worker with one byte (grpcio 1.85).
Here gRPC's core compares the paths of our methods as bytes; calls with any other path are handed to one
handler that never learns what it was.
"""

# What it takes is inside of grpcio.
# ruff: noqa: SLF001

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server

from muster_kit.rpc.options import Options
from muster_kit.rpc.service import Handler

_UNKNOWN: Final = "/unknown"

# What is used of grpcio's inside. It is no promise of theirs: where it has changed, the server is theirs
# as it comes, and a worker whose server has ended is started anew.
_PARTS: Final = {
    "_MethodResolver",
    "_handle_rpc",
    "_schedule_rpc_coro",
    "AioServer._make_request_call_future",
    "AioServer._request_call",
    "AioServer._request_registered_call",
    "AioServer.add_registered_method_handlers",
}


def async_server(handlers: Mapping[str, Handler], unknown: Handler, options: Options) -> grpc.aio.Server:
    """Return a server of these methods, by path, and of `unknown` for any other."""
    if all(_has(part) for part in _PARTS):
        server: Any = _Server(handlers, unknown, options)
        return cast("grpc.aio.Server", server)
    return grpc.aio.server(handlers=(_ByPath(handlers, unknown),), options=options)


def _has(part: str) -> bool:
    found: Any = cygrpc
    for name in part.split("."):
        found = getattr(found, name, None)
    return found is not None


class _ByPath(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, handlers: Mapping[str, Handler], unknown: Handler) -> None:
        self._handlers = handlers
        self._unknown = unknown

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        return self._handlers.get(handler_call_details.method, self._unknown)


class _Server(_server.Server):
    def __init__(self, handlers: Mapping[str, Handler], unknown: Handler, options: Options) -> None:
        # In place of the parent's, which makes the server that is replaced.
        self._loop = cygrpc.get_working_loop()
        self._server = _Intake(
            self._loop, None, (), (), _server._augment_channel_arguments(options, None), None
        )
        self._server.take(self._loop, handlers, unknown)


class _Intake(cygrpc.AioServer):  # type: ignore[misc]
    """A server whose own loop waits for its end alone: each method has one that takes up its calls."""

    def take(
        self, loop: asyncio.AbstractEventLoop, handlers: Mapping[str, Handler], unknown: Handler
    ) -> None:
        """Say what is served, before it starts."""
        self._calls_loop = loop
        self._resolver = cygrpc._MethodResolver([], {**handlers, _UNKNOWN: unknown})
        self._calls: set[asyncio.Task[None]] = set()
        self.add_registered_method_handlers(dict(handlers))

    def _make_request_call_future(self, path: bytes | None) -> asyncio.Task[None]:
        # The parent asks for each method's next call, and once for that of any other method.
        return self._calls_loop.create_task(self._take_up(path), name="take-up-calls")

    async def _take_up(self, path: bytes | None) -> None:
        """Serve the calls of one method until the server ends, which raises."""
        name = _UNKNOWN if path is None else path.decode()
        while True:
            call = await (self._request_call() if path is None else self._request_registered_call(path))
            served = cygrpc._handle_rpc(name, self._resolver, (), call, self._calls_loop, False)
            task = self._calls_loop.create_task(
                cygrpc._schedule_rpc_coro(served, call, self._calls_loop, name)
            )
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
