"""The sentences of reviews through the encoder, each word once: what every reader of reviews starts from.

The mean over the states of a clause's words is the clause's vector
(:mod:`extraction.clauses`). A trained head reads the same pieces of text with states of
its own, since its adapter moves them (:mod:`extraction.triplets`); clauses were read
worse by those, even led back by a linear map.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from extraction.encoder import Encoder

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

MAX_WORDS: Final = 80
"""Words that are read together: who writes without full stops is cut here. The longest sentence of ASTE-V2 has 83."""

_WORD: Final = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")


def pieces(doc: Doc) -> Iterator[list[Token]]:
    """The sentences of a window as lists of at most :data:`MAX_WORDS` tokens, without blank ones."""
    for sentence in doc.sents:
        tokens = [t for t in sentence if not t.is_space]
        for begin in range(0, len(tokens), MAX_WORDS):
            yield tokens[begin : begin + MAX_WORDS]


def vectors_of(texts: Sequence[str], encoder: Encoder) -> NDArray[np.float32]:
    """Vectors of short texts, each read as a clause that ends its sentence: ``[texts, dimensions]``, of unit length."""
    cut = [_WORD.findall(text) or ["_"] for text in texts]
    read = encoder.encode_words(cut)
    # The mark that ends a sentence is read and belongs to none of its clauses.
    return np.vstack(
        [mean_of(one, [i for i, w in enumerate(ws) if w not in ".!?"]) for ws, one in zip(cut, read, strict=True)]
    )


def mean_of(words: NDArray[np.float32], inside: Sequence[int]) -> NDArray[np.float32]:
    """The mean state of some words, of unit length; zeros where there are none."""
    if not inside:
        return np.zeros(words.shape[1], dtype=np.float32)
    mean: NDArray[np.float32] = words[list(inside)].mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)
