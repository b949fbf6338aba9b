"""Training: the graph in, a checkpoint out.

The order of things, each a function below:

1. export the graph (:mod:`embeddings.export`);
2. split it several ways: each user's last product, the one before it, random ones (:mod:`embeddings.split`);
3. on each split fit what a mixture can be made of: ridge weights, text, shared brands, explicit relations, and
   the graph network with early stopping;
4. choose the mixture's weights by their mean over the splits, one coordinate at a time;
5. fit everything once more on the whole graph with what was chosen.

Choosing on several splits guards against luck: on small data any single one is
won by accident.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import structlog
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from torch_geometric.data import HeteroData

from embeddings.baselines import Ranker
from embeddings.evaluation import (
    VALIDATION_USERS,
    fit_baselines,
    metrics,
    rank_all,
    targets_of,
    validation_score,
)
from embeddings.export import SHARED, SHOP, NodeIndex, export_subgraph
from embeddings.gcn import HeteroLightGCN, TypedEdges, normalised_adjacency, softmax_loss, spectral_vectors
from embeddings.registry import Checkpoint, environment, new_version, save
from embeddings.relations import EXACT_PRODUCTS, combine, either_way, explicit_relations, ridge_weights, side_parts
from embeddings.scoring import Scorer, ScoreWeights, history, popularity
from embeddings.split import Holdout, Interactions, hold_out, interactions
from kg.errors import EmbeddingError
from kg.store import GraphStore

log = structlog.get_logger()

Report = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Every size that training uses. The defaults were chosen on validation splits of the sets in docs/benchmark.md."""

    dimensions: int = 64
    layers: int = 2
    temperatures: tuple[float, ...] = (0.4, 0.15)
    """The first is for small graphs, where a soft loss generalises; with many interactions the last, sharper one."""
    learning_rate: float = 0.01
    epochs: int = 60
    steps: int = 50
    """Steps into which an epoch is divided, as far as the sizes of a step allow."""
    batch: tuple[int, int] = (1024, 8192)
    """Least and most interactions in a step. Each step propagates through the whole graph."""
    patience: int = 6
    """Evaluations without improvement before training ends."""
    evaluate_every: int = 4
    """Epochs between evaluations."""
    negatives: int = 512
    """Random products against which the positives of a step are held."""
    all_negatives: int = 2048
    """In a catalogue of at most this many products all are the negatives, and the softmax is a full one."""
    decay: float = 0.25
    """Weight of the mean squared length of the free vectors in the loss."""
    penalties: tuple[float, ...] = (20.0, 50.0, 100.0, 200.0, 400.0)
    """λ of the ridge to choose from, where the whole catalogue is solved at once."""
    local_penalties: tuple[float, ...] = (5.0,)
    """λ where each product is regressed on its neighbours."""
    half_lives: tuple[float, ...] = (365.0, 90.0, 3650.0)
    """Days after which interest has halved, to choose from; the first where nothing can be chosen."""
    outgoing: int = 50
    """Most SIMILAR_TO relations of a product."""
    large: int = 100_000
    """From this many interactions on, fewer splits and settings are tried."""


FACTORS: Final = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights tried for each part beside the ridge weights, in units of a product's strongest ridge weight."""
_WORTHWHILE: Final = 0.002
"""Relative gain below which a further weight is not worth having: less than that is noise."""
_POOL: Final = 100
"""Strongest products of each part that are ranked against each other, in a large catalogue."""
_SMALL_CATALOGUE: Final = 1_500
"""Up to this many products all are ranked."""
_FEW: Final = 20
"""With fewer users held out nothing can be chosen, and the default mixture is taken."""
_DEFAULT: Final = {"text": 0.12, "made_by": 0.12, "popularity": 0.06, "embedding": 0.12}
"""In units as :data:`FACTORS`; what was chosen on Musical Instruments, rounded."""
_DEFAULT_RELATION: Final = 0.25
"""The same for a type of explicit relation."""
_DEFAULT_UNIT: Final = 0.1


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
    shop = _Shop.of(data, x)
    large = len(x) >= settings.large
    folds = _folds(x, rng, large)

    side = side_parts(data)
    clock.lap("side relations")
    ridges = _ridges(folds, x.n_products, settings, report)
    clock.lap("ridge")
    network = _choose_network(shop, folds, settings, where, seed, report, logs, large)
    clock.lap("network, validation")
    ridge, mixture = _choose_mixture(folds, side, shop, ridges, network, report)
    clock.lap("mixture")
    compared = _compare(folds, side, shop, ridge, network, mixture, settings, rng)
    clock.lap("baselines, validation")

    report("Relations", 0, 1)
    weights = ridge_weights(x.matrix(), ridge.penalty, tick=lambda done, of: report("Relations", done, of))
    similar = combine({"ridge": weights, **side}, mixture.factors, settings.outgoing)
    clock.lap("relations")
    model, _ = _fit_network(shop, x, None, settings, network.temperature, network.epochs, where, seed, report, None)
    clock.lap("network")
    users, products = _vectors(model, x)
    commit, libraries = environment()
    return Checkpoint(
        version="",
        users=index.keys["User"],
        products=index.keys["Product"],
        user_vectors=users,
        product_vectors=products,
        similar=similar,
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
            "factors": mixture.factors,
            "edge_weights": model.type_weights(),
        },
        timings=clock.laps,
        commit=commit,
        libraries=libraries,
    )


# --- what the network sees -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shop:
    """The part of the graph that no split touches, in the network's common numbering of nodes."""

    n_users: int
    n_products: int
    n_nodes: int
    text: np.ndarray | None
    catalogue: tuple[TypedEdges, ...]
    related: Mapping[str, sp.csr_matrix]
    """Explicit relations by type, as the score counts them."""

    @classmethod
    def of(cls, data: HeteroData, x: Interactions) -> _Shop:
        first = {"Product": x.n_users}
        end = x.n_users + x.n_products
        for _, label in SHARED:
            first[label] = end
            end += int(data[label].num_nodes or 0) if label in data.node_types else 0
        edges = []
        related: dict[str, sp.csr_matrix] = {}
        for type_, source, index in explicit_relations(data):
            edges.append(TypedEdges(f"{type_}:{source}", index[0] + x.n_users, index[1] + x.n_users))
            both = either_way(index, x.n_products)
            related[type_] = both.maximum(related[type_]) if type_ in related else both
        for start, type_, label in data.edge_types:
            if start == "Product" and label in first and label != "Product":
                index = data[start, type_, label].edge_index.numpy()
                edges.append(TypedEdges(f"{type_}:{label}", index[0] + x.n_users, index[1] + first[label]))
        text = data["Product"].text_embedding.numpy() if "text_embedding" in data["Product"] else None
        if text is not None and not text.any():
            text = None
        return cls(
            n_users=x.n_users,
            n_products=x.n_products,
            n_nodes=end,
            text=text,
            catalogue=tuple(e for e in edges if len(e.heads)),
            related=related,
        )


def _folds(x: Interactions, rng: np.random.Generator, large: bool) -> tuple[Holdout, ...]:
    """The splits, at most :data:`VALIDATION_USERS` users each; none if there are too few users to choose by."""
    last = hold_out(x, rng, by_time=True, most=VALIDATION_USERS)
    splits = [last, hold_out(x, rng, by_time=False, most=VALIDATION_USERS)]
    if not large:
        splits[1:1] = [hold_out(last.train, rng, by_time=True, most=VALIDATION_USERS)]
        splits.append(hold_out(x, rng, by_time=False, most=VALIDATION_USERS))
    return tuple(s for s in splits if len(s.users) >= _FEW and len(s.train) > 0)


# --- ridge ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ridge:
    """Ridge weights of every fold for one penalty, and the half-life that suits them."""

    penalty: float
    half_life_days: float
    unit: float
    """Strongest outgoing weight of a product, on average: the scale against which other parts are weighed."""
    weights: tuple[sp.csr_matrix, ...]


def _ridges(folds: Sequence[Holdout], n_products: int, settings: TrainSettings, report: Report) -> tuple[_Ridge, ...]:
    """One for each penalty to choose from."""
    penalties = settings.penalties if n_products <= EXACT_PRODUCTS else settings.local_penalties
    if not folds:
        return (_Ridge(penalties[len(penalties) // 2], settings.half_lives[0], _DEFAULT_UNIT, ()),)
    out = []
    for step, penalty in enumerate(penalties):
        report("Relations, validation", step, len(penalties))
        weights = tuple(ridge_weights(fold.train.matrix(), penalty) for fold in folds)
        scores = {
            half_life: sum(
                validation_score(_through(history(fold.train, half_life), w), fold)
                for fold, w in zip(folds, weights, strict=True)
            )
            for half_life in settings.half_lives
        }
        strongest = np.concatenate([np.asarray(w.max(axis=1).todense()).ravel() for w in weights])
        unit = float(strongest[strongest > 0].mean()) if (strongest > 0).any() else _DEFAULT_UNIT
        out.append(_Ridge(penalty, max(scores, key=scores.__getitem__), unit, weights))
    return tuple(out)


def _through(past: sp.csr_matrix, weights: sp.csr_matrix) -> Ranker:
    return lambda rows: np.asarray((past[rows] @ weights).todense(), dtype=np.float32)


# --- the network ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Network:
    temperature: float
    epochs: int
    vectors: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Users' and products' vectors of each fold."""


def _choose_network(
    shop: _Shop,
    folds: Sequence[Holdout],
    settings: TrainSettings,
    device: torch.device,
    seed: int,
    report: Report,
    logs: Path | None,
    large: bool,
) -> _Network:
    """Stop early on the first split, for each temperature; train the other splits for as long."""
    if not folds:
        return _Network(settings.temperatures[0], settings.epochs // 2, ())
    temperatures = settings.temperatures[-1:] if large else settings.temperatures
    best: tuple[float, float, int, HeteroLightGCN] | None = None
    for temperature in temperatures:
        where = None if logs is None else logs / f"temperature-{temperature:g}"
        model, curve = _fit_network(
            shop, folds[0].train, folds[0], settings, temperature, settings.epochs, device, seed, report, where
        )
        score, epochs = max((score, -epoch) for epoch, score in curve)
        if best is None or score > best[0]:
            best = (score, temperature, -epochs, model)
    assert best is not None  # there is at least one temperature
    _, temperature, epochs, model = best
    vectors = [_vectors(model, folds[0].train)]
    for fold in folds[1:]:
        other, _ = _fit_network(shop, fold.train, None, settings, temperature, epochs, device, seed, report, None)
        vectors.append(_vectors(other, fold.train))
    return _Network(temperature, epochs, tuple(vectors))


def _fit_network(
    shop: _Shop,
    x: Interactions,
    validation: Holdout | None,
    settings: TrainSettings,
    temperature: float,
    epochs: int,
    device: torch.device,
    seed: int,
    report: Report,
    logs: Path | None,
) -> tuple[HeteroLightGCN, list[tuple[int, float]]]:
    """One network. With ``validation`` it stops early and comes back as it was at its best."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    met = x.matrix().tocoo()
    users, products = torch.from_numpy(met.row.astype(np.int64)), torch.from_numpy(met.col.astype(np.int64))
    model = _network(shop, x, settings, rng, generator).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    least, most = settings.batch
    batch = min(max(least, -(-len(users) // settings.steps)), most)
    curve: list[tuple[int, float]] = []
    best: tuple[float, dict[str, torch.Tensor]] | None = None
    stage = "Network" if validation is None else f"Network, validation at temperature {temperature:g}"
    with _tensorboard(logs) as writer:
        for epoch in range(epochs + 1):
            if validation is not None and epoch % settings.evaluate_every == 0:
                score = validation_score(_cosines(*_vectors(model, x)), validation)
                curve.append((epoch, score))
                writer("validation", score, epoch)
                if best is None or score > best[0]:
                    best = (score, {name: value.detach().clone() for name, value in model.state_dict().items()})
                elif len(curve) - 1 - max(range(len(curve)), key=lambda i: curve[i][1]) >= settings.patience:
                    break
            if epoch == epochs:
                break
            report(stage, epoch, epochs)
            loss = _epoch(model, optimiser, users, products, batch, temperature, settings, generator, device)
            writer("loss", loss, epoch)
            if not np.isfinite(loss):
                raise EmbeddingError(
                    f"The loss became {loss} in epoch {epoch + 1}. Check text_embedding and strength for NaN or huge "
                    "values, or lower the learning rate, and train again."
                )
    if best is not None:
        model.load_state_dict(best[1])
    return model, curve


def _network(
    shop: _Shop, x: Interactions, settings: TrainSettings, rng: np.random.Generator, generator: torch.Generator
) -> HeteroLightGCN:
    met = x.matrix().tocoo()
    edges = [TypedEdges("INTERACTED", met.row.astype(np.int64), met.col.astype(np.int64) + x.n_users), *shop.catalogue]
    adjacency = {e.name: normalised_adjacency(e, shop.n_nodes) for e in edges}
    initial = np.zeros((shop.n_nodes, settings.dimensions), dtype=np.float32)
    users, products = spectral_vectors(x.matrix(), settings.dimensions, rng)
    initial[: x.n_users] = users
    initial[x.n_users : x.n_users + x.n_products] = products
    model = HeteroLightGCN(adjacency, x.n_users, x.n_products, shop.text, initial, layers=settings.layers)
    if model.project is not None:
        # Small and random: zero would leave a product without interactions at the origin, where no cosine is.
        with torch.no_grad():
            model.project.weight.normal_(0.0, 0.01, generator=generator)
    return model


def _epoch(
    model: HeteroLightGCN,
    optimiser: torch.optim.Optimizer,
    users: torch.Tensor,
    products: torch.Tensor,
    batch: int,
    temperature: float,
    settings: TrainSettings,
    generator: torch.Generator,
    device: torch.device,
) -> float:
    """One pass over the interactions in random order; the mean loss."""
    order = torch.randperm(len(users), generator=generator)
    total = 0.0
    steps = order.split(batch)
    for chosen in steps:
        u, p = users[chosen], products[chosen]
        if model.n_products <= settings.all_negatives:
            others = torch.arange(model.n_products)
        else:
            others = torch.randint(model.n_products, (settings.negatives,), generator=generator)
        user_vectors, product_vectors = model()
        loss = softmax_loss(user_vectors[u.to(device)], product_vectors, p.to(device), others.to(device), temperature)
        loss = loss + settings.decay * model.free.pow(2).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach())
    return total / len(steps)


def _vectors(model: HeteroLightGCN, x: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors; a user without interactions has none (a zero row): it would only be noise."""
    with torch.no_grad():
        users, products = (v.cpu().numpy() for v in model())
    met = np.zeros(x.n_users, dtype=bool)
    met[x.users] = True
    return np.where(met[:, None], users, 0.0).astype(np.float32), products.astype(np.float32)


def _cosines(users: np.ndarray, products: np.ndarray) -> Ranker:
    return lambda rows: users[rows] @ products.T


# --- the mixture ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mixture:
    factors: dict[str, float]
    """Of the parts of SIMILAR_TO."""
    weights: ScoreWeights


@dataclass(frozen=True, slots=True)
class _Panel:
    """The parts' scores of some products for the users of one fold, so that any mixture is a weighted sum."""

    parts: Mapping[str, np.ndarray]
    """float32 ``[m, c]`` each."""
    own: Mapping[str, np.ndarray]
    """The same for each user's target, ``[m, 1]``."""
    hidden: np.ndarray
    """bool ``[m, c]``: known products, doubles and the target itself, which are not ranked against it."""

    def value(self, mixed: np.ndarray, own: np.ndarray) -> float:
        """HR@10 + 2 · NDCG@10."""
        better = ((mixed > own) & ~self.hidden).sum(1)
        equal = ((mixed == own) & ~self.hidden).sum(1)
        ranks = better + equal / 2.0
        hit = ranks < 10
        return float(np.mean(hit) + 2.0 * np.mean(np.where(hit, 1.0 / np.log2(ranks + 2.0), 0.0)))


def _choose_mixture(
    folds: Sequence[Holdout],
    side: Mapping[str, sp.csr_matrix],
    shop: _Shop,
    ridges: Sequence[_Ridge],
    network: _Network,
    report: Report,
) -> tuple[_Ridge, _Mixture]:
    """For each penalty of the ridge the best mixture with it; the best of these."""
    names = ["embedding", "popularity", *side, *(f"type:{t}" for t in shop.related)]
    if not folds:
        default = {n: _DEFAULT.get(n, _DEFAULT_RELATION if n.startswith("type:") else 0.0) for n in names}
        return ridges[0], _mixture({n: f * ridges[0].unit for n, f in default.items()}, ridges[0])
    best: tuple[float, _Ridge, dict[str, float]] | None = None
    for number, ridge in enumerate(ridges):
        report("Mixture", number, len(ridges))
        panels = [
            _panel(fold, side, shop, weights, vectors, ridge.half_life_days)
            for fold, weights, vectors in zip(folds, ridge.weights, network.vectors, strict=True)
        ]
        # One coordinate at a time ends where it happens to begin; beginning at either end finds the better of two.
        for order in (names, names[::-1]):
            value, chosen = _coordinate_search(panels, order, ridge.unit)
            if best is None or value > best[0]:
                best = (value, ridge, chosen)
    assert best is not None  # there is at least one ridge
    return best[1], _mixture(best[2], best[1])


def _mixture(chosen: Mapping[str, float], ridge: _Ridge) -> _Mixture:
    of_score = {"embedding", "popularity"}
    factors = {"ridge": 1.0} | {n: w for n, w in chosen.items() if n not in of_score and not n.startswith("type:")}
    weights = ScoreWeights(
        embedding=chosen.get("embedding", 0.0),
        similar=1.0,
        popularity=chosen.get("popularity", 0.0),
        half_life_days=ridge.half_life_days,
        relations={n.removeprefix("type:"): w for n, w in chosen.items() if n.startswith("type:")},
    )
    return _Mixture(factors, weights)


def _panel(
    fold: Holdout,
    side: Mapping[str, sp.csr_matrix],
    shop: _Shop,
    ridge: sp.csr_matrix,
    vectors: tuple[np.ndarray, np.ndarray],
    half_life_days: float,
) -> _Panel:
    past = history(fold.train, half_life_days)[fold.users]
    users, products = vectors
    n = fold.train.n_products
    popular = popularity(fold.train)

    def full(begin: int, end: int) -> dict[str, np.ndarray]:
        some = past[begin:end]
        parts = {"ridge": ridge, **side, **{f"type:{t}": r for t, r in shop.related.items()}}
        scores = {name: np.asarray((some @ part).todense(), dtype=np.float32) for name, part in parts.items()}
        scores["embedding"] = users[fold.users[begin:end]] @ products.T
        scores["popularity"] = np.broadcast_to(popular, (end - begin, n))
        return scores

    met = fold.train.matrix(known_only=True)[fold.users]
    gathered: list[dict[str, np.ndarray]] = []
    own: list[dict[str, np.ndarray]] = []
    hidden = []
    for begin in range(0, len(fold.users), 256):
        end = min(begin + 256, len(fold.users))
        scores = full(begin, end)
        target = fold.products[begin:end, None]
        if n <= _SMALL_CATALOGUE:
            pool = np.broadcast_to(np.arange(n), (end - begin, n))
        else:
            pool = np.concatenate([np.argpartition(-s, _POOL - 1, axis=1)[:, :_POOL] for s in scores.values()], axis=1)
            pool = np.sort(pool, axis=1)
        known = np.zeros((end - begin, n), dtype=bool)
        rows = met[begin:end].tocoo()
        known[rows.row, rows.col] = True
        double = np.zeros(pool.shape, dtype=bool)
        double[:, 1:] = pool[:, 1:] == pool[:, :-1]
        hidden.append(np.take_along_axis(known, pool, axis=1) | double | (pool == target))
        gathered.append({name: np.take_along_axis(s, pool, axis=1) for name, s in scores.items()})
        own.append({name: np.take_along_axis(s, target, axis=1) for name, s in scores.items()})
    return _Panel(
        parts={name: np.concatenate([g[name] for g in gathered]) for name in gathered[0]},
        own={name: np.concatenate([o[name] for o in own]) for name in own[0]},
        hidden=np.concatenate(hidden),
    )


def _coordinate_search(
    panels: Sequence[_Panel], names: Sequence[str], unit: float, rounds: int = 3
) -> tuple[float, dict[str, float]]:
    """The weights of the parts beside the ridge's 1, one after the other, until none is worth changing."""
    chosen = dict.fromkeys(names, 0.0)
    mixed = [p.parts["ridge"].copy() for p in panels]
    own = [p.own["ridge"].copy() for p in panels]
    best = float(np.mean([p.value(m, o) for p, m, o in zip(panels, mixed, own, strict=True)]))
    for _ in range(rounds):
        changed = False
        for name in names:
            tried = {}
            for factor in FACTORS:
                step = np.float32(factor * unit - chosen[name])
                values = [
                    p.value(m + step * p.parts[name], o + step * p.own[name])
                    for p, m, o in zip(panels, mixed, own, strict=True)
                ]
                tried[factor * unit] = float(np.mean(values))
            factor = max(tried, key=tried.__getitem__)
            if tried[factor] > best * (1.0 + _WORTHWHILE):
                step = np.float32(factor - chosen[name])
                for p, m, o in zip(panels, mixed, own, strict=True):
                    m += step * p.parts[name]
                    o += step * p.own[name]
                chosen[name], best, changed = factor, tried[factor], True
        if not changed:
            break
    return best, chosen


# --- what came of it -----------------------------------------------------------------------------------------


def _compare(
    folds: Sequence[Holdout],
    side: Mapping[str, sp.csr_matrix],
    shop: _Shop,
    ridge: _Ridge,
    network: _Network,
    mixture: _Mixture,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The mixture, its parts alone and the baselines on the first split, side by side."""
    if not folds:
        return {}
    fold = folds[0]
    x = fold.train
    users, products = network.vectors[0]
    scorer = Scorer(
        users,
        products,
        combine({"ridge": ridge.weights[0], **side}, mixture.factors, settings.outgoing),
        shop.related,
        popularity(x),
        mixture.weights,
    )
    past = history(x, mixture.weights.half_life_days)
    through = scorer.item_weights()
    rankers = {
        "model": lambda rows: scorer.scores(past, rows, through),
        "embedding alone": _cosines(users, products),
        "relations alone": _through(past, through),
        **{baseline.name: baseline.rank for baseline in (fit() for fit in fit_baselines(x, rng))},
    }
    targets = targets_of(fold.users, fold.products)
    hidden = x.matrix(known_only=True)
    barred = np.zeros(x.n_products, dtype=bool)
    out = {}
    for name, rank in rankers.items():
        ranking = rank_all(rank, targets, hidden, barred, 20)
        out[name] = metrics(ranking.ranks, targets.owner, len(targets.users), (10, 20))
    return out


# --- rims ----------------------------------------------------------------------------------------------------


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


@contextlib.contextmanager
def _tensorboard(folder: Path | None) -> Iterator[Callable[[str, float, int], None]]:
    if folder is None:
        yield lambda *_: None
        return
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and not always wanted

    writer = SummaryWriter(str(folder))
    try:
        yield writer.add_scalar
    finally:
        writer.close()


def _bar(progress: Report | None) -> AbstractContextManager[Report]:
    return contextlib.nullcontext(progress) if progress is not None else _terminal_bar()


@contextlib.contextmanager
def _terminal_bar() -> Iterator[Report]:
    console = Console(stderr=True)
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task: TaskID = bar.add_task("Training", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
