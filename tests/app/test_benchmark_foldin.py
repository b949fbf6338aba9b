from __future__ import annotations

from kg.app.benchmark_foldin import EVERY, products_arrive, users_arrive
from kg.app.benchmark_recommend import Task
from kg.records import EventRecord, ProductRecord


def task() -> Task:
    """Thirty users who met two of thirty products each, of whom all but the last have a third held out."""
    products = tuple(ProductRecord(sku=f"p{n:02}", title="x") for n in range(30))
    events = tuple(
        EventRecord(user=f"u{n:02}", sku=f"p{sku % 30:02}", type="bought") for n in range(30) for sku in (n, n + 1)
    )
    return Task(products, events, tuple((f"u{n:02}", f"p{(n + 2) % 30:02}") for n in range(29)))


def test_every_tenth_user_comes_with_all_events_after_a_training_on_the_others() -> None:
    arrival = users_arrive(task())
    assert arrival.who == ("u00", "u10", "u20")
    assert {user for user, _ in arrival.whole.heldout} == set(arrival.who)
    assert {e.user for e in arrival.after.events} == set(arrival.who)
    assert not {e.user for e in arrival.before.events} & set(arrival.who)
    assert sorted(arrival.before.events + arrival.after.events, key=str) == sorted(arrival.whole.events, key=str)
    assert arrival.before.products == arrival.whole.products
    assert not arrival.after.products


def test_every_tenth_product_comes_after_a_training_that_has_neither_it_nor_its_events() -> None:
    whole = task()
    arrival = products_arrive(whole)
    assert arrival.who == ("p00", "p10", "p20")
    assert {sku for _, sku in arrival.whole.heldout} <= set(arrival.who)
    assert arrival.whole.events == whole.events
    assert not {e.sku for e in arrival.before.events} & set(arrival.who)
    assert {p.sku for p in arrival.before.products} == {p.sku for p in whole.products} - set(arrival.who)
    assert {p.sku for p in arrival.after.products} == set(arrival.who)
    assert not arrival.after.events  # nobody has met what is new
    assert len(arrival.who) == len(whole.products) // EVERY
