"""What is foretold beside what happened: on worlds whose future is known."""

from __future__ import annotations

import numpy as np
import pytest

from embeddings.backtest import forecast_report, intent_report
from embeddings.intent import DAY
from kg.store import GraphStore
from tests.embeddings.test_intent import market, simulated

WEEK = 7 * DAY
BEGAN = 1_770_000_000


def test_chances_of_a_world_that_is_as_the_model_thinks_come_true() -> None:
    users = tuple(simulated(np.random.default_rng(3), rate=0.02, after_view=0.3, half_life=5.0))
    report = intent_report(market(users), days=20)
    assert report is not None
    assert report["bought"] > 200
    assert report["foretold"] == pytest.approx(report["bought"], rel=0.15)
    assert report["calibration_error"] < 0.1  # 60 pairs a part: .05 is chance
    assert report["log_loss"] < report["log_loss_shelf"]
    assert sum(part["pairs"] for part in report["parts"]) == report["pairs"]


def test_nothing_is_foretold_where_nothing_was_bought() -> None:
    assert intent_report(market(()), days=20) is None


def test_forecasts_are_counted_against_what_was_sold_after_them(shop: GraphStore) -> None:
    # 12 weeks of 1, 3, 1, 3, … strings and one strap a week, each in the middle of its week; then three strings a week.
    strings = [BEGAN + w * WEEK + WEEK // 2 + n for w in range(12) for n in range(1 if w % 2 else 3)]
    strings += [BEGAN + (12 + w) * WEEK + WEEK // 2 + n for w in range(4) for n in range(3)]
    strap = [BEGAN + w * WEEK + WEEK // 2 + 5 for w in range(16)]
    last = BEGAN + 16 * WEEK  # a strap at the end says when the present is
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    for sku, times in (("S2", strings), ("S1", [*strap, last])):
        shop.write(
            "MATCH (u:User {id: 'ben'})\nMATCH (p:Product {sku: $sku})\n"
            "CREATE (u)-[:BOUGHT {source: 'events', times: $times, values: $values, count: size($times)}]->(p)",
            sku=sku,
            times=times,
            values=[1.0] * len(times),
        )
    shelf, product = forecast_report(shop, weeks=4)
    assert (shelf["of"], shelf["series"], shelf["weeks"]) == ("category", 1, 4)
    assert (product["of"], product["series"], product["weeks"]) == ("product", 2, 8)
    # The latest week before had one of the strings: the naive forecast is off by two in three weeks of theirs (the
    # strap of the last moment stands in the fourth), and never for the strap but there.
    assert product["naive_error"] == pytest.approx((4 * 2 + 0 * 3 + 1) / 8)
    assert product["error"] < product["naive_error"]
    assert 0.5 < product["within_interval"] <= 1.0


def test_a_shop_that_sold_nothing_has_no_forecasts(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    assert forecast_report(shop, weeks=4) == []
