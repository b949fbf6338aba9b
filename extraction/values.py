"""A trainable extractor of attribute values: a memory of known values and a scorer with a dozen weights.

For a text and an attribute every run of words, and every value that the memory
knows for this category, is a candidate; so is "not stated". A candidate's score
is linear in a few features (how often the memory saw it, its shape, the words
beside it, how like this text the texts are in which it was right …), and one
softmax runs over all candidates of a question. While training, each text's own
contribution is taken out of the memory, so that the scorer learns how far to
trust it on texts never seen.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct

MAX_WORDS: Final = 6
"""Longest run of words that is a candidate unless the memory knows it: 99 % of AE-110K's values are no longer."""
MAX_KNOWN: Final = 30
"""Known values of a category that are tried although the text does not contain them."""
MAX_CHARS: Final = 1500
"""Of a text, what is read: beyond it shops repeat themselves."""
THRESHOLD: Final = 0.3
"""Least probability of a value that is answered. On a fifth of AE-110K's and WDC PAVE's training texts held out,
0.25 to 0.4 gave the same F1 within half a point; 0.5 gave less: a wrong answer costs no more than none at all."""
FEATURES: Final = (
    "none",
    "none_prior",
    "known_here",
    "known_here_odds",
    "known_elsewhere",
    "known_elsewhere_odds",
    "shape",
    "words",
    "left",
    "right",
    "first",
    "in_title",
    "length",
    "others",
    "absent",
    "likeness",
    "label",
)
"""The scorer's features, in the order of its weights."""

_TOKEN = re.compile(r"[^\W_]+(?:['’.][^\W_]+)*|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Answer:
    """A value, or ``None`` for "not stated", with the probability that the softmax gives it."""

    value: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class _Text:
    """A text cut into words."""

    title_end: int
    raw: str
    tokens: tuple[str, ...]
    folded: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


class Memory:
    """Counts of what was right, where, and of what stood beside it; a text can be taken out of it again."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        """(category, attribute) → value → in how many texts it was right."""
        self.rivals: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        """Category → value → attribute → in how many texts the value was that of the attribute."""
        self.everywhere: dict[str, Counter[str]] = defaultdict(Counter)
        self.shapes: dict[str, Counter[str]] = defaultdict(Counter)
        self.words: dict[str, Counter[str]] = defaultdict(Counter)
        self.left: dict[str, Counter[str]] = defaultdict(Counter)
        self.right: dict[str, Counter[str]] = defaultdict(Counter)
        self.asked: Counter[tuple[str, str]] = Counter()
        self.silent: Counter[tuple[str, str]] = Counter()
        """How often an attribute was looked for, and how often in vain."""
        self.general: Counter[str] = Counter()
        """In how many texts a word stands at all."""

    def add(self, product: MarkedProduct, *, times: int = 1) -> None:
        """Count a text; with ``times=-1`` take it out again."""
        text = cut(product)
        for word in set(text.folded):
            self.general[word] += times
        for attribute, values in product.targets.items():
            question = (product.category, attribute)
            self.asked[question] += times
            self.silent[question] += times * (not values)
            for value in values:
                key = fold(value)
                self.values[question][key] += times
                self.rivals[product.category][key][attribute] += times
                self.everywhere[attribute][key] += times
                self.shapes[attribute][shape(value)] += times
                for word in {w.casefold() for w in _TOKEN.findall(value)}:
                    self.words[attribute][word] += times
                for first, last in occurrences(text, value)[:1]:
                    self.left[attribute][text.folded[first - 1] if first else "^"] += times
                    after = text.folded[last] if last < len(text.folded) else "$"
                    self.right[attribute][after] += times


class ValueModel:
    """Answers which value a text states for an attribute.

    Args:
        products: the training texts: the memory is counted from them.
        vectors: their vectors, shape ``[products, dimensions]``.
        weights: one for each of :data:`FEATURES`.
    """

    def __init__(
        self, products: Sequence[MarkedProduct], vectors: NDArray[np.float32], weights: NDArray[np.float64]
    ) -> None:
        self.weights = weights
        self._memory = Memory()
        # (category, attribute, value) → sum of the vectors of the texts in which it was right, and their number.
        self._centroids: dict[tuple[str, str, str], tuple[NDArray[np.float32], int]] = {}
        self._spellings: dict[str, str] = {}
        for product, vector in zip(products, vectors, strict=True):
            self._count(product, vector, 1)
            for values in product.targets.values():
                for value in values:
                    self._spellings.setdefault(fold(value), value)

    @classmethod
    def train(
        cls, products: Sequence[MarkedProduct], vectors: NDArray[np.float32], *, penalty: float = 1.0
    ) -> ValueModel:
        """Learn from marked products. Deterministic: the optimiser starts from zero and uses no chance.

        Args:
            vectors: the encoder's vectors of their texts, shape ``[products, dimensions]``.
            penalty: weight of the squared weights in the loss.
        """
        model = cls(products, vectors, np.zeros(len(FEATURES)))
        groups: list[tuple[NDArray[np.float64], NDArray[np.bool_]]] = []
        for product, vector in zip(products, vectors, strict=True):
            model._count(product, vector, -1)
            for attribute, values in product.targets.items():
                names, features = model._candidates(product, attribute, vector)
                right = np.array([n in values if n is not None else not values for n in names])
                if right.any():
                    groups.append((features, right))
            model._count(product, vector, 1)
        model.weights = _fit(groups, penalty)
        return model

    def attributes(self, category: str) -> frozenset[str]:
        """Attributes that were looked for in the training texts of a category."""
        return frozenset(a for c, a in self._memory.asked if c == category)

    def answer(self, products: Sequence[MarkedProduct], vectors: NDArray[np.float32]) -> list[dict[str, Answer]]:
        """For each product an answer to each attribute in its targets; the values there are not looked at."""
        return [
            {attribute: self._ask(product, attribute, vector) for attribute in product.targets}
            for product, vector in zip(products, vectors, strict=True)
        ]

    def _count(self, product: MarkedProduct, vector: NDArray[np.float32], times: int) -> None:
        """Count a text, or take it out again with ``times=-1``."""
        self._memory.add(product, times=times)
        for attribute, values in product.targets.items():
            for value in values:
                _shift(self._centroids, (product.category, attribute, fold(value)), vector, times)

    def _ask(self, product: MarkedProduct, attribute: str, vector: NDArray[np.float32]) -> Answer:
        names, features = self._candidates(product, attribute, vector)
        scores = features @ self.weights
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        # One value may stand in several places: its chances add up.
        total: dict[str | None, float] = defaultdict(float)
        for name, chance in zip(names, chances.tolist(), strict=True):
            total[name] += chance
        silent = total.pop(None)
        best = max(total, key=lambda name: total[name], default=None)
        if best is None or total[best] < THRESHOLD:
            return Answer(None, silent)
        return Answer(best, total[best])

    def _candidates(
        self, product: MarkedProduct, attribute: str, vector: NDArray[np.float32]
    ) -> tuple[list[str | None], NDArray[np.float64]]:
        """Candidate values, "not stated" first, and their features, shape ``[candidates, features]``."""
        memory, text = self._memory, cut(product)
        question = (product.category, attribute)
        here, elsewhere = memory.values.get(question, _NEVER), memory.everywhere.get(attribute, _NEVER)
        asked = memory.asked[question]
        prior = math.log((memory.silent[question] + 0.5) / (asked - memory.silent[question] + 0.5)) if asked else 0.0
        names: list[str | None] = [None]
        rows = [_row(none=1.0, none_prior=prior)]
        seen: set[str] = set()
        beside = _Beside(memory, product.category, attribute, max(1, elsewhere.total()))
        for run in (*_runs(text), *_long_runs(text, here)):
            known, other = here[run.key], elsewhere[run.key]
            if known or other or run.is_plain:
                seen.add(run.key)
                names.append(run.value)
                likeness = self._likeness(question, run.key, vector) if known else 0.0
                rows.append(beside.row(text, run, known, other, likeness))
        for key, known in here.most_common(MAX_KNOWN):
            if key not in seen and known > 0:
                names.append(self._spellings.get(key, key))
                rows.append(self._absent_row(question, key, vector))
        return names, np.array(rows)

    def _absent_row(self, question: tuple[str, str], key: str, vector: NDArray[np.float32]) -> list[float]:
        known = self._memory.values[question][key]
        share = math.log((known + 0.2) / (self._memory.asked[question] + 1.0))
        return _row(absent=1.0, known_here_odds=share, likeness=self._likeness(question, key, vector))

    def _likeness(self, question: tuple[str, str], key: str, vector: NDArray[np.float32]) -> float:
        """Cosine to the mean of the texts in which the value was right."""
        total, count = self._centroids.get((*question, key), (vector, 0))
        if count <= 0:
            return 0.0
        norm = float(np.linalg.norm(total))
        return float(total @ vector) / norm if norm > 1e-6 else 0.0


_NEVER: Final[Counter[str]] = Counter()


class _Beside:
    """The features of candidates for one question, from what the memory knows of the attribute."""

    def __init__(self, memory: Memory, category: str, attribute: str, total: int) -> None:
        self._general = memory.general
        self._rivals = memory.rivals.get(category, {})
        self._attribute = attribute
        self._folded = attribute.casefold()
        self._total = total
        self._shapes = memory.shapes.get(attribute, _NEVER)
        self._words = memory.words.get(attribute, _NEVER)
        self._left = memory.left.get(attribute, _NEVER)
        self._right = memory.right.get(attribute, _NEVER)

    def row(self, text: _Text, run: _Run, known: int, other: int, likeness: float) -> list[float]:
        """The features of a run of words, in the order of :data:`FEATURES`."""
        general = self._general
        texts = min(general[w] for w in run.words)
        left = text.folded[run.first - 1] if run.first else "^"
        right = text.folded[run.last] if run.last < len(text.folded) else "$"
        start = text.starts[run.first]
        own = self._rivals.get(run.key)
        rivals = max((n for a, n in own.items() if a != self._attribute), default=0) if own else 0
        return [
            0.0,
            0.0,
            float(known > 0),
            math.log((known + 0.2) / (texts + 1.0)) if known else 0.0,
            float(other > 0),
            math.log((other + 0.2) / (texts + 1.0)) if other else 0.0,
            math.log((self._shapes[run.shape] + 0.3) / (self._total + 1.0)),
            sum(math.log((self._words[w] + 0.1) / (general[w] + 1.0)) for w in run.words) / len(run.words),
            math.log((self._left[left] + 0.1) / (general[left] + 1.0)),
            math.log((self._right[right] + 0.1) / (general[right] + 1.0)),
            float(run.first == 0),
            float(start < text.title_end),
            math.log(run.last - run.first),
            math.log1p(max(0, rivals)),
            0.0,
            likeness,
            float(self._folded in text.raw[max(0, start - 30) : start].casefold()),
        ]


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of words of a text."""

    first: int
    last: int
    value: str
    key: str
    shape: str
    words: tuple[str, ...]
    is_plain: bool
    """Whether it is a candidate although the memory does not know it."""


@lru_cache(maxsize=64)
def _runs(text: _Text) -> tuple[_Run, ...]:
    """All runs of at most :data:`MAX_WORDS` words; the questions about one text share them."""
    count = len(text.tokens)
    return tuple(
        _run(text, first, last)
        for first in range(count)
        for last in range(first + 1, min(first + MAX_WORDS, count) + 1)
    )


def _long_runs(text: _Text, known: Iterable[str]) -> Iterator[_Run]:
    """Runs of more words than that which are known values."""
    folded = text.raw.casefold()
    for key in known:
        if _length(key) > MAX_WORDS and key in folded:
            for first, last in _places(text.folded, tuple(_TOKEN.findall(key))):
                yield _run(text, first, last)


def _run(text: _Text, first: int, last: int) -> _Run:
    value = text.raw[text.starts[first] : text.ends[last - 1]]
    plain = _may_be_value(text.tokens[first], text.tokens[last - 1])
    return _Run(first, last, value, fold(value), shape(value), text.folded[first:last], plain)


@lru_cache(maxsize=100_000)
def _length(value: str) -> int:
    return len(_TOKEN.findall(value))


def cut(product: MarkedProduct) -> _Text:
    """A product's text as words."""
    return _cut(product.text[:MAX_CHARS], len(product.title))


@lru_cache(maxsize=4096)
def _cut(raw: str, title_end: int) -> _Text:
    found = list(_TOKEN.finditer(raw))
    return _Text(
        title_end,
        raw,
        tuple(m.group() for m in found),
        tuple(m.group().casefold() for m in found),
        tuple(m.start() for m in found),
        tuple(m.end() for m in found),
    )


def occurrences(text: _Text, value: str) -> list[tuple[int, int]]:
    """Runs of words that are a value: first and one past the last."""
    return _places(text.tokens, tuple(_TOKEN.findall(value)))


def _places(tokens: tuple[str, ...], wanted: tuple[str, ...]) -> list[tuple[int, int]]:
    size = len(wanted)
    if not size:
        return []
    return [(i, i + size) for i in range(len(tokens) - size + 1) if tokens[i : i + size] == wanted]


@lru_cache(maxsize=100_000)
def fold(value: str) -> str:
    """A value without case and with single spaces."""
    return " ".join(value.casefold().split())


@lru_cache(maxsize=100_000)
def shape(value: str) -> str:
    """How a value looks: ``YA24a`` is ``Xdx``, ``40mm`` is ``dx``, ``Deep Blue`` is ``Xx Xx``."""
    classes = ("d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in value)
    return re.sub(r"(.)\1+", r"\1", "".join(classes))


def _may_be_value(first: str, last: str) -> bool:
    """Whether a run of words between these may be a value: it begins and ends with a word or a number."""
    return first[0].isalnum() and (last[-1].isalnum() or last in "\"'#%+")


def _row(**features: float) -> list[float]:
    return [features.get(name, 0.0) for name in FEATURES]


def _shift(
    centroids: dict[tuple[str, str, str], tuple[NDArray[np.float32], int]],
    key: tuple[str, str, str],
    vector: NDArray[np.float32],
    times: int,
) -> None:
    total, count = centroids.get(key, (np.zeros_like(vector), 0))
    centroids[key] = (total + times * vector, count + times)


def _fit(groups: Iterable[tuple[NDArray[np.float64], NDArray[np.bool_]]], penalty: float) -> NDArray[np.float64]:
    """Weights that make the right candidates of each group probable: L-BFGS on a convex-in-practice log-likelihood."""
    from scipy.optimize import minimize

    groups = list(groups)
    if not groups:
        return np.zeros(len(FEATURES))
    X = np.vstack([features for features, _ in groups])  # [candidates of all groups, features]
    right = np.concatenate([r for _, r in groups])
    starts = np.cumsum([0, *(len(r) for _, r in groups[:-1])])
    sizes = np.array([len(r) for _, r in groups])
    scale = X.std(axis=0)
    scale[scale == 0] = 1.0
    X = X / scale

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = X @ w
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        weight = np.exp(scores)
        all_ = np.add.reduceat(weight, starts)
        good = np.add.reduceat(weight * right, starts)
        value = float(-np.log(good / all_).sum()) + 0.5 * penalty * float(w @ w)
        slope = weight / np.repeat(all_, sizes) - weight * right / np.repeat(good, sizes)
        return value, X.T @ slope + penalty * w

    found = minimize(loss, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights: NDArray[np.float64] = found.x / scale
    return weights
