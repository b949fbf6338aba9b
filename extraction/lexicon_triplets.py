"""The simplest extractor of triplets, to measure others against: words of a sentiment lexicon and the nearest noun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from extraction.benchmarks import Triplet
from extraction.clauses import vote

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

REACH = 4
"""Words before an opinion in which a negator turns it, as in :func:`extraction.clauses.vote`."""


def lexicon_triplets(
    sentences: Sequence[Sequence[str]], votes: Mapping[str, int], nlp: Language
) -> list[tuple[Triplet, ...]]:
    """For each sentence, given as words: every word of the lexicon judges the run of nouns that is nearest to it.

    Args:
        votes: words that praise (+1) and blame (-1), lower case.
    """
    from spacy.tokens import Doc

    docs = nlp.pipe(Doc(nlp.vocab, words=list(words)) for words in sentences)
    return [_of_sentence(doc, votes) for doc in docs]


def _of_sentence(doc: Doc, votes: Mapping[str, int]) -> tuple[Triplet, ...]:
    opinions = [t.i for t in doc if votes.get(t.lower_)]
    nouns: list[tuple[int, ...]] = []
    for token in doc:
        if token.pos_ in ("NOUN", "PROPN") and token.i not in opinions:
            if nouns and nouns[-1][-1] == token.i - 1:
                nouns[-1] = (*nouns[-1], token.i)
            else:
                nouns.append((token.i,))
    found = []
    for opinion in opinions if nouns else ():
        nearest = min(nouns, key=lambda run: (min(abs(i - opinion) for i in run), run))
        sign = vote(
            " ".join(t.text for t in doc[max(0, opinion - REACH) : opinion + 1]),
            {doc[opinion].lower_: votes[doc[opinion].lower_]},
        )
        found.append(Triplet(nearest, (opinion,), "POS" if sign > 0 else "NEG"))
    return tuple(found)
