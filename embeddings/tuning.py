"""Trying settings of the network on the splits of a graph, and searching them.

A trial does what a training chooses by: it stops the network early on the first split, trains the others for as long,
and finds the best mixture with it. What counts is the mixture's value over the users of all splits, since a network
that is better alone may add less to the rest. All trials share the splits and the ridge weights, so two of them can
be compared user by user.

The search is Optuna's tree-structured Parzen estimator (Bergstra et al., NIPS 2011). Its journal is a file, to which
each trial is appended as it ends, so a search that is cut off goes on where it was; a graph that has changed begins
another.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch_geometric.data import HeteroData

from embeddings.evaluation import validation_values
from embeddings.mixture import Ridge, choose_mixture, followings_of, ridges_of
from embeddings.network import Report, choose_network, cosines, threads_for
from embeddings.settings import LOSSES, TrainSettings
from embeddings.shop import Shop, folds_of
from embeddings.split import Holdout, Interactions, interactions
from kg.errors import EmbeddingError

if TYPE_CHECKING:
    import optuna


_VALUE: Final = b"served, one product or a fifth"
"""How a trial's value is measured: what an earlier version measured otherwise is not gone on from."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What settings gave."""

    alone: np.ndarray
    """Hit@10 + 2 · NDCG@10 of each user of the splits by the network's vectors alone, ``[m]``."""
    mixed: np.ndarray
    """The same by the best mixture, ``[m]``."""
    seconds: float


@dataclass(frozen=True)
class Bench:
    """A graph's splits, with what all trials share."""

    shop: Shop
    x: Interactions
    folds: tuple[Holdout, ...]
    ridges: tuple[Ridge, ...]
    settings: TrainSettings
    """Those that are changed in a trial."""
    device: torch.device
    seed: int
    report: Report

    @classmethod
    def of(cls, data: HeteroData, settings: TrainSettings, *, device: torch.device, seed: int, report: Report) -> Bench:
        """Split a graph.

        Raises:
            EmbeddingError: it has too few users to choose anything by.
        """
        x = interactions(data)
        shop = Shop.of(data, x)
        folds = folds_of(x, np.random.default_rng(seed), len(x) >= settings.large)
        if not folds:
            raise EmbeddingError("Too few users with two products or more to compare settings by. Load more events.")
        return cls(shop, x, folds, ridges_of(folds, shop, settings, report), settings, device, seed, report)

    def measure(self, settings: TrainSettings) -> Measured:
        """Train the network with these settings and mix it with the rest."""
        with threads_for(len(self.x), settings):
            return self._measure(settings)

    def _measure(self, settings: TrainSettings) -> Measured:
        begun = time.perf_counter()
        large = len(self.x) >= settings.large
        network = choose_network(self.shop, self.folds, settings, self.device, self.seed, self.report, None, large)
        alone = [
            validation_values(cosines(*vectors), fold)
            for vectors, fold in zip(network.vectors, self.folds, strict=True)
        ]
        followings = followings_of(self.folds, self.shop, self.ridges, settings)
        _, _, mixed = choose_mixture(
            self.folds, self.shop, self.ridges, followings, network, settings, self.report, self.seed
        )
        return Measured(np.concatenate(alone), mixed, time.perf_counter() - begun)

    @property
    def digest(self) -> str:
        """Of all that users did, and of what is said of the products: trials on another graph are not comparable."""
        found = hashlib.sha256(_VALUE)
        said = [array for edges in self.shop.catalogue for array in (edges.heads, edges.tails)]
        did = (self.x.users, self.x.products, self.x.strength, np.nan_to_num(self.x.at))
        for array in (*did, *said, *self.shop.content.blocks.values()):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:12]


SPACE: Final[Mapping[str, Callable[[optuna.Trial], Any]]] = {
    "layers": lambda trial: trial.suggest_int("layers", 1, 4),
    "temperatures": lambda trial: (trial.suggest_float("temperatures", 0.05, 1.0, log=True),),
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.001, 0.05, log=True),
    "decay": lambda trial: trial.suggest_float("decay", 0.01, 2.0, log=True),
    "newcomers": lambda trial: trial.suggest_float("newcomers", 0.0, 1.0),
    "recency": lambda trial: trial.suggest_float("recency", 0.3, 0.9),
    "next_penalty": lambda trial: trial.suggest_float("next_penalty", 5.0, 100.0, log=True),
    "loss": lambda trial: trial.suggest_categorical("loss", list(LOSSES)),
    "hard_negatives": lambda trial: trial.suggest_int("hard_negatives", 0, 8),
    "edge_dropout": lambda trial: trial.suggest_float("edge_dropout", 0.0, 0.5),
    "contrast": lambda trial: trial.suggest_float("contrast", 0.0, 0.5),
}
"""What is searched: each setting of :class:`TrainSettings`, and how a trial draws it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found so far."""

    trials: int
    default: float
    """The value of the settings that are there without a search."""
    best: float
    settings: Mapping[str, Any]
    """Those of the best trial that differ from the default, as ``kg train --set`` takes them."""
    difference: float
    """Mean of best less default, user by user."""
    error: float
    """Its standard error. The best of many trials is partly luck, which it does not contain."""


def search(bench: Bench, folder: Path, *, trials: int, seconds: float | None, progress: Report) -> Found:
    """Go on with the search of this graph until it has so many trials, or the time is up.

    The first trial has the default settings, so that whatever is found is seen beside them.

    Args:
        folder: where the journal is, and stays.
        trials: in all, those of earlier calls included.
        seconds: after which no further trial begins.

    Raises:
        EmbeddingError: Optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise EmbeddingError("Searching settings needs Optuna. Install it: pip install 'shopgraph[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{bench.digest}-{bench.settings.dimensions}-{bench.seed}"
    storage = JournalStorage(JournalFileBackend(str(folder / f"{name}.journal")))
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    done = _ended(study)
    # Drawn anew by the count, or a search that goes on would draw what it began with.
    study.sampler = optuna.samplers.TPESampler(seed=bench.seed + len(done), n_startup_trials=10)
    begun = time.perf_counter()
    while len(done) < trials and (seconds is None or not done or time.perf_counter() - begun < seconds):
        progress("Trials", len(done), trials)
        trial = study.ask()
        changes = {} if not done else {setting: draw(trial) for setting, draw in SPACE.items()}
        measured = bench.measure(replace(bench.settings, **changes))
        trial.set_user_attr("changes", changes)
        trial.set_user_attr("values", measured.mixed.round(6).tolist())
        study.tell(trial, float(measured.mixed.mean()))
        done = _ended(study)
    best = max(done, key=lambda trial: (trial.value or 0.0, -trial.number))
    values, default = (np.array(trial.user_attrs["values"]) for trial in (best, done[0]))
    difference = values - default
    return Found(
        trials=len(done),
        default=float(default.mean()),
        best=float(values.mean()),
        settings=best.user_attrs["changes"],
        difference=float(difference.mean()),
        error=float(difference.std(ddof=1) / np.sqrt(len(difference))),
    )


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials with a value, in their order; one that was cut off has none."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]


def as_options(settings: Mapping[str, Any]) -> str:
    """Settings as ``kg train`` takes them."""
    shown = {n: ",".join(map(_number, v)) if isinstance(v, list | tuple) else _number(v) for n, v in settings.items()}
    return " ".join(f"--set {name}={value}" for name, value in shown.items())


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
