"""What a shop shows around a product, a cart and a person: the rows on the named shop of ``conftest.py``."""

from __future__ import annotations

from typing import Any

import pytest

from kg.catalogue import load, run
from kg.queries import MOST_ITEMS
from kg.store import GraphStore

QUERIES = load()

MODEL = """
CREATE (:Serving {name: 'model', version: 'm1'}),
       (m:ModelVersion {id: 'm1', slot: 'blue', status: 'live', half_life_days: 365.0, w_embedding: 1.0,
                        w_similar: 1.0, w_popularity: 0.0, w_accessory_of: 0.5, w_compatible_with: 0.0,
                        w_bought_with: 0.25, w_viewed_with: 0.0, w_substitute_for: 0.0, w_variant_of: 0.0})
WITH m
UNWIND [['G1', 'T1', 0.4], ['G1', 'S2', 0.2], ['G2', 'S2', 0.4], ['G2', 'X1', 0.4]] AS row
MATCH (a:Product {sku: row[0]}), (b:Product {sku: row[1]})
CREATE (a)-[:SIMILAR_TO {model: m.id, weight: row[2]}]->(b)
"""


@pytest.fixture
def trained(shop: GraphStore) -> GraphStore:
    """The shop with a live model that expects the tuner and strings beside the guitars, and the amp, long gone."""
    shop.write(MODEL)
    return shop


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(run(store, QUERIES[name], parameters))


def scores(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(row["sku"], pytest.approx(row["score"])) for row in rows]


# --- accessories ----------------------------------------------------------------------------------------------


def test_what_is_stated_comes_before_what_is_learned(trained: GraphStore) -> None:
    rows = answer(trained, "recommend/accessories", sku="G1")
    assert scores(rows) == [("S1", 4.8), ("T1", 1.0), ("S2", 0.5)]
    assert rows[0]["reasons"] == [{"term": "ACCESSORY_OF", "part": pytest.approx(4.8), "fact": "fact-fits"}]


def test_what_is_made_for_the_brand_or_the_shelf_goes_with_its_products(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (c:Category {path: 'Instruments > Guitars'}) "
        "CREATE (t)-[:COMPATIBLE_WITH {source: 'extraction', fact: 'f-all', confidence: 0.6}]->(c)"
    )
    assert scores(answer(shop, "recommend/accessories", sku="G2")) == [("T1", 2.6), ("S2", 1.5)]


def test_what_a_user_has_or_does_not_want_does_not_stand_beside_a_product(trained: GraphStore) -> None:
    # ben has the tuner, and anna the strap; strings are bought again, until somebody hides them.
    trained.write(
        "MATCH (ben:User {id: 'ben'}), (s:Product {sku: 'S2'}), (a:Product {sku: 'G1'}), (b:Product {sku: 'G2'}) "
        "CREATE (ben)-[:BOUGHT {count: 1}]->(s), (:User {id: 'dora'})-[:HIDDEN]->(s), (a)-[:VIEWED_WITH]->(b)"
    )

    def beside(name: str, **given: Any) -> list[str]:
        return [row["sku"] for row in answer(trained, f"recommend/{name}", sku="G1", **given)]

    assert beside("accessories") == beside("accessories", user="nobody") == ["S1", "T1", "S2"]
    assert beside("accessories", user="ben") == ["S1", "S2"]
    assert beside("accessories", user="anna") == ["T1", "S2"]
    assert beside("accessories", user="dora") == ["S1", "T1"]
    assert beside("similar_products") == ["T1", "G2", "S2", "S1"]
    assert beside("similar_products", user="ben") == ["G2", "S2", "S1"]
    assert beside("similar_products", user="dora") == ["T1", "G2", "S1"]
    assert beside("substitutes") == beside("substitutes", user="ben") == ["G2"]
    trained.write("MATCH (u:User {id: 'ben'}), (p:Product {sku: 'G2'}) CREATE (u)-[:RETURNED]->(p)")
    assert beside("substitutes", user="ben") == []


def test_a_variant_and_what_is_sold_out_are_no_accessories(shop: GraphStore) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G2'}), (s:Product {sku: 'S2'}), (t:Product {sku: 'T1'}) SET s.stock = 0 "
        "CREATE (t)-[:VARIANT_OF {source: 'catalogue'}]->(g), (t)-[:COMPATIBLE_WITH {source: 'catalogue'}]->(g)"
    )
    assert answer(shop, "recommend/accessories", sku="G2") == []


def offering(store: GraphStore, sku: str) -> dict[str, bool]:
    """Which of the queries that say what goes with the S-200 show a product."""
    asked: dict[str, dict[str, Any]] = {
        "accessories": {"sku": "G1"},
        "bundle": {"sku": "G1", "limit": 10},
        "cart": {"skus": ["G1"]},
        "for_user_filtered": {"user": "cleo", "fits": "G1", "exact": 2000},
        "for_user_filtered, over-fetched": {"user": "cleo", "fits": "G1", "exact": 0},
    }
    return {
        name: sku in {row["sku"] for row in answer(store, f"recommend/{name.split(',')[0]}", **given)}
        for name, given in asked.items()
    }


@pytest.mark.parametrize(
    "denied",
    [
        "(t)-[:DOES_NOT_FIT {confidence: 0.6}]->(g)",
        "(g)-[:DOES_NOT_FIT {confidence: 0.6}]->(t)",
        "(t)-[:DOES_NOT_FIT {confidence: 0.95}]->(b)",
        "(t)-[:DOES_NOT_FIT {confidence: 0.6}]->(c)",
    ],
)
def test_what_is_said_not_to_fit_is_not_sold_with_it(trained: GraphStore, denied: str) -> None:
    """The tuner is made for the brand, and bought with the guitar; a denial of the two, or a surer one, is stronger."""
    matched = (
        "MATCH (g:Product {sku: 'G1'}), (t:Product {sku: 'T1'}), (b:Brand {key: 'ashdown'}), "
        "(c:Category {path: 'Instruments > Guitars'}) "
    )
    trained.write(
        matched + "CREATE (t)-[:ACCESSORY_OF {source: 'extraction', confidence: 0.9}]->(b), "
        "(g)-[:BOUGHT_WITH {source: 'bought_together'}]->(t), "
        "(t)-[:IN_CATEGORY {source: 'catalogue'}]->(:Category {path: 'Accessories > Tuners', name: 'Tuners'})"
    )
    assert set(offering(trained, "T1").values()) == {True}
    trained.write(f"{matched} CREATE {denied}")
    assert set(offering(trained, "T1").values()) == {False}
    assert set(offering(trained, "S1").values()) == {True}


def test_nothing_is_sold_with_what_says_that_it_does_not_fit_its_shelf(trained: GraphStore) -> None:
    trained.write("MATCH (g:Product {sku: 'G1'}), (c:Category {path: 'Accessories'}) CREATE (g)-[:DOES_NOT_FIT]->(c)")
    # The strap fits by its own text.
    for name, given in (("accessories", {"sku": "G1"}), ("bundle", {"sku": "G1"}), ("cart", {"skus": ["G1"]})):
        assert [row["sku"] for row in answer(trained, f"recommend/{name}", **given)] == ["S1"], name


@pytest.mark.parametrize(
    "denied",
    [
        "(s)-[:DOES_NOT_FIT {confidence: 0.7}]->(g)",  # the strap's text is sure of the contrary to 0.8
        "(s)-[:DOES_NOT_FIT {confidence: 1.0}]->(b)",
        "(g)-[:DOES_NOT_FIT {confidence: 1.0}]->(c)",
    ],
)
def test_what_fits_by_its_own_or_a_surer_text_is_sold_with_it(trained: GraphStore, denied: str) -> None:
    trained.write(
        "MATCH (g:Product {sku: 'G1'}), (s:Product {sku: 'S1'}), (b:Brand {key: 'ashdown'}), "
        f"(c:Category {{path: 'Accessories'}}) CREATE {denied}"
    )
    assert set(offering(trained, "S1").values()) == {True}


def test_in_a_cart_a_product_goes_with_what_it_is_not_denied_to_fit(trained: GraphStore) -> None:
    trained.write(
        "MATCH (a:Product {sku: 'G1'}), (b:Product {sku: 'G2'}), (s:Product {sku: 'S1'}) "
        "CREATE (s)-[:ACCESSORY_OF {confidence: 0.5}]->(b), (s)-[:DOES_NOT_FIT {confidence: 0.9}]->(a)"
    )
    (strap,) = [row for row in answer(trained, "recommend/cart", skus=["G1", "G2"]) if row["sku"] == "S1"]
    assert [reason["because"] for reason in strap["reasons"]] == ["Birch dreadnought acoustic guitar"]
    assert strap["score"] == pytest.approx(0.5)


@pytest.mark.parametrize("relation", ["VARIANT_OF", "SUBSTITUTE_FOR"])
def test_a_variant_and_a_substitute_go_with_nothing(trained: GraphStore, relation: str) -> None:
    trained.write(
        "CYPHER 25 MATCH (g:Product {sku: 'G1'}), (t:Product {sku: 'T1'}) "
        "CREATE (t)-[:$($relation) {source: 'catalogue'}]->(g), (t)-[:COMPATIBLE_WITH {source: 'catalogue'}]->(g)",
        relation=relation,
    )
    for name, given in (("accessories", {"sku": "G1"}), ("bundle", {"sku": "G1"}), ("cart", {"skus": ["G1"]})):
        assert [row["sku"] for row in answer(trained, f"recommend/{name}", **given)][:1] == ["S1"], name
        assert "T1" not in [row["sku"] for row in answer(trained, f"recommend/{name}", **given)], name


# --- cart -----------------------------------------------------------------------------------------------------


def test_what_belongs_to_more_of_the_cart_comes_first(trained: GraphStore) -> None:
    rows = answer(trained, "recommend/cart", skus=["G1", "G2", "unknown", "G1"])
    # Strings: bought with the acoustic (0.5), expected beside both guitars (0.5 + 1). The strongest weight counts 1.
    assert scores(rows) == [("S2", 2.0), ("T1", 1.0), ("S1", 0.8)]
    assert rows[2]["reasons"] == [
        {"term": "ACCESSORY_OF", "part": pytest.approx(0.8), "because": "Ashdown S-200 electric guitar"}
    ]


def test_a_cart_never_shows_what_it_holds_or_what_its_owner_has(trained: GraphStore) -> None:
    assert [row["sku"] for row in answer(trained, "recommend/cart", skus=["G1", "S1"])] == ["T1", "S2"]
    assert [row["sku"] for row in answer(trained, "recommend/cart", skus=["G1"], user="ben")] == ["S1", "S2"]
    trained.write("MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S1'}) CREATE (b)-[:HIDDEN]->(s)")
    assert [row["sku"] for row in answer(trained, "recommend/cart", skus=["G1"], user="ben")] == ["S2"]


def test_what_is_consumed_is_offered_again(trained: GraphStore) -> None:
    trained.write("MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S2'}) CREATE (b)-[:BOUGHT]->(s)")
    assert "S2" in [row["sku"] for row in answer(trained, "recommend/cart", skus=["G1"], user="ben")]


def test_an_empty_cart_and_a_cart_of_strangers_get_nothing(trained: GraphStore) -> None:
    assert answer(trained, "recommend/cart", skus=[]) == []
    assert answer(trained, "recommend/cart", skus=["nobody's", "'}) DETACH DELETE (n"]) == []


# --- substitutes ----------------------------------------------------------------------------------------------


def test_a_substitute_is_of_the_same_shelf_and_no_accessory(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (g:Category {path: 'Instruments > Guitars'}), "
        "(a:Product {sku: 'G1'}), (b:Product {sku: 'G2'}) "
        "CREATE (s)-[:IN_CATEGORY {source: 'extraction'}]->(g), "
        "(alder:AttributeValue {key: 'body=alder', attribute: 'body', value: 'alder'}), "
        "(six:AttributeValue {key: 'strings=6', attribute: 'strings', value: '6'}), "
        "(bag:AttributeValue {key: 'comes with=bag', attribute: 'comes with', value: 'bag'}), "
        "(a)-[:HAS_ATTRIBUTE]->(alder), (a)-[:HAS_ATTRIBUTE]->(six), "
        "(b)-[:HAS_ATTRIBUTE]->(six), (b)-[:HAS_ATTRIBUTE]->(bag)"
    )
    (row,) = answer(shop, "recommend/substitutes", sku="G1")
    assert row == {
        "sku": "G2",
        "title": "Birch dreadnought acoustic guitar",
        "score": pytest.approx(0.35),
        "price_difference": -210.0,
        "differs": ["comes with = bag"],
        "reasons": [
            {"term": "HAS_ATTRIBUTE", "part": pytest.approx(0.25)},
            {"term": "IN_CATEGORY", "part": pytest.approx(0.1)},
        ],
    }
    assert answer(shop, "recommend/substitutes", sku="G1", max_price=200.0) == []
    shop.write("MATCH (g:Product {sku: 'G2'}) SET g.currency = 'EUR'")
    (row,) = answer(shop, "recommend/substitutes", sku="G1")
    assert row["price_difference"] is None


def test_a_stated_substitute_outranks_the_shelf(shop: GraphStore) -> None:
    shop.write(
        "MATCH (a:Product {sku: 'G1'}), (t:Product {sku: 'T1'}) CREATE (a)-[:SUBSTITUTE_FOR {source: 'curator'}]->(t)"
    )
    assert scores(answer(shop, "recommend/substitutes", sku="G1")) == [("T1", 1.0), ("G2", 0.1)]


# --- people ---------------------------------------------------------------------------------------------------


def test_friends_are_friends_both_ways_and_the_latest_counts_most(shop: GraphStore) -> None:
    shop.write("MATCH (a:User {id: 'anna'}), (c:User {id: 'cleo'}) CREATE (a)-[:FRIEND_OF]->(c), (c)-[:FRIEND_OF]->(a)")
    rows = answer(shop, "recommend/for_friends", user="cleo")
    assert [(r["sku"], r["friends"], r["names"]) for r in rows] == [
        ("G1", 2, ["anna", "ben"]),
        ("T1", 1, ["ben"]),
        ("S1", 1, ["anna"]),
    ]
    assert rows[0]["score"] == pytest.approx(1.0 + 0.5 ** (2 / 365))
    # What ben's friend liked and ben has is not for ben: of cleo's things there are none.
    assert answer(shop, "recommend/for_friends", user="ben") == []


def test_a_friends_poor_rating_recommends_nothing(shop: GraphStore) -> None:
    shop.write("MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S1'}) CREATE (b)-[:RATED {rating: 2.0}]->(s)")
    assert [row["sku"] for row in answer(shop, "recommend/for_friends", user="cleo")] == ["G1", "T1"]


def test_each_shelf_has_its_reason_and_no_product_stands_on_two(trained: GraphStore) -> None:
    rows = answer(trained, "recommend/because_you", user="ben")
    assert [(r["because"], r["did"], [(p["sku"], pytest.approx(p["score"])) for p in r["products"]]) for r in rows] == [
        ("Ashdown S-200 electric guitar", "BOUGHT", [("S1", 0.5), ("S2", 0.2)]),
    ]
    assert answer(trained, "recommend/because_you", user="ben", least=3) == []
    trained.write("MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S1'}) CREATE (b)-[:RETURNED]->(s)")
    (row,) = answer(trained, "recommend/because_you", user="ben")
    assert [p["sku"] for p in row["products"]] == ["S2"]


def test_each_product_of_a_shelf_has_a_reason(trained: GraphStore) -> None:
    # What is looked at together weighs nothing in the live model.
    trained.write(
        "MATCH (g:Product {sku: 'G2'}), (s:Product {sku: 'S1'}), (t:Product {sku: 'T1'}) "
        "MATCH (:Product {sku: 'G1'})-[r:SIMILAR_TO|ACCESSORY_OF]-() DELETE r "
        "CREATE (g)-[:VIEWED_WITH]->(s), (g)-[:SUBSTITUTE_FOR]->(t)"
    )
    rows = answer(trained, "recommend/because_you", user="ben")
    assert [(row["sku"], [p["sku"] for p in row["products"]]) for row in rows] == [("G2", ["S2"])]
    assert all(product["reasons"] for row in rows for product in row["products"])


def test_a_click_is_interest(trained: GraphStore) -> None:
    trained.write("MATCH (c:User {id: 'cleo'}), (g:Product {sku: 'G1'}) CREATE (c)-[:CLICKED {strength: 0.3}]->(g)")
    rows = answer(trained, "recommend/because_you", user="cleo")
    assert [(row["did"], row["sku"]) for row in rows] == [("CLICKED", "G1")]


def test_what_the_first_shelf_has_no_place_for_may_stand_on_the_next(trained: GraphStore) -> None:
    trained.write("MATCH (g:Product {sku: 'G2'}), (s:Product {sku: 'S1'}) CREATE (s)-[:ACCESSORY_OF]->(g)")

    def shelves(**parameters: Any) -> list[tuple[str, list[str]]]:
        rows = answer(trained, "recommend/because_you", user="ben", **parameters)
        return [(row["sku"], [product["sku"] for product in row["products"]]) for row in rows]

    # Strap and strings belong to either guitar.
    assert shelves() == [("G1", ["S1", "S2"])]
    assert shelves(limit=1) == [("G1", ["S1"]), ("G2", ["S2"])]


# --- search ---------------------------------------------------------------------------------------------------


def test_products_are_found_by_what_they_are(shop: GraphStore) -> None:
    def found(**parameters: Any) -> list[str]:
        return [row["sku"] for row in answer(shop, "search/by_attributes", **parameters)]

    assert found(attributes=["material=leather"]) == ["S1"]
    assert found(attributes=["material=leather", "colour=red"]) == []
    assert found(brand="birch") == ["S1", "G2"]
    assert found(brand="birch", max_price=100.0) == ["S1"]
    assert found(category="Instruments") == ["G1", "G2"]
    assert found(category="Instruments", brand="birch", min_price=100.0) == ["G2"]
    assert found(brand="ashdown") == ["G1"]  # the amp is no longer sold
    assert found(min_price=200.0) == ["G1", "G2"]
    assert found(max_price=15.0) == ["S2", "T1"]
    assert found(min_price=15.0, max_price=289.0) == ["S1", "G2", "T1"]
    assert found() == []


def test_a_facet_that_narrows_nothing_is_left_out(shop: GraphStore) -> None:
    assert answer(shop, "search/facets", category="Accessories") == [
        {
            "facet": "brand",
            "products": 3,
            "values": [
                {"value": "Cobalt", "key": "cobalt", "products": 2},
                {"value": "Birch", "key": "birch", "products": 1},
            ],
        }
    ]
    shop.write("MATCH (s:Product {sku: 'S1'})-[r:MADE_BY]->() DELETE r")
    assert [facet["values"] for facet in answer(shop, "search/facets", category="Accessories")] == [
        [{"value": "Cobalt", "key": "cobalt", "products": 2}]
    ]


def test_what_is_sold_out_is_on_no_shelf(shop: GraphStore) -> None:
    """As ``search/products`` does not find it either."""
    shop.write("MATCH (t:Product {sku: 'T1'}) SET t.stock = 0")
    (facet,) = answer(shop, "search/facets", category="Accessories")
    assert [(one["value"], one["products"]) for one in facet["values"]] == [("Birch", 1), ("Cobalt", 1)]
    counted = {row["category"]: row["products"] for row in answer(shop, "search/shelves")}
    assert counted == {"Accessories": 2, "Instruments": 2}


def test_products_stand_side_by_side_in_the_order_asked(shop: GraphStore) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G1'}), (v:AttributeValue {key: 'material=leather'}) CREATE (g)-[:HAS_ATTRIBUTE]->(v)"
    )
    assert answer(shop, "product/compare", skus=["S1", "unknown", "G1"]) == [
        {"kind": "price", "name": "price", "values": ["24.5 USD", None, "499.0 USD"], "differs": True},
        {"kind": "brand", "name": "brand", "values": ["Birch", None, "Ashdown"], "differs": True},
        {"kind": "attribute", "name": "material", "values": ["leather", None, "leather"], "differs": True},
        {"kind": "aspect", "name": "comfort", "values": ["+1 −0", None, None], "differs": True},
    ]
    same = [row for row in answer(shop, "product/compare", skus=["S1", "G1"]) if row["name"] == "material"]
    assert same == [{"kind": "attribute", "name": "material", "values": ["leather", "leather"], "differs": False}]


def test_as_many_products_as_may_be_named_stand_side_by_side(store: GraphStore) -> None:
    """Within the time that a query has: what takes the square of their number does not end in it."""
    store.write(
        "UNWIND range(0, 19) AS n "
        "CREATE (:AttributeValue {key: 'a' + n + '=x', attribute: 'a' + n, value: 'x'}) "
        "WITH count(*) AS done "
        "UNWIND range(0, $most - 1) AS n "
        "CREATE (p:Product {sku: 'P' + n, title: 'P', active: true, price: 1.0 * n}) "
        "WITH p, n "
        "MATCH (v:AttributeValue) WHERE n <> 7 OR v.attribute <> 'a3' "
        "CREATE (p)-[:HAS_ATTRIBUTE]->(v)",
        most=MOST_ITEMS,
    )
    price, sometimes, *always = answer(store, "product/compare", skus=[f"P{n}" for n in range(MOST_ITEMS)])
    assert (price["values"][:3], price["values"][-1]) == (["0.0", "1.0", "2.0"], f"{MOST_ITEMS - 1}.0")
    assert (sometimes["name"], sometimes["differs"]) == ("a3", True)
    assert sometimes["values"] == ["x"] * 7 + [None] + ["x"] * (MOST_ITEMS - 8)
    assert {row["name"] for row in always} == {f"a{n}" for n in range(20) if n != 3}
    assert all((row["values"], row["differs"]) == (["x"] * MOST_ITEMS, False) for row in always)
