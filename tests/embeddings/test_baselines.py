from __future__ import annotations

import numpy as np
import pytest

from embeddings.baselines import _als_half, _knn_ranker
from embeddings.evaluation import fit_baselines
from embeddings.split import Interactions
from tests.embeddings.worlds import checkerboard, met

USERS, PRODUCTS = 40, 20


def board() -> tuple[Interactions, list[tuple[int, int]]]:
    taken, out = ([(int(u[1:]), int(p[1:])) for u, p in pairs] for pairs in checkerboard(USERS, PRODUCTS))
    return met(taken, USERS, PRODUCTS), out


def test_every_baseline_but_popularity_finds_the_missing_square_of_the_checkerboard() -> None:
    x, out = board()
    fitted = [fit() for fit in fit_baselines(x, np.random.default_rng(0))]
    assert [b.name for b in fitted] == ["popularity", "item_knn", "mf"]
    for baseline in fitted[1:]:
        scores = baseline.rank(np.arange(USERS))
        scores[x.users, x.products] = -np.inf
        assert [(u, int(scores[u].argmax())) for u in range(USERS)] == sorted(out)


def test_popularity_gives_everybody_the_number_of_users() -> None:
    x = met([(0, 0), (1, 0), (0, 1), (0, 1)], 2, 3)
    popularity = next(fit() for fit in fit_baselines(x, np.random.default_rng(0)))
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
    assert _knn_ranker(matrix, k, shrinkage)(np.arange(15)) == pytest.approx(dense @ near, abs=1e-5)


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
