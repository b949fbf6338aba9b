"""Triplets without training, to measure trained ones against: words of a lexicon, and the nearest noun or the parse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from extraction.benchmarks import Triplet
from extraction.clauses import vote

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

    from extraction.opinions import OpinionRules

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


def parsed_triplets(
    sentences: Sequence[Sequence[str]], rules: OpinionRules, nlp: Language
) -> list[tuple[Triplet, ...]]:
    """For each sentence, given as words: what the rules of :mod:`extraction.opinions` read off its parse."""
    from spacy.tokens import Doc

    docs = nlp.pipe(Doc(nlp.vocab, words=list(words)) for words in sentences)
    return [
        tuple(
            sorted(
                {
                    Triplet(_with_compounds(noun), (word.i,), "POS" if praises else "NEG")
                    for noun, word, praises in rules.judged(doc)
                }
            )
        )
        for doc in docs
    ]


def added(rules: Sequence[Triplet], learned: Sequence[Triplet]) -> tuple[Triplet, ...]:
    """What rules and a trained head say together, as in the extractor: the head where the rules say nothing."""
    taken = [_reach_of(t) for t in rules]
    apart = [t for t in learned if not any(a <= _reach_of(t)[1] and _reach_of(t)[0] <= b for a, b in taken)]
    return (*rules, *apart)


def _reach_of(triplet: Triplet) -> tuple[int, int]:
    return min(triplet.aspect[0], triplet.opinion[0]), max(triplet.aspect[-1], triplet.opinion[-1])


def _with_compounds(noun: Token) -> tuple[int, ...]:
    """A noun and the nouns directly before it that belong to it: "battery life"."""
    first = noun.i
    while first and noun.doc[first - 1].dep_ == "compound" and noun.doc[first - 1].head.i in range(first, noun.i + 1):
        first -= 1
    return tuple(range(first, noun.i + 1))
