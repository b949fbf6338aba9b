"""``kg benchmark recommend``: the recommendation tables of docs/benchmark.md, each from a folder of public data.

Every set becomes the same thing, products and events with some pairs held out;
then the main job runs on it in a Neo4j of its own: load, encode the texts, train
with each seed, promote, rank through Cypher beside the baselines.

- ``gowalla``: the LightGCN split. With ``test.txt`` in the folder that is what is held out; without, a fifth of each
  user's products, by chance.
- ``beauty``: Amazon Beauty as sequences (S3-Rec); each user's last product is held out, the order is the time.
- ``musical_instruments``: Amazon Musical Instruments 5-core; each user's last review is held out.

With ``cold`` every tenth product is a newcomer. What was held out of those is
looked for twice: by a model that was trained as always (warm), and by one whose
training part has no interaction with any newcomer (cold).
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from extraction import corpus
from kg import intake
from kg.app import jobs
from kg.app.benchmark import own_graph
from kg.app.files import lines, member
from kg.errors import BenchmarkError
from kg.popularity import count_popularity
from kg.records import EventRecord, ProductRecord
from kg.settings import Settings
from kg.store import GraphStore

if TYPE_CHECKING:
    from embeddings.measure import Cost

Set = Literal["gowalla", "beauty", "musical_instruments"]

COLD_EVERY: Final = 10
_METRICS: Final = ("recall@20", "ndcg@20", "hr@10", "ndcg@10", "mrr", "coverage")


@dataclass(frozen=True, slots=True)
class Task:
    """A catalogue, what users did, and what they should then be recommended."""

    products: tuple[ProductRecord, ...]
    events: tuple[EventRecord, ...]
    """In the order of time within each user."""
    heldout: tuple[tuple[str, str], ...]
    """User and sku."""
    only_order: bool = False
    """Whether the events' times say no more than which came first for a user."""

    def without(self, skus: set[str]) -> Task:
        """Nobody has met ``skus`` yet."""
        return replace(self, events=tuple(e for e in self.events if e.sku not in skus))


def recommend(
    settings: Settings,
    folder: Path,
    name: Set,
    *,
    seeds: Sequence[int],
    related: bool,
    cold: bool,
    sasrec: bool,
    users: int | None,
) -> dict[str, Any]:
    """The table of one set: mean and spread over the seeds, through Cypher and exactly, beside the baselines."""
    task = read_task(folder, name, related=related, seed=settings.seed)
    if users is not None:
        everyone = sorted({user for user, _ in task.heldout})
        some = set(random.Random(settings.seed).sample(everyone, min(users, len(everyone))))
        task = replace(task, heldout=tuple(pair for pair in task.heldout if pair[0] in some))
    if cold:
        newcomers, warm = newcomers_of(task)
        return {
            "set": name,
            "newcomers": len(newcomers),
            "warm": _measured(settings, warm, seeds, sasrec=False),
            "cold": _measured(settings, warm.without(newcomers), seeds, sasrec=False),
        }
    return {"set": name, **_measured(settings, task, seeds, sasrec=sasrec)}


def newcomers_of(task: Task) -> tuple[set[str], Task]:
    """Every tenth product, and the task of finding what was held out of those alone."""
    newcomers = {p.sku for p in sorted(task.products, key=lambda p: p.sku)[::COLD_EVERY]}
    return newcomers, replace(task, heldout=tuple(pair for pair in task.heldout if pair[1] in newcomers))


def load(store: GraphStore, settings: Settings, task: Task) -> float:
    """Load what the task has, read its texts if there are any; returns the seconds of loading alone."""
    begun = time.perf_counter()
    intake.load_products(store, task.products, document_of=corpus.product_document)
    intake.load_events(store, task.events, refuse=refuse, pseudonym=str)
    loaded = time.perf_counter() - begun
    if any(p.title != p.sku for p in task.products):
        jobs.extract(store, settings)
    return loaded


def train(store: GraphStore, settings: Settings, home: Path, seed: int) -> tuple[Cost, float]:
    """Train and promote; returns what training cost, and the seconds of writing back and switching."""
    from embeddings import registry, training, writeback  # torch takes seconds to import
    from embeddings.measure import measured

    checkpoint, cost = measured(lambda: training.train(store, home=home, seed=seed, device=settings.device))
    begun = time.perf_counter()
    writeback.write_embeddings(store, checkpoint)
    registry.promote(store, checkpoint.version)
    count_popularity(store)
    return cost, time.perf_counter() - begun


def _measured(settings: Settings, task: Task, seeds: Sequence[int], *, sasrec: bool) -> dict[str, Any]:
    from embeddings import evaluation

    runs: list[dict[str, Any]] = []
    with own_graph(settings, "recommend") as store, tempfile.TemporaryDirectory() as home:
        loaded = load(store, settings, task)
        for number, seed in enumerate(seeds):
            cost, promoted = train(store, settings, Path(home), seed)
            begun = time.perf_counter()
            report = evaluation.evaluate_recommend(
                store, task.heldout, (10, 20), seed=seed, compare=number == 0, sasrec=sasrec, parts=True
            )
            runs.append(
                {
                    **report,
                    "cost": cost.as_dict(),
                    "promote_seconds": round(promoted, 1),
                    "evaluate_seconds": round(time.perf_counter() - begun, 1),
                }
            )
    first = runs[0]
    return {
        "users": first["users"],
        "products": first["products"],
        "interactions": len(task.events),
        "load_seconds": round(loaded, 1),
        **{how: spread([run[how] for run in runs]) for how in ("cypher", "exact")},
        "parts": {
            name: spread([run["parts"][name] for run in runs if name in run["parts"]]) for name in first["parts"]
        },
        "baselines": first["baselines"],
        "training": [run["cost"] for run in runs],
        "promote_seconds": [run["promote_seconds"] for run in runs],
        "evaluate_seconds": [run["evaluate_seconds"] for run in runs],
    }


def spread(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the seeds."""
    return {
        metric: {
            "mean": round(statistics.fmean(run[metric] for run in runs), 4),
            "spread": round(statistics.pstdev(run[metric] for run in runs), 4),
        }
        for metric in _METRICS
    }


def refuse(record: object, reason: str) -> None:
    """For a loader: a bad record in a benchmark's own set ends it."""
    raise BenchmarkError(f"{record}: {reason}")


# --- the sets ------------------------------------------------------------------------------------------------


def read_task(folder: Path, name: Set, *, related: bool, seed: int) -> Task:
    """Read a set.

    Raises:
        BenchmarkError: a file is not there.
    """
    if name == "gowalla":
        return _gowalla(folder, random.Random(seed))
    return _beauty(folder, related) if name == "beauty" else _musical_instruments(folder, related)


def _nameless(skus: set[str]) -> tuple[ProductRecord, ...]:
    return tuple(ProductRecord(sku=sku, title=sku) for sku in sorted(skus))


def _gowalla(folder: Path, rng: random.Random) -> Task:
    def pairs(name: str) -> list[tuple[str, list[str]]]:
        rows = [line.split() for line in lines(member(folder, name))]
        return [(row[0], row[1:]) for row in rows if row]

    train = pairs("train.txt")
    if any((folder / f"test.txt{end}").exists() for end in ("", ".gz")):
        heldout = [(user, sku) for user, skus in pairs("test.txt") for sku in skus]
    else:
        heldout = []
        for _, skus in train:
            rng.shuffle(skus)
        for user, skus in train:
            fifth = round(len(skus) / 5)
            heldout += [(user, sku) for sku in skus[:fifth]]
            del skus[:fifth]
    events = tuple(EventRecord(user=user, sku=sku, type="bought") for user, skus in train for sku in skus)
    return Task(_nameless({str(e.sku) for e in events} | {sku for _, sku in heldout}), events, tuple(heldout))


def _beauty(folder: Path, related: bool) -> Task:
    start = datetime(2014, 1, 1, tzinfo=UTC)
    events, heldout = [], []
    for line in lines(member(folder, "sequences.txt")):
        user, *skus = line.split()
        heldout.append((user, skus.pop()))
        events += [
            # Only the order is known: a day stands for a step.
            EventRecord(user=user, sku=sku, type="bought", at=start + timedelta(days=step))
            for step, sku in enumerate(skus)
        ]
    products = _nameless({str(e.sku) for e in events} | {sku for _, sku in heldout})
    if related:
        products = _beauty_relations(folder, products)
    return Task(products, tuple(events), tuple(heldout), only_order=True)


def _beauty_relations(folder: Path, products: Sequence[ProductRecord]) -> tuple[ProductRecord, ...]:
    """Relations of the knowledge graph on the same products, whose names are Amazon's there and numbers here."""
    number = {asin: sku for sku, asin in json.loads("".join(lines(member(folder, "datamaps.json"))))["id2item"].items()}
    asins, others = (list(lines(member(folder / "graph", f"{name}.txt"))) for name in ("product", "related_product"))
    related: dict[str, dict[str, tuple[str, ...]]] = {}
    for kind in ("also_bought", "bought_together", "also_viewed"):
        for asin, line in zip(asins, lines(member(folder / "graph", f"{kind}_p_p.txt")), strict=False):
            found = tuple(number[others[int(i)]] for i in line.split() if others[int(i)] in number)
            if found and asin in number:
                related.setdefault(number[asin], {})[kind] = found
    return tuple(replace(p, related=related.get(p.sku, {})) for p in products)


def _musical_instruments(folder: Path, related: bool) -> Task:
    silent: Any = lambda _: None  # noqa: E731
    products = tuple(corpus.read_products(member(folder, "meta.jsonl"), format="amazon", rejects=silent))
    if not related:
        products = tuple(replace(p, related={}) for p in products)
    known = {p.sku for p in products}
    rated = list(corpus.read_events(member(folder, "reviews.jsonl"), format="amazon", rejects=silent))
    by_user: dict[str, list[EventRecord]] = {}
    for event in rated:
        if event.sku in known:
            by_user.setdefault(event.user, []).append(event)
    events, heldout = [], []
    for user, mine in by_user.items():
        mine.sort(key=lambda e: (e.at or datetime.min.replace(tzinfo=UTC), str(e.sku)))
        heldout.append((user, str(mine[-1].sku)))
        events += mine[:-1]
    return Task(products, tuple(events), tuple(heldout))
