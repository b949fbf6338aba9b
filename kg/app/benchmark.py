"""Benchmarks: each measures one thing beside its simplest alternative, in the same run.

Timings on shared machines are noisy; what can be trusted is the ratio of two
figures of one run. Synthetic data go into a Neo4j of their own, started for the
purpose and removed afterwards: never into somebody's graph.
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import yaml

from extraction import corpus
from extraction.benchmarks import MarkedSentence, Triplet, read_sentences
from kg import intake, localdb, vocabulary
from kg.app import jobs
from kg.app.session import stage_bar
from kg.errors import BenchmarkError
from kg.migrations import migrate
from kg.records import EventRecord, ProductRecord
from kg.settings import Settings
from kg.store import GraphStore

NAIVE_ROWS = 500
"""Rows for the row-by-row load: enough to measure a rate, few enough to wait for."""


def own_home(settings: Settings, name: str) -> Path:
    """Where a benchmark has a Neo4j of its own.

    Raises:
        BenchmarkError: ``NEO4J_URI`` says that somebody's Neo4j is to be used.
    """
    if not settings.runs_local_database:
        raise BenchmarkError(
            "NEO4J_URI is set, and a benchmark writes synthetic data. Unset it: the benchmark starts its own Neo4j."
        )
    return settings.home / "benchmark" / name


@contextmanager
def own_graph(settings: Settings, name: str) -> Iterator[GraphStore]:
    """An empty graph in a Neo4j of its own, gone afterwards."""
    home = own_home(settings, name)
    shutil.rmtree(home, ignore_errors=True)
    connection = localdb.start(home, heap_mb=settings.heap_mb, page_cache_mb=settings.page_cache_mb, java=settings.java)
    try:
        with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
            migrate(store)
            yield store
    finally:
        localdb.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def load_speed(settings: Settings, *, products: int, events: int) -> dict[str, Any]:
    """Rows a second through :mod:`kg.intake` and row by row, after a warm-up of both.

    Products come with a text, one of 300 brands and one of 200 shelves; events fall on users and
    products unevenly, as they do in shops (squared and cubed uniform draws).
    """
    rng = random.Random(settings.seed)
    catalogue = list(_products(products))
    happened = list(_events(events, products, rng))
    with own_graph(settings, "load") as store:
        _warm_up(lambda n: _load_products(store, [_renamed(p, f"warm-{n}") for p in catalogue]))
        rates = {"products": _rate(len(catalogue), lambda: _load_products(store, catalogue))}
        _warm_up(lambda n: _load_events(store, [replace(e, user=f"warm-{n}-{e.user}") for e in happened]))
        rates |= {
            "events": _rate(events, lambda: _load_events(store, happened)),
            "events_again": _rate(events, lambda: _load_events(store, happened)),
        }
        counted = store.read(
            "MATCH (u:User)-[r]->(:Product) WHERE NOT u.id STARTS WITH 'warm-' RETURN sum(size(r.events)) AS n"
        )[0]["n"]
        if counted != len({(e.user, e.sku, e.type, e.at, e.value) for e in happened}):
            raise BenchmarkError(f"{counted} events are in the graph after the load; the benchmark is wrong.")
        few_products = [_renamed(p, "naive") for p in catalogue[:NAIVE_ROWS]]
        few_events = happened[:NAIVE_ROWS]
        naive = {
            "products": _rate(len(few_products), lambda: _naive_products(store, few_products)),
            "events": _rate(len(few_events), lambda: _naive_events(store, few_events)),
        }
    return {
        "products_per_second": round(rates["products"]),
        "events_per_second": round(rates["events"]),
        "events_again_per_second": round(rates["events_again"]),
        "naive_products_per_second": round(naive["products"]),
        "naive_events_per_second": round(naive["events"]),
        "products_ratio": round(rates["products"] / naive["products"], 1),
        "events_ratio": round(rates["events"] / naive["events"], 1),
    }


def brand_recovery(
    settings: Settings, products: Path, *, format: Literal["native", "amazon"], folds: int
) -> dict[str, Any]:
    """Hide each fold's brands in turn, and read them in every way; see :func:`extraction.evaluation.brand_recovery`."""
    from extraction import evaluation, language  # spaCy takes seconds to import

    records = list(corpus.read_products(products, format=format, rejects=lambda _: None))
    started = time.perf_counter()
    common = language.lemma_index() | vocabulary.load(settings.vocabulary).words()
    found = evaluation.brand_recovery(records, common=common, folds=folds, seed=settings.seed)
    seconds = time.perf_counter() - started
    others = {
        name: evaluation.brand_recovery(records, common=common, folds=folds, seed=settings.seed, method=method)
        for name, method in evaluation.BRAND_METHODS.items()
        if name != "whole"
    }
    return {
        "products": found.products,
        "stated": found.stated,
        "found": found.found,
        "recall": round(found.recall, 4),
        "precision": round(found.precision, 4),
        "precision_all": round(found.precision_all, 4),
        "f1": round(found.f1, 4),
        "seconds": round(seconds, 1),
        "beside": {
            name: {"recall": round(r.recall, 4), "precision": round(r.precision, 4), "f1": round(r.f1, 4)}
            for name, r in others.items()
        },
    }


TRIPLET_GOLD = ("14res/test", "14lap/dev", "15res/dev")
"""Parts of ASTE-V2 that are measured; 14lap and 15res come without a test part."""


def extraction_triplets(settings: Settings, data: Path) -> dict[str, Any]:
    """Train on all training parts of ASTE-V2 as one, and score the parts of :data:`TRIPLET_GOLD`.

    Sentences that also stand in a part that is measured are left out of training, whichever set they are marked in.
    Beside the model: the same head on the encoder as it is, and a sentiment lexicon with the nearest noun.
    """
    from extraction import language
    from extraction.clauses import word_votes
    from extraction.evaluation import triplet_calibration_errors
    from extraction.lexicon_triplets import lexicon_triplets
    from extraction.triplets import Recipe, TripletModel, once

    gold = {name: list(read_sentences(data / f"{name}_triplets.txt")) for name in TRIPLET_GOLD}
    sets = [name.partition("/")[0] for name in TRIPLET_GOLD]
    marked = [s for name in sets for s in read_sentences(data / name / "train_triplets.txt")]
    measured = {" ".join(s.tokens).casefold() for sentences in gold.values() for s in sentences}
    learned = [s for s in marked if " ".join(s.tokens).casefold() not in measured]
    votes = word_votes(vocabulary.load(settings.vocabulary))
    words = {name: [s.tokens for s in sentences] for name, sentences in gold.items()}
    by_lexicon = {name: lexicon_triplets(words[name], votes, language.load()) for name in gold}
    rows = [_triplet_row("lexicon, nearest noun", gold, by_lexicon)]
    for title, recipe in (
        ("head alone, encoder as it is", Recipe(rank=0, first_layer=5, seed=settings.seed)),
        ("adapter and head", Recipe(seed=settings.seed)),
    ):
        started = time.perf_counter()
        model = TripletModel.train(learned, settings.encoder, recipe=recipe, device=settings.device)
        seconds = round(time.perf_counter() - started)
        read = {name: [one.triplets for one in model.read(words[name])] for name in gold}
        found = {name: [[t.triplet for t in one] for one in answers] for name, answers in read.items()}
        errors = triplet_calibration_errors(gold, read)
        rows.append(_triplet_row(title, gold, found, calibration_errors=errors, training_seconds=seconds))
    return {
        "seed": settings.seed,
        "read": len(marked),
        "left_out": len(marked) - len(learned),
        "distinct": len(once(learned)),
        "rows": rows,
    }


def _triplet_row(
    title: str,
    gold: Mapping[str, Sequence[MarkedSentence]],
    found: Mapping[str, Sequence[Sequence[Triplet]]],
    *,
    calibration_errors: tuple[float | None, float | None] = (None, None),
    training_seconds: int | None = None,
) -> dict[str, Any]:
    from extraction.evaluation import score_triplets

    scores = {name: round(100 * score_triplets(gold[name], found[name]).total.f1, 1) for name in gold}
    exact, fact = (e if e is None else round(e, 3) for e in calibration_errors)
    errors = {"calibration_error": exact, "calibration_error_facts": fact}
    return {"model": title, **scores, **errors, "training_seconds": training_seconds}


def extraction_values(
    settings: Settings,
    data: Path,
    *,
    sets: Sequence[str],
    variants: Sequence[str],
    epochs: int | None,
    parts: int,
    descriptions: Path | None = None,
) -> Iterator[dict[str, Any]]:
    """The lines of the table of learned attribute values; see :mod:`extraction.valuebench`.

    Raises:
        BenchmarkError: the file of descriptions is not one of names with a sentence each.
    """
    from extraction import valuebench  # torch takes seconds to import
    from extraction.values import Recipe

    encoder = jobs.encoder_of(settings)
    known = vocabulary.load(settings.vocabulary)
    described = None if descriptions is None else _descriptions(descriptions)
    recipe = Recipe(seed=settings.seed)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    for together in valuebench.splits(data, sets, parts=parts):
        yield valuebench.rules_alone(together, known)
        for variant in valuebench.variants(together, variants):
            with stage_bar() as progress:
                yield valuebench.measure(together, variant, encoder, known, recipe, progress, described)


def _descriptions(path: Path) -> dict[str, str]:
    try:
        read = yaml.safe_load(path.read_bytes())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BenchmarkError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(read, dict) or not all(isinstance(x, str) for pair in read.items() for x in pair):
        raise BenchmarkError(f"{path}: expected names of attributes, each with a sentence that describes it.")
    return read


def _products(count: int) -> Iterator[ProductRecord]:
    for n in range(count):
        yield ProductRecord(
            sku=f"p{n}",
            title=f"Product number {n} of the benchmark",
            description="A sentence that says little about it, but has the length of one. " * 4,
            price=float(n % 500),
            currency="EUR",
            brand=f"Brand {n % 300}",
            categories=((f"Department {n % 5}", f"Shelf {n % 20}", f"Board {n % 200}"),),
        )


def _events(count: int, products: int, rng: random.Random) -> Iterator[EventRecord]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    users = max(1, count // 12)
    for n in range(count):
        yield EventRecord(
            user=f"u{int(rng.random() ** 2 * users)}",
            sku=f"p{int(rng.random() ** 3 * products)}",
            type=rng.choices(("viewed", "carted", "bought", "rated"), (6, 2, 1, 1))[0],
            value=float(rng.randint(1, 5)),
            at=start + timedelta(seconds=37 * n),
        )


def _load_products(store: GraphStore, records: list[ProductRecord]) -> None:
    intake.load_products(store, records, document_of=corpus.product_document)


def _load_events(store: GraphStore, records: list[EventRecord]) -> None:
    intake.load_events(store, records, refuse=_refuse, pseudonym=lambda user: user)


def _refuse(record: object, reason: str) -> None:
    raise BenchmarkError(f"{record}: {reason}")


def _renamed(p: ProductRecord, prefix: str) -> ProductRecord:
    return ProductRecord(
        sku=f"{prefix} {p.sku}",
        title=p.title,
        description=p.description,
        price=p.price,
        brand=p.brand,
        categories=p.categories,
    )


def _naive_products(store: GraphStore, records: list[ProductRecord]) -> None:
    """As a first script would do it: a transaction for each product."""
    for p in records:
        store.write(
            "MERGE (p:Product {sku: $sku}) SET p.title = $title, p.description = $description, p.price = $price, "
            "p.active = true "
            "MERGE (b:Brand {key: $brand}) SET b.name = $brand MERGE (p)-[:MADE_BY {source: 'catalogue'}]->(b) "
            "MERGE (c:Category {path: $path}) SET c.name = $path MERGE (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c) "
            "MERGE (d:Document {id: $sku}) SET d.text = $description MERGE (p)-[:HAS_TEXT]->(d)",
            sku=p.sku,
            title=p.title,
            description=p.description,
            price=p.price,
            brand=p.brand,
            path=" > ".join(p.categories[0]),
        )


def _naive_events(store: GraphStore, records: list[EventRecord]) -> None:
    for e in records:
        store.write(
            f"MERGE (u:User {{id: $user}}) WITH u MATCH (p:Product {{sku: $sku}}) MERGE (u)-[r:{e.type.upper()}]->(p) "
            "SET r.naive_count = coalesce(r.naive_count, 0) + 1, r.naive_at = $at",
            user=e.user,
            sku=e.sku,
            at=e.at,
        )


def _warm_up(work: Callable[[int], None], rounds: int = 4) -> None:
    """Do the n-th round of ``work`` until one is no faster than the one before by a tenth.

    Neo4j's Java compiles what runs often: its rate doubles within the first 50,000 rows.
    """
    last = math.inf
    for n in range(rounds):
        started = time.perf_counter()
        work(n)
        taken = time.perf_counter() - started
        if taken > 0.9 * last:
            return
        last = taken


def _rate(rows: int, work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return rows / (time.perf_counter() - started)
