"""What the serving benchmark asks and how it counts; its figures are no test's business."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from kg import catalogue
from kg.app.benchmark_serving import Call, Latency, closed_loop, like_example
from kg.queries import Query, bind

QUERIES = catalogue.load()


def test_percentiles_are_those_of_all_requests() -> None:
    assert Latency.of([0.001 * n for n in range(1, 102)], 2.0) == Latency(51.0, 96.0, 100.0, 50.5)


def test_clients_ask_at_once_and_each_begins_somewhere_else() -> None:
    seen: list[str] = []
    together = threading.Barrier(3, timeout=20)

    def ask(call: Call) -> None:
        # Nobody gets through before three clients are here: they do ask at once.
        if len(seen) < 3:
            seen.append(call[0])
            together.wait()
        time.sleep(0.01)

    found = closed_loop(ask, [(name, {}) for name in "abcdef"], 3, 0.1)
    assert sorted(seen) == ["a", "c", "e"]
    assert found.p50 >= 10.0


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_can_be_asked_of_the_synthetic_shop(query: Query) -> None:
    asked = like_example(query.example, 1000, np.random.default_rng(0))
    for given in (one for some in asked.values() for one in some):
        bound = bind(query, given)
        assert "Instruments" not in str(bound)
