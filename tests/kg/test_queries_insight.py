"""What the graph knows of customers and markets, and what a curator should see: on the named shop, rows written out."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import pytest

from kg.catalogue import load, run
from kg.store import GraphStore

QUERIES = load()
DAY = 86_400
FIRST = 1_772_323_200
"""Midnight (UTC) of 1 March 2026."""


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(run(store, QUERIES[name], parameters))


def happened(store: GraphStore, user: str, type_: str, sku: str, days: list[int]) -> None:
    """Events of one user and product, one on each of these days after the first."""
    store.write(
        f"MERGE (u:User {{id: $user}}) WITH u MATCH (p:Product {{sku: $sku}}) "
        f"MERGE (u)-[r:{type_}]->(p) SET r.times = $times, r.strength = 1.0, r.count = size($times), "
        "r.at = datetime({epochSeconds: $times[-1]}), r.first_at = datetime({epochSeconds: $times[0]})",
        user=user,
        sku=sku,
        times=[FIRST + day * DAY for day in days],
    )


# --- one user -------------------------------------------------------------------------------------------------


def test_interests_are_shares_of_their_kind(shop: GraphStore) -> None:
    older = 0.5 ** (1 / 365)  # the guitar was bought a day before the latest event
    rows = answer(shop, "insight/user_profile", user="anna")
    assert [(r["kind"], r["name"], r["strength"], r["products"]) for r in rows] == [
        ("category", "Accessories", pytest.approx(1 / (1 + older)), 1),
        ("category", "Instruments > Guitars", pytest.approx(older / (1 + older)), 1),
        ("brand", "Birch", pytest.approx(1 / (1 + older)), 1),
        ("brand", "Ashdown", pytest.approx(older / (1 + older)), 1),
        ("attribute", "material = leather", 1.0, 1),
        ("aspect", "comfort", 1.0, 1),
    ]
    assert answer(shop, "insight/user_profile", user="cleo") == []


def test_an_aspect_that_the_user_wrote_of_counts_double(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}) CREATE (s)-[:PRAISED_FOR {source: 'extraction', fact: 'f-look', count: 1}]->"
        "(:Aspect {key: 'look', name: 'look'})"
    )
    aspects = [r for r in answer(shop, "insight/user_profile", user="anna") if r["kind"] == "aspect"]
    assert [(r["name"], r["strength"]) for r in aspects] == [
        ("comfort", pytest.approx(2 / 3)),
        ("look", pytest.approx(1 / 3)),
    ]


# --- campaigns ------------------------------------------------------------------------------------------------


def test_an_audience_are_those_who_met_what_leads_to_the_product(shop: GraphStore) -> None:
    (ben,) = answer(shop, "insight/audience", sku="S1")  # anna has rated it
    assert (ben["user"], ben["because"]) == ("ben", "Ashdown S-200 electric guitar")
    assert ben["score"] == pytest.approx(1.0)
    assert answer(shop, "insight/audience", sku="S1", exclude=["ben"]) == []


def test_who_looked_and_went_away_is_an_audience_and_who_bought_is_none(shop: GraphStore) -> None:
    assert [(r["user"], r["because"]) for r in answer(shop, "insight/audience", sku="G2")] == [
        ("ben", "Birch dreadnought acoustic guitar")
    ]
    happened(shop, "ben", "BOUGHT", "G2", [3])
    assert answer(shop, "insight/audience", sku="G2") == []


# --- leaving --------------------------------------------------------------------------------------------------


def test_risk_is_half_after_twice_the_usual_time(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "weekly", "BOUGHT", "G1", [0, 7, 14, 21])
    happened(shop, "monthly", "BOUGHT", "G1", [0, 30])
    rows = answer(shop, "insight/churn_risk", category="Instruments", now="2026-04-05T00:00:00+00:00")  # day 35
    assert rows == [
        {
            "user": "weekly",
            "risk": pytest.approx(0.5),
            "silent_days": 14.0,
            "usual_days": 7.0,
            "purchases": 4,
            "reasons": ["silent for 14 days", "usually back after 7.0 days"],
        },
        {
            "user": "monthly",
            "risk": 0.0,
            "silent_days": 5.0,
            "usual_days": 30.0,
            "purchases": 2,
            "reasons": ["silent for 5 days", "usually back after 30.0 days"],
        },
    ]


def test_falling_interest_is_a_reason_of_its_own(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "fading", "BOUGHT", "G1", [0, 1, 2, 20])
    (row,) = answer(shop, "insight/churn_risk", category="Instruments")
    assert row["reasons"][-1] == "fewer visits lately than before"


# --- trends ---------------------------------------------------------------------------------------------------


def test_what_rises_beyond_chance_is_told_from_what_does_not(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED]->() DELETE r")
    happened(shop, "u1", "VIEWED", "G1", [*range(10, 90), *range(92, 104)])
    happened(shop, "u2", "VIEWED", "G2", [*range(10, 90, 4), *[100] * 20])
    rising, steady = answer(shop, "insight/trends", category="Instruments", days=14, past_days=90)
    # 80 and 20 before; 12 and 20 of 32 in the window: expected are 32 · 20.5/101 and 32 · 80.5/101.
    expected = 32 * 20.5 / 101
    assert (rising["sku"], rising["events"]) == ("G2", 20)
    assert rising["expected"] == pytest.approx(expected)
    z = (20 - 0.5 - expected) / expected**0.5
    assert rising["z"] == pytest.approx(z)
    assert rising["p"] == pytest.approx(2 * (1 - NormalDist().cdf(z)), abs=1e-6)
    assert rising["p"] < 0.001
    assert (steady["sku"], steady["p"]) == ("G1", 1.0)


# --- experiments ----------------------------------------------------------------------------------------------


def test_arms_are_compared_with_their_uncertainty(shop: GraphStore) -> None:
    shop.write(
        "UNWIND range(1, 100) AS n MERGE (u:User {id: 'v' + n}) WITH u, n MATCH (p:Product {sku: 'G1'}) "
        "CREATE (u)-[:EXPOSED {model: 'm1', arm: CASE WHEN n <= 50 THEN 'a' ELSE 'b' END, count: 2, "
        "first_at: datetime('2026-03-01T00:00:00Z')}]->(p) "
        "WITH u, n, p WHERE n <= 20 CREATE (u)-[:CLICKED {model: 'm1', arm: 'a', count: 1}]->(p) "
        "WITH u, n, p WHERE n <= 5 CREATE (u)-[:BOUGHT {at: datetime('2026-03-02T00:00:00Z'), times: []}]->(p)"
    )
    a, b = answer(shop, "insight/feedback", category="Instruments")
    assert (a["arm"], a["exposures"], a["clicks"], a["purchases"], a["click_rate"]) == ("a", 100, 20, 5, 0.2)
    # Wilson's interval for 20 of 100, as statistics books give it.
    assert (a["low"], a["high"]) == (pytest.approx(0.1334, abs=1e-4), pytest.approx(0.2888, abs=1e-4))
    assert (b["arm"], b["clicks"], b["click_rate"], b["low"]) == ("b", 0, 0.0, pytest.approx(0.0, abs=1e-9))


def test_more_clicks_than_exposures_give_no_rate(shop: GraphStore) -> None:
    shop.write(
        "MATCH (u:User {id: 'cleo'}), (p:Product {sku: 'G1'}) CREATE (u)-[:EXPOSED {model: 'm', arm: '', count: 1}]->"
        "(p), (u)-[:CLICKED {model: 'm', arm: '', count: 3}]->(p)"
    )
    (row,) = answer(shop, "insight/feedback", category="Instruments")
    assert (row["exposures"], row["clicks"], row["click_rate"], row["low"]) == (1, 3, None, None)


# --- for the curator ------------------------------------------------------------------------------------------


def test_orphans_are_named_with_their_label(shop: GraphStore) -> None:
    assert answer(shop, "quality/orphans") == []
    shop.write(
        "CREATE (:Brand {key: 'gone', name: 'Gone'}), (:Aspect {key: 'hum', name: 'hum'}), "
        "(:Review {id: 'r9', title: 'About what?'}) WITH 1 AS _ MATCH (t:Product {sku: 'S1'})-[r:HAS_ATTRIBUTE]->() "
        "DELETE r"
    )
    assert answer(shop, "quality/orphans") == [
        {"label": "Aspect", "key": "hum", "name": "hum"},
        {"label": "AttributeValue", "key": "material=leather", "name": "leather"},
        {"label": "Brand", "key": "gone", "name": "Gone"},
        {"label": "Review", "key": "r9", "name": "About what?"},
    ]
    assert [row["key"] for row in answer(shop, "quality/orphans", after="i")] == ["material=leather", "r9"]


def test_what_cannot_both_be_true_is_shown_with_both_sides(shop: GraphStore) -> None:
    assert answer(shop, "quality/contradictions") == []
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (b:Brand {key: 'cobalt'}), (c:Aspect {key: 'comfort'}) "
        "CREATE (s)-[:MADE_BY {source: 'extraction', fact: 'f1', confidence: 0.6}]->(b), "
        "(s)-[:CRITICISED_FOR {source: 'extraction', fact: 'f2', confidence: 0.9, count: 1}]->(c), "
        "(s)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'length=1 m', attribute: 'length', value: '1', unit: 'm', number: 1.0}), "
        "(s)-[:HAS_ATTRIBUTE {source: 'extraction', fact: 'f3', confidence: 0.7}]->"
        "(:AttributeValue {key: 'length=2 m', attribute: 'length', value: '2', unit: 'm', number: 2.0})"
    )
    rows = answer(shop, "quality/contradictions")
    assert [(r["sku"], r["kind"], [(s["value"], s["source"]) for s in r["sides"]]) for r in rows] == [
        ("S1", "as much praise as blame for comfort", [("criticised", "extraction"), ("praised", "extraction")]),
        ("S1", "two makers", [("Birch", "catalogue"), ("Cobalt", "extraction")]),
        ("S1", "two values of length", [("1 m", "catalogue"), ("2 m", "extraction")]),
    ]
    assert answer(shop, "quality/contradictions", after="S1") == []


def test_why_a_product_cannot_be_recommended(shop: GraphStore) -> None:
    shop.write(
        "CREATE (:ModelVersion {id: 'm1', live: true, slot: 'blue', status: 'live'}), "
        "(:Product {sku: 'N1', title: 'New', active: true}) WITH 1 AS _ "
        "MATCH (p:Product) WHERE p.sku <> 'N1' SET p.text_embedding = [1.0], p.embedding_blue = [1.0]"
    )
    assert answer(shop, "quality/not_recommendable") == [
        {
            "sku": "N1",
            "title": "New",
            "missing": [
                "no vector of the live model: kg train, kg promote",
                "no vector of its text: kg extract",
                "neither events nor facts: a description, a brand or a category would help",
            ],
        }
    ]
