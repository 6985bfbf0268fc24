"""What a process tells about itself: its log, and its metrics for Prometheus."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from structlog.typing import EventDict, Processor, WrappedLogger

# Names under which a secret could end up in a log line by mistake.
_SECRETS: Final = frozenset({"authorization", "password", "private_key", "secret", "ticket", "token"})

# What gRPC logs with a traceback whenever a client leaves while it is being answered, or sends a header
# that is no UTF-8: that one may well be a token, and is logged in full.
_NO_NEWS: Final = ("ExecuteBatchError", "Invalid encoding on")


def configure_logging(*, json: bool, level: int = logging.INFO) -> None:
    """Log to stderr, as JSON lines or in colours for people; what libraries log goes the same way.

    Tracebacks hold no local variables: those could be answers, tokens or passwords.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(json=json)],
        )
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def new_registry() -> CollectorRegistry:
    """Return a registry of metrics that knows the process already: memory, CPU, files, collections."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


@contextmanager
def metrics_server(listen: str, registry: CollectorRegistry) -> Iterator[int]:
    """Serve the metrics over HTTP on `host:port` (port 0: any), and yield the port.

    The server has a thread of its own, so that it answers also when the event loop is busy.
    """
    host, _, port = listen.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"), registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _renderers(*, json: bool) -> list[Processor]:
    if json:
        return [
            structlog.processors.EventRenamer("message"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in _SECRETS & event.keys():
        event[name] = "***"
    return event


def _is_news(record: logging.LogRecord) -> bool:
    return not (record.name == "grpc._cython.cygrpc" and record.getMessage().startswith(_NO_NEWS))
