"""Some of the seeds of ``make faults`` beyond the schedulers', and that what they look for would be seen."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from embeddings import registry
from embeddings.writeback import write_embeddings
from kg import localdb, streams
from kg.app.pieces import DOCUMENTS
from kg.app.refresh import Refresher
from kg.records import EventRecord
from kg.store import GraphStore
from tests.faults.__main__ import table
from tests.faults.clock import shift_clock
from tests.faults.kinds import KINDS
from tests.faults.outcome import RECOVERY_S, Played, Scene, scene_at
from tests.faults.processes import context
from tests.faults.proxy import How, draw_cuts
from tests.faults.readers import reading, shape, told_apart, wrong_in_the_graph
from tests.faults.stream import PATIENCE_S, shop_with_model, wait


@pytest.fixture
def scene(store: GraphStore, database: localdb.Connection, tmp_path: Path) -> Scene:
    return Scene(tmp_path, store, database, {})


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        *(("network", 3), ("network", 6), ("network", 16), ("promotion", 1), ("disk", 1), ("disk", 2), ("clock", 1)),
        ("promotion", 2),  # one that trains is killed
        ("post", 0),
        ("rivals", 3),
    ],
)
def test_nothing_is_lost_doubled_or_mixed(scene: Scene, kind: str, seed: int) -> None:
    assert list(KINDS[kind].play(scene, seed).violations) == []


@pytest.mark.servers
def test_nothing_is_lost_where_neo4j_is_started_again(home: Path) -> None:
    with scene_at(home / "restarted") as scene:
        assert list(KINDS["restart"].play(scene, 0).violations) == []


def _load_ahead(connection: localdb.Connection) -> None:
    """In a process whose clock is a day ahead: load an event, and be gone before its user is served."""
    shift_clock(timedelta(days=1))
    with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
        # Before the model was written: no look for users who went on since then finds it.
        event = EventRecord(user="anna", sku="T1", type="viewed", at=datetime(2026, 3, 4, tzinfo=UTC))
        streams.load_piece(
            store, None, None, [event], documents=DOCUMENTS, pseudonym=lambda name: name, repeats=Counter()
        )


def test_what_a_process_with_a_clock_ahead_left_is_found_at_once(
    store: GraphStore, database: localdb.Connection
) -> None:
    shop_with_model(store)
    process = context.Process(target=_load_ahead, args=(database,), daemon=True)
    process.start()
    process.join(PATIENCE_S)
    assert streams.count_waiting(store) == 1
    Refresher(store, None).sweep()
    assert streams.count_waiting(store) == 0


def test_an_answer_of_two_models_is_seen(store: GraphStore) -> None:
    answers = told_apart(store)
    live = registry.live(store)
    assert live is not None
    other = "blue" if live.slot == "green" else "green"
    with reading(store, answers) as readers:
        # The relations of one model, the vectors of the other.
        store.write(f"MATCH (n:User|Product)\nSET n.embedding_{live.slot} = n.embedding_{other}")
        wait(lambda: len(readers.wrong) > 0)
    assert "was told what no model says" in readers.wrong[0]
    assert any("The live vectors are" in one for one in wrong_in_the_graph(store, 1))


def test_relations_that_are_doubled_and_left_are_seen(store: GraphStore) -> None:
    told_apart(store)
    write_embeddings(store, shape(2))
    registry.promote(store, "m2")
    assert list(wrong_in_the_graph(store, 2)) == []
    store.write("MATCH (a)-[r:SIMILAR_TO {model: 'm2'}]->(b)\nCREATE (a)-[s:SIMILAR_TO]->(b)\nSET s = properties(r)")
    store.write("MATCH (a:Product {sku: 'G1'})\nCREATE (a)-[:SIMILAR_TO {model: 'm0', weight: 1.0}]->(a)")
    assert [one.partition(" [")[0] for one in wrong_in_the_graph(store, 2)] == [
        "The live relations are",
        "Relations of m0, m1 were left.",
    ]
    assert list(wrong_in_the_graph(store, 3)) == ["Live is m2 instead of m3."]


def test_a_seed_draws_the_same_cuts_and_all_kinds_of_them_are_drawn() -> None:
    drawn = [draw_cuts(random.Random(seed), 12) for seed in range(100)]
    assert drawn == [draw_cuts(random.Random(seed), 12) for seed in range(100)]
    assert {cut.how for cuts in drawn for cut in cuts} == set(How)


def test_there_are_at_least_300_runs_and_a_table_tells_of_them() -> None:
    assert sum(kind.runs for kind in KINDS.values()) >= 300
    late = Played("disk", 3, "…", (), RECOVERY_S + 1, 60.0)
    assert late.complaints == ["It took 31.0 s until the work went on."]
    assert table([Played("disk", 1, "…", (), 2.0, 3.0), late, Played("clock", 0, "…", (), 1.0, 2.0)]).splitlines() == [
        "kind        runs  broken  longest recovery",
        "disk           2       1            31.0 s",
        "clock          1       0             1.0 s",
    ]
