"""What rules cannot see, answered by likeness: the nearest known name, and which way a word judges.

Each distinct text is encoded once and remembered, so that the cost fades as
documents go by: shops and their customers use few words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kg.vocabulary import Vocabulary

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors, as :meth:`extraction.encoder.Encoder.encode`."""

MAX_REMEMBERED: Final = 100_000
"""Answers kept at most; then the memory starts anew (about 20 MB)."""


@dataclass(frozen=True, slots=True)
class Link:
    """A known thing that a text probably means."""

    key: str
    score: float
    """Cosine of the two."""


class Linker:
    """Answers by likeness what the rules could not: which known thing a noun means, and whether a word praises.

    Each distinct word is encoded once and remembered, so that the cost fades as
    texts go by.

    Args:
        names: what may be meant → its key; several names may share a key.
        threshold: least cosine at which a name is believed to be meant.
        margin: least distance to the best name of any other key.
    """

    def __init__(self, encode: Encode, names: Mapping[str, str], *, threshold: float, margin: float = 0.02) -> None:
        self._encode = encode
        self._names = list(names)
        self._keys = list(names.values())
        self._threshold = threshold
        self._margin = margin
        self._memory: dict[str, Link | None] = {}
        self._vectors: NDArray[np.float32] | None = None

    def links(self, texts: Iterable[str]) -> dict[str, Link | None]:
        """For each text the known thing that it means, or ``None``; new texts are encoded together."""
        wanted = list(dict.fromkeys(texts))
        new = [t for t in wanted if t not in self._memory]
        if new and self._names:
            if len(self._memory) > MAX_REMEMBERED:
                self._memory.clear()
                new = wanted
            if self._vectors is None:
                self._vectors = self._encode(self._names)
            scores = self._encode(new) @ self._vectors.T  # [texts, names]
            for text, row in zip(new, scores, strict=True):
                self._memory[text] = self._best(row)
        return {t: self._memory.get(t) for t in wanted}

    def _best(self, row: NDArray[np.float32]) -> Link | None:
        best = int(row.argmax())
        key, score = self._keys[best], float(row[best])
        others = [float(s) for s, k in zip(row, self._keys, strict=True) if k != key]
        if score < self._threshold or (others and score - max(others) < self._margin):
            return None
        return Link(key, score)


class Judge:
    """Whether an opinion word outside the lexicon praises or blames: nearer to which of the lexicon's own words?

    Args:
        threshold: least difference of the mean cosines to the nearest words of either side.
    """

    def __init__(self, encode: Encode, vocabulary: Vocabulary, *, threshold: float = 0.05, nearest: int = 5) -> None:
        self._encode = encode
        self._good = sorted(vocabulary.positive)
        self._bad = sorted(vocabulary.negative)
        self._threshold = threshold
        self._nearest = nearest
        self._memory: dict[str, float] = {}
        self._vectors: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def judge(self, words: Iterable[str]) -> dict[str, bool | None]:
        """For each word whether it praises; ``None`` where it is too close to call."""
        wanted = list(dict.fromkeys(words))
        new = [w for w in wanted if w not in self._memory]
        if new:
            if len(self._memory) > MAX_REMEMBERED:
                self._memory.clear()
                new = wanted
            if self._vectors is None:
                both = self._encode([_frame(w) for w in (*self._good, *self._bad)])
                self._vectors = both[: len(self._good)], both[len(self._good) :]
            vectors = self._encode([_frame(w) for w in new])
            sides = [np.sort(vectors @ side.T, axis=1)[:, -self._nearest :].mean(1) for side in self._vectors]
            self._memory.update(zip(new, (sides[0] - sides[1]).tolist(), strict=True))
        scores = {w: self._memory[w] for w in wanted}
        return {w: (s > 0 if abs(s) >= self._threshold else None) for w, s in scores.items()}


# Sentences of descriptions that say of the product that it goes with another one, and that say something else of it.
GOES_WITH: Final = (
    "It fits the X100.",
    "Made for the X100.",
    "It works with the X100.",
    "Attach it to the X100.",
    "It slides into the X100.",
    "It holds the X100.",
    "It protects the X100 from rain and dust.",
    "A spare part of the X100.",
    "Use it together with the X100.",
    "The X100 takes it as well.",
    "It charges the X100 overnight.",
    "It powers the X100 for a day.",
    "It screws onto the end of the X100.",
    "We like to use it on the X100.",
    "It plugs into the X100.",
    "It keeps the X100 clean.",
    "On the X100 it is at its best.",
    "A good partner for the X100.",
    "It hangs from the X100.",
    "Carries the X100 and two more.",
)
PARTED: Final = (
    "It is lighter than the X100.",
    "The bigger sister of the X100.",
    "It succeeds the X100 of last year.",
    "It costs half as much as the X100.",
    "By the people who brought you the X100.",
    "If you want more, look at the X100.",
    "The X100 is our best seller.",
    "It has the same sensor as the X100.",
    "It does not fit the X100.",
    "The X100 needs a different one.",
    "The X100 is too big for it.",
    "Not for the X100.",
    "Choose the X100 for longer trips.",
    "It takes better pictures than the X100.",
)


class Likeness:
    """Answers a yes-or-no question about a sentence by whether it is more like sentences of the one or the other kind.

    Args:
        yes: examples of sentences for which the answer is yes.
        no: examples of the contrary.
        lead: how much nearer the examples for yes must be (difference of the mean cosines to the three nearest).
    """

    def __init__(self, encode: Encode, yes: Sequence[str], no: Sequence[str], *, lead: float = 0.0) -> None:
        self._encode = encode
        self._yes, self._no = list(yes), list(no)
        self._lead = lead
        self._memory: dict[str, bool] = {}
        self._vectors: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __call__(self, texts: Sequence[str]) -> list[bool]:
        """The answer for each text; new texts are encoded together."""
        new = [t for t in dict.fromkeys(texts) if t not in self._memory]
        if new:
            if len(self._memory) > MAX_REMEMBERED:
                self._memory.clear()
                new = list(dict.fromkeys(texts))
            if self._vectors is None:
                both = self._encode([*self._yes, *self._no])
                self._vectors = both[: len(self._yes)], both[len(self._yes) :]
            vectors = self._encode(new)
            nearest = [np.sort(vectors @ side.T, axis=1)[:, -3:].mean(1) for side in self._vectors]
            self._memory.update(zip(new, (nearest[0] - nearest[1] >= self._lead).tolist(), strict=True))
        return [self._memory[t] for t in texts]


def _frame(word: str) -> str:
    """A bare adjective is too short for a sentence encoder to tell praise from blame: it gets a sentence."""
    return f"The product is {word}."
