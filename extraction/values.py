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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct

Encode = Callable[[Sequence[str]], NDArray[np.float32]]

MAX_WORDS: Final = 6
"""Longest run of words that is a candidate unless the memory knows it: 99 % of AE-110K's values are no longer."""
MAX_KNOWN: Final = 30
"""Known values of a category that are tried although the text does not contain them."""
MAX_CHARS: Final = 1500
"""Of a text, what is read: beyond it shops repeat themselves."""
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
    starts: tuple[int, ...]
    ends: tuple[int, ...]


class Memory:
    """Counts of what was right, where, and of what stood beside it; a text can be taken out of it again."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        """(category, attribute) → value → in how many texts it was right."""
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
        for word in {t.casefold() for t in text.tokens}:
            self.general[word] += times
        for attribute, values in product.targets.items():
            question = (product.category, attribute)
            self.asked[question] += times
            self.silent[question] += times * (not values)
            for value in values:
                key = fold(value)
                self.values[question][key] += times
                self.everywhere[attribute][key] += times
                self.shapes[attribute][shape(value)] += times
                for word in {w.casefold() for w in _TOKEN.findall(value)}:
                    self.words[attribute][word] += times
                for first, last in occurrences(text, value)[:1]:
                    self.left[attribute][text.tokens[first - 1].casefold() if first else "^"] += times
                    after = text.tokens[last].casefold() if last < len(text.tokens) else "$"
                    self.right[attribute][after] += times


class ValueModel:
    """Answers which value a text states for an attribute.

    Args:
        memory: counts over the training texts.
        weights: one for each of :data:`FEATURES`.
        centroids: (category, attribute, value) → sum of the vectors of the texts in which it was right, and their number.
        spellings: folded value → as it was written.
    """

    def __init__(
        self,
        memory: Memory,
        weights: NDArray[np.float64],
        centroids: Mapping[tuple[str, str, str], tuple[NDArray[np.float32], int]],
        spellings: Mapping[str, str],
    ) -> None:
        self._memory = memory
        self.weights = weights
        self._centroids = dict(centroids)
        self._spellings = dict(spellings)

    @classmethod
    def train(cls, products: Sequence[MarkedProduct], encode: Encode, *, penalty: float = 1.0) -> ValueModel:
        """Learn from marked products. Deterministic: the problem is convex and the optimiser uses no chance.

        Args:
            penalty: weight of the squared weights in the loss.
        """
        memory = Memory()
        vectors = encode([p.text[:MAX_CHARS] for p in products])
        centroids: dict[tuple[str, str, str], tuple[NDArray[np.float32], int]] = {}
        spellings: dict[str, str] = {}
        for product, vector in zip(products, vectors, strict=True):
            memory.add(product)
            for attribute, values in product.targets.items():
                for value in values:
                    spellings.setdefault(fold(value), value)
                    _shift(centroids, (product.category, attribute, fold(value)), vector, 1)
        model = cls(memory, np.zeros(len(FEATURES)), centroids, spellings)
        groups: list[tuple[NDArray[np.float64], NDArray[np.bool_]]] = []
        for product, vector in zip(products, vectors, strict=True):
            memory.add(product, times=-1)
            own = [(product.category, a, fold(v)) for a, values in product.targets.items() for v in values]
            for key in own:
                _shift(model._centroids, key, vector, -1)
            for attribute, values in product.targets.items():
                names, features = model._candidates(product, attribute, vector)
                right = np.array([(n is None and not values) or (n is not None and n in values) for n in names])
                if right.any():
                    groups.append((features, right))
            memory.add(product)
            for key in own:
                _shift(model._centroids, key, vector, 1)
        model.weights = _fit(groups, penalty)
        return model

    def answer(self, products: Sequence[MarkedProduct], encode: Encode) -> list[dict[str, Answer]]:
        """For each product an answer to each attribute in its targets; the values there are not looked at."""
        vectors = encode([p.text[:MAX_CHARS] for p in products])
        return [
            {attribute: self._ask(product, attribute, vector) for attribute in product.targets}
            for product, vector in zip(products, vectors, strict=True)
        ]

    def _ask(self, product: MarkedProduct, attribute: str, vector: NDArray[np.float32]) -> Answer:
        names, features = self._candidates(product, attribute, vector)
        scores = features @ self.weights
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        # One value may stand in several places: its chances add up.
        total: dict[str | None, float] = defaultdict(float)
        for name, chance in zip(names, chances.tolist(), strict=True):
            total[name] += chance
        best = max(total, key=lambda name: total[name])
        return Answer(best, total[best])

    def _candidates(
        self, product: MarkedProduct, attribute: str, vector: NDArray[np.float32]
    ) -> tuple[list[str | None], NDArray[np.float64]]:
        """Candidate values, "not stated" first, and their features, shape ``[candidates, features]``."""
        memory, text = self._memory, cut(product)
        question = (product.category, attribute)
        here, elsewhere = memory.values.get(question, Counter()), memory.everywhere.get(attribute, Counter())
        asked = memory.asked[question]
        prior = math.log((memory.silent[question] + 0.5) / (asked - memory.silent[question] + 0.5)) if asked else 0.0
        names: list[str | None] = [None]
        rows = [_row(none=1.0, none_prior=prior)]
        seen: set[str] = set()
        longest = max(MAX_WORDS, max((len(_TOKEN.findall(v)) for v in here), default=0))
        for first in range(len(text.tokens)):
            for last in range(first + 1, min(first + longest, len(text.tokens)) + 1):
                value = text.raw[text.starts[first] : text.ends[last - 1]]
                key = fold(value)
                known, other = here[key], elsewhere[key]
                if not (known or other) and (
                    last - first > MAX_WORDS or not _may_be_value(text.tokens[first], text.tokens[last - 1])
                ):
                    continue
                seen.add(key)
                names.append(value)
                rows.append(self._span_row(question, text, first, last, value, key, vector))
        for key, _ in here.most_common(MAX_KNOWN):
            if key not in seen and here[key] > 0:
                names.append(self._spellings.get(key, key))
                rows.append(self._absent_row(question, key, vector))
        return names, np.array(rows)

    def _span_row(
        self,
        question: tuple[str, str],
        text: _Text,
        first: int,
        last: int,
        value: str,
        key: str,
        vector: NDArray[np.float32],
    ) -> list[float]:
        memory, attribute = self._memory, question[1]
        known, other = memory.values[question][key] if question in memory.values else 0, 0
        other = memory.everywhere[attribute][key] if attribute in memory.everywhere else 0
        words = [t.casefold() for t in text.tokens[first:last]]
        counted = memory.words.get(attribute, Counter())
        total = max(1, memory.everywhere[attribute].total() if attribute in memory.everywhere else 1)
        seen = [math.log((counted[w] + 0.1) / (memory.general[w] + 1.0)) for w in words]
        left = text.tokens[first - 1].casefold() if first else "^"
        right = text.tokens[last].casefold() if last < len(text.tokens) else "$"
        rivals = max(
            (c[key] for (category, a), c in memory.values.items() if category == question[0] and a != attribute),
            default=0,
        )
        label = attribute.casefold() in text.raw[max(0, text.starts[first] - 30) : text.starts[first]].casefold()
        return _row(
            known_here=float(known > 0),
            known_here_odds=math.log((known + 0.2) / (self._texts_with(words) + 1.0)) if known else 0.0,
            known_elsewhere=float(other > 0),
            known_elsewhere_odds=math.log((other + 0.2) / (self._texts_with(words) + 1.0)) if other else 0.0,
            shape=math.log((memory.shapes.get(attribute, Counter())[shape(value)] + 0.3) / (total + 1.0)),
            words=sum(seen) / len(seen),
            left=_odds(memory.left.get(attribute), left, memory.general[left]),
            right=_odds(memory.right.get(attribute), right, memory.general[right]),
            first=float(first == 0),
            in_title=float(text.starts[first] < text.title_end),
            length=math.log(last - first),
            others=math.log1p(rivals),
            likeness=self._likeness(question, key, vector),
            label=float(label),
        )

    def _absent_row(self, question: tuple[str, str], key: str, vector: NDArray[np.float32]) -> list[float]:
        known = self._memory.values[question][key]
        share = math.log((known + 0.2) / (self._memory.asked[question] + 1.0))
        return _row(absent=1.0, known_here_odds=share, likeness=self._likeness(question, key, vector))

    def _texts_with(self, words: Sequence[str]) -> int:
        """At most how many training texts hold all these words."""
        return min((self._memory.general[w] for w in words), default=0)

    def _likeness(self, question: tuple[str, str], key: str, vector: NDArray[np.float32]) -> float:
        """Cosine to the mean of the texts in which the value was right."""
        total, count = self._centroids.get((*question, key), (vector, 0))
        if count <= 0:
            return 0.0
        norm = float(np.linalg.norm(total))
        return float(total @ vector) / norm if norm > 1e-6 else 0.0

    def state(self) -> dict[str, Any]:
        """What :meth:`of_state` needs besides the training texts: the weights, by name."""
        return {"weights": dict(zip(FEATURES, self.weights.tolist(), strict=True))}


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
        tuple(m.start() for m in found),
        tuple(m.end() for m in found),
    )


def occurrences(text: _Text, value: str) -> list[tuple[int, int]]:
    """Runs of words that are a value: first and one past the last."""
    wanted = _TOKEN.findall(value)
    size = len(wanted)
    if not size:
        return []
    return [(i, i + size) for i in range(len(text.tokens) - size + 1) if list(text.tokens[i : i + size]) == wanted]


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


def _odds(counter: Counter[str] | None, word: str, general: int) -> float:
    return math.log(((counter[word] if counter else 0) + 0.1) / (general + 1.0))


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
