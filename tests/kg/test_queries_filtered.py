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


WEIGHTS = {"ACCESSORY_OF": 0.2, "COMPATIBLE_WITH": 0.1, "BOUGHT_WITH": 0.3}
SIMILAR = 0.5
Relation = tuple[str, str, str]


def draw_relations(rng: random.Random, products: list[dict[str, Any]], known: set[str]) -> list[Relation]:
    """What goes with a few products, in either direction, and what is bought with those that the user has."""
    skus = [p["sku"] for p in products]
    drawn = [(a, "ACCESSORY_OF", b) for b in FITTED for a in rng.sample(skus, 60)]
    for b in FITTED:
        for a in rng.sample(skus, 30):
            drawn.append((a, "COMPATIBLE_WITH", b) if rng.random() < 0.5 else (b, "COMPATIBLE_WITH", a))
    for h in sorted(known):
        drawn += [(h, "BOUGHT_WITH", p) for p in rng.sample(skus, 20)]
        drawn += [(a, "ACCESSORY_OF", h) for a in rng.sample(skus, 10)]
    return sorted({(a, type_, b) for a, type_, b in drawn if a != b})


FITTED = ("p007", "p1200")
"""Products with which others are said to go; p1200 is known to the user or not, as it is drawn."""


def fitting(relations: list[Relation], sku: str) -> set[str]:
    """Products that go with one, none of these relations being with its brand or shelf."""
    made = {a for a, type_, b in relations if b == sku and type_ != "BOUGHT_WITH"}
    return made | {b for a, type_, b in relations if a == sku and type_ == "COMPATIBLE_WITH"}


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
    relations = draw_relations(rng, products, known)
    learned = {(h, p["sku"]): rng.random() for h in sorted(known) for p in rng.sample(products, 10)}
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
        "w_similar: $similar, w_next: 0.0, recency: 0.0, w_popularity: 0.3, w_bought_with: 0.3, w_viewed_with: 0.0, "
        "w_accessory_of: 0.2, w_compatible_with: 0.1, w_substitute_for: 0.0, w_variant_of: 0.0}) "
        "WITH u MATCH (p:Product) WHERE p.sku IN $known CREATE (u)-[:BOUGHT {strength: 1.0}]->(p)",
        user=user,
        known=sorted(known),
        similar=SIMILAR,
    )
    store.write(
        "CYPHER 25 UNWIND $rows AS row MATCH (a:Product {sku: row[0]}), (b:Product {sku: row[2]}) "
        "CREATE (a)-[:$(row[1]) {source: 'catalogue'}]->(b)",
        rows=[list(one) for one in relations],
    )
    store.write(
        "UNWIND $rows AS row MATCH (a:Product {sku: row[0]}), (b:Product {sku: row[1]}) "
        "CREATE (a)-[:SIMILAR_TO {model: 'm', weight: row[2]}]->(b)",
        rows=[[*pair, weight] for pair, weight in learned.items()],
    )
    store.autocommit(SHELVE_ALL)
    store.autocommit("CALL db.awaitIndexes(60)")
    store.autocommit("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    score = {p["sku"]: float(np.dot(user, p["vector"])) + 0.3 * p["popularity"] for p in products}
    interest = 1.0 / len(known) ** 0.5  # each was bought once, and no event has a time
    for (_, sku), weight in learned.items():
        score[sku] += SIMILAR * interest * weight
    # A relation leads on in either direction, once, whoever of the two states it.
    for _h, type_, sku in {(h, type_, sku) for a, type_, b in relations for h, sku in ((a, b), (b, a)) if h in known}:
        score[sku] += WEIGHTS[type_] * interest
    related: list[Filter] = [
        ({"fits": sku, **more}, lambda p, found=fitting(relations, sku), test=test: p["sku"] in found and test(p))
        for sku in FITTED
        for more, test in (({}, lambda _: True), ({"not_brands": ["brand0"]}, lambda p: p["brand"] != "brand0"))
    ]

    seen: set[str] = set()
    hits = wanted = 0
    for given, matches in [*BROAD, *related, *(draw_filter(rng, products) for _ in range(8))]:
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


def test_one_of_ten_thousand_is_found(store: GraphStore) -> None:
    """A selectivity of .01 %: by a price, a value, and a relation, each of which one product alone fulfils."""
    store.write(
        "CREATE (:User {id: 'anna'}), (that:Product {sku: 'that', title: 'that', active: false}), "
        "(v:AttributeValue {key: 'finish=gold'}) WITH that, v "
        "UNWIND range(1, 9999) AS n "
        "CREATE (p:Product {sku: 'p' + n, title: 'p' + n, active: true, price: 10.0 + n / 100.0, "
        "  popularity: n / 10000.0}) "
        "WITH p, n, that, v WHERE n = 17 CREATE (p)-[:ACCESSORY_OF]->(that), (p)-[:HAS_ATTRIBUTE]->(v)"
    )
    for given in ({"max_price": 10.015}, {"attributes": ["finish=gold"]}, {"fits": "that"}):
        for exact in (0, 2000):
            rows = run(store, QUERY, {**NOTHING, "user": "anna", "limit": LIMIT, "exact": exact, **given})
            assert [row["sku"] for row in rows] == ["p1" if "max_price" in given else "p17"], given
            assert {row["plan"] for row in rows} == {"exact subset"}


# --- what a shop wants shown, on the named shop ---------------------------------------------------------------


@pytest.fixture(params=[0, 2000], ids=["over-fetch", "exact subset"])
def shown(shop: GraphStore, request: pytest.FixtureRequest) -> Callable[..., list[tuple[str, float]]]:
    """Skus and scores for cleo, who has done nothing: without a model the score is the popularity."""

    def rows(**given: Any) -> list[tuple[str, float]]:
        found = run(shop, QUERY, {**NOTHING, "user": "cleo", "exact": request.param, **given})
        return [(row["sku"], round(row["score"], 6)) for row in found]

    return rows


POPULAR = [("G1", 0.9), ("S1", 0.8), ("G2", 0.7), ("S2", 0.5), ("T1", 0.3)]


def test_pins_stand_first_in_their_order_where_they_may_be_shown(shown: Callable[..., Any], shop: GraphStore) -> None:
    assert shown() == POPULAR
    # The amp is no longer sold.
    pins = ["T1", "X1", "no such thing", "S2"]
    assert shown(pins=pins) == [("T1", 0.3), ("S2", 0.5), ("G1", 0.9), ("S1", 0.8), ("G2", 0.7)]
    assert shown(pins=pins, limit=1) == [("T1", 0.3)]
    # A pin must pass the filters, and nobody is shown what is had, pinned or not.
    assert shown(pins=pins, category="Instruments") == [("G1", 0.9), ("G2", 0.7)]
    assert "G1" not in {sku for sku, _ in shown(pins=["G1"], user="ben")}
    (pinned, other) = run(shop, QUERY, {**NOTHING, "user": "cleo", "pins": ["T1"], "limit": 2})
    assert [reason["term"] for reason in pinned["reasons"]] == ["PINNED", "POPULARITY"]
    assert [reason["term"] for reason in other["reasons"]] == ["POPULARITY"]


def test_boosts_are_added_to_the_score(shown: Callable[..., Any], shop: GraphStore) -> None:
    boosted = shown(boosts={"T1": 1.0, "G1": -0.85, "X1": 9.0, "no such thing": 9.0})
    assert boosted == [("T1", 1.3), ("S1", 0.8), ("G2", 0.7), ("S2", 0.5), ("G1", 0.05)]
    # What is no number boosts nothing.
    assert shown(boosts={"T1": "much"}) == POPULAR
    (row,) = run(shop, QUERY, {**NOTHING, "user": "cleo", "boosts": {"T1": 1.0}, "limit": 1})
    assert [(r["term"], pytest.approx(r["share"])) for r in row["reasons"]] == [
        ("BOOST", 1.0 / 1.3),
        ("POPULARITY", 0.3 / 1.3),
    ]


def test_a_brands_boost_is_that_of_its_products(shown: Callable[..., Any]) -> None:
    cobalt = [("S2", 0.95), ("G1", 0.9), ("S1", 0.8), ("T1", 0.75), ("G2", 0.7)]
    assert shown(brand_boosts={"cobalt": 0.45, "unheard of": 9.0}) == cobalt
    both = shown(brand_boosts={"cobalt": 0.45}, boosts={"T1": 0.3}, limit=2)
    assert both == [("T1", 1.05), ("S2", 0.95)]


def test_what_fits_a_product_fits_it_its_brand_or_its_shelf(shown: Callable[..., Any], shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (birch:Brand {key: 'birch'}), (g:Product {sku: 'G2'}), (s:Product {sku: 'S2'}) "
        "CREATE (t)-[:COMPATIBLE_WITH {source: 'curator'}]->(birch), (g)-[:COMPATIBLE_WITH {source: 'curator'}]->(s)"
    )
    assert shown(fits="G1") == [("S1", 0.8)]
    # The strings by what the guitar's text says, the tuner as it goes with everything of Birch's.
    assert shown(fits="G2") == [("S2", 0.5), ("T1", 0.3)]
    # A guitar is no accessory of its strap.
    assert shown(fits="S1") == [("T1", 0.3)]
    assert shown(fits="G2", max_price=12.0) == [("S2", 0.5)]
    assert shown(fits="T1") == shown(fits="no such thing") == []


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
