"""Ways to break it: each ends in one clear sentence, and the next run completes the graph."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extraction.corpus import product_document
from kg import intake, localdb
from kg.app import jobs
from kg.errors import ConnectionFailedError, KGError
from kg.migrations import migrate
from kg.records import ProductRecord
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.conftest import Kg, lines
from tests.conftest import BRIEF_JAVA, empty
from tests.kg.whole_graph import whole_graph

SHOP = [
    {"sku": f"P{n}", "title": f"Product {n}", "brand": f"Brand {n % 7}", "categories": [["A", f"B{n % 5}"]]}
    for n in range(400)
]


def one_sentence(text: str) -> bool:
    """No traceback, and something to read."""
    return text.startswith("kg: ") and "Traceback" not in text and len(text) > 40


# --- what can be called with ---------------------------------------------------------------------------------


def test_a_wrong_password(kg: Kg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "wrong")
    answer = kg("init")
    assert answer.code == 1
    assert one_sentence(answer.err)
    assert "NEO4J_PASSWORD" in answer.err


def test_an_address_where_nobody_answers(kg: Kg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    answer = kg("query", "product/profile", "--param", "sku=G1")
    assert answer.code == 1
    assert one_sentence(answer.err)


def test_a_misspelt_setting(kg: Kg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_BATCHSIZE", "7")
    answer = kg("init")
    assert (answer.code, "KG_BATCH_SIZE" in answer.err) == (1, True)


def test_a_graph_of_a_newer_version(kg: Kg, store: GraphStore) -> None:
    store.write("CREATE (:Migration {id: '9999 later'})")
    answer = kg("extract")
    store.write("MATCH (m:Migration {id: '9999 later'}) DELETE m")
    assert (answer.code, "9999 later" in answer.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("query", "product/profil"), "product/profile"),
        (("query", "product/profile"), "sku"),
        (("query", "product/profile", "--param", "sku"), "NAME=VALUE"),
        (("query", "product/profile", "--param", "colour=red"), "colour"),
        (("why", "0123456789abcdef"), "product/why"),
        (("ingest", "products", "nowhere.jsonl"), "nowhere.jsonl"),
        (("evaluate", "recommend", "--holdout", "x.jsonl", "--k", "ten"), "whole numbers"),
    ],
)
def test_a_wrong_call_says_what_was_expected(kg: Kg, arguments: tuple[str, ...], words: str) -> None:
    answer = kg(*arguments)
    assert answer.code == 1
    assert words in answer.err
    assert "Traceback" not in answer.err


# --- what happens on the way ---------------------------------------------------------------------------------


def test_a_file_that_breaks_off_is_completed_by_the_whole_one(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    whole = lines(tmp_path / "p.jsonl", *SHOP)
    packed = gzip.compress(whole.read_bytes())
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(packed[: len(packed) - 200])
    answer = kg("ingest", "products", broken)
    assert answer.code == 1
    assert one_sentence(answer.err)
    assert str(broken) in answer.err
    assert kg("ingest", "products", whole).code == 0
    after = whole_graph(store)
    clear(store)
    kg("ingest", "products", whole)
    assert after == whole_graph(store)


def test_a_load_that_is_interrupted_between_batches_is_completed_by_the_next(store: GraphStore) -> None:
    records = [ProductRecord(sku=f"P{n}", title=f"Product {n}", brand=f"Brand {n % 7}") for n in range(100)]

    def interrupted() -> Iterator[ProductRecord]:
        yield from records[:55]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        intake.load_products(store, interrupted(), document_of=product_document, batch_size=10)
    intake.load_products(store, records, document_of=product_document, batch_size=10)
    after = whole_graph(store)
    clear(store)
    intake.load_products(store, records, document_of=product_document)
    assert after == whole_graph(store)


def test_two_ingests_at_once_equal_one(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    products = lines(tmp_path / "p.jsonl", *SHOP)
    events = lines(
        tmp_path / "e.jsonl",
        *({"user": f"u{n % 9}", "sku": f"P{n % 400}", "type": "viewed", "at": n} for n in range(1200)),
    )
    for kind, path in (("products", products), ("events", events)):
        command = [sys.executable, "-m", "kg.app.cli", "ingest", kind, str(path)]
        running = [
            subprocess.Popen(
                [*command, "--rejects", str(tmp_path / f"rejects{n}.jsonl")],
                env={**os.environ, "KG_BATCH_SIZE": "20"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in range(2)
        ]
        for process in running:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    together = whole_graph(store)
    clear(store)
    kg("ingest", "products", products)
    kg("ingest", "events", events)
    assert sorted_events(together) == sorted_events(whole_graph(store))


def test_an_extraction_that_dies_goes_on_where_it_was(
    kg: Kg, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        {
            "sku": f"S{n}",
            "title": f"Birch strap {n}",
            "brand": "Birch",
            "description": f"Black leather, {n + 1} m long.",
        }
        for n in range(6)
    ]
    kg("ingest", "products", lines(tmp_path / "p.jsonl", *texts))
    pages = jobs.provenance.pending

    def short_pages(store: GraphStore, version: str, **_: int) -> Iterator[list[Any]]:
        for number, page in enumerate(pages(store, version, page=2)):
            if number == 2:
                raise KGError("The power went.")
            yield page

    settings = Settings.load()
    monkeypatch.setattr(jobs.provenance, "pending", short_pages)
    with pytest.raises(KGError, match="power"):
        jobs.extract(store, settings)
    monkeypatch.setattr(jobs.provenance, "pending", pages)
    assert jobs.extract(store, settings).documents == 2
    completed = facts(store)
    assert completed
    jobs.extract(store, settings, everything=True)
    assert facts(store) == completed


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, localdb.Connection]]:
    """A Neo4j of this test's own, to be killed."""
    for name, value in BRIEF_JAVA.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "fragile"
    yield home, localdb.start(home, heap_mb=384, page_cache_mb=64)
    localdb.stop(home)


@pytest.mark.servers
def test_a_server_killed_in_mid_load_loses_nothing_that_was_committed(
    fragile: tuple[Path, localdb.Connection],
) -> None:
    home, connection = fragile
    records = [ProductRecord(sku=f"P{n}", title=f"Product {n}", brand=f"Brand {n % 7}") for n in range(600)]
    committed = threading.Event()
    with GraphStore.connect(connection.uri, connection.username, connection.password, retry_s=1) as doomed:
        migrate(doomed)

        def kill() -> None:
            committed.wait(60)
            os.kill(connection.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ConnectionFailedError, match="run the same command again"):
            intake.load_products(
                doomed,
                slowly(records),
                document_of=product_document,
                batch_size=50,
                progress=lambda _: committed.set(),
            )
        killer.join()
    assert not localdb.status(home).running
    again = localdb.start(home, heap_mb=384, page_cache_mb=64)
    with GraphStore.connect(again.uri, again.username, again.password) as revived:
        assert revived.read("MATCH (p:Product) RETURN count(p) > 0 AS some") == [{"some": True}]
        intake.load_products(revived, records, document_of=product_document)
        after = whole_graph(revived)
        empty(revived)
        intake.load_products(revived, records, document_of=product_document)
        assert after == whole_graph(revived)


def slowly(records: list[ProductRecord]) -> Iterator[ProductRecord]:
    """Records at a pace at which the killer comes in time."""
    for n, record in enumerate(records):
        if n % 50 == 0:
            time.sleep(0.02)
        yield record


def clear(store: GraphStore) -> None:
    store.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")


def facts(store: GraphStore) -> list[dict[str, Any]]:
    return store.read(
        "MATCH (p:Product)-[r {source: 'extraction'}]->(x) MATCH (e:Evidence {fact: r.fact})-[:FROM]->(d) "
        "RETURN p.sku AS p, type(r) AS r, coalesce(x.key, x.path) AS x, r.count AS n, e.quote AS q, d.id AS d, "
        "e.start AS at ORDER BY p, r, x, at"
    )


def sorted_events(graph: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Which of two loads came first decides the order of the events on a relationship, and nothing else."""
    for relationship in graph["relationships"]:
        properties = relationship["properties"]
        for name in ("events", "times"):
            if name in properties:
                properties[name] = sorted(properties[name])
    return graph
