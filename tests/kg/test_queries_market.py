"""Opinions, prices, gaps and demand: on the named shop and small changes of it, rows and numbers written out."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from scipy.stats import nbinom, poisson

from kg.catalogue import load, run
from kg.store import GraphStore

QUERIES = load()
DAY = 86_400
FIRST = 1_772_323_200
"""Midnight (UTC) of 1 March 2026."""


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(run(store, QUERIES[name], parameters))


def sold(store: GraphStore, user: str, sku: str, days: list[float], units: float = math.nan) -> None:
    """Purchases of one user, one on each of these days after 1 March."""
    store.write(
        "MERGE (u:User {id: $user}) WITH u MATCH (p:Product {sku: $sku}) MERGE (u)-[r:BOUGHT]->(p) "
        "SET r.times = $times, r.values = $values, r.strength = 1.0, r.count = size($times)",
        user=user,
        sku=sku,
        times=[int(FIRST + day * DAY) for day in days],
        values=[units] * len(days),
    )


def reviewed(store: GraphStore, sku: str, aspect: str, day: int, praise: bool, rating: float, id: str) -> None:
    """A review that praises or criticises one aspect."""
    kind = "PRAISED_FOR" if praise else "CRITICISED_FOR"
    store.write(
        f"MATCH (p:Product {{sku: $sku}}) MERGE (a:Aspect {{key: $aspect}}) SET a.name = $aspect "
        f"MERGE (p)-[f:{kind} {{source: 'extraction', fact: $fact}}]->(a) SET f.count = coalesce(f.count, 0) + 1 "
        "CREATE (r:Review {id: $id, rating: $rating, at: datetime({epochSeconds: $at})})-[:ABOUT]->(p), "
        "(r)-[:HAS_TEXT]->(d:Document {id: 'review:' + $id}), (:Evidence {id: 'e' + $id, fact: $fact})-[:FROM]->(d)",
        sku=sku,
        aspect=aspect,
        fact=f"{sku} {kind} {aspect}",
        id=id,
        rating=rating,
        at=FIRST + day * DAY,
    )


# --- opinions -------------------------------------------------------------------------------------------------


def test_opinion_turns_from_one_month_to_the_next(shop: GraphStore) -> None:
    for n in range(4):
        reviewed(shop, "G1", "neck", 1 + n, praise=n > 0, rating=4.0, id=f"march{n}")
    for n in range(2):
        reviewed(shop, "G1", "neck", 40 + n, praise=False, rating=2.0, id=f"april{n}")
    rows = answer(shop, "insight/sentiment_over_time", sku="G1")
    assert [(r["period"], r["aspect"], r["rating"], r["reviews"]) for r in rows if r["aspect"] is None] == [
        ("2026-03-01", None, 4.0, 4),
        ("2026-04-01", None, 2.0, 2),
    ]
    march, april = (r for r in rows if r["aspect"] == "neck")
    assert (march["praised"], march["criticised"], march["share"], march["change"]) == (3, 1, 0.75, None)
    # Wilson's interval for 3 of 4, as statistics books give it.
    assert (march["low"], march["high"]) == (pytest.approx(0.3006, abs=1e-4), pytest.approx(0.9544, abs=1e-4))
    assert (april["period"], april["share"], april["change"]) == ("2026-04-01", 0.0, -0.75)
    assert answer(shop, "insight/sentiment_over_time", category="Instruments") == rows
    assert answer(shop, "insight/sentiment_over_time", brand="ashdown", aspect="neck") == rows[2:]
    assert [
        r["period"] for r in answer(shop, "insight/sentiment_over_time", sku="G1", aspect="neck", every="week")
    ] == [
        "2026-03-02",
        "2026-04-06",
    ]


def test_a_text_that_says_a_thing_twice_counts_once(shop: GraphStore) -> None:
    shop.write(
        "MATCH (d:Document {id: 'review:r1'}) CREATE (:Evidence {id: 'again', fact: 'fact-comfort'})-[:FROM]->(d)"
    )
    comfort = answer(shop, "insight/sentiment_over_time", sku="S1", aspect="comfort")
    assert [(r["praised"], r["criticised"]) for r in comfort] == [(1, 0)]


def test_a_brand_wins_where_its_rivals_are_blamed(shop: GraphStore) -> None:
    def opinion(sku: str, aspect: str, praised: int, criticised: int) -> None:
        shop.write(
            "MATCH (p:Product {sku: $sku}) MERGE (a:Aspect {key: $aspect}) SET a.name = $aspect "
            "CREATE (p)-[:PRAISED_FOR {source: 'extraction', count: $praised}]->(a), "
            "(p)-[:CRITICISED_FOR {source: 'extraction', count: $criticised}]->(a)",
            sku=sku,
            aspect=aspect,
            praised=praised,
            criticised=criticised,
        )

    opinion("G2", "tone", 18, 2)
    opinion("G1", "tone", 5, 15)
    opinion("G2", "neck", 5, 5)
    opinion("G1", "neck", 6, 4)
    opinion("G2", "finish", 3, 0)
    rows = answer(shop, "insight/brand_position", brand="birch", category="Instruments")
    tone, neck = rows
    assert (tone["aspect"], tone["verdict"], tone["best_rival"]) == ("tone", "wins", "Ashdown")
    assert (tone["praised"], tone["criticised"], tone["share"]) == (18, 2, 0.9)
    assert (tone["rivals_praised"], tone["rivals_criticised"], tone["rivals_share"]) == (5, 15, 0.25)
    # Agresti and Caffo: 19/22 − 6/22.
    p1, p2 = 19 / 22, 6 / 22
    half = 1.959964 * (p1 * (1 - p1) / 22 + p2 * (1 - p2) / 22) ** 0.5
    assert tone["difference"] == pytest.approx(p1 - p2)
    assert (tone["low"], tone["high"]) == (pytest.approx(p1 - p2 - half), pytest.approx(p1 - p2 + half))
    assert (neck["aspect"], neck["verdict"]) == ("neck", "no difference shown")
    assert [r["verdict"] for r in answer(shop, "insight/brand_position", brand="ashdown", category="Instruments")] == [
        "loses",
        "no difference shown",
    ]
    alone = answer(shop, "insight/brand_position", brand="birch", category="Instruments", least=0)
    assert ("finish", "no rival is judged by it") in [(r["aspect"], r["verdict"]) for r in alone]


# --- prices ---------------------------------------------------------------------------------------------------


def test_a_price_is_compared_with_what_is_most_alike(shop: GraphStore) -> None:
    shop.write(
        "MATCH (c:Category {path: 'Accessories'}), (v:AttributeValue {key: 'material=leather'}) "
        "UNWIND [['L1', 20.0], ['L2', 22.0]] AS row "
        "CREATE (p:Product {sku: row[0], title: row[0], price: row[1], currency: 'USD', active: true})"
        "-[:IN_CATEGORY {source: 'catalogue'}]->(c), (p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v)"
    )
    (strap,) = answer(shop, "insight/price_position", sku="S1", least=2)
    # The strap costs 24.5; the two others of leather 20 and 22; strings 12 and tuner 15 share the shelf alone.
    assert (strap["comparable"], strap["percentile"], strap["usual"]) == (4, pytest.approx(1.0), 20.0)
    assert strap["ratio"] == pytest.approx(24.5 / 20.0)
    assert strap["verdict"] == "dear: 100.0 % of what is like it costs less"
    # Leather is had by two of the shelf of four others: 0.1 + log(5 / 2).
    assert [(x["sku"], x["weight"], x["shared"]) for x in strap["nearest"]] == [
        ("L1", pytest.approx(0.1 + math.log(2.5)), ["material = leather"]),
        ("L2", pytest.approx(0.1 + math.log(2.5)), ["material = leather"]),
        ("S2", 0.1, []),
        ("T1", 0.1, []),
    ]
    assert answer(shop, "insight/price_position", sku="S1")[0]["verdict"] == "not enough data: 4 comparable products"
    assert answer(shop, "insight/price_position", sku="nothing") == []


def test_what_costs_the_same_is_neither_cheaper_nor_dearer(shop: GraphStore) -> None:
    shop.write(
        "MATCH (c:Category {path: 'Instruments > Guitars'}) WHERE c.path IS NOT NULL "
        "CREATE (p:Product {sku: 'A', title: 'A', price: 10.0, currency: 'EUR', active: true})"
        "-[:IN_CATEGORY {source: 'catalogue'}]->(c) WITH c UNWIND range(1, 10) AS n "
        "CREATE (p:Product {sku: 'N' + n, title: 'N' + n, price: CASE WHEN n <= 3 THEN 10.0 ELSE 20.0 END, "
        "currency: 'EUR', active: true})-[:IN_CATEGORY {source: 'catalogue'}]->(c)"
    )

    def verdict() -> tuple[float, str]:
        (row,) = answer(shop, "insight/price_position", sku="A")
        return row["percentile"], row["verdict"]

    assert verdict() == (pytest.approx(0.15), "cheap: 70.0 % of what is like it costs more")
    shop.write("MATCH (p:Product) WHERE p.sku STARTS WITH 'N' AND p.price = 20.0 SET p.price = 5.0")
    assert verdict() == (pytest.approx(0.85), "dear: 70.0 % of what is like it costs less")


def test_an_elasticity_is_found_again(shop: GraphStore) -> None:
    # G1 sells 100 at 500 while its shelf sells 300, then 25 at 1,000 while the shelf sells 300: log(1/4) / log(2) = −2.
    shop.write(
        "MATCH (p:Product {sku: 'G1'}) SET p.prices = [500.0, 1000.0], p.price_times = [0, $t]", t=FIRST + 50 * DAY
    )
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    sold(shop, "u", "G1", [*(n / 2 for n in range(100)), *(50 + n for n in range(25))])
    sold(shop, "v", "G2", [*(n / 6 for n in range(300)), *(50 + n / 6 for n in range(300))])
    (row,) = answer(shop, "insight/price_hints", sku="G1")
    # The maximum of the likelihood is known: two periods and two numbers to fit. The prior draws it a little to zero.
    assert row["elasticity"] == pytest.approx(-2.0, abs=0.02)
    error = (1 / 100 + 1 / 300 + 1 / 25 + 1 / 300) ** 0.5 / math.log(2)
    assert row["high"] - row["elasticity"] == pytest.approx(1.96 * error, rel=0.02)
    assert row["hint"] == "sales moved as if a lower price brought more revenue"
    assert [(x["price"], x["purchases"], x["rest"]) for x in row["prices"]] == [(500.0, 100, 300), (1000.0, 25, 300)]


def test_a_season_does_not_pass_for_an_effect_of_the_price(shop: GraphStore) -> None:
    # Everything sells four times as much when the price is low: the price has done nothing.
    shop.write(
        "MATCH (p:Product {sku: 'G1'}) SET p.prices = [500.0, 1000.0], p.price_times = [0, $t]", t=FIRST + 50 * DAY
    )
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    sold(shop, "u", "G1", [*(n / 2 for n in range(100)), *(50 + n for n in range(25))])
    sold(shop, "v", "G2", [*(n / 8 for n in range(400)), *(50 + n / 2 for n in range(100))])
    (row,) = answer(shop, "insight/price_hints", sku="G1")
    assert row["elasticity"] == pytest.approx(0.0, abs=1e-6)
    assert row["hint"] == "sales moved as if a higher price brought more revenue"


def test_sales_before_the_first_price_of_a_currency_are_not_at_that_price(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'G1'}) SET p.prices = [60.0], p.price_times = [$t]", t=FIRST + 50 * DAY)
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    sold(shop, "u", "G1", [10, 20, 60])
    (row,) = answer(shop, "insight/price_hints", sku="G1")
    assert row["hint"] == "not enough data: the price has not changed"
    assert [(x["price"], x["since"], x["purchases"]) for x in row["prices"]] == [(60.0, "2026-04-20T00:00:00Z", 1)]


def test_where_the_events_do_not_tell_it_is_said_why(shop: GraphStore) -> None:
    def hint(**parameters: Any) -> str:
        return str(answer(shop, "insight/price_hints", sku="G1", **parameters)[0]["hint"])

    assert hint() == "not enough data: the price has not changed"
    change = "MATCH (p:Product {sku: 'G1'}) SET p.prices = [500.0, 550.0], p.price_times = [0, $t]"
    shop.write(change, t=FIRST + 50 * DAY)
    assert hint() == "not enough data: purchases are known at one price only"
    shop.write(change, t=FIRST + 2 * DAY)
    sold(shop, "u", "G1", [1, 1, 3])
    assert hint() == "not enough data: 5 purchases"
    assert hint(least=2) == "not enough data: 0 purchases of the rest of the shelf"
    sold(shop, "v", "G2", [1, 1, 3])
    assert hint(least=2) == "the events do not tell"
    # A price at which nothing was sold at all: the prior keeps the number finite.
    sold(shop, "u", "G1", [1, 1, 1, 1])
    shop.write("MATCH (:User {id: 'ben'})-[r:BOUGHT]->(:Product {sku: 'G1'}) DELETE r")
    (row,) = answer(shop, "insight/price_hints", sku="G1", least=2)
    assert -20 < row["elasticity"] < 0
    assert row["hint"] == "the events do not tell"


# --- gaps -----------------------------------------------------------------------------------------------------


def test_what_people_look_for_and_nobody_sells(shop: GraphStore) -> None:
    shop.write(
        "MATCH (a:User {id: 'anna'}), (b:User {id: 'ben'}) "
        "CREATE (q:Query {text: 'banjo strap'}), (r:Query {text: 'leather (strap)'}), (o:Query {text: 'ukulele'}), "
        "(x:Query {text: 'practice amp'}), (e:Query {text: '*?~'}) "
        "WITH a, b, [q, r, o, x, e] AS queries UNWIND queries AS q "
        "CREATE (a)-[:SEARCHED {count: 1, strength: 0.0, at: datetime('2026-03-01T00:00:00Z')}]->(q) "
        "WITH b, q WHERE q.text <> 'ukulele' "
        "CREATE (b)-[:SEARCHED {count: 1, strength: 0.0, at: datetime('2026-03-05T00:00:00Z')}]->(q)"
    )
    shop.await_indexes()
    # The strap has both words of one, the amp is no longer on sale, one person is too few, and signs are no words.
    assert answer(shop, "insight/gaps") == [
        {
            "kind": "search",
            "what": what,
            "people": 2,
            "expected": None,
            "p": None,
            "offered": 0,
            "latest": "2026-03-05T00:00:00+00:00",
        }
        for what in ("banjo strap", "practice amp")
    ]
    assert [r["what"] for r in answer(shop, "insight/gaps", after="banjo strap")] == ["practice amp"]


def test_what_hundreds_no_longer_sold_hide_is_offered_and_what_is_sold_out_is_not(shop: GraphStore) -> None:
    # The long text of what is on sale fits worse than each of those that are not.
    shop.write(
        "UNWIND range(1, 300) AS n CREATE (:Product {sku: 'N' + n, title: 'banjo', active: false}) "
        "WITH count(*) AS _ CREATE (:Product {sku: 'B1', title: 'banjo with five strings of steel', active: true}) "
        "CREATE (q:Query {text: 'banjo'}) WITH q MATCH (u:User) WHERE u.id IN ['anna', 'ben'] "
        "CREATE (u)-[:SEARCHED {count: 1, strength: 0.0, at: datetime('2026-03-01T00:00:00Z')}]->(q)"
    )
    shop.await_indexes()
    assert answer(shop, "insight/gaps") == []
    shop.write("MATCH (p:Product {sku: 'B1'}) SET p.stock = 0")
    assert [(r["what"], r["offered"]) for r in answer(shop, "insight/gaps")] == [("banjo", 0)]


def test_what_is_offered_in_other_words_of_the_index_is_no_gap(shop: GraphStore) -> None:
    shop.write(
        "UNWIND [['M1', \"Men's rain jacket\", null], ['J1', 'Cable with a 3.5 mm jack', null], "
        "['Z1', '木吉他', null], ['D1', 'Phosphor strings', 'daddario'], ['E1', 'Flute', 'van doren']] AS row "
        "CREATE (p:Product {sku: row[0], title: row[1], active: true}) "
        "WITH p, row WHERE row[2] IS NOT NULL CREATE (p)-[:MADE_BY]->(:Brand {key: row[2], name: row[2]})"
    )
    offered = [
        "men's jacket", "3.5 mm jack", "the jacket.", "木吉他", "吉他", "j1",
        "d'addario strings", "d'addario", "strings by d'addario", "van doren flute",
        "with", "the", "?",
    ]  # fmt: skip
    wanted = ["2.5 mm jack", "women's jacket", "电吉他", "d'addario flute", "j2"]
    shop.write(
        "MATCH (u:User) UNWIND $texts AS text MERGE (q:Query {text: text}) CREATE (u)-[:SEARCHED {count: 1}]->(q)",
        texts=offered + wanted,
    )
    shop.await_indexes()
    assert sorted(row["what"] for row in answer(shop, "insight/gaps")) == sorted(wanted)
    shop.write("MATCH (p:Product) WHERE p.sku IN ['D1', 'J1'] SET p.stock = 0")
    gone = ["3.5 mm jack", "j1", "d'addario strings", "d'addario", "strings by d'addario"]
    assert sorted(row["what"] for row in answer(shop, "insight/gaps")) == sorted(wanted + gone)


def test_values_wanted_together_and_offered_apart(shop: GraphStore) -> None:
    # Forty people met products of leather and products in blue; ten others red ones. Nothing is of blue leather.
    shop.write(
        "MATCH (c:Category {path: 'Accessories'}), (leather:AttributeValue {key: 'material=leather'}) "
        "CREATE (blue:AttributeValue {key: 'colour=blue', attribute: 'colour', value: 'blue'}), "
        "(red:AttributeValue {key: 'colour=red', attribute: 'colour', value: 'red'}) "
        "WITH c, leather, blue, red UNWIND [['B1', blue], ['R1', red], ['L1', leather]] AS row "
        "WITH c, row[0] AS sku, row[1] AS v "
        "CREATE (p:Product {sku: sku, title: sku, active: true})-[:IN_CATEGORY {source: 'catalogue'}]->(c), "
        "(p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v)"
    )
    shop.write(
        "UNWIND range(1, 100) AS n CREATE (u:User {id: 'w' + n}) WITH u, n "
        "MATCH (p:Product) WHERE n <= 40 AND p.sku IN ['B1', 'L1'] OR n > 90 AND p.sku = 'R1' "
        "OR n > 40 AND n <= 90 AND p.sku = 'T1' CREATE (u)-[:VIEWED {count: 1, strength: 0.2, times: []}]->(p)"
    )
    (gap,) = answer(shop, "insight/gaps", category="Accessories")
    assert (gap["kind"], gap["what"]) == ("together", "colour = blue and material = leather")
    # anna, who rated the leather strap, is the 51st who met a value at all.
    assert (gap["people"], gap["expected"], gap["offered"]) == (40, pytest.approx(41 * 40 / 51), 0)


def test_what_is_wanted_and_offered_is_no_gap(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}) CREATE (s)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'colour=brown', attribute: 'colour', value: 'brown'})"
    )
    assert answer(shop, "insight/gaps", category="Accessories", least=1) == []


# --- demand ---------------------------------------------------------------------------------------------------


def test_a_steady_demand_goes_on(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    # Two sales of five units a week, for ten weeks; the present is the end of the tenth.
    sold(shop, "u", "G1", [7 * week + day for week in range(10) for day in (2, 4)], units=5.0)
    rows = answer(shop, "insight/demand_forecast", sku="G1", now="2026-05-10T00:00:00+00:00", weeks=2)
    assert [(r["week"], r["forecast"], r["naive"], r["error"], r["naive_error"], r["past_units"]) for r in rows] == [
        ("2026-05-10", pytest.approx(10.0), 10.0, 0.0, 0.0, 100),
        ("2026-05-17", pytest.approx(10.0), 10.0, 0.0, 0.0, 100),
    ]
    # No error at all was made, yet a count varies: the interval is Poisson's.
    assert (rows[0]["low"], rows[0]["high"]) == (poisson.ppf(0.1, 10), poisson.ppf(0.9, 10))


@pytest.mark.parametrize("now", ["1960-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", "2026-02-26T00:00:00+00:00"])
def test_before_the_first_sale_there_is_nothing_to_foretell_from(shop: GraphStore, now: str) -> None:
    for thing in ({"category": "Instruments"}, {"sku": "G1"}):
        assert answer(shop, "insight/demand_forecast", now=now, **thing) == []


def test_what_varies_is_smoothed_and_its_interval_is_wider(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    series = [0, 8, 2, 9, 1, 7, 3, 10, 0, 8, 2, 9]
    sold(shop, "u", "G1", [7 * week + 1 + n / 100 for week, units in enumerate(series) for n in range(units)])
    first = next(week for week, units in enumerate(series) if units)
    (row,) = answer(shop, "insight/demand_forecast", sku="G1", now="2026-05-24T00:00:00+00:00", weeks=1)
    level, square, error, alpha = smoothed(series[first:])
    assert row["forecast"] == pytest.approx(level)
    assert row["error"] == pytest.approx(error)
    errors = len(series[first:]) - 1
    variance = square * errors / (errors - 2)  # one week ahead
    assert (row["low"], row["high"]) == tuple(
        nbinom.ppf(p, level**2 / (variance - level), level / variance) for p in (0.1, 0.9)
    )
    changes = [abs(b - a) for a, b in zip(series[first:], series[first + 1 :], strict=False)]
    assert row["naive_error"] == pytest.approx(sum(changes) / len(changes))
    assert (row["naive"], row["note"]) == (9.0, "errs less than the naive forecast")
    assert alpha == 0.05


def test_of_few_weeks_the_interval_holds_four_fifths_too(shop: GraphStore) -> None:
    """Two hundred products whose sales vary more than Poisson's, four weeks of each known, and the fifth as it came."""
    weeks = nbinom.rvs(9.1, 20.0 / 64.0, size=(200, 5), random_state=5)
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    shop.write(
        "MATCH (u:User {id: 'anna'}), (c:Category {path: 'Instruments'}) UNWIND $rows AS row "
        "CREATE (p:Product {sku: row.sku, title: row.sku, active: true})-[:IN_CATEGORY {source: 'catalogue'}]->(c), "
        "(u)-[:BOUGHT {count: 5, strength: 1.0, events: range(1, 5), values: row.units, "
        "times: [week IN range(0, 4) | 1772323200 + 604800 * week + 3600]}]->(p)",
        rows=[{"sku": f"w{n}", "units": [float(units) for units in one]} for n, one in enumerate(weeks)],
    )
    # The end of the fourth week.
    rows = answer(
        shop, "insight/demand_forecast", category="Instruments", now="2026-03-29T00:00:00+00:00", weeks=1, products=200
    )
    inside = [row["low"] <= weeks[int(row["name"][1:])][4] <= row["high"] for row in rows if row["kind"] == "product"]
    assert len(inside) == 200
    # Three standard errors below 80 %.
    assert 0.715 < sum(inside) / 200 < 0.9


def smoothed(series: list[int]) -> tuple[float, float, float, float]:
    """Level, mean square and mean absolute error, and weight, of the best simple exponential smoothing, by the book."""
    best = None
    for alpha in (0.05, 0.1, 0.2, 0.3, 0.5):
        level = sum(series[:4]) / 4
        squares, errors = 0.0, 0.0
        for y in series[1:]:
            squares += (y - level) ** 2
            errors += abs(y - level)
            level += alpha * (y - level)
        if best is None or squares < best[0]:
            best = (squares, level, errors, alpha)
    assert best is not None
    steps = len(series) - 1
    return best[1], best[0] / steps, best[2] / steps, best[3]


def test_a_shelf_is_forecast_with_its_products_and_the_new_not_at_all(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    sold(shop, "u", "G1", [7 * week + 1 for week in range(8)], units=2.0)
    sold(shop, "v", "G2", [7 * week + 2 for week in range(8)])
    now = "2026-04-26T00:00:00+00:00"
    rows = answer(shop, "insight/demand_forecast", category="Instruments", now=now, weeks=1)
    assert [(r["kind"], r["name"], r["forecast"]) for r in rows] == [
        ("category", "Instruments", pytest.approx(3.0)),
        ("product", "G1", pytest.approx(2.0)),
        ("product", "G2", pytest.approx(1.0)),
    ]
    (early, *_) = answer(shop, "insight/demand_forecast", sku="G1", now="2026-03-16T00:00:00+00:00")
    assert (early["forecast"], early["note"]) == (None, "not enough data: 3 weeks since the first sale")
    assert answer(shop, "insight/demand_forecast", sku="T1") == []


def test_what_stopped_selling_is_forecast_from_the_present(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    sold(shop, "u", "G1", [7 * week + 1 for week in range(8)], units=2.0)

    def ahead() -> tuple[str, float]:
        row = answer(shop, "insight/demand_forecast", sku="G1", weeks=1)[0]
        return row["week"], row["naive"]

    assert ahead() == ("2026-04-20", 2.0)  # nothing is known after its last sale
    shop.write("CREATE (:IntentModel {id: 'purchase', until: $at})", at=FIRST + 100 * DAY)
    assert ahead() == ("2026-06-09", 0.0)
    # What was sold after the fit is later still.
    sold(shop, "v", "G1", [110])
    assert ahead() == ("2026-06-19", 1.0)


def test_eight_intervals_of_ten_hold_what_comes(shop: GraphStore) -> None:
    # 150 products that sell by Poisson's law, 0.5 to 12 a week, for 31 weeks; the last is foretold from the others.
    rng = random.Random(5)
    rates = [0.5 + 11.5 * n / 149 for n in range(150)]
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    rows, truth = [], {}
    for n, rate in enumerate(rates):
        times, at = [], rng.expovariate(rate) * 7
        while at < 31 * 7:
            times.append(int(FIRST + at * DAY))
            at += rng.expovariate(rate) * 7
        now = FIRST + 30 * 7 * DAY
        truth[f"N{n}"] = sum(t > now for t in times)
        rows.append({"sku": f"N{n}", "times": [t for t in times if t <= now]})
    shop.write(
        "MATCH (c:Category {path: 'Accessories'}), (u:User {id: 'cleo'}) UNWIND $rows AS row "
        "CREATE (p:Product {sku: row.sku, title: row.sku, active: true})-[:IN_CATEGORY {source: 'catalogue'}]->(c), "
        "(u)-[:BOUGHT {count: 1, strength: 1.0, times: row.times, values: [t IN row.times | 1.0]}]->(p)",
        rows=rows,
    )
    forecasts = answer(
        shop, "insight/demand_forecast", category="Accessories", now="2026-09-27T00:00:00Z", weeks=1, products=200
    )
    products = [r for r in forecasts if r["kind"] == "product"]
    held = [r["low"] <= truth[r["name"]] <= r["high"] for r in products]
    # 80 % and a little more, for counts leap; three standard errors below would be 70 %.
    assert len(held) == 150
    assert 0.72 < sum(held) / len(held) < 0.95
    errors = [abs(r["forecast"] - truth[r["name"]]) for r in products]
    naive = [abs(r["naive"] - truth[r["name"]]) for r in products]
    assert sum(errors) < 0.9 * sum(naive)
