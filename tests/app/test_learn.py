"""``kg learn``: what changed since the training is found in the graph, learned once, and lost by no kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from embeddings import deltas, foldin, registry
from embeddings.registry import Checkpoint
from embeddings.training import train
from embeddings.writeback import write_embeddings
from extraction.corpus import product_document, review_document
from kg import removal, streams
from kg.app import jobs, models
from kg.catalogue import load, run
from kg.errors import CheckpointError
from kg.records import EventRecord
from kg.settings import Settings
from kg.store import GraphStore
from kg.streams import Documents
from tests.conftest import empty
from tests.embeddings.worlds import QUICK, write_checkerboard

EVENTS = [
    EventRecord(user=user, type="bought", sku=f"p{n:02}", at=datetime(2030, 1, 1, tzinfo=UTC))
    for user in ("newcomer", "u01")
    for n in (0, 2, 4, 6, 8, 10)
]
"""A new user who takes even products, and one of the odd users who begins to."""


@pytest.fixture(scope="module")
def shop(session_store: GraphStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Checkpoint]:
    """A checkerboard's model in a home."""
    empty(session_store)
    write_checkerboard(session_store)
    folder: Path = tmp_path_factory.mktemp("home")
    return Settings(home=folder), train(session_store, home=folder, device="cpu", settings=QUICK)


@pytest.fixture
def settings(store: GraphStore, shop: tuple[Settings, Checkpoint]) -> Settings:
    """It is live, then some users buy something."""
    found, trained = shop
    write_checkerboard(store)
    write_embeddings(store, trained)
    registry.promote(store, trained.version)
    documents = Documents(product_document, review_document)
    streams.load_piece(store, None, None, EVENTS, documents=documents, pseudonym=str, repeats=Counter())
    return found


def standing(store: GraphStore) -> Mapping[str, Any]:
    """All that a learner writes, but for the time."""
    (nodes,) = store.read(
        "MATCH (n:User|Product|ModelVersion)\nWITH n ORDER BY coalesce(n.sku, n.id)\n"
        "RETURN collect([n.embedding_blue, n.embedding_green, n.popularity, n.learned, n.learned_print]) AS nodes"
    )
    (relations,) = store.read(
        "MATCH (a)-[r:SIMILAR_TO]->(b)\nWITH * ORDER BY a.sku, b.sku\n"
        "RETURN collect([a.sku, b.sku, r.weight, r.next]) AS relations"
    )
    return {**nodes, **relations}


def recommended(store: GraphStore, user: str) -> list[tuple[str, float]]:
    rows = run(store, load()["recommend/for_user"], {"user": user, "limit": 4})
    return [(row["sku"], row["score"]) for row in rows]


def even(store: GraphStore, user: str) -> int:
    """How many of the four best recommendations are even products."""
    return sum(int(sku[1:]) % 2 == 0 for sku, _ in recommended(store, user))


def test_what_came_is_learned_once(store: GraphStore, settings: Settings) -> None:
    before, neighbour = standing(store), recommended(store, "u03")
    learned = models.learn(store, settings)
    assert learned["users"] == 2
    after = standing(store)
    assert even(store, "newcomer") == 4
    # The relations between products follow, and with them what those are recommended who did nothing.
    assert after["relations"] != before["relations"]
    assert recommended(store, "u03") != neighbour
    (job,) = [job for job in jobs.scheduled_jobs(settings) if job.name == "learn"]
    assert job.run(store) == f"0 users and 0 products for {learned['version']}"
    assert standing(store) == after


def test_a_later_change_keeps_what_an_earlier_one_taught(store: GraphStore, settings: Settings) -> None:
    models.learn(store, settings)
    (taught,) = store.read("MATCH (u:User {id: 'newcomer'}) RETURN u.learned_free AS free")
    removal.remove(store, "products", ["p19"])
    again = models.learn(store, settings)
    assert again["users"] == 18  # those who had met it
    assert store.read("MATCH (u:User {id: 'newcomer'}) RETURN u.learned_free AS free") == [taught]
    assert even(store, "newcomer") == 4
    assert models.learn(store, settings)["users"] == 0


def test_what_is_said_of_a_product_is_learned_once_too(store: GraphStore, settings: Settings) -> None:
    models.learn(store, settings)
    said = (
        "MATCH (p:Product {sku: $sku})\nMERGE (b:Brand {key: 'ashdown'}) SET b.name = 'Ashdown'\n"
        "MERGE (p)-[:MADE_BY {source: 'catalogue'}]->(b)\nSET p.text_embedding = [1.0, 0.0]"
    )
    store.write("CREATE (:Product {sku: 'p20', title: 'Product 20', active: true})")
    for sku in ("p20", "p02"):
        store.write(said, sku=sku)
    learned = models.learn(store, settings)
    assert (learned["users"], learned["products"]) == (0, 2)
    assert models.learn(store, settings)["products"] == 0
    store.write("MATCH (:Product {sku: 'p02'})-[r:MADE_BY]->()\nDELETE r")
    assert models.learn(store, settings)["products"] == 1


def test_one_that_is_killed_is_done_by_the_next(
    store: GraphStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    foldin.fold_in_users(store, foldin.waiting_users(store))  # a place meanwhile, which says nothing of learning
    before = standing(store)

    def killed(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(deltas, "write_change", killed)
        with pytest.raises(KeyboardInterrupt):
            models.learn(store, settings)
    assert standing(store) == before
    assert models.learn(store, settings)["users"] == 2


def test_of_two_at_once_one_writes(store: GraphStore, settings: Settings, shop: tuple[Settings, Checkpoint]) -> None:
    late = deltas.Learner(store, shop[1])
    models.learn(store, settings)
    after = standing(store)
    with pytest.raises(CheckpointError, match="Another process has learned"):
        late.learn(store)
    assert standing(store) == after


def test_who_did_something_meanwhile_keeps_the_newer_place_and_is_learned_next(
    store: GraphStore, settings: Settings, shop: tuple[Settings, Checkpoint]
) -> None:
    late = deltas.Learner(store, shop[1])
    again = [EventRecord(user="newcomer", type="bought", sku="p12", at=datetime(2030, 1, 2, tzinfo=UTC))]
    documents = Documents(product_document, review_document)
    streams.load_piece(store, None, None, again, documents=documents, pseudonym=str, repeats=Counter())
    assert foldin.fold_in_users(store, foldin.waiting_users(store)) == 2
    vectors = (
        "MATCH (u:User) WHERE u.id IN ['newcomer', 'u01'] RETURN u.id AS id, u.embedding_blue AS v, u.learned_by AS by"
    )
    folded = {row["id"]: row["v"] for row in store.read(vectors)}
    assert late.learn(store).users == 2
    learned = {row["id"]: row for row in store.read(vectors)}
    assert learned["newcomer"] == {"id": "newcomer", "v": folded["newcomer"], "by": None}
    assert learned["u01"]["by"] == shop[1].version
    assert learned["u01"]["v"] != folded["u01"]
    assert models.learn(store, settings)["users"] == 1
    learned = {row["id"]: row for row in store.read(vectors)}
    assert learned["newcomer"]["by"] == shop[1].version
    assert models.learn(store, settings)["users"] == 0


def test_without_a_live_model_or_what_it_was_trained_on_it_says_what_to_do(
    store: GraphStore, settings: Settings, shop: tuple[Settings, Checkpoint], tmp_path: Path
) -> None:
    earlier = Settings(home=tmp_path)
    with pytest.raises(CheckpointError, match="No checkpoint"):
        models.learn(store, earlier)
    registry.save(replace(shop[1], user_prints=None), tmp_path)
    with pytest.raises(CheckpointError, match="does not say what it was trained on"):
        models.learn(store, earlier)
    store.write("MATCH (s:Serving)\nDELETE s")
    with pytest.raises(CheckpointError, match="No model is live"):
        models.learn(store, settings)
    (job,) = [job for job in jobs.scheduled_jobs(settings) if job.name == "learn"]
    assert job.run(store) == "no model is live yet"
