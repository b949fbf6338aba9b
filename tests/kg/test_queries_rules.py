"""What holds in all of ``recommend/``: one score however many rows, one rule of regret, and what is never shown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from embeddings.evaluation import REPEATS
from kg.catalogue import load, run
from kg.queries import Query
from kg.store import GraphStore

ALL = load()
QUERIES = {name: query for name, query in ALL.items() if name.startswith("recommend/")}
AUDIENCE = ALL["insight/audience"]
DAY = 0.5 ** (1 / 365)
"""What interest counts after a day of the half-life of a year."""


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(run(store, QUERIES[f"recommend/{name}"], parameters))


def skus(store: GraphStore, name: str, **parameters: Any) -> list[str]:
    return [row["sku"] for row in answer(store, name, **parameters)]


# --- all of them ----------------------------------------------------------------------------------------------

SCORED = {
    query.name: query
    for query in QUERIES.values()
    if "limit" in {parameter.name for parameter in query.parameters}
    and {"sku", "score"} <= {column.name for column in query.returns}
    # Of which a share is drawn by chance, the more the more are asked for.
    and query.name != "recommend/explore"
}


def test_there_are_scored_queries() -> None:
    assert {"recommend/for_user", "recommend/similar_products", "recommend/cart"} <= SCORED.keys()


@pytest.mark.parametrize("query", SCORED.values(), ids=SCORED)
def test_a_score_is_the_same_however_many_rows_are_asked_for(trained: GraphStore, query: Query) -> None:
    parameters = dict(query.example)

    def rows(limit: int) -> list[tuple[Any, ...]]:
        found = run(trained, query, {**parameters, "limit": limit})
        return [(row.get("user"), row["sku"], pytest.approx(row["score"])) for row in found]

    many = rows(50)
    assert many
    for limit in (1, 2):
        few = rows(limit)
        # Of several users each has as many.
        kept = [[row for row in many if row[0] == user][:limit] for user in dict.fromkeys(row[0] for row in many)]
        assert few == [row for some in kept for row in some]


# --- what was regretted ---------------------------------------------------------------------------------------

REGRETS = {
    "returned": "CREATE (u)-[:RETURNED {count: 1, strength: -0.5}]->(g)",
    "disliked": "CREATE (u)-[:DISLIKED {count: 1, strength: -1.0}]->(g)",
    "hidden": "CREATE (u)-[:HIDDEN {count: 1, strength: -1.0}]->(g)",
    "rated badly": "MERGE (u)-[r:RATED]->(g) SET r.rating = 1.0, r.strength = 0.2",
}
"""How ben comes to regret the guitar that he bought."""


def test_regret_is_one_rule() -> None:
    """Wherever a query looks at what was sent back, it looks at dislikes, hidings and poor ratings, too."""
    for query in ALL.values():
        patterns = re.findall(
            r"\[\w*:(?:\w+\|)*RETURNED[^\]]*\]->\(\w+(?::Product)?\) (WHERE [^}]*)", one_line(query.text)
        )
        for found in patterns:
            assert found.startswith(
                ("WHERE type(no) <> 'RATED' OR no.rating < 3.0 ", f"{REPEATS} ")  # the latter is what is had, besides
            ), query.name
        counted = query.name == "product/profile"  # how many sent it back is told of every product
        assert len(patterns) + counted == query.cypher.count("RETURNED"), query.name


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(params=REGRETS)
def regretted(trained: GraphStore, request: pytest.FixtureRequest) -> GraphStore:
    trained.write(f"MATCH (u:User {{id: 'ben'}}), (g:Product {{sku: 'G1'}}) {REGRETS[request.param]}")
    return trained


def test_what_a_friend_regrets_is_not_what_friends_liked(regretted: GraphStore) -> None:
    assert skus(regretted, "for_friends", user="cleo") == ["T1"]


def test_what_is_regretted_is_no_reason_for_anything(regretted: GraphStore) -> None:
    guitar = "Ashdown S-200 electric guitar"
    assert guitar not in {row["because"] for row in answer(regretted, "because_you", user="ben")}
    assert "S1" not in skus(regretted, "next_item", user="ben")  # to which the guitar alone leads
    for name in ("for_user", "diverse", "explore", "for_user_filtered", "for_similar_users", "new_market"):
        given = {"user": "ben"} | ({"category": "Accessories"} if name == "new_market" else {})
        rows = answer(regretted, name, **given)
        assert guitar not in {reason["because"] for row in rows for reason in row["reasons"]}, name
    assert not [row for row in answer(regretted, "explain", user="ben", sku="S1") if guitar in row["path"][0]]
    assert guitar not in {row["because"] for row in run(regretted, AUDIENCE, {"sku": "S1"}) if row["user"] == "ben"}
    alike = answer(regretted, "cold_start_product", sku="S1")
    assert guitar not in {reason["because"] for row in alike if row["user"] == "ben" for reason in row["reasons"]}


def test_a_score_to_which_a_regret_leads_still_has_its_reason(trained: GraphStore) -> None:
    """The share stays, so that shares tell how the score came about; the product is not named."""

    def reasons() -> list[dict[str, Any]]:
        (strap,) = [row for row in answer(trained, "for_user", user="ben") if row["sku"] == "S1"]
        return [reason for reason in strap["reasons"] if reason["term"] == "ACCESSORY_OF"]

    (before,) = reasons()
    assert before["because"] == "Ashdown S-200 electric guitar"
    trained.write("MATCH (u:User {id: 'ben'}), (g:Product {sku: 'G1'}) CREATE (u)-[:RETURNED]->(g)")
    assert reasons() == [before | {"because": None}]


def test_every_recommended_row_has_its_reasons(trained: GraphStore) -> None:
    rows = answer(trained, "for_friends", user="cleo")
    assert [row["reasons"] for row in rows] == [[{"term": "FRIEND_OF", "part": 1.0, "because": "ben"}]] * 2
    shelves = {row["sku"]: row["products"] for row in answer(trained, "because_you", user="ben")}
    strap = next(product for product in shelves["G1"] if product["sku"] == "S1")
    assert strap["reasons"] == [
        {"term": "ACCESSORY_OF", "part": pytest.approx(0.5), "because": "Ashdown S-200 electric guitar"}
    ]


def test_a_shelf_holds_as_many_as_are_asked_for(trained: GraphStore) -> None:
    trained.write(
        "MATCH (g:Product {sku: 'G1'}) UNWIND range(1, 80) AS i "
        "CREATE (:Product {sku: 'case' + i, title: 'Case', active: true})-[:ACCESSORY_OF {source: 'x'}]->(g)"
    )
    shelves = {r["sku"]: r["products"] for r in answer(trained, "because_you", user="ben", limit=70, least=60)}
    assert {sku: len(products) for sku, products in shelves.items()} == {"G1": 70}


@pytest.mark.parametrize("against", [-0.2, -0.9])
def test_shares_are_of_what_speaks_for_a_product(trained: GraphStore, against: float) -> None:
    """Whatever speaks against it, down to a score below nothing."""
    trained.write(
        "MATCH (m:ModelVersion) SET m.w_popularity = 0.1 "
        "WITH m MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S1'}) "
        "SET b.embedding_blue = [1.0] + [i IN range(1, 63) | 0.0], "
        "    s.embedding_blue = [$c, sqrt(1.0 - $c * $c)] + [i IN range(2, 63) | 0.0]",
        c=against,
    )
    fits = 0.5 / math.sqrt(1.0 + 1.0 + 0.2 * DAY)
    expected = {"ACCESSORY_OF": fits / (fits + 0.08), "POPULARITY": 0.08 / (fits + 0.08)}
    for name in ("for_user", "for_users", "diverse", "explore", "for_user_filtered"):
        user = {"users": ["ben"]} if name == "for_users" else {"user": "ben"}
        (strap,) = [row for row in answer(trained, name, **user) if row["sku"] == "S1"]
        assert strap["score"] == pytest.approx(fits + 0.08 + against)
        assert {reason["term"]: reason["share"] for reason in strap["reasons"]} == pytest.approx(expected), name
    (explained, *_) = answer(trained, "explain", user="ben", sku="S1")
    assert {t["term"]: t["share"] for t in explained["terms"]} == pytest.approx(expected | {"EMBEDDING": 0.0})
    assert sum(t["part"] for t in explained["terms"]) == pytest.approx(fits + 0.08 + against)


# --- what is never shown --------------------------------------------------------------------------------------

RULES = (
    "bought", "rated", "disliked", "returned", "hidden", "inactive", "soldout", "eaten", "praised", "spoilt", "fine",
)  # fmt: skip
"""Products of the world below, one a rule; ``eaten``, ``praised`` and ``spoilt`` are consumed: bought, bought and rated
well, bought and rated badly; ``fine`` breaks no rule."""
AGAIN = {"eaten", "praised", "fine"}
"""Those that may be shown."""
WORLD = """
CREATE (eve:User {id: 'eve', interests: ['Market'], last_at: datetime('2026-03-01T00:00:00Z')}),
       (twin:User {id: 'twin', last_at: datetime('2026-03-01T00:00:00Z')}),
       (eve)-[:FRIEND_OF]->(twin),
       (:Serving {name: 'model', version: 'm'}),
       (m:ModelVersion {id: 'm', slot: 'blue', status: 'live', half_life_days: 365.0, w_embedding: 1.0,
                        w_similar: 1.0, w_popularity: 0.1, w_accessory_of: 0.5, w_compatible_with: 0.5,
                        w_bought_with: 0.5, w_viewed_with: 0.5, w_substitute_for: 0.5, w_variant_of: 0.5}),
       (maker:Brand {key: 'maker', name: 'Maker'}), (market:Category {path: 'Market', name: 'Market'}),
       (home:Category {path: 'Home', name: 'Home'}),
       (guitar:Product {sku: 'guitar', title: 'Guitar', active: true, popularity: 0.9}),
       (lute:Product {sku: 'lute', title: 'Lute', active: true, popularity: 0.9}),
       (guitar)-[:IN_CATEGORY]->(home), (lute)-[:IN_CATEGORY]->(home), (guitar)-[:MADE_BY]->(maker)
WITH *
UNWIND [eve, twin] AS u
UNWIND [guitar, lute] AS h
CREATE (u)-[:BOUGHT {count: 1, strength: 1.0, at: datetime('2026-03-01T00:00:00Z')}]->(h)
WITH DISTINCT twin, m, maker, market, guitar, lute
UNWIND $rules AS rule
CREATE (p:Product {sku: rule, title: rule, price: 10.0, active: rule <> 'inactive',
                   consumable: rule IN ['eaten', 'praised', 'spoilt'],
                   stock: CASE rule WHEN 'soldout' THEN 0 ELSE 5 END, popularity: 0.5}),
       (p)-[:MADE_BY]->(maker),
       (p)-[:IN_CATEGORY]->(:Category {path: 'Market > ' + rule, name: rule})-[:SUBCATEGORY_OF]->(market),
       (p)-[:ACCESSORY_OF]->(guitar), (p)-[:SUBSTITUTE_FOR]->(lute), (guitar)-[:BOUGHT_WITH]->(p),
       (guitar)-[:SIMILAR_TO {model: 'm', weight: 0.5}]->(p),
       (twin)-[:BOUGHT {count: 1, strength: 1.0, at: datetime('2026-03-01T00:00:00Z')}]->(p)
WITH DISTINCT 1 AS x
MATCH (eve:User {id: 'eve'})
UNWIND [['bought', 'BOUGHT', null], ['eaten', 'BOUGHT', null], ['praised', 'BOUGHT', null], ['praised', 'RATED', 5.0],
        ['spoilt', 'BOUGHT', null], ['spoilt', 'RATED', 1.0], ['rated', 'RATED', 5.0], ['disliked', 'DISLIKED', null],
        ['returned', 'RETURNED', null], ['hidden', 'HIDDEN', null]] AS row
MATCH (p:Product {sku: row[0]})
CREATE (eve)-[did:$(row[1]) {count: 1, strength: CASE WHEN row[1] IN ['BOUGHT', 'RATED'] THEN 1.0 ELSE -0.5 END,
                             rating: row[2]}]->(p)
"""
FOR_EVE: dict[str, dict[str, Any]] = {
    "accessories": {"user": "eve", "sku": "guitar"},
    "because_you": {"user": "eve"},
    "bundle": {"user": "eve", "sku": "guitar"},
    "cart": {"user": "eve", "skus": ["guitar"]},
    "cold_start_user": {"user": "eve"},
    "diverse": {"user": "eve"},
    "explore": {"user": "eve", "share": 0.5},
    "for_friends": {"user": "eve"},
    "for_similar_users": {"user": "eve"},
    "for_user": {"user": "eve"},
    "for_user_filtered": {"user": "eve", "category": "Market"},
    "for_users": {"users": ["eve"]},
    "new_market": {"user": "eve", "category": "Market"},
    "next_item": {"user": "eve", "items": ["guitar"]},
    "similar_products": {"user": "eve", "sku": "guitar"},
    "substitutes": {"user": "eve", "sku": "lute"},
}
"""Queries that know the user, and how they are asked."""
FOR_ANYONE: dict[str, dict[str, Any]] = {
    "accessories": {"sku": "guitar"},
    "similar_products": {"sku": "guitar"},
    "substitutes": {"sku": "lute"},
}
"""Queries that may be asked without a user: then they keep the rules of the shop alone."""


@pytest.fixture
def world(store: GraphStore) -> GraphStore:
    """Eleven products that every query would show alike, if none of them were bought, hidden, sold out and so on."""
    store.write(f"CYPHER 25\n{WORLD}", rules=RULES)
    return store


def shown(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield from (product["sku"] for product in row["products"]) if "products" in row else (row["sku"],)


def test_every_query_of_the_folder_is_asked_for_what_it_never_shows() -> None:
    # explain tells of a product that was named, and cold_start_product shows users: both have tests of their own.
    asked = {f"recommend/{name}" for name in (*FOR_EVE, *FOR_ANYONE, "explain", "explain_path", "cold_start_product")}
    assert asked == QUERIES.keys()


@pytest.mark.parametrize("name", FOR_EVE)
def test_a_user_never_sees_what_is_had_or_unwanted_or_not_for_sale(world: GraphStore, name: str) -> None:
    assert set(shown(answer(world, name, limit=50, **FOR_EVE[name]))) & set(RULES) == AGAIN


@pytest.mark.parametrize("plan", [{"exact": 0}, {"exact": 0, "max_price": 20.0}, {"exact": 4000}])
def test_no_plan_shows_what_is_had_or_unwanted_or_not_for_sale(world: GraphStore, plan: dict[str, Any]) -> None:
    assert set(skus(world, "for_user_filtered", user="eve", limit=50, **plan)) == AGAIN


@pytest.mark.parametrize("name", FOR_ANYONE)
def test_nobody_sees_what_is_not_for_sale(world: GraphStore, name: str) -> None:
    rows = answer(world, name, limit=50, **FOR_ANYONE[name])
    assert set(shown(rows)) & set(RULES) == set(RULES) - {"inactive", "soldout"}


@pytest.mark.parametrize("rule", RULES)
def test_nobody_is_addressed_for_what_is_had_or_unwanted_or_not_for_sale(world: GraphStore, rule: str) -> None:
    users = {row["user"] for row in answer(world, "cold_start_product", sku=rule)}
    assert ("eve" in users) == (rule in AGAIN)


@pytest.mark.parametrize("rule", RULES)
def test_no_campaign_is_for_what_is_had_or_unwanted_or_not_for_sale(world: GraphStore, rule: str) -> None:
    users = {row["user"] for row in run(world, AUDIENCE, {"sku": rule})}
    assert ("eve" in users) == (rule in AGAIN)
