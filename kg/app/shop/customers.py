"""The customers of the bundled shop, and what they did in a year.

Each is of a kind that likes some shelves more than others, may be bound to one
maker's cameras, minds prices more or less, and buys what belongs to a thing
soon after the thing: the patterns that a recommender should find.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kg.app.shop.catalogue import Product, Words

USERS: Final = 300
EVENTS: Final = 3_000
OPENS: Final = datetime(2024, 6, 1, tzinfo=UTC)
"""The events cover the year from here."""
DAYS: Final = 365
_FOLLOWS: Final = 0.65
"""Chance that who buys a thing comes back for something that belongs to it."""
_HOLD_OUT_FROM: Final = 3
"""Purchases from which on the last one is held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedPair:
    """Two products that the same people buy, the second after the first."""

    first: str
    second: str
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Someone who buys here."""

    id: str
    kind: str
    """A key of ``customers`` in the words."""
    system: str | None
    """The maker of their camera; they buy for no other maker's."""
    thrift: float
    """How much a price weighs, 0 to 1."""
    zeal: float
    """How often they come, relative to the others."""


@dataclass(slots=True)
class History:
    """What one customer did."""

    owned: set[str] = field(default_factory=set)
    """Bought before the year began, or in it."""
    earlier: list[str] = field(default_factory=list)
    """Bought before the year began."""
    bought: list[tuple[datetime, str]] = field(default_factory=list)
    """In order of time; without what is held out."""
    events: list[dict[str, Any]] = field(default_factory=list)
    held_out: str | None = None


def customers(words: Words, seed: int) -> tuple[Customer, ...]:
    """Who they are."""
    rng = random.Random(f"{seed} customers")
    kinds = words["customers"]
    drawn = rng.choices(list(kinds), [kind["share"] for kind in kinds.values()], k=USERS)
    return tuple(
        Customer(
            id=f"u{number:03d}",
            kind=kind,
            system=rng.choice(["Orvane", "Kestley"]) if kinds[kind]["domain"] == "photo" else None,
            thrift=rng.random(),
            zeal=min(rng.lognormvariate(0, 0.8), 5),
        )
        for number, kind in enumerate(drawn, start=1)
    )


def user_rows(words: Words, people: Sequence[Customer], seed: int) -> list[dict[str, Any]]:
    """The rows of ``users.jsonl``."""
    rng = random.Random(f"{seed} users")
    rows = []
    for person in people:
        alike = [other.id for other in people if other.kind == person.kind and other.id != person.id]
        row = {
            "user": person.id,
            "interests": rng.sample(words["customers"][person.kind]["interests"], rng.choice([0, 1, 1, 2, 3])),
            "language": rng.choice(["en", "en", "en", "en-GB", "de", "nl", "sv"]),
            "friends": sorted(rng.sample(alike, rng.choice([0, 0, 0, 0, 1, 1, 2]))),
        }
        rows.append({name: value for name, value in row.items() if value})
    return rows


def event_rows(past: Mapping[str, History]) -> list[dict[str, Any]]:
    """The rows of ``events.jsonl``, in order of time."""
    return sorted((e for history in past.values() for e in history.events), key=lambda e: (e["at"], e["user"]))


def histories(words: Words, catalogue: Sequence[Product], people: Sequence[Customer], seed: int) -> dict[str, History]:
    """What everyone did: :data:`EVENTS` events in all, without those on products that are held out."""
    visits = EVENTS // 5
    while True:
        year = _Year(words, catalogue, people, random.Random(f"{seed} events"))
        past = year.lived(visits)
        for history in past.values():
            _hold_out(history)
        surplus = sum(len(h.events) for h in past.values()) - EVENTS
        if surplus >= 0:
            _forget_views(past, surplus, random.Random(f"{seed} forgotten"))
            return past
        visits += 10


def pairs_bought(words: Words, catalogue: Sequence[Product], past: Mapping[str, History]) -> tuple[PlantedPair, ...]:
    """The pairs that were planted and that two customers or more did buy, in that order."""
    counts: Counter[tuple[str, str]] = Counter()
    for history in past.values():
        order = [*history.earlier, *dict.fromkeys(sku for _, sku in history.bought if sku not in history.earlier)]
        counts.update((first, second) for n, first in enumerate(order) for second in order[n + 1 :])
    return tuple(
        PlantedPair(first=first, second=second, users=counts[first, second])
        for first, partners in followers(words, catalogue).items()
        for second in partners
        if counts[first, second] >= 2
    )


def followers(words: Words, catalogue: Sequence[Product]) -> dict[str, list[str]]:
    """By sku, what people come back for: what belongs to it, and the pairs of the words."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for product in catalogue:
        for target in product.targets:
            found[target].append(product.sku)
    for first, second in words["together"]:
        if second not in found[first]:
            found[first].append(second)
    return found


def systems(catalogue: Sequence[Product]) -> dict[str, str]:
    """The maker of cameras to whose cameras a product is bound, by sku; most are bound to none."""
    found = {p.sku: p.brand for p in catalogue if p.brand in ("Orvane", "Kestley") and p.shelf in ("Cameras", "Lenses")}
    # Not bound: cameras that take no lenses.
    for free in ("OR-T1", "KE-NW"):
        found.pop(free, None)
    for _ in range(2):  # an accessory of an accessory is bound, too
        for product in catalogue:
            bound = {found.get(target) for target in product.targets}
            if product.sku not in found and len(bound) == 1 and (maker := bound.pop()) is not None:
                found[product.sku] = maker
    return found


@dataclass(frozen=True, slots=True, order=True)
class _Visit:
    at: datetime
    wanted: str = ""
    """What they come for, if they know it."""


class _Year:
    """A year of visits."""

    def __init__(
        self, words: Words, catalogue: Sequence[Product], people: Sequence[Customer], rng: random.Random
    ) -> None:
        self._words = words
        self._people = people
        self._rng = rng
        self._by_sku = {p.sku: p for p in catalogue}
        self._followers = followers(words, catalogue)
        bound = systems(catalogue)
        self._charms = {
            (person.kind, person.system): {p.sku: _charm(words, person, p, bound) for p in catalogue}
            for person in people
        }
        self._past = {person.id: History() for person in people}

    def lived(self, visits: int) -> dict[str, History]:
        """The histories after about so many visits, follow-ups not counted."""
        for person in self._people:
            self._equip(person)
        counts = Counter(
            p.id for p in self._rng.choices(self._people, [person.zeal for person in self._people], k=visits)
        )
        for person in self._people:
            due: list[_Visit] = [_Visit(self._moment()) for _ in range(max(1, counts[person.id]))]
            due += (visit for sku in self._past[person.id].earlier for visit in self._return(sku, self._moment()))
            self._live(person, sorted(due))
        return self._past

    def _equip(self, person: Customer) -> None:
        """What they bought in earlier years: reviews tell of it, the events do not."""
        history = self._past[person.id]
        for _ in range(self._rng.choice([0, 1, 1, 2, 2, 3])):
            sku = self._drawn(person, history.owned)
            history.owned.add(sku)
            history.earlier.append(sku)

    def _live(self, person: Customer, due: list[_Visit]) -> None:
        history = self._past[person.id]
        number = 0
        while due:
            visit = due.pop(0)
            number += 1
            bought = self._visit(person, history, visit, session=f"{person.id}-{number}")
            if bought is not None:
                due = sorted([*due, *self._return(bought, visit.at)])

    def _return(self, bought: str, at: datetime) -> list[_Visit]:
        """The visit, perhaps, for something that belongs to what was bought."""
        partners = self._followers.get(bought, [])
        back = at + timedelta(days=self._rng.randint(2, 40), minutes=self._rng.randint(0, 600))
        if not partners or self._rng.random() > _FOLLOWS or back > OPENS + timedelta(days=DAYS):
            return []
        weights = [self._by_sku[sku].popularity for sku in partners]
        return [_Visit(back, self._rng.choices(partners, weights)[0])]

    def _visit(self, person: Customer, history: History, visit: _Visit, *, session: str) -> str | None:
        """One visit; the sku that was bought, if one was."""
        rng, at, wanted = self._rng, visit.at, visit.wanted

        def record(type_: str, minutes: float, **more: Any) -> None:
            when = at + timedelta(minutes=minutes)
            row = {"user": person.id, "type": type_, "at": f"{when:%Y-%m-%dT%H:%M:%SZ}", "session": session, **more}
            history.events.append(row)

        sku = wanted if wanted and self._open(history, wanted) else self._drawn(person, history.owned)
        shelf = self._by_sku[sku].shelf
        clock = 0.0
        if rng.random() < 0.15:
            record("searched", clock, query=rng.choice(self._words["searches"][shelf]))
            clock += rng.uniform(0.2, 1)
        others = [p.sku for p in self._by_sku.values() if p.shelf == shelf and self._open(history, p.sku)]
        looked_at = rng.sample(others, min(len(others), rng.choice([0, 0, 0, 0, 1, 1, 2])))
        for other in dict.fromkeys([*looked_at, sku]):
            record("viewed", clock, sku=other, value=float(rng.randint(5, 240)))
            clock += rng.uniform(0.5, 5)
        if rng.random() > (0.85 if wanted else 0.66):
            return None
        record("carted", clock, sku=sku)
        clock += rng.uniform(0.5, 6)
        if rng.random() > 0.85:
            return None
        record("bought", clock, sku=sku, value=float(rng.choice([1, 1, 1, 2]) if self._by_sku[sku].consumable else 1))
        history.bought.append((at, sku))
        history.owned.add(sku)
        self._afterwards(person, history, at, sku)
        return sku

    def _afterwards(self, person: Customer, history: History, at: datetime, sku: str) -> None:
        rng = self._rng
        later = at + timedelta(days=rng.randint(4, 30), minutes=rng.randint(0, 800))
        chance = rng.random()
        more: dict[str, Any]
        if chance < 0.42:
            stars = rng.choices([5, 4, 3, 2, 1], [46, 32, 12, 6, 4])[0]
            more = {"type": "rated", "value": float(stars)}
        elif chance < 0.45:
            more = {"type": "returned"}
        elif chance < 0.47:
            more = {"type": "disliked"}
        else:
            return
        history.events.append({"user": person.id, "at": f"{later:%Y-%m-%dT%H:%M:%SZ}", "sku": sku, **more})

    def _drawn(self, person: Customer, owned: set[str]) -> str:
        charms = self._charms[person.kind, person.system]
        skus = [sku for sku in charms if sku not in owned or self._by_sku[sku].consumable]
        weights = [charms[sku] * math.exp(-person.thrift * self._by_sku[sku].price / 400) for sku in skus]
        return self._rng.choices(skus, weights)[0]

    def _open(self, history: History, sku: str) -> bool:
        return sku not in history.owned or self._by_sku[sku].consumable

    def _moment(self) -> datetime:
        """Some time in the year: evenings rather than mornings, and more before Christmas."""
        rng = self._rng
        day = rng.choices([rng.randrange(DAYS), rng.randint(165, 205)], [85, 15])[0]
        hour = rng.choices(range(24), [2, 1, 0, 0, 0, 1, 2, 4, 5, 6, 6, 6, 7, 6, 5, 5, 6, 8, 11, 14, 15, 13, 9, 5])[0]
        return OPENS + timedelta(days=day, hours=hour, minutes=rng.randrange(60), seconds=rng.randrange(60))


def _charm(words: Words, person: Customer, product: Product, bound: Mapping[str, str]) -> float:
    liking = words["customers"][person.kind]["shelves"].get(product.shelf, 0.05)
    maker = bound.get(product.sku)
    # Nobody buys a lens for a camera that they do not have, save as a present.
    estranged = 0.02 if maker is not None and maker != person.system else 1.0
    return float(liking * product.popularity**1.3 * estranged)


def _hold_out(history: History) -> None:
    """Take the last purchase away with every trace of it, where enough others are left."""
    history.bought.sort()
    times = Counter(sku for _, sku in history.bought)
    if len(times) < _HOLD_OUT_FROM:
        return
    sku = history.bought[-1][1]
    if times[sku] > 1 or sku in history.earlier:
        return  # bought before: nothing to foretell
    history.held_out = sku
    history.bought.pop()
    history.events = [e for e in history.events if e.get("sku") != sku]


def _forget_views(past: Mapping[str, History], surplus: int, rng: random.Random) -> None:
    """Drop some of the views that came to nothing, so that the number of events is round."""
    carted = {(e["user"], e["sku"]) for h in past.values() for e in h.events if e["type"] == "carted"}
    idle = [
        (user, n)
        for user, history in past.items()
        for n, e in enumerate(history.events)
        if e["type"] == "viewed" and (user, e["sku"]) not in carted
    ]
    dropped = set(rng.sample(idle, surplus))
    for user, history in past.items():
        history.events = [e for n, e in enumerate(history.events) if (user, n) not in dropped]
