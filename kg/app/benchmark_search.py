"""``kg benchmark search``: a public catalogue with judged queries (Home Depot product search relevance), searched.

The weights of ``search/products.cypher`` and the costs of spelling were chosen
on the development half of the queries; the test half is for reporting. Beside
the whole search stand its parts: the same query with words alone, with the
vector alone, without the correction of the spelling, and with words and vector
fused by reciprocal rank.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from extraction import corpus
from extraction.querytext import tidied
from extraction.workers import ExtractorSpec, Workers
from kg import intake, vocabulary
from kg.app import jobs
from kg.app.benchmark import own_graph
from kg.app.files import json_rows, member
from kg.app.search import Judgment, Prepared, Variant, evaluate_search, read_judgments
from kg.app.session import progress_bar
from kg.records import ProductRecord
from kg.settings import Settings

Part = Literal["development", "test"]


def _as_typed(prepared: Prepared) -> Prepared:
    """The text without its corrections; the vector is that of the corrected text all the same."""
    return replace(prepared, text=tidied(prepared.typed))


def _words(prepared: Prepared) -> Prepared:
    return replace(prepared, vector=None)


def _vector(prepared: Prepared) -> Prepared:
    return replace(prepared, text="")


VARIANTS: Final[dict[str, tuple[Variant, ...]]] = {
    "whole": (lambda p: p,),
    "words alone": (_words,),
    "words alone, spelling as typed": (lambda p: _words(_as_typed(p)),),
    "vector alone": (_vector,),
    # What is usual in the place of the sum of the scores.
    "words and vector fused by reciprocal rank": (_words, _vector),
}
"""Each a way to search, or several whose lists are fused."""


def is_development(query: str) -> bool:
    """Whether a query belongs to the half on which settings are chosen: by a digest, so that all agree on it."""
    return hashlib.sha256(query.encode()).digest()[0] % 2 == 0


def part_of(judgments: list[Judgment], part: Part, *, queries: int | None, seed: int) -> list[Judgment]:
    """The judgments of one half of the queries, or of some of that half drawn by chance."""
    texts = sorted({j.query for j in judgments if is_development(j.query) == (part == "development")})
    if queries is not None and queries < len(texts):
        texts = random.Random(seed).sample(texts, queries)
    chosen = set(texts)
    return [j for j in judgments if j.query in chosen]


def search_benchmark(settings: Settings, data: Path, *, part: Part, queries: int | None) -> dict[str, Any]:
    """Load the titles into a Neo4j of its own, encode them, and search in every variant."""
    everything = list(read_judgments(member(data, "judgments.jsonl")))
    judgments = part_of(everything, part, queries=queries, seed=settings.seed)
    products = json_rows(
        member(data, "products.jsonl"),
        lambda row: ProductRecord(sku=str(row["product_uid"]), title=row["title"]),
        '{"product_uid": 1, "title": "Cordless drill"}',
    )
    with own_graph(settings, "search") as store:
        intake.load_products(store, products, document_of=corpus.product_document)
        spec = ExtractorSpec(
            vocabulary.load(settings.vocabulary),
            encoder=settings.encoder,
            device=settings.device,
            exact=jobs.exact_in(settings),
        )
        # Only the vectors are asked of the texts here: titles alone state next to nothing that they do not spell out.
        with Workers(spec, settings.workers or 1) as workers:
            jobs.encode_products(store, workers, jobs.encoder_of(settings).fingerprint)
        rows = {}
        for name, ways in VARIANTS.items():
            total = len({j.query for j in judgments})
            with progress_bar(f"Searching, {name}", unit="queries", total=total) as advance:
                rows[name] = evaluate_search(store, settings, judgments, ways=ways, progress=advance)
    return {"part": part, "rows": rows}
