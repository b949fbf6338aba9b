"""The mixture: the weights of the score's parts, and the factors of the parts of SIMILAR_TO.

On each split every part gives each product a score; a mixture is their weighted
sum, so that trying one costs an addition. The search begins with a mixture that
has proved itself elsewhere and leaves it, one weight at a time, only for a gain
that exceeds its own standard error over the users (Breiman et al. 1984, §3.4.3).

What is weighed is what the graph gets: positive relations alone, and of each
product the strongest of their sum (:func:`similar_to`). A mixture and a penalty
that were chosen with the whole weights would be chosen by what nobody is served.

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
from embeddings.evaluation import gains, mean_by, targets_of, validation_values
from embeddings.network import Network, Report
from embeddings.newcomers import lifted
from embeddings.relations import combine, positive, prune_together
from embeddings.ridge import EXACT_PRODUCTS, following_weights, ridge_weights
from embeddings.scoring import ScoreWeights, history, popularity, prune, recent
from embeddings.settings import TrainSettings
from embeddings.shop import Shop
from embeddings.split import Holdout, Interactions

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
    """Positive ones: the graph gets no others."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What was chosen. Everything is divided by the ridge's unit, so that scores keep their scale."""

    factors: Mapping[str, float]
    """Of the parts of SIMILAR_TO's weight."""
    sequence: Mapping[str, float]
    """Of the parts of its next: the sequence's weights and, after what was met last, the ridge's once more."""
    weights: ScoreWeights


Followings = Mapping[float, Sequence[sp.csr_matrix]]
"""Strength of the features → sequence weights of every fold."""


def ridges_of(folds: Sequence[Holdout], shop: Shop, settings: TrainSettings, report: Report) -> tuple[Ridge, ...]:
    """One for each penalty to choose from; the middle one, of two the smaller, is kept unless another is surely better.

    With the middle penalty also one for each other strength of the features.
    """
    penalties = settings.penalties if shop.n_products <= EXACT_PRODUCTS else settings.local_penalties
    middle = penalties[(len(penalties) - 1) // 2]
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
        for penalty, whole in zip(of, by_fold, strict=True):
            weights = tuple(positive(w) for w in whole)
            half_life = _half_life(folds, weights, settings) if timed else settings.half_lives[0]
            out.append(Ridge(penalty, strength, half_life, unit_of(weights), weights))
    return tuple(out)


def _half_life(folds: Sequence[Holdout], weights: Sequence[sp.csr_matrix], settings: TrainSettings) -> float:
    """The first, unless another is surely better: with weights alone, since they are what it is for."""
    served = [prune(w, settings.outgoing) for w in weights]
    best: tuple[float, np.ndarray] | None = None
    for half_life in settings.half_lives:
        values = np.concatenate(
            [
                validation_values(through(history(fold.train, half_life), w), fold)
                for fold, w in zip(folds, served, strict=True)
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


def followings_of(folds: Sequence[Holdout], shop: Shop, ridges: Sequence[Ridge], settings: TrainSettings) -> Followings:
    """Sequence weights of every fold, for each strength of the features that a ridge has."""
    return {
        strength: tuple(
            following_weights(
                fold.train, settings.recency, settings.next_penalty, features=shop.features_times(strength)
            )
            for fold in folds
        )
        for strength in {ridge.features for ridge in ridges}
    }


def similar_to(
    shop: Shop,
    x: Interactions,
    weights: sp.csr_matrix,
    following: sp.csr_matrix,
    mixture: Mixture,
    lift: float,
    most: int,
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """``weight`` and ``next`` of SIMILAR_TO, each ``[n_products, n_products]``, at most ``most`` entries a row.

    Args:
        weights: the ridge's.
        following: the sequence's.
    """
    parts = {"ridge": combine({"ridge": weights}, mixture.factors)}
    if shop.side:
        met = np.asarray(x.matrix().sum(axis=0)).ravel()
        parts["side"] = lifted(combine(shop.side, mixture.factors), met, lift)
    similar = combine(parts, dict.fromkeys(parts, 1.0))
    onward = combine({"next": following, "ridge": weights}, mixture.sequence)
    return prune_together(similar, onward, mixture.weights.next, most)


def through(past: sp.csr_matrix, weights: sp.csr_matrix) -> Ranker:
    """The history through item–item weights."""
    return lambda rows: np.asarray((past[rows] @ weights).todense(), dtype=np.float32)


# --- choosing ------------------------------------------------------------------------------------------------


def choose_mixture(
    folds: Sequence[Holdout],
    shop: Shop,
    ridges: Sequence[Ridge],
    followings: Followings,
    network: Network,
    settings: TrainSettings,
    report: Report,
    seed: int,
) -> tuple[Ridge, Mixture, np.ndarray]:
    """The ridge whose best mixture is surely better than the others', and with it the mean mixture of several draws.

    Of each part the search sees the strongest relations. What it finds is then compared, and the mean of the draws
    chosen, by those relations alone that the graph would get with it: the strongest of the sum.

    Returns:
        The ridge, the mixture, and hit@10 + 2 · NDCG@10 of each user of each split with it.
    """
    names = ["embedding", "popularity", *shop.side, *(f"type:{t}" for t in shop.related)]
    if any(following.nnz for of in followings.values() for following in of):
        names[:0] = _SEQUENCE
    units = {strength: unit_of(of) if of else _DEFAULT_UNIT for strength, of in followings.items()}
    default = {n: DEFAULT.get(n, DEFAULT_RELATION if n.startswith("type:") else 0.0) for n in names}

    def mixture_of(chosen: Mapping[str, float], ridge: Ridge) -> Mixture:
        return _mixture(chosen, ridge, units[ridge.features], settings.recency)

    if not folds:
        return ridges[0], mixture_of(default, ridges[0]), np.empty(0)

    def panels_of(ridge: Ridge, chosen: Mapping[str, float] | None = None) -> list[_Panel]:
        mixture = None if chosen is None else mixture_of(chosen, ridge)
        by_fold = zip(folds, ridge.weights, followings[ridge.features], network.vectors, strict=True)
        unit = units[ridge.features]
        return [_panel(f, shop, w, next_, v, ridge, unit, names, mixture, settings) for f, w, next_, v in by_fold]

    # The strongest of the ridge weights alone are the same, whatever the mixture.
    summed = bool(shop.side) or "next" in names
    best: tuple[np.ndarray, Ridge, dict[str, float]] | None = None
    for number, ridge in enumerate(ridges):
        report("Mixture", number, len(ridges) + 1)
        values, chosen = _search(panels_of(ridge), names, default)
        if summed:
            values = _values(panels_of(ridge, chosen), chosen)
        if best is None or _surely_better(values, best[0]):
            best = (values, ridge, chosen)
    assert best is not None  # there is at least one ridge
    report("Mixture", len(ridges), len(ridges) + 1)
    # Made again: in a large catalogue the panels of one ridge are as much as may be in memory.
    _, ridge, chosen = best
    panels = panels_of(ridge, chosen)
    chosen = _bagged(panels, names, default, np.random.default_rng(seed))
    return ridge, mixture_of(chosen, ridge), _values(panels, chosen)


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
    """The same for each target, ``[t, 1]``."""
    owner: np.ndarray
    """Row of each target's user, ``[t]``, ascending."""
    hidden: np.ndarray
    """bool ``[m, c]``: known products, doubles and the user's targets, which are not ranked against a target."""

    def values(self, mixed: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Each user's hit@10 + 2 · NDCG@10, ``[m]``, as :func:`embeddings.evaluation.validation_values` has it."""
        shown = ~self.hidden[self.owner]
        others = mixed[self.owner]
        better, equal = ((compared(others, own) & shown).sum(1) for compared in (np.greater, np.equal))
        return mean_by(self.owner, gains(better + equal / 2.0))


def _panel(
    fold: Holdout,
    shop: Shop,
    weights: sp.csr_matrix,
    following: sp.csr_matrix,
    vectors: tuple[np.ndarray, np.ndarray],
    ridge: Ridge,
    unit: float,
    names: Sequence[str],
    mixture: Mixture | None,
    settings: TrainSettings,
) -> _Panel:
    """The scores through what the graph would get.

    Args:
        weights: the ridge's, positive.
        following: the sequence's.
        unit: by which these are divided.
        names: of the parts, but for the ridge's.
        mixture: it decides which relations are the strongest; without it each part keeps its own.
    """
    targets = targets_of(fold.users, fold.products)
    interest = history(fold.train, ridge.half_life_days)
    latest = recent(fold.train, settings.recency, interest)[targets.users]
    past = interest[targets.users]
    users, products = vectors
    n = fold.train.n_products
    popular = popularity(fold.train)
    everybodys = np.argpartition(-popular, min(_POOL, n) - 1)[:_POOL]
    written = {"ridge": (weights / ridge.unit).tocsr(), "next": (positive(following) / unit).tocsr(), **shop.side}
    if mixture is None:
        written = {name: prune(w, settings.outgoing) for name, w in written.items()}
    else:
        similar, onward = similar_to(shop, fold.train, weights, following, mixture, 0.0, settings.outgoing)
        kept = (similar + onward).sign()
        written = {name: w.multiply(kept).tocsr() for name, w in written.items()}
    following = written.pop("next")
    through_past = {**written, **{f"type:{t}": r for t, r in shop.related.items()}}

    def full(begin: int, end: int) -> dict[str, np.ndarray]:
        some = past[begin:end]
        scores = {name: np.asarray((some @ w).todense(), dtype=np.float32) for name, w in through_past.items()}
        for name, w in (("next", following), ("latest", through_past["ridge"])) if "next" in names else ():
            scores[name] = np.asarray((latest[begin:end] @ w).todense(), dtype=np.float32)
        scores["embedding"] = users[targets.users[begin:end]] @ products.T
        scores["popularity"] = np.broadcast_to(popular, (end - begin, n))
        return scores

    met = fold.train.matrix(known_only=True)[targets.users]
    held = sp.csr_matrix((np.ones(len(targets.owner)), (targets.owner, targets.products)), shape=met.shape)
    hide = (met + held).tocsr()
    gathered: list[dict[str, np.ndarray]] = []
    own: list[dict[str, np.ndarray]] = []
    hidden = []
    step = max(1, min(_USERS, _ENTRIES // n))
    for begin in range(0, len(targets.users), step):
        end = min(begin + step, len(targets.users))
        scores = full(begin, end)
        low, high = np.searchsorted(targets.owner, [begin, end])
        row, target = targets.owner[low:high] - begin, targets.products[low:high]
        if n <= _SMALL_CATALOGUE:
            pool = np.broadcast_to(np.arange(n), (end - begin, n))
        else:
            own_parts = [s for name, s in scores.items() if name != "popularity"]
            pools = [np.argpartition(-s, _POOL - 1, axis=1)[:, :_POOL] for s in own_parts]
            pool = np.sort(np.hstack([*pools, np.broadcast_to(everybodys, (end - begin, _POOL))]), axis=1)
        unseen = np.zeros((end - begin, n), dtype=bool)
        rows = hide[begin:end].tocoo()
        unseen[rows.row, rows.col] = True
        double = np.zeros(pool.shape, dtype=bool)
        double[:, 1:] = pool[:, 1:] == pool[:, :-1]
        hidden.append(np.take_along_axis(unseen, pool, axis=1) | double)
        gathered.append({name: np.take_along_axis(s, pool, axis=1) for name, s in scores.items()})
        own.append({name: s[row, target][:, None] for name, s in scores.items()})
    return _Panel(
        parts={name: np.concatenate([g[name] for g in gathered]) for name in gathered[0]},
        own={name: np.concatenate([o[name] for o in own]) for name in own[0]},
        owner=targets.owner,
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
