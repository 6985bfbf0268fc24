"""Limits of a server, and the channel arguments of servers and clients, each with its reason."""

from dataclasses import dataclass
from typing import Final

import grpc

from muster_kit.settings import Settings

Options = list[tuple[str, int | str]]

_METADATA_BYTES: Final = 16_384
_PENDING_CALLS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server puts up with.

    A dead peer is found at the latest after `keepalive_seconds` + `ping_timeout_seconds`.
    """

    request_bytes: int = 4 << 20
    """A larger request message fails with TOO_LARGE."""
    unary_seconds: float = 30.0
    """A unary call that takes longer fails with DEADLINE_EXCEEDED, whatever the client's deadline."""
    write_seconds: float = 30.0
    """A stream that has had one write pending for so long is ended: its client does not read."""
    keepalive_seconds: float = 10.0
    """A connection on which nothing was heard for so long is pinged."""
    ping_timeout_seconds: float = 8.0
    """A connection that does not answer a ping for so long is closed."""
    unacknowledged_seconds: float = 20.0
    """A connection is closed when TCP has waited so long for what was sent to arrive: at 1 KB/s, a frame of
    16 KB takes most of it."""
    client_ping_seconds: float = 5.0
    """Clients may ping as often as this, also without a call; faster ones are disconnected."""
    streams_of_seat: int = 8
    """So many streams may a seat's ticket have open in one process: some devices, a few streams each."""
    streams_of_user: int = 32
    """So many streams may a user have open in one process, besides those of their seats."""
    sweep_seconds: float = 1.0
    """How often running calls are held against these limits."""


DEFAULT_LIMITS: Final = Limits()


def server_options(limits: Limits, *, reuse_port: bool) -> Options:
    """Return the channel arguments of a server."""
    return [
        # gRPC shares ports unless told otherwise: a second server would silently take half of the calls.
        ("grpc.so_reuseport", int(reuse_port)),
        # Far above our own limit, which answers with a reason; this one is for what should not even be held.
        ("grpc.max_receive_message_length", 4 * limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        # Calls that wait to be taken up. Beyond a thousand (the default) gRPC drops them, some as
        # CANCELLED, which no client tells from its own; a class that comes at once is more than that.
        ("grpc.server.max_pending_requests", _PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING_CALLS),
        ("grpc.keepalive_time_ms", int(limits.keepalive_seconds * 1000)),
        # What bounds the detection of dead peers is the timeout of pings (60 s by default). The keepalive
        # timeout is TCP_USER_TIMEOUT and nothing else: as short, it would cut slow links again and again.
        ("grpc.http2.ping_timeout_ms", int(limits.ping_timeout_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", int(limits.unacknowledged_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Mobile clients ping every 10 s; the default (5 min) would disconnect them with "too many pings".
        ("grpc.http2.min_ping_interval_without_data_ms", int(limits.client_ping_seconds * 1000)),
    ]


def client_options(service_config: str) -> Options:
    """Return the channel arguments of a client of our services."""
    return [
        ("grpc.service_config", service_config),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 8_000),
        ("grpc.http2.ping_timeout_ms", 8_000),
        # A restarted service is found again within a moment; the default backs off up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Return the TLS credentials to serve with; None when the settings name no certificate."""
    if settings.tls_certificate_file is None or settings.tls_private_key_file is None:
        return None
    pair = (settings.tls_private_key_file.read_bytes(), settings.tls_certificate_file.read_bytes())
    return grpc.ssl_server_credentials([pair])
