"""The score, exactly: what ``cypher/recommend/for_user.cypher`` computes, for every product and without an index.

For a user u and a product p::

    score(u, p) = w_embedding  · cos(u, p)
                + w_similar    · Σ_h a(u, h) · weight of h-[:SIMILAR_TO]->p
                + w_next       · Σ_h b(u, h) · next of h-[:SIMILAR_TO]->p
                + Σ_T w_T      · Σ_h a(u, h) · [h-[T]-p]
                + w_popularity · popularity(p)

The sums run over the user's history: products h that the user bought, rated,
carted, clicked or viewed. Interest decays with time, counted from the user's
own latest event, so that a user's recommendations stay as they are while the
user is away::

    w(u, h) = Σ_r strength · 0.5 ^ ((last_at − at) / half_life)     0.5⁰ without times
    a(u, h) = w(u, h) / √ Σ_h w(u, h)

The square root stands between two wishes: after many purchases the
relations know more than the embedding and popularity do, so their sum should
grow; but after a hundred it must not drown the other terms. (On Musical
Instruments the mean was worse on validation data and the sum no better.)

What comes next depends on what came last, and on order more than on dates, so
the sequence is a term of its own. With the times of the products' latest events in
order, that of h the last but k(u, h)::

    b(u, h) = recency ^ k(u, h)               0 for a product without a time

Products of one time, an order's or a day's, share their k.

The weights are properties of the live ``ModelVersion``; nothing else knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from embeddings.export import PRODUCT_RELATIONS
from embeddings.split import Interactions
from kg.popularity import popularity as of_users

HISTORY: Final = 200
"""Most products of a user's history that count, the strongest first; keeps the query's work bounded."""


def weight_name(type_: str) -> str:
    """Property of ``ModelVersion`` that holds the weight of a relationship type: ``w_bought_with``."""
    return f"w_{type_.lower()}"


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """The mixture. Products' explicit relations have one weight a type."""

    embedding: float = 0.0
    similar: float = 0.0
    popularity: float = 0.0
    half_life_days: float = 365.0
    relations: Mapping[str, float] = field(default_factory=dict)
    """Relationship type → weight; a type that is absent weighs nothing."""
    next: float = 0.0
    recency: float = 0.5
    """What a product of the history counts in the sequence, relative to the one after it."""

    def apart(self) -> dict[str, ScoreWeights]:
        """The weights with which each part of the score counts alone, and all but it; what weighs nothing is left out.

        Popularity is not taken apart: it is a baseline.
        """
        nothing = ScoreWeights(half_life_days=self.half_life_days, recency=self.recency)
        parts: dict[str, dict[str, Any]] = {
            "embedding": {"embedding": self.embedding},
            "learned relations": {"similar": self.similar},
            "explicit relations": {"relations": self.relations},
            "sequence": {"next": self.next},
        }
        found = {}
        for name, own in parts.items():
            alone = replace(nothing, **own)
            if alone != nothing:
                found[f"{name} alone"] = alone
                found[f"without {name}"] = replace(self, **{field: getattr(nothing, field) for field in own})
        return found

    def as_properties(self) -> dict[str, float]:
        """As the properties of a ``ModelVersion``: every weight is there, so that the query needs no default."""
        return {
            "w_embedding": self.embedding,
            "w_similar": self.similar,
            "w_popularity": self.popularity,
            "half_life_days": self.half_life_days,
            "w_next": self.next,
            "recency": self.recency,
            **{weight_name(t): self.relations.get(t, 0.0) for t in PRODUCT_RELATIONS},
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> ScoreWeights:
        """The inverse of :meth:`as_properties`."""
        return cls(
            embedding=float(properties["w_embedding"]),
            similar=float(properties["w_similar"]),
            popularity=float(properties["w_popularity"]),
            half_life_days=float(properties["half_life_days"]),
            relations={t: float(properties.get(weight_name(t), 0.0)) for t in PRODUCT_RELATIONS},
            next=float(properties.get("w_next", 0.0)),
            recency=float(properties.get("recency", 0.5)),
        )


@dataclass(frozen=True, slots=True)
class Scorer:
    """Everything that the score of a product needs, as arrays over the rows of one node index."""

    user_vectors: np.ndarray
    """float32 ``[n_users, d]``, unit length; zero rows for users without."""
    product_vectors: np.ndarray
    """float32 ``[n_products, d]``, likewise."""
    similar: sp.csr_matrix
    """Weight of SIMILAR_TO from row to column, ``[n_products, n_products]``."""
    relations: Mapping[str, sp.csr_matrix]
    """For each type 1 where two products are related in either direction."""
    popularity: np.ndarray
    """float32 ``[n_products]``"""
    weights: ScoreWeights
    following: sp.csr_matrix | None = None
    """``next`` of SIMILAR_TO from row to column, ``[n_products, n_products]``; None for nowhere."""

    def item_weights(self) -> sp.csr_matrix:
        """All terms that pass through the history as one matrix ``[n_products, n_products]``."""
        total = (self.similar * np.float32(self.weights.similar)).tocsr()
        for type_, related in self.relations.items():
            weight = self.weights.relations.get(type_, 0.0)
            if weight != 0.0:
                total = total + related * np.float32(weight)
        return total.tocsr()

    def ranker(self, x: Interactions) -> Callable[[np.ndarray], np.ndarray]:
        """Rows of users ``[b]`` → score of every product for them, float32 ``[b, n_products]``."""
        past = history(x, self.weights.half_life_days)
        through = self.item_weights()
        sequence = None
        if self.following is not None and self.weights.next != 0.0:
            onward = (self.following * np.float32(self.weights.next)).tocsr()
            sequence = (recent(x, self.weights.recency, past), onward)

        def scores(users: np.ndarray) -> np.ndarray:
            found = past[users] @ through
            if sequence is not None:
                latest, onward = sequence
                found = found + latest[users] @ onward
            return (
                found.toarray().astype(np.float32)
                + np.float32(self.weights.embedding) * (self.user_vectors[users] @ self.product_vectors.T)
                + np.float32(self.weights.popularity) * self.popularity
            )

        return scores


def history(x: Interactions, half_life_days: float, limit: int = HISTORY) -> sp.csr_matrix:
    """a(u, h) for all users: float32 ``[n_users, n_products]``, at most ``limit`` entries a row."""
    summed = prune(x.interest(half_life_days), limit)
    total = np.sqrt(np.asarray(summed.sum(axis=1)).ravel())
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return (sp.diags(scale) @ summed).tocsr().astype(np.float32)


def recent(x: Interactions, recency: float, past: sp.csr_matrix) -> sp.csr_matrix:
    """b(u, h) where ``past``, from :func:`history`, has an entry: float32 ``[n_users, n_products]``."""
    users, products, place = places(x)
    weights = np.power(recency, place)
    whole = sp.csr_matrix((weights, (users, products)), shape=(x.n_users, x.n_products))
    # Wherever there is an entry: an interest of long ago may be less than a float32 can say, and still has its place.
    there = sp.csr_matrix((np.ones_like(past.data), past.indices, past.indptr), shape=past.shape)
    return whole.multiply(there).tocsr().astype(np.float32)


def places(x: Interactions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, products and at how many later times the user met others, each int64 ``[pairs]``; timed pairs only.

    Each user's latest comes first. Products of one time, as those of one order, have one place: nothing says which
    came first, and in reviews dated by day half of all have another of the same day. Among them the one of the larger
    row stands first, as in :func:`embeddings.split.hold_out`.
    """
    timed = ~np.isnan(x.at)
    pairs, inverse = np.unique(x.users[timed] * x.n_products + x.products[timed], return_inverse=True)
    at = np.full(len(pairs), -np.inf)
    np.maximum.at(at, inverse, x.at[timed])
    users, products = pairs // x.n_products, pairs % x.n_products
    order = np.lexsort([-products, -at, users])
    users, products, at = users[order], products[order], at[order]
    if not len(users):
        return users, products, np.zeros(0, dtype=np.int64)
    group = np.concatenate([[0], np.cumsum((np.diff(users) != 0) | (np.diff(at) != 0.0))])
    return users, products, group - group[np.searchsorted(users, users)]


def prune(matrix: sp.csr_matrix, most: int) -> sp.csr_matrix:
    """Keep the ``most`` greatest entries of each row; of equal ones those of the smaller columns."""
    counts = np.diff(matrix.indptr)
    if counts.size == 0 or counts.max(initial=0) <= most:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    order = np.lexsort([matrix.indices, -matrix.data, rows])
    rank = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)
    kept = np.sort(order[rank < most])
    return sp.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape)


def no_weights(rows: int, columns: int) -> sp.csr_matrix:
    """An empty float32 matrix."""
    nowhere = np.empty(0, dtype=np.int64)
    return sp.csr_matrix((np.empty(0, dtype=np.float32), (nowhere, nowhere)), shape=(rows, columns))


def moved(matrix: sp.csr_matrix | None, place: np.ndarray, n_products: int) -> sp.csr_matrix:
    """Relations of a checkpoint between the products of another graph, ``[n_products, n_products]``.

    Args:
        place: for each of the checkpoint's products its row there, -1 where it is gone.
    """
    if matrix is None:
        return no_weights(n_products, n_products)
    old = matrix.tocoo()
    row, column = place[old.row], place[old.col]
    kept = (row >= 0) & (column >= 0)
    return sp.csr_matrix((old.data[kept], (row[kept], column[kept])), shape=(n_products, n_products))


def popularity(x: Interactions) -> np.ndarray:
    """What :func:`kg.popularity.popularity` says of these interactions, float32 ``[n_products]`` in [0, 1]."""
    return of_users(np.asarray(x.matrix().sum(axis=0)).ravel()).astype(np.float32)
