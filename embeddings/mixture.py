"""The mixture: the weights of the score's parts, and the factors of the parts of SIMILAR_TO.

On each split every part gives each product a score; a mixture is their weighted
sum, so that trying one costs an addition. The search begins with a mixture that
has proved itself elsewhere and leaves it, one weight at a time, only for a gain
that exceeds its own standard error over the users (Breiman et al. 1984, §3.4.3).

On small data the greatest gain is mostly luck, and a rule that takes it gives
another mixture for each seed. So the search is done for several draws of the
users with replacement, and the mean of what they choose is taken (bagging, which
is for unstable choices: Breiman 1996, "Heuristics of instability and
stabilization in model selection"). The more users, the more the draws agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from embeddings.baselines import Ranker
from embeddings.evaluation import validation_values
from embeddings.network import Network, Report
from embeddings.ridge import EXACT_PRODUCTS, following_weights, ridge_weights
from embeddings.scoring import ScoreWeights, history, popularity, recent
from embeddings.settings import TrainSettings
from embeddings.shop import Shop
from embeddings.split import Holdout

FACTORS: Final = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights tried for each part beside the ridge weights, in units of a product's strongest ridge weight."""
DEFAULT: Final = {"text": 0.5, "made_by": 1.0, "popularity": 1.0, "embedding": 0.5, "next": 1.0, "latest": 1.0}
"""In the same units; what was chosen on the sets of docs/benchmark.md, rounded."""
DEFAULT_RELATION: Final = 0.25
"""The same for a type of explicit relation."""
_ERRORS: Final = 1.5
"""Standard errors that a gain must exceed: one, and a half for being the best of ten."""
_DRAWS: Final = 12
"""Draws of the users (docs/benchmark.md, Musical Instruments)."""
_WORTHWHILE: Final = 0.002
"""Relative gain below which a weight is not worth changing, however sure it is."""
_POOL: Final = 100
"""Strongest products of each part that are ranked against each other, in a large catalogue."""
_SMALL_CATALOGUE: Final = 1_500
"""Up to this many products all are ranked."""
_DEFAULT_UNIT: Final = 0.1
_USERS: Final = 256
"""Most users whose scores by every part are in memory at once,"""
_ENTRIES: Final = 20_000_000
"""and most of these scores a part."""
_SEQUENCE: Final = ("next", "latest")
_OF_SCORE: Final = ("embedding", "popularity", *_SEQUENCE)


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge weights of every fold for one penalty, and the half-life that suits them."""

    penalty: float
    features: float
    """For how many users what is said of the products counts; 0 where nothing is said."""
    half_life_days: float
    unit: float
    """Strongest outgoing weight of a product, on average: the scale against which other parts are weighed."""
    weights: tuple[sp.csr_matrix, ...]


@dataclass(frozen=True, slots=True)
class Mixture:
    """What was chosen. Everything is divided by the ridge's unit, so that scores keep their scale."""

    factors: Mapping[str, float]
    """Of the parts of SIMILAR_TO's weight."""
    sequence: Mapping[str, float]
    """Of the parts of its next: the sequence's weights and, after what was met last, the ridge's once more."""
    weights: ScoreWeights


def ridges_of(folds: Sequence[Holdout], shop: Shop, settings: TrainSettings, report: Report) -> tuple[Ridge, ...]:
    """One for each penalty to choose from, the middle one first: it is kept unless another is surely better.

    With the middle penalty also one for each other strength of the features.
    """
    penalties = settings.penalties if shop.n_products <= EXACT_PRODUCTS else settings.local_penalties
    middle = penalties[len(penalties) // 2]
    first, *others = settings.features if shop.features is not None else (0.0,)
    tried = {first: (middle, *(p for p in penalties if p != middle)), **dict.fromkeys(others, (middle,))}
    if not folds:
        return (Ridge(middle, first, settings.half_lives[0], _DEFAULT_UNIT, ()),)
    timed = not all(np.isnan(fold.train.at).all() for fold in folds)
    out = []
    for number, (strength, of) in enumerate(tried.items()):
        report("Relations, validation", number, len(tried))
        features = shop.features_times(strength)
        by_fold = zip(*(ridge_weights(fold.train.matrix(), of, features=features) for fold in folds), strict=True)
        for penalty, weights in zip(of, by_fold, strict=True):
            half_life = _half_life(folds, weights, settings.half_lives if timed else settings.half_lives[:1])
            out.append(Ridge(penalty, strength, half_life, unit_of(weights), weights))
    return tuple(out)


def _half_life(folds: Sequence[Holdout], weights: Sequence[sp.csr_matrix], tried: Sequence[float]) -> float:
    """The first, unless another is surely better: with weights alone, since they are what it is for."""
    best: tuple[float, np.ndarray] | None = None
    for half_life in tried:
        values = np.concatenate(
            [
                validation_values(through(history(fold.train, half_life), w), fold)
                for fold, w in zip(folds, weights, strict=True)
            ]
        )
        if best is None or _surely_better(values, best[1]):
            best = half_life, values
    assert best is not None  # there is at least one half-life
    return best[0]


def unit_of(weights: Sequence[sp.csr_matrix]) -> float:
    """A product's strongest outgoing weight, on average."""
    strongest = np.concatenate([np.asarray(w.max(axis=1).todense()).ravel() for w in weights])
    return float(strongest[strongest > 0].mean()) if (strongest > 0).any() else _DEFAULT_UNIT


def followings_of(folds: Sequence[Holdout], settings: TrainSettings) -> tuple[sp.csr_matrix, ...]:
    """Sequence weights of every fold."""
    return tuple(following_weights(fold.train, settings.recency, settings.next_penalty) for fold in folds)


def through(past: sp.csr_matrix, weights: sp.csr_matrix) -> Ranker:
    """The history through item–item weights."""
    return lambda rows: np.asarray((past[rows] @ weights).todense(), dtype=np.float32)


# --- choosing ------------------------------------------------------------------------------------------------


def choose_mixture(
    folds: Sequence[Holdout],
    shop: Shop,
    ridges: Sequence[Ridge],
    followings: Sequence[sp.csr_matrix],
    network: Network,
    recency: float,
    report: Report,
    seed: int,
) -> tuple[Ridge, Mixture, np.ndarray]:
    """The ridge whose best mixture is surely better than the others', and with it the mean mixture of several draws.

    Returns:
        The ridge, the mixture, and hit@10 + 2 · NDCG@10 of each user of each split with it.
    """
    names = ["embedding", "popularity", *shop.side, *(f"type:{t}" for t in shop.related)]
    if any(following.nnz for following in followings):
        names[:0] = _SEQUENCE
    unit = unit_of(followings) if followings else _DEFAULT_UNIT
    default = {n: DEFAULT.get(n, DEFAULT_RELATION if n.startswith("type:") else 0.0) for n in names}
    if not folds:
        return ridges[0], _mixture(default, ridges[0], unit, recency), np.empty(0)

    def panels_of(ridge: Ridge) -> list[_Panel]:
        by_fold = zip(folds, ridge.weights, followings, network.vectors, strict=True)
        return [_panel(f, shop, w, (next_ / unit).tocsr(), v, ridge, recency) for f, w, next_, v in by_fold]

    best: tuple[np.ndarray, Ridge] | None = None
    for number, ridge in enumerate(ridges):
        report("Mixture", number, len(ridges) + 1)
        values, _ = _search(panels_of(ridge), names, default)
        if best is None or _surely_better(values, best[0]):
            best = (values, ridge)
    assert best is not None  # there is at least one ridge
    report("Mixture", len(ridges), len(ridges) + 1)
    # Made again: in a large catalogue the panels of one ridge are as much as may be in memory.
    ridge, panels = best[1], panels_of(best[1])
    chosen = _bagged(panels, names, default, np.random.default_rng(seed))
    return ridge, _mixture(chosen, ridge, unit, recency), _values(panels, chosen)


def _bagged(
    panels: Sequence[_Panel], names: Sequence[str], start: Mapping[str, float], rng: np.random.Generator
) -> dict[str, float]:
    """The mean of what is chosen with the users of each draw."""
    users = sum(len(panel.hidden) for panel in panels)
    drawn = []
    seen: dict[Any, np.ndarray] = {}
    for _ in range(_DRAWS):
        times = np.bincount(rng.integers(users, size=users), minlength=users).astype(float)
        drawn.append(_search(panels, names, start, times, seen)[1])
    return {name: float(np.mean([chosen[name] for chosen in drawn])) for name in names}


def _search(
    panels: Sequence[_Panel],
    names: Sequence[str],
    start: Mapping[str, float],
    times: np.ndarray | None = None,
    seen: dict[Any, np.ndarray] | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    """The better of both orders: one coordinate at a time ends where it happens to come first."""
    seen = {} if seen is None else seen
    found = [_coordinate_search(panels, order, start, times=times, seen=seen) for order in (names, names[::-1])]
    return found[1] if _surely_better(found[1][0], found[0][0], times) else found[0]


def _values(panels: Sequence[_Panel], chosen: Mapping[str, float]) -> np.ndarray:
    """The value of a mixture for each user of each panel."""
    return np.concatenate([p.values(_summed(p.parts, chosen), _summed(p.own, chosen)) for p in panels])


def _summed(parts: Mapping[str, np.ndarray], chosen: Mapping[str, float]) -> np.ndarray:
    total: np.ndarray = parts["ridge"].copy()
    for name, weight in chosen.items():
        if weight:
            total += np.float32(weight) * parts[name]
    return total


def _mixture(chosen: Mapping[str, float], ridge: Ridge, next_unit: float, recency: float) -> Mixture:
    """From weights in units of the ridge's and of the sequence's."""
    return Mixture(
        factors={"ridge": 1.0 / ridge.unit}
        | {n: w for n, w in chosen.items() if n not in _OF_SCORE and not n.startswith("type:")},
        sequence={"next": chosen.get("next", 0.0) / next_unit, "ridge": chosen.get("latest", 0.0) / ridge.unit},
        weights=ScoreWeights(
            embedding=chosen.get("embedding", 0.0),
            similar=1.0,
            popularity=chosen.get("popularity", 0.0),
            half_life_days=ridge.half_life_days,
            relations={n.removeprefix("type:"): w for n, w in chosen.items() if n.startswith("type:")},
            next=1.0 if any(chosen.get(n, 0.0) for n in _SEQUENCE) else 0.0,
            recency=recency,
        ),
    )


def _surely_better(new: np.ndarray, old: np.ndarray, times: np.ndarray | None = None) -> bool:
    """Whether the mean gain over the users is beyond its standard error, and worth having.

    Args:
        times: how often each user counts; once by default.
    """
    if len(new) < 2:
        return False
    gain = new - old
    mean = np.average(gain, weights=times)
    error = np.sqrt(np.average((gain - mean) ** 2, weights=times) / (len(gain) - 1))
    return bool(mean > max(_ERRORS * error, _WORTHWHILE * np.average(old, weights=times)))


@dataclass(frozen=True, slots=True)
class _Panel:
    """The parts' scores of some products for the users of one fold, so that any mixture is a weighted sum."""

    parts: Mapping[str, np.ndarray]
    """float32 ``[m, c]`` each, in units of the ridge's."""
    own: Mapping[str, np.ndarray]
    """The same for each user's target, ``[m, 1]``."""
    hidden: np.ndarray
    """bool ``[m, c]``: known products, doubles and the target itself, which are not ranked against it."""

    def values(self, mixed: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Each user's hit@10 + 2 · NDCG@10, ``[m]``."""
        better = ((mixed > own) & ~self.hidden).sum(1)
        equal = ((mixed == own) & ~self.hidden).sum(1)
        ranks = better + equal / 2.0
        hit = ranks < 10
        return hit + 2.0 * np.where(hit, 1.0 / np.log2(ranks + 2.0), 0.0)


def _panel(
    fold: Holdout,
    shop: Shop,
    weights: sp.csr_matrix,
    following: sp.csr_matrix,
    vectors: tuple[np.ndarray, np.ndarray],
    ridge: Ridge,
    recency: float,
) -> _Panel:
    interest = history(fold.train, ridge.half_life_days)
    latest = recent(fold.train, recency, interest)[fold.users]
    past = interest[fold.users]
    users, products = vectors
    n = fold.train.n_products
    popular = popularity(fold.train)
    through_past = {
        "ridge": (weights / ridge.unit).tocsr(),
        **shop.side,
        **{f"type:{t}": r for t, r in shop.related.items()},
    }

    def full(begin: int, end: int) -> dict[str, np.ndarray]:
        some = past[begin:end]
        scores = {name: np.asarray((some @ w).todense(), dtype=np.float32) for name, w in through_past.items()}
        for name, w in (("next", following), ("latest", through_past["ridge"])):
            scores[name] = np.asarray((latest[begin:end] @ w).todense(), dtype=np.float32)
        scores["embedding"] = users[fold.users[begin:end]] @ products.T
        scores["popularity"] = np.broadcast_to(popular, (end - begin, n))
        return scores

    met = fold.train.matrix(known_only=True)[fold.users]
    gathered: list[dict[str, np.ndarray]] = []
    own: list[dict[str, np.ndarray]] = []
    hidden = []
    step = max(1, min(_USERS, _ENTRIES // n))
    for begin in range(0, len(fold.users), step):
        end = min(begin + step, len(fold.users))
        scores = full(begin, end)
        target = fold.products[begin:end, None]
        if n <= _SMALL_CATALOGUE:
            pool = np.broadcast_to(np.arange(n), (end - begin, n))
        else:
            pool = np.concatenate([np.argpartition(-s, _POOL - 1, axis=1)[:, :_POOL] for s in scores.values()], axis=1)
            pool = np.sort(pool, axis=1)
        known = np.zeros((end - begin, n), dtype=bool)
        rows = met[begin:end].tocoo()
        known[rows.row, rows.col] = True
        double = np.zeros(pool.shape, dtype=bool)
        double[:, 1:] = pool[:, 1:] == pool[:, :-1]
        hidden.append(np.take_along_axis(known, pool, axis=1) | double | (pool == target))
        gathered.append({name: np.take_along_axis(s, pool, axis=1) for name, s in scores.items()})
        own.append({name: np.take_along_axis(s, target, axis=1) for name, s in scores.items()})
    return _Panel(
        parts={name: np.concatenate([g[name] for g in gathered]) for name in gathered[0]},
        own={name: np.concatenate([o[name] for o in own]) for name in own[0]},
        hidden=np.concatenate(hidden),
    )


def _coordinate_search(
    panels: Sequence[_Panel],
    names: Sequence[str],
    start: Mapping[str, float],
    *,
    times: np.ndarray | None = None,
    seen: dict[Any, np.ndarray] | None = None,
    rounds: int = 3,
) -> tuple[np.ndarray, dict[str, float]]:
    """The weights of the parts beside the ridge's 1, one after the other, until none is surely worth changing.

    Args:
        times: how often each user counts; once by default.
        seen: values of mixtures that other searches of these panels have tried; what this one tries is added.

    Returns:
        The value for each user of each panel, and the weights.
    """
    seen = {} if seen is None else seen
    chosen = {name: start[name] for name in names}
    mixed = [_summed(p.parts, chosen) for p in panels]
    own = [_summed(p.own, chosen) for p in panels]

    def values(name: str, factor: float) -> np.ndarray:
        """With another weight for one part."""
        key = tuple(sorted({**chosen, name: factor}.items()))
        if key not in seen:
            step = np.float32(factor - chosen[name])
            seen[key] = np.concatenate(
                [
                    p.values(m + step * p.parts[name], o + step * p.own[name])
                    for p, m, o in zip(panels, mixed, own, strict=True)
                ]
            )
        return seen[key]

    best = values(names[0], chosen[names[0]])
    for _ in range(rounds):
        changed = False
        for name in names:
            tried = {factor: values(name, factor) for factor in FACTORS}
            factor = max(tried, key=lambda f: np.average(tried[f], weights=times))
            if _surely_better(tried[factor], best, times):
                step = np.float32(factor - chosen[name])
                for p, m, o in zip(panels, mixed, own, strict=True):
                    m += step * p.parts[name]
                    o += step * p.own[name]
                chosen[name], best, changed = factor, tried[factor], True
        if not changed:
            break
    return best, chosen
