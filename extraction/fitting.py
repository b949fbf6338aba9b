"""How the features of :mod:`extraction.memory` are weighed: log-linearly, fitted on marked texts by likelihood.

Each text is out of the memory while it is asked, its category while it is asked as if the category were new, and its
attribute while it is asked as if nobody had looked for that.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.memory import FEATURES, REGIMES, Candidates, Claims, Kin, Memory, Regime
from extraction.spans import Text, fold

_KNOWN: Final = [FEATURES.index("known_here"), FEATURES.index("known_elsewhere")]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the features, ``[features]`` each."""

    known: NDArray[np.float32]
    moved: NDArray[np.float32]
    new: NDArray[np.float32]

    def of(self, regime: Regime) -> NDArray[np.float32]:
        """Those for attributes that are so well known."""
        weights: NDArray[np.float32] = getattr(self, regime)
        return weights


SAMPLE: Final = 48
"""Of the plain candidates of a question those that are looked at while weights are fitted; chosen by chance."""
MAX_QUESTIONS: Final = 4000
"""Questions that weights are fitted on; chosen by chance."""
UNCLAIMED: Final = 0.25
"""Share of the values of other attributes that are not seen while weights are fitted, as some are not later."""
APART: Final = 3
"""Parts of the attributes that are taken for new in turn, to find out how sure an answer to a new one is."""
MAX_OF_ONE: Final = 40
"""Questions of one attribute (in one category) from which is learned how to ask what is not known here: what holds of a
few frequent attributes need not hold of others."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What :func:`fit` gives."""

    weights: Weights
    apart: tuple[tuple[frozenset[str], NDArray[np.float32]], ...]
    """Some of the attributes, and the weights of what is new that the questions of the others alone give: with these
    the former can be asked as attributes will be that nobody has learned from."""


def fit(memory: Memory, kin: Kin, products: Sequence[MarkedProduct], *, seed: int, penalty: float = 1.0) -> Fitted:
    """Weights that make right candidates probable; each text is out of the memory while it is asked."""
    rng = np.random.default_rng(seed)
    questions = [(p, a) for p, product in enumerate(products) for a in product.targets]
    order = [questions[n] for n in rng.permutation(len(questions))]
    known = frozenset(order[:MAX_QUESTIONS])
    few = frozenset(_few(order, lambda _, a: a))
    moved = frozenset(_few(order, lambda p, a: (products[p].category, a)))
    groups: dict[Regime, list[tuple[str, _Group]]] = {regime: [] for regime in REGIMES}

    def ask(regime: Regime, number: int, wanted: frozenset[tuple[int, str]]) -> None:
        product = products[number]
        mine = [a for a in product.targets if (number, a) in wanted]
        reading = memory.read(product) if mine else None
        for attribute in mine:
            if reading is None or (regime == "moved" and memory.regime(product.category, attribute) != "moved"):
                continue
            as_new = regime == "new"
            claims = _some_claims(reading.text, product, rng) if as_new else None
            found = memory.candidates(reading, attribute, kin, as_new=as_new, claims=claims)
            group = _sample(found, found.right(product.targets[attribute]), rng)
            if group is not None:
                groups[regime].append((attribute, group))

    for number, product in enumerate(products):
        memory.add(product, times=-1)
        ask("known", number, known)
        ask("new", number, few)
        memory.add(product)
    for numbers in without_category(memory, products):
        for number in numbers:
            ask("moved", number, moved)
    weights = {regime: _maximise([group for _, group in found], penalty) for regime, found in groups.items()}
    if not groups["moved"]:  # all texts are of one category
        weights["moved"] = weights["known"]
    names = sorted({attribute for _, attribute in questions})
    parts = [frozenset(names[n::APART]) for n in range(min(APART, len(names)))]
    apart = ((part, _maximise([group for a, group in groups["new"] if a not in part], penalty)) for part in parts)
    return Fitted(Weights(**weights), tuple(apart))


def _some_claims(text: Text, product: MarkedProduct, rng: np.random.Generator) -> Claims:
    """Most of what a marked text states."""
    kept = {a: frozenset(values) for a, values in product.targets.items() if values and rng.random() >= UNCLAIMED}
    keys = {fold(v): a for a, values in kept.items() for v in values}
    claims: dict[str, list[int]] = {a: [] for a in kept}
    for run, key in enumerate(text.keys):
        if key in keys:
            claims[keys[key]].append(run)
    return claims


def without_category(memory: Memory, products: Sequence[MarkedProduct]) -> Iterator[list[int]]:
    """The numbers of each category's products in turn, while that category is out of the memory."""
    by_category: dict[str, list[int]] = defaultdict(list)
    for number, product in enumerate(products):
        by_category[product.category].append(number)
    for numbers in by_category.values() if len(by_category) > 1 else ():
        for number in numbers:
            memory.add(products[number], times=-1)
        yield numbers
        for number in numbers:
            memory.add(products[number])


def _few(questions: Iterable[tuple[int, str]], key: Callable[[int, str], object]) -> Iterator[tuple[int, str]]:
    """At most :data:`MAX_OF_ONE` questions of each key."""
    seen: Counter[object] = Counter()
    for product, attribute in questions:
        seen[key(product, attribute)] += 1
        if seen[key(product, attribute)] <= MAX_OF_ONE:
            yield product, attribute


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The candidates of one question that are looked at."""

    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    stands_for: NDArray[np.float32]
    """Logarithm of how many candidates each stands for."""


def _sample(found: Candidates, right: NDArray[np.bool_], rng: np.random.Generator) -> _Group | None:
    if not right.any():
        return None
    known = found.features[:, _KNOWN].any(axis=1)
    kept = right | known
    kept[0] = True
    kept[1 + len(found.runs) :] = True
    rest = np.flatnonzero(~kept)
    stands_for = np.zeros(len(found), dtype=np.float32)
    if len(rest) > SAMPLE:
        stands_for[rest] = math.log(len(rest) / SAMPLE)
        rest = rng.choice(rest, SAMPLE, replace=False)
    kept[rest] = True
    return _Group(found.features[kept], right[kept], stands_for[kept])


def _maximise(groups: Sequence[_Group], penalty: float) -> NDArray[np.float32]:
    """Weights that make the right candidates of each group probable: L-BFGS from zero."""
    from scipy.optimize import minimize

    if not groups:
        return np.zeros(len(FEATURES), dtype=np.float32)
    X = np.vstack([g.features for g in groups])  # [candidates of all groups, features]
    right = np.concatenate([g.right for g in groups])
    offset = np.concatenate([g.stands_for for g in groups])
    sizes = np.array([len(g.right) for g in groups])
    starts = np.cumsum([0, *sizes[:-1]])
    scale = X.std(axis=0)
    scale[scale == 0] = 1.0
    X = X / scale

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = (X @ w.astype(np.float32) + offset).astype(np.float64)
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        weight = np.exp(scores)
        all_ = np.add.reduceat(weight, starts)
        good = np.maximum(np.add.reduceat(weight * right, starts), 1e-300)
        value = float(-np.log(good / all_).sum()) + 0.5 * penalty * float(w @ w)
        slope = weight / np.repeat(all_, sizes) - weight * right / np.repeat(good, sizes)
        return value, X.T @ slope.astype(np.float32) + penalty * w

    found = minimize(loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    weights: NDArray[np.float32] = (found.x / scale).astype(np.float32)
    return weights
