"""The sentences of reviews through the encoder, each word once: what every reader of reviews starts from.

One pass gives the states of the words. A trained head reads triplets off them
(:mod:`extraction.triplets`), and the mean over the words of a clause is the clause's
vector (:mod:`extraction.clauses`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from extraction.encoder import Encoder

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

    from extraction.triplets import ReadTriplet

MAX_WORDS: Final = 80
"""Words that are read together: who writes without full stops is cut here. The longest sentence of ASTE-V2 has 83."""

_WORD: Final = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """What one pass of the encoder gives for a sentence."""

    words: NDArray[np.float32]
    """State of each word in the space of the encoder as it is, ``[words, dimensions]``."""
    triplets: tuple[ReadTriplet, ...] = ()
    """What a trained head reads in it, the likeliest first."""


class SentenceReader(Protocol):
    """Reads sentences given as words, each in one pass of the encoder."""

    def read(self, sentences: Sequence[Sequence[str]]) -> list[ReadSentence]:
        """What the encoder gives for each of them."""


@dataclass(frozen=True, slots=True)
class PlainReader:
    """The encoder as it is: no head, no triplets."""

    encoder: Encoder

    def read(self, sentences: Sequence[Sequence[str]]) -> list[ReadSentence]:
        """What the encoder gives for each of them."""
        return [ReadSentence(words) for words in self.encoder.encode_words(sentences)]


def pieces(doc: Doc) -> Iterator[list[Token]]:
    """The sentences of a window as lists of at most :data:`MAX_WORDS` tokens, without blank ones."""
    for sentence in doc.sents:
        tokens = [t for t in sentence if not t.is_space]
        for begin in range(0, len(tokens), MAX_WORDS):
            yield tokens[begin : begin + MAX_WORDS]


def vectors_of(texts: Sequence[str], reader: SentenceReader) -> NDArray[np.float32]:
    """Vectors of short texts, each read as a clause that ends its sentence: ``[texts, dimensions]``, of unit length."""
    cut = [_WORD.findall(text) or ["_"] for text in texts]
    read = reader.read(cut)
    # The mark that ends a sentence is read and belongs to none of its clauses.
    return np.vstack(
        [mean_of(one.words, [i for i, w in enumerate(ws) if w not in ".!?"]) for ws, one in zip(cut, read, strict=True)]
    )


def mean_of(words: NDArray[np.float32], inside: Sequence[int]) -> NDArray[np.float32]:
    """The mean state of some words, of unit length; zeros where there are none."""
    if not inside:
        return np.zeros(words.shape[1], dtype=np.float32)
    mean: NDArray[np.float32] = words[list(inside)].mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)
