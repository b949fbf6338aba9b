"""``kg benchmark fold-in``: what folding in costs in quality, beside a training that knew them.

Every tenth user, or every tenth product, comes after the training: their events,
or the products' texts and relations, are loaded into the graph that a model
already serves, and get their place there without training
(:mod:`embeddings.foldin`). What was held out of them is then looked for through
Cypher, and again by a model that was trained on everything. A product that comes
so has no interactions yet, and with it goes what the events on it say of users;
a user that comes so has all but what was held out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from kg.app.benchmark import own_graph
from kg.app.benchmark_recommend import Set, Task, load, newcomers_of, read_task, spread, train
from kg.settings import Settings
from kg.store import GraphStore

EVERY: Final = 10
"""Every so many-th user comes after the training."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who comes after the training, of a task in which what was held out is theirs alone."""

    whole: Task
    """What a model knows that was trained on everything."""
    before: Task
    """What the other one was trained on."""
    after: Task
    """What comes then."""
    who: tuple[str, ...]
    """Ids of the users or skus of the products that come."""


def users_arrive(task: Task) -> Arrival:
    """Every tenth of the users of whom something was held out comes after the training, with all events."""
    who = set(sorted({user for user, _ in task.heldout})[::EVERY])
    theirs = tuple(pair for pair in task.heldout if pair[0] in who)
    return Arrival(
        whole=replace(task, heldout=theirs),
        before=replace(task, events=tuple(e for e in task.events if e.user not in who), heldout=theirs),
        after=replace(task, products=(), events=tuple(e for e in task.events if e.user in who), heldout=theirs),
        who=tuple(sorted(who)),
    )


def products_arrive(task: Task) -> Arrival:
    """Every tenth product comes after the training, and nobody has met it; its events are known to ``whole`` alone."""
    who, whole = newcomers_of(task)
    return Arrival(
        whole=whole,
        before=replace(whole.without(who), products=tuple(p for p in task.products if p.sku not in who)),
        after=replace(whole, products=tuple(p for p in task.products if p.sku in who), events=()),
        who=tuple(sorted(who)),
    )


def fold_in(settings: Settings, folder: Path, name: Set, *, related: bool, seeds: Sequence[int]) -> dict[str, Any]:
    """Mean and spread over the seeds of what is found, trained on and folded in, and the seconds until all had a place.

    Raises:
        BenchmarkError: a file is not there.
    """
    task = read_task(folder, name, related=related, seed=settings.seed)
    report: dict[str, Any] = {"set": name}
    for kind, arrival in (("users", users_arrive(task)), ("products", products_arrive(task))):
        trained = _trained(settings, arrival, seeds)
        folded, seconds = _folded(settings, arrival, seeds)
        report[kind] = {
            "arrive": len(arrival.who),
            "pairs": len(arrival.whole.heldout),
            "trained on": spread(trained),
            "folded in": spread(folded),
            "seconds until placed": seconds,
        }
    return report


def _trained(settings: Settings, arrival: Arrival, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Through Cypher, of models that were trained on everything."""
    found = []
    with own_graph(settings, "fold-in") as store, tempfile.TemporaryDirectory() as home:
        load(store, settings, arrival.whole)
        for seed in seeds:
            train(store, settings, Path(home), seed)
            found.append(_found(store, arrival))
    return found


def _folded(settings: Settings, arrival: Arrival, seeds: Sequence[int]) -> tuple[list[dict[str, float]], list[float]]:
    """Through Cypher, where they came after the training; and the seconds from their records to their places."""
    from embeddings import foldin  # torch takes seconds to import

    found, seconds = [], []
    for seed in seeds:
        with own_graph(settings, "fold-in") as store, tempfile.TemporaryDirectory() as home:
            load(store, settings, arrival.before)
            train(store, settings, Path(home), seed)
            begun = time.perf_counter()
            load(store, settings, arrival.after)
            # Products have their places since their texts were read.
            foldin.fold_in_users(store, sorted({event.user for event in arrival.after.events}))
            seconds.append(round(time.perf_counter() - begun, 2))
            found.append(_found(store, arrival))
    return found, seconds


def _found(store: GraphStore, arrival: Arrival) -> dict[str, float]:
    from embeddings import evaluation

    report = evaluation.evaluate_recommend(store, arrival.whole.heldout, (10, 20), compare=False)
    return dict(report["cypher"])
