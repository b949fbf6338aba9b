from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from embeddings import registry, watching
from embeddings.watching import Rate, compared, look, ratio, width
from kg.store import GraphStore
from tests.embeddings.test_registry import ready

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SWITCH = NOW - timedelta(days=10)


def shown(store: GraphStore, model: str, at: datetime, *, users: int, clicked: int, bought: int = 0) -> None:
    """``users`` are shown a product ten times; the first of them click on it, each once, and as many buy it."""
    store.write(
        "MERGE (p:Product {sku: 'p'})\nWITH p\nUNWIND range(0, $users - 1) AS n\n"
        "CREATE (u:User {id: $model + toString(n)})\n"
        "CREATE (u)-[:EXPOSED {model: $model, arm: '', count: 10, at: $at, first_at: $at}]->(p)\n"
        "FOREACH (_ IN CASE WHEN n < $clicked THEN [1] END |\n"
        "  CREATE (u)-[:CLICKED {model: $model, arm: '', count: 1, at: $at}]->(p))\n"
        "FOREACH (_ IN CASE WHEN n < $bought THEN [1] END |\n"
        "  CREATE (u)-[:BOUGHT {count: 1, at: $at, times: [$at.epochSeconds + 3600]}]->(p))",
        model=model, at=at, users=users, clicked=clicked, bought=bought,
    )  # fmt: skip


@pytest.fixture
def switched(store: GraphStore) -> GraphStore:
    """v1 was live until :data:`SWITCH`, and 60 of 200 users clicked; then v2."""
    ready(store, "v1", "blue")
    ready(store, "v2", "green")
    registry.promote(store, "v1", now=SWITCH - timedelta(days=20))
    registry.promote(store, "v2", now=SWITCH)
    shown(store, "v1", SWITCH - timedelta(days=3), users=200, clicked=60, bought=20)
    return store


def test_a_rate_is_a_ratio_of_sums_with_the_spread_over_users() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 20, 3000).astype(float)
    y = rng.binomial(x.astype(int), 0.2).astype(float)
    found = ratio(3000, x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum())
    assert found is not None
    assert found.value == pytest.approx(y.sum() / x.sum())
    # Against the bootstrap.
    again = [(y[rows].sum() / x[rows].sum()) for rows in rng.integers(0, 3000, (500, 3000))]
    assert np.sqrt(found.variance) == pytest.approx(np.std(again), rel=0.15)
    assert ratio(watching.LEAST_USERS - 1, 100.0, 1.0, 100.0, 1.0, 1.0) is None


def test_who_looks_at_equal_models_again_and_again_rarely_sees_a_fall() -> None:
    """At most 5 % of runs at any look, where an ordinary interval is left in far more."""
    rng = np.random.default_rng(0)
    n = np.arange(50, 5000, 50)
    fell = {"sequence": 0, "ordinary": 0}
    for _ in range(400):
        clicks = rng.random(5000) < 0.3
        means = np.cumsum(clicks)[n - 1] / n
        errors = np.sqrt(means * (1 - means) / n)
        fell["ordinary"] += bool((means - 0.3 < -1.96 * errors).any())
        fell["sequence"] += bool((means - 0.3 < -np.array([width(int(m)) for m in n]) * errors).any())
    assert fell["sequence"] <= 0.05 * 400 < fell["ordinary"]


def test_a_fall_is_told_from_a_rise() -> None:
    before = Rate(1000, 0.30, 0.0001)
    assert compared("clicks", Rate(1000, 0.20, 0.0001), before).fell
    assert not compared("clicks", Rate(1000, 0.27, 0.0001), before).fell
    assert not compared("clicks", Rate(1000, 0.40, 0.0001), before).fell


def test_a_model_that_is_clicked_less_fell(switched: GraphStore) -> None:
    shown(switched, "v2", SWITCH + timedelta(days=1), users=200, clicked=10, bought=19)
    found = look(switched, now=NOW)
    assert (found.fell, found.live, found.before) == (True, "v2", "v1")
    clicks, purchases = found.rates
    assert (clicks.live, clicks.before) == (pytest.approx(10 / 2000), pytest.approx(60 / 2000))
    assert (clicks.fell, purchases.fell) == (True, False)
    assert (purchases.live, purchases.before) == (pytest.approx(0.095), pytest.approx(0.1))


def test_a_model_that_does_about_as_well_did_not_fall(switched: GraphStore) -> None:
    shown(switched, "v2", SWITCH + timedelta(days=1), users=200, clicked=50, bought=15)
    assert not look(switched, now=NOW).fell


def test_what_was_shown_lately_says_nothing_of_purchases_yet(switched: GraphStore) -> None:
    shown(switched, "v2", NOW - timedelta(days=2), users=200, clicked=60)
    found = look(switched, now=NOW)
    assert [rate.name for rate in found.rates] == ["clicks"]


def test_few_users_say_nothing(switched: GraphStore) -> None:
    shown(switched, "v2", SWITCH + timedelta(days=1), users=40, clicked=0)
    found = look(switched, now=NOW)
    assert (found.fell, found.rates) == (False, ())
    assert "fewer than 50 users" in found.detail


def test_a_version_that_was_rolled_back_is_not_gone_back_to(switched: GraphStore) -> None:
    shown(switched, "v2", SWITCH + timedelta(days=1), users=200, clicked=90)
    assert registry.rollback(switched, because="clicks", now=NOW) == "v1"
    shown(switched, "v1", NOW, users=0, clicked=0)
    found = look(switched, now=NOW + timedelta(days=1))
    assert (found.fell, found.live, found.before) == (False, "v1", "v2")
    assert "was rolled back itself" in found.detail


def test_without_a_model_before_there_is_nothing_to_compare(store: GraphStore) -> None:
    assert look(store, now=NOW).detail == "no model is live"
    ready(store, "v1", "blue")
    registry.promote(store, "v1", now=NOW)
    assert "none to go back to" in look(store, now=NOW).detail
