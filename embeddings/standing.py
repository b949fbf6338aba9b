"""The live model as it stands in the graph, and what of the graph it has not learned yet.

A model moves after its training: newcomers and users are folded in, changes are
learned (:mod:`embeddings.deltas`). What was learned stands with the nodes it was
learned of, in the transaction that wrote the vectors: whose model (``learned_by``),
the fingerprint of what was known (``learned_print``, ``learned_met``) and the free
vector of the network (``learned_free``). For all other nodes the checkpoint speaks.
What differs from that is behind, and is what a learner begins with; so one that was
killed has lost nothing, and one that finds no difference has nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from torch_geometric.data import HeteroData

from embeddings.export import NodeIndex, export_subgraph, shop_with_supplied
from embeddings.mirror import Mirror
from embeddings.prints import product_prints, user_prints
from embeddings.registry import Checkpoint, LiveModel
from kg import schema
from kg.errors import CheckpointError
from kg.store import GraphStore

_KNOWN: Final = """
CYPHER 25
MATCH (n:{label})
WHERE n.learned_by = $version
RETURN n.{key} AS key, n.learned_print AS print, n.learned_met AS met,
       CASE WHEN n.learned_free IS NULL THEN null ELSE vector(n.learned_free, {dimensions}, FLOAT32) END AS free
"""


@dataclass(frozen=True, slots=True)
class Behind:
    """Rows of which the model does not know what the graph says, int64 each."""

    users: np.ndarray
    """They met something else."""
    products: np.ndarray
    """Something else is said of them; new ones among them."""
    columns: np.ndarray
    """Products that another number of users met."""
    new: np.ndarray
    """Products that it does not know at all."""

    def __bool__(self) -> bool:
        return bool(len(self.users) or len(self.products) or len(self.columns))


@dataclass(frozen=True, slots=True)
class Standing:
    """Arrays over the rows of an export."""

    turn: str
    """Names the change that was learned last; empty for none."""
    users: np.ndarray
    """float32 ``[n_users, d]``, zero rows for none."""
    products: np.ndarray
    """float32 ``[n_products, d]``, likewise."""
    similar: sp.csr_matrix
    following: sp.csr_matrix
    popularity: np.ndarray
    """float32 ``[n_products]``"""
    free: dict[str, tuple[np.ndarray, np.ndarray]]
    """Free vectors that were learned since the training: for a label rows and ``[rows, d]``."""
    behind: Behind


def export_standing(store: GraphStore, model: LiveModel) -> tuple[HeteroData, NodeIndex, str]:
    """The graph as training reads it with the model's vectors and relations, and the turn that was last before that."""
    # The turn first: if another learns while this is read, this learner's turn is refused.
    rows = store.read("MATCH (m:ModelVersion {id: $id})\nRETURN coalesce(m.learned, '') AS turn", id=model.version)
    vector = f"embedding_{model.slot}"
    shop = shop_with_supplied(store)
    spec = replace(
        shop,
        nodes={
            **shop.nodes,
            "User": (*shop.nodes["User"], vector),
            "Product": (*shop.nodes["Product"], "popularity", vector),
        },
        edges={**shop.edges, ("Product", "SIMILAR_TO", "Product"): ("model", "weight", "next")},
    )
    return *export_subgraph(store, spec), rows[0]["turn"] if rows else ""


def read_standing(
    store: GraphStore,
    model: LiveModel,
    checkpoint: Checkpoint,
    mirror: Mirror,
    exported: tuple[HeteroData, NodeIndex, str],
) -> Standing:
    """How the model stands in what :func:`export_standing` read.

    Raises:
        CheckpointError: the checkpoint does not say what it was trained on.
    """
    data, index, turn = exported
    if checkpoint.met is None or checkpoint.user_prints is None or checkpoint.product_prints is None:
        raise CheckpointError(
            f"Checkpoint {checkpoint.version} does not say what it was trained on, as one of an earlier kg, so what "
            "changed since is not known. Train and promote once: kg train; kg promote."
        )
    vector = f"embedding_{model.slot}"
    n_users, n = len(index.keys["User"]), len(index.keys["Product"])
    relations = data["Product", "SIMILAR_TO", "Product"]
    names = relations.model_texts
    mine = relations.model.numpy() == (names.index(model.version) if model.version in names else -2)
    ends = relations.edge_index.numpy()[:, mine]
    similar, following = (
        sp.csr_matrix((np.nan_to_num(values.numpy()[mine]).astype(np.float32), tuple(ends)), shape=(n, n))
        for values in (relations.weight, relations.next)
    )
    following.eliminate_zeros()  # null, of a relation that has only a weight
    free = {}
    known: dict[str, tuple[np.ndarray, list[dict[str, Any]]]] = {}
    for label in ("User", "Product"):
        cypher = _KNOWN.format(label=label, key=schema.LABEL[label].key, dimensions=model.dimensions)
        found = store.read(cypher, version=model.version)
        place = index.rows(label, [row["key"] for row in found])
        found = [row for row, at in zip(found, place, strict=True) if at >= 0]
        place = place[place >= 0]
        known[label] = place, found
        empty = np.zeros(model.dimensions, dtype=np.float32)
        vectors = [empty if row["free"] is None else row["free"].to_numpy() for row in found]
        free[label] = place, np.array(vectors, dtype=np.float32).reshape(-1, model.dimensions)

    def then(label: str, name: str, keys: tuple[str, ...], values: np.ndarray) -> np.ndarray:
        known_then = np.zeros(len(index.keys[label]), dtype=np.int64)
        at = index.rows(label, keys)
        known_then[at[at >= 0]] = values[at >= 0]
        place, found = known[label]
        known_then[place] = np.array([row[name] for row in found], dtype=np.int64)
        return known_then

    users_then = then("User", "print", checkpoint.users, checkpoint.user_prints)
    products_then = then("Product", "print", checkpoint.products, checkpoint.product_prints)
    met_then = then("Product", "met", checkpoint.products, checkpoint.met)
    new = np.setdiff1d(np.arange(n), np.union1d(index.rows("Product", checkpoint.products), known["Product"][0]))
    met = np.asarray(mirror.interactions().matrix().sum(axis=0)).ravel().astype(np.int64)
    differing = np.flatnonzero(product_prints(mirror, np.arange(n)) != products_then)
    return Standing(
        turn=turn,
        users=_width(data["User"][vector].numpy(), model.dimensions),
        products=_width(data["Product"][vector].numpy(), model.dimensions),
        similar=similar,
        following=following,
        popularity=np.nan_to_num(data["Product"].popularity.numpy()).astype(np.float32),
        free=free,
        behind=Behind(
            users=np.flatnonzero(user_prints(mirror, np.arange(n_users)) != users_then),
            products=np.union1d(differing, new),
            columns=np.flatnonzero(met != met_then),
            new=new,
        ),
    )


def _width(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """Vectors of none are as wide as the model's."""
    return np.array(vectors) if vectors.shape[1] else np.zeros((len(vectors), dimensions), dtype=np.float32)
