"""What the graph knows of customers and markets, and what a curator should see: on the named shop, rows written out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scipy.stats import binom

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
        ("price", "24.5 to 499.0 USD", 1.0, 2),
    ]
    assert answer(shop, "insight/user_profile", user="cleo") == []


@pytest.mark.parametrize("regret", ["RETURNED", "DISLIKED", "HIDDEN", "RATED {rating: 2.0}"])
def test_what_is_regretted_is_no_interest(shop: GraphStore, regret: str) -> None:
    shop.write(f"MATCH (u:User {{id: 'anna'}}), (g:Product {{sku: 'G1'}}) CREATE (u)-[:{regret}]->(g)")
    brands = [r["name"] for r in answer(shop, "insight/user_profile", user="anna") if r["kind"] == "brand"]
    assert brands == ["Birch"]


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


def test_searches_statements_and_the_segment_belong_to_a_profile(shop: GraphStore) -> None:
    shop.write(
        "MATCH (c:User {id: 'cleo'}) SET c.interests = ['folk', 'slide'] "
        "CREATE (c)-[:SEARCHED {count: 1, strength: 0.0}]->(:Query {text: 'acoustic guitar'}), "
        "(c)-[:IN_SEGMENT {strength: 0.7}]->(:Segment {id: 's1', name: 'Guitars', users: 2, "
        "at: datetime('2026-03-01')})"
    )
    shop.await_indexes()
    rows = answer(shop, "insight/user_profile", user="cleo")
    # The words find the acoustic guitar, the electric one and the strap, a third of a look each.
    assert [(r["kind"], r["name"], r["strength"]) for r in rows if r["kind"] not in ("attribute", "aspect")] == [
        ("category", "Instruments > Guitars", pytest.approx(2 / 3)),
        ("category", "Accessories", pytest.approx(1 / 3)),
        ("brand", "Birch", pytest.approx(2 / 3)),
        ("brand", "Ashdown", pytest.approx(1 / 3)),
        ("price", "24.5 to 499.0 USD", 1.0),
        ("search", "acoustic guitar", 1.0),
        ("stated", "folk", 0.5),
        ("stated", "slide", 0.5),
        ("segment", "Guitars", 1.0),
    ]


# --- campaigns ------------------------------------------------------------------------------------------------


def test_an_audience_are_those_who_met_what_leads_to_the_product(shop: GraphStore) -> None:
    (ben,) = answer(shop, "insight/audience", sku="S1")  # anna has rated it
    assert (ben["user"], ben["because"]) == ("ben", "Ashdown S-200 electric guitar")
    # His interest in the guitar over the root of all: the guitar, a tuner, and a look a day before.
    assert ben["score"] == pytest.approx(1 / (2 + 0.2 * 0.5 ** (1 / 365)) ** 0.5)
    assert answer(shop, "insight/audience", sku="S1", exclude=["ben"]) == []


def test_a_shelf_has_an_audience_too(shop: GraphStore) -> None:
    # Of the accessories ben misses the strap, which fits his guitar; anna has that, and nothing that leads further.
    rows = answer(shop, "insight/audience", category="Accessories")
    assert [(r["user"], r["sku"], r["because"]) for r in rows] == [("ben", "S1", "Ashdown S-200 electric guitar")]
    assert answer(shop, "insight/audience") == []


def test_who_does_most_does_not_lead_every_audience(shop: GraphStore) -> None:
    # Both bought the guitar that the strap fits; one of them bought twenty other things besides.
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED|RATED]->() DELETE r")
    shop.write("UNWIND range(1, 20) AS n CREATE (:Product {sku: 'N' + n, title: 'N' + n, active: true})")
    happened(shop, "keen", "BOUGHT", "G1", [0])
    happened(shop, "busy", "BOUGHT", "G1", [0])
    for n in range(1, 21):
        happened(shop, "busy", "BOUGHT", f"N{n}", [0])
    rows = answer(shop, "insight/audience", sku="S1")
    # As in recommend/for_user: interest over the root of all interest.
    assert [(r["user"], r["score"]) for r in rows] == [("keen", 1.0), ("busy", pytest.approx(1 / 21**0.5))]


def test_who_looked_and_went_away_is_an_audience_and_who_bought_is_none(shop: GraphStore) -> None:
    assert [(r["user"], r["because"]) for r in answer(shop, "insight/audience", sku="G2")] == [
        ("ben", "Birch dreadnought acoustic guitar")
    ]
    happened(shop, "ben", "BOUGHT", "G2", [3])
    assert answer(shop, "insight/audience", sku="G2") == []


# --- leaving --------------------------------------------------------------------------------------------------


def test_risk_grows_with_silence_by_everybodys_own_rhythm(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "weekly", "BOUGHT", "G1", [0, 7, 14, 21])
    happened(shop, "monthly", "BOUGHT", "G1", [0, 30])
    rows = answer(shop, "insight/churn_risk", category="Instruments", now="2026-04-05T00:00:00+00:00")  # day 35
    # The mean of their rhythms, 18.5 days, counts as two gaps more: (21 + 37) / 5 and (30 + 37) / 3 days.
    assert rows == [
        {
            "user": "weekly",
            "risk": pytest.approx(1 - 0.5 ** (14 / 11.6 - 1)),
            "silent_days": 14.0,
            "usual_days": pytest.approx(11.6),
            "falling": 0.0,
            "purchases": 4,
            "reasons": ["silent for 14 days", "usually back after 7.0 days"],
        },
        {
            "user": "monthly",
            "risk": 0.0,
            "silent_days": 5.0,
            "usual_days": pytest.approx(67 / 3),
            "falling": 0.0,
            "purchases": 2,
            "reasons": ["silent for 5 days", "usually back after 30.0 days"],
        },
    ]
    alone = answer(shop, "insight/churn_risk", category="Instruments", now="2026-05-23T00:00:00+00:00")  # day 83
    assert {r["user"]: r["risk"] > 0.5 for r in alone} == {"weekly": True, "monthly": True}


def test_falling_interest_counts_and_is_a_reason(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "fading", "BOUGHT", "G1", [0, 1, 2, 21])
    happened(shop, "steady", "BOUGHT", "G1", [0, 7, 14, 21])
    happened(shop, "growing", "BOUGHT", "G1", [0, 19, 20, 21])
    rows = answer(shop, "insight/churn_risk", category="Instruments")
    fading, *others = rows
    # Those between lie at 1.5 in the mean, 9 days before the middle, of 21; two of them: 9 / (21 · sqrt(1 / 24)).
    assert (fading["user"], fading["falling"]) == ("fading", pytest.approx(9 / 21 * 24**0.5))
    assert fading["risk"] == pytest.approx(1 - 0.5 ** (fading["falling"] / 5))
    assert fading["reasons"][-1] == "fewer visits lately than before"
    assert [(r["falling"], r["risk"], len(r["reasons"])) for r in others] == [(0.0, 0.0, 2)] * 2


def test_a_hair_less_is_not_fewer_visits(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "anybody", "BOUGHT", "G1", [0, 9, 20])
    (row,) = answer(shop, "insight/churn_risk", category="Instruments")
    assert row["falling"] == pytest.approx(1 / 20 * 12**0.5)
    assert row["reasons"] == ["silent for 0 days", "usually back after 10.0 days"]


def test_what_was_bought_after_the_present_is_not_known_yet(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "weekly", "BOUGHT", "G1", [0, 7, 14, 21])
    (row,) = answer(shop, "insight/churn_risk", category="Instruments", now="2026-03-11T00:00:00+00:00")  # day 10
    assert (row["silent_days"], row["purchases"], row["usual_days"]) == (3.0, 2, 7.0)
    assert answer(shop, "insight/churn_risk", category="Instruments", now="2026-01-01T00:00:00+00:00") == []


def test_a_purchase_without_a_time_is_none_of_1970(shop: GraphStore) -> None:
    untimed = -1
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    happened(shop, "weekly", "BOUGHT", "G1", [0, 7, 14, 21])
    shop.write("MATCH (:User {id: 'weekly'})-[r:BOUGHT]->() SET r.times = [$at] + r.times", at=untimed)
    happened(shop, "once", "BOUGHT", "G1", [0])
    happened(shop, "untimed", "BOUGHT", "G1", [0])
    shop.write("MATCH (:User {id: 'untimed'})-[r:BOUGHT]->() SET r.times = [$at]", at=untimed)
    rows = answer(shop, "insight/churn_risk", category="Instruments")
    # Who bought once has the rhythm of all, which is the weekly one's; who bought without a time is not judged.
    assert [(r["user"], r["silent_days"], r["usual_days"], r["purchases"], r["reasons"][2:]) for r in rows] == [
        ("once", 21.0, 7.0, 1, []),
        ("weekly", 0.0, 7.0, 4, []),
    ]


# --- trends ---------------------------------------------------------------------------------------------------


def test_what_rises_beyond_chance_is_told_from_what_does_not(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED]->() DELETE r")
    happened(shop, "u1", "VIEWED", "G1", [*range(10, 90), *range(92, 104)])
    happened(shop, "u2", "VIEWED", "G2", [*range(10, 90, 4), *[100] * 20])
    # What falls, as G1 does, is not shown.
    (rising,) = answer(shop, "insight/trends", category="Instruments", days=14, past_days=90, kind="product")
    # 80 and 20 before; 12 and 20 of 32 in the window: expected are 32 · 20.5/101 and 32 · 80.5/101.
    assert (rising["kind"], rising["key"], rising["events"]) == ("product", "G2", 20)
    assert rising["expected"] == pytest.approx(32 * 20.5 / 101)
    # Of the 40 events of G2 each falls into the window with the chance that any of the 132 does; two were looked at.
    assert rising["p"] == pytest.approx(2 * binom.sf(19, 40, 32 / 132), rel=1e-9)
    assert rising["p"] < 0.01
    q = 32 / 132
    assert rising["z"] == pytest.approx((20 - 0.5 - 40 * q) / (40 * q * (1 - q)) ** 0.5)


def test_an_event_without_a_time_is_not_of_late(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED]->() DELETE r")
    happened(shop, "u1", "VIEWED", "G1", [0, 1])
    shop.write("MATCH (:User {id: 'u1'})-[r:VIEWED]->() SET r.times = [-1] + r.times")
    # A window that begins before 1970, as -1 does.
    window = {"now": "1970-06-01T00:00:00+00:00", "days": 366}
    assert answer(shop, "insight/trends", category="Instruments", least=1, kind="product", **window) == []


def test_thousands_of_events_are_judged_by_the_normal_distribution(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED]->() DELETE r")
    happened(shop, "u1", "VIEWED", "G1", [20] * 6000 + [100] * 1000)
    happened(shop, "u2", "VIEWED", "G2", [20] * 5000 + [100] * 900)
    rows = answer(shop, "insight/trends", category="Instruments", days=14, past_days=90, kind="product")
    # Of G1 1,036 were to be expected, of G2 864.
    assert {r["key"]: r["p"] for r in rows} == {"G2": pytest.approx(2 * binom.sf(899, 5900, 1900 / 12900), abs=0.01)}


def test_where_nothing_rises_hardly_anything_is_said_to(shop: GraphStore) -> None:
    # 300 products whose looks are strewn over 104 days by chance alone: so small a p is seen in one shop of a thousand.
    rng = random.Random(3)
    shop.write(
        "MATCH (c:Category {path: 'Instruments'}), (u:User {id: 'cleo'}) UNWIND $rows AS row "
        "CREATE (p:Product {sku: row.sku, title: row.sku, active: true})-[:IN_CATEGORY {source: 'catalogue'}]->(c), "
        "(u)-[:VIEWED {count: size(row.times), strength: 0.2, times: row.times}]->(p)",
        rows=[
            {"sku": f"N{n}", "times": [FIRST + rng.randrange(104) * DAY for _ in range(rng.randrange(5, 60))]}
            for n in range(300)
        ],
    )
    rows = answer(
        shop, "insight/trends", category="Instruments", least=1, now="2026-06-12T12:00:00+00:00", kind="product"
    )
    assert len(rows) == 20
    assert rows[0]["p"] > 0.001


def test_shelves_and_aspects_rise_too(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED|RATED]->() DELETE r")
    shop.write(
        "MATCH (r:Review {id: 'r1'}) SET r.at = datetime({epochSeconds: $at}) "
        "WITH r MATCH (s:Product {sku: 'S1'}), (t:Product {sku: 'T1'}), (d:Document {id: 'review:r1'}), "
        "(i:Category {path: 'Instruments'}) "
        "CREATE (s)-[:IN_CATEGORY {source: 'catalogue'}]->(i)",
        at=FIRST + 103 * DAY,
    )
    happened(shop, "u1", "VIEWED", "G1", [*range(10, 90)])
    happened(shop, "u2", "VIEWED", "S1", [20, *[103] * 9])
    rows = answer(shop, "insight/trends", category="Instruments", least=1)
    assert [(r["kind"], r["key"], r["events"]) for r in rows] == [
        ("product", "S1", 9),
        ("category", "Accessories", 9),
        ("category", "Instruments", 9),
    ]
    assert rows[1]["p"] < 0.001


def test_without_a_past_nothing_is_known(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT|VIEWED]->() DELETE r")
    happened(shop, "u1", "VIEWED", "G1", [103] * 9)
    happened(shop, "u2", "VIEWED", "G2", [103])
    (row,) = answer(shop, "insight/trends", category="Instruments", least=1, kind="product")
    assert (row["key"], row["events"], row["expected"], row["z"], row["p"]) == ("G1", 9, 5.0, None, 1.0)


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
    assert answer(shop, "insight/feedback") == answer(shop, "insight/feedback", model="m1") == [a, b]
    assert answer(shop, "insight/feedback", model="m2") == []
    assert answer(shop, "insight/feedback", category="Accessories") == []
    assert (a["arm"], a["exposures"], a["clicks"], a["purchases"], a["click_rate"]) == ("a", 100, 20, 5, 0.2)
    # Wilson's interval for 20 of 100, as statistics books give it.
    assert (a["low"], a["high"]) == (pytest.approx(0.1334, abs=1e-4), pytest.approx(0.2888, abs=1e-4))
    assert (b["arm"], b["clicks"], b["click_rate"], b["low"]) == ("b", 0, 0.0, pytest.approx(0.0, abs=1e-9))
    # 5 of 50 users bought: 10 %, Wilson's interval 4.3 % to 21.4 %.
    assert (a["users"], a["buyers"], a["purchase_rate"]) == (50, 5, 0.1)
    assert (a["purchase_low"], a["purchase_high"]) == (
        pytest.approx(0.0435, abs=1e-4),
        pytest.approx(0.2136, abs=1e-4),
    )
    # Against a: none of 50. (0 + 1) / 52 − (5 + 1) / 52, and Agresti and Caffo's half width.
    low, high = 1 / 52, 6 / 52
    half = 1.959964 * (low * (1 - low) / 52 + high * (1 - high) / 52) ** 0.5
    assert (a["difference"], b["difference"]) == (None, pytest.approx(low - high))
    assert (b["difference_low"], b["difference_high"]) == (
        pytest.approx(low - high - half),
        pytest.approx(low - high + half),
    )


def exposed(store: GraphStore, arm: str, users: int, buyers: int, *, first_at: str | None = "2026-03-01") -> None:
    """Users of an arm who were shown G1, and of whom some bought it the day after."""
    store.write(
        "UNWIND range(1, $users) AS n CREATE (u:User {id: $arm + n}) WITH u, n MATCH (p:Product {sku: 'G1'}) "
        "CREATE (u)-[:EXPOSED {model: 'm1', arm: $arm, count: 1, first_at: datetime($first_at)}]->(p) "
        "WITH u, n, p WHERE n <= $buyers CREATE (u)-[:BOUGHT {at: datetime('2026-03-02'), times: []}]->(p)",
        arm=arm,
        users=users,
        buyers=buyers,
        first_at=first_at,
    )


def test_every_arm_is_compared_with_the_control(shop: GraphStore) -> None:
    for arm, buyers in (("a", 4), ("control", 8), ("treatment", 16)):
        exposed(shop, arm, 18, buyers)
    p = {"a": 5 / 20, "control": 9 / 20, "treatment": 17 / 20}

    def differences(**parameters: Any) -> dict[str, float | None]:
        return {r["arm"]: r["difference"] for r in answer(shop, "insight/feedback", **parameters)}

    def to(control: str) -> dict[str, Any]:
        return {arm: None if arm == control else pytest.approx(p[arm] - p[control]) for arm in p}

    assert differences() == to("control")
    assert differences(control="treatment") == to("treatment")
    assert differences(control="nothing") == dict.fromkeys(p)
    shop.write("MATCH (:User)-[r:EXPOSED {arm: 'control'}]->() DELETE r")
    del p["control"]
    assert differences() == to("a")


def test_what_followed_an_exposure_without_a_time_is_not_known(shop: GraphStore) -> None:
    exposed(shop, "a", 10, 5, first_at=None)
    exposed(shop, "b", 10, 5)
    unknown, known = answer(shop, "insight/feedback")
    columns = ("purchases", "buyers", "purchase_rate", "purchase_low", "purchase_high", "difference")
    assert [unknown[c] for c in columns] == [None] * 6
    assert (unknown["users"], unknown["exposures"]) == (10, 10)
    assert [known[c] for c in ("purchases", "buyers", "purchase_rate", "difference")] == [5, 5, 0.5, None]
    # Of an arm where some have a time, those are the ones that count.
    shop.write(
        "MATCH (u:User)-[r:EXPOSED {arm: 'a'}]->() WHERE u.id IN ['a1', 'a2', 'a9', 'a10'] "
        "SET r.first_at = datetime('2026-03-01')"
    )
    some, _ = answer(shop, "insight/feedback")
    assert (some["users"], some["buyers"], some["purchase_rate"]) == (10, 2, 0.5)


def test_the_clicks_of_one_user_are_not_independent(shop: GraphStore) -> None:
    # Ten users, ten exposures each: five click every time, five never. As much is known as from ten exposures.
    shop.write(
        "UNWIND range(1, 10) AS n CREATE (u:User {id: 'v' + n}) WITH u, n MATCH (p:Product {sku: 'G1'}) "
        "CREATE (u)-[:EXPOSED {model: 'm1', arm: 'a', count: 10, first_at: datetime('2026-03-01T00:00:00Z')}]->(p) "
        "WITH u, n, p WHERE n <= 5 CREATE (u)-[:CLICKED {model: 'm1', arm: 'a', count: 10}]->(p)"
    )
    (row,) = answer(shop, "insight/feedback")
    assert (row["exposures"], row["click_rate"]) == (100, 0.5)
    n = 9  # ten users, less one for the mean
    half = 1.959964 * (0.25 / n + 1.959964**2 / (4 * n * n)) ** 0.5 / (1 + 1.959964**2 / n)
    assert (row["low"], row["high"]) == (pytest.approx(0.5 - half, abs=1e-5), pytest.approx(0.5 + half, abs=1e-5))


def test_a_purchase_long_after_an_exposure_or_before_it_is_not_its_doing(shop: GraphStore) -> None:
    shop.write(
        "MATCH (u:User {id: 'cleo'}), (p:Product {sku: 'G1'}) CREATE (u)-[:EXPOSED {model: 'm', arm: '', count: 1, "
        "first_at: datetime({epochSeconds: $at})}]->(p)",
        at=FIRST + 10 * DAY,
    )
    happened(shop, "cleo", "BOUGHT", "G1", [9, 15, 45])
    assert [answer(shop, "insight/feedback", days=days)[0]["purchases"] for days in (1, 5, 40)] == [0, 1, 2]


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


def test_what_a_text_refers_to_is_no_orphan(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}) UNWIND ['DOES_NOT_FIT', 'BETTER_THAN', 'WORSE_THAN', 'COMPARED_WITH'] AS type "
        "CREATE (s)-[:$(type) {source: 'extraction', fact: type}]->(:Brand {key: type, name: type}) "
        "WITH DISTINCT s CREATE (s)-[:DOES_NOT_FIT {source: 'extraction', fact: 'f'}]->"
        "(:Category {path: 'Ukuleles', name: 'Ukuleles'})"
    )
    assert answer(shop, "quality/orphans") == []


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


def test_what_is_said_to_fit_and_not_to_fit_cannot_both_be_true(shop: GraphStore) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G1'}), (s:Product {sku: 'S1'}), (t:Product {sku: 'T1'}), (b:Brand {key: 'birch'}) "
        "CREATE (g)-[:DOES_NOT_FIT {source: 'extraction', fact: 'f1', confidence: 0.9}]->(s), "
        "(g)-[:DOES_NOT_FIT {source: 'curator'}]->(s), "
        "(t)-[:DOES_NOT_FIT {source: 'extraction', fact: 'f2', confidence: 0.6}]->(b), "
        "(t)-[:COMPATIBLE_WITH {source: 'extraction', fact: 'f3', confidence: 0.7}]->(b), "
        "(t)-[:DOES_NOT_FIT {source: 'extraction', fact: 'f4', confidence: 0.6}]->(g)"
    )
    rows = answer(shop, "quality/contradictions")
    # The strap is said to be made for the guitar, and that of its strap: one pair, whoever says it of whom.
    assert [(r["sku"], r["kind"], [(s["value"], s["confidence"]) for s in r["sides"]]) for r in rows] == [
        ("G1", "fits and does not fit Birch leather guitar strap", [("DOES_NOT_FIT", 1.0), ("ACCESSORY_OF", 0.8)]),
        ("T1", "fits and does not fit Birch", [("COMPATIBLE_WITH", 0.7), ("DOES_NOT_FIT", 0.6)]),
    ]


@pytest.mark.parametrize(
    "link",
    [
        "(n)-[:BOUGHT_WITH]->(s)", "(n)<-[:VIEWED_WITH]-(s)", "(n)<-[:ACCESSORY_OF]-(s)", "(n)<-[:COMPATIBLE_WITH]-(s)",
        "(n)-[:SUBSTITUTE_FOR]->(s)", "(n)-[:VARIANT_OF]->(s)", "(n)<-[:CLICKED {model: '', arm: ''}]-(u)",
    ],
)  # fmt: skip
def test_what_a_relation_or_an_event_leads_to_can_be_recommended(shop: GraphStore, link: str) -> None:
    shop.write("CREATE (:Product {sku: 'N1', title: 'New', active: true})")

    def missing() -> list[str]:
        (row,) = [row for row in answer(shop, "quality/not_recommendable") if row["sku"] == "N1"]
        return [what for what in row["missing"] if what.startswith("neither events nor facts")]

    assert len(missing()) == 1
    shop.write(f"MATCH (n {{sku: 'N1'}}), (s:Product {{sku: 'S1'}}), (u:User {{id: 'anna'}}) CREATE {link}")
    assert missing() == []


def test_why_a_product_cannot_be_recommended(shop: GraphStore) -> None:
    shop.write(
        "CREATE (:Serving {name: 'model', version: 'm1'}), (:ModelVersion {id: 'm1', slot: 'blue', status: 'live'}), "
        "(:Product {sku: 'N1', title: 'New', active: true}) WITH 1 AS _ "
        "MATCH (p:Product) WHERE p.sku <> 'N1' SET p.text_embedding = [1.0], p.embedding_blue = [1.0], "
        "p.stock = CASE p.sku WHEN 'G1' THEN 0 ELSE 5 END"
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
        },
        # What could be recommended if it were there, and at the end what is no longer sold.
        {
            "sku": "G1",
            "title": "Ashdown S-200 electric guitar",
            "missing": ["out of stock: kg ingest products, once there is some"],
        },
        {
            "sku": "X1",
            "title": "Ashdown practice amp",
            "missing": ["inactive: kg ingest products, if it is sold again"],
        },
    ]
