"""What a model must beat: popularity, item-KNN and matrix factorisation, built from the same interactions.

Each has its own free sizes chosen on a validation split, as the model's are: a
baseline that was left at its defaults proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from embeddings.scoring import prune
from embeddings.split import Interactions

Ranker = Callable[[np.ndarray], np.ndarray]
"""Rows of users ``[b]`` → scores of all products, float32 ``[b, n_products]``."""

KNN_SIZES: Final = (20, 50, 100, 200)
KNN_SHRINKAGES: Final = (0.0, 10.0, 50.0)
"""Added to the denominator of the cosine, so that two buyers in common outweigh one."""
MF_DIMENSIONS: Final = 64
MF_PENALTIES: Final = (0.05, 0.5)
_MF_CONFIDENCE: Final = 10.0
_MF_SWEEPS: Final = 10
_GRAM_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class Validation:
    """Where sizes are chosen: what may be seen there, and how good a ranker made of it is."""

    train: Interactions
    score: Callable[[Ranker], float]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A fitted baseline and what was chosen for it."""

    name: str
    rank: Ranker
    chosen: str


def popularity(x: Interactions) -> Baseline:
    """The same order for everybody: products by the number of users who met them."""
    users = np.asarray(x.matrix().sum(axis=0), dtype=np.float32).ravel()
    return Baseline("popularity", lambda rows: np.broadcast_to(users, (len(rows), len(users))).copy(), "")


def item_knn(x: Interactions, validation: Validation | None) -> Baseline:
    """Sum over the user's products of their cosine with the candidate, among the candidate's k nearest.

    k and the shrinkage of the cosine are chosen on ``validation``.
    """
    chosen = (KNN_SIZES[-1], KNN_SHRINKAGES[1])
    if validation is not None:
        inner = validation.train.matrix()
        scored = {
            (k, shrinkage): validation.score(_knn_ranker(inner, k, shrinkage))
            for shrinkage in KNN_SHRINKAGES
            for k in KNN_SIZES
        }
        chosen = max(scored, key=scored.__getitem__)
    k, shrinkage = chosen
    return Baseline("item_knn", _knn_ranker(x.matrix(), k, shrinkage), f"k {k}, shrinkage {shrinkage:g}")


def matrix_factorisation(x: Interactions, validation: Validation | None, seed: int) -> Baseline:
    """Weighted alternating least squares (Hu, Koren & Volinsky 2008, doi:10.1109/ICDM.2008.22), 64 dimensions."""
    penalty = MF_PENALTIES[-1]
    if validation is not None:
        inner = validation.train.matrix()
        scored = {p: validation.score(_als_ranker(inner, p, seed)) for p in MF_PENALTIES}
        penalty = max(scored, key=scored.__getitem__)
    return Baseline("mf", _als_ranker(x.matrix(), penalty, seed), f"penalty {penalty:g}")


def _knn_ranker(met: sp.csr_matrix, k: int, shrinkage: float) -> Ranker:
    """Weights from h to p, each p keeping its k nearest h."""
    n = met.shape[1]
    norm = np.sqrt(np.asarray(met.sum(axis=0)).ravel())
    columns = met.tocsc()
    nearest = []
    for begin in range(0, n, _GRAM_CHUNK):
        common = (columns[:, begin : begin + _GRAM_CHUNK].T @ met).tocoo()
        rows = common.row + begin
        apart = rows != common.col
        cosines = common.data[apart] / (norm[rows[apart]] * norm[common.col[apart]] + shrinkage)
        block = sp.csr_matrix((cosines, (common.row[apart], common.col[apart])), shape=common.shape)
        nearest.append(prune(block, k))
    weights = sp.vstack(nearest).T.tocsr().astype(np.float32)
    return lambda rows: (met[rows] @ weights).toarray().astype(np.float32)


def _als_ranker(met: sp.csr_matrix, penalty: float, seed: int) -> Ranker:
    rng = np.random.default_rng(seed)
    dimensions = min(MF_DIMENSIONS, *met.shape)
    products = (rng.standard_normal((met.shape[1], dimensions)) / np.sqrt(dimensions)).astype(np.float64)
    backwards = met.T.tocsr()
    users = np.zeros((met.shape[0], dimensions))
    for _ in range(_MF_SWEEPS):
        users = _als_half(met, products, penalty)
        products = _als_half(backwards, users, penalty)
    left, right = users.astype(np.float32), products.astype(np.float32)
    return lambda rows: left[rows] @ right.T


def _als_half(met: sp.csr_matrix, other: np.ndarray, penalty: float) -> np.ndarray:
    """The side of ``met``'s rows, solved exactly with the other side fixed: (YᵀY + αΣyyᵀ + λnI) x = (1+α)Σy."""
    d = other.shape[1]
    base = other.T @ other
    out = np.zeros((met.shape[0], d))
    for row in range(met.shape[0]):
        found = met.indices[met.indptr[row] : met.indptr[row + 1]]
        if found.size:
            Y = other[found]
            A = base + _MF_CONFIDENCE * (Y.T @ Y) + penalty * (found.size + 1) * np.eye(d)
            out[row] = np.linalg.solve(A, (1.0 + _MF_CONFIDENCE) * Y.sum(axis=0))
    return out
