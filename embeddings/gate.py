"""The gate before a promotion: is the new model no worse on validation than the live one, beyond chance?

Both models learned from the whole graph, so neither can be asked about it as it stands. What is compared is what they
were made by, their *recipes*: settings, mixture, penalty, temperature and number of epochs. Each is fitted again on the
same splits of today's graph, without the products that were held out, and ranks these for the same users. (The live
model itself has seen most of what a split holds out, and would win by memory.) A difference is judged by the standard
error of the paired differences: what makes one user harder than another, which is most of the spread, falls out. The
new model passes unless it is worse by more than 1.645 standard errors, the one-sided 5 % level.

That the arrays which are to be written are what the recipe gives is a second question: a fit can go wrong, a file can
be damaged. The new checkpoint has seen what is held out, so it must rank it no worse than its own recipe did unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch

from embeddings import finetuning
from embeddings.choosing import Choice
from embeddings.evaluation import mean_by, targets_of, validation_values
from embeddings.export import NodeIndex, export_subgraph, shop_with_supplied
from embeddings.mixture import similar_to
from embeddings.network import Fit, Report, threads_for, vectors_of
from embeddings.registry import Checkpoint
from embeddings.ridge import following_weights, ridge_weights
from embeddings.scoring import Scorer, moved, popularity
from embeddings.settings import TrainSettings
from embeddings.shop import Shop, folds_of
from embeddings.split import Holdout, interactions
from kg.store import GraphStore

ERRORS: Final = 1.645
"""Standard errors by which the new model may be worse: the normal distribution's 95 % point."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found."""

    passed: bool
    reason: str
    """In words, with its numbers."""
    against: str | None = None
    """The live version; None where there was none, or nothing to compare by."""
    users: int = 0
    value: float | None = None
    """HR@10 + 2 · NDCG@10 of the new recipe, on the splits."""
    difference: float | None = None
    """That less the live recipe's."""
    error: float | None = None
    """Standard error of the difference, paired by user."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def compare(
    store: GraphStore,
    new: Checkpoint,
    live: Checkpoint,
    *,
    device: torch.device,
    seed: int,
    report: Report,
    unattended: bool = False,
) -> Verdict:
    """Compare two checkpoints on splits of the graph as it stands.

    Args:
        unattended: nobody is there to be told that there are too few users to compare by, so that does not pass.
    """
    data, index = export_subgraph(store, shop_with_supplied(store))
    x = interactions(data)
    shop = Shop.of(data, x)
    # Not the stream of random numbers that training drew its splits from: by those users the new recipe was chosen.
    rng = np.random.default_rng([seed, 1])
    folds = folds_of(x, rng, len(x) >= finetuning.settings_of(new).large)
    if not folds:
        return Verdict(not unattended, "too few users to compare it with the live model", live.version)
    refits = Refits(shop, folds, index, device, seed, report)
    with threads_for(len(x), finetuning.settings_of(new)):
        recipes = refits.values(new), refits.values(live)
    return judged(*recipes, artefact_values(new, shop, folds, index), live.version)


def judged(new: np.ndarray, live: np.ndarray, artefact: np.ndarray, against: str) -> Verdict:
    """The verdict on one value a user each: the new recipe's, the live recipe's, and the new checkpoint's own.

    Args:
        artefact: NaN for users and products that the checkpoint does not know.
    """
    difference = new - live
    error = _error(difference)
    value, mean = float(new.mean()), float(difference.mean())
    figures = (
        f"validation {value:.4f}, {value - mean:.4f} by the recipe of the live {against}: "
        f"{mean:+.4f} ± {error:.4f} over {len(new)} users"
    )
    known = ~np.isnan(artefact)
    lost = (artefact - new)[known]
    passed, reason = True, f"no worse than the live model: {figures}"
    if mean < -ERRORS * error:
        passed, reason = False, f"worse than the live model: {figures}"
    elif len(lost) > 1 and lost.mean() < -ERRORS * _error(lost):
        passed = False
        reason = (
            f"its arrays are not what its recipe gives: {artefact[known].mean():.4f} on what they have seen, "
            f"{new[known].mean():.4f} by the recipe on what it has not"
        )
    return Verdict(passed, reason, against, len(new), value, mean, error)


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


@dataclass
class Refits:
    """Fits checkpoints' recipes on splits; what two recipes have in common is fitted once."""

    shop: Shop
    folds: Sequence[Holdout]
    index: NodeIndex
    device: torch.device
    seed: int
    report: Report
    _networks: dict[Any, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _ridges: dict[Any, sp.csr_matrix] = field(default_factory=dict)
    _onwards: dict[Any, sp.csr_matrix] = field(default_factory=dict)

    def values(self, checkpoint: Checkpoint) -> np.ndarray:
        """HR@10 + 2 · NDCG@10 of each user of the splits, in their order."""
        settings, choice = finetuning.settings_of(checkpoint), finetuning.choice_of(checkpoint, self.index)
        return np.concatenate([self._fold(fold, number, settings, choice) for number, fold in enumerate(self.folds)])

    def _fold(self, fold: Holdout, number: int, settings: TrainSettings, choice: Choice) -> np.ndarray:
        x = fold.train
        ridge = (number, choice.penalty, choice.features)
        onward = (number, settings.recency, settings.next_penalty, choice.next_features)
        if ridge not in self._ridges:
            features = self.shop.features_times(choice.features)
            (self._ridges[ridge],) = ridge_weights(x.matrix(), (choice.penalty,), features=features)
        if onward not in self._onwards:
            features = self.shop.features_times(choice.next_features)
            self._onwards[onward] = following_weights(x, settings.recency, settings.next_penalty, features=features)
        similar, following = similar_to(
            self.shop,
            x,
            self._ridges[ridge],
            self._onwards[onward],
            choice.mixture,
            choice.lift,
            settings.outgoing,
        )
        users, products = self._vectors(fold, number, settings, choice)
        scorer = Scorer(users, products, similar, self.shop.related, popularity(x), choice.mixture.weights, following)
        return validation_values(scorer.ranker(x), fold)

    def _vectors(
        self, fold: Holdout, number: int, settings: TrainSettings, choice: Choice
    ) -> tuple[np.ndarray, np.ndarray]:
        key = (number, settings, choice.network.temperature, choice.network.epochs)
        if key not in self._networks:
            fit = Fit(self.shop, fold.train, settings, choice.network.temperature, choice.network.epochs, self.seed)
            self._networks[key] = vectors_of(fit.run(self.device, self.report)[0], fold.train)
        return self._networks[key]


def artefact_values(checkpoint: Checkpoint, shop: Shop, folds: Sequence[Holdout], index: NodeIndex) -> np.ndarray:
    """The same of the checkpoint's own arrays, which have seen what is held out; NaN for what it does not know."""
    users, products = index.rows("User", checkpoint.users), index.rows("Product", checkpoint.products)
    width = checkpoint.dimensions
    theirs = np.zeros((shop.n_users, width), np.float32), np.zeros((shop.n_products, width), np.float32)
    popular = np.zeros(shop.n_products, np.float32)
    known_users, known_products = np.zeros(shop.n_users, bool), np.zeros(shop.n_products, bool)
    for rows, ours, vectors, known in (
        (users, theirs[0], checkpoint.user_vectors, known_users),
        (products, theirs[1], checkpoint.product_vectors, known_products),
    ):
        ours[rows[rows >= 0]] = vectors[rows >= 0]
        known[rows[rows >= 0]] = True
    popular[products[products >= 0]] = checkpoint.popularity[products >= 0]

    similar, following = (moved(m, products, shop.n_products) for m in (checkpoint.similar, checkpoint.following))
    scorer = Scorer(*theirs, similar, shop.related, popular, checkpoint.weights, following)
    values = []
    for fold in folds:
        targets = targets_of(fold.users, fold.products)
        known = known_users[targets.users] & (mean_by(targets.owner, known_products[targets.products]) == 1.0)
        values.append(np.where(known, validation_values(scorer.ranker(fold.train), fold), np.nan))
    return np.concatenate(values)


_RECORD: Final = """
MERGE (m:ModelVersion {id: $version})
ON CREATE SET m.status = 'refused', m.at = $now
SET m.gate = $gate, m.gate_at = $now, m.gate_against = $against, m.gate_users = $users, m.gate_value = $value,
    m.gate_difference = $difference, m.gate_error = $error
"""


def record(store: GraphStore, version: str, verdict: Verdict, *, forced: bool, now: datetime) -> None:
    """Write onto the ModelVersion what was decided, and by what numbers; one that was refused is made for it."""
    word = "passed" if verdict.passed else "forced" if forced else "refused"
    store.write(
        _RECORD,
        version=version,
        now=now,
        gate=f"{word}: {verdict.reason}",
        against=verdict.against,
        users=verdict.users,
        value=verdict.value,
        difference=verdict.difference,
        error=verdict.error,
    )
