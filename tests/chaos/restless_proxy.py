"""A gRPC proxy that repeats, delays and cuts calls, by a seed: what any network may do to a client."""

import asyncio
import hashlib
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

_DELAY_SECONDS: Final = 0.15
_CHANNELS: Final = 4
_FRAMES: Final = (1, 6)
_OWN_CONNECTION: Final = ("grpc.use_local_subchannel_pool", 1)
_OF_THE_CALL: Final = ("authorization", "x-client")

Context = grpc.aio.ServicerContext[bytes, bytes]


class RestlessProxy(grpc.GenericRpcHandler):
    """Forwards calls as bytes; each kind of trouble befalls `share` of them.

    A call is repeated at once over another connection, delayed, cut before the server hears of it, or
    cut after it has answered. Streams are cut after some frames. What befalls a call depends on the
    seed, on who makes it (`x-client`), on its method and on how many of these they made, not on the
    order of arrival.
    `met` counts what happened; `unequal` are the methods that answered one request in two ways.
    """

    def __init__(self, address: str, *, seed: int, share: float) -> None:
        self.met: Counter[str] = Counter()
        self.unequal: list[str] = []
        self._address = address
        self._seed = seed
        self._share = share
        self._server = grpc.aio.server()
        self._channels: list[grpc.aio.Channel] = []
        self._next_channel = itertools.count()
        self._numbers: defaultdict[tuple[str, str], itertools.count[int]] = defaultdict(itertools.count)
        self.address = ""

    async def __aenter__(self) -> Self:
        # Several connections, so that both workers get some of the calls.
        self._channels = [
            grpc.aio.insecure_channel(self._address, options=[_OWN_CONNECTION]) for _ in range(_CHANNELS)
        ]
        self._server.add_generic_rpc_handlers([self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(0)
        for channel in self._channels:
            await channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what handles a method."""
        name = handler_call_details.method
        method = _descriptor(name)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(partial(self._stream, name))
        return grpc.unary_unary_rpc_method_handler(partial(self._unary, name, method))

    async def _unary(self, name: str, method: MethodDescriptor, request: bytes, context: Context) -> bytes:
        trouble = self._trouble(name, context)
        if trouble < self._share:
            self.met["cut before"] += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        if trouble < 2 * self._share:
            self.met["delayed"] += 1
            await asyncio.sleep(trouble / self._share * _DELAY_SECONDS)
        is_repeated = 2 * self._share <= trouble < 3 * self._share
        replies = await asyncio.gather(
            *(self._forward(name, request, context) for _ in range(1 + is_repeated)), return_exceptions=True
        )
        if is_repeated:
            self.met["repeated"] += 1
            self._compare(name, method, request, replies)
        if 3 * self._share <= trouble < 4 * self._share:
            self.met["cut after"] += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        reply = next((each for each in replies if isinstance(each, bytes)), replies[0])
        if isinstance(reply, grpc.aio.AioRpcError):
            await _pass_on(reply, context)
        if isinstance(reply, BaseException):
            raise reply
        self.met["untouched"] += trouble >= 4 * self._share
        return reply

    async def _stream(self, name: str, request: bytes, context: Context) -> AsyncIterator[bytes]:
        trouble = self._trouble(name, context)
        # Most of them: a watch lives long, and it is coming back that is to be tried.
        frames = random.Random(trouble).randint(*_FRAMES) if trouble < 0.8 else 0
        upstream = self._channel().unary_stream(name)(request, metadata=_metadata(context))
        seen = 0
        try:
            async for frame in upstream:
                yield frame
                seen += 1
                if seen == frames:
                    self.met["stream cut"] += 1
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        except grpc.aio.AioRpcError as error:
            await _pass_on(error, context)
        finally:
            upstream.cancel()

    async def _forward(self, name: str, request: bytes, context: Context) -> bytes:
        reply: bytes = await self._channel().unary_unary(name)(
            request, metadata=_metadata(context), timeout=context.time_remaining()
        )
        return reply

    def _channel(self) -> grpc.aio.Channel:
        return self._channels[next(self._next_channel) % _CHANNELS]

    def _trouble(self, name: str, context: Context) -> float:
        """A number from 0 to 1 that says what befalls this call."""
        who = dict(context.invocation_metadata() or ()).get("x-client", "")
        number = next(self._numbers[str(who), name])
        digest = hashlib.sha256(f"{self._seed} {who} {name} {number}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    def _compare(self, name: str, method: MethodDescriptor, request: bytes, replies: list[Any]) -> None:
        if not getattr(GetMessageClass(method.input_type).FromString(request), "request_id", ""):
            return
        answers = [
            _lasting(GetMessageClass(method.output_type).FromString(reply))
            for reply in replies
            if isinstance(reply, bytes)
        ]
        if any(answer != answers[0] for answer in answers):
            self.unequal.append(name)


def _lasting(answer: Any) -> Any:
    """What of an answer is always the same: not places on the board, nor tickets, which are signed anew."""
    for field in ("rank_before", "rank_after", "ticket"):
        if field in answer.DESCRIPTOR.fields_by_name:
            answer.ClearField(field)
    return answer


def _descriptor(name: str) -> MethodDescriptor:
    _, service, method = name.split("/")
    return Default().FindServiceByName(service).methods_by_name[method]


def _metadata(context: Context) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in context.invocation_metadata() or () if key in _OF_THE_CALL]


async def _pass_on(error: grpc.aio.AioRpcError, context: Context) -> None:
    await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))
