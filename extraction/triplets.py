"""A trainable extractor of (aspect, opinion, sentiment) triplets, on the encoder's word vectors.

Three linear classifiers, each a ridge-penalised softmax: every word is inside
an aspect, inside an opinion, beginning one of them, or outside; every pair of
an aspect and an opinion belongs together or not; every pair that does is
positive, negative or neutral. The encoder itself stays as it is, so training
takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import SENTIMENTS, MarkedSentence, Triplet

EncodeWords = Callable[[Sequence[Sequence[str]]], list[NDArray[np.float32]]]

TAGS: Final = ("O", "B-aspect", "I-aspect", "B-opinion", "I-opinion")
PENALTY: Final = 10.0
"""Weight of the squared weights: of 1, 3 and 10 the best on the development part of 14lap (F1 32, 34, 37)."""
FAR: Final = 12
"""Distances beyond so many words are one."""

Span = tuple[int, int]
"""First word and one past the last."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """A linear classifier: ``argmax(x @ weights)``, the constant in the last row."""

    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, X: NDArray[np.float32], y: NDArray[np.int64], classes: int, penalty: float) -> Softmax:
        """Maximise the likelihood of ``y`` (shape ``[n]``) given ``X`` (shape ``[n, d]``)."""
        from scipy.optimize import minimize

        X1 = np.hstack([X, np.ones((len(X), 1), dtype=np.float32)]).astype(np.float32)
        right = np.eye(classes, dtype=np.float32)[y]

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = flat.reshape(X1.shape[1], classes).astype(np.float32)
            scores = X1 @ w
            scores -= scores.max(axis=1, keepdims=True)
            chances = np.exp(scores)
            chances /= chances.sum(axis=1, keepdims=True)
            value = -float(np.log(np.maximum(chances[np.arange(len(y)), y], 1e-12)).sum())
            slope = X1.T @ (chances - right) + penalty * w
            return value + 0.5 * penalty * float((w * w).sum()), slope.astype(np.float64).ravel()

        start = np.zeros(X1.shape[1] * classes)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 150})
        return cls(found.x.reshape(X1.shape[1], classes))

    def chances(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities, shape ``[n, classes]``."""
        scores = X @ self.weights[:-1] + self.weights[-1]
        scores -= scores.max(axis=1, keepdims=True)
        chances: NDArray[np.float64] = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        return chances


@dataclass(frozen=True, slots=True)
class TripletModel:
    """The three classifiers."""

    tags: Softmax
    pairs: Softmax
    sentiments: Softmax

    @classmethod
    def train(cls, sentences: Sequence[MarkedSentence], encode: EncodeWords) -> TripletModel:
        """Learn from marked sentences. Deterministic: each problem is convex and starts from zero."""
        vectors = encode([s.tokens for s in sentences])
        words = np.vstack([_in_context(v) for v in vectors])
        labels = np.concatenate([_tags(s) for s in sentences])
        pairs: list[NDArray[np.float32]] = []
        together: list[int] = []
        judged: list[NDArray[np.float32]] = []
        feelings: list[int] = []
        for sentence, vector in zip(sentences, vectors, strict=True):
            gold = {(_span(t.aspect), _span(t.opinion)): t.sentiment for t in sentence.triplets}
            aspects, opinions = sorted({a for a, _ in gold}), sorted({o for _, o in gold})
            for aspect in aspects:
                for opinion in opinions:
                    features = _pair(vector, aspect, opinion, aspects, opinions, sentence.tokens)
                    pairs.append(features)
                    together.append(int((aspect, opinion) in gold))
                    if (aspect, opinion) in gold:
                        judged.append(_feeling(vector, aspect, opinion))
                        feelings.append(SENTIMENTS.index(gold[aspect, opinion]))
        return cls(
            Softmax.fit(words, labels, len(TAGS), PENALTY),
            Softmax.fit(np.array(pairs), np.array(together), 2, PENALTY),
            Softmax.fit(np.array(judged), np.array(feelings), len(SENTIMENTS), PENALTY),
        )

    def answer(self, sentences: Sequence[Sequence[str]], encode: EncodeWords) -> list[tuple[Triplet, ...]]:
        """The triplets of each sentence, given as words."""
        return [self._of_sentence(tokens, vector) for tokens, vector in zip(sentences, encode(sentences), strict=True)]

    def _of_sentence(self, tokens: Sequence[str], vector: NDArray[np.float32]) -> tuple[Triplet, ...]:
        if not tokens:
            return ()
        tags = self.tags.chances(_in_context(vector)).argmax(axis=1)
        aspects, opinions = _spans(tags, "aspect"), _spans(tags, "opinion")
        if not aspects or not opinions:
            return ()
        both = [(a, o) for a in aspects for o in opinions]
        chances = self.pairs.chances(np.array([_pair(vector, a, o, aspects, opinions, tokens) for a, o in both]))[:, 1]
        chosen = {pair for pair, chance in zip(both, chances.tolist(), strict=True) if chance >= 0.5}
        # An opinion is of something: one that no aspect wants goes to the likeliest.
        for opinion in opinions:
            if not any(o == opinion for _, o in chosen):
                chosen.add(max(zip(chances.tolist(), both, strict=True), key=lambda c: (c[1][1] == opinion, c[0]))[1])
        found: list[Triplet] = []
        for aspect, opinion in sorted(chosen):
            feeling = self.sentiments.chances(_feeling(vector, aspect, opinion)[None])[0].argmax()
            found.append(Triplet(tuple(range(*aspect)), tuple(range(*opinion)), SENTIMENTS[int(feeling)]))
        return tuple(found)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The weights, for saving."""
        return {"tags": self.tags.weights, "pairs": self.pairs.weights, "sentiments": self.sentiments.weights}

    @classmethod
    def of_arrays(cls, arrays: Any) -> TripletModel:
        """The model with these weights."""
        return cls(Softmax(arrays["tags"]), Softmax(arrays["pairs"]), Softmax(arrays["sentiments"]))


def _tags(sentence: MarkedSentence) -> NDArray[np.int64]:
    """The tag of each word; where an aspect and an opinion overlap, the opinion's."""
    tags = np.zeros(len(sentence.tokens), dtype=np.int64)
    for kind, runs in (
        ("aspect", [t.aspect for t in sentence.triplets]),
        ("opinion", [t.opinion for t in sentence.triplets]),
    ):
        for run in runs:
            first, last = _span(run)
            tags[first:last] = TAGS.index(f"I-{kind}")
            tags[first] = TAGS.index(f"B-{kind}")
    return tags


def _spans(tags: NDArray[np.int64], kind: str) -> list[Span]:
    """Runs of words tagged as one aspect or one opinion; an inside without a beginning begins one."""
    begin, inside = TAGS.index(f"B-{kind}"), TAGS.index(f"I-{kind}")
    spans: list[Span] = []
    for i, tag in enumerate(tags.tolist()):
        if tag == inside and spans and spans[-1][1] == i:
            spans[-1] = (spans[-1][0], i + 1)
        elif tag in (begin, inside):
            spans.append((i, i + 1))
    return spans


def _span(run: Sequence[int]) -> Span:
    return min(run), max(run) + 1


def _in_context(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each word's vector with those of its neighbours, shape ``[words, 3 × dimensions]``."""
    blank = np.zeros((1, vectors.shape[1]), dtype=np.float32)
    padded = np.vstack([blank, vectors, blank])
    return np.hstack([padded[1:-1], 0.5 * padded[:-2], 0.5 * padded[2:]])


def _pair(
    vectors: NDArray[np.float32],
    aspect: Span,
    opinion: Span,
    aspects: Sequence[Span],
    opinions: Sequence[Span],
    tokens: Sequence[str],
) -> NDArray[np.float32]:
    """What tells whether an aspect and an opinion belong together: where they stand, and what stands between."""
    first, last = (aspect, opinion) if aspect < opinion else (opinion, aspect)
    gap = range(first[1], last[0])
    between = [tokens[i].casefold() for i in gap]
    distance = min(len(gap), FAR)
    place = np.zeros(FAR + 1, dtype=np.float32)
    place[distance] = 1.0
    marks = [
        float(aspect < opinion),
        distance / FAR,
        float(sum(a[0] in gap for a in aspects)),
        float(sum(o[0] in gap for o in opinions)),
        float(any(w in (",", ";", ".", "-", ":") for w in between)),
        float(any(w in ("but", "although", "while", "though", "however") for w in between)),
        float("and" in between),
        float(any(w in ("is", "was", "are", "were", "'s", "be") for w in between)),
        float(len(aspects) == 1),
        float(len(opinions) == 1),
        float(min((_gap(aspect, o) for o in opinions), default=0) == len(gap)),
        float(min((_gap(a, opinion) for a in aspects), default=0) == len(gap)),
    ]
    a, o = vectors[aspect[0] : aspect[1]].mean(0), vectors[opinion[0] : opinion[1]].mean(0)
    cosine = float(a @ o / max(1e-6, float(np.linalg.norm(a) * np.linalg.norm(o))))
    return np.concatenate([place, np.array([*marks, cosine], dtype=np.float32)])


def _gap(one: Span, other: Span) -> int:
    first, last = (one, other) if one < other else (other, one)
    return len(range(first[1], last[0]))


def _feeling(vectors: NDArray[np.float32], aspect: Span, opinion: Span) -> NDArray[np.float32]:
    """What tells the sentiment: the opinion in its sentence, the words just before it, the aspect."""
    before = vectors[max(0, opinion[0] - 3) : opinion[0]]
    lead = before.mean(0) if len(before) else np.zeros(vectors.shape[1], dtype=np.float32)
    return np.concatenate(
        [vectors[opinion[0] : opinion[1]].mean(0), 0.5 * lead, 0.5 * vectors[aspect[0] : aspect[1]].mean(0)]
    )
