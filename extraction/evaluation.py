"""How well extraction does, counted as the benchmarks count.

Pure functions over values; :mod:`kg.app` prints what they return.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from extraction.benchmarks import SENTIMENTS, MarkedProduct, MarkedSentence, Triplet
from extraction.mentions import Lexicon, ProductEntry, ProductLike, words
from extraction.ner import BrandFinder, Gazetteer
from extraction.normalise import squash
from kg.normalise import brand_key

if TYPE_CHECKING:
    from extraction.triplets import ReadTriplet


LEAST_SURE: Final = 0.5
"""Confidence from which a brand counts as named."""


@dataclass(frozen=True, slots=True)
class BrandRecovery:
    """What :func:`brand_recovery` counted, over products whose brand was hidden."""

    products: int
    """Products that have a brand, all of them hidden once."""
    stated: int
    """Those whose title or description contains the brand, after normalisation."""
    found: int
    """Of ``stated``, those whose brand was named rightly."""
    answered: int
    """Of ``stated``, those for which a brand was named at all."""
    answered_all: int
    """Of ``products``, those for which a brand was named at all."""
    right_all: int
    """Of ``products``, those whose brand was named rightly, stated or not."""
    wrong: tuple[tuple[str, str, str | None], ...] = ()
    """Sku, right brand and answer of every product answered wrongly or not at all."""

    @property
    def recall(self) -> float:
        """Share of the products that state their brand for which it was found."""
        return self.found / self.stated if self.stated else 0.0

    @property
    def precision(self) -> float:
        """Share of the answers that were right, over products that state their brand."""
        return self.found / self.answered if self.answered else 0.0

    @property
    def precision_all(self) -> float:
        """The same over all products with a brand: a brand that the text never names counts against us."""
        return self.right_all / self.answered_all if self.answered_all else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


ReadMaker = Callable[[str, int], str | None]
"""Text and the end of its title to the key of the brand, or ``None``."""


def _by_finder(lexicon: Lexicon, common: frozenset[str]) -> ReadMaker:
    finder = BrandFinder(lexicon, common)

    def read(text: str, title_end: int) -> str | None:
        mention = finder.maker(text, title_end)
        return mention.node.key if mention and mention.confidence >= LEAST_SURE else None

    return read


def _by_known_name(lexicon: Lexicon, _common: frozenset[str]) -> ReadMaker:
    gazetteer = Gazetteer({squash(form): key for key, name in lexicon.brands.items() for form in (key, name)})
    return lambda text, _: next((name.key for name in gazetteer.find(text, words(text))), None)


def _by_first_word(_lexicon: Lexicon, _common: frozenset[str]) -> ReadMaker:
    return lambda text, title_end: next((brand_key(w.text) for w in words(text[:title_end])), None)


BRAND_METHODS: Final[Mapping[str, Callable[[Lexicon, frozenset[str]], ReadMaker]]] = {
    "whole": _by_finder,
    "without other products' titles": lambda known, common: _by_finder(replace(known, products={}), common),
    "the first known name in the text": _by_known_name,
    "the first word of the title": _by_first_word,
}
"""How a brand is read: as built, without a part of it, and as simply as can be."""


def brand_recovery(
    products: Sequence[ProductLike],
    *,
    common: frozenset[str],
    folds: int = 5,
    seed: int = 0,
    method: Callable[[Lexicon, frozenset[str]], ReadMaker] | None = None,
) -> BrandRecovery:
    """Hide the brand of each fold of the products in turn, and ask the text for it.

    The lexicon knows brands of the other folds only; titles of hidden products
    are known, since every shop has them.

    Args:
        common: words of the language, see :func:`extraction.language.lemma_index`.
        method: makes of what is known, and of these words, a reader; that of :class:`BrandFinder` by default.
    """
    method = method or BRAND_METHODS["whole"]
    order = list(range(len(products)))
    random.Random(seed).shuffle(order)
    whole = Lexicon.of_products(products)
    counts = dict.fromkeys(("products", "stated", "found", "answered", "answered_all", "right_all"), 0)
    wrong: list[tuple[str, str, str | None]] = []
    for fold in range(folds):
        hidden = {products[i].sku for i in order[fold::folds]}
        read = method(_without_brands(whole, hidden), common)
        for product in products:
            right = brand_key(product.brand) if product.brand else ""
            if product.sku not in hidden or not right:
                continue
            text = f"{product.title}\n\n{product.description}"
            answer = read(text, len(product.title))
            stated = states_name(text, right)
            counts["products"] += 1
            counts["stated"] += stated
            counts["answered_all"] += answer is not None
            counts["right_all"] += answer == right
            counts["answered"] += stated and answer is not None
            counts["found"] += stated and answer == right
            if answer != right:
                wrong.append((product.sku, right, answer))
    return BrandRecovery(**counts, wrong=tuple(wrong))


def states_name(text: str, key: str) -> bool:
    """Whether a text contains a name, whatever its case, spacing and punctuation."""
    return bool(Gazetteer({squash(key): key}).find(text, words(text)))


def _without_brands(lexicon: Lexicon, skus: set[str]) -> Lexicon:
    """The lexicon as it would be had the catalogue not said the brand of these products."""
    products: dict[str, ProductEntry] = {
        sku: replace(entry, brand=None) if sku in skus else entry for sku, entry in lexicon.products.items()
    }
    left = {entry.brand for entry in products.values() if entry.brand}
    return Lexicon({key: name for key, name in lexicon.brands.items() if key in left}, lexicon.categories, products)


@dataclass(frozen=True, slots=True)
class Count:
    """Answers counted: scores are added, never averaged."""

    right: int = 0
    answered: int = 0
    stated: int = 0
    """How many there were to find."""

    def __add__(self, other: Count) -> Count:
        return Count(self.right + other.right, self.answered + other.answered, self.stated + other.stated)

    @property
    def precision(self) -> float:
        """Share of the answers that were right."""
        return self.right / self.answered if self.answered else 0.0

    @property
    def recall(self) -> float:
        """Share of what there was to find that was answered rightly."""
        return self.right / self.stated if self.stated else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / (self.answered + self.stated) if self.answered + self.stated else 0.0


@dataclass(frozen=True, slots=True)
class ExtractionScore:
    """How well an extractor did on a gold file."""

    documents: int
    total: Count
    by_attribute: Mapping[str, Count]
    """By attribute, or by sentiment for triplets."""

    def as_dict(self) -> dict[str, object]:
        """As ``kg evaluate extraction`` prints it."""
        return {
            "precision": round(self.total.precision, 4),
            "recall": round(self.total.recall, 4),
            "f1": round(self.total.f1, 4),
            "documents": self.documents,
            "by_attribute": {
                name: {
                    "precision": round(count.precision, 4),
                    "recall": round(count.recall, 4),
                    "f1": round(count.f1, 4),
                    "stated": count.stated,
                }
                for name, count in sorted(self.by_attribute.items())
            },
        }


def score_values(gold: Sequence[MarkedProduct], answers: Sequence[Mapping[str, str | None]]) -> ExtractionScore:
    """Count attribute values as ExtractGPT and WDC PAVE do.

    Each pair of a text and an attribute in its targets is one question. Where
    the text states a value, any of its spellings in the targets is right, to
    the letter, and everything else counts against precision and recall; where
    it states none ("n/a"), an answer counts against precision and silence
    counts for nothing. Micro-averaged.
    """
    by_attribute: dict[str, Count] = defaultdict(Count)
    for product, answer in zip(gold, answers, strict=True):
        for attribute, values in product.targets.items():
            value = answer.get(attribute)
            by_attribute[attribute] += Count(
                right=int(value is not None and value in values),
                answered=int(value is not None),
                stated=int(bool(values)),
            )
    return ExtractionScore(len(gold), sum(by_attribute.values(), Count()), dict(by_attribute))


def calibration_error(answers: Iterable[tuple[float, bool]], bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): by how much probabilities differ from how often they are right.

    Answers fall into ``bins`` of equal width by their probability; each bin's mean probability is compared with its
    share of right answers, and the differences are averaged by the bins' sizes. 0 where there is no answer.

    Args:
        answers: the probability of each answer, and whether it is right.
    """
    held: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for chance, right in answers:
        held[min(int(chance * bins), bins - 1)].append((chance, right))
    total = sum(map(len, held.values()))
    gaps = (abs(sum(chance - right for chance, right in rows)) for rows in held.values())
    return sum(gaps) / total if total else 0.0


def calibration_error_by_chance(probabilities: Sequence[float], *, draws: int = 200, seed: int = 0) -> float:
    """What :func:`calibration_error` would be on average were every probability right: few answers are never quite so.

    Consistency resampling (Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams"): each answer
    is drawn to be right with its own probability, again and again.
    """
    rng = random.Random(seed)
    errors = [calibration_error((p, rng.random() < p) for p in probabilities) for _ in range(draws)]
    return sum(errors) / draws


def triplet_calibration_errors(
    gold: Mapping[str, Sequence[MarkedSentence]], read: Mapping[str, Sequence[Sequence[ReadTriplet]]]
) -> tuple[float, float]:
    """By :func:`calibration_error`, those of the confidence that a triplet is exactly right and that its fact is.

    Args:
        gold: marked sentences by the name of their set.
        read: for each of them what a model read, in the same order.
    """
    judged = [
        (one, sentence.triplets)
        for name, sentences in gold.items()
        for sentence, found in zip(sentences, read[name], strict=True)
        for one in found
    ]
    return (
        calibration_error((one.confidence, one.triplet in stated) for one, stated in judged),
        calibration_error((one.fact_confidence, any(map(one.triplet.says_like, stated))) for one, stated in judged),
    )


def score_triplets(gold: Sequence[MarkedSentence], answers: Sequence[Sequence[Triplet]]) -> ExtractionScore:
    """Count triplets as ASTE does: right are those whose aspect, opinion and sentiment are all exactly so."""
    by_sentiment: dict[str, Count] = defaultdict(Count)
    for sentence, answer in zip(gold, answers, strict=True):
        stated, answered = set(sentence.triplets), set(answer)
        for sentiment in SENTIMENTS:
            by_sentiment[sentiment] += Count(
                right=sum(t.sentiment == sentiment for t in stated & answered),
                answered=sum(t.sentiment == sentiment for t in answered),
                stated=sum(t.sentiment == sentiment for t in stated),
            )
    return ExtractionScore(len(gold), sum(by_sentiment.values(), Count()), dict(by_sentiment))
