"""What the graph itself records of schedulers and followers, as Prometheus reads it.

Runs, leases, places and marks stand in the graph, by its own clock. So whichever ``kg serve`` is asked tells of all
processes on it, those that have died too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kg.store import GraphStore, Row

_RUNS: Final = """
MATCH (run:JobRun)
RETURN run.job AS job,
       run.outcome AS outcome,
       count(run) AS runs,
       sum(coalesce(run.seconds, 0.0)) AS seconds,
       max(run.at).epochSeconds AS latest
ORDER BY job, outcome
"""
_LEASES: Final = """
MATCH (lease:Lease)
RETURN lease.name AS name,
       CASE WHEN lease.until > datetime.realtime() THEN 1 ELSE 0 END AS held,
       coalesce(lease.token, 0) AS token
ORDER BY name
"""
_PLACES: Final = """
MATCH (o:Offset)
RETURN o.source AS source,
       o.lines AS lines,
       coalesce(o.rejected, 0) AS rejected,
       coalesce(o.behind, 0) AS behind,
       o.at.epochSeconds AS at
ORDER BY source
"""
# A mark begins with the moment at which its piece came.
_WAITING: Final = """
CALL () {
  MATCH (n:User) WHERE n.waiting IS NOT NULL
  RETURN 'users' AS what, count(n) AS waiting, min(n.waiting) AS since
UNION ALL
  MATCH (n:Document) WHERE n.waiting IS NOT NULL
  RETURN 'texts' AS what, count(n) AS waiting, min(n.waiting) AS since
}
RETURN what,
       waiting,
       CASE WHEN since IS NULL THEN 0.0
            ELSE (datetime.realtime().epochMillis - datetime(split(since, ' ')[0]).epochMillis) / 1000.0
       END AS seconds
"""


def text(store: GraphStore, timeout_s: float) -> bytes:
    """All numbers that the graph records of jobs and streams.

    Args:
        timeout_s: for each of four small reads.

    Raises:
        StoreError: the graph does not answer.
    """
    rows = {
        name: store.read(query, timeout_s=timeout_s)
        for name, query in (("runs", _RUNS), ("leases", _LEASES), ("places", _PLACES), ("waiting", _WAITING))
    }
    registry = CollectorRegistry()
    registry.register(_Read(rows))
    return generate_latest(registry)


class _Read(Collector):
    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        runs, leases = self._rows["runs"], self._rows["leases"]
        won = [row for row in runs if row["outcome"] == "succeeded"]
        places, waiting = self._rows["places"], self._rows["waiting"]
        yield _gauge("kg_job_runs", "Runs that the graph records.", ("job", "outcome"), runs, "runs")
        yield _gauge("kg_job_seconds", "Time that these took together.", ("job", "outcome"), runs, "seconds")
        name = "kg_job_last_success_timestamp_seconds"
        yield _gauge(name, "When a job's latest run began that succeeded.", ("job",), won, "latest")
        yield _gauge("kg_lease_held", "1 while a process holds it.", ("name",), leases, "held")
        yield _gauge("kg_lease_token", "Its fencing token, which only grows.", ("name",), leases, "token")
        yield _gauge("kg_stream_lines", "Lines or messages read, bad ones too.", ("source",), places, "lines")
        yield _gauge("kg_stream_rejected", "How many of them were rejected.", ("source",), places, "rejected")
        doc = "Bytes of a file, messages of a partition, left to be read when it was last read from."
        yield _gauge("kg_stream_behind", doc, ("source",), places, "behind")
        name = "kg_stream_read_timestamp_seconds"
        yield _gauge(name, "When a source was last read from.", ("source",), places, "at")
        yield _gauge("kg_waiting", "What waits to be served.", ("what",), waiting, "waiting")
        yield _gauge("kg_waiting_seconds", "For how long the oldest of it has waited.", ("what",), waiting, "seconds")


def _gauge(name: str, doc: str, labels: tuple[str, ...], rows: list[dict[str, Any]], value: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, doc, None, labels)
    for row in rows:
        if row[value] is not None:
            family.add_metric([row[label] for label in labels], row[value])
    return family
