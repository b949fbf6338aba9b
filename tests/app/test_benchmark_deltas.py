"""The plan of the deltas: the steps make of the first shop the last one, and nothing comes before its product."""

from __future__ import annotations

import random

import pytest

from kg.app.benchmark_deltas import Shop, beside, copied, figures, plan


@pytest.fixture(scope="module")
def shop() -> Shop:
    """The bundled shop twice."""
    return copied(2, seed=1)


def test_the_steps_lead_from_the_first_shop_to_the_last(shop: Shop) -> None:
    first, steps, last = plan(shop, 20, random.Random(1))
    there = {p.sku: p for p in first.products}
    reviews = {r.id: r for r in first.reviews}
    events = list(first.events)
    for step in steps:
        there = {sku: p for sku, p in there.items() if sku not in step.deleted} | {p.sku: p for p in step.products}
        reviews = {id: r for id, r in reviews.items() if r.sku not in step.deleted and id not in step.withdrawn}
        reviews |= {r.id: r for r in step.reviews}
        events = [e for e in events if e.sku not in step.deleted] + list(step.events)
        assert {r.sku for r in step.reviews} | {e.sku for e in step.events if e.sku} <= there.keys()
    assert {p.sku: p for p in last.products} == there
    assert {r.id: r for r in last.reviews} == reviews
    assert sorted(map(repr, last.events)) == sorted(map(repr, events))
    assert any(step.deleted for step in steps)


def test_each_copy_of_the_shop_has_makers_of_its_own(shop: Shop) -> None:
    makers = [{p.brand for p in shop.products if p.brand and p.sku.startswith(f"{n}-")} for n in range(2)]
    assert makers[0].isdisjoint(makers[1])
    assert len(makers[0]) == len(makers[1])


def test_models_are_compared_over_what_both_know() -> None:
    ranks = {("u1", "A"): 0.0, ("u2", "B"): 12.0, ("u3", "C"): float("inf"), ("u4", "D"): 2.0}
    assert figures(ranks) == {"hr@10": 0.5, "ndcg@10": 0.375, "recall@20": 0.75, "users": 4}
    others = {("u1", "A"): 0.0, ("u2", "B"): 3.0, ("u3", "C"): 19.0, ("u5", "E"): 0.0}
    found = beside(ranks, others)
    # Of the three that both know one is among the first ten here, and two are there.
    assert found["hr@10"] == {"relative": -0.5, "standard error": pytest.approx(0.5)}
    assert found["recall@20"]["relative"] == pytest.approx(-1 / 3, abs=1e-4)
    assert beside(ranks, ranks)["ndcg@10"] == {"relative": 0.0, "standard error": 0.0}
