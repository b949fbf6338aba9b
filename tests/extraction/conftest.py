"""The models, loaded once for the whole run, and a small photographer's shop whose texts are written in the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from extraction.benchmarks import MarkedProduct, MarkedSentence, Triplet
from extraction.encoder import Encoder
from extraction.mentions import Lexicon, ProductEntry
from extraction.pipeline import Extractor
from kg.graph import Document, DocumentKind, Extraction
from kg.vocabulary import Vocabulary, load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

CAMERAS = Lexicon(
    brands={"lumo": "Lumo", "ashdown": "Ashdown", "birch": "Birch"},
    categories=("Photo > Cameras", "Photo > Batteries", "Photo > Straps", "Music > Guitars"),
    products={
        "X100": ProductEntry("Lumo X100 mirrorless camera", "lumo", "Photo > Cameras"),
        "X200": ProductEntry("Lumo X200 mirrorless camera", "lumo", "Photo > Cameras"),
        "LB7": ProductEntry("Lumo LB-7 battery for X100", "lumo", "Photo > Batteries"),
        "LB9": ProductEntry("Lumo LB-9 battery, twin pack", "lumo", "Photo > Batteries"),
        "S1": ProductEntry("Birch leather camera strap", "birch", "Photo > Straps"),
        "G1": ProductEntry("Ashdown S-200 electric guitar", "ashdown", "Music > Guitars"),
        "SPK": ProductEntry("Ashdown Spark practice amplifier", "ashdown"),
        "R3C": ProductEntry("Birch Ridge 3 carbon tripod", "birch"),
        "R3A": ProductEntry("Birch Ridge 3 aluminium tripod", "birch"),
    },
)
"""Two cameras, their batteries, a strap, two tripods of one line; a guitar and an amplifier that stray in."""


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return load()


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    torch.set_num_threads(1)
    return Encoder(device="cpu")


@pytest.fixture(scope="session")
def extractor(vocabulary: Vocabulary, encoder: Encoder) -> Extractor:
    """An extractor of the photographer's shop, with the clock stopped."""
    return Extractor(vocabulary, CAMERAS, encoder, clock=lambda: NOW)


Read = Callable[..., Extraction]


@pytest.fixture(scope="session")
def read_product(extractor: Extractor) -> Read:
    """Extract from a product with this title and description."""

    def read(title: str, description: str = "", *, sku: str = "NEW") -> Extraction:
        text = f"{title}\n\n{description}" if description else title
        return extractor.extract(Document(f"product:{sku}", DocumentKind.PRODUCT, text, sku, len(title)))

    return read


@pytest.fixture(scope="session")
def read_review(extractor: Extractor) -> Read:
    """Extract from a review of a product."""

    def read(text: str, *, sku: str = "X100") -> Extraction:
        return extractor.extract(Document("review:1", DocumentKind.REVIEW, text, sku))

    return read


def facts(extraction: Extraction, *types: str) -> set[tuple[str, str]]:
    """Type and end of every relationship, of these types or of all."""
    return {(r.type, r.end.key) for r in extraction.graph.relationships if not types or r.type in types}


def reasons(extraction: Extraction) -> set[tuple[str, str]]:
    """Reason and detail of everything dropped."""
    return {(r.reason, r.detail) for r in extraction.rejected}


def quotes(extraction: Extraction, key: str) -> list[str]:
    """What the evidence for a thing quotes."""
    return [e.quote for e in extraction.graph.evidence if e.mentions is not None and e.mentions.key == key]


BRANDS = ("SEAFOX", "KINGFISH", "TROUTER", "BASSO", "PIKELORD", "CARPER")
COLOURS = ("red", "green", "blue", "silver")


def spoken() -> list[MarkedSentence]:
    """The sound is great , the strap is poor . and the like."""
    found = []
    for noun in ("sound", "strap", "screen"):
        for other in ("sound", "strap", "screen"):
            for first, second in (("great", "poor"), ("poor", "great")):
                tokens = ("the", noun, "is", first, ",", second, other, ".")
                sentiments = {"great": "POS", "poor": "NEG"}
                triplets = (Triplet((1,), (3,), sentiments[first]), Triplet((6,), (5,), sentiments[second]))
                found.append(MarkedSentence(tokens, triplets))
    return found


def lures(count: int, *, first: int = 0) -> list[MarkedProduct]:
    """Titles such as ``SEAFOX lure 40mm red``; every fourth has no colour."""
    found = []
    for n in range(first, first + count):
        brand, colour, size = BRANDS[n % len(BRANDS)], COLOURS[n % 4], f"{10 + n}mm"
        has_colour = n % 4 != 3
        title = f"{brand} lure {size}" + (f" {colour}" if has_colour else "")
        targets = {"Brand": (brand,), "Size": (size,), "Colour": (colour,) if has_colour else ()}
        found.append(MarkedProduct(title, "", "Lure", targets))
    return found


def as_file(path: Path, products: Sequence[MarkedProduct]) -> Path:
    """A file in AE-110K's format."""
    with path.open("w", encoding="utf-8") as file:
        for p in products:
            targets = {a: dict.fromkeys(values or ("n/a",), 1) for a, values in p.targets.items()}
            file.write(json.dumps({"input": p.title, "category": p.category, "target_scores": targets}) + "\n")
    return path
