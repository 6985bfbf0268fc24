"""Count calls and time them, under the metric names other gRPC servers use."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_METHOD: Final = ("grpc_service", "grpc_method")


class CallMetrics:
    """The metrics of a server's calls; one instance a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = Counter(
            "grpc_server_handled_total", "Calls ended, by code.", (*_METHOD, "grpc_code"), registry=registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time unary calls took.",
            _METHOD,
            registry=registry,
            buckets=_BUCKETS,
        )
        self._open = Gauge("grpc_server_open_streams", "Streams open now.", _METHOD, registry=registry)

    def of(self, service: str, method: str) -> "MethodMetrics":
        """Return the metrics of one method."""
        return MethodMetrics((service, method), self._handled, self._seconds, self._open)


class MethodMetrics:
    """The metrics of one method, their labels looked up once."""

    def __init__(
        self, labels: tuple[str, str], handled: Counter, seconds: Histogram, open_streams: Gauge
    ) -> None:
        self._labels = labels
        self._handled = handled
        self._by_code: dict[str, Counter] = {}
        self._count("OK", 0)
        self.observe_seconds = seconds.labels(*labels).observe
        self.open_streams = open_streams.labels(*labels)

    def ended(self, code: str) -> None:
        """Count a call that ended with `code`."""
        self._count(code, 1)

    def _count(self, code: str, amount: int) -> None:
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, code)
        counter.inc(amount)
