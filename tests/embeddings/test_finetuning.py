from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import HeteroData

from embeddings import finetuning, mixture, registry, ridge
from embeddings.content import TEXT, Content
from embeddings.export import NodeIndex
from embeddings.gcn import HeteroLightGCN, TypedEdges, normalised_adjacency
from embeddings.mirror import Mirror
from embeddings.prints import product_prints
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


def since(checkpoint: Checkpoint, data: HeteroData, index: NodeIndex) -> finetuning.Renewal:
    x = interactions(data)
    prints = product_prints(Mirror(data, index, x), np.arange(x.n_products))
    return finetuning.Renewal.since(checkpoint, index, x, prints)


def test_only_products_whose_users_changed_are_solved_again(base: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "EXACT_PRODUCTS", 5)
    data, index = exported([*BEFORE, ("u00", "p19")])
    renewal = since(base, data, index)
    assert [index.keys["Product"][row] for row in np.flatnonzero(renewal.rows)] == ["p19"]
    assert [index.keys["Product"][row] for row in np.flatnonzero(renewal.columns)] == ["p19"]
    n = len(index.keys["Product"])
    fresh = renewal.joined(no_weights(n, n), no_weights(n, n), 1.0, 100)[0]
    assert (fresh[:19, :19] != base.similar).nnz == 0


def test_what_a_product_leads_to_is_solved_again_when_its_users_have_become_many_more(
    base: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "EXACT_PRODUCTS", 5)
    known = sum(sku == "p01" for _, sku in BEFORE)
    quarter = -(-known // 4)
    for more, renewed in ((quarter - 1, []), (quarter, ["p01"])):
        data, index = exported([*BEFORE, *((f"u{2 * n:02}", "p01") for n in range(more))])
        renewal = since(base, data, index)
        assert [index.keys["Product"][row] for row in np.flatnonzero(renewal.rows)] == renewed
        assert [index.keys["Product"][row] for row in np.flatnonzero(renewal.columns)] == ["p01"]


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


# --- a large catalogue, beside solving everything -----------------------------------------------------------------

SHELVES, ON_SHELF = 4, 20
LAUNCHED, REWRITTEN = ("p003", "p047"), ("p010", "p031")
"""New since the checkpoint; with another text since (of another shelf)."""


def shelves(*, now: bool) -> tuple[HeteroData, NodeIndex]:
    """80 users, most of whose products, in the order in which they took them, are of one of four shelves; a text is
    that of its shelf and a little of its own."""
    rng = np.random.default_rng(7)
    n = SHELVES * ON_SHELF
    skus = [f"p{place:03}" for place in range(n)]
    shelf = np.arange(n) % SHELVES
    pairs, at = [], []
    for user in range(80):
        liked = np.where(shelf == user % SHELVES, 6.0, 1.0)
        for step, product in enumerate(rng.choice(n, size=11, replace=False, p=liked / liked.sum())):
            if now or skus[product] not in LAUNCHED:
                pairs.append((f"u{user:02}", skus[product]))
                at.append(1_000.0 * user + step)
    data, index = exported(pairs)
    own = rng.normal(size=(n, 12)).astype(np.float32)
    of = {sku: (place + (1 if now and sku in REWRITTEN else 0)) % SHELVES for place, sku in enumerate(skus)}
    text = np.stack([0.25 * own[skus.index(sku)] + np.eye(12)[of[sku]] for sku in index.keys["Product"]])
    data["Product"][TEXT] = torch.from_numpy(text / np.linalg.norm(text, axis=1, keepdims=True)).float()
    data["User", "BOUGHT", "Product"].at = torch.tensor(at, dtype=torch.float64)
    data["User"].last_at = torch.arange(80, dtype=torch.float64) * 1_000.0 + 10.0
    return data, index


@pytest.fixture(scope="module", params=[True, False], ids=["texts in the sequence", "of a kg without"])
def tuned_and_whole(request: pytest.FixtureRequest) -> tuple[Checkpoint, Checkpoint, Checkpoint]:
    """A checkpoint from before, what it is trained on to, and the same with everything solved anew."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (finetuning, ridge, mixture):
            patch.setattr(module, "EXACT_PRODUCTS", 5)
        patch.setattr(ridge, "NEIGHBOURS", 30)
        settings = replace(QUICK, outgoing=20, local_penalties=(5.0,), next_penalty=5.0)
        before = fit(*shelves(now=False), seed=0, settings=settings)
        if not request.param:
            kept = {name: value for name, value in before.settings.items() if name != "next_features"}
            before = replace(before, settings=kept)
        tuned = fit(*shelves(now=True), seed=0, base=before)
        patch.setattr(finetuning, "EXACT_PRODUCTS", 1_000)
        whole = fit(*shelves(now=True), seed=0, base=before)
    return before, tuned, whole


def alike(found: sp.csr_matrix, wanted: sp.csr_matrix) -> float:
    """The share of the wanted weights that was found, each as far as it is as great."""
    return float(found.minimum(wanted).sum() / wanted.sum())


@pytest.mark.parametrize("which", ["weight", "next"])
@pytest.mark.parametrize("skus", [LAUNCHED, REWRITTEN], ids=["launched", "rewritten"])
def test_who_is_new_or_rewritten_relates_as_if_everything_had_been_solved(
    tuned_and_whole: tuple[Checkpoint, Checkpoint, Checkpoint], skus: tuple[str, ...], which: str
) -> None:
    _, tuned, whole = tuned_and_whole
    assert tuned.products == whole.products
    found, wanted = (c.similar if which == "weight" else c.following for c in (tuned, whole))
    rows = NodeIndex({"Product": tuned.products}).rows("Product", skus)
    assert wanted[rows].nnz > 10
    assert alike(found[rows], wanted[rows]) > 0.9
    # Also some towards products around which it is not among the nearest, of 30 here and of 200 in earnest.
    assert alike(wanted[rows], found[rows]) > (0.85 if which == "weight" else 0.75)
    assert alike(found[:, rows], wanted[:, rows]) > 0.9


def test_a_sequence_hears_of_texts_as_it_did_where_the_model_was_trained(
    tuned_and_whole: tuple[Checkpoint, Checkpoint, Checkpoint],
) -> None:
    before, tuned, _ = tuned_and_whole
    assert tuned.settings["features"] == 1.0
    assert tuned.settings["next_features"] == before.settings.get("next_features", 0.0)


def test_who_has_not_changed_keeps_the_relations_among_themselves(
    tuned_and_whole: tuple[Checkpoint, Checkpoint, Checkpoint],
) -> None:
    before, tuned, _ = tuned_and_whole
    there = [sku for sku in before.products if sku not in REWRITTEN]
    then, now = (NodeIndex({"Product": c.products}).rows("Product", there) for c in (before, tuned))
    kept = tuned.similar[now][:, now]
    old = before.similar[then][:, then]
    assert (abs(kept - old.multiply(kept.sign())) > 1e-6).nnz == 0


def test_what_a_checkpoint_does_not_know_of_its_products_is_solved_anew(
    base: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "EXACT_PRODUCTS", 5)
    data, index = exported(BEFORE)
    assert not since(base, data, index).columns.any()
    assert since(replace(base, product_prints=None), data, index).columns.all()
    # Five of 19 have another text, rows and columns: that costs as much as to solve everything.
    data["Product"][TEXT] = torch.zeros((19, 4))
    data["Product"][TEXT][:5, 0] = 1.0
    assert since(base, data, index).columns.all()
    data["Product"][TEXT][4, 0] = 0.0
    assert since(base, data, index).columns.sum() == 4
