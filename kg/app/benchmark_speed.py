"""``kg benchmark extraction-speed``: texts a second through the whole extractor, with all heads of this home.

Titles come with their categories, so that the head of attribute values, if this
home has one of such titles, is asked for all attributes known there. Reviews are
cut to 60 words. Processes and models are started before the clock is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from extraction import corpus
from extraction.benchmarks import read_products
from extraction.encoder import Encoder
from extraction.mentions import Lexicon, ProductEntry
from extraction.training import Heads
from extraction.workers import ExtractorSpec, Workers
from kg import vocabulary
from kg.app.jobs import MOST_WORKERS, PAGE, heads_folder, shipped_folder
from kg.errors import BenchmarkError
from kg.graph import Document, DocumentKind
from kg.settings import Settings

REVIEW_WORDS: Final = 60
WARM: Final = 64
"""Texts of each kind that every process reads before the clock starts."""


def extraction_speed(settings: Settings, data: Path, *, texts: int) -> dict[str, Any]:
    """Titles of AE-110K and reviews of Amazon Musical Instruments a second.

    Raises:
        BenchmarkError: a file holds no texts.
    """
    titles, reviews = data / "ae110k" / "train.jsonl", data / "musical_instruments" / "reviews.jsonl.gz"
    marked = list(islice(read_products(titles, "ae"), texts))
    products = {f"p{n}": ProductEntry(p.title, category=p.category) for n, p in enumerate(marked)}
    said = list(islice(_long_reviews(reviews), texts))
    if not products or not said:
        raise BenchmarkError(f"No titles in {titles}, or no reviews of {REVIEW_WORDS} words in {reviews}.")
    documents = {
        "titles": [
            Document(f"product:{sku}", DocumentKind.PRODUCT, p.title, sku, len(p.title)) for sku, p in products.items()
        ],
        "reviews": [
            Document(f"review:{n}", DocumentKind.REVIEW, text, f"p{n % len(products)}") for n, text in enumerate(said)
        ],
    }
    folder, shipped = heads_folder(settings), shipped_folder(settings)
    spec = ExtractorSpec(
        vocabulary.load(settings.vocabulary),
        Lexicon(products=products),
        settings.encoder,
        settings.device,
        folder,
        shipped,
    )
    heads = Heads.version_in(folder, Encoder(settings.encoder), shipped)
    count = settings.workers or min(MOST_WORKERS, os.cpu_count() or 1)
    figures: dict[str, Any] = {"processes": count, "heads": heads or "none: rules and encoder"}
    with Workers(spec, count) as workers:
        _read(workers, [some[:WARM] for some in documents.values() for _ in range(count)])
        for kind, some in documents.items():
            # Pages as `kg extract` has them, but no process waits for the last.
            page = min(PAGE, -(-len(some) // (2 * count)))
            started = time.perf_counter()
            facts = _read(workers, [some[i : i + page] for i in range(0, len(some), page)])
            figures[kind] = len(some)
            figures[f"{kind}_facts"] = facts
            figures[f"{kind}_per_second"] = round(len(some) / (time.perf_counter() - started), 1)
    return figures


def _read(workers: Workers, batches: Iterable[Sequence[Document]]) -> int:
    """Relationships found in all."""
    return sum(len(e.graph.relationships) for _, found in workers.extract(batches) for e in found)


def _long_reviews(file: Path) -> Iterator[str]:
    for record in corpus.read_reviews(file, format="amazon", rejects=lambda _: None):
        words = record.text.split()
        if len(words) >= REVIEW_WORDS:
            yield " ".join(words[:REVIEW_WORDS])
