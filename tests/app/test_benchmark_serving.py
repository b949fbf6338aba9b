"""What the serving benchmark asks and how it counts; its figures are no test's business."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kg import catalogue
from kg.app.benchmark_serving import Call, Latency, Pool, closed_loop, like_example
from kg.errors import BenchmarkError
from kg.queries import Query, bind, parse

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


POOL = Pool(
    skus=["p1", "p2"],
    reviewed=["p3"],
    users=["u1", "u2"],
    fitting=[("p4", "p5")],
    paths=[[{"type": "BOUGHT", "from": "u1", "to": "p1"}, {"type": "PRAISED_FOR", "from": "p1", "to": "sound"}]],
    shelves=[f"Department {i // 10} > Shelf {i}" for i in range(20)],
    departments=["Department 0", "Department 1"],
    brands=["brand 0"],
    values=["colour=3"],
    vectors=[[0.6, 0.8]],
)
OF_THE_TEST_SHOP = re.compile(
    r"\b(?:[GSTX][12]|anna|ben|cleo|birch|cobalt|ashdown|leather|leathr|guitars?|straps?|Instruments|Accessories|2026)\b"
)
"""Names, words and times of the shop for which the examples are written."""


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_can_be_asked_of_the_synthetic_shop(query: Query) -> None:
    asked = like_example(query, POOL, np.random.default_rng(0))
    for given in (one for some in asked.values() for one in some):
        bind(query, given)
        assert not OF_THE_TEST_SHOP.search(json.dumps(given))


def test_a_search_has_a_vector_and_what_should_fit_is_said_to() -> None:
    def first(name: str) -> dict[str, Any]:
        return like_example(QUERIES[name], POOL, np.random.default_rng(0))["products and users"][0]

    assert first("search/products")["vector"] == first("search/personalised")["vector"] == [0.6, 0.8]
    assert (first("search/answer")["skus"], first("search/answer")["targets"]) == (["p4"], ["p5"])
    assert set(first("recommend/next_item")["items"]) <= {"p1", "p2"}
    assert first("product/why")["sku"] == first("product/reviews_summary")["sku"] == "p3"
    market = like_example(QUERIES["recommend/new_market"], POOL, np.random.default_rng(0))
    assert {request["user"] for request in market["a department, for nobody"]} == {None}
    # A shop of a million is written without vectors of texts.
    assert (
        "vector"
        not in like_example(QUERIES["search/products"], replace(POOL, vectors=()), np.random.default_rng(0))[
            "products and users"
        ][0]
    )


def test_an_example_of_which_the_benchmark_knows_nothing_is_no_request() -> None:
    made = parse(
        "// title: T\n// description: D.\n// param shop: STRING -- a shop\n"
        '// example: {"shop": "north"}\n// returns: n INTEGER\n\nRETURN 1 AS n\n',
        name="test/new",
    )
    with pytest.raises(BenchmarkError, match="nothing to ask test/new for as shop"):
        like_example(made, POOL, np.random.default_rng(0))
