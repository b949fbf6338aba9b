"""The writer: idempotent, validated before anything is written."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.errors import SchemaError
from kg.graph import Evidence, Graph, Node, NodeRef, Relationship
from kg.store import GraphStore
from kg.writer import missing_keys, set_vectors, upsert, validate
from tests.conftest import empty
from tests.kg.whole_graph import whole_graph

GUITAR = Node("Product", "G1", {"title": "Ashdown S-200", "active": True, "price": 499.0})
ASHDOWN = Node("Brand", "ashdown", {"name": "Ashdown"})
MADE_BY = Relationship(GUITAR.ref, "MADE_BY", ASHDOWN.ref, "catalogue")


def test_what_is_written_is_read_back(store: GraphStore) -> None:
    summary = upsert(store, Graph((GUITAR, ASHDOWN), (MADE_BY,)))
    assert (summary.nodes, summary.relationships, summary.missing_ends) == (2, 1, 0)
    assert whole_graph(store) == {
        "nodes": [
            {"label": "Brand", "key": "ashdown", "properties": {"key": "ashdown", "name": "Ashdown"}},
            {
                "label": "Product",
                "key": "G1",
                "properties": {"sku": "G1", "title": "Ashdown S-200", "active": True, "price": 499.0},
            },
        ],
        "relationships": [{"start": "G1", "type": "MADE_BY", "end": "ashdown", "properties": {"source": "catalogue"}}],
    }


def test_none_removes_a_property_and_what_is_not_named_stays(store: GraphStore) -> None:
    upsert(store, Graph((GUITAR,)))
    upsert(store, Graph((Node("Product", "G1", {"title": "S-200", "active": True, "price": None, "stock": 3}),)))
    assert store.read("MATCH (p:Product) RETURN properties(p) AS p") == [
        {"p": {"sku": "G1", "title": "S-200", "active": True, "stock": 3}}
    ]


def test_two_sources_of_one_fact_stand_side_by_side(store: GraphStore) -> None:
    said_twice = Relationship(GUITAR.ref, "MADE_BY", ASHDOWN.ref, "curator")
    upsert(store, Graph((GUITAR, ASHDOWN), (MADE_BY, said_twice)))
    assert store.read("MATCH ()-[r:MADE_BY]->() RETURN r.source AS source ORDER BY source") == [
        {"source": "catalogue"},
        {"source": "curator"},
    ]


def test_a_relationship_to_nowhere_is_counted_not_made(store: GraphStore) -> None:
    summary = upsert(store, Graph((GUITAR,), (MADE_BY,)))
    assert (summary.relationships, summary.missing_ends) == (0, 1)
    assert missing_keys(store, "Brand", ["ashdown"]) == {"ashdown"}


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (Graph((Node("Gadget", "1"),)), "No label 'Gadget'"),
        (Graph((Node("Product", ""),)), "non-empty sku"),
        (Graph((Node("Product", "G1", {"active": True}),)), "lacks the required property 'title'"),
        (Graph((Node("Product", "G1", {"title": 5, "active": True}),)), "title should be STRING, is int"),
        (Graph((Node("Product", "G1", {"title": "x", "active": True, "colour": "red"}),)), "no property 'colour'"),
        (Graph((), (Relationship(ASHDOWN.ref, "MADE_BY", GUITAR.ref, "catalogue"),)), "would join Brand to Product"),
        (Graph((), (Relationship(GUITAR.ref, "LOVES", ASHDOWN.ref, "catalogue"),)), "no such relationship type"),
        (Graph(evidence=(Evidence("d", 3, 5, "abc", 0.5, "x", "1", datetime(2026, 1, 1, tzinfo=UTC)),)), "'abc'"),
        (Graph(evidence=(Evidence("d", 3, 6, "abc", 1.5, "x", "1", datetime(2026, 1, 1, tzinfo=UTC)),)), "1.5"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_before_anything_is_written(
    store: GraphStore, graph: Graph, words: str
) -> None:
    with pytest.raises(SchemaError, match=words):
        upsert(store, Graph((GUITAR,)) + graph)
    assert whole_graph(store)["nodes"] == []


def test_vectors_are_stored_as_lists_and_unknown_keys_make_nothing(store: GraphStore) -> None:
    upsert(store, Graph((GUITAR,)))
    vector = np.arange(64, dtype=np.float32)
    assert set_vectors(store, "Product", "embedding_blue", [("G1", vector), ("gone", vector)]) == 1
    assert store.read("MATCH (p:Product) RETURN p.embedding_blue AS v") == [{"v": [float(x) for x in range(64)]}]
    with pytest.raises(SchemaError, match="NaN"):
        set_vectors(store, "Product", "embedding_blue", [("G1", np.full(64, np.nan, dtype=np.float32))])


keys = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    products=st.lists(st.tuples(keys, names), max_size=6),
    brands=st.lists(st.tuples(keys, names), max_size=4),
    joined=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=8),
    batch_size=st.integers(1, 4),
)
def test_writing_twice_or_in_other_batches_gives_the_same_graph(
    session_store: GraphStore,
    products: list[tuple[str, str]],
    brands: list[tuple[str, str]],
    joined: list[tuple[int, int]],
    batch_size: int,
) -> None:
    empty(session_store)
    graph = Graph(
        tuple(Node("Product", key, {"title": name, "active": True}) for key, name in products)
        + tuple(Node("Brand", key, {"name": name}) for key, name in brands),
        tuple(
            Relationship(NodeRef("Product", products[p][0]), "MADE_BY", NodeRef("Brand", brands[b][0]), "catalogue")
            for p, b in joined
            if p < len(products) and b < len(brands)
        ),
    )
    validate(graph)
    upsert(session_store, graph)
    once = whole_graph(session_store)
    upsert(session_store, graph, batch_size=batch_size)
    assert whole_graph(session_store) == once
