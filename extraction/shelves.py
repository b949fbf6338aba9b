"""The shelf on which a product belongs, by its title: named there, or that of products with titles like it.

Two witnesses. The title may end with the name of a shelf ("… guitar strap");
and products whose titles share rare words with it stand on shelves already
(nearest neighbours by TF-IDF, seven votes). Where both speak they must agree.

On Musical Instruments (850 titles, each hidden in turn) the neighbours alone
name exactly the right one of 130 shelves for 88 % of the 300 surest titles;
names alone for 58 % of those they match, since "pedal" stands on many shelves.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from extraction.mentions import Claim, Found, Lexicon, Reason, words
from extraction.ner import Name
from extraction.normalise import singular
from extraction.products import CategoryFinder, title_head
from kg.graph import Rejected

NEIGHBOURS: Final = 7
MIN_VOTE: Final = 0.7
"""Least share of the neighbours' similarity, damped when they are all far, that names a shelf by itself."""
MIN_SUPPORT: Final = 0.35
"""Least vote for a shelf that the title names; without neighbours at all the name alone counts."""
MAX_POSTINGS: Final = 1000
"""A word in more titles than this tells no shelf; leaving it out keeps a look-up short in a large shop."""


@dataclass(frozen=True, slots=True)
class Votes:
    """What the neighbours of a title say: share of each shelf, and how near they are."""

    shares: dict[str, float]
    nearness: float
    """In [0, 1]: 1 when their similarities add up to one or more."""

    def of(self, path: str) -> float:
        """How strongly the neighbours stand for a shelf, in [0, 1]."""
        return self.shares.get(path, 0.0) * self.nearness


class ShelfRules:
    """Names the shelf of a product. Built once; :meth:`find` is pure."""

    def __init__(self, lexicon: Lexicon, categories: CategoryFinder) -> None:
        self._categories = categories
        self._shelf: list[str] = []
        self._sku: list[str] = []
        shelved = {sku: entry for sku, entry in lexicon.products.items() if entry.category}
        # Twice through the titles: the terms of a million at once would fill the memory.
        frequency = Counter(term for entry in shelved.values() for term in _terms(entry.title))
        self._idf = {term: math.log((len(shelved) + 1) / n) for term, n in frequency.items() if n <= MAX_POSTINGS}
        # A word that no title has is as rare as can be: it keeps a title of unknown things far from all others.
        self._unseen = math.log(len(shelved) + 1)
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        for i, (sku, entry) in enumerate(shelved.items()):
            self._shelf.append(entry.category or "")
            self._sku.append(sku)
            terms = _terms(entry.title)
            norm = self._norm(terms)
            for term in terms:
                if term in self._idf:
                    places, weights = self._postings.setdefault(term, (array("l"), array("d")))
                    places.append(i)
                    weights.append(self._idf[term] / norm)

    def find(self, title: str, *, document: str, sku: str) -> Found:
        """The shelf of the product ``sku``; offsets are those of the title, which opens the document."""
        head = title_head(title)
        found = words(head)
        if not found:
            return Found()
        votes = self.votes(title, sku)
        named = self._named(head)
        if named is not None:
            name, paths = named
            path = max(paths, key=votes.of)
            support = votes.of(path)
            strongest = max(votes.shares, key=votes.of, default=path)
            strangers = votes.nearness < 0.5 and len(paths) == 1 and name.last == len(found)
            if strongest != path and votes.of(strongest) >= MIN_VOTE:
                named = None  # the neighbours know better: this "pedal" is an effect, and no keyboard's
            elif support < MIN_SUPPORT and not strangers:
                detail = f"IN_CATEGORY: {head[name.start : name.end]}"
                return Found((), (Rejected(Reason.AMBIGUOUS, detail, document, name.start, name.end),))
            else:
                confidence = 0.6 + 0.35 * support
                claim = Claim("IN_CATEGORY", CategoryFinder.node(path), name.start, name.end, round(confidence, 4))
                return Found((claim,))
        best = max(votes.shares, key=votes.of, default=None)
        if best is None:
            return Found()
        start, end = found[0].start, found[-1].end
        if votes.of(best) < MIN_VOTE:
            detail = f"IN_CATEGORY: {best}"
            return Found((), (Rejected(Reason.LOW_CONFIDENCE, detail, document, start, end),))
        confidence = 0.5 + 0.4 * votes.of(best)
        return Found((Claim("IN_CATEGORY", CategoryFinder.node(best), start, end, round(confidence, 4)),))

    def votes(self, title: str, sku: str) -> Votes:
        """The shelves of the products whose titles are most like this one, ``sku`` itself left out."""
        terms = _terms(title)
        norm = self._norm(terms)
        scores: dict[int, float] = defaultdict(float)
        for term in terms:
            if term not in self._idf:
                continue
            weight = self._idf[term] / norm
            for i, other in zip(*self._postings.get(term, ((), ())), strict=True):
                scores[i] += weight * other
        # One more than are wanted: the product itself may be among them.
        ranked = heapq.nlargest(NEIGHBOURS + 1, scores, key=scores.__getitem__)
        nearest = [(scores[i], i) for i in ranked if self._sku[i] != sku][:NEIGHBOURS]
        total = sum(score for score, _ in nearest)
        shares: dict[str, float] = defaultdict(float)
        for score, i in nearest:
            shares[self._shelf[i]] += score / total if total else 0.0
        return Votes(dict(shares), min(1.0, total))

    def _named(self, head: str) -> tuple[Name, tuple[str, ...]] | None:
        """The shelf's name with which the head of a title ends, the longest one."""
        found = words(head)
        candidates = [(n, p) for n, p in self._categories.find(head, found) if n.last >= len(found) - 1]
        return max(candidates, key=lambda c: (c[0].last - c[0].first, c[0].last), default=None)

    def _norm(self, terms: Sequence[str]) -> float:
        return math.sqrt(sum(self._idf.get(t, self._unseen) ** 2 for t in terms)) or 1.0


def _terms(title: str) -> list[str]:
    """Words and pairs of words of the head of a title, in the singular, each once."""
    single = [singular(w.text) for w in words(title_head(title)) if not w.text.isdigit()]
    return list(dict.fromkeys([*single, *(f"{a} {b}" for a, b in pairwise(single))]))
