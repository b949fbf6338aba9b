"""Loading a shop's records: twice equals once, whole files own what they say, events are counted once."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from extraction.corpus import product_document, review_document
from kg.catalogue import find, run
from kg.errors import TooManyRejectsError
from kg.graph import Document, DocumentKind, Evidence, Extraction, Graph, Node, NodeRef, Relationship
from kg.intake import load_events, load_products, load_reviews, load_users
from kg.privacy import pseudonymiser
from kg.provenance import record
from kg.records import EventRecord, ProductRecord, ReviewRecord, UserRecord
from kg.store import GraphStore
from tests.kg.whole_graph import whole_graph

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)
GUITAR = ProductRecord(
    sku="G1",
    title="Ashdown S-200",
    description="Solid alder.",
    price=499.0,
    currency="USD",
    brand="Ashdown Inc.",
    categories=(("Instruments", "Guitars"),),
    related={"bought_together": ("S1", "elsewhere"), "accessory_of": ()},
    vectors={"image": (0.5, 0.5)},
)
STRAP = ProductRecord(sku="S1", title="Birch strap", brand="Birch", related={"accessory_of": ("G1", "S1")})


def same(user: str) -> str:
    return user


def refuse_none(record: object, reason: str) -> None:
    raise AssertionError(f"{record}: {reason}")


def products(store: GraphStore, *records: ProductRecord, **options: Any) -> Any:
    return load_products(store, records, document_of=product_document, **options)


def events(store: GraphStore, *records: EventRecord, **options: Any) -> Any:
    return load_events(store, records, **{"refuse": refuse_none, "pseudonym": same, **options})


def interaction(store: GraphStore, type_: str) -> dict[str, Any]:
    (row,) = store.read(f"MATCH (:User)-[r:{type_}]->() RETURN properties(r) AS r")
    return dict(row["r"])


def test_a_price_that_changes_leaves_the_one_before(store: GraphStore) -> None:
    def prices() -> tuple[list[float] | None, list[int] | None]:
        (row,) = store.read("MATCH (p:Product {sku: 'G1'}) RETURN p.prices AS prices, p.price_times AS times")
        return row["prices"], row["times"]

    products(store, replace(GUITAR, price=None))
    assert prices() == (None, None)
    products(store, GUITAR, now=NOON)
    products(store, GUITAR, now=LATER)  # the same file again says nothing new
    assert prices() == ([499.0], [0])
    products(store, replace(GUITAR, price=449.0), now=NOON)
    products(store, GUITAR, now=LATER)
    at = [int(moment.timestamp()) for moment in (NOON, LATER)]
    assert prices() == ([499.0, 449.0, 499.0], [0, *at])


def test_prices_of_another_currency_are_no_change_of_the_price(store: GraphStore) -> None:
    products(store, replace(GUITAR, price=9000.0, currency="JPY"), now=NOON)
    products(store, replace(GUITAR, price=9500.0, currency="JPY"), now=NOON)
    for _ in range(2):
        products(store, replace(GUITAR, price=60.0, currency="USD"), now=LATER)
    (row,) = store.read("MATCH (p:Product {sku: 'G1'}) RETURN p.prices AS prices, p.price_times AS times")
    # What was sold for yen was not sold at this price: it counts from when the currency came.
    assert row == {"prices": [60.0], "times": [int(LATER.timestamp())]}


def test_what_an_experiment_needs_is_kept(store: GraphStore) -> None:
    products(store, GUITAR)
    seen = [
        EventRecord(user="u", type="exposed", sku="G1", at=NOON, model="m1", arm="explore"),
        EventRecord(user="u", type="exposed", sku="G1", at=LATER, model="m1", arm="explore"),
        EventRecord(user="u", type="exposed", sku="G1", at=NOON, model="m1", arm="exploit"),
        EventRecord(user="u", type="clicked", sku="G1", at=LATER, model="m1", arm="explore"),
    ]
    for _ in range(2):
        events(store, *seen)
    rows = store.read(
        "MATCH (:User)-[r:EXPOSED|CLICKED]->(:Product) "
        "RETURN type(r) AS type, r.model AS model, r.arm AS arm, r.count AS count, r.times AS times ORDER BY type, arm"
    )
    noon, later = (int(moment.timestamp()) for moment in (NOON, LATER))
    assert [tuple(row.values()) for row in rows] == [
        ("CLICKED", "m1", "explore", 1, [later]),
        ("EXPOSED", "m1", "exploit", 1, [noon]),
        ("EXPOSED", "m1", "explore", 2, [noon, later]),
    ]
    plan = store.explain("MATCH ()-[r:EXPOSED]->() WHERE r.model = 'm1' RETURN count(r)")
    assert "exposed_model" in str(plan) or "DirectedRelationshipIndexSeek" in str(plan)


def test_a_product_brings_its_brand_its_shelves_its_text_and_its_relations(store: GraphStore) -> None:
    summary = products(store, GUITAR, STRAP)
    assert (summary.loaded, summary.unknown_targets) == (2, 1)
    rows = store.read(
        "MATCH (a)-[r]->(b) RETURN coalesce(a.sku, a.path) AS a, type(r) AS r, r.source AS source, "
        "coalesce(b.id, b.sku, b.key, b.path) AS b ORDER BY a, r, b"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("G1", "BOUGHT_WITH", "bought_together", "S1"),
        ("G1", "HAS_TEXT", None, "product:G1"),
        ("G1", "IN_CATEGORY", "catalogue", "Instruments > Guitars"),
        ("G1", "MADE_BY", "catalogue", "ashdown"),
        ("Instruments > Guitars", "SUBCATEGORY_OF", "catalogue", "Instruments"),
        ("S1", "ACCESSORY_OF", "accessory_of", "G1"),
        ("S1", "HAS_TEXT", None, "product:S1"),
        ("S1", "MADE_BY", "catalogue", "birch"),
    ]
    (text,) = store.read("MATCH (d:Document {id: 'product:G1'}) RETURN d.text AS text, d.title_end AS title_end")
    assert text == {"text": "Ashdown S-200\n\nSolid alder.", "title_end": 13}


def test_a_relation_of_an_unknown_kind_is_counted_not_made(store: GraphStore) -> None:
    odd = ProductRecord(sku="G2", title="Birch dreadnought", related={"married_to": ("G1", "S1")})
    assert products(store, GUITAR, odd).unknown_kinds == 2
    assert store.read("MATCH (:Product {sku: 'G2'})-[r]->(:Product) RETURN count(r) AS n") == [{"n": 0}]


def test_loading_everything_twice_equals_loading_it_once(store: GraphStore) -> None:
    review = ReviewRecord(id="r1", user="anna", sku="S1", text="Very comfortable.", rating=5.0, at=NOON)
    happened = (
        EventRecord(user="anna", sku="G1", type="bought", value=2, at=NOON),
        EventRecord(user="anna", sku="G1", type="bought"),
        EventRecord(user="anna", sku="G1", type="bought"),
        EventRecord(user="anna", sku="S1", type="exposed", model="m1", arm="a", at=NOON),
        EventRecord(user="anna", sku="S1", type="exposed", model="m1", arm="b", at=NOON),
        EventRecord(user="anna", type="searched", query=" Guitar  STRAP ", at=LATER),
    )

    def load() -> None:
        products(store, GUITAR, STRAP)
        load_reviews(store, [review], document_of=review_document, refuse=refuse_none, pseudonym=same)
        events(store, *happened)
        load_users(store, [UserRecord(user="anna", interests=("jazz",), friends=("ben",))], pseudonym=same)

    load()
    once = whole_graph(store)
    load()
    assert whole_graph(store) == once
    assert store.read("MATCH (:User)-[r:EXPOSED]->() RETURN r.arm AS arm ORDER BY arm") == [{"arm": "a"}, {"arm": "b"}]
    assert store.read("MATCH (:User)-[:SEARCHED]->(q) RETURN q.text AS q") == [{"q": "guitar strap"}]


def test_a_newer_file_takes_away_what_it_no_longer_says_but_not_what_others_said(store: GraphStore) -> None:
    products(store, GUITAR, STRAP)
    store.write(
        "MATCH (p:Product {sku: 'G1'}) MERGE (b:Brand {key: 'birch'}) "
        "MERGE (p)-[:MADE_BY {source: 'curator'}]->(b) SET p.popularity = 0.5"
    )
    products(store, ProductRecord(sku="G1", title="Ashdown S-200", brand="Cobalt"))
    assert store.read(
        "MATCH (:Product {sku: 'G1'})-[r:MADE_BY|IN_CATEGORY|BOUGHT_WITH]->(x) "
        "RETURN type(r) AS type, r.source AS source, x.key AS key ORDER BY key"
    ) == [
        {"type": "MADE_BY", "source": "curator", "key": "birch"},
        {"type": "MADE_BY", "source": "catalogue", "key": "cobalt"},
    ]
    (p,) = store.read("MATCH (p:Product {sku: 'G1'}) RETURN p.price AS price, p.popularity AS popularity")
    assert p == {"price": None, "popularity": 0.5}


def test_what_has_just_come_stands_on_the_first_page(store: GraphStore) -> None:
    products(store, GUITAR, STRAP)
    for name in ("recommend/cold_start_user", "recommend/for_user"):
        assert {row["sku"] for row in run(store, find(name), {"user": "somebody"})} == {"G1", "S1"}
    # A live model gives a product the usual popularity when it gives it a place, if it has none.
    store.write("CREATE (:Serving {name: 'model', version: 'm'})")
    products(store, replace(GUITAR, sku="G2"))
    assert store.read("MATCH (p:Product {sku: 'G2'}) RETURN p.popularity AS p") == [{"p": None}]


RELATIONS = (
    "MATCH (a:Product)-[r:BOUGHT_WITH|ACCESSORY_OF|VARIANT_OF]->(b:Product) "
    "RETURN a.sku AS a, r.source AS source, b.sku AS b ORDER BY a, b"
)


def relations(store: GraphStore) -> list[tuple[str, str, str]]:
    return [(row["a"], row["source"], row["b"]) for row in store.read(RELATIONS)]


@pytest.mark.parametrize("cut_after", range(3))
def test_a_load_that_stops_early_leaves_the_relations_that_were_there(store: GraphStore, cut_after: int) -> None:
    tuner = ProductRecord(sku="T1", title="Tuner", variant_of="G1")
    products(store, GUITAR, STRAP, tuner)
    before = [
        ("G1", "bought_together", "S1"),
        ("S1", "accessory_of", "G1"),
        ("T1", "catalogue", "G1"),
    ]
    assert relations(store) == before

    def cut_off() -> Any:
        yield from [replace(GUITAR, related={"bought_together": ("T1",)}), STRAP, replace(tuner, variant_of="S1")][
            :cut_after
        ]
        raise TooManyRejectsError("More than 0 records were rejected.")

    with pytest.raises(TooManyRejectsError):
        load_products(store, cut_off(), document_of=product_document, batch_size=1)
    assert relations(store) == before


def test_relations_that_a_newer_file_says_no_more_go_and_those_of_others_stay(store: GraphStore) -> None:
    products(store, GUITAR, STRAP)
    store.write("MATCH (a {sku: 'S1'}), (b {sku: 'G1'}) MERGE (a)-[:ACCESSORY_OF {source: 'curator'}]->(b)")
    products(store, replace(STRAP, related={}), batch_size=1)
    assert relations(store) == [("G1", "bought_together", "S1"), ("S1", "curator", "G1")]
    products(store, GUITAR, replace(STRAP, related={"substitute_for": ("G1",), "bought_together": ("G1",)}))
    assert relations(store) == [
        ("G1", "bought_together", "S1"),
        ("S1", "bought_together", "G1"),
        ("S1", "curator", "G1"),
    ]


def test_sync_makes_products_inactive_that_the_file_lacks(store: GraphStore) -> None:
    products(store, GUITAR, STRAP)
    assert products(store, STRAP, sync=True).deactivated == 1
    assert store.read("MATCH (p:Product) RETURN p.sku AS sku, p.active AS active ORDER BY sku") == [
        {"sku": "G1", "active": False},
        {"sku": "S1", "active": True},
    ]


def test_units_bought_add_up_and_the_latest_time_stands(store: GraphStore) -> None:
    products(store, GUITAR)
    events(store, EventRecord(user="anna", sku="G1", type="bought", value=3, at=LATER))
    events(store, EventRecord(user="anna", sku="G1", type="bought", at=NOON))
    r = interaction(store, "BOUGHT")
    assert (r["count"], r["at"].to_native(), r["first_at"].to_native()) == (4, LATER, NOON)
    assert r["strength"] == pytest.approx(1 + 0.6931, abs=1e-3)
    (user,) = store.read("MATCH (u:User) RETURN u.last_at AS at")
    assert user["at"].to_native() == LATER


def test_an_older_rating_that_arrives_late_does_not_replace_the_newer(store: GraphStore) -> None:
    products(store, GUITAR)
    events(store, EventRecord(user="anna", sku="G1", type="rated", value=2, at=LATER))
    events(store, EventRecord(user="anna", sku="G1", type="rated", value=5, at=NOON))
    r = interaction(store, "RATED")
    assert (r["rating"], r["count"], r["strength"]) == (2.0, 2, pytest.approx(0.4))


def test_the_same_event_in_two_files_is_one_and_equal_events_without_a_time_are_two(store: GraphStore) -> None:
    products(store, GUITAR)
    timed = EventRecord(user="anna", sku="G1", type="viewed", at=NOON)
    events(store, timed, timed)
    assert events(store, timed).unchanged_events == 1
    assert interaction(store, "VIEWED")["count"] == 1
    untimed = EventRecord(user="anna", sku="G1", type="carted")
    events(store, untimed, untimed)
    events(store, untimed, untimed)
    r = interaction(store, "CARTED")
    assert (r["count"], r.get("at"), r["times"]) == (2, None, [-1, -1])


def test_an_event_for_an_unknown_product_is_refused_or_makes_it(store: GraphStore) -> None:
    refused: list[str] = []
    event = EventRecord(user="anna", sku="ghost", type="viewed", at=NOON)
    assert events(store, event, refuse=lambda _, reason: refused.append(reason)).loaded == 0
    assert refused == ["The catalogue has no product 'ghost'; --create-missing would make it."]
    assert events(store, event, create_missing=True).loaded == 1
    assert store.read("MATCH (p:Product) RETURN p.sku AS sku, p.title AS title") == [{"sku": "ghost", "title": "ghost"}]


def test_a_review_of_an_unknown_product_is_refused(store: GraphStore) -> None:
    refused: list[str] = []
    review = ReviewRecord(id="r1", user="anna", sku="ghost", text="Nice.")
    load_reviews(
        store,
        [review],
        document_of=review_document,
        refuse=lambda _, reason: refused.append(reason),
        pseudonym=same,
    )
    assert refused == ["The catalogue has no product 'ghost'."]
    assert whole_graph(store)["nodes"] == []


def test_with_a_key_no_raw_user_id_enters_the_graph(store: GraphStore) -> None:
    products(store, GUITAR)
    hidden = pseudonymiser("a secret")
    events(store, EventRecord(user="anna@example.org", sku="G1", type="viewed"), pseudonym=hidden)
    load_users(store, [UserRecord(user="anna@example.org", friends=("ben@example.org",))], pseudonym=hidden)
    assert "example.org" not in repr(whole_graph(store))
    assert store.read("MATCH (u:User {id: $id})-[:VIEWED]->() RETURN count(*) AS n", id=hidden("anna@example.org")) == [
        {"n": 1}
    ]


def test_a_changed_text_takes_back_what_only_its_old_wording_supported(store: GraphStore) -> None:
    products(store, GUITAR)
    text = product_document(GUITAR).text
    alder = Node("AttributeValue", "material=alder", {"attribute": "material", "value": "alder"})
    fact = Relationship(NodeRef("Product", "G1"), "HAS_ATTRIBUTE", alder.ref, "extraction")
    fact = Relationship(fact.start, fact.type, fact.end, fact.source, {"fact": fact.fact, "confidence": 0.9})
    start = text.index("alder")
    found = Evidence("product:G1", start, start + 5, "alder", 0.9, "test", "1", NOON, fact.fact, alder.ref)
    document = Document("product:G1", DocumentKind.PRODUCT, text, "G1")
    record(store, [document], [Extraction(document.id, Graph((alder,), (fact,), (found,)))], version="1")
    products(store, GUITAR)
    assert store.read("MATCH (:Product)-[r:HAS_ATTRIBUTE]->() RETURN count(r) AS n") == [{"n": 1}]
    products(store, ProductRecord(sku="G1", title="Ashdown S-200", description="Solid maple."))
    assert store.read("MATCH (n) WHERE n:Evidence OR n:AttributeValue RETURN count(n) AS n") == [{"n": 0}]


def reviews(store: GraphStore, *records: ReviewRecord) -> None:
    load_reviews(store, records, document_of=review_document, refuse=refuse_none, pseudonym=same)


def test_a_review_that_comes_again_with_another_product_and_author_is_theirs_alone(store: GraphStore) -> None:
    """And what was read in it is taken back from the first product, to be read again for the second."""
    products(store, GUITAR, STRAP)
    first = ReviewRecord(id="r1", user="zoe", sku="G1", text="Very comfortable.")
    reviews(store, first, replace(first, id="r2"))
    store.write("MATCH (p:Product {sku: 'G1'}), (r:Review {id: 'r1'}) MERGE (r)-[:ABOUT {source: 'curator'}]->(p)")
    document = review_document(first)
    comfort = Node("Aspect", "comfort", {"name": "comfort"})
    fact = Relationship(NodeRef("Product", "G1"), "PRAISED_FOR", comfort.ref, "extraction")
    fact = replace(fact, properties={"fact": fact.fact, "confidence": 0.9})
    found = Evidence(document.id, 5, 16, "comfortable", 0.9, "test", "1", NOON, fact.fact, comfort.ref)
    record(store, [document], [Extraction(document.id, Graph((comfort,), (fact,), (found,)))], version="1")
    assert store.read("MATCH (d:Document {id: 'review:r1'}) RETURN d.extracted IS NULL AS unread") == [
        {"unread": False}
    ]

    reviews(store, replace(first, user="anna", sku="S1"))

    assert store.read(
        "MATCH (u:User)-[:WROTE]->(r:Review)-[a:ABOUT]->(p:Product) "
        "RETURN r.id AS id, u.id AS user, p.sku AS sku, a.source AS source ORDER BY id, sku"
    ) == [
        {"id": "r1", "user": "anna", "sku": "G1", "source": "curator"},
        {"id": "r1", "user": "anna", "sku": "S1", "source": "catalogue"},
        {"id": "r2", "user": "zoe", "sku": "G1", "source": "catalogue"},
    ]
    assert store.read("MATCH (n) WHERE n:Evidence OR n:Aspect RETURN count(n) AS n") == [{"n": 0}]
    assert store.read("MATCH (d:Document {id: 'review:r1'}) RETURN d.sku AS sku, d.extracted AS extracted") == [
        {"sku": "S1", "extracted": None}
    ]


def test_friends_whom_a_user_names_no_more_are_friends_no_more(store: GraphStore) -> None:
    def friends() -> list[tuple[str, str]]:
        rows = store.read("MATCH (a:User)-[:FRIEND_OF]->(b) RETURN a.id AS a, b.id AS b ORDER BY a, b")
        return [(row["a"], row["b"]) for row in rows]

    ben = UserRecord(user="ben", friends=("anna", "emil"))
    load_users(store, [UserRecord(user="anna", friends=("ben", "cleo")), ben], pseudonym=same)
    load_users(store, [UserRecord(user="anna", friends=("dora", "ben"))], pseudonym=same)
    assert friends() == [("anna", "ben"), ("anna", "dora"), ("ben", "anna"), ("ben", "emil")]
    # In a stream a user may come twice in one piece.
    load_users(store, [UserRecord(user="anna", friends=("cleo",)), UserRecord(user="anna")], pseudonym=same)
    assert friends() == [("ben", "anna"), ("ben", "emil")]


def test_two_loads_of_the_same_events_at_once_count_each_event_once(store: GraphStore) -> None:
    products(store, GUITAR, STRAP)
    happened = [
        EventRecord(user=f"u{n % 20}", sku=("G1", "S1")[n % 2], type="viewed", at=datetime.fromtimestamp(n, UTC))
        for n in range(400)
    ]
    failures: list[BaseException] = []

    def load() -> None:
        try:
            events(store, *happened, batch_size=50)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.read("MATCH ()-[r:VIEWED]->() RETURN sum(r.count) AS n, sum(size(r.events)) AS events") == [
        {"n": 400, "events": 400}
    ]


def test_a_session_that_comes_later_stands_beside_its_own_event(store: GraphStore) -> None:
    products(store, GUITAR)
    events(store, EventRecord(user="anna", sku="G1", type="viewed", at=NOON))
    assert "sessions" not in interaction(store, "VIEWED")
    events(store, EventRecord(user="anna", sku="G1", type="viewed", at=LATER, session="s1"))
    assert interaction(store, "VIEWED")["sessions"] == ["", "s1"]


@pytest.mark.parametrize("seed", range(3))
def test_events_loaded_in_parts_equal_events_loaded_at_once(store: GraphStore, seed: int) -> None:
    """New relationships and those that exist are counted by two branches of one statement: they must agree."""
    rng = random.Random(seed)
    happened = [
        EventRecord(
            user="whole",
            sku=rng.choice(("G1", "S1")),
            type=rng.choice(("viewed", "bought", "rated")),
            at=NOON + timedelta(hours=n) if n % 4 else None,
            value=rng.choice((None, 1.0, 3.0, 5.0)),
            session=rng.choice((None, "s1", "s2")),
        )
        for n in range(40)
    ]
    rng.shuffle(happened)
    products(store, GUITAR, STRAP)
    events(store, *happened)
    parts = [replace(e, user="parts") for e in happened]
    cuts = [0, *sorted(rng.sample(range(1, 40), 3)), 40]
    # Without a time, equal events of two loads count as one: they come in one load.
    events(store, *[e for e in parts if e.at is None])
    for start, stop in pairwise(cuts):
        events(store, *[e for e in parts[start:stop] if e.at is not None])

    def kept(user: str) -> list[Any]:
        rows = store.read(
            "MATCH (:User {id: $user})-[r]->(p) RETURN type(r) AS type, p.sku AS sku, properties(r) AS r "
            "ORDER BY type, sku",
            user=user,
        )
        found = []
        for row in rows:
            r = row["r"]
            aligned = sorted(zip(r["times"], map(repr, r["values"]), r.get("sessions") or [""] * 99, strict=False))
            found.append((row["type"], row["sku"], aligned, r["count"], round(r["strength"], 9), r["at"]))
        return found

    assert kept("parts") == kept("whole")


def test_what_the_shop_shows_is_nothing_that_the_user_did(store: GraphStore) -> None:
    products(store, GUITAR)
    events(store, EventRecord(user="u", type="bought", sku="G1", at=NOON))
    events(store, EventRecord(user="u", type="exposed", sku="G1", at=LATER))
    assert store.read("MATCH (u:User {id: 'u'}) RETURN u.last_at.epochSeconds AS at") == [{"at": NOON.timestamp()}]


def test_of_what_is_sold_by_the_metre_a_part_counts_as_a_whole_one(store: GraphStore) -> None:
    products(store, GUITAR)
    events(store, EventRecord(user="u", type="bought", sku="G1", at=NOON, value=1.5))
    events(store, EventRecord(user="u", type="bought", sku="G1", at=LATER, value=0.25))
    assert interaction(store, "BOUGHT")["count"] == 3
