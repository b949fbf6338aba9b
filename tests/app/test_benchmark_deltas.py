"""The plan of the deltas: the steps make of the first shop the last one, and nothing comes before its product."""

from __future__ import annotations

import random

import pytest

from kg.app.benchmark_deltas import Shop, copied, plan


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
