"""Training on from an earlier checkpoint when the graph has grown: what was chosen stays, what was learned goes on.

A full training chooses on several splits before it fits the whole graph, and that
is most of its work. Little is chosen anew by a hundredth of new events, so a
fine-tuning takes the mixture, the penalty and the network's settings from the
checkpoint. Then

- the network begins with the vectors of the nodes that the checkpoint knows; a new node begins where its neighbours
  are; and it is trained on for a share of the epochs (``TrainSettings.finishing``);
- in a large catalogue, where each product's relations are solved on its neighbours, only the products are solved
  again whose users have changed in number, those that are new, and those of which something else is said; the others
  keep the relations that they have. Of the latter two, and of those whose users have become many more, the outgoing
  relations are new as well: towards products that are not solved again they are what regressions on their own
  surroundings give (:meth:`embeddings.ridge._Local.row`).

Both drift, if slowly: a full training now and then is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import torch

from embeddings.choosing import Choice
from embeddings.content import TEXT, placed
from embeddings.export import SHARED, NodeIndex
from embeddings.gcn import HeteroLightGCN
from embeddings.mixture import Mixture
from embeddings.network import Network, Start
from embeddings.registry import Checkpoint
from embeddings.relations import prune_together, renewed
from embeddings.ridge import EXACT_PRODUCTS
from embeddings.scoring import moved, no_weights
from embeddings.settings import TrainSettings
from embeddings.split import Interactions
from kg.errors import CheckpointError

GROWN: Final = 0.25
"""Share by which a product's users have become more, or fewer, from which what it leads to is solved anew as well.

What was launched yesterday had its place by the word of two users, and has eight today."""
ROW_COSTS: Final = 3
"""Columns of relations that cost as much as a row: on Amazon Beauty 2.0 ms each, and a row 6.8 (a script of the
development)."""


def settings_of(checkpoint: Checkpoint) -> TrainSettings:
    """The settings that the checkpoint was trained with."""
    kept: dict[str, Any] = {}
    for field in fields(TrainSettings):
        if field.name in checkpoint.settings:
            value = checkpoint.settings[field.name]
            kept[field.name] = tuple(value) if isinstance(value, list) else value
    # Of a kg in which all that a user had met counted alike.
    return TrainSettings(**{"edge_half_life": 0.0, **kept})


def choice_of(checkpoint: Checkpoint, index: NodeIndex) -> Choice:
    """What was chosen for the checkpoint, with its network to go on from.

    Raises:
        CheckpointError: it was made before checkpoints kept all that is needed.
    """
    if "free" not in checkpoint.state or checkpoint.met is None:
        raise CheckpointError(
            f"Checkpoint {checkpoint.version} does not hold what training on needs. Train anew once: kg train."
        )
    chosen = checkpoint.settings
    return Choice(
        penalty=chosen["penalty"],
        mixture=Mixture(chosen["factors"], chosen["sequence"], checkpoint.weights),
        lift=chosen["lift"],
        features=chosen.get("features", 0.0),
        next_features=chosen.get("next_features", 0.0),
        network=Network(chosen["temperature"], chosen["epochs_chosen"], start=start_from(checkpoint, index)),
    )


def start_from(checkpoint: Checkpoint, index: NodeIndex) -> Start:
    """The checkpoint's parameters for a network over the nodes of ``index``."""
    labels = [label for _, label in SHARED]
    then = {"User": checkpoint.users, "Product": checkpoint.products, **checkpoint.others}
    before = {
        (label, key): row
        for row, (label, key) in enumerate(
            (label, key) for label in ("User", "Product", *labels) for key in then.get(label, ())
        )
    }
    now = [(label, key) for label in ("User", "Product", *labels) for key in index.keys.get(label, ())]
    rows = torch.tensor([before.get(node, -1) for node in now])
    state = {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.state.items()}
    types = dict(zip(checkpoint.settings["edge_weights"], state["theta"].tolist(), strict=True))

    def start(model: HeteroLightGCN) -> None:
        known = rows >= 0
        with torch.no_grad():
            for place, type_ in enumerate(model.types):
                if type_ in types:
                    model.theta[place] = types[type_]
            weight = state.get("project.weight")
            if model.project is not None and weight is not None:
                model.project.weight.copy_(
                    torch.from_numpy(placed(weight.numpy(), layout_of(checkpoint), model.layout))
                )
            free = torch.zeros_like(model.free)
            free[known] = state["free"][rows[known]]
            around = sum(
                share * (getattr(model, f"adjacency_{place}") @ free)
                for place, share in enumerate(torch.softmax(model.theta, 0))
            )
            model.free.copy_(torch.where(known[:, None], free, around))

    return start


def layout_of(checkpoint: Checkpoint) -> dict[str, int]:
    """Which columns of the checkpoint's projection belong to which kind of content, as :attr:`Content.layout`."""
    known = checkpoint.settings.get("content")
    if known is not None:
        return dict(known)
    # Of a kg that knew no other content than texts.
    weight = checkpoint.state.get("project.weight")
    return {} if weight is None else {TEXT: weight.shape[1]}


def met_by(x: Interactions) -> np.ndarray:
    """Users who met each product, int64 ``[n_products]``."""
    return np.asarray(x.matrix().sum(axis=0)).ravel().astype(np.int64)


@dataclass(frozen=True, slots=True)
class Renewal:
    """Which relations are learned anew, and those that stay."""

    rows: np.ndarray
    """Products whose outgoing relations are all new: new ones, those of which something else is said, and those whose
    users have become many more (:data:`GROWN`); bool ``[n_products]``."""
    columns: np.ndarray
    """Products whose incoming relations are new, bool ``[n_products]``."""
    similar: sp.csr_matrix
    """What the checkpoint has, over the products as they are now."""
    following: sp.csr_matrix

    @classmethod
    def of_everything(cls, x: Interactions) -> Renewal:
        """Nothing stays."""
        whole = np.ones(x.n_products, dtype=bool)
        nothing = no_weights(x.n_products, x.n_products)
        return cls(whole, whole, nothing, nothing)

    @classmethod
    def since(cls, checkpoint: Checkpoint, index: NodeIndex, x: Interactions, prints: np.ndarray) -> Renewal:
        """What has changed since the checkpoint; everything where the whole catalogue is solved at once, where the
        checkpoint does not say what it was trained on, and where so much has changed that everything costs no more.

        Args:
            prints: of the products as they are now (:func:`embeddings.prints.product_prints`), int64 ``[n_products]``.
        """
        if x.n_products <= EXACT_PRODUCTS or checkpoint.met is None or checkpoint.product_prints is None:
            return cls.of_everything(x)
        place = index.rows("Product", checkpoint.products)
        there = place >= 0
        met = np.full(x.n_products, -1, dtype=np.int64)
        met[place[there]] = checkpoint.met[there]
        said = np.zeros(x.n_products, dtype=np.int64)
        said[place[there]] = checkpoint.product_prints[there]

        now = met_by(x)
        rows = (met < 0) | (said != prints) | ((met != now) & (np.abs(now - met) >= GROWN * met))
        columns = rows | (met != now)
        if ROW_COSTS * rows.sum() + columns.sum() >= x.n_products:
            return cls.of_everything(x)
        similar, following = (moved(m, place, x.n_products) for m in (checkpoint.similar, checkpoint.following))
        return cls(rows, columns, similar, following)

    def joined(
        self, similar: sp.csr_matrix, following: sp.csr_matrix, next_weight: float, most: int
    ) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Fresh relations beside those that stay, at most ``most`` a product."""
        if self.columns.all():
            return similar, following
        return prune_together(
            renewed(self.similar, similar, self.rows, self.columns),
            renewed(self.following, following, self.rows, self.columns),
            next_weight,
            most,
        )
