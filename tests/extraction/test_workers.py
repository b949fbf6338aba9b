"""Two processes find what one finds, in the same order; one that dies is an error with a way out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from extraction.pipeline import Extractor
from extraction.workers import ExtractorSpec, Workers, return_memory
from kg.errors import ExtractionError
from kg.graph import Document, DocumentKind, Extraction
from kg.vocabulary import Vocabulary
from tests.extraction.conftest import CAMERAS

TEXTS = (
    "The battery fits the X100. It is light.",
    "Does not fit the X200.",
    "Great sound, flimsy case. Better than my Lumo X200.",
    "",
    "The strap is comfortable and the leather is soft.",
)
REVIEWS = [Document(f"review:{n}", DocumentKind.REVIEW, text, "LB7") for n, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def spec(vocabulary: Vocabulary) -> ExtractorSpec:
    return ExtractorSpec(vocabulary, CAMERAS, device="cpu")


@pytest.fixture(scope="module")
def pair(spec: ExtractorSpec) -> Iterator[Workers]:
    with Workers(spec, 2) as workers:
        yield workers


def said(extraction: Extraction) -> tuple[object, ...]:
    """All but the time, which is each process's own."""
    places = [(e.start, e.end, e.quote, e.confidence, e.fact) for e in extraction.graph.evidence]
    return extraction.document, extraction.graph.relationships, places, extraction.rejected


def test_two_workers_say_what_one_says_in_order(pair: Workers, extractor: Extractor) -> None:
    batches = [[review] for review in REVIEWS] * 3
    answers = list(pair.extract(batches))
    assert [batch for batch, _ in answers] == batches
    expected = [said(e) for e in extractor.extract_all(REVIEWS)] * 3
    assert [said(e) for _, (e,) in answers] == expected


def test_vectors_come_back_in_order_too(pair: Workers, extractor: Extractor) -> None:
    texts = [["a camera"], ["a strap", "a guitar"], ["a tripod"]]
    for (batch, vectors), asked in zip(pair.encode(texts), texts, strict=True):
        assert batch == asked
        assert vectors == pytest.approx(extractor.encoder.encode(asked), abs=1e-4)


def test_one_worker_is_this_process(spec: ExtractorSpec, extractor: Extractor) -> None:
    with Workers(spec) as workers:
        ((_, (first,)),) = workers.extract([REVIEWS[:1]])
        assert said(first) == said(extractor.extract(REVIEWS[0]))
        ((_, vectors),) = workers.encode([["a camera"]])
        assert np.linalg.norm(vectors[0]) == pytest.approx(1.0, abs=1e-4)


def test_the_version_is_known_without_building(spec: ExtractorSpec, extractor: Extractor) -> None:
    assert spec.version == extractor.version


def test_a_killed_worker_is_an_error_that_says_what_to_do(spec: ExtractorSpec) -> None:
    def batches() -> Iterator[list[Document]]:
        yield REVIEWS
        processes = list(workers._pool._processes)  # type: ignore[union-attr]
        # Both were started at once: one that starts while the other dies would be waited for for ever.
        assert len(processes) == 2
        os.kill(processes[0], signal.SIGKILL)
        for _ in range(50):
            yield REVIEWS

    with Workers(spec, 2) as workers, pytest.raises(ExtractionError, match="KG_WORKERS=1"):
        list(workers.extract(batches()))


def test_returning_memory_changes_nothing_else() -> None:
    kept = np.ones(1_000_000)
    return_memory()
    assert kept.sum() == 1_000_000
