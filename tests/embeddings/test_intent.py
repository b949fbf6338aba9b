"""How purchases follow from events: known waves found again, and calibration on months that the fit has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings.intent import (
    BOUGHT,
    DAY,
    VIEWED,
    Events,
    IntentModel,
    Market,
    _cloglog,
    expect,
    fit,
    known_at,
    probability,
    read_market,
    write_intent,
)
from kg.catalogue import find, run
from kg.store import GraphStore
from tests.conftest import empty
from tests.embeddings.bundled import Later, load_shop

QUERY = find("insight/purchase_intent")
CUT_DAYS = 275
"""The bundled shop's year is cut here, two months after its busy season; what came after is held out."""


def iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


# --- what is known by construction ------------------------------------------------------------------------------


def market(users: tuple[Events, ...], products: int = 20) -> Market:
    """Products on two shelves, the first ten on one; all consumed, so that nothing is ever closed."""
    return Market(
        skus=tuple(f"p{n:02d}" for n in range(products)),
        consumable=np.ones(products, dtype=bool),
        active=np.ones(products, dtype=bool),
        weight=np.ones(products),
        shelf=np.arange(products) // (products // 2),
        shelves=("A", "B"),
        related=sp.csr_matrix((products, products)),
        users=users,
    )


def simulated(rng: np.random.Generator, rate: float, after_view: float, half_life: float) -> Iterator[Events]:
    """Users who look at something every ten days for 200 days; a purchase of it follows with a known chance."""
    for n in range(300):
        rows = []
        for at in np.cumsum(rng.exponential(10.0, 40)):
            product = int(rng.integers(20))
            rows.append((at, VIEWED, product))
            if rng.random() < after_view:
                rows.append((at + 1 / 24 + rng.exponential(half_life / np.log(2)), BOUGHT, product))
        rows += [(at, BOUGHT, int(rng.integers(20))) for at in np.cumsum(rng.exponential(1 / rate, 40))]
        rows = sorted(row for row in rows if row[0] < 200)
        at, kind, product = zip(*rows, strict=True)
        yield Events(f"u{n}", (np.array(at) * DAY).astype(np.int64), np.array(kind, np.int8), np.array(product))


def test_a_known_wave_is_found_again() -> None:
    rng = np.random.default_rng(1)
    users = tuple(simulated(rng, rate=0.02, after_view=0.3, half_life=5.0))
    model = fit(market(users), calibrated=False)
    assert model is not None
    assert model.amounts["viewed"] == pytest.approx(0.3, abs=0.03)
    assert model.half_lives["viewed"] == pytest.approx(5.0, rel=0.15)
    assert model.rate == pytest.approx(0.02, rel=0.1)
    assert max(model.amounts[k] for k in ("carted", "again", "related")) < 0.05


def test_the_calibration_of_a_right_model_changes_nothing_and_of_a_wrong_one_corrects_it() -> None:
    rng = np.random.default_rng(2)
    expected = rng.gamma(0.5, 0.2, 20_000)
    happened = rng.random(20_000) < -np.expm1(-expected)
    assert _cloglog(expected, happened) == (pytest.approx(0.0, abs=0.1), pytest.approx(1.0, abs=0.05))
    # A model that expects three times too much.
    assert _cloglog(3 * expected, happened) == (pytest.approx(-np.log(3), abs=0.1), pytest.approx(1.0, abs=0.05))
    # With a handful of purchases nothing is concluded.
    assert _cloglog(expected[:10], happened[:10]) == (0.0, 1.0)


def test_a_shop_without_purchases_teaches_nothing(shop: GraphStore) -> None:
    shop.write("MATCH (:User)-[r:BOUGHT]->() DELETE r")
    assert fit(read_market(shop, np.random.default_rng(0))) is None


# --- on the named shop ------------------------------------------------------------------------------------------

MODEL = IntentModel(
    until=1_772_532_000,  # 3 March 2026, 10:00, ben's latest event
    rate=0.01,
    shape=1.0,
    own=0.5,
    level=2.0,
    share_total=7.0,  # G1 was bought by two, T1 by one: 2.5 + 1.5 + four products of 0.5, and 1 for elsewhere
    amounts={"viewed": 0.1, "carted": 0.2, "again": 0.3, "related": 0.6, "shelf_viewed": 0.05, "shelf_bought": 0.08},
    half_lives=dict.fromkeys(("viewed", "carted", "again", "related", "shelf_viewed", "shelf_bought"), 10.0),
    visit_viewed=0.4,
    visit_carted=0.8,
)


def asked(store: GraphStore, **parameters: Any) -> dict[str, Any]:
    (row,) = run(store, QUERY, parameters)
    return row


def test_without_a_fit_there_is_a_reason_in_place_of_a_number(shop: GraphStore) -> None:
    row = asked(shop, user="ben", category="Accessories")
    assert row["probability"] is None
    assert row["reasons"] == [
        {"term": "NOT FITTED", "because": 'the job "insight" has not run: kg schedule trigger insight'}
    ]
    for parameters in ({"user": "nobody", "sku": "S1"}, {"user": "ben", "sku": "S9"}, {"user": "ben"}):
        assert len(run(shop, QUERY, parameters)) == 0


def test_the_terms_of_the_sum_are_those_of_the_formula(shop: GraphStore) -> None:
    write_intent(shop, MODEL, datetime(2026, 3, 3, tzinfo=UTC))
    row = asked(shop, user="ben", sku="S1", days=30, now="2026-03-13T11:00:00+00:00")  # 10 days after his visit ended
    # Ben's first event was a look a day before; two purchases later. The strap has 0.5 of 7 of all purchases.
    days = 11 + 1 / 24
    habit = 2 * (1 + 0.5 * 2) / (1 / 0.01 + days) * 30 * 0.5 / 7
    wave = 2 * (0.5 ** (10 / 10) - 0.5 ** (40 / 10))
    # The guitar's only relation is the strap; the tuner stands on the strap's shelf, with strings: 0.5 of 2.5.
    parts = {"HABIT": habit, "RELATED": 0.6 * wave, "SHELF": 0.08 * wave * 0.5 / 2.5}
    assert {r["term"]: r["expected"] for r in row["reasons"]} == pytest.approx(parts)
    assert {r["term"]: r.get("because") for r in row["reasons"]} == {
        "HABIT": None,
        "RELATED": "Ashdown S-200 electric guitar",
        "SHELF": "Cobalt clip-on tuner",
    }
    assert row["expected"] == pytest.approx(sum(parts.values()))
    assert row["probability"] == pytest.approx(1 - np.exp(-sum(parts.values())))


def test_what_the_user_has_is_not_bought_again_unless_it_is_consumed(shop: GraphStore) -> None:
    write_intent(shop, MODEL, datetime(2026, 3, 3, tzinfo=UTC))
    assert asked(shop, user="ben", sku="T1")["probability"] == 0.0
    shop.write("MATCH (t:Product {sku: 'T1'}) SET t.consumable = true")
    again = asked(shop, user="ben", sku="T1")
    assert "AGAIN" in [r["term"] for r in again["reasons"]]
    shop.write("MATCH (t:Product {sku: 'T1'}) SET t.active = false")
    assert asked(shop, user="ben", sku="T1")["probability"] == 0.0


def test_what_was_bought_before_the_latest_events_is_still_had(shop: GraphStore) -> None:
    write_intent(shop, MODEL, datetime(2026, 3, 3, tzinfo=UTC))
    shop.write(
        "MATCH (b:User {id: 'ben'}), (g:Product {sku: 'G1'}) MERGE (b)-[r:VIEWED]->(g) SET r.times = $times",
        times=[MODEL.until + n for n in range(500)],
    )
    row = asked(shop, user="ben", sku="G1", now=iso(MODEL.until + 7200))
    assert (row["probability"], row["expected"], row["reasons"]) == (0.0, 0.0, [])
    (ben,) = [e for e in read_market(shop, np.random.default_rng(0)).users if e.user == "ben"]
    past = ben.until(MODEL.until + 7200)
    assert (len(past.at), BOUGHT in past.kind, len(past.bought)) == (500, False, 2)


def test_what_is_sold_out_is_not_bought(shop: GraphStore) -> None:
    write_intent(shop, MODEL, datetime(2026, 3, 3, tzinfo=UTC))
    shop.write(
        "MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S1'}) "
        "CREATE (b)-[:CARTED {count: 1, strength: 0.5, times: [$at]}]->(s)",
        at=MODEL.until,
    )
    assert asked(shop, user="ben", sku="S1")["probability"] > 0.8
    shop.write("MATCH (s:Product {sku: 'S1'}) SET s.stock = 0")
    assert asked(shop, user="ben", sku="S1")["probability"] == 0.0


def test_in_the_midst_of_a_visit_the_cart_says_most(shop: GraphStore) -> None:
    write_intent(shop, MODEL, datetime(2026, 3, 3, tzinfo=UTC))
    shop.write(
        "MATCH (b:User {id: 'ben'}), (s:Product {sku: 'S1'}) "
        "CREATE (b)-[:CARTED {count: 1, strength: 0.5, times: [$at]}]->(s)",
        at=MODEL.until,
    )
    # The chance of the cart; what comes later adds to it.
    assert 0.8 < asked(shop, user="ben", sku="S1", days=1)["probability"] < 0.85
    assert asked(shop, user="ben", sku="S1", days=1, now=iso(MODEL.until + 2 * 3600))["probability"] < 0.2


# --- on the bundled shop ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def held_out(session_store: GraphStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Market, IntentModel, Later]:
    """The shop as it was after three quarters of its year, with the model fitted then, and what came later."""
    empty(session_store)
    later = load_shop(session_store, tmp_path_factory.mktemp("shop"), days=CUT_DAYS, whole=True)
    # What is sold out today is none of the past from which the fit learns; the query leaves it out.
    session_store.write("MATCH (p:Product) REMOVE p.stock")
    found = read_market(session_store, np.random.default_rng(0))
    model = fit(found)
    assert model is not None
    write_intent(session_store, model, datetime(2025, 2, 1, tzinfo=UTC))
    return found, model, later


def test_the_query_computes_what_was_calibrated(
    session_store: GraphStore, held_out: tuple[Market, IntentModel, Later]
) -> None:
    found, model, later = held_out
    for events in found.users[::40]:
        expected = expect(model, found, events.until(later.now), later.now, 30)
        chance = probability(model, expected)
        for n, shelf in list(enumerate(found.shelves))[::4]:
            row = asked(session_store, user=events.user, category=shelf, days=30, now=iso(later.now))
            assert row["expected"] == pytest.approx(expected[n], abs=1e-12)
            assert row["probability"] == pytest.approx(chance[n], abs=1e-9)


@pytest.mark.parametrize("days", [30, 90])
def test_of_what_is_foretold_so_much_happens(held_out: tuple[Market, IntentModel, Later], days: int) -> None:
    """Calibration on held-out events: every user and shelf, in thirds by the foretold chance."""
    found, model, later = held_out
    rows = {sku: n for n, sku in enumerate(found.skus)}
    happened = {
        (event.user, int(found.shelf[rows[event.sku]]))
        for event in later.events
        if event.type == "bought" and event.sku and event.at and event.at.timestamp() <= later.now + days * DAY
    }
    foretold, true = [], []
    for events in found.users:
        chance = probability(model, expect(model, found, events.until(later.now), later.now, days))
        foretold.append(chance)
        true.append([(events.user, n) in happened for n in range(len(found.shelves))])
    p, y = np.concatenate(foretold), np.concatenate(true).astype(float)
    assert y.sum() >= 15
    # Each third, and all together, within three standard deviations of what independent events would give.
    thirds = np.array_split(np.argsort(p), 3)
    for part in (*thirds, np.arange(len(p))):
        assert abs(p[part].sum() - y[part].sum()) < 3.0 * np.sqrt((p[part] * (1.0 - p[part])).sum())
    # The most likely third holds most of what happened, and the numbers say more than the mean chance does.
    assert y[thirds[2]].sum() > 0.45 * y.sum()
    constant = y.mean()
    surprise = -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean()
    assert surprise < -(constant * np.log(constant) + (1 - constant) * np.log(1 - constant))


def test_what_was_bought_later_weighs_nothing_before() -> None:
    events = Events("u", np.array([1, 2, 9]) * DAY, np.array([BOUGHT] * 3, np.int8), np.array([0, 1, 2]))
    known = known_at(market((events,), products=4), 5 * DAY)
    assert known.weight.tolist() == [1.5, 1.5, 0.5, 0.5]
    assert [len(e.at) for e in known.users] == [2]
