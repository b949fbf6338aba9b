"""The exported graph as training sees it: the part that no split touches, and the splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from torch_geometric.data import HeteroData

from embeddings.content import Content
from embeddings.evaluation import VALIDATION_USERS
from embeddings.export import SHARED
from embeddings.features import Features
from embeddings.gcn import TypedEdges
from embeddings.relations import either_way, explicit_relations, side_parts
from embeddings.split import Holdout, Interactions, hold_out

MET: Final = "INTERACTED"
"""Name of the network's edges between users and products: all that a user did with a product is one."""
_SPLITS: Final = 3
"""Of a graph that is not large."""
_FIFTH: Final = 0.2
"""Of every other user's products, where a large graph is split: as much as Gowalla's official test holds out."""
_FEW: Final = 20
"""With fewer users held out nothing can be chosen, and the default mixture is taken."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What is said of the products, in the network's common numbering of nodes: users, products, the other labels."""

    n_users: int
    n_products: int
    n_nodes: int
    content: Content
    """Vectors of the products' texts, and those that were supplied."""
    catalogue: tuple[TypedEdges, ...]
    """Edges of the catalogue by type, over nodes."""
    related: Mapping[str, sp.csr_matrix]
    """Explicit relations by type, as the score counts them, over products."""
    side: Mapping[str, sp.csr_matrix]
    """Parts of SIMILAR_TO that do not depend on what users did (:func:`embeddings.relations.side_parts`)."""
    features: Features | None = None
    """What is said of the products, as the ridge reads it; None for nothing."""

    @classmethod
    def of(cls, data: HeteroData, x: Interactions) -> Shop:
        """Read it out of an export."""
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
        content = Content.of(data)
        shared = {}
        for type_, label in SHARED:
            if ("Product", type_, label) in data.edge_types:
                index = data["Product", type_, label].edge_index.numpy()
                shared[type_] = (index[0], index[1], int(data[label].num_nodes or 0))
        features = Features.of(content.together(), shared, x.n_products)
        return cls(
            n_users=x.n_users,
            n_products=x.n_products,
            n_nodes=end,
            content=content,
            catalogue=tuple(e for e in edges if len(e.heads)),
            related=related,
            side=side_parts(data),
            features=features or None,
        )

    def features_times(self, strength: float) -> Features | None:
        """What is said of the products, counting for so many users; None for nothing."""
        return None if self.features is None or strength == 0.0 else self.features.times(strength)


def interacted(x: Interactions, half_life_days: float) -> TypedEdges:
    """Users and what they met, in the network's numbering, by how strong the interest is and how much of it is left.

    Args:
        half_life_days: 0 lets each count alike.
    """
    met = (x.interest(half_life_days) if half_life_days else x.matrix()).tocoo()
    weights = met.data if half_life_days else None
    return TypedEdges(MET, met.row.astype(np.int64), met.col.astype(np.int64) + x.n_users, weights)


def folds_of(x: Interactions, rng: np.random.Generator, large: bool) -> tuple[Holdout, ...]:
    """The splits, at most :data:`VALIDATION_USERS` users each; none if there are too few users to choose by.

    Each takes the latest product of a third of the users (without times a random one) and leaves the others whole, so
    that the graph stays about as dense as the one that will be trained. Where every split took everybody's latest, and
    the next one those before, a graph of five products a user was thinned so far that text and brand seemed to be
    worth several times what they are.

    A large graph is split once, by many users, of whom half lose their latest product and half their latest fifth: one
    graph is to be learned from, and what is chosen must find what comes next as well as all that comes, also for those
    of whom much is missing. By single products alone, models that look around a user's past seem better than they are.
    """
    met = np.flatnonzero(np.bincount(x.users, minlength=x.n_users))
    parts = 1 if large else min(_SPLITS, max(1, len(met) // _FEW))
    splits = []
    for part in np.array_split(rng.permutation(met), parts):
        among = np.zeros(x.n_users, dtype=bool)
        among[part] = True
        share = np.where(rng.random(x.n_users) < 0.5, _FIFTH, 0.0) if large else None
        splits.append(hold_out(x, rng, by_time=True, most=VALIDATION_USERS, among=among, share=share))
    return tuple(s for s in splits if len(s.users) >= _FEW and len(s.train) > 0)
