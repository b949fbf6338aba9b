"""``search/products`` where what passes the filters is of the least relevance: it is found all the same."""

from __future__ import annotations

from typing import Any

import pytest

from kg import schema
from kg.catalogue import find, run
from kg.store import GraphStore

QUERIES = {name: find(f"search/{name}") for name in ("products", "personalised")}
WAYS: dict[str, dict[str, Any]] = {
    "words": {"text": "walnut lamp"},
    "meaning": {"text": "", "vector": [1.0, *[0.0] * (schema.TEXT_DIMENSIONS - 1)]},
    "both": {"text": "walnut lamp", "vector": [1.0, *[0.0] * (schema.TEXT_DIMENSIONS - 1)]},
}


def make(store: GraphStore, count: int, title: str, price: float, brand: str, near: tuple[float, float]) -> list[str]:
    """Write products of one brand, which has a shelf and a material of its own; their skus.

    Args:
        near: cosines of the first and the last product's vector and that of the text; those between lie between.
    """
    cosines = [near[0] + (near[1] - near[0]) * n / count for n in range(count)]
    rows: list[dict[str, Any]] = [
        {
            "sku": f"{title} {n:04}",
            "title": f"{title} {n}",
            "price": price,
            "active": True,
            # By popularity the order is that of the vectors.
            "popularity": 1.0 - n / count,
            "text_embedding": [cosine, (1.0 - cosine**2) ** 0.5, *[0.0] * (schema.TEXT_DIMENSIONS - 2)],
        }
        for n, cosine in enumerate(cosines)
    ]
    for begin in range(0, count, 500):
        store.write(
            "MERGE (b:Brand {key: $brand}) SET b.name = $brand "
            "MERGE (c:Category {path: $brand}) SET c.name = $brand "
            "MERGE (v:AttributeValue {key: 'material=' + $brand}) SET v.value = $brand "
            "WITH b, c, v UNWIND $rows AS row CREATE (p:Product) SET p = row "
            "CREATE (p)-[:MADE_BY]->(b), (p)-[:IN_CATEGORY]->(c), (p)-[:HAS_ATTRIBUTE]->(v)",
            brand=brand,
            rows=rows[begin : begin + 500],
        )
    return [row["sku"] for row in rows]


@pytest.fixture
def plain(store: GraphStore) -> list[str]:
    """Skus of twenty plain lamps, behind 2,600 lamps of walnut and beside 1,400 chairs, with which they share brand,
    shelf and material.

    Whatever looks at some of the whole shop, or at the first thousand of the brand, sees none of them.
    """
    make(store, 2_100, "Walnut lamp", 12.0, "grand", (0.99, 0.8))
    make(store, 500, "Walnut lamp, large", 900.0, "grand", (0.95, 0.7))
    lamps = make(store, 20, "Plain lamp", 16.0, "small", (0.6, 0.5))
    make(store, 1_400, "Oak chair", 20.0, "small", (0.1, 0.0))
    return lamps


def found(store: GraphStore, way: str, *, query: str = "products", **given: Any) -> list[str]:
    return [row["sku"] for row in run(store, QUERIES[query], {"limit": 50, **WAYS[way], **given})]


def test_what_passes_a_filter_is_found_behind_thousands_that_do_not(store: GraphStore, plain: list[str]) -> None:
    filters: list[dict[str, Any]] = [
        {"min_price": 15.0, "max_price": 17.0},  # all that pass are looked at
        {"min_price": 15.0, "max_price": 100.0},  # the indexes are read on: 1,420 pass
        {"brand": "small"},
        {"category": "small"},
        {"attributes": ["material=small"]},
        {"brand": "small", "category": "small", "attributes": ["material=small"], "max_price": 100.0},
        {"brand": "small", "max_price": 17.0},  # 1,420 of the brand, 2,120 within the price
    ]
    for given in filters:
        for way in WAYS:
            assert found(store, way, **given) == plain, (given, way)
        assert found(store, "both", **given, limit=5) == plain[:5], given
    assert found(store, "both", brand="grand", min_price=13.0, max_price=100.0) == []
    assert found(store, "both", query="personalised", user="nobody", min_price=15.0, max_price=100.0) == plain


def test_what_is_sold_is_found_behind_thousands_that_are_not(store: GraphStore, plain: list[str]) -> None:
    for gone in ("p.active = false", "p.active = true, p.stock = 0"):
        store.write(f"MATCH (p:Product) WHERE p.title STARTS WITH 'Walnut' SET {gone}")
        for way in WAYS:
            assert found(store, way) == plain, (gone, way)
            assert found(store, way, max_price=100.0) == plain, (gone, way)


def test_a_misspelt_word_finds_what_passes_behind_hundreds_that_do_not(store: GraphStore, plain: list[str]) -> None:
    for given in ({"min_price": 15.0, "max_price": 17.0}, {"min_price": 15.0, "max_price": 100.0}, {"brand": "small"}):
        assert found(store, "words", text="lmap", **given) == plain, given


def test_of_many_that_pass_as_many_are_given_as_are_asked_for(store: GraphStore, plain: list[str]) -> None:
    assert len(found(store, "words", min_price=899.0, limit=450)) == 450
    assert len(found(store, "meaning", min_price=899.0, limit=450)) == 450
    assert len(found(store, "both", brand="grand", limit=450)) == 450
