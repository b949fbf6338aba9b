"""How good recommendations are: metrics, and the evaluation that measures them through Cypher.

Ranks count from 0. Where scores are ours, a target that ties with n others gets
the middle of the places they share (Berrendorf et al., arXiv:2002.06914): whoever
gives everything one score gets no better than chance. Where Neo4j ranks, its
order counts as it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from embeddings.split import Interactions

BATCH: Final = 512
"""Users whose scores for all products are in memory at once."""
VALIDATION_CUTOFF: Final = 10


@dataclass(frozen=True, slots=True)
class Targets:
    """What should have been recommended, by user."""

    users: np.ndarray
    """Rows of the users, ascending, int64 ``[m]``."""
    owner: np.ndarray
    """For each target the position of its user in ``users``, ascending, int64 ``[t]``."""
    products: np.ndarray
    """Rows of the products, int64 ``[t]``."""


def targets_of(users: np.ndarray, products: np.ndarray) -> Targets:
    """Group pairs by user; a pair given twice counts once."""
    if len(users) == 0:
        empty = np.empty(0, dtype=np.int64)
        return Targets(empty, empty, empty)
    pairs = np.unique(np.stack([users, products]), axis=1)
    unique, owner = np.unique(pairs[0], return_inverse=True)
    return Targets(unique, owner.astype(np.int64), pairs[1])


# --- metrics -------------------------------------------------------------------------------------------------


def metrics(ranks: np.ndarray, owner: np.ndarray, n_users: int, cutoffs: Sequence[int]) -> dict[str, float]:
    """Means over users of recall, NDCG, hit rate and reciprocal rank.

    Recall and NDCG are those of the LightGCN evaluation: of a user with |T|
    targets, recall@k is hits / |T|, and NDCG@k divides by the gain of
    min(|T|, k) hits at the top. MRR looks at the first hit within the largest
    cut-off.

    Args:
        ranks: rank of each target among the products shown, from 0, ``[t]``; infinite for one not shown.
        owner: position of each target's user, ``[t]``.
        n_users: users, those without any hit included.
    """
    if n_users == 0:
        return {name: 0.0 for k in cutoffs for name in (f"recall@{k}", f"ndcg@{k}", f"hr@{k}")} | {"mrr": 0.0}
    wanted = np.bincount(owner, minlength=n_users)
    out: dict[str, float] = {}
    with np.errstate(invalid="ignore"):
        gain = np.where(np.isfinite(ranks), 1.0 / np.log2(ranks + 2.0), 0.0)
    for k in cutoffs:
        hit = ranks < k
        hits = np.bincount(owner, weights=hit, minlength=n_users)
        ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(k) + 2.0))])
        dcg = np.bincount(owner, weights=gain * hit, minlength=n_users)
        out[f"recall@{k}"] = float(np.mean(hits / np.maximum(wanted, 1)))
        out[f"ndcg@{k}"] = float(np.mean(dcg / np.maximum(ideal[np.minimum(wanted, k)], ideal[1])))
        out[f"hr@{k}"] = float(np.mean(hits > 0))
    first = np.full(n_users, np.inf)
    np.minimum.at(first, owner, ranks)
    out["mrr"] = float(np.mean(np.where(first < max(cutoffs), 1.0 / (first + 1.0), 0.0)))
    return out


def expected_ranks(scores: np.ndarray, row: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Rank of products within their rows of ``scores``, from 0, ties at their expected place.

    Args:
        scores: ``[b, n]``; minus infinity for what is not shown, which has an infinite rank.
        row: row of each product, ``[t]``.
        products: column of each product, ``[t]``.
    """
    own = scores[row, products][:, None]
    of_row = scores[row]
    better = (of_row > own).sum(axis=1)
    equal = (of_row == own).sum(axis=1) - 1
    return np.where(np.isneginf(own[:, 0]), np.inf, better + equal / 2.0)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The outcome for all users: rank of each target, and which products were shown to anyone."""

    ranks: np.ndarray
    shown: np.ndarray
    """bool ``[n_products]``: within the largest cut-off of some user."""


def rank_all(
    rank: Callable[[np.ndarray], np.ndarray],
    targets: Targets,
    hidden: sp.csr_matrix,
    barred: np.ndarray,
    most: int,
) -> Ranking:
    """Score every product for every user and rank the targets.

    Args:
        rank: rows of users → scores ``[b, n_products]``.
        hidden: entries for the products that a user is not shown, ``[n_users, n_products]``.
        barred: products shown to nobody, bool ``[n_products]``.
        most: the largest cut-off.
    """
    ranks = np.full(len(targets.owner), np.inf)
    shown = np.zeros(len(barred), dtype=bool)
    for begin in range(0, len(targets.users), BATCH):
        users = targets.users[begin : begin + BATCH]
        scores = rank(users)
        scores[:, barred] = -np.inf
        rows = hidden[users].tocoo()
        scores[rows.row, rows.col] = -np.inf
        low, high = np.searchsorted(targets.owner, [begin, begin + len(users)])
        # A few targets at a time: each compares with a whole row.
        for part in range(low, high, BATCH):
            chosen = slice(part, min(part + BATCH, high))
            ranks[chosen] = expected_ranks(scores, targets.owner[chosen] - begin, targets.products[chosen])
        best = _top(scores, most)
        visible = np.take_along_axis(scores, best, axis=1) > -np.inf
        shown[best[visible]] = True
    return Ranking(ranks, shown)


def validation_score(rank: Callable[[np.ndarray], np.ndarray], train: Interactions, targets: Targets) -> float:
    """HR@10 + 2 · NDCG@10: the one number by which anything is chosen; both halves weigh about the same."""
    hidden = train.matrix(known_only=True)
    barred = np.zeros(train.n_products, dtype=bool)
    ranking = rank_all(rank, targets, hidden, barred, VALIDATION_CUTOFF)
    found = metrics(ranking.ranks, targets.owner, len(targets.users), (VALIDATION_CUTOFF,))
    return found[f"hr@{VALIDATION_CUTOFF}"] + 2.0 * found[f"ndcg@{VALIDATION_CUTOFF}"]


def _top(scores: np.ndarray, most: int) -> np.ndarray:
    most = min(most, scores.shape[1])
    return np.argpartition(-scores, most - 1, axis=1)[:, :most]
