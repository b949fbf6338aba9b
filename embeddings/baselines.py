"""What a model must beat, built from the same interactions: six recommenders of a page each.

popularity · item-KNN · EASE · GF-CF · RP3β · matrix factorisation. Each has its
own free sizes chosen on a validation split, as the model's are: a baseline that
was left at its defaults proves nothing. SASRec, which reads sequences, is
:mod:`embeddings.sasrec`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from embeddings.gcn import singular_vectors
from embeddings.scoring import prune
from embeddings.split import Interactions

Ranker = Callable[[np.ndarray], np.ndarray]
"""Rows of users ``[b]`` → scores of all products, float32 ``[b, n_products]``."""

KNN_SIZES: Final = (20, 50, 100, 200)
KNN_SHRINKAGES: Final = (0.0, 10.0, 50.0, 200.0)
"""Added to the denominator of the cosine, so that two buyers in common outweigh one."""
EASE_PENALTIES: Final = (50.0, 200.0, 800.0)
EASE_PRODUCTS: Final = 15_000
"""Largest catalogue that EASE inverts: 0.9 GB there. Gowalla's 41,000 products would take 6.7 GB and half an hour."""
GF_CF_DIMENSIONS: Final = 256
GF_CF_SHARES: Final = (0.0, 0.3, 1.0)
"""Of the ideal low-pass filter beside the linear one; the paper takes 0.3 and, on sparse sets, 0."""
RP3_ALPHAS: Final = (0.2, 0.5, 0.8, 1.2)
RP3_BETAS: Final = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Where people have met few products small ones are best: .3 and 0 on Musical Instruments, .2 and .1 on Beauty."""
RP3_WIDTH: Final = 200
MF_DIMENSIONS: Final = 64
MF_PENALTIES: Final = (0.05, 0.5)
_MF_CONFIDENCE: Final = 10.0
_MF_SWEEPS: Final = 10
_BLOCK: Final = 1024


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
        scored = {}
        for shrinkage, near in zip(KNN_SHRINKAGES, _cosines(inner, KNN_SHRINKAGES, max(KNN_SIZES)), strict=True):
            for k in KNN_SIZES:
                scored[k, shrinkage] = validation.score(_knn_ranker(inner, prune(near, k)))
        chosen = max(scored, key=scored.__getitem__)
    k, shrinkage = chosen
    met = x.matrix()
    (near,) = _cosines(met, (shrinkage,), k)
    return Baseline("item_knn", _knn_ranker(met, near), f"k {k}, shrinkage {shrinkage:g}")


def ease(x: Interactions, validation: Validation | None) -> Baseline:
    """EASE (Steck, WWW 2019, arXiv:1905.03375): every product regressed on all others, in closed form.

    B = I − P · diag(1/P_jj) with P = (XᵀX + λI)⁻¹. The catalogue has at most :data:`EASE_PRODUCTS`.
    """
    penalty = EASE_PENALTIES[1]
    if validation is not None:
        inner = validation.train.matrix()
        scored = {p: validation.score(_ease_ranker(inner, p)) for p in EASE_PENALTIES}
        penalty = max(scored, key=scored.__getitem__)
    return Baseline("ease", _ease_ranker(x.matrix(), penalty), f"penalty {penalty:g}")


def gf_cf(x: Interactions, validation: Validation | None, seed: int) -> Baseline:
    """GF-CF (Shen et al., CIKM 2021, arXiv:2108.07567): a linear and an ideal low-pass filter of the user's signal.

    R̃ = D_u^-½ R D_p^-½ with leading right singular vectors V; scores are
    r (R̃ᵀR̃ + share · D_p^-½ V Vᵀ D_p^½).
    """
    share = GF_CF_SHARES[1]
    if validation is not None:
        parts = _graph_filters(validation.train.matrix(), seed)
        scored = {s: validation.score(_filter_ranker(parts, s)) for s in GF_CF_SHARES}
        share = max(scored, key=scored.__getitem__)
    return Baseline("gf_cf", _filter_ranker(_graph_filters(x.matrix(), seed), share), f"share {share:g}")


def rp3_beta(x: Interactions, validation: Validation | None) -> Baseline:
    """RP3β (Paudel et al., ACM TiiS 2017, doi:10.1145/2955101): a walk of three steps, against popularity.

    From a product to its users and to their products, each step's probability to
    the power α, divided by the goal's users to the power β.
    """
    chosen = (RP3_ALPHAS[2], RP3_BETAS[3])
    if validation is not None:
        inner = validation.train.matrix()
        scored = {}
        for alpha in RP3_ALPHAS:
            for beta, walks in zip(RP3_BETAS, _walks(inner, alpha, RP3_BETAS), strict=True):
                scored[alpha, beta] = validation.score(_walk_ranker(inner, walks))
        chosen = max(scored, key=scored.__getitem__)
    alpha, beta = chosen
    met = x.matrix()
    (walks,) = _walks(met, alpha, (beta,))
    return Baseline("rp3beta", _walk_ranker(met, walks), f"alpha {alpha:g}, beta {beta:g}")


def matrix_factorisation(x: Interactions, validation: Validation | None, seed: int) -> Baseline:
    """Weighted alternating least squares (Hu, Koren & Volinsky 2008, doi:10.1109/ICDM.2008.22), 64 dimensions."""
    penalty = MF_PENALTIES[-1]
    if validation is not None:
        inner = validation.train.matrix()
        scored = {p: validation.score(_als_ranker(inner, p, seed)) for p in MF_PENALTIES}
        penalty = max(scored, key=scored.__getitem__)
    return Baseline("mf", _als_ranker(x.matrix(), penalty, seed), f"penalty {penalty:g}")


def _cosines(met: sp.csr_matrix, shrinkages: Sequence[float], k: int) -> tuple[sp.csr_matrix, ...]:
    """Cosine of each product with its ``k`` nearest others for each shrinkage, ``[n, n]``."""
    norm = np.sqrt(np.asarray(met.sum(axis=0)).ravel())
    columns = met.tocsc()
    nearest: list[list[sp.csr_matrix]] = [[] for _ in shrinkages]
    for begin in range(0, met.shape[1], _BLOCK):
        common = (columns[:, begin : begin + _BLOCK].T @ met).tocoo()
        rows = common.row + begin
        apart = rows != common.col
        size = norm[rows[apart]] * norm[common.col[apart]]
        where = (common.row[apart], common.col[apart])
        for shrinkage, found in zip(shrinkages, nearest, strict=True):
            block = sp.csr_matrix((common.data[apart] / (size + shrinkage), where), shape=common.shape)
            found.append(prune(block, k))
    return tuple(sp.vstack(found).tocsr().astype(np.float32) for found in nearest)


def _knn_ranker(met: sp.csr_matrix, nearest: sp.csr_matrix) -> Ranker:
    """A candidate p scores the sum of its row of ``nearest`` over the user's products."""
    weights = nearest.T.tocsr()
    return lambda rows: (met[rows] @ weights).toarray().astype(np.float32)


def _ease_ranker(met: sp.csr_matrix, penalty: float) -> Ranker:
    B = (met.T @ met).toarray()
    B[np.diag_indices_from(B)] += penalty
    # In place, since this is the largest matrix of all: the Cholesky factor, then the inverse's lower triangle.
    factor, _ = lapack.spotrf(B.T, lower=1, overwrite_a=1)
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    for begin in range(0, len(inverse), _BLOCK):
        end = begin + _BLOCK
        inverse[begin:end, end:] = inverse[end:, begin:end].T
        square = np.tril(inverse[begin:end, begin:end])
        inverse[begin:end, begin:end] = square + np.tril(square, -1).T
    inverse = inverse.T  # symmetric, and so in the order of memory that a product with sparse rows wants
    diagonal = inverse.diagonal().copy()
    inverse /= -diagonal[None, :]
    np.fill_diagonal(inverse, 0.0)
    return lambda rows: np.asarray(met[rows] @ inverse, dtype=np.float32)


def _graph_filters(met: sp.csr_matrix, seed: int) -> tuple[sp.csr_matrix, sp.csr_matrix, np.ndarray, np.ndarray]:
    """R, R̃, V and √(users of each product)."""
    per_user, per_product = (np.asarray(met.sum(axis=a)).ravel() for a in (1, 0))
    R = (sp.diags(_power(per_user, -0.5)) @ met @ sp.diags(_power(per_product, -0.5))).tocsr().astype(np.float32)
    V = singular_vectors(R, GF_CF_DIMENSIONS, np.random.default_rng(seed))[2]
    return met, R, V, np.sqrt(per_product).astype(np.float32)


def _filter_ranker(parts: tuple[sp.csr_matrix, sp.csr_matrix, np.ndarray, np.ndarray], share: float) -> Ranker:
    met, R, V, root = parts
    down = sp.diags(_power(root, -1.0))

    def rank(rows: np.ndarray) -> np.ndarray:
        some = met[rows]
        linear = np.asarray(((some @ R.T) @ R).todense(), dtype=np.float32)
        return linear + np.float32(share) * ((some @ down @ V) @ V.T) * root if share else linear

    return rank


def _walks(met: sp.csr_matrix, alpha: float, betas: Sequence[float]) -> tuple[sp.csr_matrix, ...]:
    """From product h over its users to p, for each β, ``[n, n]``: the :data:`RP3_WIDTH` strongest of each h."""
    per_user, per_product = (np.asarray(met.sum(axis=a)).ravel() for a in (1, 0))
    onward = (sp.diags(_power(per_user, -alpha)) @ met).tocsr()
    back = (met @ sp.diags(_power(per_product, -alpha))).tocsc()
    goals = [_power(per_product, -beta) for beta in betas]
    found: list[list[sp.csr_matrix]] = [[] for _ in betas]
    for begin in range(0, met.shape[1], _BLOCK):
        block = (back[:, begin : begin + _BLOCK].T @ onward).tocoo()
        apart = block.row + begin != block.col
        where = (block.row[apart], block.col[apart])
        for goal, rows in zip(goals, found, strict=True):
            weights = sp.csr_matrix((block.data[apart] * goal[where[1]], where), shape=block.shape)
            rows.append(prune(weights, RP3_WIDTH))
    return tuple(sp.vstack(rows).tocsr().astype(np.float32) for rows in found)


def _walk_ranker(met: sp.csr_matrix, walks: sp.csr_matrix) -> Ranker:
    return lambda rows: (met[rows] @ walks).toarray().astype(np.float32)


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    """Elementwise, zero where the value is."""
    return np.power(values, exponent, out=np.zeros(values.shape, dtype=np.float32), where=values > 0)


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
