"""What a stream brings is served without training: the named shop with a live model, and what comes after it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from embeddings import foldin, registry
from embeddings.writeback import write_embeddings
from extraction.corpus import product_document, review_document
from kg import streams
from kg.app import refresh
from kg.app.refresh import CHUNK, Reader, Refresher
from kg.catalogue import load, run
from kg.records import EventRecord, ProductRecord, Record, ReviewRecord
from kg.settings import Settings
from kg.store import GraphStore
from kg.streams import Documents, Loaded
from tests.embeddings.test_foldin import served, vector
from tests.embeddings.test_writeback import model

__all__ = ["served"]  # a fixture

TOMORROW = datetime.now(UTC) + timedelta(days=1)
"""After the model was written."""
STRAP = ProductRecord(
    sku="S3",
    title="Birch leather camera strap, brown",
    description="Soft leather. Fits the Ashdown S-200.",
    brand="Birch",
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Made once: its models take seconds. It knows the names of the shop in which it was first used."""
    return Reader(Settings.load({"KG_HOME": str(tmp_path_factory.mktemp("home"))}))


def load_piece(store: GraphStore, *records: Record) -> Loaded:
    """Load, and be killed before anything else is done."""
    documents = Documents(product_document, review_document)
    return streams.load_piece(store, None, None, records, documents=documents, pseudonym=str, repeats=Counter())


def bought(user: str, sku: str) -> EventRecord:
    return EventRecord(user=user, type="bought", sku=sku, at=TOMORROW)


def waiting(store: GraphStore) -> list[str]:
    rows = store.read(
        "MATCH (n:User|Document) WHERE n.waiting IS NOT NULL RETURN n.id AS id ORDER BY id",
    )
    return [row["id"] for row in rows]


def recommended(store: GraphStore, user: str) -> list[str]:
    rows: Sequence[dict[str, Any]] = run(store, load()["recommend/for_user"], {"user": user, "limit": 10})
    return [row["sku"] for row in rows]


def test_an_event_moves_its_user_and_nobody_else(served: GraphStore, reader: Reader) -> None:
    before = vector(served, "User", "anna")
    loaded = load_piece(served, bought("ben", "S1"))
    assert waiting(served) == ["ben"]
    Refresher(served, reader).after(loaded)
    moved = vector(served, "User", "ben")
    assert moved is not None
    assert np.argmax(moved) == 0  # towards the strap
    assert "S1" not in recommended(served, "ben")
    assert vector(served, "User", "anna") == before
    assert waiting(served) == []


def test_an_event_without_a_time_moves_its_user_too(served: GraphStore, reader: Reader) -> None:
    before = vector(served, "User", "ben")
    Refresher(served, reader).after(load_piece(served, replace(bought("ben", "S1"), at=None)))
    assert vector(served, "User", "ben") != before


def test_a_new_product_is_read_placed_and_recommended(served: GraphStore, reader: Reader) -> None:
    loaded = load_piece(served, STRAP, ReviewRecord(id="r9", user="ben", sku="S3", text="Very comfortable strap."))
    assert waiting(served) == ["product:S3", "review:r9"]
    Refresher(served, reader).after(loaded)
    assert waiting(served) == []
    facts = served.read(
        "MATCH (:Product {sku: 'S3'})-[r {source: 'extraction'}]->(x)\n"
        "RETURN type(r) AS type, coalesce(x.sku, x.key) AS key ORDER BY type, key"
    )
    assert {"type": "ACCESSORY_OF", "key": "G1"} in facts
    assert {"type": "PRAISED_FOR", "key": "comfort"} in facts
    assert vector(served, "Product", "S3") is not None
    assert "S3" in recommended(served, "anna")


def test_of_many_texts_each_is_served_once(served: GraphStore, reader: Reader) -> None:
    said = [f"The strap is very comfortable, day {n}." for n in range(2 * CHUNK + 5)]
    kept: list[int] = []
    refresher = Refresher(served, reader, keep=lambda: kept.append(len(waiting(served))))
    refresher.after(
        load_piece(served, *(ReviewRecord(id=f"m{n:03}", user="ben", sku="S1", text=t) for n, t in enumerate(said)))
    )
    assert kept == [CHUNK + 5, 5, 0]  # a lease can be renewed after each chunk
    (counted,) = served.read(
        "MATCH (d:Document)<-[:FROM]-(e:Evidence) WHERE d.id STARTS WITH 'review:m'\nRETURN count(DISTINCT d) AS read"
    )
    assert counted["read"] == len(said)


def test_long_texts_are_read_one_at_a_time_and_keep_nothing_waiting_that_came_with_them(
    served: GraphStore, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "CHARACTERS", 100)
    monkeypatch.setattr(refresh, "SWEEP_S", 0.0)
    left: list[list[str]] = []
    refresher = Refresher(served, reader, keep=lambda: left.append(waiting(served)))
    long, half = "The strap is very comfortable. " * 5, "The strap is very comfortable, and it looks good."
    texts = {"m1": long, "m2": half, "m3": long, "m4": half, "m5": half}
    refresher.after(load_piece(served, *(ReviewRecord(id=n, user="ben", sku="S1", text=t) for n, t in texts.items())))
    assert left == [
        ["review:m1", "review:m3", "review:m5"],  # two are as long as a chunk may be
        ["review:m1", "review:m3"],
    ]
    turns = [waiting(served)]
    while turns[-1] and len(turns) < 20:
        refresher.upkeep()
        turns.append(waiting(served))
    # One a turn, between which the source has its own.
    assert [now for now, _ in groupby(turns)] == [["review:m1", "review:m3"], ["review:m3"], []]


def test_who_met_a_newcomer_before_it_had_a_place_is_placed_with_it(served: GraphStore, reader: Reader) -> None:
    refresher = Refresher(served, reader)
    product = load_piece(served, STRAP)
    refresher.after(load_piece(served, bought("dora", "S3")))
    assert vector(served, "User", "dora") is None
    refresher.after(product)
    assert vector(served, "User", "dora") == pytest.approx(vector(served, "Product", "S3"), abs=1e-6)


def test_what_one_that_was_killed_left_is_done_by_the_next(served: GraphStore, reader: Reader) -> None:
    young = Refresher(served, reader)
    young.sweep()
    load_piece(served, STRAP, bought("ben", "S1"))
    young.sweep(older=timedelta(minutes=5))
    assert waiting(served) == ["ben", "product:S3"]  # perhaps somebody is at it
    young.sweep()
    assert waiting(served) == []
    assert vector(served, "Product", "S3") is not None
    assert served.read("MATCH (d:Document {id: 'product:S3'}) RETURN d.encoded IS NOT NULL AS encoded") == [
        {"encoded": True}
    ]


def test_of_a_user_who_did_more_meanwhile_nothing_is_written(
    served: GraphStore, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_piece(served, bought("ben", "S1"))
    mean, before = foldin._mean, vector(served, "User", "ben")

    def slow(*arguments: Any) -> np.ndarray | None:
        served.write("MATCH (u:User {id: 'ben'}) SET u.waiting = 'later'")
        return mean(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(foldin, "_mean", slow)
        Refresher(served, reader).after(loaded)
    assert waiting(served) == ["ben"]
    assert vector(served, "User", "ben") == before
    Refresher(served, reader).sweep()
    assert vector(served, "User", "ben") != before


def test_a_price_that_changes_is_nothing_to_read(served: GraphStore, reader: Reader) -> None:
    Refresher(served, reader).after(load_piece(served, STRAP))
    load_piece(served, replace(STRAP, price=9.0))
    assert waiting(served) == []


def test_what_came_before_there_was_a_model_is_placed_when_one_is_live(shop: GraphStore, reader: Reader) -> None:
    refresher = Refresher(shop, reader)
    refresher.after(load_piece(shop, STRAP, bought("ben", "S1")))
    assert waiting(shop) == ["ben"]  # the text is read; there is no place yet
    write_embeddings(shop, replace(model("m1"), settings={"factors": {"text": 2.0, "made_by": 0.5}, "lift": 4.0}))
    registry.promote(shop, "m1")
    refresher.sweep()
    assert vector(shop, "Product", "S3") is not None
    assert np.argmax(vector(shop, "User", "ben") or []) == 0
    assert waiting(shop) == []


def product(sku: str, title: str, description: str = "") -> ProductRecord:
    return ProductRecord(sku=sku, title=title, description=description, brand="Ashdown")


def goes_with(store: GraphStore, sku: str) -> set[str]:
    rows = store.read(
        "MATCH (:Product {sku: $sku})-[{source: 'extraction'}]->(other:Product) RETURN other.sku AS sku", sku=sku
    )
    return {row["sku"] for row in rows}


def test_a_text_is_linked_to_a_product_that_came_before_it(served: GraphStore, reader: Reader) -> None:
    refresher = Refresher(served, reader)
    refresher.after(load_piece(served, product("N1", "Ashdown Z-900 guitar")))
    refresher.after(load_piece(served, product("N2", "Ashdown leather bag", "Fits the Ashdown Z-900.")))
    assert goes_with(served, "N2") == {"N1"}


def test_a_text_is_linked_to_a_product_that_came_after_it(served: GraphStore, reader: Reader) -> None:
    refresher = Refresher(served, reader)
    refresher.sweep()
    bag = product("M2", "Ashdown canvas bag", "Fits the Ashdown Q-700.")
    refresher.after(load_piece(served, bag, product("M3", "Ashdown practice amp", "It is no Ashdown Q-700.")))
    assert goes_with(served, "M2") == set()
    refresher.after(load_piece(served, product("M1", "Ashdown Q-700 guitar")))
    assert waiting(served) == ["product:M2", "product:M3"]
    refresher.sweep()
    assert waiting(served) == []
    assert goes_with(served, "M2") == {"M1"}
    refresher.after(load_piece(served, replace(bag, price=9.0)))
    assert waiting(served) == []  # those that name one another do not call for one another again and again


def test_texts_that_are_to_be_read_again_are_as_soon_as_nothing_comes(
    served: GraphStore, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresher = Refresher(served, reader)
    refresher.sweep()
    bag = product("V2", "Ashdown canvas case", "Fits the Ashdown V-700.")
    amp = product("V3", "Ashdown bass amp", "It is no Ashdown V-700.")
    refresher.after(load_piece(served, bag, amp))
    refresher.after(load_piece(served, product("V1", "Ashdown V-700 guitar")))
    assert waiting(served) == ["product:V2", "product:V3"]
    # It is too early for another look.
    assert not refresher.upkeep()
    assert waiting(served) == ["product:V2", "product:V3"]
    monkeypatch.setattr(refresh, "CHUNK", 1)
    assert refresher.upkeep(idle=True)
    assert waiting(served) == ["product:V3"]
    # What is gone, or done by another process, is not waited for.
    served.write("MATCH (d:Document {id: 'product:V3'}) REMOVE d.waiting")
    assert not refresher.upkeep(idle=True)
    assert goes_with(served, "V2") == {"V1"}


def test_of_what_other_processes_brought_reviews_know_the_product(served: GraphStore, reader: Reader) -> None:
    load_piece(served, product("K1", "Ashdown K-300 guitar"))
    loaded = load_piece(served, ReviewRecord(id="k1", user="ben", sku="K1", text="The K-300 has a very good sound."))
    Refresher(served, reader).after(loaded)
    assert reader.extractor(served).named_in("My Ashdown K-300 is loud.") == {"K1"}


def test_names_that_others_brought_are_learnt_beside_the_work(
    served: GraphStore, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.app.refresh.NAMES_S", 0.0)
    monkeypatch.setattr("kg.app.refresh.NAMES_SHARE", 0)
    reader.extractor(served)
    load_piece(served, product("L1", "Ashdown L-400 guitar"))
    reader.renew(served)
    for thread in threading.enumerate():
        if thread.name == "names":
            thread.join()
    assert reader.extractor(served).named_in("It fits the L-400.") == {"L1"}


def test_names_that_came_are_learnt_beside_the_work(
    served: GraphStore, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.app.refresh.NAMES_S", 0.0)
    monkeypatch.setattr("kg.app.refresh.NAMES_SHARE", 0)
    reader.stale = True
    reader.learn_names(served)
    first = reader.extractor(served)
    reader.renew(served)
    assert reader.extractor(served) is first  # nothing came
    reader.stale = True
    reader.renew(served)
    for thread in threading.enumerate():
        if thread.name == "names":
            thread.join()
    assert reader.extractor(served) is not first
