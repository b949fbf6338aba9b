"""Training: the graph in, a checkpoint out.

The order of things:

1. export the graph (:mod:`embeddings.export`);
2. split it several times: the last product of a third of the users each; a large one once, by the last product of some
   users and the last fifth of others' (:mod:`embeddings.shop`);
3. on each split fit what a mixture can be made of: ridge weights, the sequence's weights, text, shared brands,
   explicit relations (:mod:`embeddings.relations`), and the graph network with early stopping
   (:mod:`embeddings.network`);
4. choose the penalty and the mixture's weights by the relations that the graph would get with them, in the mean over
   the users of all splits (:mod:`embeddings.choosing`, :mod:`embeddings.mixture`);
5. fit everything once more on the whole graph with what was chosen.

With a checkpoint to go on from, 2 to 4 are left out and the network is trained on
a little (:mod:`embeddings.finetuning`).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from torch_geometric.data import HeteroData

from embeddings import finetuning
from embeddings.choosing import Clock, choose
from embeddings.export import SHARED, NodeIndex, export_subgraph, shop_with_supplied
from embeddings.finetuning import Renewal, met_by
from embeddings.mirror import Mirror
from embeddings.mixture import similar_to
from embeddings.network import Report, fit_chosen, threads_for, vectors_of
from embeddings.prints import product_prints, user_prints
from embeddings.registry import Checkpoint, environment, new_version, save
from embeddings.ridge import following_weights, ridge_weights
from embeddings.scoring import popularity
from embeddings.settings import TrainSettings
from embeddings.shop import Shop
from embeddings.split import Interactions, interactions
from kg.errors import EmbeddingError
from kg.store import GraphStore


def train(
    store: GraphStore,
    *,
    home: Path,
    seed: int = 0,
    device: str = "auto",
    dimensions: int = 64,
    settings: TrainSettings | None = None,
    base: Checkpoint | None = None,
    progress: Report | None = None,
    now: datetime | None = None,
) -> Checkpoint:
    """Train on the graph as it stands and save a checkpoint under ``home``.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` … or ``auto``: the GPU if there is one.
        base: a checkpoint to go on from; its settings and width are then kept, and ``settings`` and ``dimensions``
            do not matter.
        progress: told of every step; by default a bar on a terminal and silence elsewhere.

    Raises:
        EmptyGraphError: there are no interactions to learn from.
        EmbeddingError: the loss became NaN, or the device is not there.
    """
    chosen = replace(settings or TrainSettings(), dimensions=dimensions)
    version = new_version(now or store.now())
    with _bar(progress) as report:
        report("Exporting", 0, 1)
        begun = time.perf_counter()
        data, index = export_subgraph(store, shop_with_supplied(store))
        exported = time.perf_counter() - begun
        fitted = fit(
            data,
            index,
            seed=seed,
            device=device,
            settings=chosen,
            base=base,
            report=report,
            logs=home / "runs" / version,
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
    base: Checkpoint | None = None,
    report: Report | None = None,
    logs: Path | None = None,
) -> Checkpoint:
    """The whole training on an exported graph, without database or files (but ``logs``, for TensorBoard)."""
    settings = (settings or TrainSettings()) if base is None else finetuning.settings_of(base)
    report = report or (lambda *_: None)
    x = interactions(data)
    with threads_for(len(x), settings):
        return _fit(data, index, x, seed, device_of(device), settings, report, logs, base)


def _fit(
    data: HeteroData,
    index: NodeIndex,
    x: Interactions,
    seed: int,
    where: torch.device,
    settings: TrainSettings,
    report: Report,
    logs: Path | None,
    base: Checkpoint | None,
) -> Checkpoint:
    clock = Clock()
    shop = Shop.of(data, x)
    mirror = Mirror(data, index, x)
    prints = product_prints(mirror, np.arange(x.n_products))
    if base is None:
        choice = choose(shop, x, settings, seed=seed, device=where, report=report, logs=logs, clock=clock)
        renewal = Renewal.of_everything(x)
    else:
        clock.lap("side relations")
        choice, renewal = finetuning.choice_of(base, index), Renewal.since(base, index, x, prints)

    report("Relations", 0, 1)
    columns, rows = (None, None) if renewal.columns.all() else (renewal.columns, renewal.rows)
    similar, following = similar_to(
        shop,
        x,
        ridge_weights(
            x.matrix(),
            (choice.penalty,),
            features=shop.features_times(choice.features),
            columns=columns,
            rows=rows,
            tick=lambda done, of: report("Relations", done, of),
        )[0],
        following_weights(
            x,
            settings.recency,
            settings.next_penalty,
            features=shop.features_times(choice.next_features),
            columns=columns,
            rows=rows,
        ),
        choice.mixture,
        choice.lift,
        settings.outgoing,
    )
    similar, following = renewal.joined(similar, following, choice.mixture.weights.next, settings.outgoing)
    clock.lap("relations")
    model = fit_chosen(shop, x, choice.network, settings, where, seed, report)
    clock.lap("network")
    users, products = vectors_of(model, x)
    if logs is not None:
        write_projector(logs, data, index, products)
        clock.lap("projector")
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
        weights=choice.mixture.weights,
        state={name: value.cpu().numpy() for name, value in model.state_dict().items()},
        metrics=choice.metrics,
        settings={
            **asdict(settings),
            "seed": seed,
            "device": str(where),
            **choice.as_settings(),
            "edge_weights": model.type_weights(),
            "content": model.layout,
            "based_on": None if base is None else base.version,
        },
        timings=clock.laps,
        commit=commit,
        libraries=libraries,
        others={label: index.keys[label] for _, label in SHARED if label in index.keys},
        met=met_by(x),
        user_prints=user_prints(mirror, np.arange(x.n_users)),
        product_prints=prints,
    )


PROJECTED: Final = 10_000
"""Most products in TensorBoard's projector: a browser turns no more of them smoothly."""


def write_projector(logs: Path, data: HeteroData, index: NodeIndex, products: np.ndarray) -> None:
    """The products' vectors for TensorBoard's embedding projector, each with its sku, brand and shelf.

    Of a large catalogue evenly spaced rows, which are in the order of the skus.

    Args:
        logs: the training's folder; the projector's files come into ``projector`` within it.
        products: ``[n_products, d]``; a product without a vector is left out.
    """
    from torch.utils.tensorboard import SummaryWriter  # slow to import

    there = np.flatnonzero(products.any(axis=1))
    if there.size == 0:
        return
    shown = there[np.linspace(0, there.size - 1, min(there.size, PROJECTED)).round().astype(np.int64)]
    columns = [[index.keys["Product"][row] for row in shown]]
    for type_, label in SHARED[:2]:
        names = np.full(len(products), "", dtype=object)
        edge = ("Product", type_, label)
        if edge in data.edge_types:
            heads, tails = data[edge].edge_index.numpy()
            # The first of several.
            names[heads[::-1]] = [index.keys[label][tail] for tail in tails[::-1]]
        columns.append([str(name) for name in names[shown]])
    writer = SummaryWriter(str(logs / "projector"))
    try:
        writer.add_embedding(
            torch.from_numpy(products[shown]),
            metadata=[[_tabless(value) for value in row] for row in zip(*columns, strict=True)],
            metadata_header=["sku", "brand", "category"],
            tag="products",
        )
    finally:
        writer.close()


def _tabless(value: str) -> str:
    """The projector's files are lines of tab-separated fields."""
    return " ".join(value.split()) or "-"


# --- rims -------------------------------------------------------------------------------------------------------------


def device_of(name: str) -> torch.device:
    """The device of a name, ``auto`` for the GPU if there is one.

    Raises:
        EmbeddingError: it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EmbeddingError(f"KG_DEVICE is {name}, but torch sees no GPU here. Set KG_DEVICE=cpu or auto.")
    return torch.device(name)


def _bar(progress: Report | None) -> AbstractContextManager[Report]:
    return contextlib.nullcontext(progress) if progress is not None else _terminal_bar()


@contextlib.contextmanager
def _terminal_bar() -> Iterator[Report]:
    console = Console(stderr=True)
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task: TaskID = bar.add_task("Training", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
