"""``kg benchmark deltas``: what a change of a hundredth costs, as a share of a full rebuild's processor seconds.

The shop is the bundled one several times over, each copy with makers and customers
of its own. A part of it comes later. First everything known then is loaded, read,
trained and written in full; then, step by step, a hundredth changes: products come,
have another text, or are deleted; reviews and events come, and some reviews go. Each
step is taken by one process that lives as long as the benchmark, as a follower of
streams does: load, read only what changed and link it, export only what changed,
learn from it (:mod:`embeddings.deltas`), write what moved. In the end the graph is
emptied and what it then held is rebuilt in full, on the same warm server: that is
the cost to compare with, and the quality.

Learning keeps what the last full training chose, and a shop trains in full every
night (:func:`kg.app.jobs.scheduled_jobs`). With ``train_every`` so do the steps, and
what that costs is shared among them.

Processor seconds are those of this process, of its workers, and of Neo4j.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import psutil

from extraction import corpus
from kg import intake, localdb, removal, streams
from kg.app import demo, jobs, models
from kg.app.benchmark import own_graph, own_home
from kg.app.pieces import DOCUMENTS
from kg.app.refresh import Reader, Refresher
from kg.app.shop import write_shop
from kg.errors import BenchmarkError
from kg.records import EventRecord, ProductRecord, Record, ReviewRecord
from kg.settings import Settings
from kg.store import GraphStore

if TYPE_CHECKING:
    from embeddings.deltas import Learner

Say = Callable[[str], None]
R = TypeVar("R", ReviewRecord, EventRecord)

SHARE: Final = 0.01
"""Of the products, reviews and events that there are at first: what changes in a step."""
NEW: Final = 0.3
"""Of the products of a step: new ones; one in twenty is deleted, the rest have another text."""
DELETED: Final = 0.05
NEW_REVIEWS: Final = 0.8
"""Of the reviews of a step; the rest are deleted."""
_LAST: Final = 20
"""Rank beyond which nothing is looked at."""
_SYLLABLES: Final = ("ba", "do", "fe", "gu", "ka", "lo", "mi", "nu", "pe", "ri", "so", "tu", "va", "wo", "ze")
_NOTES: Final = (
    "Now made of recycled nylon.",
    "It weighs {n} g.",
    "The new batch comes in dark green.",
    "Since this spring it is waterproof.",
    "The strap is {n} mm wide.",
)
"""Sentences that a changed text gets at its end."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A catalogue, what is said of it, what users did, and what they should then be recommended."""

    products: tuple[ProductRecord, ...]
    reviews: tuple[ReviewRecord, ...]
    events: tuple[EventRecord, ...]
    heldout: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A change: what comes, and what goes."""

    products: tuple[ProductRecord, ...]
    reviews: tuple[ReviewRecord, ...]
    events: tuple[EventRecord, ...]
    deleted: tuple[str, ...]
    """Skus."""
    withdrawn: tuple[str, ...]
    """Ids of reviews."""


def deltas(settings: Settings, *, copies: int, steps: int, train_every: int | None = None, say: Say) -> dict[str, Any]:
    """The cost of each step beside a full rebuild's, and the quality after all of them beside the rebuilt shop's.

    Args:
        train_every: steps after which the model is trained in full, as every night; ``None``: never.

    Raises:
        BenchmarkError: the shop is too small for a hundredth of it to be anything.
    """
    rng = random.Random(settings.seed)
    shop = copied(copies, settings.seed)
    first, changes, last = plan(shop, steps, rng)
    home = own_home(settings, "deltas")
    own = settings.model_copy(update={"home": home})
    with own_graph(settings, "deltas") as store:
        meter = Meter(localdb.status(home).pid)
        say(f"{len(first.products)} products, {len(first.reviews)} reviews and {len(first.events)} events, in full.")
        rebuild(store, own, first, meter)
        before = ranked(store, shop.heldout)
        meter = Meter(localdb.status(home).pid)
        with meter.part("export, whole, once"):
            learner = _learner(store, own)
        with meter.part("extractor, once"):
            reader = Reader(own)
            reader.extractor(store)
        once = meter.taken()
        curve, moved, nights = [], [], []
        refresher = Refresher(store, reader)
        for number, step in enumerate(changes, start=1):
            meter = Meter(localdb.status(home).pid)
            moved.append(_take(store, step, refresher, reader, learner, meter))
            curve.append(meter.taken())
            say(f"Step {number}: {curve[-1]}, {moved[-1]}")
            if train_every and not number % train_every:
                meter = Meter(localdb.status(home).pid)
                learner = _night(store, own, meter)
                nights.append(meter.taken())
                say(f"Trained in full: {nights[-1]}")
        refresher.close()
        after = ranked(store, shop.heldout)
        say("One cold kg extract with a text that waits.")
        cold = _cold(store, own, first.products[0])
        say("All of it again, in full.")
        demo.empty(store)
        meter = Meter(localdb.status(home).pid)
        rebuild(store, own, last, meter)
        full = meter.taken()
        rebuilt = ranked(store, shop.heldout)
    return _report(
        full, curve, nights, moved, once, cold, {"at first": before, "after the steps": after, "rebuilt": rebuilt}
    )


def _report(
    full: Mapping[str, float],
    curve: Sequence[Mapping[str, float]],
    nights: Sequence[Mapping[str, float]],
    moved: Sequence[Mapping[str, int]],
    once: Mapping[str, float],
    cold: float,
    found: Mapping[str, Mapping[tuple[str, str], float]],
) -> dict[str, Any]:
    total = sum(full.values())
    shares = [sum(parts.values()) / total for parts in curve]
    parts = Counter[str]()
    for one in curve:
        parts.update(one)
    return {
        "full rebuild, CPU seconds": {**full, "in all": round(total, 1)},
        "a step, CPU seconds": {name: round(value / len(curve), 2) for name, value in parts.items()},
        "a step, share of a rebuild": {
            "mean": round(sum(shares) / len(shares), 4),
            "greatest": round(max(shares), 4),
            "curve": [round(share, 4) for share in shares],
        },
        "a full training between steps, share of a rebuild": [
            round(sum(night.values()) / total, 4) for night in nights
        ],
        "a step with its part of these, share of a rebuild": round(
            (sum(shares) + sum(sum(night.values()) for night in nights) / total) / len(shares), 4
        ),
        "a step moves": {name: round(sum(m[name] for m in moved) / len(moved)) for name in moved[0]},
        "once in a process, CPU seconds": dict(once),
        "a cold kg extract of one text, CPU seconds": cold,
        "quality": {name: figures(ranks) for name, ranks in found.items()},
        "relative to the rebuilt": beside(found["after the steps"], found["rebuilt"]),
    }


# --- the two ways ---------------------------------------------------------------------------------------------


def rebuild(store: GraphStore, settings: Settings, shop: Shop, meter: Meter) -> None:
    """Everything from the beginning, in an empty graph."""
    with meter.part("load"):
        intake.load_products(store, shop.products, document_of=corpus.product_document)
        intake.load_reviews(store, shop.reviews, document_of=corpus.review_document, refuse=_refuse, pseudonym=str)
        intake.load_events(store, shop.events, refuse=_refuse, pseudonym=str)
    with meter.part("extract"):
        jobs.extract(store, settings)
    with meter.part("train"):
        version = models.train(store, settings)["version"]
    with meter.part("write"):
        models.promote(store, settings, version, force=True)


def _learner(store: GraphStore, settings: Settings) -> Learner:
    from embeddings import registry  # torch takes seconds to import
    from embeddings.deltas import Learner

    live = registry.live(store)
    if live is None:
        raise BenchmarkError("No model is live after a training; the benchmark is wrong.")
    return Learner(store, registry.load(settings.home, live.version), seed=settings.seed)


def _night(store: GraphStore, settings: Settings, meter: Meter) -> Learner:
    """A full training on the graph as it stands, its promotion, and who goes on learning from there."""
    with meter.part("train"):
        version = models.train(store, settings)["version"]
    with meter.part("write"):
        models.promote(store, settings, version, force=True)
    with meter.part("export"):
        return _learner(store, settings)


def _take(
    store: GraphStore, step: Step, refresher: Refresher, reader: Reader, learner: Learner, meter: Meter
) -> dict[str, int]:
    """One step through all stages; what it moved."""
    users, products = set[str](), set[str]()
    with meter.part("load"):
        records: list[Record] = [*step.products, *step.reviews, *step.events]
        loaded = streams.load_piece(store, None, None, records, documents=DOCUMENTS, pseudonym=str, repeats=Counter())
        if loaded.refused:
            raise BenchmarkError(f"{loaded.refused[0]} was refused; the benchmark is wrong.")
        for kind, keys in (("products", step.deleted), ("reviews", step.withdrawn)):
            gone = removal.remove(store, kind, keys)
            users.update(gone.users)
            products.update(gone.products)
    with meter.part("extract, link, place"):
        refresher.after(loaded)
    with meter.part("names"):
        reader.learn_names(store)
    users.update(loaded.users)
    products.update(p.sku for p in step.products)
    products.update(r.sku for r in step.reviews)
    with meter.part("learn, write"):
        learned = learner.learn(store, sorted(users), sorted(products))
    return {
        "users": learned.users,
        "products": learned.products,
        "vectors": learned.vectors,
        "relations": learned.relations,
    }


def _cold(store: GraphStore, settings: Settings, product: ProductRecord) -> float:
    """Processor seconds of a process of its own that reads one text: most of it is its start."""
    changed = replace(product, description=f"{product.description} Once more.")
    intake.load_products(store, [changed], document_of=corpus.product_document)
    environment = {**os.environ, "KG_HOME": str(settings.home)}
    began = os.times()
    subprocess.run(
        [sys.executable, "-m", "kg.app.cli", "extract", "--json"], env=environment, check=True, capture_output=True
    )
    ended = os.times()
    return round(ended.children_user + ended.children_system - began.children_user - began.children_system, 1)


def ranked(store: GraphStore, heldout: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """How high the live model ranks what was held out, from 0, by the exact score of what stands in the graph; infinite
    beyond :data:`_LAST`. What the model does not know is left out."""
    from embeddings.evaluation import rank_all, read_model, targets_of

    model = read_model(store)
    users = model.index.rows("User", [user for user, _ in heldout])
    products = model.index.rows("Product", [sku for _, sku in heldout])
    known = (users >= 0) & (products >= 0)
    targets = targets_of(users[known], products[known])
    ranks = rank_all(model.ranker(), targets, model.hidden, model.inactive, _LAST).ranks
    names, skus = model.index.keys["User"], model.index.keys["Product"]
    return {
        (names[user], skus[product]): float(rank)
        for user, product, rank in zip(targets.users[targets.owner], targets.products, ranks, strict=True)
    }


def figures(ranks: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Means over what was held out, one product of each user."""
    found = {name: round(float(values.mean()), 4) for name, values in _worth(list(ranks.values())).items()}
    return found | {"users": len(ranks)}


def beside(
    ranks: Mapping[tuple[str, str], float], others: Mapping[tuple[str, str], float]
) -> dict[str, dict[str, float]]:
    """By how much a model is better than another one, relative, over what both know; and the standard error of that,
    over the users."""
    both = [pair for pair in ranks if pair in others]
    mine, theirs = _worth([ranks[pair] for pair in both]), _worth([others[pair] for pair in both])
    gains = {name: (mine[name] - theirs[name]) / theirs[name].mean() for name in mine}
    return {
        name: {
            "relative": round(float(gain.mean()), 4),
            "standard error": round(float(gain.std(ddof=1)) / math.sqrt(len(gain)), 4),
        }
        for name, gain in gains.items()
    }


def _worth(ranks: Sequence[float]) -> dict[str, np.ndarray]:
    """What each rank counts, of a user of whom one product is held out."""
    found = np.asarray(ranks, dtype=np.float64)
    return {
        "hr@10": (found < 10).astype(np.float64),
        "ndcg@10": np.where(found < 10, 1.0 / np.log2(found + 2.0), 0.0),
        "recall@20": (found < _LAST).astype(np.float64),
    }


# --- processor seconds ----------------------------------------------------------------------------------------


@dataclass
class Meter:
    """Processor seconds by part, of this process with all that descend from it, and of one other."""

    other: int | None
    """The process of Neo4j, which may be a child of this one."""
    _parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done within counts as this part."""
        began = self._seconds()
        yield
        self._parts[name] += self._seconds() - began

    def taken(self) -> dict[str, float]:
        """Seconds by part."""
        return {name: round(value, 2) for name, value in self._parts.items()}

    def _seconds(self) -> float:
        me = psutil.Process()
        processes = {p.pid: p for p in (me, *me.children(recursive=True))}
        if self.other is not None:
            processes.setdefault(self.other, psutil.Process(self.other))
        total = 0.0
        for process in processes.values():
            with suppress(psutil.NoSuchProcess):
                # Of children only those that have ended are in a parent's account.
                total += sum(process.cpu_times()[:4])
        return total


# --- the shop -------------------------------------------------------------------------------------------------


def copied(copies: int, seed: int) -> Shop:
    """The bundled shop so many times, drawn with other seeds; makers, skus and customers of each are its own."""
    products: list[ProductRecord] = []
    reviews: list[ReviewRecord] = []
    events: list[EventRecord] = []
    heldout: list[tuple[str, str]] = []
    for number in range(copies):
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder)
            truth = write_shop(files, seed=1000 * seed + number)
            some = list(corpus.read_products(files / "products.jsonl", rejects=_reject))
            makers = {*truth.brands.values(), *(p.brand for p in some if p.brand)}
            named = _renaming(makers, number)
            products += [
                replace(
                    p,
                    sku=f"{number}-{p.sku}",
                    title=named(p.title),
                    description=named(p.description),
                    brand=named(p.brand) if p.brand else None,
                    variant_of=f"{number}-{p.variant_of}" if p.variant_of else None,
                    gtin=None,
                )
                for p in some
            ]
            reviews += [
                replace(
                    r, id=f"{number}-{r.id}", sku=f"{number}-{r.sku}", user=f"{number}-{r.user}", text=named(r.text)
                )
                for r in corpus.read_reviews(files / "reviews.jsonl", rejects=_reject)
            ]
            events += [
                replace(e, sku=f"{number}-{e.sku}" if e.sku else None, user=f"{number}-{e.user}")
                for e in corpus.read_events(files / "events.jsonl", rejects=_reject)
            ]
            heldout += [
                (f"{number}-{user}", f"{number}-{sku}") for user, sku in models.read_pairs(files / "holdout.jsonl")
            ]
    return Shop(tuple(products), tuple(reviews), tuple(events), tuple(heldout))


def _renaming(makers: set[str], number: int) -> Callable[[str], str]:
    ending = "" if number == 0 else _SYLLABLES[number % len(_SYLLABLES)] * (1 + number // len(_SYLLABLES))
    longest = sorted(makers, key=len, reverse=True)

    def named(text: str) -> str:
        for maker in longest:
            text = text.replace(maker, f"\x00{longest.index(maker)}\x00")
        for place, maker in enumerate(longest):
            text = text.replace(f"\x00{place}\x00", maker + ending)
        return text

    return named


def plan(shop: Shop, steps: int, rng: random.Random) -> tuple[Shop, list[Step], Shop]:
    """What is there at first, the steps, and what is there in the end.

    Reviews and events of a product come when it has come; those of a deleted one are gone with it.
    """
    # So much is there at first that the steps' new ones, a share of it each, are the rest.
    held = {
        "products": round(len(shop.products) * _later(steps * SHARE * NEW)),
        "reviews": round(len(shop.reviews) * _later(steps * SHARE * NEW_REVIEWS)),
        "events": round(len(shop.events) * _later(steps * SHARE)),
    }
    if min(len(shop.products) - held["products"], held["events"]) < 100:
        raise BenchmarkError("A hundredth of so small a shop is nothing. Take more copies or more steps.")
    products = rng.sample(shop.products, len(shop.products))
    arrives = {p.sku: step for step, part in enumerate(_parts(products[: held["products"]], steps), 1) for p in part}
    reviews = rng.sample(shop.reviews, len(shop.reviews))
    events = sorted(shop.events, key=lambda e: (e.at or datetime.min.replace(tzinfo=UTC), e.user))
    reviews_due = _due(reviews, held["reviews"], steps, arrives)
    events_due = _due(events, held["events"], steps, arrives)
    there = {p.sku: p for p in products if p.sku not in arrives}
    said = {r.id: r for r in reviews_due[0]}
    done = list(events_due[0])
    first = Shop(tuple(there.values()), tuple(said.values()), tuple(done))
    changed = max(1, round(len(there) * SHARE))
    withdrawn_each = max(1, round(len(said) * SHARE * (1.0 - NEW_REVIEWS)))
    gone: set[str] = set()
    taken: list[Step] = []
    owed = 0.0
    for step in range(1, steps + 1):
        new = [p for p in products if arrives.get(p.sku) == step]
        owed += changed * DELETED
        deleted = rng.sample(sorted(there), int(owed))
        owed -= len(deleted)
        gone.update(deleted)
        for sku in deleted:
            del there[sku]
        again = rng.sample(sorted(there), min(max(changed - len(new) - len(deleted), 1), len(there)))
        edited = [_edited(there[sku], rng) for sku in again]
        there.update({p.sku: p for p in (*new, *edited)})
        said = {id: r for id, r in said.items() if r.sku not in gone}
        withdrawn = rng.sample(sorted(said), min(withdrawn_each, len(said)))
        for id in withdrawn:
            del said[id]
        come = [r for r in reviews_due[step] if r.sku not in gone]
        happened = [e for e in events_due[step] if e.sku not in gone]
        said.update({r.id: r for r in come})
        done += happened
        taken.append(Step((*new, *edited), tuple(come), tuple(happened), tuple(deleted), tuple(withdrawn)))
    last = Shop(tuple(there.values()), tuple(said.values()), tuple(e for e in done if e.sku not in gone))
    return first, taken, last


def _due(ordered: Sequence[R], later: int, steps: int, arrives: Mapping[str, int]) -> dict[int, list[R]]:
    """By step what then comes: the last ``later`` in equal parts, but none before its product."""
    at = [0] * (len(ordered) - later)
    at += [step for step, part in enumerate(_parts(ordered[len(ordered) - later :], steps), 1) for _ in part]
    due: dict[int, list[R]] = defaultdict(list)
    for record, step in zip(ordered, at, strict=True):
        due[max(step, arrives.get(record.sku or "", 0))].append(record)
    return due


def _later(grown: float) -> float:
    """Share of the whole that comes later, when it grows by ``grown`` of what is there at first."""
    return grown / (1.0 + grown)


def _parts(ordered: Sequence[Any], count: int) -> list[Sequence[Any]]:
    bounds = [round(len(ordered) * n / count) for n in range(count + 1)]
    return [ordered[a:b] for a, b in pairwise(bounds)]


def _edited(product: ProductRecord, rng: random.Random) -> ProductRecord:
    note = rng.choice(_NOTES).format(n=rng.randrange(20, 900))
    return replace(product, description=f"{product.description}\n{note}")


def _refuse(record: object, reason: str) -> None:
    raise BenchmarkError(f"{record}: {reason}")


def _reject(reject: object) -> None:
    raise BenchmarkError(f"{reject}: the bundled shop has a bad record.")
