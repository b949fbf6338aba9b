"""What a training chooses, on splits of the graph: the mixture, the ridge's penalty, how the network is trained.

Each split takes the last product, or the last few, of some users away (:mod:`embeddings.shop`). Choosing on several
guards against luck: on small data any single one is won by accident. Where there is one split, that both kinds of users
count guards against what is good at one thing only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch

from embeddings import newcomers
from embeddings.baselines import Ranker
from embeddings.evaluation import fit_baselines, metrics, rank_all, targets_of
from embeddings.mixture import Mixture, Ridge, choose_mixture, followings_of, ridges_of, similar_to
from embeddings.network import Network, Report, choose_network, cosines
from embeddings.ridge import ridge_weights
from embeddings.scoring import Scorer, no_weights, popularity
from embeddings.settings import TrainSettings
from embeddings.shop import Shop, folds_of
from embeddings.split import Holdout, Interactions

_NEWCOMERS: Final = 5
"""First of the products that are made new for choosing their lift; every tenth follows."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the splits decided, and with what the whole graph is then fitted."""

    penalty: float
    """λ of the ridge."""
    mixture: Mixture
    lift: float
    """Of newcomers (:mod:`embeddings.newcomers`)."""
    network: Network
    features: float = 0.0
    """For how many users what is said of the products counts in the ridge,"""
    next_features: float = 0.0
    """and for how many steps in the sequence's: as much, but models of before know none there."""
    lifts: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    """For each lift that was tried, recall@20 of newcomers and of the rest."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The mixture, its parts and quick baselines on the first split."""

    def as_settings(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {
            "penalty": self.penalty,
            "features": self.features,
            "next_features": self.next_features,
            "temperature": self.network.temperature,
            "epochs_chosen": self.network.epochs,
            "factors": dict(self.mixture.factors),
            "sequence": dict(self.mixture.sequence),
            "lift": self.lift,
            "lifts": {str(tried): recalls for tried, recalls in self.lifts.items()},
        }


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """The stage that has just ended took the time since the last one."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def choose(
    shop: Shop,
    x: Interactions,
    settings: TrainSettings,
    *,
    seed: int,
    device: torch.device,
    report: Report,
    logs: Path | None,
    clock: Clock,
) -> Choice:
    """Fit what a mixture can be made of on each split, and choose by the mean over the splits."""
    rng = np.random.default_rng(seed)
    large = len(x) >= settings.large
    folds = folds_of(x, rng, large)
    clock.lap("side relations")
    ridges = ridges_of(folds, shop, settings, report)
    followings = followings_of(folds, shop, ridges, settings)
    clock.lap("relations, validation")
    network = choose_network(shop, folds, settings, device, seed, report, logs, large)
    clock.lap("network, validation")
    ridge, mixture, _ = choose_mixture(folds, shop, ridges, followings, network, settings, report, seed)
    clock.lap("mixture")
    lift, lifts = _lift(folds, shop, ridge, mixture, settings, rng) if folds else (newcomers.DEFAULT, {})
    clock.lap("newcomers")
    compared = (
        _compare(folds, shop, ridge, followings[ridge.features][0], network, mixture, lift, settings, rng)
        if folds
        else {}
    )
    clock.lap("baselines, validation")
    return Choice(ridge.penalty, mixture, lift, network, ridge.features, ridge.features, lifts, compared)


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
    (weights,) = ridge_weights(left.matrix(), (ridge.penalty,), features=shop.features_times(ridge.features))
    nothing = no_weights(left.n_products, left.n_products)
    users = np.zeros((left.n_users, 1), dtype=np.float32)
    products = np.zeros((left.n_products, 1), dtype=np.float32)

    def ranker(lift: float) -> Ranker:
        similar, onward = similar_to(shop, left, weights, nothing, mixture, lift, settings.outgoing)
        return Scorer(users, products, similar, shop.related, popularity(left), mixture.weights, onward).ranker(left)

    return newcomers.choose_lift(fold, new, left, ranker, rng)


def _compare(
    folds: Sequence[Holdout],
    shop: Shop,
    ridge: Ridge,
    following: sp.csr_matrix,
    network: Network,
    mixture: Mixture,
    lift: float,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The mixture, its parts alone and quick baselines on the first split, side by side.

    By this split and its like the mixture was chosen, so it is flattered beside the baselines; what nothing was chosen
    by is for ``kg evaluate recommend``.
    """
    fold = folds[0]
    x = fold.train
    users, products = network.vectors[0]
    similar, onward = similar_to(shop, x, ridge.weights[0], following, mixture, lift, settings.outgoing)
    scorer = Scorer(users, products, similar, shop.related, popularity(x), mixture.weights, onward)
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
