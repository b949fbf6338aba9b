"""Learning from a change alone: right at once for those who changed, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import deltas, registry, ridge
from embeddings.deltas import Learned, Learner, _Inverse
from embeddings.evaluation import read_model
from embeddings.features import Features
from embeddings.registry import Checkpoint
from embeddings.ridge import ridge_weights
from embeddings.training import train
from embeddings.writeback import write_embeddings
from kg.errors import CheckpointError
from kg.store import GraphStore
from tests.conftest import empty
from tests.embeddings.worlds import QUICK, checkerboard, write_checkerboard

NEW_USERS = [f"u{n}" for n in range(36, 40)]
NEW_PRODUCT = "p19"


@pytest.fixture(scope="module")
def trained(session_store: GraphStore, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A checkerboard before its last four users and its last product came."""
    empty(session_store)
    write_checkerboard(session_store)
    session_store.write(
        "MATCH (n)\nWHERE n.id IN $users OR n.sku = $sku\nDETACH DELETE n", users=NEW_USERS, sku=NEW_PRODUCT
    )
    return train(session_store, home=tmp_path_factory.mktemp("home"), settings=QUICK)


@pytest.fixture
def live(store: GraphStore, trained: Checkpoint) -> GraphStore:
    """It is live, and nobody new has come."""
    write_checkerboard(store)
    store.write("MATCH (n)\nWHERE n.id IN $users OR n.sku = $sku\nDETACH DELETE n", users=NEW_USERS, sku=NEW_PRODUCT)
    write_embeddings(store, trained)
    registry.promote(store, trained.version)
    return store


def come(store: GraphStore) -> None:
    store.write("CREATE (:Product {sku: $sku, active: true, title: 'Product 19'})", sku=NEW_PRODUCT)
    store.write(
        "UNWIND $pairs AS pair\nMATCH (p:Product {sku: pair[1]})\nMERGE (u:User {id: pair[0]})\n"
        "MERGE (u)-[r:BOUGHT]->(p)\nSET r.count = 1, r.strength = 1.0",
        pairs=[list(pair) for pair in checkerboard()[0]],
    )


def best(store: GraphStore) -> dict[str, str]:
    """What each user who is held out of is recommended first, by what stands in the graph."""
    model = read_model(store)
    x = model.interactions
    scores = model.ranker()(np.arange(x.n_users))
    scores[x.users, x.products] = -np.inf
    skus = model.index.keys["Product"]
    return {user: skus[row] for user, row in zip(model.index.keys["User"], scores.argmax(axis=1), strict=True)}


def test_new_users_and_a_new_product_find_their_place(live: GraphStore, trained: Checkpoint) -> None:
    learner = Learner(live, trained)
    come(live)
    odd = [f"u{n:02}" for n in range(1, 40, 2)]  # who have met the new product, and the new users
    learned = learner.learn(live, [*odd, *NEW_USERS], [NEW_PRODUCT])
    assert learned.users == 22
    assert learned.products == 1
    assert best(live) == dict(checkerboard()[1])
    assert live.read("MATCH (s:Serving {name: 'model'}) RETURN s.version AS v") == [{"v": trained.version}]
    # To another that reads the graph nothing is left to learn.
    assert Learner(live, trained).learn(live) == Learned(0, 0, 0, 0)


def test_who_comes_drives_nothing_away_that_nobody_has_met(live: GraphStore, trained: Checkpoint) -> None:
    """Of a product without a word and without a taker nothing is known, whatever others take: it stands nowhere."""
    learner = Learner(live, trained)
    come(live)
    live.write("CREATE (:Product {sku: 'p20', active: true, title: 'Product 20'})")
    assert learner.learn(live, NEW_USERS, [NEW_PRODUCT, "p20"]).products == 2
    found = live.read("MATCH (p:Product) WHERE p.sku IN ['p19', 'p20'] RETURN p.sku AS sku, p.embedding_blue AS v")
    assert {row["sku"]: row["v"] is None for row in found} == {"p19": False, "p20": True}


def test_where_nothing_changed_all_stays_as_it_was(live: GraphStore, trained: Checkpoint) -> None:
    before = read_model(live).scorer
    assert Learner(live, trained).learn(live, ["u00"], ["p00"]).relations == 0
    after = read_model(live).scorer
    assert after.user_vectors == pytest.approx(before.user_vectors, abs=1e-5)
    assert (after.similar != before.similar).nnz == 0


def test_one_user_less_and_another_more_is_a_change(live: GraphStore, trained: Checkpoint) -> None:
    learner = Learner(live, trained)
    (row,) = live.write(
        "MATCH (u:User)-[r:BOUGHT]->(p:Product {sku: 'p02'})\nWITH u, r, p ORDER BY u.id LIMIT 1\n"
        "MATCH (other:User) WHERE NOT (other)-->(p)\nWITH u, r, p, other ORDER BY other.id LIMIT 1\n"
        "CREATE (other)-[new:BOUGHT]->(p)\nSET new = properties(r)\nDELETE r\n"
        "RETURN u.id AS less, other.id AS more"
    )
    assert learner.learn(live, [row["less"], row["more"]], []).relations > 0


def test_a_product_that_is_gone_leaves_no_trace(live: GraphStore, trained: Checkpoint) -> None:
    learner = Learner(live, trained)
    live.write("MATCH (p:Product {sku: 'p00'})\nDETACH DELETE p")
    assert learner.learn(live, [], ["p00"]).products == 1
    assert "p00" not in best(live).values()


ODD = [f"u{n:02}" for n in range(1, 36, 2)]
_ONTO: Final = """
MATCH (:Product {sku: $sku})-[r:SIMILAR_TO]->(p:Product)
WHERE r.weight > 0.0
RETURN collect(p.sku) AS onto
"""


def test_of_a_large_catalogue_too_a_new_product_leads_to_what_its_takers_took(
    live: GraphStore, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has met another of these products since, so that none of them is solved again."""
    for module in (deltas, ridge):
        monkeypatch.setattr(module, "EXACT_PRODUCTS", 5)
    learner = Learner(live, trained)
    live.write("CREATE (:Product {sku: $sku, active: true, title: 'Product 19'})", sku=NEW_PRODUCT)
    live.write(
        "MATCH (p:Product {sku: $sku})\nMATCH (u:User)\nWHERE u.id IN $users\n"
        "CREATE (u)-[:BOUGHT {count: 1, strength: 1.0}]->(p)",
        sku=NEW_PRODUCT,
        users=ODD,
    )
    learner.learn(live, ODD, [NEW_PRODUCT])
    (row,) = live.read(_ONTO, sku=NEW_PRODUCT)
    assert sorted(row["onto"]) == [f"p{n:02}" for n in range(1, 19, 2)]


def test_who_is_read_again_keeps_what_follows_it(store: GraphStore, tmp_path: Path) -> None:
    """Nothing is said of p00 that was not said before, so nothing is learned; what came after it came after it."""
    write_checkerboard(store)
    store.write(
        "MATCH (u:User)-[r:BOUGHT]->(p:Product)\n"
        "WITH r, (11 * toInteger(substring(u.id, 1)) + 7 * toInteger(substring(p.sku, 1))) % 20 AS day\n"
        "SET r.at = datetime({year: 2025, month: 5, day: 1 + day})"
    )
    checkpoint = train(store, home=tmp_path, settings=QUICK)
    assert checkpoint.following[0].nnz > 5
    write_embeddings(store, checkpoint)
    registry.promote(store, checkpoint.version)
    assert Learner(store, checkpoint).learn(store, [], ["p00"]).relations == 0


def test_for_a_model_that_is_no_longer_live_nothing_is_written(live: GraphStore, trained: Checkpoint) -> None:
    learner = Learner(live, trained)
    come(live)
    live.write("MATCH (s:Serving {name: 'model'})\nSET s.version = 'another'")
    before = live.read("MATCH ()-[r:SIMILAR_TO]->() RETURN count(r) AS n")
    with pytest.raises(CheckpointError, match="no longer live"):
        learner.learn(live, NEW_USERS, [NEW_PRODUCT])
    assert live.read("MATCH ()-[r:SIMILAR_TO]->() RETURN count(r) AS n") == before
    assert live.read("MATCH (p:Product {sku: $sku}) RETURN p.embedding_blue AS v", sku=NEW_PRODUCT) == [{"v": None}]


@pytest.fixture
def boards() -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Who met what, before and after: 30 users of 12 products, then 33 of 14."""
    rng = np.random.default_rng(3)
    now = (rng.random((33, 14)) < 0.3).astype(np.float32)
    before = now.copy()
    before[30:] = before[:, 12:] = 0.0
    before[5] = 1.0 - before[5]
    before[5, 12:] = 0.0
    return sp.csr_matrix(before), sp.csr_matrix(now)


def test_the_inverse_follows_a_change_as_if_computed_anew(boards: tuple[sp.csr_matrix, sp.csr_matrix]) -> None:
    before, now = boards
    inverse = _Inverse(sp.csr_matrix(before[:, :12]), 2.0)
    inverse.follow(before, now)
    rows, columns = np.zeros(14, dtype=bool), np.zeros(14, dtype=bool)
    rows[[1, 13]] = columns[[0, 13]] = True
    (wanted,) = ridge_weights(now, (2.0,))
    kept = np.maximum(wanted.toarray(), 0.0) * (rows[:, None] | columns[None, :])
    assert inverse.weights(rows, columns).toarray() == pytest.approx(kept, abs=1e-5)


def test_the_inverse_follows_what_is_said_as_if_computed_anew(boards: tuple[sp.csr_matrix, sp.csr_matrix]) -> None:
    before, now = boards
    text = np.random.default_rng(1).normal(size=(14, 3)).astype(np.float32)
    brands = np.arange(14) % 4
    brands[13] = 4
    first = Features.of(text[:12], {"MADE_BY": (np.arange(12), brands[:12], 4)}, 12)
    text[1] = -text[1]
    brands[2] = 0
    then = Features.of(text, {"MADE_BY": (np.arange(14), brands, 5)}, 14, like=first)
    inverse = _Inverse(sp.csr_matrix(before[:, :12]), 2.0, first)
    inverse.follow(before, now)
    inverse.hear(then, np.array([1, 2, 7, 12, 13]))
    every = np.ones(14, dtype=bool)
    (wanted,) = ridge_weights(now, (2.0,), features=then)
    assert inverse.weights(every, every).toarray() == pytest.approx(np.maximum(wanted.toarray(), 0.0), abs=1e-5)
