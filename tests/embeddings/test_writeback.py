from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import registry, writeback
from embeddings.registry import Checkpoint
from embeddings.scoring import ScoreWeights
from embeddings.writeback import WriteBackSummary, write_embeddings
from kg import catalogue, leases, schema
from kg.errors import CheckpointError, EmbeddingError, LeaseLostError
from kg.migrations import vector_index_statement
from kg.store import GraphStore

WIDTH = schema.DEFAULT_DIMENSIONS
POPULARITY = {"G1": 0.9, "G2": 0.7, "S1": 0.8, "S2": 0.5, "T1": 0.3, "X1": 0.1}
"""Of the shop, whatever a model was trained on."""


def unit(*places: int, width: int = WIDTH) -> np.ndarray:
    """Rows with a single 1; a negative place gives a zero row."""
    rows = np.zeros((len(places), width), dtype=np.float32)
    for row, place in enumerate(places):
        if place >= 0:
            rows[row, place] = 1.0
    return rows


def model(version: str, first: int = 0, width: int = WIDTH) -> Checkpoint:
    """For the shop: anna near G1 and S1, cleo without a vector; G1 leads to S1 and T1.

    Models whose first place differs were trained on other popularities too.
    """
    similar = np.zeros((4, 4), dtype=np.float32)
    similar[0, 2], similar[0, 3] = 0.5, 0.25
    return Checkpoint(
        version=version,
        users=("anna", "ben", "cleo"),
        products=("G1", "G2", "S1", "T1"),
        user_vectors=unit(first, first + 1, -1, width=width),
        product_vectors=unit(first, first + 1, first, first + 2, width=width),
        similar=sp.csr_matrix(similar),
        popularity=np.roll(np.array([1.0, 0.5, 0.25, 0.0], dtype=np.float32), first),
        weights=ScoreWeights(1.0, 1.0, 0.1),
    )


def slots(store: GraphStore) -> dict[str, Any]:
    """All that a reader of a model can see, by slot and by version; what has neither by its own name."""
    rows = store.read("MATCH (p:Product) RETURN p.sku AS sku, p.popularity AS popularity ORDER BY sku")
    seen: dict[str, Any] = {"popularity": {row["sku"]: row["popularity"] for row in rows}}
    for slot in schema.SLOTS:
        rows = store.read(
            f"MATCH (n:User|Product) WHERE n.embedding_{slot} IS NOT NULL\n"
            f"RETURN coalesce(n.sku, n.id) AS key, n.embedding_{slot} AS v ORDER BY key"
        )
        seen[slot] = {row["key"]: row["v"].index(1.0) for row in rows}
    for row in store.read(
        "MATCH (a)-[r:SIMILAR_TO]->(b)\nRETURN r.model AS model, a.sku AS a, b.sku AS b, r.weight AS w ORDER BY a, b"
    ):
        seen.setdefault(row["model"], []).append((row["a"], row["b"], row["w"]))
    return seen


def test_the_first_model_fills_blue_and_waits_to_be_promoted(shop: GraphStore) -> None:
    assert write_embeddings(shop, model("v1")) == WriteBackSummary("v1", "blue", 2, 4, 2, missing=0)
    assert slots(shop) == {
        "blue": {"anna": 0, "ben": 1, "G1": 0, "G2": 1, "S1": 0, "T1": 2},
        "green": {},
        "v1": [("G1", "S1", 0.5), ("G1", "T1", 0.25)],
        "popularity": POPULARITY,
    }
    assert registry.live(shop) is None
    version = shop.read("MATCH (m:ModelVersion {id: 'v1'}) RETURN m.status AS s, m.dimensions AS d, m.w_similar AS w")
    assert version == [{"s": "ready", "d": WIDTH, "w": 1.0}]


def test_the_next_model_fills_the_dark_slot_and_the_third_takes_the_place_of_the_first(shop: GraphStore) -> None:
    for number, version in enumerate(["v1", "v2"]):
        write_embeddings(shop, model(version, first=number))
        registry.promote(shop, version)
    assert set(slots(shop)) == {"blue", "green", "v1", "v2", "popularity"}
    assert write_embeddings(shop, model("v3", first=5)).slot == "blue"
    now = slots(shop)
    assert set(now) == {"blue", "green", "v2", "v3", "popularity"}
    assert now["blue"]["anna"] == 5
    assert now["green"]["anna"] == 1
    assert registry.promote(shop, "v3").slot == "blue"
    assert registry.rollback(shop) == "v2"


def test_writing_twice_equals_writing_once(shop: GraphStore) -> None:
    write_embeddings(shop, model("v1"))
    once = slots(shop)
    assert write_embeddings(shop, model("v1")) == WriteBackSummary("v1", "blue", 2, 4, 2, missing=0)
    assert slots(shop) == once


class Killed(BaseException):
    """What a kill looks like from inside."""


STAGES = (
    "Clearing the slot",
    "User vectors",
    "Product vectors",
    "Relations",
    "Shelves",
    "Waiting for the index",
)


@pytest.mark.parametrize("stage", STAGES)
def test_cut_off_anywhere_the_live_slot_is_untouched_and_the_next_run_finishes(shop: GraphStore, stage: str) -> None:
    write_embeddings(shop, model("v1"))
    registry.promote(shop, "v1")
    before = slots(shop)

    def kill(now: str, *_: int) -> None:
        if now == stage:
            raise Killed

    with pytest.raises(Killed):
        write_embeddings(shop, model("v2", first=3), progress=kill)
    cut = slots(shop)
    assert {name: cut[name] for name in before if name != "green"} == {k: v for k, v in before.items() if k != "green"}
    assert registry.live(shop).version == "v1"
    # Another model than the one that was cut off: nothing of that one may remain.
    assert write_embeddings(shop, model("v3", first=7)).missing == 0
    done = slots(shop)
    assert set(done) == {"blue", "green", "v1", "v3", "popularity"}
    assert done["green"] == {"anna": 7, "ben": 8, "G1": 7, "G2": 8, "S1": 7, "T1": 9}
    assert (done["blue"], done["popularity"]) == (before["blue"], before["popularity"])


def test_a_node_deleted_since_the_export_is_skipped_and_counted(shop: GraphStore) -> None:
    shop.write("MATCH (n:Product|User) WHERE n.sku = 'S1' OR n.id = 'ben' DETACH DELETE n")
    assert write_embeddings(shop, model("v1")) == WriteBackSummary("v1", "blue", 1, 3, 1, missing=2)


def test_a_node_that_the_model_does_not_know_keeps_no_old_vector(shop: GraphStore) -> None:
    write_embeddings(shop, replace(model("v0"), version="v0"))
    shop.write("MATCH (p:Product {sku: 'X1'}) SET p.embedding_blue = $v", v=unit(0)[0].tolist())
    write_embeddings(shop, model("v1"))
    assert "X1" not in slots(shop)["blue"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("user_vectors", np.full((3, WIDTH), np.nan, dtype=np.float32), "users' vectors hold NaN"),
        ("product_vectors", 2.0 * unit(0, 1, 2, 3), "not of unit length"),
        ("weights", ScoreWeights(float("nan")), "score's weights hold NaN"),
    ],
)
def test_what_is_not_a_vector_is_refused_before_anything_is_written(
    shop: GraphStore, field: str, value: object, message: str
) -> None:
    with pytest.raises(EmbeddingError, match=message):
        write_embeddings(shop, replace(model("v1"), **{field: value}))
    assert slots(shop) == {"blue": {}, "green": {}, "popularity": POPULARITY}
    assert shop.read("MATCH (m:ModelVersion) RETURN m") == []


@pytest.fixture
def usual_index(store: GraphStore) -> Iterator[GraphStore]:
    """Puts the blue index back to its usual width afterwards."""
    yield store
    index = schema.embedding_index("blue")
    store.autocommit(f"DROP INDEX {index.name} IF EXISTS")
    store.autocommit(vector_index_statement(index))
    store.await_indexes()


def test_a_model_of_another_width_gets_an_index_of_that_width(shop: GraphStore, usual_index: GraphStore) -> None:
    write_embeddings(shop, model("v1", width=16))
    registry.promote(shop, "v1")
    near = shop.read(
        "CYPHER 25 MATCH (u:User {id: 'anna'}) MATCH (p:Product)\n"
        "SEARCH p IN (VECTOR INDEX product_embedding_blue FOR u.embedding_blue LIMIT 2) SCORE AS s\n"
        "RETURN p.sku AS sku, s ORDER BY sku"
    )
    assert near == [{"sku": "G1", "s": 1.0}, {"sku": "S1", "s": 1.0}]


@pytest.mark.parametrize("later", ["v1", "v2"])
@pytest.mark.parametrize("stage", STAGES)
def test_whoever_comes_later_takes_the_slot_and_the_earlier_writes_nothing_more(
    shop: GraphStore, stage: str, later: str
) -> None:
    """The later one is of another model, or of the same; its vectors differ either way, so that a mixture shows."""
    seen: list[dict[str, Any]] = []

    def intrude(now: str, *_: int) -> None:
        if now == stage and not seen:
            write_embeddings(shop, model(later, first=4))
            registry.promote(shop, later)
            seen.append(slots(shop))

    with pytest.raises(EmbeddingError, match="v1 was written into slot blue, another write-back took that slot"):
        write_embeddings(shop, model("v1"), progress=intrude)
    assert (
        slots(shop)
        == seen[0]
        == {
            "blue": {"anna": 4, "ben": 5, "G1": 4, "G2": 5, "S1": 4, "T1": 6},
            "green": {},
            later: [("G1", "S1", 0.5), ("G1", "T1", 0.25)],
            "popularity": POPULARITY,
        }
    )
    assert registry.live(shop).version == later


def test_a_slot_that_has_just_become_live_is_not_claimed(shop: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, version in enumerate(["v1", "v2"]):
        write_embeddings(shop, model(version, first=number))
        registry.promote(shop, version)
    blue, clock, came = slots(shop)["blue"], GraphStore.now, []

    def rolled_back_meanwhile(store: GraphStore) -> datetime:
        if not came:
            came.append(registry.rollback(store, now=clock(store)))
        return clock(store)

    monkeypatch.setattr(GraphStore, "now", rolled_back_meanwhile)
    assert write_embeddings(shop, model("v3", first=5)).slot == "green"
    assert came == ["v1"]
    assert registry.live(shop).version == "v1"
    assert slots(shop)["blue"] == blue


def test_beside_another_than_the_one_that_is_live_nothing_is_written(shop: GraphStore) -> None:
    write_embeddings(shop, model("v1"), beside="")
    registry.promote(shop, "v1", instead_of="")
    before = slots(shop)
    for beside in ("", "v0"):
        with pytest.raises(CheckpointError, match="v1 is live now"):
            write_embeddings(shop, model("v2", first=3), beside=beside)
    assert slots(shop) == before
    assert write_embeddings(shop, model("v2", first=3), beside="v1").slot == "green"


@pytest.mark.parametrize("stage", STAGES[1:4])
def test_who_has_lost_a_lease_writes_no_more_of_a_model(shop: GraphStore, stage: str) -> None:
    lease = leases.take(shop, "promote", "h1", timedelta(minutes=1))
    assert lease is not None

    def lose(now: str, *_: int) -> None:
        if now == stage:
            leases.release(shop, lease)

    with pytest.raises(LeaseLostError):
        write_embeddings(leases.fenced(shop, lease), model("v1"), progress=lose)
    assert registry.live(shop) is None
    lease = leases.take(shop, "promote", "h2", timedelta(minutes=1))
    assert lease is not None
    assert write_embeddings(leases.fenced(shop, lease), model("v1")).relations == 2


def test_readers_that_hammer_during_switches_never_see_two_models_mixed(shop: GraphStore) -> None:
    """A read takes vector, relation and model; whatever it sees belongs together, however often models switch.

    One of the readers asks for recommendations as customers do. Models are written beside the live one meanwhile, and
    a read that begins after a switch has been committed sees the new model or a later one.
    """

    def number(version: str) -> int:
        return int(version[1:]) % 2

    def write(version: str) -> None:
        # Even and odd ones differ in vectors, relations and the popularity that they were trained on.
        of = model(version, first=number(version))
        write_embeddings(shop, replace(of, similar=of.similar * (1.0 + number(version))))

    for_user = catalogue.load()["recommend/for_user"]

    def recommended() -> tuple[tuple[str, float], ...]:
        rows = catalogue.run(shop, for_user, {"user": "anna", "limit": 10}).rows
        return tuple((row["sku"], round(row["score"], 9)) for row in rows)

    told = []
    for version in ("v0", "v1"):
        write(version)
        registry.promote(shop, version)
        told.append(recommended())
    assert told[0] != told[1]
    query = """
        UNWIND range(1, 250) AS n
        CALL (n) {
          CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
          MATCH (m:ModelVersion {id: version}), (u:User {id: 'anna'})
          MATCH (:Product {sku: 'G1'})-[r:SIMILAR_TO {model: m.id}]->(p:Product {sku: 'S1'})
          RETURN m.id AS model, r.weight AS weight, p.popularity AS popularity,
                 CASE m.slot WHEN 'blue' THEN u.embedding_blue ELSE u.embedding_green END AS v
        }
        RETURN model, weight, popularity, v, count(n) AS reads"""
    order = ["v1"]
    """Versions in the order of their switches, each noted before its switch begins."""
    committed = 0
    """Place in the order of the last switch that is known to have been committed."""
    stop = threading.Event()
    settled: list[bool] = []

    def allowed(since: int) -> list[str]:
        """What a read may have seen that began when so many switches had been committed and has just ended."""
        versions = order[since:]
        settled.append(len(versions) == 1)
        return versions

    def hammer() -> int:
        reads = 0
        while not stop.is_set() or reads < 34_000:
            since = committed
            rows = shop.read(query)
            may = allowed(since)
            assert sum(row["reads"] for row in rows) == 250
            for row in rows:
                assert row["model"] in may
                seen = (row["v"].index(1.0), row["weight"], row["popularity"])
                assert seen == (number(row["model"]), 0.5 * (1.0 + number(row["model"])), POPULARITY["S1"])
            reads += 250
        return reads

    def ask() -> int:
        reads = 0
        while not stop.is_set() or reads < 300:
            since = committed
            answer = recommended()
            assert answer in {told[number(version)] for version in allowed(since)}
            reads += 1
        return reads

    def switch(version: str) -> None:
        nonlocal committed
        order.append(version)
        registry.promote(shop, version)
        committed = len(order) - 1
        time.sleep(0.02)  # so that reads begin and end between two switches

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(hammer) for _ in range(3)]
        asking = pool.submit(ask)
        try:
            for n in range(2, 10):
                write(f"v{n}")
                for version in (f"v{n}", f"v{n - 1}", f"v{n}"):
                    switch(version)
        finally:
            stop.set()
        assert sum(reader.result() for reader in readers) >= 100_000
        assert asking.result() >= 300
    assert sum(settled) > 100


def test_shelves_that_an_application_gave_by_itself_are_noted(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'T1'})\nCREATE (p)-[:IN_CATEGORY {source: 'us'}]->(:Category {path: 'A > B'})")
    write_embeddings(shop, model("v1"))
    rows = shop.read("MATCH (p:Product) WHERE p.shelf STARTS WITH 'A > ' RETURN p.sku AS sku, p.shelf AS shelf")
    assert rows == [{"sku": "T1", "shelf": "A > B > "}]


def test_the_stages_are_reported(shop: GraphStore) -> None:
    told: list[str] = []
    write_embeddings(shop, model("v1"), progress=lambda stage, done, of: told.append(stage))
    assert tuple(dict.fromkeys(told)) == STAGES
    assert writeback.WriteBackSummary("v", "blue", 1, 2, 3, 4).as_dict()["missing"] == 4
