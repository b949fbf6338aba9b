"""Every file of ``cypher/``: its header true, its plan read-only and without scans, its rows alike from any client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import neo4j
import pytest

from kg import schema
from kg.catalogue import json_value, load, run
from kg.queries import Query, bind
from kg.store import GraphStore

QUERIES = load()

SCANS = re.compile(r"AllNodesScan|ByLabelScan|ByLabelsScan|LabelsScan|RelationshipsScan|TypeScan|TypesScan")
"""Operators that read every node, every node of a label, or every relationship (of a type)."""


# --- every query ----------------------------------------------------------------------------------------------


def test_there_are_queries() -> None:
    assert {"product/profile", "product/why", "recommend/explain"} <= QUERIES.keys()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_header_says_something(query: Query) -> None:
    assert query.title
    assert query.title[0].isupper()
    assert not query.title.endswith(".")
    assert query.description.endswith(".")
    assert all(parameter.doc for parameter in query.parameters)
    assert max(map(len, query.text.splitlines())) <= 120


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_parameters_used_are_those_declared(query: Query) -> None:
    assert parameters_of(query.cypher) == {parameter.name for parameter in query.parameters}


def parameters_of(cypher: str) -> set[str]:
    """The ``$names`` of a statement, those in comments and texts left out."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", " ", cypher, flags=re.DOTALL)
    return set(re.findall(r"\$`?(\w+)", code))


def test_parameters_in_comments_and_texts_do_not_count() -> None:
    assert parameters_of("// $a\nRETURN '$b', \"$c\", 'it\\'s $d', /* $e */ $f, $`g`") == {"f", "g"}


def operators(plan: dict[str, Any]) -> Iterator[str]:
    """Every operator of a plan with what it works on."""
    yield f"{plan['operatorType']} {plan['args'].get('Details', '')}"
    for child in plan.get("children", ()):
        yield from operators(child)


@pytest.mark.parametrize(
    "cypher",
    [
        "MATCH (n) RETURN n",
        "MATCH (p:Product) RETURN p",
        "MATCH (p:Product|User) RETURN p",
        "MATCH ()-[r]->() RETURN r",
        "MATCH ()-[r:MADE_BY]->() RETURN r",
        "MATCH ()-[r:MADE_BY|ABOUT]->() RETURN r",
    ],
)
def test_a_scan_is_known_when_seen(shop: GraphStore, cypher: str) -> None:
    assert any(SCANS.search(operator) for operator in operators(shop.explain(cypher)))


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_example_gives_the_declared_columns_from_any_client_and_enters_by_an_index(
    shop: GraphStore, driver: neo4j.Driver, query: Query
) -> None:
    ours = run(shop, query, query.example)
    # With its plan, which Neo4j would make again for an EXPLAIN: planning is what these tests wait for.
    records, summary, keys = driver.execute_query(
        "PROFILE " + query.text, bind(query, query.example), database_="neo4j", routing_="r"
    )
    assert summary.query_type == "r"
    assert [operator for operator in operators(summary.profile) if SCANS.search(operator)] == []
    assert keys == list(ours.columns) == [column.name for column in query.returns]
    assert [json_value(record.data()) for record in records] == list(ours)
    for row in ours:
        for column in query.returns:
            assert fits(row[column.name], column.type), f"{column.name}: {row[column.name]!r} is no {column.type}"


def fits(value: Any, type_: str) -> bool:
    """Whether a JSON value is of a declared type; null is of every type."""
    if value is None:
        return True
    if type_.startswith("LIST<"):
        return isinstance(value, list) and all(fits(item, type_[5:-1]) for item in value)
    kinds: dict[str, type] = {"STRING": str, "INTEGER": int, "FLOAT": float, "BOOLEAN": bool, "MAP": dict}
    return isinstance(value, kinds.get(type_, str)) and (type_ != "INTEGER" or not isinstance(value, bool))


@pytest.mark.parametrize(
    "name", [name for name in QUERIES if name.startswith(("product/", "recommend/", "search/", "insight/"))]
)
def test_on_an_empty_graph_there_are_no_rows_and_no_errors(store: GraphStore, name: str) -> None:
    assert len(run(store, QUERIES[name], QUERIES[name].example)) == 0


@pytest.mark.parametrize("name", ["product/why", "quality/facts_without_evidence"])
def test_queries_over_facts_name_every_type_that_is_extracted(name: str) -> None:
    spelled = re.search(r"\[f:([A-Z_|\s]+)\]", QUERIES[name].cypher)
    assert spelled is not None
    assert {name.strip() for name in spelled[1].split("|")} == schema.EXTRACTABLE
