"""``kg benchmark extraction-speed`` and ``extraction-length``: how long the whole extractor takes, with all heads here.

Of speed: titles come with their categories, so that the head of attribute values, if this
home has one of such titles, is asked for all attributes known there. Reviews are
cut to 60 words. Processes and models are started before the clock is.

Of length: one text, longer and longer, of what shops get and of what is made to break readers. Time is linear
where the milliseconds for a thousand characters stay level.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from extraction import corpus
from extraction.benchmarks import read_products
from extraction.mentions import Lexicon, ProductEntry
from extraction.training import Heads
from extraction.workers import ExtractorSpec, Workers
from kg import vocabulary
from kg.app.jobs import MOST_WORKERS, PAGE, encoder_of, exact_in, heads_folder, shipped_folder
from kg.app.shop import write_shop
from kg.errors import BenchmarkError
from kg.graph import Document, DocumentKind
from kg.settings import Settings

REVIEW_WORDS: Final = 60
WARM: Final = 64
"""Texts of each kind that every process reads before the clock starts."""
LENGTHS: Final = (1_000, 4_000, 16_000, 64_000, 200_000)
"""Characters. The extractor reads no more of a text than the greatest of them."""
HOSTILE: Final = {
    "one word": "a",
    "digits": "10 x ",
    "brackets": "(",
    "no punctuation": "great sound but not loud ",
    "negations": "no not never n't ",
    "names": "fits the X100 not the X200 ",
    "marks": "<b>&lt;i&gt;",
}
"""What is repeated until a text has its length."""


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
    spec, heads = _extractor(settings, Lexicon(products=products))
    count = settings.workers or min(MOST_WORKERS, os.cpu_count() or 1)
    figures: dict[str, Any] = {"processes": count, "heads": heads}
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


def extraction_length(settings: Settings, *, lengths: Sequence[int] = LENGTHS) -> list[dict[str, Any]]:
    """Milliseconds for a thousand characters of one text in one process, a row for each kind of text.

    The first kind is reviews of bundled shops one after the other, all different; the others are :data:`HOSTILE`. Each
    is read as a review comes in: marks are resolved, then it is extracted.
    """
    reviews = _shop_reviews(max(lengths))
    spec, _ = _extractor(settings, Lexicon(products={"p": ProductEntry("Lumo X100", "Lumo", "Cameras")}))
    rows = []
    with Workers(spec) as workers:
        _read(workers, [[_review(reviews[-20_000:])]])
        for kind, unit in {"reviews": reviews, **HOSTILE}.items():
            row: dict[str, Any] = {"text": kind}
            for length in sorted(lengths):
                text = (unit * (length // len(unit) + 1))[:length]
                started = time.process_time()
                _read(workers, [[_review(text)]])
                row[f"{length} characters"] = round(1e6 * (time.process_time() - started) / length, 2)
            rows.append(row)
    return rows


def _shop_reviews(characters: int) -> str:
    """At least so many, each review once."""
    said: dict[str, None] = {}
    seed = 7
    while sum(map(len, said)) < characters:
        with tempfile.TemporaryDirectory() as folder:
            write_shop(Path(folder), seed=seed)
            lines = (Path(folder) / "reviews.jsonl").read_bytes().splitlines()
        said.update(dict.fromkeys(orjson.loads(line)["text"] for line in lines))
        seed += 1
    return " ".join(said) + " "


def _review(text: str) -> Document:
    return Document("review:r", DocumentKind.REVIEW, corpus.clean_text(text), "p")


def _extractor(settings: Settings, lexicon: Lexicon) -> tuple[ExtractorSpec, str]:
    """With all heads of this home, and what these are."""
    folder, shipped = heads_folder(settings), shipped_folder(settings)
    spec = ExtractorSpec(
        vocabulary.load(settings.vocabulary),
        lexicon,
        settings.encoder,
        settings.device,
        folder,
        shipped,
        exact_in(settings),
    )
    return spec, Heads.version_in(folder, encoder_of(settings), shipped) or "none: rules and encoder"


def _read(workers: Workers, batches: Iterable[Sequence[Document]]) -> int:
    """Relationships found in all."""
    return sum(len(e.graph.relationships) for _, found in workers.extract(batches) for e in found)


def _long_reviews(file: Path) -> Iterator[str]:
    for record in corpus.read_reviews(file, format="amazon", rejects=lambda _: None):
        words = record.text.split()
        if len(words) >= REVIEW_WORDS:
            yield " ".join(words[:REVIEW_WORDS])
