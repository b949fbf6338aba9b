"""``recommend/for_user_filtered`` against a computation outside the database, under filters drawn by chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kg.catalogue import find, run
from kg.store import GraphStore

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
            "shelf": f"Shelf {min(int(rng.expovariate(0.7)), 6)}",
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
        add(lambda p: p["shelf"] == some["shelf"], category=some["shelf"])
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
    ({"min_price": 20.0, "max_price": 1e9}, lambda p: p["price"] is not None and p["price"] >= 20.0),
    ({"not_brands": ["brand0"]}, lambda p: p["brand"] != "brand0"),
]
"""Filters that leave so much that the candidates alone are enough."""


@pytest.mark.parametrize(
    ("exact", "plans"), [(0, {"in-index filter", "over-fetch", "exact subset"}), (3000, {"exact subset"})]
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
        "MERGE (c:Category {path: row.shelf}) MERGE (b:Brand {key: row.brand}) "
        "CREATE (p)-[:IN_CATEGORY]->(c), (p)-[:MADE_BY]->(b) "
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
        hits += len(set(found) & set(best))
        wanted += len(best)
        seen.update(row["plan"] for row in rows)
        for row in rows:
            assert row["score"] == pytest.approx(score[row["sku"]], abs=1e-4)
    assert wanted > 80
    assert hits >= 0.98 * wanted
    assert seen == plans
    # Rows that are sorted must not be held with all that is in scope: so many would need more than a query may have.
    for_sale = sum(p["active"] and p["stock"] != 0 and p["sku"] not in known for p in products)
    assert len(run(store, QUERY, {**NOTHING, "user": "anna", "limit": 5000, "exact": exact}, max_rows=5000)) == for_sale
