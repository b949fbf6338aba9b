"""``recommend/explain`` and the path behind each reason, on the named shop of ``conftest.py``."""

from __future__ import annotations

from typing import Any

import neo4j
import pytest

from kg.catalogue import load, run
from kg.queries import bind
from kg.store import GraphStore

QUERIES = load()


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a catalogue query."""
    return list(run(store, QUERIES[name], parameters))


# --- recommend/explain ----------------------------------------------------------------------------------------


def test_why_ben_should_like_the_strap(shop: GraphStore) -> None:
    rows = answer(shop, "recommend/explain", user="ben", sku="S1")
    shown = ("kind", "path", "weight", "evidence", "facts")
    assert [{**{name: row[name] for name in shown}, "weight": round(row["weight"], 4)} for row in rows] == [
        {
            # Bought on the day of his last event: interest 1. The text says so with confidence 0.8.
            "kind": "ACCESSORY_OF",
            "path": [
                "ben BOUGHT Ashdown S-200 electric guitar",
                "Birch leather guitar strap ACCESSORY_OF Ashdown S-200 electric guitar",
            ],
            "weight": 0.8,
            "evidence": 1,
            "facts": ["fact-fits"],
        },
        {
            # anna took both; two took the guitar, one the strap: 1 / sqrt(2 × 1).
            "kind": "TAKEN_BY_BOTH",
            "path": [
                "ben BOUGHT Ashdown S-200 electric guitar",
                "1 other user took Ashdown S-200 electric guitar",
                "1 other user took Birch leather guitar strap",
            ],
            "weight": 0.7071,
            "evidence": 0,
            "facts": [],
        },
        {
            # Three products stand on that shelf: 0.5 / ln(2 + 3).
            "kind": "IN_CATEGORY",
            "path": [
                "ben BOUGHT Cobalt clip-on tuner",
                "Cobalt clip-on tuner IN_CATEGORY Accessories",
                "Birch leather guitar strap IN_CATEGORY Accessories",
            ],
            "weight": 0.3107,
            "evidence": 0,
            "facts": [],
        },
        {
            # A look is 0.2 of a purchase, and was a day earlier: 0.2 × 0.5^(1/90) × 0.5 / ln(2 + 2).
            "kind": "MADE_BY",
            "path": [
                "ben VIEWED Birch dreadnought acoustic guitar",
                "Birch dreadnought acoustic guitar MADE_BY Birch",
                "Birch leather guitar strap MADE_BY Birch",
            ],
            "weight": 0.0716,
            "evidence": 0,
            "facts": [],
        },
    ]
    assert answer(shop, "recommend/explain", user="ben", sku="S1", limit=1) == rows[:1]
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert rows[0]["share"] == pytest.approx(rows[0]["weight"] / sum(row["weight"] for row in rows))


def test_a_reason_reads_as_a_sentence_in_english_and_chinese(shop: GraphStore) -> None:
    def sentences(**parameters: Any) -> list[str]:
        return [row["sentence"] for row in answer(shop, "recommend/explain", user="ben", sku="S1", **parameters)]

    assert (
        sentences()
        == sentences(language="fr")
        == [
            "Because you bought Ashdown S-200 electric guitar: Birch leather guitar strap is made for it. "
            "A text says: “Fits the Ashdown S-200.”",
            "Because you bought Ashdown S-200 electric guitar: "
            "others who took it took Birch leather guitar strap, too (1).",
            "Because you bought Cobalt clip-on tuner: Birch leather guitar strap belongs to Accessories, too.",
            "Because you looked at Birch dreadnought acoustic guitar: "
            "Birch leather guitar strap is made by Birch, too.",
        ]
    )
    assert sentences(language="zh-CN")[0] == (
        "因为您购买过Ashdown S-200 electric guitar：Birch leather guitar strap是它的配件。"
        "文中写道：“Fits the Ashdown S-200.”"
    )


@pytest.mark.parametrize("relation", ["ACCESSORY_OF", "COMPATIBLE_WITH", "BOUGHT_WITH", "VARIANT_OF", "SUBSTITUTE_FOR",
                                      "VIEWED_WITH", "SIMILAR_TO", "PRAISED_FOR", "HAS_ATTRIBUTE"])  # fmt: skip
def test_every_kind_of_path_has_its_sentence(shop: GraphStore, relation: str) -> None:
    shop.write(
        "CYPHER 25 MATCH (u:User {id: 'cleo'}), (g:Product {sku: 'S1'}), (t:Product {sku: 'T1'}), (a:Aspect), "
        "(v:AttributeValue) CREATE (:Serving {name: 'model', version: 'm'}), "
        "(:ModelVersion {id: 'm'}), (u)-[:CARTED {strength: 1.0}]->(g) "
        "WITH g, CASE $relation WHEN 'PRAISED_FOR' THEN a WHEN 'HAS_ATTRIBUTE' THEN v ELSE g END AS x, t "
        "CREATE (t)-[:$($relation) {model: 'm', weight: 1.0}]->(x)",
        relation=relation,
    )
    for language, begins in (("en", "Because you put Birch"), ("zh", "因为您把Birch")):
        rows = answer(shop, "recommend/explain", user="cleo", sku="T1", language=language)
        (sentence,) = [row["sentence"] for row in rows if row["kind"] == relation]
        assert sentence.startswith(begins)
        assert "{" not in sentence


def test_every_thing_that_users_do_has_its_words(shop: GraphStore) -> None:
    for did in ("BOUGHT", "RATED", "CARTED", "CLICKED", "VIEWED"):
        shop.write(
            "CYPHER 25 MATCH (u:User {id: 'cleo'}), (s:Product {sku: 'S1'}) "
            "OPTIONAL MATCH (u)-[r]->(:Product) DELETE r "
            "CREATE (u)-[:$($did) {strength: 1.0}]->(s)",
            did=did,
        )
        for language, begins in (("en", "Because you "), ("zh", "因为您")):
            (own,) = answer(shop, "recommend/explain", user="cleo", sku="S1", language=language)
            assert own["kind"] == did
            assert own["sentence"].startswith(begins)
            assert "Birch leather guitar strap" in own["sentence"]


def test_the_terms_of_an_explanation_are_those_of_the_score(shop: GraphStore) -> None:
    shop.write(
        "CREATE (:Serving {name: 'model', version: 'm'}), "
        "(m:ModelVersion {id: 'm', slot: 'blue', half_life_days: 365.0, w_embedding: 1.0, "
        "w_similar: 0.5, w_next: 0.4, recency: 0.5, w_popularity: 0.1, w_accessory_of: 0.3, w_bought_with: 0.0, "
        "w_viewed_with: 0.0, w_compatible_with: 0.0, w_substitute_for: 0.0, w_variant_of: 0.0}) "
        "WITH m MATCH (g:Product {sku: 'G1'}), (s:Product {sku: 'S1'}) "
        "CREATE (g)-[:SIMILAR_TO {model: 'm', weight: 0.6, next: 0.5}]->(s)"
    )
    (explained, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    (strap,) = [row for row in answer(shop, "recommend/for_user", user="ben") if row["sku"] == "S1"]
    assert sum(term["part"] for term in explained["terms"]) == pytest.approx(strap["score"])
    assert sum(term["share"] for term in explained["terms"]) == pytest.approx(1.0)
    shares = {reason["term"]: reason["share"] for reason in strap["reasons"]}
    assert {term["term"]: term["share"] for term in explained["terms"]} == pytest.approx(shares)
    assert shares.keys() == {"SIMILAR_TO", "ACCESSORY_OF", "POPULARITY"}


# --- recommend/explain_path -----------------------------------------------------------------------------------


def test_a_path_is_walked_down_to_the_sentence(shop: GraphStore) -> None:
    (explained, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    assert explained["steps"] == [
        {"type": "BOUGHT", "from": "ben", "to": "G1"},
        {"type": "ACCESSORY_OF", "from": "S1", "to": "G1"},
    ]
    nothing = dict.fromkeys(("confidence", "quote", "sentence", "document", "review", "rating"))
    assert answer(shop, "recommend/explain_path", path=explained["steps"]) == [
        {
            **nothing,
            "step": 1,
            "subject": "ben",
            "type": "BOUGHT",
            "object": "Ashdown S-200 electric guitar",
            "at": "2026-03-03T10:00:00+00:00",
        },
        {
            **nothing,
            "step": 2,
            "subject": "Birch leather guitar strap",
            "type": "ACCESSORY_OF",
            "object": "Ashdown S-200 electric guitar",
            "confidence": 0.8,
            "quote": "Ashdown S-200",
            "sentence": "Fits the Ashdown S-200.",
            "document": "product:S1",
            "at": None,
        },
    ]


def test_behind_praise_and_behind_what_a_user_rated_stands_a_review(shop: GraphStore) -> None:
    rows = answer(
        shop,
        "recommend/explain_path",
        path=[
            {"type": "RATED", "from": "anna", "to": "S1"},
            {"type": "PRAISED_FOR", "from": "S1", "to": "comfort"},
        ],
    )
    assert [(r["step"], r["sentence"], r["review"], r["rating"]) for r in rows] == [
        (1, "Very comfortable, even for hours.", "r1", 5.0),
        (2, "Very comfortable, even for hours.", "r1", 5.0),
    ]


def test_who_took_both_is_counted_from_the_less_popular(shop: GraphStore) -> None:
    """Of 3,000 buyers of the S-200 two bought the amp, neither of the first nor of the last 500."""
    shop.write(
        "MATCH (g:Product {sku: 'G1'}), (x:Product {sku: 'X1'}) UNWIND range(1, 3000) AS n "
        "CREATE (u:User {id: 'u' + n})-[:BOUGHT]->(g) "
        "WITH u, n, x WHERE n IN [1500, 1501] CREATE (u)-[:BOUGHT]->(x)"
    )
    for first, second in (("G1", "X1"), ("X1", "G1")):
        step = {"type": "TAKEN_BY_BOTH", "from": first, "to": second}
        assert [row["step"] for row in answer(shop, "recommend/explain_path", path=[step])] == [1]


def test_every_step_of_every_path_can_be_walked_and_what_is_gone_cannot(shop: GraphStore) -> None:
    for user, sku in (("ben", "S1"), ("ben", "G2"), ("anna", "T1"), ("anna", "G2")):
        for row in answer(shop, "recommend/explain", user=user, sku=sku):
            walked = answer(shop, "recommend/explain_path", path=row["steps"])
            assert {step["step"] for step in walked} == set(range(1, len(row["steps"]) + 1)), row["path"]
    (first, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    shop.write("MATCH ()-[r:ACCESSORY_OF]->() DELETE r")
    assert [step["step"] for step in answer(shop, "recommend/explain_path", path=first["steps"])] == [1]
    assert answer(shop, "recommend/explain_path", path=[{"nonsense": 1}, {"type": "') DELETE (n"}]) == []


def kinds(store: GraphStore, user: str, sku: str) -> list[str]:
    """The kinds of path, strongest first."""
    return [row["kind"] for row in answer(store, "recommend/explain", user=user, sku=sku)]


def test_who_did_nothing_gets_no_reason(shop: GraphStore) -> None:
    assert kinds(shop, "cleo", "S1") == []


def test_nobody_and_nothing_get_no_reason(shop: GraphStore) -> None:
    assert kinds(shop, "dora", "S1") == []
    assert kinds(shop, "ben", "S9") == []


def test_a_look_at_the_product_itself_is_a_reason(shop: GraphStore) -> None:
    own = next(row for row in answer(shop, "recommend/explain", user="ben", sku="G2") if row["kind"] == "VIEWED")
    assert own["path"] == ["ben VIEWED Birch dreadnought acoustic guitar"]


@pytest.mark.parametrize(
    "regret",
    [
        "CREATE (u)-[:RETURNED {count: 1, strength: -0.5}]->(g)",
        "CREATE (u)-[:DISLIKED {count: 1, strength: -1.0}]->(g)",
        "CREATE (u)-[:HIDDEN {count: 1, strength: -1.0}]->(g)",
        "MATCH (u)-[b:BOUGHT]->(g) DELETE b CREATE (u)-[:RATED {rating: 1.0, count: 1, strength: 0.2}]->(g)",
    ],
)
def test_what_the_user_regretted_is_no_reason(shop: GraphStore, regret: str) -> None:
    shop.write(f"MATCH (u:User {{id: 'ben'}}), (g:Product {{sku: 'G1'}}) WITH u, g {regret}")
    assert kinds(shop, "ben", "S1") == ["IN_CATEGORY", "MADE_BY"]


def test_an_accessory_of_a_brand_fits_what_the_brand_makes(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (b:Brand {key: 'ashdown'}) "
        "CREATE (t)-[:COMPATIBLE_WITH {source: 'extraction', fact: 'f8', confidence: 1.0}]->(b)"
    )
    row = next(r for r in answer(shop, "recommend/explain", user="anna", sku="T1") if r["kind"] == "COMPATIBLE_WITH")
    assert row["path"] == [
        "anna BOUGHT Ashdown S-200 electric guitar",
        "Ashdown S-200 electric guitar MADE_BY Ashdown",
        "Cobalt clip-on tuner COMPATIBLE_WITH Ashdown",
    ]


def test_shared_values_and_praise_are_reasons_with_evidence_of_both(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (v:AttributeValue {key: 'material=leather'}), (a:Aspect {key: 'comfort'}) "
        "CREATE (t)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v), "
        "(t)-[:PRAISED_FOR {source: 'extraction', fact: 'f7', confidence: 1.0, count: 1}]->(a), "
        "(:Evidence {id: 'e7', fact: 'f7'})"
    )
    rows = {row["kind"]: row for row in answer(shop, "recommend/explain", user="anna", sku="T1")}
    assert rows["HAS_ATTRIBUTE"]["path"][2] == "Cobalt clip-on tuner HAS_ATTRIBUTE material = leather"
    assert rows["HAS_ATTRIBUTE"]["facts"] == ["fact-leather"]
    assert rows["PRAISED_FOR"]["path"][1] == "Birch leather guitar strap PRAISED_FOR comfort"
    assert (sorted(rows["PRAISED_FOR"]["facts"]), rows["PRAISED_FOR"]["evidence"]) == (["f7", "fact-comfort"], 2)


def test_praise_does_not_join_with_criticism(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (a:Aspect {key: 'comfort'}) "
        "CREATE (t)-[:CRITICISED_FOR {source: 'extraction', fact: 'f6', confidence: 1.0, count: 1}]->(a)"
    )
    assert "PRAISED_FOR" not in kinds(shop, "anna", "T1")


def test_two_sources_that_say_the_same_are_one_path(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (g:Product {sku: 'G1'}) CREATE (s)-[:ACCESSORY_OF {source: 'catalogue'}]->(g)"
    )
    accessory = [
        row for row in answer(shop, "recommend/explain", user="ben", sku="S1") if row["kind"] == "ACCESSORY_OF"
    ]
    assert [(row["weight"], row["evidence"], row["facts"]) for row in accessory] == [(1.0, 1, ["fact-fits"])]


@pytest.mark.parametrize("unit", [1.0, 30.0])
def test_learned_similarity_counts_as_a_share_and_only_for_the_live_model(shop: GraphStore, unit: float) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G1'}), (t:Product {sku: 'S2'}), (x:Product {sku: 'X1'}) "
        "CREATE (:ModelVersion {id: 'm1'}), (:Serving {name: 'model', version: 'm2'}), (:ModelVersion {id: 'm2'}), "
        "(g)-[:SIMILAR_TO {model: 'm1', weight: 9.0}]->(t), (g)-[:SIMILAR_TO {model: 'm2', weight: 0.4 * $unit}]->(t), "
        "(g)-[:SIMILAR_TO {model: 'm2', weight: 0.8 * $unit}]->(x)",
        unit=unit,
    )
    similar = [row for row in answer(shop, "recommend/explain", user="ben", sku="S2") if row["kind"] == "SIMILAR_TO"]
    assert [(row["path"], row["weight"]) for row in similar] == [
        (
            [
                "ben BOUGHT Ashdown S-200 electric guitar",
                "Ashdown S-200 electric guitar SIMILAR_TO Cobalt phosphor bronze strings",
            ],
            pytest.approx(0.15),
        )
    ]


def test_old_interest_counts_less(shop: GraphStore) -> None:
    shop.write("MATCH (u:User {id: 'ben'}) SET u.last_at = u.last_at + duration({days: 90})")
    (first, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    assert (first["kind"], round(first["weight"], 6)) == ("ACCESSORY_OF", 0.4)


def test_a_popular_node_does_not_make_the_work_grow(shop: GraphStore, driver: neo4j.Driver) -> None:
    # Brand, shelf, guitar and strap become ever more popular; the path from ben to the strap costs the same.
    crowd = (
        "MATCH (b:Brand {key: 'birch'}), (c:Category {path: 'Accessories'}), (g:Product {sku: 'G1'}), "
        "      (s:Product {sku: 'S1'}) "
        "UNWIND range($from, $to) AS i "
        "CREATE (p:Product {sku: 'P' + i, title: 'Thing ' + i, active: true})-[:MADE_BY {source: 'catalogue'}]->(b), "
        "       (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c), "
        "       (u:User {id: 'u' + i})-[:BOUGHT {count: 1, strength: 1.0}]->(g), "
        "       (u)-[:BOUGHT {count: 1, strength: 1.0}]->(s)"
    )
    query = QUERIES["recommend/explain"]
    hits = []
    for start, end in ((1, 1000), (1001, 4000)):
        shop.write(crowd, **{"from": start, "to": end})
        summary = driver.execute_query(
            "PROFILE " + query.text, bind(query, {"user": "ben", "sku": "S1"}), database_="neo4j"
        ).summary
        hits.append(db_hits(summary.profile))
    assert hits[1] < 1.25 * hits[0]


def db_hits(profile: dict[str, Any]) -> int:
    """How often a query asked the store for something: its work, counted rather than timed."""
    return profile["args"].get("DbHits", 0) + sum(db_hits(child) for child in profile.get("children", ()))
