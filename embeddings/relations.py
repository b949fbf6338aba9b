"""Learned item–item relations: the weights of ``(:Product)-[:SIMILAR_TO {weight}]->(:Product)``.

A linear autoencoder is a matrix of item–item weights with a closed form, and
such a matrix is exactly what a property graph can hold and Cypher can join. The
weights are a sum of parts, whose factors :mod:`embeddings.training` chooses on
validation data:

- **ridge**: from what users did and what is said of the products (:mod:`embeddings.ridge`).
- **text**: the squared cosine of the text vectors, so that a product nobody has
  met yet is related too; likewise each kind of vector that the shop supplied (of an image, say).
- **shared brand, category, attribute value, praised aspect**: the rarer, the more.
- **explicit relations**, one part for each feed that asserts them: that 'bought
  together' says more than 'also bought' is for the data to tell.

The sum is pruned to the strongest outgoing relations of each product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import scipy.sparse as sp
from torch_geometric.data import HeteroData

from embeddings.content import TEXT, Content
from embeddings.export import PRODUCT_RELATIONS, SHARED
from embeddings.features import MOST_SHARING
from embeddings.nearest import neighbourhoods
from embeddings.scoring import no_weights, prune

PART_WIDTH: Final = 100
"""Strongest entries that each part but the ridge keeps a product, before the parts are added."""

EXACT_TEXTS: Final = 50_000
"""Products up to which all texts are compared with all: a minute of two cores."""
_BLOCK: Final = 1024
"""Products whose relations to all others are in memory at once."""


def side_parts(data: HeteroData) -> dict[str, sp.csr_matrix]:
    """All parts that do not depend on what users did, by name; those without an entry are left out."""
    parts: dict[str, sp.csr_matrix] = {}
    for name, vectors in Content.of(data).blocks.items():
        parts[part_of(name)] = likeness_part(vectors)
    n = int(data["Product"].num_nodes or 0)
    for type_, label in SHARED:
        edge = ("Product", type_, label)
        if edge in data.edge_types:
            index = data[edge].edge_index.numpy()
            parts[type_.lower()] = shared_part(index[0], index[1], n, int(data[label].num_nodes or 0))
    for type_, source, index in explicit_relations(data):
        parts[f"{type_.lower()}:{source}"] = explicit_part(index, n)
    return {name: part for name, part in parts.items() if part.nnz > 0}


def part_of(content: str) -> str:
    """Name of the part that a kind of content makes; the text's is ``text``."""
    return "text" if content == TEXT else content


def likeness_part(vectors: np.ndarray, of: np.ndarray | None = None) -> sp.csr_matrix:
    """Squared cosine of the nearest of unit vectors ``[n, width]``, ``[n, n]``; negative cosines are nothing.

    The square keeps the near ones apart from the many that merely speak of the same trade. In a catalogue of more than
    :data:`EXACT_TEXTS` each is compared with those of its surroundings (:mod:`embeddings.nearest`), else with all.

    Args:
        of: rows of some products, int64 ``[m]``: then theirs alone, ``[m, n]``, compared with all.
    """
    n = vectors.shape[0]
    step = max(1, 20_000_000 // max(n, 1))
    if of is None and n > EXACT_TEXTS:
        # Those without a vector would all be of one list, and be compared with each other.
        there = np.flatnonzero(vectors.any(axis=1))
        heads, tails, weights = [there[:0]], [there[:0]], [np.zeros(0, dtype=np.float32)]
        for own, near in neighbourhoods(vectors[there]) if len(there) else ():
            rows, candidates = there[own], there[near]
            for begin in range(0, len(rows), _BLOCK):
                some = rows[begin : begin + _BLOCK]
                part = _likeness(vectors, some, candidates).tocoo()
                heads.append(some[part.row])
                tails.append(candidates[part.col])
                weights.append(part.data)
        where = (np.concatenate(heads), np.concatenate(tails))
        return sp.csr_matrix((np.concatenate(weights), where), shape=(n, n))
    of = np.arange(n) if of is None else of
    found = [_likeness(vectors, of[begin : begin + step], np.arange(n)) for begin in range(0, len(of), step)]
    return sp.vstack(found).tocsr() if found else no_weights(len(of), n)


def _likeness(vectors: np.ndarray, rows: np.ndarray, candidates: np.ndarray) -> sp.csr_matrix:
    """:func:`likeness_part` of some rows with some others, ``[rows, candidates]``."""
    cosines = np.maximum(vectors[rows] @ vectors[candidates].T, 0.0) ** 2
    cosines[rows[:, None] == candidates[None, :]] = 0.0
    return _strongest(cosines, PART_WIDTH)


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


def positive(weights: sp.csr_matrix) -> sp.csr_matrix:
    """The positive entries; the matrix itself where it has no others."""
    if weights.data.min(initial=0.0) >= 0.0:
        return weights
    kept = weights.tocsr(copy=True)
    kept.data[kept.data < 0.0] = 0.0
    kept.eliminate_zeros()
    return kept


def combine(parts: Mapping[str, sp.csr_matrix], factors: Mapping[str, float]) -> sp.csr_matrix:
    """Σ factor · part, of each part the positive entries only; float32 ``[n, n]``."""
    total = None
    for name, part in parts.items():
        factor = factors.get(name, 0.0)
        if factor != 0.0:
            weighed = positive(part) * np.float32(factor)
            total = weighed if total is None else total + weighed
    if total is None:
        n = next(iter(parts.values())).shape[0]
        return no_weights(n, n)
    return total.tocsr().astype(np.float32)


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
