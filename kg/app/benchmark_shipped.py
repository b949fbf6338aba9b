"""``kg benchmark extraction-shipped``: whether the head that ships with the project is of use beside the rules.

It was trained on composed sentences alone (:mod:`extraction.composed`), so everything here is foreign to it: the
sentences of ASTE-Data-V2's development parts, and the bundled shop's reviews, whose truths are known.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from extraction import corpus, language
from extraction.benchmarks import MarkedSentence, Triplet, read_sentences
from extraction.clauses import word_votes
from extraction.evaluation import score_triplets, triplet_calibration_errors
from extraction.lexicon_triplets import added, lexicon_triplets, parsed_triplets
from extraction.mentions import Lexicon
from extraction.opinions import OpinionRules
from extraction.pipeline import Extractor
from extraction.shipping import SHIPPED
from extraction.training import Heads
from extraction.triplets import TripletModel
from kg import vocabulary
from kg.app.jobs import encoder_of
from kg.app.shop import ShopTruth, write_shop
from kg.errors import BenchmarkError
from kg.graph import Document
from kg.settings import Settings

GOLD: Final = ("14lap/dev", "14res/dev", "15res/dev")
"""Parts of ASTE-V2 to choose on; test parts are looked at by nothing here."""
FITTED: Final = (("14lap",), ("14res", "15res"), ("14lap", "14res", "15res"))
"""Sets whose training parts calibrations are fitted on: laptops, restaurants, and both."""
SHOP_SEEDS: Final = (7, 8)
"""That of `make demo`, and another: other reviewers, other clauses put together."""


def shipped_model(settings: Settings) -> TripletModel:
    """The head that ships.

    Raises:
        BenchmarkError: it was trained on another encoder than is set.
    """
    heads = Heads.load(SHIPPED, encoder_of(settings))
    if heads.triplets is None:
        raise BenchmarkError(f"No head of opinions lies in {SHIPPED}. Make it: make adapters.")
    return heads.triplets


def on_sentences(settings: Settings, data: Path, model: TripletModel) -> Iterator[dict[str, Any]]:
    """Precision, recall and F1 of exact triplets on real sentences."""
    known = vocabulary.load(settings.vocabulary)
    gold = {name: list(read_sentences(data / f"{name}_triplets.txt")) for name in GOLD}
    words = {name: [s.tokens for s in sentences] for name, sentences in gold.items()}
    nlp = language.load()
    rules = OpinionRules(known, Lexicon(), nlp)
    nearest = {name: lexicon_triplets(some, word_votes(known), nlp) for name, some in words.items()}
    parsed = {name: parsed_triplets(some, rules, nlp) for name, some in words.items()}
    read = {name: [one.triplets for one in model.read(some)] for name, some in words.items()}
    learned = {name: [[t.triplet for t in one] for one in some] for name, some in read.items()}
    yield _row("lexicon, nearest noun", gold, nearest)
    yield _row("rules", gold, parsed)
    exact, fact = (round(error, 3) for error in triplet_calibration_errors(gold, read))
    yield _row("shipped head", gold, learned) | {"calibration_error": exact, "calibration_error_facts": fact}
    for title, alone in (("lexicon, nearest noun, and head", nearest), ("rules and head", parsed)):
        joined = {n: [added(a, b) for a, b in zip(alone[n], learned[n], strict=True)] for n in gold}
        yield _row(title, gold, joined)


def calibrations(data: Path, model: TripletModel) -> Iterator[dict[str, Any]]:
    """Log-odds to confidence as real sentences ask for it: what :data:`extraction.shipping.EXACT` and ``FACT`` round.

    The parts that :func:`on_sentences` measures are not looked at. One domain's calibration beside the other's says how
    much of it is of the domain.
    """
    for sets in FITTED:
        marked = [s for name in sets for s in read_sentences(data / name / "train_triplets.txt")]
        exact, fact = model.calibrations(marked)
        yield {
            "fitted_on": ", ".join(sets),
            "sentences": len(marked),
            **{f"exact_{n}": round(x, 2) for n, x in asdict(exact).items()},
            **{f"fact_{n}": round(x, 2) for n, x in asdict(fact).items()},
        }


def on_shop(settings: Settings, model: TripletModel, seed: int) -> Iterator[dict[str, Any]]:
    """Planted opinions found in the reviews of a bundled shop, and the share of what was found that a review says."""
    known = vocabulary.load(settings.vocabulary)
    encoder = encoder_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        truth = write_shop(Path(folder), seed=seed)
        products = list(corpus.read_products(Path(folder) / "products.jsonl", rejects=_none))
        reviews = list(corpus.read_reviews(Path(folder) / "reviews.jsonl", rejects=_none))
    documents = [corpus.review_document(r) for r in reviews]
    lexicon = Lexicon.of_products(products)
    for title, heads in (("rules", Heads()), ("rules and shipped head", Heads(triplets=model, version="shipped"))):
        found = _opinions(Extractor(known, lexicon, encoder, heads=heads), documents)
        yield {"shop": seed, "model": title, **_compared(found, truth)}


def _opinions(extractor: Extractor, documents: Sequence[Document]) -> set[tuple[str, str, str]]:
    """Review, aspect and sentiment of everything that the extractor reads."""
    names = {"PRAISED_FOR": "praised", "CRITICISED_FOR": "criticised"}
    return {
        (document.id, r.end.key, names[r.type])
        for document, extraction in zip(documents, extractor.extract_all(documents), strict=True)
        for r in extraction.graph.relationships
        if r.type in names
    }


def _compared(found: set[tuple[str, str, str]], truth: ShopTruth) -> dict[str, Any]:
    stated = {(f"review:{m.review}", m.aspect, m.sentiment) for m in truth.mentions}
    sku = {f"review:{m.review}": m.sku for m in truth.mentions}
    of_products = {(sku[document], aspect, said) for document, aspect, said in found if document in sku}
    planted = {(o.sku, o.aspect, o.sentiment) for o in truth.opinions}
    right = len(found & stated)
    return {
        "precision": round(right / max(1, len(found)), 3),
        "recall": round(right / len(stated), 3),
        "planted": len(planted),
        "planted_found": len(planted & of_products),
    }


def _row(
    title: str, gold: Mapping[str, Sequence[MarkedSentence]], found: Mapping[str, Sequence[Sequence[Triplet]]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": title, "calibration_error": None, "calibration_error_facts": None}
    for name in gold:
        total = score_triplets(gold[name], found[name]).total
        row[name] = " / ".join(f"{100 * x:.1f}" for x in (total.precision, total.recall, total.f1))
    return row


def _none(reject: object) -> None:
    """The bundled shop has no bad rows."""
