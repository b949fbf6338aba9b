"""Learned item–item relations: the weights of ``(:Product)-[:SIMILAR_TO {weight}]->(:Product)``.

A linear autoencoder is a matrix of item–item weights with a closed form, and
such a matrix is exactly what a property graph can hold and Cypher can join. The
weights are a sum of parts, whose factors :mod:`embeddings.training` chooses on
validation data:

- **ridge**: from what users did. For small catalogues EASE (Steck, WWW 2019,
  arXiv:1905.03375), one inverse of the Gram matrix; for large ones a ridge
  regression of each product on its 200 nearest others, which needs no
  products × products matrix and on Gowalla ranks better than EASE.
- **text**: the squared cosine of the text vectors, so that a product nobody has
  met yet is related too.
- **shared brand, category, attribute value, praised aspect**: the rarer, the more.
- **explicit relations**, one part for each feed that asserts them: that 'bought
  together' says more than 'also bought' is for the data to tell.

The sum is pruned to the strongest outgoing relations of each product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.linalg import solve
from torch_geometric.data import HeteroData

from embeddings.export import PRODUCT_RELATIONS, SHARED
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
PART_WIDTH: Final = 100
"""Strongest entries that each part but the ridge keeps a product, before the parts are added."""
MOST_SHARING: Final = 2_000
"""A brand or category of more products than this says nothing about any two of them, and is left out."""

_BLOCK: Final = 1024
"""Products whose relations to all others are in memory at once."""

Tick = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


def ridge_weights(
    met: sp.csr_matrix, penalties: Sequence[float], *, columns: np.ndarray | None = None, tick: Tick | None = None
) -> tuple[sp.csr_matrix, ...]:
    """Item–item weights from interactions for each penalty, ``[n_products, n_products]``, diagonal zero.

    Args:
        met: 1 where user and product met, ``[n_users, n_products]``.
        penalties: λ of the ridge, in units of co-occurrences.
        columns: bool ``[n_products]``, the products for which weights are wanted; the rest may stay empty.
    """
    per_user = np.asarray(met.sum(axis=1)).ravel()
    scale = np.power(np.maximum(per_user, 1.0), -ROW_POWER)
    weighted = (sp.diags(scale) @ met).tocsr()
    if met.shape[1] <= EXACT_PRODUCTS:
        return tuple(_ease(weighted, penalty) for penalty in penalties)
    return _local_ridge(weighted, weighted, penalties, columns, tick)


def _ease(weighted: sp.csr_matrix, penalty: float) -> sp.csr_matrix:
    """B = I − P · diag(1/P_jj) with P = (XᵀX + λI)⁻¹: every product regressed on all others at once."""
    gram = (weighted.T @ weighted).toarray().astype(np.float64)
    P = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    B = -P / np.diag(P)[None, :]
    np.fill_diagonal(B, 0.0)
    return sp.csr_matrix(B.astype(np.float32))


def following_weights(
    x: Interactions, recency: float, penalty: float, *, columns: np.ndarray | None = None, tick: Tick | None = None
) -> sp.csr_matrix:
    """What comes after what, ``[n_products, n_products]``, diagonal zero: ``next`` of SIMILAR_TO from row to column.

    Every product that a user met after others is a row: the products before it,
    each counting ``recency`` times the one after it, should say which it was. Of
    each product a ridge regression on the 200 that precede it most.
    (After the linear session model of Choi et al., WWW 2021, arXiv:2103.16104.)
    """
    before, after = prefixes(x, recency)
    return _local_ridge(before, after, (penalty,), columns, tick)[0]


def prefixes(x: Interactions, recency: float) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """For each product that has others before it: those, decayed, and itself; both ``[steps, n_products]``."""
    users, products, _ = places(x)
    shape = (len(users), x.n_products)
    rows, columns, weights = [], [], []
    for lag in range(1, SEQUENCE + 1):
        # Each user's latest comes first, so what preceded an entry by `lag` stands `lag` further on.
        now = np.arange(len(users) - lag)
        now = now[users[now] == users[now + lag]]
        if now.size == 0:
            break
        rows.append(now)
        columns.append(products[now + lag])
        weights.append(np.full(now.size, recency ** (lag - 1), dtype=np.float32))
    if not rows:
        return no_weights(*shape), no_weights(*shape)
    before = sp.csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    steps = rows[0]
    after = sp.csr_matrix((np.ones(steps.size, dtype=np.float32), (steps, products[steps])), shape=shape)
    return before, after


def _local_ridge(
    sources: sp.csr_matrix,
    targets: sp.csr_matrix,
    penalties: Sequence[float],
    wanted: np.ndarray | None,
    tick: Tick | None,
) -> tuple[sp.csr_matrix, ...]:
    """Column j: the source columns nearest to target column j by cosine, and the weights that predict it from them.

    The Gram matrix of all products is never made: of Gowalla's 41,000 it would take over a gigabyte. That of a
    product's neighbours costs more than a solution, so several penalties cost little more than one.
    """
    n = sources.shape[1]
    columns, rows, goals = sources.tocsc(), sources.tocsr(), targets.tocsc()
    norm = _norms(columns)
    heads, tails = [], []
    weights: list[list[np.ndarray]] = [[] for _ in penalties]
    solved = np.arange(n) if wanted is None else np.flatnonzero(wanted)
    for begin in range(0, len(solved), _BLOCK):
        block = solved[begin : begin + _BLOCK]
        common = (goals[:, block].T @ rows).tocoo()
        apart = block[common.row] != common.col
        row, col, data = common.row[apart], common.col[apart], common.data[apart]
        nearest = prune(sp.csr_matrix((data / norm[col], (row, col)), shape=common.shape), NEIGHBOURS)
        for j, product in enumerate(block):
            if tick is not None and (begin + j) % 500 == 0:
                tick(begin + j, len(solved))
            span = slice(nearest.indptr[j], nearest.indptr[j + 1])
            around = nearest.indices[span]
            if around.size == 0:
                continue
            X = columns[:, around]
            gram = (X.T @ X).toarray()
            target = nearest.data[span] * norm[around]
            heads.append(around)
            tails.append(np.full(around.size, product))
            for penalty, found in zip(penalties, weights, strict=True):
                G = gram.copy()
                G[np.diag_indices_from(G)] += penalty
                found.append(solve(G, target, assume_a="pos", overwrite_a=True, check_finite=False).astype(np.float32))
    if not heads:
        return tuple(no_weights(n, n) for _ in penalties)
    where = (np.concatenate(heads), np.concatenate(tails))
    return tuple(sp.csr_matrix((np.concatenate(found), where), shape=(n, n)) for found in weights)


def _norms(columns: sp.csc_matrix) -> np.ndarray:
    return np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())


def side_parts(data: HeteroData) -> dict[str, sp.csr_matrix]:
    """All parts that do not depend on what users did, by name; those without an entry are left out."""
    parts: dict[str, sp.csr_matrix] = {}
    if "text_embedding" in data["Product"]:
        parts["text"] = text_part(data["Product"].text_embedding.numpy())
    n = int(data["Product"].num_nodes or 0)
    for type_, label in SHARED:
        edge = ("Product", type_, label)
        if edge in data.edge_types:
            index = data[edge].edge_index.numpy()
            parts[type_.lower()] = shared_part(index[0], index[1], n, int(data[label].num_nodes or 0))
    for type_, source, index in explicit_relations(data):
        parts[f"{type_.lower()}:{source}"] = explicit_part(index, n)
    return {name: part for name, part in parts.items() if part.nnz > 0}


def text_part(text: np.ndarray, of: np.ndarray | None = None) -> sp.csr_matrix:
    """Squared cosine of the nearest texts, ``[n, n]``; negative cosines are nothing.

    The square keeps the near ones apart from the many that merely speak of the same trade.

    Args:
        of: rows of some products, int64 ``[m]``: then theirs alone, ``[m, n]``.
    """
    n = text.shape[0]
    of = np.arange(n) if of is None else of
    found = []
    step = max(1, 20_000_000 // max(n, 1))
    for begin in range(0, len(of), step):
        some = of[begin : begin + step]
        cosines = np.maximum(text[some] @ text.T, 0.0) ** 2
        cosines[np.arange(len(some)), some] = 0.0
        found.append(_strongest(cosines, PART_WIDTH))
    return sp.vstack(found).tocsr() if found else no_weights(len(of), n)


def shared_part(
    products: np.ndarray, others: np.ndarray, n_products: int, n_others: int, of: np.ndarray | None = None
) -> sp.csr_matrix:
    """Σ over what two products share of 1/√(products that share it), ``[n, n]``.

    Args:
        of: rows of some products, int64 ``[m]``: then theirs alone, ``[m, n]``.
    """
    of = np.arange(n_products) if of is None else of
    ones = np.ones(len(products), dtype=np.float32)
    member = sp.csr_matrix((ones, (products, others)), shape=(n_products, n_others))
    member.sum_duplicates()
    member.data[:] = 1.0
    size = np.asarray(member.sum(axis=0)).ravel()
    worth = np.where((size > 1) & (size <= MOST_SHARING), 1.0 / np.sqrt(np.maximum(size, 1.0)), 0.0)
    weighted = (member @ sp.diags(worth)).tocsr()
    weighted.eliminate_zeros()
    found = []
    for begin in range(0, len(of), _BLOCK):
        some = of[begin : begin + _BLOCK]
        block = (weighted[some] @ member.T).tocoo()
        apart = some[block.row] != block.col
        block = sp.csr_matrix((block.data[apart], (block.row[apart], block.col[apart])), shape=block.shape)
        found.append(prune(block, PART_WIDTH))
    return sp.vstack(found).tocsr().astype(np.float32) if found else no_weights(len(of), n_products)


def explicit_relations(data: HeteroData) -> Iterator[tuple[str, str, np.ndarray]]:
    """Type, source and ``[2, e]`` rows of each feed of relations between two different products."""
    for type_ in PRODUCT_RELATIONS:
        edge = ("Product", type_, "Product")
        if edge not in data.edge_types:
            continue
        store = data[edge]
        index = store.edge_index.numpy()
        sources = store.source.numpy() if "source" in store else np.full(index.shape[1], -1)
        names = store.source_texts if "source" in store else []
        for code in np.unique(sources):
            edges = index[:, (sources == code) & (index[0] != index[1])]
            if edges.shape[1]:
                yield type_, names[code] if code >= 0 else "", edges


def explicit_part(index: np.ndarray, n: int) -> sp.csr_matrix:
    """1/√(degree · degree) where two products are related in either direction, ``[n, n]``."""
    related = either_way(index, n)
    degree = np.asarray(related.sum(axis=1)).ravel()
    scale = sp.diags(np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0))
    return (scale @ related @ scale).tocsr().astype(np.float32)


def either_way(index: np.ndarray, n: int) -> sp.csr_matrix:
    """1 where two different products are related, ``[2, e]``, in either direction; float32 ``[n, n]``."""
    heads, tails = index[:, index[0] != index[1]]
    related = sp.csr_matrix(
        (np.ones(2 * len(heads), dtype=np.float32), (np.r_[heads, tails], np.r_[tails, heads])), shape=(n, n)
    )
    related.sum_duplicates()
    related.data[:] = 1.0
    return related


def combine(parts: Mapping[str, sp.csr_matrix], factors: Mapping[str, float]) -> sp.csr_matrix:
    """Σ factor · part, positive entries only; float32 ``[n, n]``."""
    total = None
    for name, part in parts.items():
        factor = factors.get(name, 0.0)
        if factor != 0.0:
            total = part * np.float32(factor) if total is None else total + part * np.float32(factor)
    if total is None:
        n = next(iter(parts.values())).shape[0]
        return no_weights(n, n)
    total = total.tocsr()
    total.data[total.data < 0.0] = 0.0
    total.eliminate_zeros()
    return total.astype(np.float32)


def prune_together(
    similar: sp.csr_matrix, following: sp.csr_matrix, next_weight: float, most: int
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Both as properties of one relation, of which a product keeps the ``most`` strongest outgoing ones.

    Strong is what adds most to a score: ``similar`` + ``next_weight`` · ``following``, positive entries only.
    """
    if next_weight <= 0.0:
        return prune(similar, most), no_weights(*following.shape)
    onward = following.copy()
    onward.data[onward.data < 0.0] = 0.0
    onward.eliminate_zeros()
    kept = prune((similar + onward * np.float32(next_weight)).tocsr(), most)
    kept.data[:] = 1.0
    return similar.multiply(kept).tocsr().astype(np.float32), onward.multiply(kept).tocsr().astype(np.float32)


def renewed(old: sp.csr_matrix, fresh: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> sp.csr_matrix:
    """``fresh`` in the given rows and columns, ``old`` everywhere else.

    Args:
        old: ``[n, n]``.
        fresh: ``[n, n]``.
        rows: bool ``[n]``.
        columns: bool ``[n]``.
    """
    parts = []
    for matrix, takes_new in ((old.tocoo(), False), (fresh.tocoo(), True)):
        kept = (rows[matrix.row] | columns[matrix.col]) == takes_new
        parts.append(sp.csr_matrix((matrix.data[kept], (matrix.row[kept], matrix.col[kept])), shape=matrix.shape))
    return (parts[0] + parts[1]).tocsr()


def _strongest(dense: np.ndarray, most: int) -> sp.csr_matrix:
    """The ``most`` greatest positive entries of each row."""
    if dense.shape[1] > most:
        columns = np.argpartition(-dense, most - 1, axis=1)[:, :most]
    else:
        columns = np.broadcast_to(np.arange(dense.shape[1]), dense.shape)
    rows = np.repeat(np.arange(dense.shape[0]), columns.shape[1])
    values = np.take_along_axis(dense, columns, axis=1).ravel()
    kept = values > 0
    return sp.csr_matrix((values[kept].astype(np.float32), (rows[kept], columns.ravel()[kept])), shape=dense.shape)
