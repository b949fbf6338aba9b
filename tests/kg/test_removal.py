"""What is taken away leaves the graph as if it had never been loaded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from embeddings.foldin import waiting_users
from extraction import corpus
from kg import intake, schema
from kg.errors import InputError
from kg.graph import Document, Evidence, Extraction, Graph, Node, NodeRef, Relationship
from kg.provenance import record
from kg.records import EventRecord, ProductRecord, ReviewRecord, UserRecord
from kg.removal import Removed, remove
from kg.statements import review_statements
from kg.store import GraphStore, Transaction
from tests.conftest import empty, wait_until_blocked
from tests.kg.whole_graph import whole_graph

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GUITAR = ProductRecord(
    sku="G1", title="Ashdown S-200 guitar", brand="Ashdown", categories=(("Instruments", "Guitars", "Electric"),)
)
STRAP = ProductRecord(
    sku="S1",
    title="Birch leather strap",
    description="Brown leather. Fits the Ashdown S-200.",
    brand="Birch",
    categories=(("Instruments", "Accessories"),),
)
TUNER = ProductRecord(sku="T1", title="Birch tuner", brand="Birch", related={"bought_together": ("S1",)})
PRAISE = ReviewRecord(id="r1", user="anna", sku="S1", text="So comfortable, fine leather.", rating=5.0, at=NOON)
SECOND = ReviewRecord(id="r2", user="dora", sku="S1", text="Very comfortable. Nice buckle.", rating=4.0, at=NOON)
FACTS = {
    "leather": (
        "HAS_ATTRIBUTE",
        Node("AttributeValue", "material=leather", {"attribute": "material", "value": "leather"}),
    ),
    "comfortable": ("PRAISED_FOR", Node("Aspect", "comfort", {"name": "comfort"})),
    "buckle": ("PRAISED_FOR", Node("Aspect", "buckle", {"name": "buckle"})),
    "Ashdown S-200": ("COMPATIBLE_WITH", Node("Product", "G1")),
}
"""A word of a text, and what it says of the text's product."""


def event(user: str, sku: str, hours: int, type_: str = "viewed") -> EventRecord:
    return EventRecord(user=user, sku=sku, type=type_, at=NOON + timedelta(hours=hours))


EVENTS = (
    event("anna", "S1", 0, "bought"),
    event("anna", "G1", 5),
    event("anna", "S1", 1),
    event("anna", "S1", 2),
    event("emil", "G1", 3),
    EventRecord(user="anna", type="searched", query="strap", at=NOON + timedelta(hours=4)),
)


RATING = ReviewRecord(id="r3", user="emil", sku="S1", text="Fine.", rating=2.0, at=NOON, rates=True)
"""A review as Amazon's files have them, which is a rating as well."""
AGAIN = replace(RATING, id="r4", rating=4.0, at=NOON + timedelta(hours=9))
"""The same user's second thoughts."""
ALONE = replace(RATING, id="r5", user="rita")
"""Of somebody who did nothing else."""


def load(
    store: GraphStore,
    products: tuple[ProductRecord, ...],
    reviews: tuple[ReviewRecord, ...],
    events: tuple[EventRecord, ...],
    users: tuple[UserRecord, ...] = (),
) -> None:
    """Load a shop and record what its texts say, as far as its products are there."""

    def refuse(of: object, reason: str) -> None:
        raise AssertionError(f"{of}: {reason}")

    intake.load_products(store, products, document_of=corpus.product_document, now=NOON)
    intake.load_reviews(store, reviews, document_of=corpus.review_document, refuse=refuse, pseudonym=str)
    intake.load_users(store, users, pseudonym=str)
    intake.load_events(store, events, refuse=refuse, pseudonym=str)
    documents = [*map(corpus.product_document, products), *map(corpus.review_document, reviews)]
    there = {p.sku for p in products}
    record(store, documents, [_read(document, there) for document in documents], version="1")


def _read(document: Document, there: set[str]) -> Extraction:
    subject = NodeRef("Product", document.sku)
    nodes, relationships, evidence = [], [], []
    for quote, (type_, node) in FACTS.items():
        start = document.text.find(quote)
        if start < 0 or node.ref == subject or (node.label == "Product" and node.key not in there):
            continue
        bare = Relationship(subject, type_, node.ref, schema.EXTRACTION)
        relationships.append(replace(bare, properties={"fact": bare.fact, "confidence": 0.8}))
        end = start + len(quote)
        evidence.append(Evidence(document.id, start, end, quote, 0.8, "test", "1", NOON, bare.fact, node.ref))
        if node.label != "Product":
            nodes.append(node)
    return Extraction(document.id, Graph(tuple(nodes), tuple(relationships), tuple(evidence)))


def held(store: GraphStore) -> list[str]:
    """The whole graph, but for who waits; relationships alike but for their places in it have no order of their own."""
    graph = whole_graph(store)
    for node in graph["nodes"]:
        node["properties"].pop("waiting", None)
    return sorted(repr(sorted(one.items())) for part in graph.values() for one in part)


@pytest.mark.parametrize(
    ("kind", "keys", "without"),
    [
        ("products", ["G1"], ((STRAP, TUNER), (PRAISE, SECOND), tuple(e for e in EVENTS if e.sku != "G1"))),
        ("products", ["S1"], ((GUITAR, replace(TUNER, related={})), (), tuple(e for e in EVENTS if e.sku != "S1"))),
        ("reviews", ["r2", "unheard of"], ((GUITAR, STRAP, TUNER), (PRAISE,), EVENTS)),
        ("sources", ["bought_together"], ((GUITAR, STRAP, replace(TUNER, related={})), (PRAISE, SECOND), EVENTS)),
    ],
    ids=["a product that others name", "a product with reviews", "a review", "a source"],
)
def test_what_is_removed_might_never_have_been_loaded(
    store: GraphStore, kind: str, keys: list[str], without: tuple[Any, Any, Any]
) -> None:
    load(store, *without)
    wanted = held(store)
    empty(store)
    load(store, (GUITAR, STRAP, TUNER), (PRAISE, SECOND), EVENTS)
    assert held(store) != wanted
    assert remove(store, kind, keys).found == 1
    assert held(store) == wanted
    assert remove(store, kind, keys).found == 0
    assert held(store) == wanted


@pytest.mark.parametrize("gone", [RATING, AGAIN, ALONE], ids=["the earlier", "the later", "all that the user did"])
def test_a_rating_goes_with_the_review_that_it_is(store: GraphStore, gone: ReviewRecord) -> None:
    def load_with(*rated: ReviewRecord) -> None:
        load(store, (GUITAR, STRAP, TUNER), (PRAISE, *rated), (*EVENTS, *(r.rated for r in rated)))

    ratings = (RATING, AGAIN, ALONE)
    load_with(*(r for r in ratings if r != gone))
    wanted = held(store)
    empty(store)
    load_with(*ratings)
    assert remove(store, "reviews", [gone.id]).found == 1
    assert held(store) == wanted
    assert ("emil" in waiting_users(store)) is (gone.user == "emil")


def test_a_review_that_is_no_rating_leaves_what_the_user_rated(store: GraphStore) -> None:
    plain = replace(RATING, rates=False)
    load(store, (GUITAR, STRAP, TUNER), (plain,), (plain.rated,))
    remove(store, "reviews", [plain.id])
    assert store.read("MATCH (:User {id: 'emil'})-[r:RATED]->() RETURN r.rating AS rating") == [{"rating": 2.0}]


def test_a_document_takes_its_facts_along_but_not_what_another_text_says_too(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (PRAISE, SECOND), ())
    assert remove(store, "documents", ["product:S1"]).products == ("S1",)
    facts = store.read("MATCH (p)-[r {source: 'extraction'}]->(x) RETURN type(r) AS type, x.key AS key ORDER BY key")
    # What it fits only the strap's own text said; leather a review says, too.
    assert [(row["type"], row["key"]) for row in facts] == [
        ("PRAISED_FOR", "buckle"),
        ("PRAISED_FOR", "comfort"),
        ("HAS_ATTRIBUTE", "material=leather"),
    ]


def test_a_document_takes_the_vector_of_its_text_along(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (PRAISE,), ())
    store.write("MATCH (p:Product) SET p.text_embedding = [1.0, 0.0]")
    remove(store, "documents", ["product:S1", "review:r1"])
    assert store.read("MATCH (p:Product) WHERE p.text_embedding IS NOT NULL RETURN p.sku AS sku") == [{"sku": "G1"}]


def test_a_review_that_comes_while_its_product_is_removed_goes_with_it(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (), ())
    with ThreadPoolExecutor(1) as another:

        def work(tx: Transaction) -> Future[Removed]:
            tx.run_all(review_statements([PRAISE], [corpus.review_document(PRAISE)], str))
            removal = another.submit(remove, store, "products", ["S1"])
            wait_until_blocked(store)
            return removal

        removed = store.transact(work).result()
    assert removed == Removed("products", 1, ("anna",), ("S1",))
    assert store.read("MATCH (n:User|Review) RETURN n") == []
    assert store.read("MATCH (d:Document) RETURN d.id AS id") == [{"id": "product:G1"}]


def test_a_user_of_whom_nothing_but_a_segment_is_left_is_forgotten(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (PRAISE, SECOND), (event("anna", "G1", 1),))
    store.write("CREATE (s:Segment {id: '1'}) WITH s MATCH (u:User) CREATE (u)-[:IN_SEGMENT {strength: 0.5}]->(s)")
    remove(store, "products", ["S1"])
    assert store.read("MATCH (u:User) RETURN u.id AS id") == [{"id": "anna"}]


def test_who_did_something_with_a_removed_product_waits_for_another_vector(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (replace(SECOND, user="emil"),), EVENTS)
    remove(store, "products", ["S1"])
    assert waiting_users(store) == ["anna"]  # a review alone is in no vector


def test_without_extraction_nothing_is_said_by_texts_that_were_to_be_read_again(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (PRAISE,), ())
    store.write("MATCH (d:Document) REMOVE d.extracted")
    assert remove(store, "sources", ["extraction"]).products == ("S1",)
    assert store.read("MATCH (n:Evidence|AttributeValue|Aspect) RETURN n") == []
    assert store.read("MATCH ()-[r {source: 'extraction'}]->() RETURN r") == []


def test_without_extraction_nothing_is_read(store: GraphStore) -> None:
    load(store, (GUITAR, STRAP), (PRAISE,), ())
    remove(store, "sources", ["extraction"])
    assert store.read("MATCH (n:Evidence|AttributeValue|Aspect) RETURN n") == []
    assert store.read("MATCH (d:Document) RETURN d.extracted AS mark") == [{"mark": None}] * 3


@pytest.mark.parametrize("source", ["bought_together", "extraction"])
def test_of_a_large_source_no_more_is_held_than_fits_into_a_transaction(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    loose = tuple(ProductRecord(sku=f"L{n}", title="Pick", related={"bought_together": ("S1",)}) for n in range(7))
    load(store, (STRAP, TUNER, *loose), (PRAISE, SECOND), ())
    monkeypatch.setattr("kg.removal._AT_ONCE", 3)
    monkeypatch.setattr("kg.removal._BATCH", 3)
    held: list[int] = []

    def counting(asked: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def ask(*args: Any, **how: Any) -> list[Any]:
            rows = asked(*args, **how)
            held.append(len(rows))
            return rows

        return ask

    monkeypatch.setattr(GraphStore, "read", counting(GraphStore.read))
    monkeypatch.setattr(Transaction, "run", counting(Transaction.run))
    removed = remove(store, "sources", [source])
    monkeypatch.undo()
    assert max(held) == 3
    picks = tuple(f"L{n}" for n in range(7))
    assert removed.products == ((*picks, "T1") if source == "bought_together" else (*picks, "S1", "T1"))
    assert store.read("MATCH ()-[r {source: $source}]->() RETURN r", source=source) == []
    assert store.read("MATCH (d:Document) WHERE d.extracted IS NULL RETURN count(d) AS n") == [
        {"n": 0 if source == "bought_together" else 11}
    ]


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [("brands", ["birch"], "expected one of products"), ("sources", ["catalogue"], "name the products or reviews")],
)
def test_what_cannot_be_removed_is_said(store: GraphStore, kind: str, keys: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        remove(store, kind, keys)
