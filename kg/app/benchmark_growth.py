"""``kg benchmark growth``: a graph that grows by hundredths, trained on each time, beside a full training in the end.

A public set is exported once, and its interactions come in the order of their
times: the first nine tenths are trained in full, then ten times as much of what
is left is added and trained on (:mod:`embeddings.finetuning`), and the whole is
trained in full for comparison. Users and products appear when something is known
that they did. What was held out of each user is what both should find.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from extraction import corpus
from kg import intake
from kg.app import jobs
from kg.app.benchmark import own_graph
from kg.app.benchmark_recommend import Set, Task, read_task, refuse
from kg.errors import BenchmarkError
from kg.records import EventRecord
from kg.settings import Settings

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

    from embeddings.export import NodeIndex
    from embeddings.registry import Checkpoint

_FIRST: Final = 0.9
_STEPS: Final = 10
_BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
_YEAR: Final = timedelta(days=365)


def growth(settings: Settings, folder: Path, name: Set, *, related: bool, seeds: int) -> dict[str, Any]:
    """Figures of the fine-tuned and of the full model, and the processor's seconds of each.

    The relative difference is that of the means over the seeds, its standard error that over the users.

    Args:
        seeds: with so many seeds, from the settings' on, all is trained.

    Raises:
        BenchmarkError: the set has no times, or a file is not there.
    """
    from embeddings import export  # torch takes seconds to import

    task = read_task(folder, name, related=related, seed=settings.seed)
    if task.only_order:
        task = replace(task, events=arriving(task.events, np.random.default_rng(settings.seed)))
    with own_graph(settings, "growth") as store:
        intake.load_products(store, task.products, document_of=corpus.product_document)
        intake.load_events(store, task.events, refuse=refuse, pseudonym=str)
        if any(p.title != p.sku for p in task.products):
            jobs.extract(store, settings)
        data, index = export.export_subgraph(store)
    times = _times(data)
    if not len(times):
        raise BenchmarkError(f"{name} has no times, so nothing says what came first. Take another set.")

    ends = np.quantile(times, np.linspace(_FIRST, 1.0, _STEPS + 1))
    found: dict[str, list[np.ndarray]] = {"first nine tenths": [], "fine-tuned": [], "full training": []}
    rows = []
    for seed in range(settings.seed, settings.seed + seeds):
        fit = partial(_fit, data, index, settings, seed)
        first, _ = fit(ends[0], None)
        model, tunings = first, []
        for end in ends[1:]:
            model, seconds = fit(end, model)
            tunings.append(round(seconds, 1))
        full, seconds = fit(ends[-1], None)
        for kind, checkpoint in zip(found, (first, model, full), strict=True):
            found[kind].append(_found(data, index, task, checkpoint))
        rows.append(
            {
                "seed": seed,
                **{kind: _named(values[-1].mean(axis=0)) for kind, values in found.items()},
                "cpu seconds": {"each fine-tuning": tunings, "full training": round(seconds, 1)},
            }
        )
    tuned, whole = (np.mean(found[kind], axis=0) for kind in ("fine-tuned", "full training"))
    gain = (tuned - whole) / whole.mean(axis=0)
    return {
        "set": name,
        "interactions": len(times),
        "seeds": rows,
        "relative": _named(gain.mean(axis=0)),
        "standard error": _named(gain.std(axis=0, ddof=1) / np.sqrt(len(gain))),
    }


def _fit(
    data: HeteroData, index: NodeIndex, settings: Settings, seed: int, until: float, base: Checkpoint | None
) -> tuple[Checkpoint, float]:
    """A training on the graph as it was then, and the processor's seconds that it took."""
    from embeddings import training

    begun = time.process_time()
    part, names = graph_until(data, index, until)
    fitted = training.fit(part, names, seed=seed, device=settings.device, base=base)
    return replace(fitted, version=f"{until:.0f}"), time.process_time() - begun


def arriving(events: Sequence[EventRecord], rng: np.random.Generator) -> tuple[EventRecord, ...]:
    """Of events of which only the order within each user is known: the same in a year, each user's at moments drawn by
    chance, in that order."""
    rows: dict[str, list[EventRecord]] = {}
    for event in events:
        rows.setdefault(event.user, []).append(event)
    return tuple(
        replace(event, at=_BEGIN + float(moment) * _YEAR)
        for mine in rows.values()
        for event, moment in zip(mine, np.sort(rng.random(len(mine))), strict=True)
    )


def _times(data: HeteroData) -> np.ndarray:
    from embeddings.split import interactions

    at = interactions(data).at
    return np.sort(at[~np.isnan(at)])


def graph_until(data: HeteroData, index: NodeIndex, end: float) -> tuple[HeteroData, NodeIndex]:
    """The graph as it was at ``end``: later interactions, and users and products without any, are not there."""
    import torch

    from embeddings.export import INTERACTIONS, NodeIndex
    from embeddings.split import latest

    part = data.clone()
    there = {label: torch.zeros(int(data[label].num_nodes or 0), dtype=torch.bool) for label in ("User", "Product")}
    for type_ in INTERACTIONS:
        edges = part["User", type_, "Product"]
        kept = edges.at <= end
        edges.edge_index, edges.at, edges.strength = edges.edge_index[:, kept], edges.at[kept], edges.strength[kept]
        there["User"][edges.edge_index[0]] = True
        there["Product"][edges.edge_index[1]] = True
    users = np.concatenate([part["User", t, "Product"].edge_index[0].numpy() for t in INTERACTIONS])
    times = np.concatenate([part["User", t, "Product"].at.numpy() for t in INTERACTIONS])
    last = latest(users, times, len(there["User"]))
    part["User"].last_at = torch.from_numpy(np.where(np.isnan(last), end, last))
    keys = {
        label: tuple(key for key, kept in zip(names, there[label].tolist(), strict=True) if kept)
        if label in there
        else names
        for label, names in index.keys.items()
    }
    # What the codes of a text property stand for belongs to all edges; PyG would cut it like a tensor of theirs.
    texts = {edge: part[edge].pop("source_texts") for edge in part.edge_types if "source_texts" in part[edge]}
    part = part.subgraph(there)
    for edge, names in texts.items():
        part[edge].source_texts = names
    return part, NodeIndex(keys)


def _found(data: HeteroData, index: NodeIndex, task: Task, checkpoint: Checkpoint) -> np.ndarray:
    """Of each product that was held out, whether it is among the first ten and 1 / log2(rank + 1), float64 ``[m, 2]``.

    Whom the model does not know it recommends nothing.
    """
    from embeddings.evaluation import rank_all, targets_of
    from embeddings.export import NodeIndex
    from embeddings.scoring import Scorer
    from embeddings.shop import Shop
    from embeddings.split import interactions

    names = NodeIndex({"User": checkpoint.users, "Product": checkpoint.products})
    part, _ = graph_until(data, index, float(checkpoint.version))
    x = interactions(part)
    scorer = Scorer(
        checkpoint.user_vectors,
        checkpoint.product_vectors,
        checkpoint.similar,
        Shop.of(part, x).related,
        checkpoint.popularity,
        checkpoint.weights,
        checkpoint.following,
    )
    users = names.rows("User", [user for user, _ in task.heldout])
    products = names.rows("Product", [sku for _, sku in task.heldout])
    known = np.flatnonzero((users >= 0) & (products >= 0))
    order = known[np.lexsort([products[known], users[known]])]
    targets = targets_of(users[order], products[order])
    rank = rank_all(scorer.ranker(x), targets, x.matrix(known_only=True), np.zeros(x.n_products, dtype=bool), 10).ranks
    found = np.zeros((len(users), 2))
    found[order] = np.stack([np.ones(len(rank)), 1.0 / np.log2(rank + 2.0)], axis=1) * (rank < 10)[:, None]
    return found


def _named(values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(("hr@10", "ndcg@10"), values, strict=True)}
