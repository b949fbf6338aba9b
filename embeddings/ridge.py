"""Item–item weights by ridge regression: each product from the others that the same users met.

For small catalogues EASE (Steck, WWW 2019, arXiv:1905.03375), one inverse of the
Gram matrix; for large ones a ridge regression of each product on its 200 nearest
others, which needs no products × products matrix and on Gowalla ranks better than
EASE. What is said of the products stands beside what users did, as further rows
(:mod:`embeddings.features`). The sequence has a ridge of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.linalg import solve

from embeddings.features import Features
from embeddings.scoring import no_weights, places, prune
from embeddings.split import Interactions

EXACT_PRODUCTS: Final = 4_000
"""Largest catalogue for which the whole Gram matrix is inverted: 3 s and 0.3 GB there, growing with the cube."""
NEIGHBOURS: Final = 200
"""Nearest products on which a product of a larger catalogue is regressed."""
ROW_POWER: Final = 0.25
"""A user who met n products counts n^-¼ in each: without it the few who met very many shape all weights."""
SEQUENCE: Final = 20
"""How far back in a sequence one looks for what led to a product."""

_BLOCK: Final = 1024
"""Most products whose inner products with all others are in memory at once."""

Tick = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


def ridge_weights(
    met: sp.csr_matrix,
    penalties: Sequence[float],
    *,
    features: Features | None = None,
    columns: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    tick: Tick | None = None,
) -> tuple[sp.csr_matrix, ...]:
    """Item–item weights from interactions for each penalty, ``[n_products, n_products]``, diagonal zero.

    Args:
        met: 1 where user and product met, ``[n_users, n_products]``.
        penalties: λ of the ridge, in units of co-occurrences.
        features: what is said of the products, which counts beside the users.
        columns: bool ``[n_products]``, the products towards which weights are wanted; the rest may stay empty.
        rows: bool ``[n_products]``, products whose weights towards all others are wanted besides, nearly as if all
            columns had been solved.
    """
    weighted = by_user(met)
    if met.shape[1] <= EXACT_PRODUCTS:
        gram = gram_of(weighted, features)
        return tuple(_ease(gram, penalty) for penalty in penalties)
    return _local_ridge(weighted, weighted, penalties, columns, rows, tick, features)


def by_user(met: sp.csr_matrix) -> sp.csr_matrix:
    """Each row weighed by how much its user met."""
    per_user = np.asarray(met.sum(axis=1)).ravel()
    return (sp.diags(np.power(np.maximum(per_user, 1.0), -ROW_POWER)) @ met).tocsr()


def gram_of(weighted: sp.csr_matrix, features: Features | None) -> np.ndarray:
    """Inner products of the columns of all rows, those of the features among them; float64 ``[n, n]``."""
    gram: np.ndarray = (weighted.T @ weighted).toarray().astype(np.float64)
    return gram if features is None else gram + features.gram()


def _ease(gram: np.ndarray, penalty: float) -> sp.csr_matrix:
    """B = I − P · diag(1/P_jj) with P = (G + λI)⁻¹: every product regressed on all others at once."""
    P = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    B = -P / np.diag(P)[None, :]
    np.fill_diagonal(B, 0.0)
    return sp.csr_matrix(B.astype(np.float32))


def following_weights(
    x: Interactions,
    recency: float,
    penalty: float,
    *,
    features: Features | None = None,
    columns: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    tick: Tick | None = None,
) -> sp.csr_matrix:
    """What comes after what, ``[n_products, n_products]``, diagonal zero: ``next`` of SIMILAR_TO from row to column.

    Every product that a user met after others is a row: the products before it,
    those of each time counting ``recency`` times those of the next, should say which it was. Of
    each product a ridge regression on the 200 that precede it most.
    (After the linear session model of Choi et al., WWW 2021, arXiv:2103.16104.)

    Args:
        features: as for :func:`ridge_weights`: what follows one product follows others of its brand and like it.
        columns: likewise.
        rows: likewise.
    """
    before, after = prefixes(x, recency)
    if after.nnz == 0:  # of no times there is no sequence, whatever is said of the products
        return no_weights(x.n_products, x.n_products)
    return _local_ridge(before, after, (penalty,), columns, rows, tick, features)[0]


def prefixes(x: Interactions, recency: float) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """For each product that has others before it: those, decayed, and itself; both ``[steps, n_products]``.

    Of products that were met at one time each counts as right before the others. Taking them in any order instead
    (that of their rows) had the sequence say the opposite of what it was asked, where reviews are dated by day: on
    Amazon Musical Instruments' validation splits the whole score gained 7.7 ± 1.9 % when this was mended (a
    script of the development).
    """
    users, products, place = places(x)
    shape = (len(users), x.n_products)
    rows, columns, weights = [], [], []
    for lag in range(1, SEQUENCE + 1):
        # Each user's latest comes first, so what preceded an entry stands further on.
        now = np.arange(len(users) - lag)
        now = now[users[now] == users[now + lag]]
        if now.size == 0:
            break
        apart = place[now + lag] - place[now]
        rows.append(now)
        columns.append(products[now + lag])
        weights.append(recency ** np.maximum(apart - 1.0, 0.0))
        together = now[apart == 0]
        rows.append(together + lag)
        columns.append(products[together])
        weights.append(np.ones(together.size))
    if not rows:
        return no_weights(*shape), no_weights(*shape)
    before = sp.csr_matrix(
        (np.concatenate(weights).astype(np.float32), (np.concatenate(rows), np.concatenate(columns))), shape=shape
    )
    steps = np.unique(np.concatenate(rows))
    after = sp.csr_matrix((np.ones(steps.size, dtype=np.float32), (steps, products[steps])), shape=shape)
    return before, after


def _local_ridge(
    sources: sp.csr_matrix,
    targets: sp.csr_matrix,
    penalties: Sequence[float],
    wanted: np.ndarray | None,
    outgoing: np.ndarray | None,
    tick: Tick | None,
    features: Features | None = None,
) -> tuple[sp.csr_matrix, ...]:
    """Column j: the source columns nearest to target column j by cosine, and the weights that predict it from them.

    The Gram matrix of all products is never made: of Gowalla's 41,000 it would take over a gigabyte. That of a
    product's neighbours costs more than a solution, so several penalties cost little more than one.

    Args:
        wanted: bool ``[n]``, the columns that are solved; None for all.
        outgoing: bool ``[n]``, the rows that are wanted in the other columns too (:meth:`_Local.row`).
    """
    n = sources.shape[1]
    local = _Local.of(sources, targets, features)
    solved = np.arange(n) if wanted is None else np.flatnonzero(wanted)
    rows = np.flatnonzero(outgoing) if outgoing is not None and len(solved) < n else solved[:0]
    heads, tails = [], []
    weights: list[list[np.ndarray]] = [[] for _ in penalties]
    done = 0

    def told() -> None:
        nonlocal done
        if tick is not None and done % 500 == 0:
            tick(done, len(solved) + len(rows))
        done += 1

    for product, around, common in local.nearest(local.goals, local.rows, local.norm, solved):
        told()
        if around.size == 0:
            continue
        heads.append(around)
        tails.append(np.full(around.size, product))
        for found, weight in zip(weights, local.column(product, around, common, penalties), strict=True):
            found.append(weight)
    for product, around, onto in local.surroundings(rows):
        told()
        onto = np.setdiff1d(onto, solved)
        if onto.size == 0:
            continue
        heads.append(np.full(onto.size, product))
        tails.append(onto)
        for found, weight in zip(weights, local.row(product, around, onto, penalties), strict=True):
            found.append(weight)
    if not heads:
        return tuple(no_weights(n, n) for _ in penalties)
    where = (np.concatenate(heads), np.concatenate(tails))
    return tuple(sp.csr_matrix((np.concatenate(found), where), shape=(n, n)) for found in weights)


@dataclass(frozen=True, slots=True)
class _Local:
    """Sources and targets as regressions on a few of them read them."""

    rows: sp.csr_matrix
    """The sources, ``[m, n]``."""
    columns: sp.csc_matrix
    """The same."""
    goals: sp.csc_matrix
    """The targets, ``[m, n]``."""
    content: np.ndarray
    """float32 ``[n, width]``: it is dense, so it counts between neighbours and finds none, which would take the inner
    products of all with all."""
    norm: np.ndarray
    """Length of each source column and its content together, float ``[n]``."""

    @classmethod
    def of(cls, sources: sp.csr_matrix, targets: sp.csr_matrix, features: Features | None) -> _Local:
        """With what is said of the products below what users did."""
        content = np.zeros((sources.shape[1], 0), dtype=np.float32)
        if features is not None:
            content, below = features.content, features.members.T
            sources, targets = (sp.vstack([part, below], format="csr") for part in (sources, targets))
        columns = sources.tocsc()
        norm = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel() + np.square(content).sum(axis=1))
        return cls(sources.tocsr(), columns, targets.tocsc(), content, norm)

    @staticmethod
    def nearest(
        of: sp.csc_matrix, among: sp.csr_matrix, norm: np.ndarray, products: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each product the others nearest to its column, int64 ``[k]``, and their inner products with it."""
        for begin in range(0, len(products), _BLOCK):
            block = products[begin : begin + _BLOCK]
            common = (of[:, block].T @ among).tocoo()
            apart = block[common.row] != common.col
            row, col, data = common.row[apart], common.col[apart], common.data[apart]
            near = prune(sp.csr_matrix((data / norm[col], (row, col)), shape=common.shape), NEIGHBOURS)
            for j, product in enumerate(block.tolist()):
                span = slice(near.indptr[j], near.indptr[j + 1])
                yield product, near.indices[span], near.data[span] * norm[near.indices[span]]

    def surroundings(self, products: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each product the sources nearest to it as one of them, and the targets towards which its weights may well
        be the greatest, int64 each.

        Of Amazon Beauty's most popular products 98 % of the 60 strongest relations are among these; were they the
        nearest by cosine, 96 %, which leaves out other popular ones (of all products 99.9 % either way).
        """
        sources = self.nearest(self.columns, self.rows, self.norm, products)
        length = np.sqrt(np.asarray(self.goals.multiply(self.goals).sum(axis=0)).ravel())
        targets = self.nearest(self.columns, self.goals.tocsr(), np.sqrt(length), products)
        for (product, around, _), (_, onto, _) in zip(sources, targets, strict=True):
            yield product, around, onto

    def column(
        self, product: int, around: np.ndarray, common: np.ndarray, penalties: Sequence[float]
    ) -> list[np.ndarray]:
        """Weights by which the sources ``around`` predict the product, float32 ``[k]`` for each penalty."""
        X = self.columns[:, around]
        gram = (X.T @ X).toarray() + self.content[around] @ self.content[around].T
        target = common + self.content[around] @ self.content[product]
        found = []
        for penalty in penalties:
            G = gram.copy()
            G[np.diag_indices_from(G)] += penalty
            found.append(solve(G, target, assume_a="pos", overwrite_a=True, check_finite=False).astype(np.float32))
        return found

    def row(self, product: int, around: np.ndarray, onto: np.ndarray, penalties: Sequence[float]) -> list[np.ndarray]:
        """Weights by which the product predicts the targets ``onto``, float32 ``[m]`` for each penalty.

        Each target is regressed on the product and the sources around *it*, where a column has those around the
        target: what the product says that its neighbours do not is the same by either, and one inverse gives it for
        all targets at once. A target is not to predict itself; leaving one variable out of a regression whose inverse
        is known is the step by which EASE comes from the inverse of the Gram matrix (``_ease``).
        """
        own = np.append(around, product)
        X, content = self.columns[:, own], self.content[own]
        gram = (X.T @ X).toarray() + content @ content.T
        cross = (X.T @ self.goals[:, onto]).toarray() + content @ self.content[onto].T
        _, among, place = np.intersect1d(own, onto, return_indices=True)
        found = []
        for penalty in penalties:
            P = np.linalg.inv(gram + penalty * np.eye(len(own)))
            weights = P[-1] @ cross
            itself = np.einsum("ij,ji->i", P[among], cross[:, place])
            weights[place] -= P[-1, among] * itself / P[among, among]
            found.append(weights.astype(np.float32))
        return found
