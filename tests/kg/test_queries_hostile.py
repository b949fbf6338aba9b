"""What somebody may send to a query of the catalogue who means no good: held for every file, present and to come."""

from __future__ import annotations

from typing import Any

import pytest

from kg.catalogue import load, run
from kg.errors import QueryError
from kg.queries import Parameter, Query
from kg.store import GraphStore
from tests.kg.whole_graph import whole_graph

QUERIES = load()

FRAGMENTS = (
    "'}) DETACH DELETE (n) //",
    '"}) MATCH (n) DETACH DELETE n RETURN 1 AS x //',
    "` SET n.price = 0 //",
    "\\' OR 1=1 UNION MATCH (n) RETURN n.id AS user /*",
    # What Lucene would take for its own language, or choke on.
    'title:* OR +-&&||!(){}[]^"~*?:\\/',
    "AND OR NOT",
    "$limit {user} ${user} %s \x00 \u2028 😀",
    "",
)


def with_parameters(*types: str) -> list[Any]:
    """Every query that has parameters of these types, with them."""
    found = {
        query.name: [p for p in query.parameters if p.type in types and not p.choices] for query in QUERIES.values()
    }
    return [pytest.param(QUERIES[name], of_type, id=name) for name, of_type in found.items() if of_type]


@pytest.fixture
def untouched(shop: GraphStore) -> Any:
    """The shop, which must be the same afterwards."""
    before = whole_graph(shop)
    yield shop
    assert whole_graph(shop) == before


@pytest.mark.parametrize(("query", "texts"), with_parameters("STRING", "LIST<STRING>"))
def test_a_fragment_of_cypher_is_a_text_like_any_other(
    untouched: GraphStore, query: Query, texts: list[Parameter]
) -> None:
    def hostile(parameter: Parameter, fragment: str) -> str | list[str]:
        return fragment if parameter.type == "STRING" else [fragment, "G1"]

    for fragment in FRAGMENTS:
        # All of them at once, then each by itself where the others are as in the example and let the query come to it.
        # One left out of the example is not set by itself: Neo4j plans anew for each set of parameters that are null.
        # Of those of which a query takes one, one after the other.
        together = {**query.example, **{p.name: hostile(p, fragment) for p in texts}}
        for one in query.either or ("",):
            run(untouched, query, {k: v for k, v in together.items() if k == one or k not in query.either})
        for parameter in texts:
            if query.example.get(parameter.name):
                run(untouched, query, {**query.example, parameter.name: hostile(parameter, fragment)})


@pytest.mark.parametrize(("query", "integers"), with_parameters("INTEGER"))
def test_a_number_below_zero_or_beyond_reason_is_refused(
    untouched: GraphStore, query: Query, integers: list[Parameter]
) -> None:
    for parameter in integers:
        for value in (-1, 10**9, 10**30, 1.5, "many", True):
            with pytest.raises(QueryError, match=f"parameter {parameter.name}: expected"):
                run(untouched, query, {**query.example, parameter.name: value})


@pytest.mark.parametrize(("query", "lists"), with_parameters("LIST<STRING>", "LIST<MAP>", "LIST<FLOAT>"))
def test_a_list_of_ten_thousand_is_refused(untouched: GraphStore, query: Query, lists: list[Parameter]) -> None:
    for parameter in lists:
        item: Any = {"LIST<STRING>": "G1", "LIST<MAP>": {"a": 1}, "LIST<FLOAT>": 0.5}[parameter.type]
        with pytest.raises(QueryError, match=r"expected at most 5000 items, found 10000\. It takes: "):
            run(untouched, query, {**query.example, parameter.name: [item] * 10_000})
