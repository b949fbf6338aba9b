"""Small graphs with known answers, in Neo4j or as arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import HeteroData

from embeddings.export import INTERACTIONS, SHARED, NodeIndex
from embeddings.settings import TrainSettings
from embeddings.split import Interactions, latest
from kg.store import GraphStore

QUICK = TrainSettings(
    dimensions=64,
    epochs=12,
    evaluate_every=4,
    patience=2,
    temperatures=(0.3,),
    penalties=(1.0, 10.0),
    half_lives=(365.0,),
)
"""Sizes that train a checkerboard in a second; the width is that of the migrated index, which so stays as it is."""


def checkerboard(users: int = 40, products: int = 20, held_out: bool = True) -> tuple[list[tuple[str, str]], ...]:
    """Even users take even products, odd users odd ones; of each user's products one is held out.

    Returns:
        The pairs that are in the graph, and the pairs held out. The one right answer for a user is a product of
        the user's own colour.
    """
    taken, out = [], []
    for u in range(users):
        mine = list(range(u % 2, products, 2))
        missing = mine[(u // 2) % len(mine)]
        taken += [(f"u{u:02}", f"p{p:02}") for p in mine if p != missing or not held_out]
        if held_out:
            out.append((f"u{u:02}", f"p{missing:02}"))
    return taken, out


def write_checkerboard(store: GraphStore, users: int = 40, products: int = 20) -> list[tuple[str, str]]:
    """Put a checkerboard into the graph, as purchases without times; return the pairs held out."""
    taken, out = checkerboard(users, products)
    store.write(
        "UNWIND range(0, $products - 1) AS n\n"
        "CREATE (:Product {sku: 'p' + substring('0' + toString(n), size(toString(n)) - 1), active: true,\n"
        "                  title: 'Product ' + toString(n)})",
        products=products,
    )
    store.write(
        "UNWIND $pairs AS pair\nMATCH (p:Product {sku: pair[1]})\nMERGE (u:User {id: pair[0]})\n"
        "CREATE (u)-[:BOUGHT {count: 1, strength: 1.0}]->(p)",
        pairs=[list(pair) for pair in taken],
    )
    return out


def met(pairs: list[tuple[int, int]], n_users: int, n_products: int, at: list[float] | None = None) -> Interactions:
    """Purchases of strength 1, at the given times."""
    users, products = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    when = np.full(len(pairs), np.nan) if at is None else np.array(at, dtype=float)
    return Interactions(
        users,
        products,
        np.ones(len(pairs)),
        when,
        np.ones(len(pairs), dtype=bool),
        latest(users, when, n_users),
        n_users,
        n_products,
    )


def exported(pairs: list[tuple[str, str]]) -> tuple[HeteroData, NodeIndex]:
    """What exporting a graph of nothing but these purchases gives."""
    keys = {
        "User": tuple(sorted({user for user, _ in pairs})),
        "Product": tuple(sorted({sku for _, sku in pairs})),
        **{label: () for _, label in SHARED},
    }
    index = NodeIndex(keys)
    data = HeteroData()
    for label, names in keys.items():
        data[label].num_nodes = len(names)
    data["User"].last_at = torch.full((len(keys["User"]),), torch.nan, dtype=torch.float64)
    data["Product"].active = torch.ones(len(keys["Product"]), dtype=torch.bool)
    data["Product"].text_embedding = torch.zeros((len(keys["Product"]), 0))
    edges = np.stack([index.rows("User", [u for u, _ in pairs]), index.rows("Product", [p for _, p in pairs])])
    for type_ in INTERACTIONS:
        mine = edges if type_ == "BOUGHT" else edges[:, :0]
        data["User", type_, "Product"].edge_index = torch.from_numpy(mine)
        data["User", type_, "Product"].strength = torch.ones(mine.shape[1], dtype=torch.float64)
        data["User", type_, "Product"].at = torch.full((mine.shape[1],), torch.nan, dtype=torch.float64)
    return data, index
