"""How the features of :mod:`extraction.memory` are weighed, fitted on marked texts by likelihood.

A score is linear in the features. For what is not known in a category a small hidden layer adds what they say
together: that a word is a material says less where a noun follows it. The linear part is found first (L-BFGS), the
whole by gradient steps from there.

Each text is out of the memory while it is asked, its category while it is asked as if the category were new, and its
attribute while it is asked as if nobody had looked for that.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.encoder import one_thread
from extraction.kin import Kin
from extraction.memory import FEATURES, REGIMES, Candidates, Claims, Memory, Regime
from extraction.spans import Text, fold

if TYPE_CHECKING:
    import torch

_KNOWN: Final = [FEATURES.index("known_here"), FEATURES.index("known_elsewhere")]


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """The scores of candidates, from their features."""

    linear: NDArray[np.float32]
    """``[features]``."""
    inner: NDArray[np.float32]
    """``[features, hidden]``."""
    shift: NDArray[np.float32]
    """``[hidden]``."""
    outer: NDArray[np.float32]
    """``[hidden]``."""

    @classmethod
    def of_linear(cls, weights: NDArray[np.float32]) -> Scorer:
        """A scorer without a hidden layer."""
        nothing = np.zeros(0, dtype=np.float32)
        return cls(weights, np.zeros((len(weights), 0), dtype=np.float32), nothing, nothing)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores of candidates, ``[candidates]``, from ``[candidates, features]``."""
        scores: NDArray[np.float32] = features @ self.linear
        if len(self.outer):
            scores += np.tanh(features @ self.inner + self.shift) @ self.outer
        return scores

    def as_dict(self) -> dict[str, Any]:
        """What :meth:`of_dict` reads."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}

    @classmethod
    def of_dict(cls, content: Mapping[str, Any]) -> Scorer:
        """A scorer from what :meth:`as_dict` gave.

        Raises:
            ValueError, KeyError: it is none, or one of other features.
        """
        found = {f.name: np.array(content[f.name], dtype=np.float32) for f in fields(cls)}
        hidden = len(found["outer"])
        shapes = (found["linear"].shape, found["inner"].size, found["shift"].shape)
        if shapes != ((len(FEATURES),), len(FEATURES) * hidden, (hidden,)):
            raise ValueError("the weights are of other features")
        return cls(**{**found, "inner": found["inner"].reshape(len(FEATURES), hidden)})


@dataclass(frozen=True, slots=True)
class Scorers:
    """One for each :data:`~extraction.memory.REGIMES`."""

    known: Scorer
    moved: Scorer
    new: Scorer

    def of(self, regime: Regime) -> Scorer:
        """That for attributes that are so well known."""
        scorer: Scorer = getattr(self, regime)
        return scorer


SAMPLE: Final = 48
"""Of the plain candidates of a question those that are looked at while weights are fitted; chosen by chance."""
MAX_QUESTIONS: Final = 4000
"""Questions that weights are fitted on; chosen by chance."""
UNCLAIMED: Final = 0.25
"""Share of the values of other attributes that are not seen while weights are fitted, as some are not later."""
APART: Final = 3
"""Parts of the attributes, and of the categories, that are taken for new in turn, to find out how sure an answer to a
new one is."""
PENALTY: Final = 1.0
"""Of the squares of the linear weights, while they are alone, each for features of unit variance; 10 to 200 lost up to
5.6 points of F1 on what is new (WDC PAVE, validation)."""
HIDDEN: Final = 32
"""Units of one network. On validation texts, some fifths of attributes and of categories of WDC PAVE and of AE-110K, in
a form of the development, networks changed F1 by .7, -1.0, -.1 and 2.9 points; the calibration error, on a sample of
the candidates, from .055, .097, .137 and .152 to .036, .076, .056 and .112."""
NETS: Final[Mapping[Regime, int]] = {"known": 0, "moved": 2, "new": 2}
"""Networks, begun by chance, whose mean a score is; what is known is asked of the encoder too, and has to be fast."""
LEAST_QUESTIONS: Final = 500
"""Questions below which scores are linear: a network would learn them by heart."""
EPOCHS: Final = 25
"""On a fifth of WDC PAVE's attributes (validation, hardly any decay) 10 gained nothing, 60 lost 4 points of F1."""
BATCH: Final = 64
"""Questions of one step."""
RATE: Final = 3e-3
DECAY: Final = 2.0
"""Of the network's weights (AdamW); at 10 nothing is left of them; at .001 F1 was .8 lower than at 3 (WDC PAVE,
validation)."""
DROPOUT: Final = 0.1
MAX_OF_ONE: Final = 40
"""Questions of one attribute (in one category) from which is learned how to ask what is not known here: what holds of a
few frequent attributes need not hold of others."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What :func:`fit` gives."""

    scorers: Scorers
    apart: tuple[tuple[frozenset[str], Scorer], ...]
    """Some of the attributes, and the scorer of what is new that the questions of the others alone give: with it
    the former can be asked as attributes will be that nobody has learned from."""
    abroad: tuple[tuple[frozenset[str], Scorer], ...]
    """Some of the categories, and the scorer of what is new that the questions in the others alone give."""


def fit(
    memory: Memory, kin: Kin, products: Sequence[MarkedProduct], *, seed: int, without: Collection[str] = ()
) -> Fitted:
    """Scorers that make right candidates probable; each text is out of the memory while it is asked.

    Args:
        without: features that are not looked at.
    """
    unseen = [FEATURES.index(name) for name in without]
    rng = np.random.default_rng(seed)
    questions = [(p, a) for p, product in enumerate(products) for a in product.targets]
    order = [questions[n] for n in rng.permutation(len(questions))]
    known = frozenset(order[:MAX_QUESTIONS])
    few = frozenset(_few(order, lambda _, a: a))
    moved = frozenset(_few(order, lambda p, a: (products[p].category, a)))
    groups: dict[Regime, list[tuple[str, str, Group]]] = {regime: [] for regime in REGIMES}  # attribute, category

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
            group = _sample(found, found.right(product.targets[attribute]), unseen, rng)
            if group is not None:
                groups[regime].append((attribute, product.category, group))

    for number, product in enumerate(products):
        memory.add(product, times=-1)
        ask("known", number, known)
        ask("new", number, few)
        memory.add(product)
    for numbers in without_category(memory, products):
        for number in numbers:
            ask("moved", number, moved)

    def learned(regime: Regime, *, apart: Collection[str] = ()) -> Scorer:
        """Without the questions about some attributes, or in some categories."""
        mine = [group for attribute, category, group in groups[regime] if not {attribute, category} & {*apart}]
        return fit_scorer(mine, seed, NETS[regime])

    scorers = {regime: learned(regime) for regime in REGIMES}
    if not groups["moved"]:  # all texts are of one category
        scorers["moved"] = scorers["known"]
    return Fitted(
        Scorers(**scorers),
        tuple((part, learned("new", apart=part)) for part in _parts(attribute for _, attribute in questions)),
        tuple((part, learned("new", apart=part)) for part in _parts(product.category for product in products)),
    )


def _parts(names: Iterable[str]) -> list[frozenset[str]]:
    """The distinct names in :data:`APART` parts."""
    order = sorted(set(names))
    return [frozenset(order[n::APART]) for n in range(min(APART, len(order)))]


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
class Group:
    """The candidates of one question that are looked at."""

    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    stands_for: NDArray[np.float32]
    """Logarithm of how many candidates each stands for."""


def _sample(
    found: Candidates, right: NDArray[np.bool_], unseen: Sequence[int], rng: np.random.Generator
) -> Group | None:
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
    features = found.features[kept]
    features[:, unseen] = 0.0
    return Group(features, right[kept], stands_for[kept])


@dataclass(frozen=True, slots=True, eq=False)
class _Questions:
    """Many groups, one behind the other, with features of unit variance."""

    features: NDArray[np.float32]
    """``[candidates of all groups, features]``."""
    right: NDArray[np.bool_]
    stands_for: NDArray[np.float32]
    sizes: NDArray[np.int64]
    """``[groups]``."""
    scale: NDArray[np.float32]
    """Of the features before, ``[features]``."""

    @classmethod
    def of(cls, groups: Sequence[Group]) -> _Questions:
        features = np.vstack([g.features for g in groups])
        scale = features.std(axis=0)
        scale[scale == 0] = 1.0
        return cls(
            features / scale,
            np.concatenate([g.right for g in groups]),
            np.concatenate([g.stands_for for g in groups]),
            np.array([len(g.right) for g in groups]),
            scale,
        )

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first candidate of each group."""
        return np.cumsum([0, *self.sizes[:-1]])


def fit_scorer(groups: Sequence[Group], seed: int, nets: int) -> Scorer:
    """A scorer that makes the right candidates of each group probable.

    Args:
        nets: of how many networks it is the mean, where there are :data:`LEAST_QUESTIONS` for one; 0: it is linear.
    """
    if not groups:
        return Scorer.of_linear(np.zeros(len(FEATURES), dtype=np.float32))
    questions = _Questions.of(groups)
    linear = _maximise(questions)
    if not nets or len(groups) < LEAST_QUESTIONS:
        return Scorer.of_linear(linear / questions.scale)
    found = [_deepen(questions, linear, 1000 * seed + n) for n in range(nets)]
    # The mean of networks is one network, of all their hidden units.
    return Scorer(
        np.mean([s.linear for s in found], axis=0, dtype=np.float32) / questions.scale,
        np.concatenate([s.inner for s in found], axis=1, dtype=np.float32) / questions.scale[:, None],
        np.concatenate([s.shift for s in found]),
        np.concatenate([s.outer / np.float32(nets) for s in found]),
    )


def _maximise(questions: _Questions) -> NDArray[np.float32]:
    """Linear weights of scaled features: L-BFGS from zero."""
    from scipy.optimize import minimize

    X, right, offset = questions.features, questions.right, questions.stands_for
    sizes, starts = questions.sizes, questions.starts

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = (X @ w.astype(np.float32) + offset).astype(np.float64)
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        weight = np.exp(scores)
        all_ = np.add.reduceat(weight, starts)
        good = np.maximum(np.add.reduceat(weight * right, starts), 1e-300)
        value = float(-np.log(good / all_).sum()) + 0.5 * PENALTY * float(w @ w)
        slope = weight / np.repeat(all_, sizes) - weight * right / np.repeat(good, sizes)
        return value, X.T @ slope.astype(np.float32) + PENALTY * w

    found = minimize(loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return np.asarray(found.x, dtype=np.float32)


def _deepen(questions: _Questions, linear: NDArray[np.float32], seed: int) -> Scorer:
    """A scorer of scaled features with a network beside the linear weights: AdamW from the linear ones alone."""
    import torch
    from torch import nn

    features, right, stands_for = (
        torch.from_numpy(a) for a in (questions.features, questions.right, questions.stands_for)
    )
    starts, sizes = questions.starts, questions.sizes
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), one_thread():
        torch.manual_seed(seed)
        plain = nn.Linear(len(linear), 1, bias=False)
        inner, outer = nn.Linear(len(linear), HIDDEN), nn.Linear(HIDDEN, 1, bias=False)
        with torch.no_grad():
            plain.weight[0] = torch.from_numpy(linear)
        nn.init.zeros_(outer.weight)
        layers = nn.Sequential(inner, nn.Tanh(), nn.Dropout(DROPOUT), outer)
        optimiser = torch.optim.AdamW(
            [
                {"params": plain.parameters(), "weight_decay": 0.0},
                {"params": layers.parameters(), "weight_decay": DECAY},
            ]
        )
        steps = EPOCHS * -(-len(sizes) // BATCH)
        pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, [RATE / 3, RATE], total_steps=steps, pct_start=0.1)
        rng = np.random.default_rng(seed)
        for _ in range(EPOCHS):
            order = rng.permutation(len(sizes))
            for begin in range(0, len(order), BATCH):
                batch = order[begin : begin + BATCH]
                rows = np.concatenate([np.arange(starts[g], starts[g] + sizes[g]) for g in batch])
                own = torch.from_numpy(np.repeat(np.arange(len(batch)), sizes[batch]))
                seen = features[rows]
                scores = (plain(seen) + layers(seen)).squeeze(-1) + stands_for[rows]
                good = scores.masked_fill(~right[rows], -torch.inf)
                loss = (_log_sums(scores, own, len(batch)) - _log_sums(good, own, len(batch))).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                pace.step()
        with torch.no_grad():  # what is 0 in all questions was not learned from, and would count by chance later
            inner.weight[:, ~features.any(dim=0)] = 0.0
        return Scorer(
            plain.weight[0].detach().numpy(),
            inner.weight.detach().numpy().T,
            inner.bias.detach().numpy(),
            outer.weight[0].detach().numpy(),
        )


def _log_sums(scores: torch.Tensor, own: torch.Tensor, groups: int) -> torch.Tensor:
    """Logarithm of the sum of the exponentials of each group's scores, ``[groups]``."""
    import torch

    most = torch.full((groups,), -torch.inf).scatter_reduce(0, own, scores.detach(), "amax")
    return most + torch.zeros(groups).scatter_add(0, own, torch.exp(scores - most[own])).log()
