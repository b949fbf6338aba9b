"""Facts and their evidence: replaced with their text, shared between texts, gone with their last source."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kg.errors import SchemaError
from kg.graph import Document, DocumentKind, Evidence, Extraction, Graph, Node, NodeRef, Relationship
from kg.provenance import ExtractionRun, count_pending, pending, record, retract, retract_statements, why
from kg.store import GraphStore, Transaction
from tests.conftest import wait_until_blocked

NOW = datetime(2026, 3, 1, tzinfo=UTC)
COMFORT = Node("Aspect", "comfort", {"name": "comfort"})
PRODUCT = NodeRef("Product", "S1")


def review(number: int, text: str) -> Document:
    return Document(f"review:{number}", DocumentKind.REVIEW, text, "S1")


def extraction(
    document: Document, quote: str, entity: Node = COMFORT, type_: str = "PRAISED_FOR", confidence: float = 0.7
) -> Extraction:
    r = Relationship(PRODUCT, type_, entity.ref, "extraction")
    r = replace(r, properties={"fact": r.fact, "confidence": confidence})
    start = document.text.index(quote)
    e = Evidence(document.id, start, start + len(quote), quote, confidence, "test", "1", NOW, r.fact, entity.ref)
    return Extraction(document.id, Graph((entity,), (r,), (e,)))


@pytest.fixture
def strap(store: GraphStore) -> GraphStore:
    """One product with two reviews, not read yet."""
    store.write("CREATE (:Product {sku: 'S1', title: 'Birch strap', active: true})")
    for document in (FIRST, SECOND):
        store.write(
            "MERGE (d:Document {id: $id}) "
            "SET d += {kind: 'review', sku: 'S1', text: $text, title_end: 0, sha256: $sha}",
            id=document.id,
            text=document.text,
            sha=document.sha256,
        )
    return store


FIRST = review(1, "Very comfortable strap.")
SECOND = review(2, "So comfortable! Ugly colour.")


def facts(store: GraphStore) -> list[tuple[str, str, int]]:
    rows = store.read("MATCH (:Product)-[r]->(x:Aspect) RETURN type(r) AS t, x.key AS k, r.count AS n ORDER BY t, k")
    return [(row["t"], row["k"], row["n"]) for row in rows]


def test_two_texts_that_say_the_same_support_one_fact(strap: GraphStore) -> None:
    record(strap, [FIRST, SECOND], [extraction(FIRST, "comfortable"), extraction(SECOND, "comfortable")], version="1")
    assert facts(strap) == [("PRAISED_FOR", "comfort", 2)]


def test_a_fact_stays_while_one_of_its_texts_does(strap: GraphStore) -> None:
    record(strap, [FIRST, SECOND], [extraction(FIRST, "comfortable"), extraction(SECOND, "comfortable")], version="1")
    retract(strap, [FIRST.id])
    assert facts(strap) == [("PRAISED_FOR", "comfort", 1)]
    retract(strap, [SECOND.id])
    assert facts(strap) == []
    assert strap.read("MATCH (n) WHERE n:Evidence OR n:Aspect RETURN count(n) AS n") == [{"n": 0}]
    assert strap.read("MATCH (d:Document) RETURN count(d) AS n") == [{"n": 2}]


def test_a_fact_is_as_certain_as_the_best_evidence_that_is_left(strap: GraphStore) -> None:
    def confidence() -> float:
        (row,) = strap.read("MATCH (:Product)-[r:PRAISED_FOR]->() RETURN r.confidence AS confidence")
        return float(row["confidence"])

    sure, unsure = extraction(FIRST, "comfortable", confidence=0.9), extraction(SECOND, "comfortable", confidence=0.6)
    record(strap, [FIRST, SECOND], [sure, unsure], version="1")
    assert confidence() == 0.9
    retract(strap, [FIRST.id])
    assert confidence() == 0.6


def test_reading_again_replaces_exactly_what_the_text_supported(strap: GraphStore) -> None:
    colour = Node("Aspect", "colour", {"name": "colour"})
    record(strap, [FIRST, SECOND], [extraction(FIRST, "comfortable"), extraction(SECOND, "comfortable")], version="1")
    record(strap, [SECOND], [extraction(SECOND, "Ugly colour", colour, "CRITICISED_FOR")], version="2")
    assert facts(strap) == [("CRITICISED_FOR", "colour", 1), ("PRAISED_FOR", "comfort", 1)]


def test_recording_twice_equals_recording_once(strap: GraphStore) -> None:
    for _ in range(2):
        record(strap, [FIRST], [extraction(FIRST, "comfortable")], version="1")
    assert facts(strap) == [("PRAISED_FOR", "comfort", 1)]
    assert strap.read("MATCH (e:Evidence) RETURN count(e) AS n") == [{"n": 1}]


def test_nothing_is_written_of_a_text_that_was_removed_or_reworded_while_it_was_read(strap: GraphStore) -> None:
    third = review(3, "Comfortable.")
    strap.write(
        "CREATE (:Document {id: 'review:3', kind: 'review', sku: 'S1', text: 'Comfortable.', title_end: 0, "
        "sha256: $sha})",
        sha=third.sha256,
    )
    read = [FIRST, SECOND, third]
    found = [extraction(FIRST, "comfortable"), extraction(SECOND, "comfortable"), extraction(third, "Comfortable")]
    strap.write("MATCH (d:Document {id: $id}) DELETE d", id=FIRST.id)
    strap.write("MATCH (d:Document {id: $id}) SET d.sha256 = 'another', d.waiting = 'a piece'", id=SECOND.id)
    run = ExtractionRun(strap, extractor="test", version="1", now=NOW)
    summary = run.record(read, found)
    assert (summary.outdated, summary.relationships, summary.evidence, run.documents) == (2, 1, 1, 1)
    assert facts(strap) == [("PRAISED_FOR", "comfort", 1)]
    assert strap.read(
        "MATCH (d:Document) OPTIONAL MATCH (d)<-[:FROM]-(e) "
        "RETURN d.id AS id, count(e) AS evidence, d.waiting AS waiting, d.extracted AS extracted ORDER BY id"
    ) == [
        {"id": SECOND.id, "evidence": 0, "waiting": "a piece", "extracted": None},
        {"id": third.id, "evidence": 1, "waiting": None, "extracted": f"{third.sha256} 1"},
    ]


def test_a_fact_goes_with_its_last_texts_though_they_go_at_once(strap: GraphStore) -> None:
    record(strap, [FIRST, SECOND], [extraction(FIRST, "comfortable"), extraction(SECOND, "comfortable")], version="1")
    with ThreadPoolExecutor(1) as another:

        def work(tx: Transaction) -> Future[None]:
            tx.run_all(retract_statements([FIRST.id]))
            at_once = another.submit(retract, strap, [SECOND.id])
            wait_until_blocked(strap)
            return at_once

        strap.transact(work).result()
    assert facts(strap) == []
    assert strap.read("MATCH (n:Evidence|Aspect) RETURN n") == []


def test_a_catalogue_fact_beside_the_extracted_one_is_never_taken_back(strap: GraphStore) -> None:
    birch = Node("Brand", "birch", {"name": "Birch"})
    document = review(3, "A Birch strap.")
    strap.write(
        "MATCH (p:Product) CREATE (p)-[:MADE_BY {source: 'catalogue'}]->(:Brand {key: 'birch', name: 'Birch'}), "
        "(:Document {id: 'review:3', kind: 'review', sku: 'S1', text: 'A Birch strap.', title_end: 0, sha256: $sha})",
        sha=document.sha256,
    )
    record(strap, [document], [extraction(document, "Birch", birch, "MADE_BY")], version="1")
    assert strap.read("MATCH ()-[r:MADE_BY]->() RETURN r.source AS s ORDER BY s") == [
        {"s": "catalogue"},
        {"s": "extraction"},
    ]
    retract(strap, [document.id])
    assert strap.read("MATCH ()-[r:MADE_BY]->() RETURN r.source AS s") == [{"s": "catalogue"}]


def test_only_texts_that_this_version_has_not_read_are_pending(strap: GraphStore) -> None:
    assert [d.id for page in pending(strap, "1", page=1) for d in page] == ["review:1", "review:2"]
    record(strap, [FIRST], [Extraction(FIRST.id, Graph())], version="1")
    assert [d.id for page in pending(strap, "1") for d in page] == ["review:2"]
    assert (count_pending(strap, "1"), count_pending(strap, "2")) == (1, 2)


def test_why_shows_the_quote_in_its_sentence(strap: GraphStore) -> None:
    found = extraction(SECOND, "comfortable")
    record(strap, [SECOND], [found], version="1")
    (testimony,) = why(strap, found.graph.relationships[0].fact)
    assert (testimony.before, testimony.quote, testimony.after) == ("So ", "comfortable", "! Ugly colour.")
    assert (testimony.type, testimony.object, testimony.title) == ("PRAISED_FOR", "comfort", "Birch strap")
    assert why(strap, "no such fact") == []


def test_nothing_is_recorded_without_evidence(strap: GraphStore) -> None:
    found = extraction(FIRST, "comfortable")
    bare = Extraction(FIRST.id, replace(found.graph, evidence=()))
    with pytest.raises(SchemaError, match="without evidence"):
        record(strap, [FIRST], [bare], version="1")
    assert facts(strap) == []


def test_a_run_is_recorded_and_one_that_was_cut_off_has_no_end(strap: GraphStore) -> None:
    run = ExtractionRun(strap, extractor="test", version="1", now=NOW)
    run.record([FIRST], [extraction(FIRST, "comfortable")])
    assert strap.read("MATCH (r:ExtractionRun) RETURN r.ended AS ended") == [{"ended": None}]
    run.close(now=NOW)
    assert strap.read("MATCH (r:ExtractionRun) RETURN r.documents AS d, r.facts AS f, r.rejected AS r") == [
        {"d": 1, "f": 1, "r": 0}
    ]
