"""``kg search`` and ``kg evaluate search``: what was typed becomes the parameters of ``search/products.cypher``.

The query does the searching; here is only what a database cannot: the spelling
is corrected with the words that the catalogue has, quantities are written as
titles write them, and the encoder makes the vector.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from extraction.querytext import corrected, halves, is_near, rewritten, tidied, unknown_words
from kg import catalogue
from kg.app.files import json_rows
from kg.app.jobs import check_text_width, encoder_of
from kg.errors import ParameterError, StoreError
from kg.settings import Settings
from kg.store import GraphStore

PAGE: Final = 256
"""Searches that are prepared together: one round trip for their spelling, one pass of the encoder."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A search as ``search/products`` takes it."""

    typed: str
    corrected: str
    """What was probably meant."""
    text: str
    """That, with quantities as titles write them."""
    vector: list[float] | None = field(repr=False)
    """The encoder's vector of what was meant; ``None`` for a text without a Latin letter, of which it knows nothing."""

    @property
    def parameters(self) -> dict[str, Any]:
        """``text`` and ``vector``."""
        return {"text": self.text, "vector": self.vector}


class Searcher:
    """Prepares and runs searches; built once a process, since the encoder takes seconds to load."""

    def __init__(self, store: GraphStore, settings: Settings) -> None:
        self._store = store
        self._encoder = encoder_of(settings)
        self._timeout_s = settings.query_timeout_s
        self._products, self._personalised, self._words = (
            catalogue.find(f"search/{name}") for name in ("products", "personalised", "words")
        )

    def warm(self) -> None:
        """Load the encoder now, which else the first search waits for.

        Raises:
            ExtractionError: it is not there, or not what it should be.
        """
        self._encoder.encode(["warm"])

    def prepare(self, texts: Sequence[str], *, left_s: Callable[[], float] | None = None) -> list[Prepared]:
        """Correct and encode searches, all of them together.

        Args:
            left_s: asked before each query for the seconds that it may take; by default the setting's.
        """
        corrections = self._corrections(texts, left_s or self._limit_s)
        meant = [rewritten(text, corrections) for text in texts]
        latin = [i for i, text in enumerate(meant) if any("a" <= c <= "z" for c in text.casefold())]
        vectors = self._encoder.encode([meant[i] for i in latin])
        found = {i: vector.astype(float).tolist() for i, vector in zip(latin, vectors, strict=True)}
        return [
            Prepared(typed, text, tidied(text), found.get(i))
            for i, (typed, text) in enumerate(zip(texts, meant, strict=True))
        ]

    def run(
        self, prepared: Prepared, *, user: str | None = None, left_s: Callable[[], float] | None = None, **filters: Any
    ) -> catalogue.Rows:
        """The rows of ``search/products``, or of ``search/personalised`` for a user."""
        query = self._products if user is None else self._personalised
        given = {**prepared.parameters, **filters, **({} if user is None else {"user": user})}
        try:
            return catalogue.run(self._store, query, given, timeout_s=(left_s or self._limit_s)())
        except (ParameterError, StoreError):
            # Asked only now: it hardly ever is the reason, and another encoder may have been set at any time.
            if prepared.vector is not None:
                check_text_width(self._store, len(prepared.vector))
            raise

    def _limit_s(self) -> float:
        return self._timeout_s

    def _corrections(self, texts: Iterable[str], left_s: Callable[[], float]) -> dict[str, str]:
        """Misspelt word → what was meant."""
        words = list(dict.fromkeys(word for text in texts for word in unknown_words(text)))
        known = {row["word"]: row for row in self._known(words, left_s, near=True)}
        near = {
            word: [other for other in known[word]["near"] if is_near(word, other)] if word in known else []
            for word in words
            if word not in known or not known[word]["products"]
        }
        asked = {
            other for word, others in near.items() for other in (*others, *(h for two in halves(word) for h in two))
        }
        counts = {row["word"]: row["products"] for row in self._known(sorted(asked), left_s, near=False)}
        found: dict[str, str] = {}
        for word, others in near.items():
            parts = [half for two in halves(word) for half in two]
            meant = corrected(word, {other: counts.get(other, 0) for other in (*others, *parts)})
            if meant != word:
                found[word] = meant
        return found

    def _known(self, words: Sequence[str], left_s: Callable[[], float], *, near: bool) -> Iterator[Mapping[str, Any]]:
        for begin in range(0, len(words), PAGE):
            some = list(words[begin : begin + PAGE])
            yield from catalogue.run(self._store, self._words, {"words": some, "near": near}, timeout_s=left_s())


# --- evaluation -----------------------------------------------------------------------------------------------

LEAST_APART: Final = 1.0
"""Pairs of judgments nearer than this say little: three people gave each a whole number from 1 to 3."""
RELEVANT: Final = 2.33
"""From this mean judgment on a product counts as relevant."""
FIRST: Final = 50
DEEP: Final = 200
"""How much of each list is fused."""
_NEAR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Judgment:
    """How well a product answers a query, as people judged."""

    query: str
    sku: str
    relevance: float


Variant = Callable[[Prepared], Prepared]
"""Changes a prepared search."""


def evaluate_search(
    store: GraphStore,
    settings: Settings,
    judgments: Iterable[Judgment],
    *,
    ways: Sequence[Variant] = (lambda prepared: prepared,),
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Search for every judged query and compare with the judgments; see :func:`measured`.

    Every judged product gets its score from the query that ranks the catalogue, wherever in the order it stands.

    Args:
        ways: changes of a prepared search, to measure what a part of it is worth; of several the first :data:`DEEP`
            products each are fused by reciprocal rank, which takes the place of the score.
    """
    by_query: dict[str, dict[str, float]] = defaultdict(dict)
    for one in judgments:
        by_query[one.query][one.sku] = one.relevance
    searcher = Searcher(store, settings)
    texts = list(by_query)

    def searched(prepared: Prepared) -> Searched:
        judged = by_query[prepared.typed]
        changed = [change(prepared) for change in ways]
        if len(changed) > 1:
            ranked = reciprocal_ranks([[row["sku"] for row in searcher.run(one, limit=DEEP)] for one in changed])
            progress(1)
            return Searched(judged, {sku: ranked.get(sku, 0.0) for sku in judged}, frozenset([*ranked][:FIRST]))
        (one,) = changed
        first = [row["sku"] for row in searcher.run(one, limit=FIRST)]
        scores = {row["sku"]: row["score"] for row in searcher.run(one, skus=list(judged), limit=max(1, len(judged)))}
        progress(1)
        return Searched(judged, scores, frozenset(first))

    found: list[Searched] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(texts), PAGE):
            found += pool.map(searched, searcher.prepare(texts[begin : begin + PAGE]))
    return measured(found)


def reciprocal_ranks(lists: Iterable[Sequence[str]]) -> dict[str, float]:
    """Lists fused: each item's sum of 1 / (60 + rank), the best first (Cormack, Clarke and Büttcher 2009)."""
    sums: dict[str, float] = defaultdict(float)
    for ranked in lists:
        for rank, item in enumerate(ranked, start=1):
            sums[item] += 1.0 / (60 + rank)
    return dict(sorted(sums.items(), key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True, slots=True)
class Searched:
    """What one query gave."""

    judged: Mapping[str, float]
    """Sku → relevance."""
    scores: Mapping[str, float]
    """Sku → score, of the judged products that can be found at all."""
    first: frozenset[str]
    """The first :data:`FIRST` of the whole catalogue."""


def measured(found: Sequence[Searched]) -> dict[str, Any]:
    """Pairwise accuracy, NDCG@10 and recall@50.

    Pairwise accuracy is the share of pairs of judged products of one query, at least :data:`LEAST_APART` apart, that
    are scored in the right order; a tie, and a pair of which neither is in the catalogue, is half right. NDCG@10 is
    that of the judged products in the order of their scores, with the gain 2^relevance − 1 (Burges et al. 2005), the
    mean over queries. Recall@50 is the share of all judged products of at least :data:`RELEVANT` that stand in the
    first 50 of the catalogue for their query.
    """
    right = pairs = hits = relevant = 0.0
    gains: list[float] = []
    for one in found:
        scores = {sku: one.scores.get(sku, -math.inf) for sku in one.judged}
        judged = sorted(one.judged.items())
        for i, (a, high) in enumerate(judged):
            for b, low in judged[i + 1 :]:
                if abs(high - low) >= LEAST_APART - _NEAR:
                    pairs += 1
                    tie = scores[a] == scores[b]
                    right += 0.5 if tie else float((scores[a] > scores[b]) == (high > low))
        wanted = {sku for sku, relevance in judged if relevance >= RELEVANT - _NEAR}
        hits += len(wanted & one.first)
        relevant += len(wanted)
        gains.append(_ndcg(sorted(judged, key=lambda item: (-scores[item[0]], item[0]))))
    return {
        "pairwise_accuracy": round(right / pairs, 4) if pairs else None,
        "ndcg@10": round(math.fsum(gains) / len(gains), 4) if gains else None,
        "recall@50": round(hits / relevant, 4) if relevant else None,
        "queries": len(found),
        "pairs": int(pairs),
        "relevant": int(relevant),
    }


def _ndcg(ordered: Sequence[tuple[str, float]], cutoff: int = 10) -> float:
    def gain(relevances: Sequence[float]) -> float:
        return math.fsum((2.0**r - 1.0) / math.log2(rank + 2) for rank, r in enumerate(relevances[:cutoff]))

    relevances = [r for _, r in ordered]
    ideal = gain(sorted(relevances, reverse=True))
    return gain(relevances) / ideal if ideal else 0.0


def read_judgments(path: Path) -> Iterator[Judgment]:
    """The rows of a file of judgments, ``{query, sku, relevance}`` a line; ``product_uid`` may stand for ``sku``.

    Raises:
        InputError: the file cannot be read, or a line is no such row.
    """
    return json_rows(path, _judgment, '{"query": "drill", "sku": "A1", "relevance": 3}')


def _judgment(row: Any) -> Judgment:
    sku = row["sku"] if "sku" in row else row["product_uid"]
    return Judgment(str(row["query"]), str(sku), float(row["relevance"]))
