"""From what a model makes of a question to an answer: which value, and how sure it is.

A belief holds probabilities as a softmax gives them. A calibration, fitted on texts that were held out of the
training, says from which one on a value is answered, and how often such answers are right.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from extraction.benchmarks import MarkedProduct
from extraction.calibration import Platt, logit

MIN_CALIBRATED: Final = 100
"""Questions below which a threshold would be chance; the default is kept."""
PULL: Final = 0.05
"""F1 that a threshold must gain for each unit that it lies away from the default: on 150 held-out texts of AE-110K F1
hardly changes between .25 and .5, and the best of such a plateau is chance (it cost .3 points on texts never seen)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A value, or ``None`` for "not stated", with the probability that it is right."""

    value: str | None
    probability: float
    quote: str | None = None
    """What the text says, where the value is its normal form."""

    nth: int | None = None
    """Which of the places where the text says it the model means, the first is 0; ``None``: the first that stands as
    words of its own."""

    def place(self, text: str) -> tuple[int, int] | None:
        """Where the text says it, as words of their own however they are spaced; ``None`` if nowhere.

        A text with other spaces than the one that the model read has as many such places.
        """
        if self.quote is None or not self.quote.split():
            return None
        found = [m.span() for m in _said(self.quote).finditer(text)]
        if self.nth is not None and self.nth < len(found):
            return found[self.nth]
        apart = re.compile(rf"(?<!\w){_said(self.quote).pattern}(?!\w)").search(text)
        return apart.span() if apart else found[0] if found else None


def nth_place(quote: str, text: str, start: int) -> int | None:
    """Which of the places where ``text`` says ``quote`` begins at ``start``; ``None`` if none does."""
    return next((n for n, m in enumerate(_said(quote).finditer(text)) if m.start() == start), None)


def _said(quote: str) -> re.Pattern[str]:
    """What a text may say for a quote, however it is spaced."""
    return re.compile(r"\s+".join(map(re.escape, quote.split())))


@dataclass(frozen=True, slots=True)
class Belief:
    """What the softmax makes of a question, before it is decided and calibrated."""

    silent: float
    """Probability of "not stated"."""
    values: tuple[Answer, ...]
    """Values with their softmax probabilities, the most probable first."""

    @property
    def best(self) -> Answer:
        """The most probable value, whatever the probability of "not stated"."""
        return self.values[0] if self.values else Answer(None, 0.0)

    def mixed(self, other: Belief, share: float) -> Belief:
        """The mean of two beliefs, with this share of the other; a value's place is that of the surer of the two."""
        chances: dict[str | None, float] = defaultdict(float)
        places: dict[str | None, Answer] = {}
        for belief, weight in ((self, 1.0 - share), (other, share)):
            for answer in belief.values:
                chances[answer.value] += weight * answer.probability
                if answer.value not in places or places[answer.value].probability < answer.probability:
                    places[answer.value] = answer
        order = sorted(chances, key=lambda v: (-chances[v], v or ""))
        return Belief(
            (1.0 - share) * self.silent + share * other.silent,
            tuple(replace(places[v], probability=chances[v]) for v in order),
        )


@dataclass(frozen=True, slots=True)
class Calibration(Platt):
    """From which probability on a value is answered, and how often such answers are right."""

    threshold: float = 0.4
    """Least softmax probability of a value that is answered."""

    def sure(self, p: float) -> float:
        """From the softmax's probability to the calibrated one."""
        return self(logit(p))

    def decide(self, belief: Belief) -> Answer:
        """The answer to a question."""
        best = belief.best
        if best.value is None or best.probability < self.threshold:
            return Answer(None, belief.silent)
        return replace(best, probability=self.sure(best.probability))


def calibrate(
    products: Sequence[MarkedProduct], beliefs: Iterable[Mapping[str, Belief]], *, threshold: float | None = None
) -> Calibration:
    """Threshold and calibration from texts that were held out of the training.

    The threshold, unless it is given, is the one with the best F1, drawn to :class:`Calibration`'s own by :data:`PULL`.
    """
    rows: list[tuple[float, bool, bool]] = []  # probability of the best value, is it right, is a value stated
    for product, belief in zip(products, beliefs, strict=True):
        for attribute, values in product.targets.items():
            best = belief[attribute].best
            rows.append((best.probability, best.value in values, bool(values)))
    chances = np.array([r[0] for r in rows])
    right, stated = np.array([r[1] for r in rows]), np.array([r[2] for r in rows])
    default = Calibration() if threshold is None else Calibration(threshold=threshold)
    if len(rows) < MIN_CALIBRATED:
        return default
    options = [t / 100 for t in range(20, 61, 5)]

    def f1(threshold: float) -> float:
        answered = chances >= threshold
        return 2 * float(right[answered].sum()) / max(1, int(answered.sum()) + int(stated.sum()))

    if threshold is None:
        threshold = max(options, key=lambda t: f1(t) - PULL * abs(t - default.threshold))
    answered = chances >= threshold
    fitted = Calibration.fit([logit(p) for p in chances[answered]], right[answered].tolist())
    return replace(fitted, threshold=threshold)
