"""Count calls and time them, under the metric names other gRPC servers use."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_BOUND_NAMES: Final = (*(str(bound) for bound in _BOUNDS), "+Inf")
_LABELS: Final = ("grpc_service", "grpc_method")


class MethodMetrics:
    """The figures of one method, as plain numbers: the event loop alone changes them, without locks."""

    __slots__ = ("by_code", "by_duration", "labels", "open_streams", "seconds")

    def __init__(self, labels: tuple[str, str]) -> None:
        self.labels = labels
        self.by_code: Counter[str] = Counter(OK=0)
        self.by_duration = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0
        self.open_streams = 0

    def ended(self, code: str) -> None:
        """Count a call that ended with `code`."""
        self.by_code[code] += 1

    def took(self, seconds: float) -> None:
        """Note how long a unary call took."""
        self.by_duration[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds


class CallMetrics(Collector):
    """The metrics of a server's calls, added up when they are asked for; one instance a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._methods: list[MethodMetrics] = []
        registry.register(self)

    def of(self, service: str, method: str) -> MethodMetrics:
        """Return the metrics of one method."""
        metrics = MethodMetrics((service, method))
        self._methods.append(metrics)
        return metrics

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        handled = CounterMetricFamily(
            "grpc_server_handled", "Calls ended, by code.", labels=(*_LABELS, "grpc_code")
        )
        took = HistogramMetricFamily("grpc_server_handling_seconds", "Time unary calls took.", labels=_LABELS)
        streams = GaugeMetricFamily("grpc_server_open_streams", "Streams open now.", labels=_LABELS)
        for method in self._methods:
            for code, count in tuple(method.by_code.items()):
                handled.add_metric((*method.labels, code), count)
            buckets = list(zip(_BOUND_NAMES, accumulate(method.by_duration), strict=True))
            took.add_metric(method.labels, buckets, method.seconds)
            streams.add_metric(method.labels, method.open_streams)
        yield from (handled, took, streams)
