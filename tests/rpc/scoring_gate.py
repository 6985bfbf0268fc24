"""Stands between session and scoring: writes down what was asked, and fails when a test says so."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.protobuf.message_factory import GetMessageClass
from muster.scoring.v1 import round_service_pb2
from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.status import wire_status

_SERVICE = round_service_pb2.DESCRIPTOR.services_by_name["RoundService"]


@dataclass(slots=True)
class Trouble:
    """What happens to calls of one method.

    They fail with `code`, before scoring hears of them or, with `reply_lost`, after it has answered;
    or they wait for `release` first. With `told` they say why, as our services do.
    """

    code: grpc.StatusCode | None = None
    reply_lost: bool = False
    release: asyncio.Event | None = None
    told: Reason | None = None
    left: int = 1_000_000
    met: asyncio.Event = field(default_factory=asyncio.Event)


class ScoringGate:
    """A server that passes calls of RoundService on to `upstream`."""

    def __init__(self, upstream: str) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.troubles: dict[str, Trouble] = {}
        self.address = ""
        self._upstream = grpc.aio.insecure_channel(upstream)
        self._server = grpc.aio.server()

    async def __aenter__(self) -> Self:
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(self._serve(method))
            for method in _SERVICE.methods
            if not method.client_streaming and not method.server_streaming
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers),)
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
        await self._upstream.close()

    def asked(self, method: str, session_id: str) -> list[Any]:
        """Return the requests of a method that were about a session, or about one of its rounds."""
        rounds = {
            request.round_id
            for name, request in self.calls
            if name == "OpenRound" and request.session_id == session_id
        }
        return [
            request
            for name, request in self.calls
            if name == method
            and (getattr(request, "session_id", "") == session_id or _round_id(request) in rounds)
        ]

    def asked_any(self, method: str) -> list[Any]:
        """Return the requests of a method, whatever they were about."""
        return [request for name, request in self.calls if name == method]

    def _serve(self, method: Any) -> Callable[[bytes, Any], Any]:
        request_class = GetMessageClass(method.input_type)
        forward = self._upstream.unary_unary(f"/{_SERVICE.full_name}/{method.name}")

        async def serve(data: bytes, context: Any) -> bytes:
            request = request_class.FromString(data)
            self.calls.append((method.name, request))
            trouble = self._trouble(method.name)
            if trouble is not None:
                trouble.met.set()
                if trouble.release is not None:
                    await trouble.release.wait()
                elif not trouble.reply_lost:
                    trailers = wire_status(MusterError(trouble.told)).trailers if trouble.told else ()
                    await context.abort(trouble.code, "trouble", trailers)
            try:
                answer: bytes = await forward(data, metadata=_forwarded(context), timeout=10)
            except grpc.aio.AioRpcError as error:
                await context.abort(
                    error.code(), error.details() or "", tuple(error.trailing_metadata() or ())
                )
            if trouble is not None and trouble.reply_lost:
                await context.abort(trouble.code, "the reply was lost")
            return answer

        return serve

    def _trouble(self, method: str) -> Trouble | None:
        trouble = self.troubles.get(method)
        if trouble is None or trouble.left <= 0:
            return None
        trouble.left -= 1
        return trouble


def _round_id(request: Any) -> str:
    return getattr(request, "round_id", "")


def _forwarded(context: Any) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in context.invocation_metadata() if key == "authorization")
