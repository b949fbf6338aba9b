"""Pieces of a stream on a real Neo4j: records and the place of their source stand in the graph together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from extraction.corpus import product_document, review_document
from kg.errors import InputError, StatementError
from kg.records import EventRecord, Place, ProductRecord, Record, ReviewRecord, UserRecord
from kg.removal import remove
from kg.store import GraphStore
from kg.streams import Documents, load_piece, places

END = Place(120, 3, "abc")
TOO_LONG = "x" * 40_000
"""No key of an index."""
AT = datetime(2026, 3, 1, tzinfo=UTC)


def load(store: GraphStore, *records: Record, place: Place = END, **how: object) -> list[Record]:
    arguments = {
        "documents": Documents(product_document, review_document),
        "pseudonym": lambda user: user,
        "repeats": Counter(),
    }
    return list(load_piece(store, "events /a.jsonl", place, records, **(arguments | how)).refused)  # type: ignore[arg-type]


def viewed(user: str, sku: str, **what: object) -> EventRecord:
    return EventRecord(user=user, type="viewed", sku=sku, **what)  # type: ignore[arg-type]


VIEWS = "MATCH (u:User)-[r:VIEWED]->(p:Product) RETURN u.id AS user, p.sku AS sku, r.count AS count ORDER BY user, sku"


def test_an_unknown_source_is_at_its_beginning(store: GraphStore) -> None:
    assert places(store, ["events /a.jsonl"]) == {"events /a.jsonl": Place()}


def test_records_and_place_are_there_together(store: GraphStore) -> None:
    assert load(store, ProductRecord(sku="G1", title="Guitar")) == []
    assert load(store, viewed("anna", "G1", at=AT), UserRecord(user="ben", interests=("blues",))) == []
    assert store.read(VIEWS) == [{"user": "anna", "sku": "G1", "count": 1}]
    assert places(store, ["events /a.jsonl", "events /b.jsonl"]) == {
        "events /a.jsonl": END,
        "events /b.jsonl": Place(),
    }


def test_what_is_refused_is_told_before_anything_stands(store: GraphStore) -> None:
    unknown = ReviewRecord(id="r1", user="anna", sku="X9", text="Nice.")

    def full(refused: Sequence[Record]) -> None:
        assert list(refused) == [unknown]
        raise InputError("The disk is full.")

    with pytest.raises(InputError):
        load(store, unknown, before_commit=full)
    assert places(store, ["events /a.jsonl"]) == {"events /a.jsonl": Place()}
    assert load(store, unknown) == [unknown]
    assert places(store, ["events /a.jsonl"]) == {"events /a.jsonl": END}


def test_what_was_rejected_is_counted_at_the_place(store: GraphStore) -> None:
    def counted() -> list[object]:
        rows = store.read("MATCH (o:Offset) RETURN o.rejected AS rejected, o.behind AS behind")
        return [(row["rejected"], row["behind"]) for row in rows]

    unknown = ReviewRecord(id="r1", user="anna", sku="X9", text="Nice.")
    for place in (Place(50, 3, "abc"), Place(120, 6, "abc"), Place(120, 6, "abc")):  # the last one is tried again
        load(store, unknown, place=place, rejected=2, behind=40)
    assert counted() == [(6, 40)]
    load(store, place=Place(320, 9, "def"), first=True, rejected=1)  # the file was replaced
    assert counted() == [(1, 0)]


def test_missing_products_are_made_if_that_is_wished(store: GraphStore) -> None:
    assert load(store, viewed("anna", "X9", at=AT), create_missing=True) == []
    assert store.read("MATCH (p:Product) RETURN p.sku AS sku, p.title AS title") == [{"sku": "X9", "title": "X9"}]


def test_a_missing_product_that_comes_just_then_stays_as_it_came(store: GraphStore) -> None:
    def came(_: object) -> None:
        load(store, ProductRecord(sku="X9", title="Guitar", active=False))

    assert load(store, viewed("anna", "X9", at=AT), create_missing=True, before_commit=came) == []
    assert store.read("MATCH (p:Product) RETURN p.title AS title, p.active AS active") == [
        {"title": "Guitar", "active": False}
    ]
    assert store.read(VIEWS) == [{"user": "anna", "sku": "X9", "count": 1}]


def test_records_of_a_product_that_is_removed_just_then_are_refused(store: GraphStore) -> None:
    load(store, ProductRecord(sku="G1", title="Guitar"), ProductRecord(sku="S1", title="Strap"))
    told: list[list[Record]] = []

    def removed(refused: Sequence[Record]) -> None:
        told.append(list(refused))
        remove(store, "products", ["G1"])

    review = ReviewRecord(id="r1", user="anna", sku="G1", text="Nice.")
    lost, kept, unknown = viewed("anna", "G1"), viewed("anna", "S1"), viewed("anna", "X9")
    repeats: Counter[int] = Counter()
    there = Place(320, 8, "abc")
    refused = load(store, review, lost, kept, unknown, place=there, before_commit=removed, repeats=repeats)
    assert refused == [review, lost, unknown]
    assert told == [[unknown], [review, lost]]
    assert store.read(VIEWS) == [{"user": "anna", "sku": "S1", "count": 1}]
    assert store.read("MATCH (n:Review) RETURN n") == []
    assert sorted(repeats.values()) == [0, 1]
    assert store.read("MATCH (o:Offset) RETURN o.rejected AS rejected")[0]["rejected"] == 3
    assert load(store, kept, repeats=repeats) == []
    assert store.read(VIEWS) == [{"user": "anna", "sku": "S1", "count": 2}]


def test_what_the_database_refuses_leaves_the_place_where_it_was(store: GraphStore) -> None:
    load(store, ProductRecord(sku="G1", title="Guitar"), place=Place(10, 1, "abc"))
    with pytest.raises(StatementError):
        load(store, viewed("ben", "G1", at=AT), viewed(TOO_LONG, "G1", at=AT), place=Place(20, 3, "abc"))
    assert places(store, ["events /a.jsonl"])["events /a.jsonl"].bytes == 10
    assert store.read(VIEWS) == []


def test_relations_of_products_are_made_to_those_that_are_there(store: GraphStore) -> None:
    related = {"also_bought": ("S1", "X9")}
    load(store, ProductRecord(sku="G1", title="Guitar", related=related), ProductRecord(sku="S1", title="Strap"))
    assert store.read("MATCH (p:Product)-[r:BOUGHT_WITH]->(q) RETURN p.sku AS a, q.sku AS b") == [
        {"a": "G1", "b": "S1"}
    ]


def test_relations_that_a_product_says_no_more_go(store: GraphStore) -> None:
    guitar = ProductRecord(sku="G1", title="Guitar", related={"also_bought": ("S1",)}, variant_of="S1")
    load(store, guitar, ProductRecord(sku="S1", title="Strap"))
    load(store, replace(guitar, related={"also_viewed": ("S1",)}, variant_of=None))
    assert store.read("MATCH (:Product)-[r]->(:Product) RETURN type(r) AS type") == [{"type": "VIEWED_WITH"}]


def test_a_review_that_comes_again_for_another_product_waits_to_be_read_again(store: GraphStore) -> None:
    load(store, ProductRecord(sku="G1", title="Guitar"), ProductRecord(sku="S1", title="Strap"))
    review = ReviewRecord(id="r1", user="anna", sku="G1", text="Nice.")
    load(store, review)
    store.write("MATCH (d:Document {id: 'review:r1'}) SET d.extracted = d.sha256 + ' 1' REMOVE d.waiting")
    waits = "MATCH (d:Document {id: 'review:r1'}) RETURN d.sku AS sku, d.waiting IS NOT NULL AS waits"
    load(store, review)
    assert store.read(waits) == [{"sku": "G1", "waits": False}]
    load(store, replace(review, sku="S1"))
    assert store.read(waits) == [{"sku": "S1", "waits": True}]


def test_equal_events_without_a_time_are_counted_across_pieces(store: GraphStore) -> None:
    load(store, ProductRecord(sku="G1", title="Guitar"))
    repeats: Counter[int] = Counter()
    for _ in range(3):
        load(store, viewed("anna", "G1"), repeats=repeats)
    assert store.read(VIEWS) == [{"user": "anna", "sku": "G1", "count": 3}]
