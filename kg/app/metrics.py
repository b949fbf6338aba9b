"""What ``kg serve`` tells Prometheus: requests, their time, what was refused, and how each query fared.

Labels take few values: routes and queries that exist, methods that HTTP
names, statuses. What somebody typed is never one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from kg.catalogue import tallies

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets: close together where answers should be, up to the usual time limit."""

_METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        """Whoever has numbers of its own adds them here."""
        self._requests = Counter(
            "kg_http_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "kg_http_request_seconds",
            "Time to the end of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "kg_http_refused", "Requests refused before a query was run.", ["reason"], registry=self.registry
        )
        self.running = Gauge("kg_http_running", "Queries that run now.", registry=self.registry)
        self.registry.register(_Tallies())
        ProcessCollector(registry=self.registry)

    def answered(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count one request; ``route`` is the path as it was declared, None when none matched."""
        name = route or "unknown"
        self._requests.labels(name, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count one refusal."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Tallies(Collector):
    """The catalogue's own count of this process, read when asked."""

    def collect(self) -> Iterable[Metric]:
        calls = CounterMetricFamily(
            "kg_query_calls", "Calls of a query, by what came of them.", None, ["query", "outcome"]
        )
        rows = CounterMetricFamily("kg_query_rows", "Rows that a query gave.", None, ["query"])
        seconds = CounterMetricFamily("kg_query_seconds", "Time spent in a query.", None, ["query"])
        for name, tally in tallies().items():
            for outcome in ("answered", "refused", "cut", "failed"):
                calls.add_metric([name, outcome], getattr(tally, outcome))
            rows.add_metric([name], tally.rows)
            seconds.add_metric([name], tally.seconds)
        return calls, rows, seconds
