"""``quality/``: facts without evidence, suspected duplicates, vectors that disagree with relations …, on small
changes of the named shop."""

from __future__ import annotations

from typing import Any

import pytest

from kg.catalogue import load, run
from kg.schema import DEFAULT_DIMENSIONS, TEXT_DIMENSIONS
from kg.store import GraphStore

QUERIES = load()


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(run(store, QUERIES[name], parameters))


def axis(n: int, width: int, lean: float = 0.0) -> list[float]:
    """A unit vector along one axis, leaning a little towards the next."""
    vector = [0.0] * width
    vector[n % width] = (1.0 - lean**2) ** 0.5
    vector[(n + 1) % width] = lean
    return vector


# --- facts ----------------------------------------------------------------------------------------------------


def test_facts_without_evidence_are_found(shop: GraphStore) -> None:
    assert answer(shop, "quality/facts_without_evidence") == []
    shop.write("MATCH (e:Evidence {id: 'e2'}) DETACH DELETE e")  # gone altogether
    shop.write("MATCH (:Evidence {id: 'e1'})-[from:FROM]->() DELETE from")  # hangs on no document
    shop.write(
        "MATCH (g:Product {sku: 'G2'}), (b:Brand {key: 'cobalt'}) CREATE (g)-[:MADE_BY {source: 'extraction'}]->(b)"
    )
    expected = [
        {"sku": "G2", "facts": [{"type": "MADE_BY", "object": "cobalt", "fact": None}]},
        {
            "sku": "S1",
            "facts": [
                {"type": "ACCESSORY_OF", "object": "G1", "fact": "fact-fits"},
                {"type": "HAS_ATTRIBUTE", "object": "material=leather", "fact": "fact-leather"},
            ],
        },
    ]
    assert answer(shop, "quality/facts_without_evidence") == expected
    assert answer(shop, "quality/facts_without_evidence", limit=1) == expected[:1]
    assert answer(shop, "quality/facts_without_evidence", after="G2") == expected[1:]
    # No more is looked at than was asked for, whether or not it gives a row: G1 and G2, then S1 alone.
    assert answer(shop, "quality/facts_without_evidence", products=2) == expected[:1]
    assert answer(shop, "quality/facts_without_evidence", products=1) == []
    assert answer(shop, "quality/facts_without_evidence", after="G2", products=1) == expected[1:]


def test_quotes_that_differ_are_found(shop: GraphStore) -> None:
    assert answer(shop, "quality/quotes_that_differ") == []
    shop.write("MATCH (d:Document {id: 'product:S1'}) SET d.text = replace(d.text, 'Brown', 'Tan')")
    assert answer(shop, "quality/quotes_that_differ") == [
        {"evidence": "e1", "document": "product:S1", "start": 34, "end": 41, "quote": "leather", "text": "ather. "},
        {
            "evidence": "e2",
            "document": "product:S1",
            "start": 52,
            "end": 65,
            "quote": "Ashdown S-200",
            "text": "hdown S-200.",
        },
    ]
    assert [row["evidence"] for row in answer(shop, "quality/quotes_that_differ", after="e1")] == ["e2"]
    assert [row["evidence"] for row in answer(shop, "quality/quotes_that_differ", evidence=1)] == ["e1"]
    assert answer(shop, "quality/quotes_that_differ", after="e2", evidence=1) == []


def test_products_without_facts_are_found(shop: GraphStore) -> None:
    shop.write("MATCH (:Product {sku: 'T1'})-[r:MADE_BY|IN_CATEGORY]->() DELETE r")
    rows = answer(shop, "quality/products_without_facts")
    # The strap lacks nothing, and the amp (X1), which lacks a category, is not on sale.
    assert [(row["sku"], row["lacks"]) for row in rows] == [
        ("G1", ["attributes"]),
        ("G2", ["attributes"]),
        ("S2", ["attributes"]),
        ("T1", ["brand", "category", "attributes"]),
    ]
    # The strap (S1) is looked at too, and gives no row.
    assert [row["sku"] for row in answer(shop, "quality/products_without_facts", products=3)] == ["G1", "G2"]
    assert [row["sku"] for row in answer(shop, "quality/products_without_facts", after="S1", products=1)] == ["S2"]


# --- duplicates -------------------------------------------------------------------------------------------------


def test_what_may_be_one_is_shown_with_what_speaks_for_and_against_it(shop: GraphStore) -> None:
    assert answer(shop, "quality/duplicates") == []
    shop.write(
        "CREATE (:Product {sku: 'G3', title: ' ashdown S-200 Electric Guitar', price: 450.0, active: true, "
        "gtin: '42'}), (:Product {sku: 'T2', title: 'Tuner, clips on', price: 45.0, currency: 'USD', active: true})"
        "-[:MADE_BY {source: 'catalogue'}]->(:Brand {key: 'dune', name: 'Dune'}) "
        "WITH 1 AS _ MATCH (g:Product {sku: 'G1'}) SET g.gtin = '42'"
    )
    for sku, lean in (("T1", 0.0), ("T2", 0.2)):
        shop.write(
            "MATCH (p:Product {sku: $sku}) SET p.text_embedding = $vector",
            sku=sku,
            vector=axis(0, TEXT_DIMENSIONS, lean),
        )
    shop.await_indexes()
    assert answer(shop, "quality/duplicates") == [
        {
            "sku": "G1",
            "title": "Ashdown S-200 electric guitar",
            "other": "G3",
            "other_title": " ashdown S-200 Electric Guitar",
            "likeness": None,
            "speaks_for": ["same trade item number", "same title"],
            "speaks_against": [],
        },
        {
            "sku": "T1",
            "title": "Cobalt clip-on tuner",
            "other": "T2",
            "other_title": "Tuner, clips on",
            "likeness": pytest.approx(0.96**0.5, abs=1e-5),
            "speaks_for": ["texts alike"],
            "speaks_against": ["makers: Cobalt and Dune", "prices: 15.0 and 45.0"],
        },
    ]
    assert [r["sku"] for r in answer(shop, "quality/duplicates", after="G1")] == ["T1"]
    assert [r["sku"] for r in answer(shop, "quality/duplicates", least=0.99)] == ["G1"]


def test_variants_and_other_sizes_are_told_from_duplicates(shop: GraphStore) -> None:
    shop.write(
        "MATCH (a:Product {sku: 'T1'}), (b:Product {sku: 'S2'}) SET a.gtin = '7', b.gtin = '7' "
        "CREATE (a)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'length=1 m', attribute: 'length', value: '1', unit: 'm', number: 1.0}), "
        "(b)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'length=2 m', attribute: 'length', value: '2', unit: 'm', number: 2.0})"
    )
    (pair,) = answer(shop, "quality/duplicates")
    assert (pair["sku"], pair["other"], pair["speaks_against"]) == ("S2", "T1", ["values of length"])
    # Another price speaks against them in one currency alone.
    shop.write("MATCH (a:Product {sku: 'T1'}) SET a.price = 1500.0, a.currency = 'JPY'")
    assert answer(shop, "quality/duplicates")[0]["speaks_against"] == ["values of length"]
    shop.write("MATCH (a:Product {sku: 'T1'}) SET a.currency = 'USD'")
    assert answer(shop, "quality/duplicates")[0]["speaks_against"][-1].startswith("prices: ")
    shop.write(
        "MATCH (a:Product {sku: 'T1'}), (b:Product {sku: 'S2'}) CREATE (a)-[:VARIANT_OF {source: 'catalogue'}]->(b)"
    )
    assert answer(shop, "quality/duplicates") == []


# --- drift ------------------------------------------------------------------------------------------------------


@pytest.fixture
def embedded(shop: GraphStore) -> GraphStore:
    """A live model: acoustic guitar and strings close together, as they are bought, and sixty others all around."""
    shop.write(
        "CREATE (:Serving {name: 'model', version: 'm1'}), (:ModelVersion {id: 'm1', slot: 'blue', status: 'live', "
        "at: datetime('2026-03-05T00:00:00Z')})"
    )
    vectors = [{"sku": f"N{n:02d}", "vector": axis(n, DEFAULT_DIMENSIONS)} for n in range(60)]
    shop.write("UNWIND $rows AS row CREATE (:Product {sku: row.sku, title: row.sku, active: true})", rows=vectors)
    vectors += [
        {"sku": "G2", "vector": axis(61, DEFAULT_DIMENSIONS)},
        {"sku": "S2", "vector": axis(61, DEFAULT_DIMENSIONS, 0.1)},
        {"sku": "G1", "vector": axis(60, DEFAULT_DIMENSIONS)},
        {"sku": "S1", "vector": axis(60, DEFAULT_DIMENSIONS, 0.1)},
    ]
    shop.write(
        "UNWIND $rows AS row MATCH (p:Product {sku: row.sku}) SET p.embedding_blue = row.vector "
        "WITH p MATCH (a:Product {sku: 'G2'}), (b:Product {sku: 'S2'}) "
        "MERGE (a)-[:SIMILAR_TO {model: 'm1', weight: 1.0}]->(b)",
        rows=vectors,
    )
    shop.await_indexes()
    return shop


def test_where_vectors_say_what_relations_say_there_is_no_drift(embedded: GraphStore) -> None:
    assert answer(embedded, "quality/drift") == []


def test_vectors_that_went_elsewhere_are_found(embedded: GraphStore) -> None:
    # The strings' vector lands opposite of the acoustic guitar's.
    embedded.write(
        "MATCH (p:Product {sku: 'S2'}) SET p.embedding_blue = $vector",
        vector=[-x for x in axis(61, DEFAULT_DIMENSIONS)],
    )
    rows = {r["sku"]: r for r in answer(embedded, "quality/drift")}
    assert set(rows) == {"G2", "S2"}
    assert (rows["G2"]["related"], rows["G2"]["cosine"], rows["G2"]["overlap"]) == (1, pytest.approx(-1.0), 0.0)
    assert rows["G2"]["z"] < 0
    assert rows["G2"]["reasons"] == [
        "what it is related to is no nearer than the rest",
        "its learned relations lead away from its vector",
    ]
    assert rows["S2"]["reasons"] == ["what it is related to is no nearer than the rest"]


def test_relations_found_after_the_model_are_counted(embedded: GraphStore) -> None:
    embedded.write("MATCH (e:Evidence {id: 'e2'}) SET e.at = datetime('2026-03-06T00:00:00Z')")
    (strap,) = answer(embedded, "quality/drift")
    assert (strap["sku"], strap["newer"]) == ("S1", 1)
    assert strap["reasons"] == ["1 relations are newer than the model: kg train"]
