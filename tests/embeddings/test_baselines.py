from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import baselines
from embeddings.baselines import (
    _als_half,
    _cosines,
    _ease_ranker,
    _filter_ranker,
    _graph_filters,
    _knn_ranker,
    _walk_ranker,
    _walks,
)
from embeddings.evaluation import fit_baselines
from embeddings.split import Interactions
from tests.embeddings.worlds import checkerboard, met

USERS, PRODUCTS = 40, 20


def board() -> tuple[Interactions, list[tuple[int, int]]]:
    taken, out = ([(int(u[1:]), int(p[1:])) for u, p in pairs] for pairs in checkerboard(USERS, PRODUCTS))
    return met(taken, USERS, PRODUCTS), out


def test_every_baseline_but_popularity_finds_the_missing_square_of_the_checkerboard() -> None:
    x, out = board()
    fits = fit_baselines(x, np.random.default_rng(0))
    fitted = [fit() for fit in fits.values()]
    assert [b.name for b in fitted] == list(fits) == ["popularity", "item_knn", "rp3beta", "gf_cf", "ease", "mf"]
    for baseline in fitted[1:]:
        scores = baseline.rank(np.arange(USERS))
        scores[x.users, x.products] = -np.inf
        assert [(u, int(scores[u].argmax())) for u in range(USERS)] == sorted(out)


def test_popularity_gives_everybody_the_number_of_users() -> None:
    x = met([(0, 0), (1, 0), (0, 1), (0, 1)], 2, 3)
    popularity = fit_baselines(x, np.random.default_rng(0))["popularity"]()
    assert popularity.rank(np.array([1, 0])).tolist() == [[2.0, 1.0, 0.0]] * 2


@pytest.mark.parametrize(("k", "shrinkage"), [(2, 0.0), (3, 10.0)])
def test_item_knn_is_the_sum_of_cosines_over_the_candidates_nearest(k: int, shrinkage: float) -> None:
    """Recomputed with plain loops."""
    rng = np.random.default_rng(1)
    pairs = sorted({(int(rng.integers(15)), int(rng.integers(8))) for _ in range(60)})
    matrix = met(pairs, 15, 8).matrix()
    dense = matrix.toarray()
    cosine = np.zeros((8, 8))
    for i in range(8):
        for j in range(8):
            if i != j:
                size = np.sqrt(dense[:, i].sum() * dense[:, j].sum())
                cosine[i, j] = dense[:, i] @ dense[:, j] / (size + shrinkage)
    near = np.zeros((8, 8))
    for p in range(8):
        for h in sorted(range(8), key=lambda h: (-cosine[p, h], h))[:k]:
            near[h, p] = cosine[p, h]
    _, found = _cosines(matrix, (7.0, shrinkage), k)
    assert _knn_ranker(matrix, found)(np.arange(15)) == pytest.approx(dense @ near, abs=1e-5)


def some_interactions() -> sp.csr_matrix:
    rng = np.random.default_rng(3)
    pairs = sorted({(int(rng.integers(30)), int(rng.integers(12))) for _ in range(150)})
    return met(pairs, 30, 12).matrix()


def test_ease_regresses_each_product_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solved anew for each column; and the inverse is symmetric beyond the size of a block."""
    monkeypatch.setattr(baselines, "_BLOCK", 5)
    matrix = some_interactions()
    X = matrix.toarray().astype(float)
    expected = np.zeros((30, 12))
    for j in range(12):
        others = [i for i in range(12) if i != j]
        A = X[:, others]
        expected[:, j] = A @ np.linalg.solve(A.T @ A + 4.0 * np.eye(11), A.T @ X[:, j])
    assert _ease_ranker(matrix, 4.0)(np.arange(30)) == pytest.approx(expected, abs=1e-4)


def test_gf_cf_is_the_two_filters_of_its_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "GF_CF_DIMENSIONS", 3)
    matrix = some_interactions()
    r = matrix.toarray().astype(float)
    d_u, d_p = r.sum(1), r.sum(0)
    R = r / np.sqrt(d_u)[:, None] / np.sqrt(d_p)[None, :]
    V = np.linalg.svd(R)[2][:3].T
    expected = r @ R.T @ R + 0.3 * r @ np.diag(d_p**-0.5) @ V @ V.T @ np.diag(d_p**0.5)
    assert _filter_ranker(_graph_filters(matrix, 0), 0.3)(np.arange(30)) == pytest.approx(expected, abs=1e-4)


def test_rp3_beta_walks_three_steps() -> None:
    """Recomputed with the probabilities of each step."""
    matrix = some_interactions()
    r = matrix.toarray().astype(float)
    to_product, to_user = r / r.sum(1, keepdims=True), r.T / r.T.sum(1, keepdims=True)
    W = to_user**0.8 @ to_product**0.8 * r.sum(0)[None, :] ** -0.5
    np.fill_diagonal(W, 0.0)
    other, walks = _walks(matrix, 0.8, (0.0, 0.5))
    assert _walk_ranker(matrix, walks)(np.arange(30)) == pytest.approx(r @ W, abs=1e-4)
    assert (other != walks).nnz > 0


def test_a_half_step_of_als_minimises_the_weighted_squares() -> None:
    """At the minimum of each row's loss its gradient vanishes."""
    rng = np.random.default_rng(2)
    matrix = met([(0, 0), (0, 3), (1, 2)], 3, 5).matrix()
    Y = rng.standard_normal((5, 4))
    X = _als_half(matrix, Y, penalty=0.5)
    for u in range(2):
        taken = matrix[[u]].toarray()[0]
        confidence = 1.0 + 10.0 * taken
        gradient = Y.T @ (confidence * (Y @ X[u] - taken)) + 0.5 * (taken.sum() + 1) * X[u]
        assert gradient == pytest.approx(np.zeros(4), abs=1e-9)
    assert not X[2].any()
