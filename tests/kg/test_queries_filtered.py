"""``recommend/for_user_filtered`` against a computation outside the database, under filters drawn by chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from extraction.corpus import product_document
from kg.catalogue import find, run
from kg.graph import Graph, Node, NodeRef, Relationship
from kg.intake import load_products
from kg.records import ProductRecord
from kg.removal import remove
from kg.store import GraphStore
from kg.writer import SHELVE_ALL, upsert

PRODUCTS = 1500
WIDTH = 64
LIMIT = 20
QUERY = find("recommend/for_user_filtered")
Filter = tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]


def draw_products(rng: random.Random) -> list[dict[str, Any]]:
    """Shelves of very different sizes, from half the catalogue to a single product; some without a price or stock."""
    return [
        {
            "sku": f"p{n:03}",
            "shelves": sorted({f"Shelf {min(int(rng.expovariate(0.7)), 6)}" for _ in range(1 + (n % 5 == 0))}),
            "brand": f"brand{min(int(rng.expovariate(0.4)), 9)}",
            "values": sorted({f"colour={rng.choice('rgb')}", f"size={min(int(rng.expovariate(0.5)), 8)}"}),
            "price": None if rng.random() < 0.05 else round(rng.uniform(1, 100), 2),
            "stock": rng.choice((None, 0, 3, 9)),
            "active": rng.random() < 0.9,
            "popularity": rng.random(),
            "vector": unit(rng),
        }
        for n in range(PRODUCTS)
    ]


def unit(rng: random.Random) -> list[float]:
    v = np.array([rng.gauss(0, 1) for _ in range(WIDTH)])
    return [float(x) for x in v / np.linalg.norm(v)]


LISTS = ("brands", "not_brands", "attributes", "any_attributes", "not_attributes")
NOTHING: dict[str, Any] = {**{name: [] for name in LISTS}, "in_stock": False}
"""What filters nothing. Each new combination of null, empty and other values is planned anew, in seconds."""


def draw_filter(rng: random.Random, products: list[dict[str, Any]]) -> Filter:
    """Parameters, and what they mean in Python: AND, OR, NOT and IN of every kind, of any selectivity."""
    given: dict[str, Any] = {}
    tests: list[Callable[[dict[str, Any]], bool]] = []

    def add(test: Callable[[dict[str, Any]], bool], **parameters: Any) -> None:
        given.update(parameters)
        tests.append(test)

    some, other = rng.sample(products, 2)
    if rng.random() < 0.3:
        add(lambda p: some["shelves"][0] in p["shelves"], category=some["shelves"][0])
    if rng.random() < 0.3:
        brands = [some["brand"], other["brand"]]
        add(lambda p: p["brand"] in brands, brands=brands)
    if rng.random() < 0.3:
        add(lambda p: p["brand"] != other["brand"], not_brands=[other["brand"]])
    if rng.random() < 0.2:
        add(lambda p: set(some["values"]) <= set(p["values"]), attributes=some["values"])
    if rng.random() < 0.2:
        add(lambda p: bool(set(other["values"]) & set(p["values"])), any_attributes=other["values"])
    if rng.random() < 0.2:
        add(lambda p: other["values"][0] not in p["values"], not_attributes=other["values"][:1])
    if rng.random() < 0.4:
        low = rng.uniform(0, 100)
        add(lambda p: p["price"] is not None and low <= p["price"] <= low + 50, min_price=low, max_price=low + 50)
    if rng.random() < 0.2:
        add(lambda p: (p["stock"] or 0) > 0, in_stock=True)
    return given, lambda p: all(test(p) for test in tests)


BROAD: list[Filter] = [
    ({}, lambda _: True),
    ({"category": "Shelf 0"}, lambda p: "Shelf 0" in p["shelves"]),
    ({"category": "Shelf 1"}, lambda p: "Shelf 1" in p["shelves"]),
    (
        {"category": "Shelf 0", "min_price": 10.0},
        lambda p: "Shelf 0" in p["shelves"] and p["price"] is not None and p["price"] >= 10.0,
    ),
    ({"min_price": 20.0, "max_price": 1e9}, lambda p: p["price"] is not None and p["price"] >= 20.0),
    ({"not_brands": ["brand0"]}, lambda p: p["brand"] != "brand0"),
]
"""Filters that leave so much that the candidates alone are enough."""


@pytest.mark.parametrize(
    ("exact", "plans"),
    [
        (0, {"in-index filter", "over-fetch", "exact subset"}),
        (200, {"in-index filter", "over-fetch", "exact subset"}),
        (3000, {"exact subset"}),
    ],
)
def test_no_filter_starves_and_the_best_of_what_matches_is_found(
    store: GraphStore, exact: int, plans: set[str]
) -> None:
    """Exactly min(limit, matches) rows, each a match, recall@20 of .98 or more; ``exact`` decides between the plans."""
    rng = random.Random(3)
    products = draw_products(rng)
    user = unit(rng)
    known = {p["sku"] for p in rng.sample(products, 8)}
    store.write(
        "UNWIND $rows AS row "
        "CREATE (p:Product {sku: row.sku, title: row.sku, price: row.price, stock: row.stock, active: row.active, "
        "  popularity: row.popularity, embedding_blue: row.vector}) "
        "MERGE (b:Brand {key: row.brand}) CREATE (p)-[:MADE_BY]->(b) "
        "FOREACH (path IN row.shelves | MERGE (c:Category {path: path}) CREATE (p)-[:IN_CATEGORY]->(c)) "
        "WITH p, row UNWIND row.values AS key "
        "MERGE (v:AttributeValue {key: key}) CREATE (p)-[:HAS_ATTRIBUTE]->(v)",
        rows=products,
    )
    store.write(
        "CREATE (u:User {id: 'anna', embedding_blue: $user}), (:Serving {name: 'model', version: 'm'}), "
        "(:ModelVersion {id: 'm', slot: 'blue', status: 'live', half_life_days: 365.0, w_embedding: 1.0, "
        "w_similar: 0.0, w_next: 0.0, recency: 0.0, w_popularity: 0.3, w_bought_with: 0.0, w_viewed_with: 0.0, "
        "w_accessory_of: 0.0, w_compatible_with: 0.0, w_substitute_for: 0.0, w_variant_of: 0.0}) "
        "WITH u MATCH (p:Product) WHERE p.sku IN $known CREATE (u)-[:BOUGHT {strength: 1.0}]->(p)",
        user=user,
        known=sorted(known),
    )
    store.autocommit(SHELVE_ALL)
    store.autocommit("CALL db.awaitIndexes(60)")
    store.autocommit("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    score = {p["sku"]: float(np.dot(user, p["vector"])) + 0.3 * p["popularity"] for p in products}

    seen: set[str] = set()
    hits = wanted = 0
    for given, matches in [*BROAD, *(draw_filter(rng, products) for _ in range(8))]:
        may = [p["sku"] for p in products if p["active"] and p["stock"] != 0 and p["sku"] not in known and matches(p)]
        best = sorted(may, key=lambda sku: (-score[sku], sku))[:LIMIT]
        rows = run(store, QUERY, {**NOTHING, "user": "anna", "limit": LIMIT, "exact": exact, **given})
        found = [row["sku"] for row in rows]
        assert len(set(found)) == len(found) == min(LIMIT, len(may)), given
        assert set(found) <= set(may), given
        assert len(set(found) & set(best)) >= 0.9 * len(best), given
        hits += len(set(found) & set(best))
        wanted += len(best)
        seen.update(row["plan"] for row in rows)
        for row in rows:
            assert row["score"] == pytest.approx(score[row["sku"]], abs=1e-4)
        if exact == 200 and set(given) <= {"category", "min_price"} and given in [f for f, _ in BROAD]:
            assert {row["plan"] for row in rows} == {"in-index filter" if given else "over-fetch"}, given
    assert wanted > 80
    assert hits >= 0.98 * wanted
    assert seen == plans
    # Rows that are sorted must not be held with all that is in scope: so many would need more than a query may have.
    for_sale = sum(p["active"] and p["stock"] != 0 and p["sku"] not in known for p in products)
    assert len(run(store, QUERY, {**NOTHING, "user": "anna", "limit": 5000, "exact": exact}, max_rows=5000)) == for_sale


def shelve(store: GraphStore, shelves: dict[str, list[str]], parents: dict[str, str]) -> None:
    """A live model and a user, and products on these shelves, all equally near."""
    store.write(
        "CREATE (:User {id: 'anna', embedding_blue: $v}), (:Serving {name: 'model', version: 'm'}), "
        "(:ModelVersion {id: 'm', slot: 'blue', status: 'live', w_embedding: 1.0, w_similar: 0.0, w_popularity: 0.0})",
        v=[1.0] + [0.0] * (WIDTH - 1),
    )
    store.write(
        "UNWIND $rows AS row CREATE (p:Product {sku: row.sku, title: row.sku, active: true, popularity: 0.0, "
        "  embedding_blue: $v}) "
        "FOREACH (path IN row.on | "
        "  MERGE (c:Category {path: path}) CREATE (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c))",
        rows=[{"sku": sku, "on": on} for sku, on in shelves.items()],
        v=[0.8, 0.6] + [0.0] * (WIDTH - 2),
    )
    store.write(
        "UNWIND $rows AS row MERGE (a:Category {path: row[0]}) MERGE (b:Category {path: row[1]}) "
        "MERGE (a)-[:SUBCATEGORY_OF {source: 'catalogue'}]->(b)",
        rows=[list(pair) for pair in parents.items()],
    )
    store.autocommit(SHELVE_ALL)
    store.autocommit("CALL db.awaitIndexes(60)")
    store.autocommit("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("A", {"own", "below", "second", "also below"}),
        ("A > B", {"below", "also below"}),
        ("A & B", {"neighbour"}),
        ("C", {"second", "elsewhere", "second of three"}),
        # A person has put a shelf of another path under this one.
        ("D", {"also below", "neighbour", "moved"}),
        ("unheard of", set()),
    ],
)
def test_of_a_category_all_is_found_however_it_stands_there(
    store: GraphStore, category: str, expected: set[str]
) -> None:
    shelve(
        store,
        {
            "own": ["A"],
            "below": ["A > B"],
            "neighbour": ["A & B"],
            "second": ["A", "C"],
            "also below": ["A > B", "D"],
            "elsewhere": ["C"],
            "second of three": ["B", "C", "E"],
            "moved": ["E > F"],
        },
        {"A > B": "A", "E > F": "E", "A & B": "D", "E": "Z"} | {"E > F": "D"},
    )
    for exact in (1, 2000):
        rows = run(store, QUERY, {**NOTHING, "user": "anna", "category": category, "limit": 20, "exact": exact})
        assert {row["sku"] for row in rows} == expected


def test_a_product_notes_its_shelves_as_they_are(store: GraphStore) -> None:
    def noted() -> dict[str, Any]:
        return store.read("MATCH (p:Product {sku: 'S'}) RETURN p.shelf AS shelf, p.also_on AS also")[0]

    for categories, expected in (
        ([["B", "C"]], ("B > C > ", None)),
        ([["B", "C"], ["A"]], ("A > ", "B > C > ")),
        ([["D"]], ("D > ", None)),
        ([], (None, None)),
    ):
        product = ProductRecord(sku="S", title="A strap", categories=tuple(map(tuple, categories)))
        load_products(store, [product], document_of=product_document)
        assert tuple(noted().values()) == expected
    # What a text says counts likewise.
    said = Relationship(NodeRef("Product", "S"), "IN_CATEGORY", NodeRef("Category", "E"), "curator")
    upsert(store, Graph((Node("Category", "E", {"name": "E"}),), (said,)))
    assert tuple(noted().values()) == ("E > ", None)


def test_what_is_taken_back_takes_the_note_of_its_shelf_along(store: GraphStore) -> None:
    def noted() -> list[tuple[Any, ...]]:
        rows = store.read("MATCH (p:Product) RETURN p.shelf AS shelf, p.also_on AS also ORDER BY p.sku")
        return [tuple(row.values()) for row in rows]

    store.write(
        "CREATE (s:Product {sku: 'S', title: 'S', active: true}), (t:Product {sku: 'T', title: 'T', active: true}), "
        "(s)-[:HAS_TEXT]->(d:Document {id: 'product:S', sku: 'S'}), (:Evidence {id: 'e', fact: 'f'})-[:FROM]->(d), "
        "(s)-[:IN_CATEGORY {source: 'extraction', fact: 'f'}]->(:Category {path: 'A'}), "
        "(s)-[:IN_CATEGORY {source: 'feed'}]->(b:Category {path: 'B'}), (t)-[:IN_CATEGORY {source: 'feed'}]->(b), "
        "(t)-[:IN_CATEGORY {source: 'catalogue'}]->(:Category {path: 'C'})"
    )
    store.autocommit(SHELVE_ALL)
    assert noted() == [("A > ", "B > "), ("B > ", "C > ")]
    remove(store, "documents", ["product:S"])
    assert noted() == [("B > ", None), ("B > ", "C > ")]
    remove(store, "sources", ["feed"])
    assert noted() == [(None, None), ("C > ", None)]
