from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embeddings import finetuning, registry, ridge
from embeddings.content import Content
from embeddings.gcn import HeteroLightGCN, TypedEdges, normalised_adjacency
from embeddings.registry import Checkpoint
from embeddings.scoring import Scorer, no_weights
from embeddings.split import interactions
from embeddings.training import fit
from kg.errors import CheckpointError
from tests.embeddings.worlds import QUICK, checkerboard, exported

TAKEN, OUT = checkerboard()
NEW_USERS = {"u36", "u37", "u38", "u39"}
BEFORE = [pair for pair in TAKEN if pair[0] not in NEW_USERS and pair[1] != "p19"]


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    data, index = exported(BEFORE)
    return replace(fit(data, index, seed=0, settings=QUICK), version="base")


def best(checkpoint: Checkpoint) -> dict[str, str]:
    """What each user of whom something is held out is recommended first."""
    data, index = exported(TAKEN)
    x = interactions(data)
    scores = Scorer(
        checkpoint.user_vectors,
        checkpoint.product_vectors,
        checkpoint.similar,
        {},
        checkpoint.popularity,
        checkpoint.weights,
        checkpoint.following,
    ).ranker(x)(np.arange(x.n_users))
    scores[x.users, x.products] = -np.inf
    return {
        user: index.keys["Product"][row] for user, row in zip(index.keys["User"], scores.argmax(axis=1), strict=True)
    }


@pytest.mark.parametrize("exact_products", [ridge.EXACT_PRODUCTS, 5], ids=["solved at once", "solved where new"])
def test_new_users_and_a_new_product_find_their_place(
    base: Checkpoint, monkeypatch: pytest.MonkeyPatch, exact_products: int
) -> None:
    monkeypatch.setattr(finetuning, "EXACT_PRODUCTS", exact_products)
    monkeypatch.setattr(ridge, "EXACT_PRODUCTS", exact_products)
    data, index = exported(TAKEN)
    tuned = fit(data, index, seed=1, base=base)
    assert tuned.weights == base.weights
    assert tuned.settings["based_on"] == "base"
    assert tuned.products[-1] == "p19"
    assert tuned.similar[:, -1].nnz > 0
    assert best(tuned) == dict(OUT)


def test_only_products_whose_users_changed_are_solved_again(base: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "EXACT_PRODUCTS", 5)
    data, index = exported([*BEFORE, ("u00", "p19")])
    renewal = finetuning.Renewal.since(base, index, interactions(data))
    assert [index.keys["Product"][row] for row in np.flatnonzero(renewal.rows)] == ["p19"]
    assert [index.keys["Product"][row] for row in np.flatnonzero(renewal.columns)] == ["p19"]
    n = len(index.keys["Product"])
    fresh = renewal.joined(no_weights(n, n), no_weights(n, n), 1.0, 100)[0]
    assert (fresh[:19, :19] != base.similar).nnz == 0


def test_a_node_that_is_known_keeps_its_vector_and_a_new_one_begins_among_its_neighbours(base: Checkpoint) -> None:
    data, index = exported(TAKEN)
    x = interactions(data)
    met = x.matrix().tocoo()
    n = x.n_users + x.n_products
    edges = TypedEdges("INTERACTED", met.row.astype(np.int64), met.col.astype(np.int64) + x.n_users)
    adjacency = normalised_adjacency(edges, n)
    model = HeteroLightGCN(
        {"INTERACTED": adjacency}, x.n_users, x.n_products, Content({}), np.zeros((n, base.dimensions)), layers=2
    )
    finetuning.start_from(base, index)(model)
    free, old = model.free.detach().numpy(), base.state["free"]
    assert np.array_equal(free[0], old[0])  # u00
    assert np.array_equal(free[x.n_users], old[36])  # p00, which came after 36 users and now comes after 40
    carried = np.concatenate([old[:36], np.zeros((4, base.dimensions)), old[36:], np.zeros((1, base.dimensions))])
    assert free[36] == pytest.approx((adjacency @ carried.astype(np.float32))[36], abs=1e-6)
    assert np.any(free[36])


def test_a_checkpoint_read_from_disk_serves_as_well(base: Checkpoint, tmp_path: Path) -> None:
    registry.save(base, tmp_path)
    data, index = exported(TAKEN)
    first, second = (fit(data, index, seed=1, base=b) for b in (base, registry.load(tmp_path, "base")))
    assert np.array_equal(first.user_vectors, second.user_vectors)
    assert (first.similar != second.similar).nnz == 0


def test_a_checkpoint_without_a_network_says_what_to_do(base: Checkpoint) -> None:
    data, index = exported(TAKEN)
    with pytest.raises(CheckpointError, match="does not hold what training on needs"):
        fit(data, index, seed=0, base=replace(base, state={}))
