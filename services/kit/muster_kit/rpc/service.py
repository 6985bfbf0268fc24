"""Bind a contract's service to the object that serves it."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from muster_kit.errors import MusterError, Reason
from muster_kit.rpc.method import (
    BidiStreamMethod,
    ClientStreamMethod,
    Method,
    ServerStreamMethod,
    Surroundings,
    UnaryMethod,
)
from muster_kit.rpc.policy import Policy

Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a contract, and the object whose coroutine methods serve it.

    One request: `async def Start(self, request, call)`. A stream of requests: `async def
    StreamSubmit(self, call)`, which reads `call.requests()`. One response: return the message, or
    its wire form. A stream of responses: `await call.write(…)`, and return nothing.
    Methods the servicer lacks answer UNIMPLEMENTED.
    """

    descriptor: ServiceDescriptor
    servicer: object


def method_handlers(service: Service, policy: Policy, surroundings: Surroundings) -> dict[str, Handler]:
    """Return the handlers of a service by path; TypeError when its servicer does not fit the contract."""
    _check_names(service)
    handlers = {}
    for descriptor in service.descriptor.methods:
        name = f"{service.descriptor.full_name}/{descriptor.name}"
        kind, make_handler = _KINDS[descriptor.client_streaming, descriptor.server_streaming]
        serve = _servicer_method(service.servicer, descriptor.name)
        method = kind(name, descriptor, serve, policy[name], surroundings)
        handlers[f"/{name}"] = make_handler(method.handle)
    return handlers


def _check_names(service: Service) -> None:
    contract = {method.name for method in service.descriptor.methods}
    for name in dir(service.servicer):
        # Without this, a misspelt method would be served as UNIMPLEMENTED.
        if name[0].isupper() and name not in contract:
            raise TypeError(f"{service.descriptor.full_name} has no method {name}")


def _servicer_method(servicer: object, name: str) -> Callable[..., Awaitable[Any]]:
    method = getattr(servicer, name, None)
    # What is inherited from generated code only says that it is not implemented.
    if method is None or method.__module__.endswith("_pb2_grpc"):
        return _absent
    if not inspect.iscoroutinefunction(method):
        raise TypeError(f"{type(servicer).__name__}.{name} is not a coroutine function")
    bound: Callable[..., Awaitable[Any]] = method
    return bound


async def _absent(*_: object) -> None:
    raise MusterError(Reason.UNIMPLEMENTED)


# By whether requests and whether responses are streamed.
_KINDS: Final[dict[tuple[bool, bool], tuple[type[Method], Callable[..., Handler]]]] = {
    (False, False): (UnaryMethod, grpc.unary_unary_rpc_method_handler),
    (False, True): (ServerStreamMethod, grpc.unary_stream_rpc_method_handler),
    (True, False): (ClientStreamMethod, grpc.stream_unary_rpc_method_handler),
    (True, True): (BidiStreamMethod, grpc.stream_stream_rpc_method_handler),
}
