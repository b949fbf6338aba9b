"""Training: the graph in, a checkpoint out.

The order of things:

1. export the graph (:mod:`embeddings.export`);
2. split it several times: the last product of a third of the users each (:mod:`embeddings.shop`);
3. on each split fit what a mixture can be made of: ridge weights, the sequence's weights, text, shared brands,
   explicit relations (:mod:`embeddings.relations`), and the graph network with early stopping
   (:mod:`embeddings.network`);
4. choose the mixture's weights by their mean over the splits (:mod:`embeddings.mixture`);
5. fit everything once more on the whole graph with what was chosen.

Choosing on several splits guards against luck: on small data any single one is
won by accident.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from torch_geometric.data import HeteroData

from embeddings import newcomers
from embeddings.baselines import Ranker
from embeddings.evaluation import fit_baselines, metrics, rank_all, targets_of
from embeddings.export import SHOP, NodeIndex, export_subgraph
from embeddings.mixture import Mixture, Ridge, choose_mixture, followings_of, ridges_of
from embeddings.network import Network, Report, choose_network, cosines, fit_chosen, vectors_of
from embeddings.newcomers import lifted
from embeddings.registry import Checkpoint, environment, new_version, save
from embeddings.relations import combine, following_weights, prune_together, ridge_weights
from embeddings.scoring import Scorer, no_weights, popularity
from embeddings.settings import TrainSettings
from embeddings.shop import Shop, folds_of
from embeddings.split import Holdout, Interactions, interactions
from kg.errors import EmbeddingError
from kg.store import GraphStore

_NEWCOMERS: Final = 5
"""First of the products that are made new for choosing their lift; every tenth follows."""


def train(
    store: GraphStore,
    *,
    home: Path,
    seed: int = 0,
    device: str = "auto",
    dimensions: int = 64,
    settings: TrainSettings | None = None,
    progress: Report | None = None,
    now: datetime | None = None,
) -> Checkpoint:
    """Train on the graph as it stands and save a checkpoint under ``home``.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` … or ``auto``: the GPU if there is one.
        progress: told of every step; by default a bar on a terminal and silence elsewhere.

    Raises:
        EmptyGraphError: there are no interactions to learn from.
        EmbeddingError: the loss became NaN, or the device is not there.
    """
    chosen = replace(settings or TrainSettings(), dimensions=dimensions)
    version = new_version(now or datetime.now(UTC))
    with _bar(progress) as report:
        report("Exporting", 0, 1)
        begun = time.perf_counter()
        data, index = export_subgraph(store, SHOP)
        exported = time.perf_counter() - begun
        fitted = fit(
            data, index, seed=seed, device=device, settings=chosen, report=report, logs=home / "runs" / version
        )
    checkpoint = replace(fitted, version=version, timings={"export": exported, **fitted.timings})
    save(checkpoint, home)
    return checkpoint


def fit(
    data: HeteroData,
    index: NodeIndex,
    *,
    seed: int,
    device: str = "cpu",
    settings: TrainSettings | None = None,
    report: Report | None = None,
    logs: Path | None = None,
) -> Checkpoint:
    """The whole training on an exported graph, without database or files (but ``logs``, for TensorBoard)."""
    settings = settings or TrainSettings()
    report = report or (lambda *_: None)
    x = interactions(data)
    with _threads(1 if len(x) < settings.large else None):
        return _fit(data, index, x, seed, _device(device), settings, report, logs)


def _fit(
    data: HeteroData,
    index: NodeIndex,
    x: Interactions,
    seed: int,
    where: torch.device,
    settings: TrainSettings,
    report: Report,
    logs: Path | None,
) -> Checkpoint:
    rng = np.random.default_rng(seed)
    clock = _Clock()
    shop = Shop.of(data, x)
    large = len(x) >= settings.large
    folds = folds_of(x, rng, large)
    clock.lap("side relations")
    ridges = ridges_of(folds, x.n_products, settings, report)
    followings = followings_of(folds, settings)
    clock.lap("relations, validation")
    network = choose_network(shop, folds, settings, where, seed, report, logs, large)
    clock.lap("network, validation")
    ridge, mixture = choose_mixture(folds, shop, ridges, followings, network, settings.recency, report)
    clock.lap("mixture")
    lift, lifts = _lift(folds, shop, ridge, mixture, settings, rng) if folds else (newcomers.DEFAULT, {})
    clock.lap("newcomers")
    compared = _compare(folds, shop, ridge, followings, network, mixture, lift, settings, rng) if folds else {}
    clock.lap("baselines, validation")

    report("Relations", 0, 1)
    similar, following = _relations(
        shop,
        x,
        ridge_weights(x.matrix(), (ridge.penalty,), tick=lambda done, of: report("Relations", done, of))[0],
        following_weights(x, settings.recency, settings.next_penalty),
        mixture,
        lift,
        settings.outgoing,
    )
    clock.lap("relations")
    model = fit_chosen(shop, x, network, settings, where, seed, report)
    clock.lap("network")
    users, products = vectors_of(model, x)
    commit, libraries = environment()
    return Checkpoint(
        version="",
        users=index.keys["User"],
        products=index.keys["Product"],
        user_vectors=users,
        product_vectors=products,
        similar=similar,
        following=following,
        popularity=popularity(x),
        weights=mixture.weights,
        state={name: value.cpu().numpy() for name, value in model.state_dict().items()},
        metrics=compared,
        settings={
            **asdict(settings),
            "seed": seed,
            "device": str(where),
            "penalty": ridge.penalty,
            "temperature": network.temperature,
            "epochs_chosen": network.epochs,
            "factors": dict(mixture.factors),
            "sequence": dict(mixture.sequence),
            "lift": lift,
            "lifts": {str(tried): recalls for tried, recalls in lifts.items()},
            "edge_weights": model.type_weights(),
        },
        timings=clock.laps,
        commit=commit,
        libraries=libraries,
    )


def _relations(
    shop: Shop,
    x: Interactions,
    weights: sp.csr_matrix,
    following: sp.csr_matrix,
    mixture: Mixture,
    lift: float,
    most: int,
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """``weight`` and ``next`` of SIMILAR_TO as they will stand in the graph."""
    parts = {"ridge": combine({"ridge": weights}, mixture.factors)}
    if shop.side:
        met = np.asarray(x.matrix().sum(axis=0)).ravel()
        parts["side"] = lifted(combine(shop.side, mixture.factors), met, lift)
    similar = combine(parts, dict.fromkeys(parts, 1.0))
    onward = combine({"next": following, "ridge": weights}, mixture.sequence)
    return prune_together(similar, onward, mixture.weights.next, most)


def _lift(
    folds: Sequence[Holdout],
    shop: Shop,
    ridge: Ridge,
    mixture: Mixture,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> tuple[float, Mapping[float, tuple[float, float]]]:
    """How far newcomers are lifted, by the relations alone: a network would have to be trained without them first."""
    if not shop.side:
        return newcomers.DEFAULT, {}
    fold = folds[0]
    left, new = newcomers.without_a_tenth(fold.train, _NEWCOMERS)
    if len(left) == 0:
        return newcomers.DEFAULT, {}
    (weights,) = ridge_weights(left.matrix(), (ridge.penalty,))
    nothing = no_weights(left.n_products, left.n_products)
    users = np.zeros((left.n_users, 1), dtype=np.float32)
    products = np.zeros((left.n_products, 1), dtype=np.float32)

    def ranker(lift: float) -> Ranker:
        similar, onward = _relations(shop, left, weights, nothing, mixture, lift, settings.outgoing)
        return Scorer(users, products, similar, shop.related, popularity(left), mixture.weights, onward).ranker(left)

    return newcomers.choose_lift(fold, new, left, ranker, rng)


def _compare(
    folds: Sequence[Holdout],
    shop: Shop,
    ridge: Ridge,
    followings: Sequence[sp.csr_matrix],
    network: Network,
    mixture: Mixture,
    lift: float,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The mixture, its parts alone and quick baselines on the first split, side by side."""
    fold = folds[0]
    x = fold.train
    users, products = network.vectors[0]
    similar, following = _relations(shop, x, ridge.weights[0], followings[0], mixture, lift, settings.outgoing)
    scorer = Scorer(users, products, similar, shop.related, popularity(x), mixture.weights, following)
    without = replace(scorer, weights=replace(mixture.weights, embedding=0.0, popularity=0.0))
    rankers = {
        "model": scorer.ranker(x),
        "embedding alone": cosines(users, products),
        "relations alone": without.ranker(x),
        **{name: fit().rank for name, fit in fit_baselines(x, rng, quick=True).items()},
    }
    targets = targets_of(fold.users, fold.products)
    hidden = x.matrix(known_only=True)
    barred = np.zeros(x.n_products, dtype=bool)
    out = {}
    for name, rank in rankers.items():
        ranking = rank_all(rank, targets, hidden, barred, 20)
        out[name] = metrics(ranking.ranks, targets.owner, len(targets.users), (10, 20))
    return out


# --- rims -------------------------------------------------------------------------------------------------------------


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EmbeddingError(f"KG_DEVICE is {name}, but torch sees no GPU here. Set KG_DEVICE=cpu or auto.")
    return torch.device(name)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """torch on ``count`` threads. On small matrices a second one only waits for the first, and on a busy machine
    waits long: a network that trains in 1.4 s on one thread took 88 s on two beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bar(progress: Report | None) -> AbstractContextManager[Report]:
    return contextlib.nullcontext(progress) if progress is not None else _terminal_bar()


@contextlib.contextmanager
def _terminal_bar() -> Iterator[Report]:
    console = Console(stderr=True)
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task: TaskID = bar.add_task("Training", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
