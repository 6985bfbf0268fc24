"""Call our own services: with their token, a deadline, and retries where they are safe."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import grpc

from muster_kit.rpc.options import client_options
from muster_kit.rpc.tokens import ServiceTokens

_TIMEOUT: Final = timedelta(seconds=5)


def service_config() -> str:
    """Return the gRPC service config that clients of our services should use, as JSON.

    UNAVAILABLE is retried: what has a `request_id` has one effect however often it arrives. So is
    CANCELLED, which servers say of calls that were never begun: those that met a worker as it went
    away, or more that wait than it holds. It goes on for 3.5 to 5 seconds, which is longer than
    PostgreSQL takes to come back; gRPC allows no more than five attempts.
    """
    return files(__package__).joinpath("service_config.json").read_text()


def _internal_service_config() -> str:
    # Whoever called us tries again as well: between services a moment is enough.
    return files(__package__).joinpath("service_config_internal.json").read_text()


def open_channel(
    address: str,
    *,
    tokens: ServiceTokens | None = None,
    timeout: timedelta = _TIMEOUT,
    ca_file: Path | None = None,
) -> grpc.aio.Channel:
    """Return a channel for the generated stubs; close it in the end.

    `timeout` bounds calls with one response that have none of their own. `tokens` go with every
    call; `metadata=tokens.metadata(organization_id)` acts for an organization. With `ca_file` the
    connection is TLS.
    """
    options = client_options(_internal_service_config())
    if ca_file is None:
        channel = grpc.aio.insecure_channel(address, options)
    else:
        credentials = grpc.ssl_channel_credentials(ca_file.read_bytes())
        channel = grpc.aio.secure_channel(address, credentials, options)
    return _ServiceChannel(channel, tokens, timeout.total_seconds())


class _ServiceChannel(grpc.aio.Channel):
    # Interceptors would do the same with a task and a queue for every call.

    def __init__(self, channel: grpc.aio.Channel, tokens: ServiceTokens | None, timeout: float) -> None:
        self._channel = channel
        self._tokens = tokens
        self._timeout = timeout

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_defaults(self._channel.unary_unary(*args, **kwargs), self._timeout)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_defaults(self._channel.stream_unary(*args, **kwargs), self._timeout)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_defaults(self._channel.unary_stream(*args, **kwargs), None)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._with_defaults(self._channel.stream_stream(*args, **kwargs), None)

    def _with_defaults(self, method: Callable[..., Any], default_timeout: float | None) -> Any:
        def call(
            request: Any = None,
            *,
            timeout: float | None = default_timeout,
            metadata: Iterable[tuple[str, str | bytes]] = (),
            **kwargs: Any,
        ) -> Any:
            sent = tuple(metadata)
            if self._tokens is not None and not any(key == "authorization" for key, _ in sent):
                sent += self._tokens.metadata()
            return method(request, timeout=timeout, metadata=sent, **kwargs)

        return call

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def __aenter__(self) -> grpc.aio.Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
