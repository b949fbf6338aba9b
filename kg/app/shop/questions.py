"""Questions that customers of the bundled shop might ask, with the answers that its planted truths give.

Made for measuring ``kg ask``: what a text says is answered with it, what a text
denies with "no", and what no text says with "not known". Each kind of question
has two sets of wordings: one was in sight when the reader of questions was
written, the other was not, and is what is reported.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from extraction.normalise import Quantity, quantities
from kg.app.shop.catalogue import Product, load_words, product_rows, products
from kg.app.shop.customers import customers, histories
from kg.app.shop.reviews import Mention, review_rows
from kg.vocabulary import Kind, Vocabulary

Wording = Literal["seen", "unseen"]
UNKNOWN: Final = "not known"

_WORDINGS: Final[Mapping[str, Mapping[Wording, tuple[str, ...]]]] = {
    "fits": {
        "seen": ("Does the {a} fit the {b}?", "Is the {a} compatible with the {b}?", "Can I use the {a} with the {b}?"),
        "unseen": ("Will the {a} work with my {b}?", "Does the {a} go with the {b}?", "Would the {a} suit a {b}?"),
    },
    "weight": {
        "seen": ("How heavy is the {a}?", "How much does the {a} weigh?"),
        "unseen": ("What does the {a} weigh?", "What is the weight of the {a}?"),
    },
    "colour": {
        "seen": ("What colour is the {a}?",),
        "unseen": ("Which color does the {a} have?", "In what colour does the {a} come?"),
    },
    "material": {
        "seen": ("What is the {a} made of?",),
        "unseen": ("Which material is used for the {a}?", "What sort of material is the {a} made from?"),
    },
    "value": {
        "seen": ("What is the {attribute} of the {a}?",),
        "unseen": ("Tell me the {attribute} of the {a}.", "What {attribute} does the {a} have?"),
    },
    "is": {
        "seen": ("Is the {a} {value}?", "Is the {a} really {value}?"),
        "unseen": ("Would you say that the {a} is {value}?", "The {a}, is that {value}?"),
    },
    "which": {
        "seen": ("Which of these is {value}?",),
        "unseen": ("Are any of these {value}?", "Which ones are {value}?"),
    },
    "opinion": {
        "seen": ("What do people say about the {aspect} of the {a}?", "How is the {aspect} of the {a}?"),
        "unseen": ("Are customers happy with the {aspect} of the {a}?", "Any complaints about the {a}'s {aspect}?"),
    },
    "cheaper": {
        "seen": ("Is there a cheaper one than the {a}?",),
        "unseen": ("Do you have anything less expensive than the {a}?", "I like the {a}, but what costs less?"),
    },
    "compare": {
        "seen": ("Compare the {a} and the {b}.",),
        "unseen": ("What is the difference between the {a} and the {b}?", "How does the {a} differ from the {b}?"),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedQuestion:
    """A question and what a right answer says."""

    kind: str
    text: str
    skus: tuple[str, ...] = ()
    """What the customer was shown before."""
    verdict: str
    """What the answer's verdict is or, for a value, holds."""
    about: str | None = None
    """The product that the facts must be of, where that is what is asked."""

    def answered_by(self, verdict: str, skus: Sequence[str]) -> bool:
        """Whether an answer with this verdict and facts of these products is right."""
        if self.about is not None and set(skus) != {self.about}:
            return False
        if self.verdict in ("yes", "no", UNKNOWN):
            return verdict == self.verdict
        if verdict == UNKNOWN:
            return False
        same = {_magnitude(q) for q in quantities(self.verdict)} & {_magnitude(q) for q in quantities(verdict)}
        return bool(same) or self.verdict.casefold() in verdict.casefold()


def questions(
    vocabulary: Vocabulary, *, wording: Wording, seed: int = 7, of_each: int = 30
) -> tuple[PlantedQuestion, ...]:
    """At most ``of_each`` questions of each kind, drawn by chance; the shop is that of the same ``seed``."""
    words = load_words()
    catalogue = products(words)
    people = customers(words, seed)
    _, mentions = review_rows(words, catalogue, people, histories(words, catalogue, people, seed), seed)
    on_sale = {row["sku"] for row in product_rows(words, catalogue, seed) if row["active"] and row["stock"] > 0}
    maker = _Maker(catalogue, vocabulary, wording, random.Random(f"{seed} {wording} questions"))
    kinds = (
        maker.fitting(),
        maker.denied(),
        maker.unrelated(),
        maker.values(),
        maker.unstated(),
        maker.confirmed(),
        maker.chosen(),
        maker.judged(mentions),
        maker.unjudged(mentions),
        maker.cheaper(on_sale),
        maker.compared(),
    )
    return tuple(q for kind in kinds for q in maker.drawn(list(kind), of_each))


class _Maker:
    def __init__(
        self, catalogue: Sequence[Product], vocabulary: Vocabulary, wording: Wording, rng: random.Random
    ) -> None:
        self._catalogue = catalogue
        self._by_sku = {p.sku: p for p in catalogue}
        self._choices = {a.name for a in vocabulary.attributes if a.kind is Kind.CHOICE}
        self._aspects = sorted({a.name for a in vocabulary.aspects})
        self._wording = wording
        self._rng = rng

    def drawn(self, made: list[PlantedQuestion], count: int) -> list[PlantedQuestion]:
        return self._rng.sample(made, min(count, len(made)))

    def fitting(self) -> Iterator[PlantedQuestion]:
        for p in self._catalogue:
            for r in p.relations:
                yield self._asked("fits", "fits", "yes", a=p, b=self._by_sku[r.target])

    def denied(self) -> Iterator[PlantedQuestion]:
        for p in self._catalogue:
            for r in p.denied:
                yield self._asked("does not fit", "fits", "no", a=p, b=self._by_sku[r.target])

    def unrelated(self) -> Iterator[PlantedQuestion]:
        """Pairs of different departments: no text says anything of them."""
        for a in self._catalogue:
            b = self._rng.choice([b for b in self._catalogue if b.path[0] != a.path[0]])
            yield self._asked("fits, unknown", "fits", UNKNOWN, a=a, b=b)

    def values(self) -> Iterator[PlantedQuestion]:
        for p in self._catalogue:
            for name, value in self._single(p).items():
                kind = name if name in ("weight", "colour", "material") else "value"
                yield self._asked("value", kind, value, a=p, attribute=name)

    def unstated(self) -> Iterator[PlantedQuestion]:
        """Of products whose titles have no digits and no values, what their texts do not state."""
        for p in self._catalogue:
            stated = {a.attribute for a in p.attributes}
            for name in ("weight", "colour", "battery life", "voltage"):
                if name not in stated and not any(c.isdigit() for c in p.title):
                    kind = name if name in ("weight", "colour") else "value"
                    yield self._asked("value, unknown", kind, UNKNOWN, a=p, attribute=name)

    def confirmed(self) -> Iterator[PlantedQuestion]:
        for p in self._catalogue:
            for name, value in self._single(p).items():
                if name in ("colour", "waterproof rating"):
                    yield self._asked("is", "is", "yes", a=p, value=value)

    def chosen(self) -> Iterator[PlantedQuestion]:
        """Four products of which one alone has a value of an attribute."""
        for p in self._catalogue:
            for name, value in self._single(p).items():
                if name not in ("colour", "waterproof rating"):
                    continue
                others = [q for q in self._catalogue if q is not p and name not in {a.attribute for a in q.attributes}]
                shown = [p, *self._rng.sample(others, 3)]
                self._rng.shuffle(shown)
                skus = tuple(q.sku for q in shown)
                yield self._asked("which", "which", "yes", skus=skus, about=p.sku, a=p, value=value)

    def judged(self, mentions: Sequence[Mention]) -> Iterator[PlantedQuestion]:
        """What at least two reviews say, and more of them than say the contrary."""
        for (sku, aspect), (good, bad) in _sides(mentions).items():
            if good != bad and good + bad >= 2:
                verdict = "praised" if good > bad else "criticised"
                yield self._asked("opinion", "opinion", verdict, a=self._by_sku[sku], aspect=aspect)

    def unjudged(self, mentions: Sequence[Mention]) -> Iterator[PlantedQuestion]:
        spoken = _sides(mentions)
        for p in self._catalogue:
            silent = [a for a in self._aspects if (p.sku, a) not in spoken and a not in p.title.casefold()]
            aspect = self._rng.choice(silent)
            yield self._asked("opinion, unknown", "opinion", UNKNOWN, a=p, aspect=aspect)

    def cheaper(self, on_sale: set[str]) -> Iterator[PlantedQuestion]:
        for p in self._catalogue:
            less = any(
                q.path == p.path and q.price < p.price and q.sku in on_sale for q in self._catalogue if q is not p
            ) or any(p.sku in (q.variant_of,) or q.sku == p.variant_of for q in self._catalogue if q.price < p.price)
            yield self._asked("cheaper", "cheaper", "yes" if less else "no", a=p)

    def compared(self) -> Iterator[PlantedQuestion]:
        """Two of a shelf that differ in an attribute which both texts state."""
        for p in self._catalogue:
            for q in self._catalogue:
                if p.path != q.path or p.sku >= q.sku:
                    continue
                mine, others = self._single(p), self._single(q)
                for name in sorted(mine.keys() & others.keys()):
                    if mine[name] != others[name]:
                        yield self._asked("compare", "compare", name, a=p, b=q)

    @staticmethod
    def _single(p: Product) -> dict[str, str]:
        """The attributes of which a text states one value."""
        values = defaultdict(set)
        for a in p.attributes:
            values[a.attribute].add(a.value)
        return {name: next(iter(v)) for name, v in sorted(values.items()) if len(v) == 1}

    def _asked(
        self,
        kind: str,
        wording: str,
        verdict: str,
        *,
        a: Product,
        b: Product | None = None,
        skus: tuple[str, ...] = (),
        about: str | None = None,
        **names: str,
    ) -> PlantedQuestion:
        pattern = self._rng.choice(_WORDINGS[wording][self._wording])
        text = pattern.format(a=_name(a), b=_name(b) if b is not None else "", **names)
        return PlantedQuestion(kind=kind, text=text, skus=skus, verdict=verdict, about=about)


def _magnitude(quantity: Quantity) -> tuple[str, float]:
    """What a quantity is, in whatever unit: 8 cm are 80 mm."""
    return quantity.unit.dimension, round(quantity.number * quantity.unit.factor, 9)


def _name(p: Product) -> str:
    """How a customer who has the page before them calls a product: its title, up to what it is for and how many."""
    return p.title.partition(",")[0].partition(" for ")[0]


def _sides(mentions: Sequence[Mention]) -> dict[tuple[str, str], tuple[int, int]]:
    """By product and aspect, how many reviews praise it and how many criticise it."""
    sides: dict[tuple[str, str], list[set[str]]] = defaultdict(lambda: [set(), set()])
    for m in mentions:
        sides[m.sku, m.aspect][m.sentiment == "criticised"].add(m.review)
    return {key: (len(good), len(bad)) for key, (good, bad) in sorted(sides.items())}
