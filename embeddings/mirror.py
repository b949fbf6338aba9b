"""The graph as training sees it, kept in memory and brought up to date by what has changed.

An export reads the whole shop (:mod:`embeddings.export`). Whoever learns every few
minutes from a hundredth of it keeps the arrays and reads anew only the users who
did something and the products of which something else is said: each by its key,
through an index, with its own relationships. Rows are given out once and stay: what
is new comes at the end, and what has left the graph keeps an empty row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from torch_geometric.data import HeteroData

from embeddings.content import TEXT, Content, properties_of, unit_rows
from embeddings.export import AGREED, INTERACTIONS, PRODUCT_RELATIONS, SHARED, SHOP, NodeIndex
from embeddings.features import Features
from embeddings.gcn import TypedEdges
from embeddings.relations import explicit_part, explicit_relations, likeness_part, part_of, shared_part
from embeddings.shop import interacted
from embeddings.split import KNOWN, Interactions
from kg import schema
from kg.store import GraphStore
from kg.writer import batched

_BATCH: Final = 200
_LABELS: Final = tuple(label for _, label in SHARED)
_SAID: Final = tuple((type_, label) for start, type_, label in SHOP.edges if start == "Product" and label != "Product")
"""Relationships from products to what is not a product."""
_KEY: Final = (
    "CASE labels(x)[0] "
    + " ".join(f"WHEN '{label}' THEN x.{schema.LABEL[label].key}" for label in ("Product", *_LABELS))
    + " END"
)

_COUNTS: Final = " AND ".join(f"(type(r) <> '{type_}' OR {agreed})" for type_, agreed in AGREED.items())

_USERS: Final = f"""
UNWIND $keys AS id
MATCH (u:User {{id: id}})
RETURN id AS key, u.last_at.epochSeconds AS last_at,
       [(u)-[r:{"|".join(INTERACTIONS)}]->(x:Product) | [type(r), x.sku, r.strength, r.at.epochSeconds]] AS met
"""
_PRODUCTS: Final = f"""
UNWIND $keys AS sku
MATCH (p:Product {{sku: sku}})
RETURN sku AS key,
       [name IN $content | CASE WHEN p[name] IS NULL THEN null ELSE
         vector(p[name], size(p[name]), FLOAT32) END] AS content,
       [(p)-[r:{"|".join(sorted({*PRODUCT_RELATIONS, *(type_ for type_, _ in _SAID)}))}]->(x)
        WHERE {_COUNTS} |
        [type(r), labels(x)[0], {_KEY}, coalesce(r.source, '')]] AS said
"""


@dataclass(frozen=True, slots=True)
class Renewed:
    """Which rows were read anew."""

    users: np.ndarray
    """int64, ascending; those who met a product that is gone among them."""
    products: np.ndarray
    """int64, ascending; those that are gone among them."""
    gone: np.ndarray
    """Products that have left the graph, int64."""


class _Names:
    """Key → row of one label; rows are given out in the order in which keys come."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self.keys = list(keys)
        self._rows = {key: row for row, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, key: str) -> int:
        row = self._rows.setdefault(key, len(self.keys))
        if row == len(self.keys):
            self.keys.append(key)
        return row

    def known(self, keys: Iterable[str]) -> np.ndarray:
        return np.array(sorted(row for key in keys if (row := self._rows.get(key)) is not None), dtype=np.int64)


class Mirror:
    """Users, products and what connects them, as arrays; begins as an export."""

    def __init__(self, data: HeteroData, index: NodeIndex, x: Interactions) -> None:
        self.users, self.products = _Names(index.keys["User"]), _Names(index.keys["Product"])
        self.others = {label: _Names(index.keys.get(label, ())) for label in _LABELS}
        self._x = x
        content = Content.of(data).blocks
        empty = np.zeros((x.n_products, 0), dtype=np.float32)
        self._content = {name: content.get(name, empty) for name in properties_of({TEXT, *data["Product"].keys()})}
        """Also what no product has yet; of a supplied vector that comes under a new name the next export tells."""
        self._said: dict[tuple[str, str], np.ndarray] = {}
        for type_, label in _SAID:
            if ("Product", type_, label) in data.edge_types and label in self.others:
                self._said[type_, label] = data["Product", type_, label].edge_index.numpy()
        self._related = {(type_, source): edges for type_, source, edges in explicit_relations(data)}

    # --- reading what changed --------------------------------------------------------------------------------

    def read(self, store: GraphStore, users: Iterable[str], products: Iterable[str]) -> Renewed:
        """Read these users and products anew; what the graph no longer holds of them is gone here too."""
        skus = list(dict.fromkeys(products))
        found = _rows(store, _PRODUCTS, skus, content=list(self._content))
        gone = self.products.known(sku for sku in skus if sku not in found)
        # Before the users: their rows name products that are new.
        touched = self._put_products(found, gone)
        bereft = self._x.users[np.isin(self._x.products, gone)]
        ids = list(dict.fromkeys([*users, *(self.users.keys[row] for row in np.unique(bereft))]))
        return Renewed(self._put_users(_rows(store, _USERS, ids), ids), touched, gone)

    def _put_users(self, found: Mapping[str, Mapping[str, Any]], ids: Sequence[str]) -> np.ndarray:
        new: list[tuple[int, int, float, float, bool]] = []
        last: dict[int, float] = {}
        for key, row in found.items():
            user = self.users.row(key)
            last[user] = np.nan if row["last_at"] is None else float(row["last_at"])
            for type_, sku, strength, at in row["met"]:
                shown = 1.0 if strength is None else float(strength)
                if shown > 0.0:
                    time = np.nan if at is None else float(at)
                    new.append((user, self.products.row(sku), shown, time, type_ in KNOWN))
        touched = self.users.known(ids)
        x = self._x
        kept = ~np.isin(x.users, touched)
        last_at = np.full(len(self.users), np.nan)
        last_at[: x.n_users] = x.last_at
        last_at[touched] = np.nan
        for user, time in last.items():
            last_at[user] = time
        columns = list(zip(*new, strict=True)) or [()] * 5

        def joined(before: np.ndarray, place: int) -> np.ndarray:
            return np.concatenate([before[kept], np.array(columns[place], dtype=before.dtype)])

        self._x = Interactions(
            users=joined(x.users, 0),
            products=joined(x.products, 1),
            strength=joined(x.strength, 2),
            at=joined(x.at, 3),
            known=joined(x.known, 4),
            last_at=last_at,
            n_users=len(self.users),
            n_products=len(self.products),
        )
        self._grow()
        return touched

    def _put_products(self, found: Mapping[str, Mapping[str, Any]], gone: np.ndarray) -> np.ndarray:
        said: dict[tuple[str, str], list[tuple[int, int]]] = {key: [] for key in self._said}
        related: dict[tuple[str, str], list[tuple[int, int]]] = {key: [] for key in self._related}
        for key, row in found.items():
            product = self.products.row(key)
            for type_, label, other, source in row["said"]:
                if label == "Product" and type_ in PRODUCT_RELATIONS:
                    related.setdefault((type_, source), []).append((product, self.products.row(other)))
                elif label in self.others and (type_, label) in _SAID:
                    said.setdefault((type_, label), []).append((product, self.others[label].row(other)))
        touched = np.union1d(self.products.known(found), gone)
        for edges, new in ((self._said, said), (self._related, related)):
            for kind, pairs in new.items():
                before = edges.get(kind, np.empty((2, 0), dtype=np.int64))
                kept = ~np.isin(before[0], touched)
                if edges is self._related:
                    kept &= ~np.isin(before[1], gone)
                edges[kind] = np.hstack([before[:, kept], np.array(pairs, dtype=np.int64).reshape(-1, 2).T])
        for place, name in enumerate(self._content):
            read = {key: v.to_numpy() for key, row in found.items() if (v := row["content"][place]) is not None}
            self._grow(name, max(map(len, read.values()), default=0))
            vectors = self._content[name]
            vectors[touched] = 0.0
            for key, vector in read.items():
                vectors[self.products.row(key)] = vector
            if name != TEXT:
                vectors[touched] = unit_rows(vectors[touched])
        return touched

    def _grow(self, grown: str = "", width: int = 0) -> None:
        """As many rows as there are products; of one kind of content at least ``width`` columns."""
        for name, before in self._content.items():
            shape = len(self.products), max(width if name == grown else 0, before.shape[1])
            if before.shape != shape:
                self._content[name] = np.zeros(shape, dtype=np.float32)
                self._content[name][: before.shape[0], : before.shape[1]] = before

    # --- what training asks for ------------------------------------------------------------------------------

    def interactions(self) -> Interactions:
        """Who met what."""
        return self._x

    @property
    def n_nodes(self) -> int:
        """Users, products and the other labels together."""
        return len(self.users) + len(self.products) + sum(map(len, self.others.values()))

    def nodes(self) -> dict[str, slice]:
        """Where each label stands in the network's common numbering: users, products, then the other labels."""
        begin, places = 0, {}
        for label, names in (("User", self.users), ("Product", self.products), *self.others.items()):
            places[label] = slice(begin, begin + len(names))
            begin += len(names)
        return places

    def edges(self, half_life_days: float) -> list[TypedEdges]:
        """Edges by type between nodes, named as :class:`embeddings.shop.Shop` and the network name them.

        Args:
            half_life_days: as for :func:`embeddings.shop.interacted`.
        """
        first = {label: place.start for label, place in self.nodes().items()}
        found = [interacted(self._x, half_life_days)]
        found += [
            TypedEdges(f"{type_}:{source}", pairs[0] + first["Product"], pairs[1] + first["Product"])
            for (type_, source), pairs in self._related.items()
        ]
        found += [
            TypedEdges(f"{type_}:{label}", pairs[0] + first["Product"], pairs[1] + first[label])
            for (type_, label), pairs in self._said.items()
        ]
        return [edges for edges in found if len(edges.heads)]

    def named_edges(self) -> list[tuple[str, np.ndarray, Sequence[str]]]:
        """What is said of products: a name, pairs of rows int64 ``[2, e]``, and the keys of what they lead to."""
        return [
            *((f"{type_}:{label}", pairs, self.others[label].keys) for (type_, label), pairs in self._said.items()),
            *((f"{type_}>{source}", pairs, self.products.keys) for (type_, source), pairs in self._related.items()),
        ]

    @property
    def content(self) -> Content:
        """Vectors of the products' texts, and those that were supplied; what no product has is left out."""
        return Content({name: vectors for name, vectors in self._content.items() if vectors.any()})

    def features(self, like: Features | None = None) -> Features:
        """What is said of the products, as the ridge reads it."""
        shared = {
            type_: (*self._said[type_, label], len(self.others[label]))
            for type_, label in SHARED
            if (type_, label) in self._said
        }
        return Features.of(self.content.together(), shared, len(self.products), like=like)

    def side_parts(self, of: np.ndarray) -> dict[str, sp.csr_matrix]:
        """:func:`embeddings.relations.side_parts` in the rows and columns of some products alone, ``[n, n]``.

        A product's column is its row: which others keep it among their strongest would take all rows to say.
        """
        n = len(self.products)
        parts: dict[str, sp.csr_matrix] = {}
        for name, vectors in self.content.blocks.items():
            parts[part_of(name)] = likeness_part(vectors, of)
        for type_, label in SHARED:
            if (type_, label) in self._said:
                heads, tails = self._said[type_, label]
                parts[type_.lower()] = shared_part(heads, tails, n, len(self.others[label]), of)
        for (type_, source), pairs in self._related.items():
            parts[f"{type_.lower()}:{source}"] = explicit_part(pairs, n)[of]
        return {name: _both_ways(part, of, n) for name, part in parts.items() if part.nnz}


def _rows(store: GraphStore, cypher: str, keys: Sequence[str], **parameters: Any) -> dict[str, Mapping[str, Any]]:
    parts = batched(keys, _BATCH)
    return {row["key"]: row for part in parts for row in store.read("CYPHER 25" + cypher, keys=part, **parameters)}


def _both_ways(part: sp.csr_matrix, of: np.ndarray, n: int) -> sp.csr_matrix:
    """Rows ``[m, n]`` of some products, in their rows and in their columns of ``[n, n]``."""
    entries = part.tocoo()
    heads, tails, values = of[entries.row], entries.col, entries.data
    onto = ~np.isin(tails, of)
    return sp.csr_matrix(
        (np.r_[values, values[onto]], (np.r_[heads, tails[onto]], np.r_[tails, heads[onto]])), shape=(n, n)
    ).astype(np.float32)
