"""How good recommendations are: metrics, and the evaluation that measures them through Cypher.

Ranks count from 0. Where scores are ours, a target that ties with n others gets
the middle of the places they share (Berrendorf et al., arXiv:2002.06914): whoever
gives everything one score gets no better than chance. Where Neo4j ranks, its
order counts as it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch

from embeddings import baselines
from embeddings import sasrec as sequential
from embeddings.export import INTERACTIONS, PRODUCT_RELATIONS, NodeIndex, SubgraphSpec, export_subgraph
from embeddings.measure import measured
from embeddings.registry import live
from embeddings.relations import either_way
from embeddings.scoring import Scorer, ScoreWeights, no_weights
from embeddings.split import Holdout, Interactions, hold_out, interactions
from kg import catalogue
from kg.errors import BenchmarkError
from kg.store import GraphStore

BATCH: Final = 512
"""Most users whose scores for all products are in memory at once,"""
ENTRIES: Final = 20_000_000
"""and most of these scores: 80 MB for each array of them that a ranker needs."""
VALIDATION_CUTOFF: Final = 10
VALIDATION_USERS: Final = 4_000
"""Most users on whom anything is chosen."""
_UNWANTED: Final = ("RATED", "DISLIKED", "RETURNED", "HIDDEN")
"""What hides a product from the user, as BOUGHT does. (The queries show what is consumed again: :data:`REPEATS`.)"""


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
    """float64 ``[t]``; infinite beyond the largest cut-off, which no metric looks at."""
    shown: np.ndarray
    """bool ``[n_products]``: within the largest cut-off of some user."""


def rank_all(
    rank: baselines.Ranker,
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
    step = max(1, min(BATCH, ENTRIES // len(barred)))
    for begin in range(0, len(targets.users), step):
        users = targets.users[begin : begin + step]
        scores = rank(users)
        scores[:, barred] = -np.inf
        rows = hidden[users].tocoo()
        scores[rows.row, rows.col] = -np.inf
        best = torch.topk(torch.from_numpy(scores), min(most, scores.shape[1]), dim=1)
        values = best.values.numpy()
        shown[best.indices.numpy()[values > -np.inf]] = True
        low, high = np.searchsorted(targets.owner, [begin, begin + len(users)])
        row, products = targets.owner[low:high] - begin, targets.products[low:high]
        # Only who stands among the best has a rank worth counting, and counting compares with a whole row.
        near = np.flatnonzero(scores[row, products] >= values[row, -1])
        for part in range(0, len(near), step):
            chosen = near[part : part + step]
            ranks[low + chosen] = expected_ranks(scores, row[chosen], products[chosen])
    return Ranking(ranks, shown)


def validation_score(rank: baselines.Ranker, holdout: Holdout) -> float:
    """HR@10 + 2 · NDCG@10: the one number by which anything is chosen; both halves weigh about the same."""
    values = validation_values(rank, holdout)
    return float(values.mean()) if len(values) else 0.0


def validation_values(rank: baselines.Ranker, holdout: Holdout) -> np.ndarray:
    """The same of each user of a split, ``[m]``, by user: of several products held out of one, their mean.

    Each is ranked as if it were the only one, among what is neither known nor held out.
    """
    targets = targets_of(holdout.users, holdout.products)
    known = holdout.train.matrix(known_only=True)
    values = np.zeros(len(targets.owner))
    step = max(1, min(BATCH, ENTRIES // known.shape[1]))
    for begin in range(0, len(targets.users), step):
        users = targets.users[begin : begin + step]
        scores = rank(users)
        low, high = np.searchsorted(targets.owner, [begin, begin + len(users)])
        row, products = targets.owner[low:high] - begin, targets.products[low:high]
        own = scores[row, products]
        rows = known[users].tocoo()
        scores[rows.row, rows.col] = -np.inf
        scores[row, products] = -np.inf
        for part in range(0, len(row), step):
            some = slice(part, part + step)
            others = scores[row[some]]
            better, equal = ((compared(others, own[some, None])).sum(axis=1) for compared in (np.greater, np.equal))
            # NaN is no less than anything, and would stand before all.
            values[low:high][some] = gains(np.where(np.isnan(own[some]), np.inf, better + equal / 2.0))
    return mean_by(targets.owner, values)


def gains(ranks: np.ndarray) -> np.ndarray:
    """HR@10 + 2 · NDCG@10 of a single target by its rank, which counts from 0."""
    return np.where(ranks < VALIDATION_CUTOFF, 1.0 + 2.0 / np.log2(ranks + 2.0), 0.0)


def mean_by(owner: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of the values of each owner, whose numbers have no gap: ``[t]``, ``[t]`` → ``[m]``."""
    mean: np.ndarray = np.bincount(owner, weights=values) / np.maximum(np.bincount(owner), 1)
    return mean


def fit_baselines(
    x: Interactions, rng: np.random.Generator, *, quick: bool = False, sasrec: bool = False
) -> dict[str, Callable[[], baselines.Baseline]]:
    """Each built-in baseline by name, ready to be fitted; their sizes are chosen on each user's last product.

    Args:
        quick: only those that take seconds, for a look during training.
        sasrec: the one that reads sequences too, which takes minutes.
    """
    split = hold_out(x, rng, by_time=True, most=VALIDATION_USERS)
    validation = None
    if len(split.users) and len(split.train):
        validation = baselines.Validation(split.train, lambda rank: validation_score(rank, split))
    seed = int(rng.integers(2**32))
    fits: dict[str, Callable[[], baselines.Baseline]] = {
        "popularity": lambda: baselines.popularity(x),
        "item_knn": lambda: baselines.item_knn(x, validation),
    }
    if quick:
        return fits
    fits["rp3beta"] = lambda: baselines.rp3_beta(x, validation)
    fits["gf_cf"] = lambda: baselines.gf_cf(x, validation, seed)
    if x.n_products <= baselines.EASE_PRODUCTS:
        fits["ease"] = lambda: baselines.ease(x, validation)
    fits["mf"] = lambda: baselines.matrix_factorisation(x, validation, seed)
    if sasrec:
        fits["sasrec"] = lambda: sequential.sasrec(x, validation, seed)
    return fits


# --- through Cypher ------------------------------------------------------------------------------------------

KNOWN_FILTER: Final = "FILTER known = 0 // the known-filter"
"""The line of ``recommend/for_users.cypher`` that hides what the user has."""
REPEATS: Final = "WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0"
"""The line that lets a consumable be bought again, rated or not. An evaluation asks for what is new to a user, and
leaves it out: with it, whoever ranks high what everybody buys again and again would seem to foretell well."""
_USERS_A_QUERY: Final = 25
_CLIENTS: Final = 2
_INDEX_DEPTH: Final = 20


@dataclass(frozen=True, slots=True)
class GraphModel:
    """What the score reads, read out of the graph: the exact counterpart of the query."""

    index: NodeIndex
    interactions: Interactions
    scorer: Scorer
    hidden: sp.csr_matrix
    """What a user has (:data:`embeddings.split.KNOWN`) or does not want, ``[n_users, n_products]``."""
    inactive: np.ndarray
    """What nobody is shown, inactive or out of stock: bool ``[n_products]``."""

    def ranker(self) -> baselines.Ranker:
        """The score of every product for rows of users."""
        return self.scorer.ranker(self.interactions)


def read_model(store: GraphStore) -> GraphModel:
    """Read the live model's vectors and relations, and all that users did, from the graph.

    While no model is live the score is what the query falls back on, the popularity.

    Raises:
        EmptyGraphError: the graph has no interactions.
    """
    model = live(store)
    vector = None if model is None else f"embedding_{model.slot}"
    vectors = () if vector is None else (vector,)
    spec = SubgraphSpec(
        nodes={
            "User": ("last_at", *vectors),
            "Product": ("active", "stock", "popularity", *vectors),
        },
        edges={
            **{("User", t, "Product"): () for t in _UNWANTED},
            **{("User", t, "Product"): ("strength", "at") for t in INTERACTIONS},
            **{("Product", t, "Product"): () for t in PRODUCT_RELATIONS},
            ("Product", "SIMILAR_TO", "Product"): ("model", "weight", "next"),
        },
    )
    data, index = export_subgraph(store, spec)
    x = interactions(data)
    shape = (x.n_users, x.n_products)
    hidden = no_weights(*shape)
    for type_ in ("BOUGHT", *_UNWANTED):
        rows, columns = data["User", type_, "Product"].edge_index.numpy()
        hidden = hidden + sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    sold_out = data["Product"].stock.numpy() <= 0.0  # NaN, an unknown stock, is not
    inactive = ~data["Product"].active.numpy() | sold_out
    popular = np.nan_to_num(data["Product"].popularity.numpy()).astype(np.float32)
    if model is None or vector is None:
        nothing = no_weights(x.n_products, x.n_products)
        empty = (np.zeros((x.n_users, 1), np.float32), np.zeros((x.n_products, 1), np.float32))
        scorer = Scorer(*empty, nothing, {}, popular, ScoreWeights(popularity=1.0))
        return GraphModel(index, x, scorer, hidden, inactive)
    similar = data["Product", "SIMILAR_TO", "Product"]
    names = similar.model_texts
    mine = similar.model.numpy() == (names.index(model.version) if model.version in names else -2)
    heads, tails = similar.edge_index.numpy()[:, mine]
    shape = (x.n_products, x.n_products)
    weights, following = (
        sp.csr_matrix((np.nan_to_num(values.numpy()[mine]).astype(np.float32), (heads, tails)), shape=shape)
        for values in (similar.weight, similar.next)
    )
    scorer = Scorer(
        user_vectors=_width(data["User"][vector].numpy(), data["Product"][vector].numpy()),
        product_vectors=_width(data["Product"][vector].numpy(), data["User"][vector].numpy()),
        similar=weights,
        following=following,
        relations={
            t: either_way(data["Product", t, "Product"].edge_index.numpy(), x.n_products) for t in PRODUCT_RELATIONS
        },
        popularity=popular,
        weights=model.weights,
    )
    return GraphModel(index, x, scorer, hidden, inactive)


def evaluate_recommend(
    store: GraphStore,
    pairs: Iterable[tuple[str, str]],
    cutoffs: Sequence[int] = (10, 20),
    *,
    known_filter: bool = True,
    seed: int = 0,
    compare: bool = True,
    sasrec: bool = False,
    parts: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Rank all products for each user of ``pairs``: in Neo4j, exactly, and by each baseline.

    Pairs of a user or product that the graph does not hold are left out and
    counted. A pair whose product the user already has stays in: with the filter it
    cannot be found, and counts as the miss that it is.

    Args:
        pairs: (user, sku), several for a user allowed.
        known_filter: hide what the user has; without it nothing is hidden.
        compare: fit the baselines too.
        sasrec: SASRec among them, which takes minutes.
        parts: rank by each part of the score alone, and without it, too.
        progress: told how many users have been ranked in Neo4j.

    Returns:
        The JSON object of docs/commands.md, ``kg evaluate recommend``.

    Raises:
        BenchmarkError: no pair is left, or a cut-off is not positive.
    """
    if not cutoffs or min(cutoffs) < 1:
        raise BenchmarkError(f"Cut-offs are whole numbers from 1; found {list(cutoffs)}.")
    model = read_model(store)
    pairs = list(pairs)
    users = model.index.rows("User", [user for user, _ in pairs])
    products = model.index.rows("Product", [sku for _, sku in pairs])
    found = (users >= 0) & (products >= 0)
    if not found.any():
        raise BenchmarkError(
            f"None of the {len(pairs)} held-out pairs has both its user and its product in the graph. "
            "Load the remaining events first, and give the ids as the files have them."
        )
    targets = targets_of(users[found], products[found])
    hidden = model.hidden if known_filter else no_weights(*model.hidden.shape)
    most = max(cutoffs)
    on_sale = max(int((~model.inactive).sum()), 1)

    def summary(ranking: Ranking, seconds: float) -> dict[str, float]:
        found = metrics(ranking.ranks, targets.owner, len(targets.users), cutoffs)
        return {**found, "coverage": float(ranking.shown.sum() / on_sale), "seconds": round(seconds, 3)}

    def exactly(rank: baselines.Ranker) -> dict[str, float]:
        begun = time.perf_counter()
        ranking = rank_all(rank, targets, hidden, model.inactive, most)
        return summary(ranking, time.perf_counter() - begun)

    begun = time.perf_counter()
    through_cypher = summary(
        _rank_in_neo4j(store, model, targets, most, known_filter, progress), time.perf_counter() - begun
    )
    compared = {}
    rng = np.random.default_rng(seed)
    for name, fit in fit_baselines(model.interactions, rng, sasrec=sasrec).items() if compare else ():
        baseline, cost = measured(fit)
        compared[name] = {**exactly(baseline.rank), "chosen": baseline.chosen, **cost.as_dict()}
    apart = model.scorer.weights.apart() if parts else {}
    scorers = {name: replace(model.scorer, weights=weights) for name, weights in apart.items()}
    return {
        "users": len(targets.users),
        "products": model.index.count("Product"),
        "pairs": len(targets.products),
        "unknown_users": len({user for (user, _), row in zip(pairs, users, strict=True) if row < 0}),
        "unknown_products": len({sku for (_, sku), row in zip(pairs, products, strict=True) if row < 0}),
        "cypher": through_cypher,
        "exact": exactly(model.ranker()),
        "baselines": compared,
        **({"parts": {n: exactly(s.ranker(model.interactions)) for n, s in scorers.items()}} if parts else {}),
    }


def index_recall(store: GraphStore, *, sample: int = 1000, seed: int = 0) -> float:
    """Share of each user's 20 nearest products, by exact cosine, that the live slot's index finds.

    Raises:
        BenchmarkError: no model is live, or it has no vectors.
    """
    model = live(store)
    if model is None:
        raise BenchmarkError("No model is live, so there is no index to measure. Run kg train and kg promote.")
    vector = f"embedding_{model.slot}"
    data, index = export_subgraph(store, SubgraphSpec({"User": (vector,), "Product": ("active", vector)}, {}))
    users, products = data["User"][vector].numpy(), data["Product"][vector].numpy()
    rows = np.flatnonzero(users.any(axis=1)) if users.size else np.empty(0, dtype=np.int64)
    if rows.size == 0 or not products.any():
        raise BenchmarkError(f"Model {model.version} is live but has no vectors. Train again: kg train, kg promote.")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:sample])
    query = (
        "CYPHER 25\nUNWIND $users AS user\nMATCH (u:User {id: user})\nCALL (u) {\n  MATCH (p:Product)\n"
        f"    SEARCH p IN (VECTOR INDEX product_embedding_{model.slot} FOR u.{vector} WHERE p.active = true "
        f"LIMIT {_INDEX_DEPTH})\n  RETURN collect(p.sku) AS skus\n}}\nRETURN user, skus"
    )
    barred = ~data["Product"].active.numpy() | ~products.any(axis=1)
    shares = []
    for begin in range(0, len(rows), 100):
        some = rows[begin : begin + 100]
        answers = store.read(query, users=[index.keys["User"][row] for row in some])
        cosines = users[some] @ products.T
        cosines[:, barred] = -np.inf
        # Whatever is as near as the 20th is a right answer: ties have no order of their own.
        depth = min(_INDEX_DEPTH, int((~barred).sum()))
        least = np.sort(cosines, axis=1)[:, -depth] - 1e-6
        place = {index.keys["User"][row]: n for n, row in enumerate(some)}
        for answer in answers:  # none of a user who was deleted meanwhile
            row = place[answer["user"]]
            got = index.rows("Product", answer["skus"])
            got = got[got >= 0]  # products that came meanwhile
            shares.append(float((cosines[row, got] >= least[row]).sum()) / depth)
    return float(np.mean(shares))


def _rank_in_neo4j(
    store: GraphStore,
    model: GraphModel,
    targets: Targets,
    most: int,
    known_filter: bool,
    progress: Callable[[int], None] | None,
) -> Ranking:
    text = catalogue.find("recommend/for_users").text
    for line in (KNOWN_FILTER, REPEATS):
        if line not in text:
            raise BenchmarkError(f"recommend/for_users.cypher lacks the line '{line}'. Restore it.")
    text = text.replace(REPEATS, "")
    if not known_filter:
        text = text.replace(KNOWN_FILTER, "")
    ids = model.index.keys["User"]
    batches = [targets.users[i : i + _USERS_A_QUERY] for i in range(0, len(targets.users), _USERS_A_QUERY)]

    def ask(users: np.ndarray) -> list[dict[str, Any]]:
        return store.read(text, users=[ids[user] for user in users], limit=most)

    place: dict[tuple[int, int], int] = {}
    shown = np.zeros(model.index.count("Product"), dtype=bool)
    with ThreadPoolExecutor(_CLIENTS) as clients:
        for users, rows in zip(batches, clients.map(ask, batches), strict=True):
            by_user: dict[str, list[str]] = {}
            for row in rows:
                by_user.setdefault(row["user"], []).append(row["sku"])
            for user in users:
                products = model.index.rows("Product", by_user.get(ids[user], []))
                products = products[products >= 0]
                shown[products] = True
                place.update(((int(user), int(product)), rank) for rank, product in enumerate(products))
            if progress is not None:
                progress(len(users))
    ranks = [
        place.get((int(targets.users[owner]), int(product)), np.inf)
        for owner, product in zip(targets.owner, targets.products, strict=True)
    ]
    return Ranking(np.array(ranks, dtype=float), shown)


def _width(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Vectors of none are as wide as those of the other side."""
    return vectors if vectors.shape[1] else np.zeros((len(vectors), max(others.shape[1], 1)), dtype=np.float32)
