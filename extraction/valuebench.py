"""How well attribute values are learned: the table of ``kg benchmark extraction-values``, on files of public sets.

Each set is trained and tested as far apart as it says:

``ae``                   AE-110K: its training file, its test file
``surface``              WDC PAVE, values as the texts have them: a fifth of the clusters of offers held out
``normalised``           WDC PAVE, normalised values: the same clusters held out
``ae-new-attributes``, ``surface-new-attributes``, ``ae-new-categories``, ``surface-new-categories``
                         what was never seen in training: a fifth of the attributes or categories of ``ae`` or
                         ``surface`` held out, each fifth in turn, and what is counted added up

Beside the whole stand what is left when a part is taken away, and the rules alone. An attribute never seen is not
asked of the network, so the variants of these sets take away sorts of signs from the memory alone.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from extraction import language
from extraction.adapters import AdaptedEncoder
from extraction.beliefs import Answer
from extraction.benchmarks import MarkedProduct, read_products
from extraction.encoder import Encoder
from extraction.evaluation import Count, calibration_error, calibration_error_by_chance, score_values
from extraction.mentions import Claim, Lexicon
from extraction.rules import AttributeRules
from extraction.training import kin_of
from extraction.values import Recipe, ValueModel
from kg.vocabulary import Vocabulary

SETS: Final = (
    "ae",
    "surface",
    "normalised",
    "ae-new-attributes",
    "surface-new-attributes",
    "ae-new-categories",
    "surface-new-categories",
)
SPLIT_SEED: Final = 0
"""Of the clusters that are held out."""
NEW_SEED: Final = 3
"""Of the attributes and categories that are held out."""
PARTS: Final = 5
CORRECTIONS: Final = 50
"""Texts of WDC PAVE that are learned as corrections after AE-110K."""
_WDC: Final = {"surface": "wdc_with_all_attributes", "normalised": "wdc_with_all_attributes_normalized"}

VARIANTS: Final[Mapping[str, Callable[[Recipe], Recipe]]] = {
    "whole": lambda r: r,
    "without memory": lambda r: replace(r, memory=False),
    "without adapter": lambda r: replace(r, rank=0),
    "memory alone": lambda r: r,
    "without kinds": lambda r: replace(r, without=("kind", "kind_off", "kind_other", "no_kind", "labelled_kind")),
    "without hypernyms": lambda r: replace(r, without=("is_a", "is_a_off", "no_is_a")),
    "without neighbours": lambda r: replace(r, without=("noun_before", "noun_behind")),
    "without likeness": lambda r: replace(r, without=("likeness", "unlike")),
}
RULES: Final = "rules alone"
"""What stands beside every variant, and can be asked for by itself."""
SIGNS_AWAY: Final = ("without kinds", "without hypernyms", "without neighbours", "without likeness")
"""Variants of what was never seen alone, which the memory answers by itself: a sort of signs (:mod:`extraction.kinds`)
is not weighed. It may still be a candidate's source, or a part of another sign."""


@dataclass(frozen=True, slots=True)
class Split:
    """What is learned from, and what is asked afterwards."""

    name: str
    training: tuple[MarkedProduct, ...]
    test: tuple[MarkedProduct, ...]
    asked: Mapping[str, frozenset[str]]
    """Category → the attributes that anyone marked in it; of held-out attributes alone, where these are asked alone."""
    has_new: bool = False
    """Whether it asks attributes that were never seen, and no others."""
    corrections: tuple[MarkedProduct, ...] = ()
    """What people correct afterwards: texts of another catalogue. What was learned before must not be forgotten."""


def splits(data: Path, sets: Sequence[str], *, parts: int = PARTS) -> Iterator[list[Split]]:
    """The splits of these sets, those of one set together; ``data`` has folders ``ae110k`` and ``wdc_pave``.

    Args:
        parts: how many fifths of the attributes, and of the categories, are held out in turn.
    """
    wholes: dict[str, Split] = {}
    offers = data / "wdc_pave" / _WDC["surface"] / "train_large.jsonl"
    if any(name.startswith("ae") for name in sets):
        learned, test = (tuple(read_products(data / "ae110k" / f"{n}.jsonl", "ae")) for n in ("train", "test"))
        others = list(read_products(offers, "pave"))
        random.Random(SPLIT_SEED).shuffle(others)
        wholes["ae"] = Split("ae", learned, test, _asked((*learned, *test)), corrections=tuple(others[:CORRECTIONS]))
    if any(name.startswith("surface") for name in sets):
        wholes["surface"] = _by_cluster("surface", offers)
    for name in SETS:
        if name not in sets:
            continue
        if name == "normalised":
            yield [_by_cluster(name, data / "wdc_pave" / _WDC[name] / "train_large.jsonl")]
            continue
        whole, _, held_out = name.partition("-new-")
        if held_out:
            yield (new_attributes if held_out == "attributes" else new_categories)(wholes[whole])[:parts]
        else:
            yield [wholes[whole]]


def _by_cluster(name: str, file: Path) -> Split:
    """A fifth of the clusters held out: offers of one product are all learned from or all asked."""
    products = list(read_products(file, "pave"))
    clusters = [str(orjson.loads(line).get("cluster_id")) for line in file.read_bytes().splitlines() if line.strip()]
    held = fifth(clusters, SPLIT_SEED)
    return Split(
        name,
        tuple(p for p, c in zip(products, clusters, strict=True) if c not in held),
        tuple(p for p, c in zip(products, clusters, strict=True) if c in held),
        _asked(products),
    )


def _asked(products: Iterable[MarkedProduct]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for product in products:
        found[product.category] |= product.targets.keys()
    return {category: frozenset(attributes) for category, attributes in found.items()}


def fifth(names: Iterable[str], seed: int) -> frozenset[str]:
    """A fifth of the distinct names, at least one, chosen by chance."""
    order = sorted(set(names))
    random.Random(seed).shuffle(order)
    return frozenset(order[: max(1, len(order) // 5)])


def fifths(names: Iterable[str], seed: int) -> list[frozenset[str]]:
    """The distinct names in up to five parts, drawn by chance."""
    order = sorted(set(names))
    random.Random(seed).shuffle(order)
    return [frozenset(part) for n in range(PARTS) if (part := order[n::PARTS])]


def new_attributes(split: Split) -> list[Split]:
    """Each fifth of the attributes in turn: it is never learned, and it alone is asked, in the test's texts."""
    found = []
    every = frozenset(a for p in split.training for a in p.targets)
    for held in fifths(every, NEW_SEED):
        training = _only(split.training, every - held)
        asked = {category: attributes & held for category, attributes in split.asked.items()}
        found.append(Split(f"{split.name}, new attributes", training, _only(split.test, held), asked, has_new=True))
    return found


def new_categories(split: Split) -> list[Split]:
    """Each fifth of the categories in turn: no text of it is learned from, and all its texts are asked."""
    return [
        Split(
            f"{split.name}, new categories",
            tuple(p for p in split.training if p.category not in held),
            tuple(p for p in (*split.training, *split.test) if p.category in held),
            split.asked,
        )
        for held in fifths((p.category for p in split.training), NEW_SEED)
    ]


def _only(products: Iterable[MarkedProduct], wanted: frozenset[str]) -> tuple[MarkedProduct, ...]:
    found = (replace(p, targets={a: v for a, v in p.targets.items() if a in wanted}) for p in products)
    return tuple(p for p in found if p.targets)


def variants(parts: Sequence[Split], wanted: Sequence[str]) -> list[str]:
    """Those of the wanted variants that differ on this set."""
    if any(split.has_new for split in parts):
        whole = ["memory alone"] if {"whole", "memory alone"} & set(wanted) else []
        return [*whole, *(v for v in SIGNS_AWAY if v in wanted)]
    return [v for v in wanted if v not in (*SIGNS_AWAY, RULES)]


def measure(
    parts: Sequence[Split],
    variant: str,
    encoder: Encoder,
    vocabulary: Vocabulary,
    recipe: Recipe,
    progress: Callable[[str, int, int], None],
    descriptions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Learn and ask, part by part; the figures of one line of the table.

    Args:
        descriptions: of attributes; what says more than its name of one that was never seen.
    """
    recipe = VARIANTS[variant](recipe)
    count, all_asked, later = Count(), Count(), Count()
    sure: list[tuple[float, bool]] = []
    texts, training, processor, asking = 0, 0.0, 0.0, 0.0
    for split in parts:
        started, busy = time.perf_counter(), time.process_time()
        model = ValueModel.train(
            split.training,
            kin_of(encoder, vocabulary, _unlearned(split, descriptions or {})),
            None if variant in ("memory alone", *SIGNS_AWAY) else lambda r: _adapted(encoder, r),
            recipe=recipe,
            progress=progress,
        )
        training += time.perf_counter() - started
        processor += time.process_time() - busy
        started = time.perf_counter()
        answers = model.answer(split.test)
        asking += time.perf_counter() - started
        texts += len(split.test)
        every = [
            replace(p, targets={**dict.fromkeys(sorted(split.asked.get(p.category, ())), ()), **p.targets})
            for p in split.test
        ]
        count += score_values(split.test, [_values(row) for row in answers]).total
        all_asked += score_values(every, [_values(row) for row in model.answer(every)]).total
        sure += [
            (answer.probability, answer.value in product.targets[attribute])
            for product, row in zip(split.test, answers, strict=True)
            for attribute, answer in row.items()
            if answer.value is not None
        ]
        if split.corrections and variant == "whole":
            model = model.refine(split.corrections, recipe=recipe)
            later += score_values(split.test, [_values(row) for row in model.answer(split.test)]).total
    return {
        "set": parts[0].name,
        "variant": variant,
        "parts": len(parts),
        "f1": round(100 * count.f1, 1),
        "precision": round(100 * count.precision, 1),
        "recall": round(100 * count.recall, 1),
        "f1_all_attributes": round(100 * all_asked.f1, 1),
        "f1_after_corrections": round(100 * later.f1, 1) if later != Count() else None,
        "calibration_error": round(calibration_error(sure), 3),
        "calibration_error_by_chance": round(calibration_error_by_chance([p for p, _ in sure]), 3),
        "training_seconds": round(training),
        "training_processor_seconds": round(processor),
        "texts_per_second": round(texts / max(asking, 1e-9)),
        "texts": texts,
    }


def _unlearned(split: Split, descriptions: Mapping[str, str]) -> dict[str, str]:
    """The descriptions of attributes that a split does not learn: of others the texts say what they are."""
    learned = {a for p in split.training for a in p.targets}
    return {a: said for a, said in descriptions.items() if a not in learned}


def _values(row: Mapping[str, Answer]) -> dict[str, str | None]:
    return {attribute: answer.value for attribute, answer in row.items()}


def _adapted(encoder: Encoder, recipe: Recipe) -> AdaptedEncoder:
    return AdaptedEncoder(
        encoder.folder, device=encoder.device, rank=recipe.rank, first_layer=recipe.first_layer, seed=recipe.seed
    )


def rules_alone(parts: Sequence[Split], vocabulary: Vocabulary) -> dict[str, Any]:
    """What the rules find that need no training, and how far their confidence is from how often they are right.

    Right is an answer that a gold value equals, as it stands or in its normal form. A gold file names one value of an
    attribute where a title may state three, so that this is the least that can be said of the rules.
    """
    nlp = language.load()
    rules = AttributeRules(vocabulary, Lexicon(), nlp)
    count = Count()
    sure: list[tuple[float, bool]] = []
    test = [product for split in parts for product in split.test]
    titles = nlp.pipe((p.title for p in test), batch_size=64)
    bodies = nlp.pipe((p.text[len(p.title) :] for p in test), batch_size=64)
    for product, *docs in zip(test, titles, bodies, strict=True):
        said: dict[str, tuple[str, Claim]] = {}
        for doc, is_title in zip(docs, (True, False), strict=True):
            found = rules.find(doc, 0, document="", title=product.title, is_title=is_title, names=[])
            for c in found.claims:
                name = str(c.node.properties.get("attribute"))
                if name not in said or said[name][1].confidence <= c.confidence:
                    said[name] = doc.text[c.start : c.end], c
        answers: dict[str, str | None] = {}
        for attribute, gold in product.targets.items():
            name = rules.attribute_named(attribute) or ""
            words, claim = said.get(name, (None, None))
            answers[attribute] = words
            if words is not None and claim is not None:
                normal = {made.node.key for g in gold if (made := rules.claim(name, g, 0, 1.0)) is not None}
                right = claim.node.key in normal or words.casefold() in map(str.casefold, gold)
                sure.append((claim.confidence, right))
        count += score_values([product], [answers]).total
    return {
        "set": parts[0].name,
        "variant": RULES,
        "f1": round(100 * count.f1, 1),
        "answers": len(sure),
        "calibration_error": round(calibration_error(sure), 3),
        "calibration_error_by_chance": round(calibration_error_by_chance([p for p, _ in sure]), 3),
        "texts": len(test),
    }
