"""Two processes find what one finds, in the same order; one that dies is an error with a way out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from extraction.pipeline import Extractor
from extraction.shipping import SHIPPED
from extraction.training import Heads
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


def test_what_is_asked_to_be_exact_is_what_a_processor_without_bf16_computes(
    spec: ExtractorSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_head = replace(spec, heads=SHIPPED)
    words = [text.split() for text in TEXTS if text]

    def computed(spec: ExtractorSpec, *, has_bf16: bool) -> tuple[np.ndarray, np.ndarray]:
        for module in ("encoder", "adapters"):
            monkeypatch.setattr(f"extraction.{module}.computes_bf16", lambda: has_bf16)
        extractor = spec.build()
        reader = Heads.load(SHIPPED, extractor.encoder).triplets
        assert reader is not None
        sure = [found.confidence for one in reader.read(words) for found in one.triplets]
        return extractor.encoder.encode(TEXTS), np.array(sure)

    plain = computed(with_head, has_bf16=False)
    exact = computed(replace(with_head, exact=True), has_bf16=True)
    fast = computed(with_head, has_bf16=True)
    assert len(plain[1])
    for a, b, c in zip(plain, exact, fast, strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


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
