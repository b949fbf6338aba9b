"""How well attribute values are learned: the table of ``kg benchmark extraction-values``, on files of public sets.

Four sets, each trained and tested as far apart as it says:

``ae``          AE-110K: its training file, its test file
``surface``     WDC PAVE, values as the texts have them: a fifth of the clusters of offers held out
``normalised``  WDC PAVE, normalised values: the same clusters held out
``new``         attributes never seen, then categories never seen, of ``ae`` and of ``surface``: a fifth held out

Beside the whole stand what is left when a part is taken away, and the rules alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from extraction import language
from extraction.adapters import AdaptedEncoder
from extraction.benchmarks import MarkedProduct, read_products
from extraction.encoder import Encoder
from extraction.evaluation import calibration_error, score_values
from extraction.memory import Kin
from extraction.mentions import Lexicon
from extraction.rules import AttributeRules
from extraction.values import Recipe, ValueModel
from kg.vocabulary import Vocabulary

SETS: Final = ("ae", "surface", "normalised", "new")
SPLIT_SEED: Final = 0
"""Of the clusters that are held out."""
NEW_SEED: Final = 3
"""Of the attributes and categories that are held out."""
_WDC: Final = {"surface": "wdc_with_all_attributes", "normalised": "wdc_with_all_attributes_normalized"}

VARIANTS: Final[Mapping[str, Callable[[Recipe], Recipe]]] = {
    "whole": lambda r: r,
    "without memory": lambda r: replace(r, memory=False),
    "without adapter": lambda r: replace(r, rank=0),
    "memory alone": lambda r: r,
}


@dataclass(frozen=True, slots=True)
class Split:
    """What is learned from, and what is asked afterwards."""

    name: str
    training: tuple[MarkedProduct, ...]
    test: tuple[MarkedProduct, ...]
    attributes: frozenset[str] = frozenset()
    """Held-out attributes, where these are asked alone."""


def splits(data: Path, sets: Sequence[str]) -> Iterator[Split]:
    """The splits of these sets; ``data`` has folders ``ae110k`` and ``wdc_pave``."""
    ae, surface = None, None
    if {"ae", "new"} & set(sets):
        learned, asked = (tuple(read_products(data / "ae110k" / f"{n}.jsonl", "ae")) for n in ("train", "test"))
        ae = Split("ae", learned, asked)
    if {"surface", "new"} & set(sets):
        surface = _by_cluster("surface", data / "wdc_pave" / _WDC["surface"] / "train_large.jsonl")
    if ae and "ae" in sets:
        yield ae
    if surface and "surface" in sets:
        yield surface
    if "normalised" in sets:
        yield _by_cluster("normalised", data / "wdc_pave" / _WDC["normalised"] / "train_large.jsonl")
    if "new" in sets:
        for whole in (ae, surface):
            if whole:
                yield new_attributes(whole)
                yield new_categories(whole)


def _by_cluster(name: str, file: Path) -> Split:
    """A fifth of the clusters held out: offers of one product are all learned from or all asked."""
    products = list(read_products(file, "pave"))
    clusters = [str(orjson.loads(line).get("cluster_id")) for line in file.read_bytes().splitlines() if line.strip()]
    held = fifth(clusters, SPLIT_SEED)
    return Split(
        name,
        tuple(p for p, c in zip(products, clusters, strict=True) if c not in held),
        tuple(p for p, c in zip(products, clusters, strict=True) if c in held),
    )


def fifth(names: Iterable[str], seed: int) -> frozenset[str]:
    """A fifth of the distinct names, at least one, chosen by chance."""
    order = sorted(set(names))
    random.Random(seed).shuffle(order)
    return frozenset(order[: max(1, len(order) // 5)])


def new_attributes(split: Split) -> Split:
    """A fifth of the attributes is never learned, and they alone are asked, in the test's texts."""
    held = fifth((a for p in split.training for a in p.targets), NEW_SEED)
    training = _only(split.training, lambda a: a not in held)
    return Split(f"{split.name}, new attributes", training, _only(split.test, held.__contains__), held)


def new_categories(split: Split) -> Split:
    """No text of a fifth of the categories is learned from; all texts of these are asked."""
    held = fifth((p.category for p in split.training), NEW_SEED)
    return Split(
        f"{split.name}, new categories",
        tuple(p for p in split.training if p.category not in held),
        tuple(p for p in (*split.training, *split.test) if p.category in held),
    )


def _only(products: Iterable[MarkedProduct], wanted: Callable[[str], bool]) -> tuple[MarkedProduct, ...]:
    found = (replace(p, targets={a: v for a, v in p.targets.items() if wanted(a)}) for p in products)
    return tuple(p for p in found if p.targets)


def measure(
    split: Split, variant: str, encoder: Encoder, recipe: Recipe, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Learn and ask; the figures of one line of the table."""
    recipe = VARIANTS[variant](recipe)
    started, busy = time.perf_counter(), time.process_time()
    model = ValueModel.train(
        split.training,
        Kin(encoder.encode),
        None if variant == "memory alone" else lambda r: _adapted(encoder, r),
        recipe=recipe,
        progress=progress,
    )
    trained, worked = time.perf_counter() - started, time.process_time() - busy
    started = time.perf_counter()
    answers = model.answer(split.test)
    seconds = time.perf_counter() - started
    asked = _all_asked(model, split)
    every = score_values(asked, [{a: x.value for a, x in row.items()} for row in model.answer(asked)])
    score = score_values(split.test, [{a: x.value for a, x in row.items()} for row in answers])
    sure = [
        (answer.probability, answer.value in product.targets[attribute])
        for product, row in zip(split.test, answers, strict=True)
        for attribute, answer in row.items()
        if answer.value is not None
    ]
    return {
        "set": split.name,
        "variant": variant,
        "f1": round(100 * score.total.f1, 1),
        "precision": round(100 * score.total.precision, 1),
        "recall": round(100 * score.total.recall, 1),
        "f1_all_attributes": round(100 * every.total.f1, 1),
        "calibration_error": round(calibration_error(sure), 3),
        "training_seconds": round(trained),
        "training_processor_seconds": round(worked),
        "texts_per_second": round(len(split.test) / max(seconds, 1e-9)),
        "texts": len(split.test),
    }


def _adapted(encoder: Encoder, recipe: Recipe) -> AdaptedEncoder:
    return AdaptedEncoder(
        encoder.folder, device=encoder.device, rank=recipe.rank, first_layer=recipe.first_layer, seed=recipe.seed
    )


def _all_asked(model: ValueModel, split: Split) -> list[MarkedProduct]:
    """The test's texts with every attribute of their category asked; what nobody marked counts as not stated."""
    return [
        replace(p, targets={**dict.fromkeys(sorted(model.attributes(p.category) | split.attributes), ()), **p.targets})
        for p in split.test
    ]


def rules_alone(split: Split, vocabulary: Vocabulary) -> dict[str, Any]:
    """What the rules find that need no training."""
    nlp = language.load()
    rules = AttributeRules(vocabulary, Lexicon(), nlp)
    answers: list[dict[str, str | None]] = []
    for product, doc in zip(split.test, nlp.pipe((p.text for p in split.test), batch_size=64), strict=True):
        found = rules.find(doc, 0, document="", title=product.title, is_title=False, names=[])
        said = {
            str(c.node.properties.get("attribute")): doc.text[c.start : c.end]
            for c in sorted(found.claims, key=lambda c: c.confidence)
        }
        answers.append({a: said.get(rules.attribute_named(a) or "") for a in product.targets})
    score = score_values(split.test, answers)
    return {"set": split.name, "variant": "rules alone", "f1": round(100 * score.total.f1, 1), "texts": len(split.test)}
