"""What customers of the bundled shop write, put together from clauses that were written by hand.

A review has a purpose (praise, blame, both), clauses on aspects that say so, and
around them what people add: who they are, when they used it, what they had
before. Every writer has habits of writing. Clauses that judge an aspect are
kept as :class:`Mention`; all else in a review judges no part of the product.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kg.app.shop.catalogue import Product, Words
from kg.app.shop.customers import DAYS, OPENS, Customer, History

REVIEWS: Final = 600
_AT_LEAST: Final = 2
"""Reviews of a product of which nobody in the files bought more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A clause of a review that judges one aspect of the product."""

    review: str
    sku: str
    aspect: str
    """A name of ``vocabulary.yaml``."""
    sentiment: str
    """``praised`` or ``criticised``."""
    quote: str
    """The clause as it stands in the review."""


@dataclass(frozen=True, slots=True)
class _Clause:
    aspect: str
    good: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Habits:
    """How one customer writes."""

    small: bool
    """All in lower case."""
    typos: float
    """Chance of a slip in a sentence that judges nothing."""
    exclaims: bool
    wordy: float
    """0 to 1."""


def review_rows(
    words: Words,
    catalogue: Sequence[Product],
    people: Sequence[Customer],
    past: Mapping[str, History],
    seed: int,
) -> tuple[list[dict[str, Any]], tuple[Mention, ...]]:
    """The rows of ``reviews.jsonl`` in order of time, and what they say of which aspect."""
    rng = random.Random(f"{seed} reviews")
    by_sku = {p.sku: p for p in catalogue}
    writer = _Writer(words, by_sku, rng)
    habits = {person.id: _habits(rng) for person in people}
    rows: list[dict[str, Any]] = []
    mentions: list[Mention] = []
    for number, (at, user, sku) in enumerate(_occasions(catalogue, past, rng), start=1):
        id = f"r{number:04d}"
        row, said = writer.review(by_sku[sku], habits[user], past[user].owned)
        rows.append({"id": id, "user": user, "sku": sku, **row, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"})
        mentions += (
            Mention(
                review=id,
                sku=sku,
                aspect=clause.aspect,
                sentiment="praised" if clause.good else "criticised",
                quote=clause.text,
            )
            for clause in said
        )
    return rows, tuple(mentions)


def _occasions(
    catalogue: Sequence[Product], past: Mapping[str, History], rng: random.Random
) -> list[tuple[datetime, str, str]]:
    """Who reviews what, and when: purchases of the year, then older ones. Never what is held out."""
    end = OPENS + timedelta(days=DAYS)
    found: dict[tuple[str, str], datetime] = {}
    recent = [(user, sku, at) for user, history in past.items() for at, sku in history.bought]
    for user, sku, at in rng.sample(recent, min(len(recent), REVIEWS * 3 // 5)):
        found.setdefault((user, sku), min(at + timedelta(days=rng.randint(3, 60), hours=rng.randint(0, 23)), end))
    older = [(user, sku) for user, history in past.items() for sku in history.earlier]
    rng.shuffle(older)
    counts = Counter(sku for _, sku in found)
    older.sort(key=lambda pair: counts[pair[1]] >= _AT_LEAST)  # the unsung first
    lonely = [p.sku for p in catalogue for _ in range(_AT_LEAST - counts[p.sku] - sum(o[1] == p.sku for o in older))]
    strangers = [(user, sku) for sku in lonely for user in rng.sample(sorted(past), 3)]
    rest = [(u, p.sku) for u in rng.sample(sorted(past), len(past)) for p in rng.sample(list(catalogue), 4)]
    for user, sku in [*strangers, *older, *rest]:
        if len(found) == REVIEWS:
            break
        bought = {s for _, s in past[user].bought}
        if (user, sku) not in found and sku != past[user].held_out and sku not in bought:
            found[user, sku] = OPENS - timedelta(days=rng.randint(5, 730), minutes=rng.randint(0, 1439))
    return sorted((at, user, sku) for (user, sku), at in found.items())


def _habits(rng: random.Random) -> _Habits:
    return _Habits(
        small=rng.random() < 0.07,
        typos=0.25 if rng.random() < 0.2 else 0.0,
        exclaims=rng.random() < 0.1,
        wordy=rng.random(),
    )


class _Writer:
    """Writes reviews; takes clauses in turn, so that a product is seldom praised twice in the same words."""

    def __init__(self, words: Words, catalogue: Mapping[str, Product], rng: random.Random) -> None:
        self._words = words
        self._catalogue = catalogue
        self._rng = rng
        self._decks: defaultdict[tuple[str, ...], list[Any]] = defaultdict(list)

    def review(self, product: Product, habits: _Habits, owned: set[str]) -> tuple[dict[str, Any], list[_Clause]]:
        """Rating, title and text; and the clauses in it that judge."""
        rng = self._rng
        clauses = self._judged(product, habits)
        good = sum(c.good for c in clauses)
        tone = "good" if good == len(clauses) else "bad" if not good else "mixed"
        sentences, said = self._body(clauses)
        terse = clauses and rng.random() > 0.45 + 0.55 * habits.wordy
        if not terse:
            sentences = self._framed(sentences, tone, product, habits, owned)
        text = " ".join(sentences)
        if habits.exclaims and tone == "good" and text.endswith("."):
            text = text[:-1] + rng.choice(["!", "!!", "!"])
        row: dict[str, Any] = {"rating": float(_stars(good, len(clauses) - good, rng)), "title": "", "text": text}
        if rng.random() < 0.85:
            row["title"] = self._filled(self._dealt("titles", tone), product, owned)
        if habits.small:
            row = {name: value.lower() if isinstance(value, str) else value for name, value in row.items()}
            said = [_Clause(c.aspect, c.good, c.text.lower()) for c in said]
        return row, said

    def _judged(self, product: Product, habits: _Habits) -> list[_Clause]:
        """Which aspects the review judges, and how: mostly as everyone does, now and then otherwise."""
        rng, wordy = self._rng, habits.wordy
        sides = [(aspect, True) for aspect in product.praise] + [(aspect, False) for aspect in product.blame]
        weights = [1.0] * len(product.praise) + [0.75] * len(product.blame)
        wanted = rng.choices([0, 1, 2, 3, 4, 5], [4, 34, 40, 12 + 24 * wordy, 20 * wordy, 12 * wordy**2])[0]
        chosen: dict[str, bool] = {}
        while len(chosen) < min(wanted, len(sides)):
            aspect, good = rng.choices(sides, weights)[0]
            dissents = rng.random() < 0.05 and bool(self._pool(product, aspect, not good))
            chosen.setdefault(aspect, good != dissents)
        return [
            _Clause(aspect, good, _about(self._clause(product, aspect, good), product, rng))
            for aspect, good in chosen.items()
        ]

    def _clause(self, product: Product, aspect: str, good: bool) -> str:
        clause: str = self._turn((product.sku, aspect, str(good)), self._pool(product, aspect, good))
        return clause

    def _pool(self, product: Product, aspect: str, good: bool) -> list[str]:
        opinions = self._words["opinions"]
        entry = opinions.get(f"{aspect} @ {product.shelf}") or opinions[aspect]
        pool: list[str] = entry.get("praise" if good else "blame", [])
        # Not every clause on "it" can be said of two poles.
        fitting = [c for c in pool if not _ONE_THING.search(_IT_DOES.sub("", c))] if _is_plural(product.thing) else pool
        return fitting or pool

    def _body(self, clauses: list[_Clause]) -> tuple[list[str], list[_Clause]]:
        """The clauses in sentences, two of them joined; and each as it then stands in the text."""
        if not clauses:
            return [], []
        rng, joins = self._rng, self._words["joins"]
        clauses = sorted(clauses, key=lambda c: c.good, reverse=rng.random() < 0.7)
        sentences, said = [], []
        while clauses:
            taken = clauses[: 2 if rng.random() < 0.8 else 1]
            clauses = clauses[len(taken) :]
            pattern = rng.choice(joins[_kind_of_join(taken)])
            forms = {}
            for letter, clause in zip("ab", taken, strict=False):
                capital = f"{{{letter.upper()}}}" in pattern
                text = _capital(clause.text) if capital else clause.text
                forms[letter.upper() if capital else letter] = text
                said.append(_Clause(clause.aspect, clause.good, text))
            sentences.append(pattern.format(**forms))
        return sentences, said

    def _framed(self, body: list[str], tone: str, product: Product, habits: _Habits, owned: set[str]) -> list[str]:
        """The body with what people write around it."""
        rng = self._rng
        before: list[str] = []
        after: list[str] = []
        owns = [s for t in product.targets if (s := self._catalogue[t].short) and t in owned]
        if owns and rng.random() < 0.6:
            before.append(self._filled(self._dealt("openers", "owner"), product, owned))
        if rng.random() < (0.3 if before else 0.55) * (0.5 + habits.wordy):
            before.insert(0, self._filled(self._dealt("openers", product.path[0].lower()), product, owned))
        for _ in range(rng.choices([0, 1, 2], [1.0, 0.5 + 0.6 * habits.wordy, 0.6 * habits.wordy**3])[0]):
            before.append(self._filled(self._dealt("scenes", product.shelf), product, owned))
        for _ in range(rng.choices([0, 1, 2], [1.0, 0.1 + 0.6 * habits.wordy, habits.wordy**4])[0]):
            place = rng.choice([before, after, after])
            place.append(self._filled(self._dealt("asides"), product, owned))
        if rng.random() < 0.4 or not (before or body):
            after.append(self._filled(self._dealt("closers", tone), product, owned))
        return [*(self._slip(s, habits) for s in before), *body, *(self._slip(s, habits) for s in after)]

    def _filled(self, pattern: str, product: Product, owned: set[str]) -> str:
        rng = self._rng
        owns = [s for t in product.targets if t in owned and (s := self._catalogue[t].short)]
        if _is_plural(product.thing):
            for singular, plural in _PLURAL_FRAMES:
                pattern = pattern.replace(singular, plural)
            pattern = _IT.sub("them", _IT_DOES.sub(_plural, pattern))
        return _capital(
            pattern.format(
                thing=product.thing,
                place=rng.choice(self._words["places"]),
                time=rng.choice(self._words["times"]),
                model=rng.choice(owns) if owns else "",
            )
        )

    def _dealt(self, *path: str) -> str:
        pool: Any = self._words
        for name in path:
            pool = pool[name]
        dealt: str = self._turn(path, pool)
        return dealt

    def _turn(self, name: tuple[str, ...], pool: Sequence[str]) -> str:
        deck = self._decks[name]
        if not deck:
            deck += self._rng.sample(list(pool), len(pool))
        card: str = deck.pop()
        return card

    def _slip(self, sentence: str, habits: _Habits) -> str:
        """A typing mistake now and then: two letters swapped, or one left out."""
        rng = self._rng
        if rng.random() >= habits.typos:
            return sentence
        inner = [m.start() for m in re.finditer(r"(?<=[a-z])[a-z](?=[a-z])", sentence)]
        at = rng.choice(inner)
        if rng.random() < 0.5:
            return sentence[:at] + sentence[at + 1 :]
        return sentence[:at] + sentence[at + 1] + sentence[at] + sentence[at + 2 :]


_PLURAL_FRAMES: Final = (
    ("this {thing}", "these {thing}"),
    ("a new {thing}", "new {thing}"),
    ("one to lend out", "some to lend out"),
    ("wanted one", "wanted some"),
    ("had one", "had some"),
    ("Needed one", "Needed some"),
    ("got one", "got some"),
    ("a second", "more"),
    ("ordered one", "ordered some"),
    ("Mine is", "Mine are"),
    ("Does ", "Do "),
)
_PLURAL_VERBS: Final = {"is": "are", "was": "were", "has": "have", "does": "do", "goes": "go"}
_IT_DOES = re.compile(
    r"(?<!when )(?<!soon as )(?<!than )(?<!with )(?<!where )\b([Ii])t "
    r"(still |really |simply |hardly |just |fully |always |never )?"
    r"(is|was|has|does|cannot|could|had|will|would|should|fell|tore|did|went|took|came|kept|sat|[a-z]+s)\b"
)
_IT = re.compile(r"\bit\b")
_ONE_THING = re.compile(r"\b(?:its?|mine has|the thing|this|and does)\b", re.IGNORECASE)


def _kind_of_join(clauses: Sequence[_Clause]) -> str:
    if len(clauses) == 1:
        return "lead"
    first, second = clauses
    return "list" if first.good == second.good else "contrast" if first.good else "contrast back"


def _is_plural(thing: str) -> bool:
    return thing.endswith("s") and not thing.endswith(("ss", "lens"))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _about(clause: str, product: Product, rng: random.Random) -> str:
    """The clause with the thing's name for its "it" now and then; in the plural where the thing is one."""
    if _is_plural(product.thing):
        return _IT_DOES.sub(_plural, clause)
    if clause.startswith("it ") and rng.random() < 0.35:
        return f"{rng.choice(['the', 'the', 'this'])} {product.thing}{clause[2:]}"
    return clause


def _plural(found: re.Match[str]) -> str:
    pronoun, adverb, verb = found[1], found[2] or "", found[3]
    if verb in _PLURAL_VERBS:
        verb = _PLURAL_VERBS[verb]
    elif verb.endswith(("shes", "ches", "sses")):
        verb = verb[:-2]
    elif verb.endswith("s"):
        verb = verb[:-1]
    return f"{'They' if pronoun == 'I' else 'they'} {adverb}{verb}"


def _stars(good: int, bad: int, rng: random.Random) -> int:
    if not bad:
        return rng.choices([5, 4], [70, 30])[0]
    if not good:
        return rng.choices([1, 2, 3], [35, 45, 20])[0]
    if good > bad:
        return rng.choices([3, 4, 5], [15, 70, 15])[0]
    return rng.choices([2, 3, 4], [25, 55, 20])[0] if good == bad else rng.choices([2, 3], [60, 40])[0]
