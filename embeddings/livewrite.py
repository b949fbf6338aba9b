"""A small change of the live model, written into its own slot in one transaction.

:mod:`embeddings.writeback` fills the dark slot with a whole model. Here the model
stays and a few of its vectors and relations move. The transaction begins with the
lock of the node that names the live model: a promotion waits, or has been, and then
nothing is written. Nor is it when another learner has written meanwhile: the model's
``learned`` names the last change, and a change is made only upon the one that its
learner knew. A user who has done something since the learner looked keeps the vector
that folding in gave meanwhile, and is still to be learned.

Whatever happens, the graph ends with all of the change or none of it. A reader who
comes while it is being committed may see a part: Neo4j isolates transactions as read
committed, so that one statement may find one node as it was and the next as it is. It
is a part of one model, in one slot, and such a reader could have come a moment later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from embeddings.export import INTERACTIONS
from embeddings.registry import live
from kg import schema
from kg.store import GraphStore, vector_parameter
from kg.writer import Statement

# The first statement takes the lock, looks whether the model is live and stands where the learner left it, and says
# that it is this learner's turn. Each further one does something only if it did. (The driver does a transaction again
# whose commit was not confirmed: then the turn is taken already.)
_TURN: Final = (
    "CYPHER 25\nMATCH (s:Serving {name: 'model'})\nSET s.version = s.version\nWITH s\nWHERE s.version = $version\n"
    "MATCH (m:ModelVersion {id: $version})\nWHERE coalesce(m.learned, '') IN [$before, $turn]\n"
    "SET m.learned = $turn, m.learned_at = datetime.realtime()\nRETURN m.id AS version"
)
_WHILE_LIVE: Final = (
    "CYPHER 25\nMATCH (s:Serving {name: 'model', version: $version})\n"
    "MATCH (m:ModelVersion {id: s.version, learned: $turn})\n"
)
_EMPTY: Final = (
    _WHILE_LIVE + "UNWIND $skus AS sku\nMATCH (:Product {sku: sku})-[r:SIMILAR_TO {model: $version}]-()\nDELETE r"
)
_PART: Final = _WHILE_LIVE + (
    "UNWIND $rows AS row\nMATCH (:Product {sku: row.sku})-[r:SIMILAR_TO {model: $version}]->(b)\n"
    "WHERE b.sku IN row.others\nDELETE r"
)
_RELATE: Final = _WHILE_LIVE + (
    "UNWIND $rows AS row\nMATCH (a:Product {sku: row.sku})\nUNWIND row.others AS other\n"
    "MATCH (b:Product {sku: other[0]})\nMERGE (a)-[r:SIMILAR_TO {model: $version}]->(b)\n"
    "SET r.weight = other[1], r.next = other[2]"
)
_PLACE: Final = (
    "UNWIND $rows AS row\nMATCH (n:{label} {{{key}: row.key}})\n{unless}"
    "SET n.embedding_{slot} = CASE WHEN row.vector IS NULL THEN null ELSE toFloatList(row.vector) END"
)
# What is read here, under the lock of the node that names the live model, is no older than what folding in has read: it
# takes that lock too.
_UNLESS_ACTIVE: Final = (
    "WHERE row.met IS NULL OR (coalesce(n.last_at.epochSeconds = row.last, n.last_at IS NULL AND row.last IS NULL)\n"
    f"  AND COUNT {{{{ (n)-[did:{'|'.join(INTERACTIONS)}]->(:Product)"
    " WHERE coalesce(did.strength, 1.0) > 0.0 }} = row.met)\n"
)
_KNOW: Final = (
    "UNWIND $rows AS row\nMATCH (n:{label} {{{key}: row.key}})\n{unless}"
    "SET n.learned_by = $version, n.learned_print = row.print, n.learned_met = row.known_met,\n"
    "    n.learned_free = CASE WHEN row.free IS NULL THEN null ELSE toFloatList(row.free) END"
)
_RANK: Final = _WHILE_LIVE + "UNWIND $rows AS row\nMATCH (p:Product {sku: row[0]})\nSET p.popularity = row[1]"
_SHIFT: Final = 32


@dataclass(frozen=True, slots=True)
class Relations:
    """SIMILAR_TO of some products as sorted entries; a key is the row and the column side by side."""

    keys: np.ndarray
    """int64 ``[r]``, ascending: row · 2³² + column."""
    weight: np.ndarray
    """float32 ``[r]``"""
    next: np.ndarray
    """float32 ``[r]``, NaN for none."""

    @classmethod
    def of(cls, similar: sp.csr_matrix, following: sp.csr_matrix) -> Relations:
        """A relation wherever either matrix has an entry."""
        (of_weight, weights), (of_next, nexts) = _entries(similar), _entries(following)
        keys = np.union1d(of_weight, of_next)
        weight, onward = np.zeros(len(keys), dtype=np.float32), np.full(len(keys), np.nan, dtype=np.float32)
        weight[np.searchsorted(keys, of_weight)] = weights
        onward[np.searchsorted(keys, of_next)] = nexts
        return cls(keys, weight, onward)

    @property
    def rows(self) -> np.ndarray:
        """Where each begins."""
        return self.keys >> _SHIFT

    @property
    def columns(self) -> np.ndarray:
        """Where each ends."""
        return self.keys & ((1 << _SHIFT) - 1)

    def at(self, kept: np.ndarray) -> Relations:
        """Those of a mask."""
        return Relations(self.keys[kept], self.weight[kept], self.next[kept])


def changes(before: Relations, now: Relations, new: np.ndarray, least: float) -> tuple[Relations, Relations, Relations]:
    """What is to be written and what to be deleted, and what then stands in the graph.

    Args:
        before: what stands in the graph.
        new: products of which everything is to be written, int64.
        least: change from which a relation is written, as a share of its product's strongest.
    """
    place = np.searchsorted(before.keys, now.keys)
    there = np.zeros(len(now.keys), dtype=bool)
    inside = place < len(before.keys)
    there[inside] = before.keys[place[inside]] == now.keys[inside]
    strongest = np.zeros(int(now.rows.max(initial=-1)) + 1, dtype=np.float32)
    size = now.weight + np.nan_to_num(now.next)
    np.maximum.at(strongest, now.rows, size)
    moved = np.ones(len(now.keys), dtype=bool)
    old = place[there]
    apart = np.maximum(
        np.abs(now.weight[there] - before.weight[old]),
        np.abs(np.nan_to_num(now.next[there]) - np.nan_to_num(before.next[old])),
    )
    moved[there] = apart > least * strongest[now.rows[there]]
    moved |= np.isin(now.rows, new) | np.isin(now.columns, new)
    stays = np.isin(before.keys, now.keys[~moved])
    dropped = ~np.isin(before.keys, now.keys)
    written, left = now.at(moved), before.at(stays)
    order = np.argsort(keys := np.concatenate([left.keys, written.keys]))
    after = Relations(
        keys[order],
        np.concatenate([left.weight, written.weight])[order],
        np.concatenate([left.next, written.next])[order],
    )
    return written, before.at(dropped), after


@dataclass(frozen=True, slots=True)
class Known:
    """What the model has learned of a node, for whoever goes on from the graph."""

    print: int
    """See :mod:`embeddings.prints`."""
    free: np.ndarray
    """The network's free vector, float32 ``[d]``: the one in the slot is what its neighbours make of it."""
    met: int | None = None
    """Of a product, how many users had met it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a user had done when the learner looked."""

    met: int
    """Relationships that show interest."""
    last_at: int | None
    """Time of the latest event, Unix seconds."""


@dataclass(frozen=True, slots=True)
class LiveChange:
    """What moved, by the keys of the graph."""

    users: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Unit vectors, float32 ``[d]``; a zero vector takes the user's away."""
    products: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Likewise."""
    emptied: Sequence[str] = ()
    """Products that lose the relations of this model before others are written."""
    written: Relations | None = None
    dropped: Relations | None = None
    skus: Sequence[str] = ()
    """Of the rows and columns of the relations."""
    popularity: Mapping[str, float] = field(default_factory=dict)
    known_users: Mapping[str, Known] = field(default_factory=dict)
    known_products: Mapping[str, Known] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    """Of users: whoever has done something else by now is left as they are. Who is not among them is written."""


def write_change(store: GraphStore, version: str, change: LiveChange, *, before: str, turn: str) -> bool:
    """Write in one transaction; False, and nothing is written, where another model is live or another has learned.

    Args:
        before: the turn that was last when the learner read the graph, ``ModelVersion.learned``; empty for none.
        turn: names this change; not to be used again.
    """
    model = live(store)
    if model is None or model.version != version:
        return False
    statements: list[Statement] = [(_TURN, {"version": version, "before": before, "turn": turn})]

    def add(cypher: str, name: str, rows: Sequence[Any]) -> None:
        if rows:
            statements.append((cypher, {"version": version, "turn": turn, name: rows}))

    add(_EMPTY, "skus", sorted(change.emptied))
    if change.dropped is not None:
        ends = _by_start(change.dropped, change.skus)
        add(_PART, "rows", [{"sku": sku, "others": [other[0] for other in others]} for sku, others in ends])
    if change.written is not None:
        add(_RELATE, "rows", [{"sku": s, "others": others} for s, others in _by_start(change.written, change.skus)])
    seen = {key: {"met": of.met, "last": of.last_at} for key, of in change.seen.items()}
    for label, vectors in (("User", change.users), ("Product", change.products)):
        unless = _UNLESS_ACTIVE.format() if label == "User" else ""
        place = _WHILE_LIVE + _PLACE.format(label=label, key=schema.LABEL[label].key, slot=model.slot, unless=unless)
        rows = [
            {"key": key, "vector": vector_parameter(v) if v.any() else None, **seen.get(key, {})}
            for key, v in sorted(vectors.items())
        ]
        add(place, "rows", rows)
    for label, known in (("User", change.known_users), ("Product", change.known_products)):
        unless = _UNLESS_ACTIVE.format() if label == "User" else ""
        note = _WHILE_LIVE + _KNOW.format(label=label, key=schema.LABEL[label].key, unless=unless)
        known_rows = [
            {
                "key": key,
                "print": of.print,
                "known_met": of.met,
                "free": vector_parameter(of.free) if of.free.any() else None,
                **(seen.get(key, {}) if label == "User" else {}),
            }
            for key, of in sorted(known.items())
        ]
        add(note, "rows", known_rows)
    add(_RANK, "rows", [list(pair) for pair in sorted(change.popularity.items())])
    return bool(store.write_all(statements)[0])


def _entries(matrix: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    entries = matrix.tocoo()
    keys = (entries.row.astype(np.int64) << _SHIFT) | entries.col.astype(np.int64)
    order = np.argsort(keys)
    return keys[order], entries.data[order]


def _by_start(relations: Relations, skus: Sequence[str]) -> list[tuple[str, list[list[Any]]]]:
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for row, column, weight, onward in zip(
        relations.rows.tolist(),
        relations.columns.tolist(),
        relations.weight.tolist(),
        relations.next.tolist(),
        strict=True,
    ):
        found[skus[row]].append([skus[column], weight, None if onward != onward else onward])
    return list(found.items())
