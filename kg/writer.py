"""Idempotent batched writes: ``UNWIND … MERGE`` on business keys, one transaction a batch.

A :class:`~kg.graph.Graph` is validated whole against :mod:`kg.schema` before
anything is written. Within a batch rows are sorted by key, so that two writers
take their locks in the same order and seldom deadlock; when they do, the
driver tries again, which is harmless because every statement is a MERGE.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import numpy as np

from kg import schema
from kg.errors import SchemaError
from kg.graph import Evidence, Graph, Node, NodeRef, Relationship
from kg.records import VECTOR_NAME
from kg.store import Counters, GraphStore, vector_parameter

T = TypeVar("T")
Statement = tuple[str, dict[str, Any]]
Progress = Callable[[int], None]
"""Called with the number of rows that were just committed."""

BATCH_SIZE: Final = 2000
"""Rows in one transaction. From 500 to 10,000 the rate did not change beyond noise; this one needs little memory."""

_SUPPLIED_VECTOR = re.compile(f"vector_{VECTOR_NAME.pattern}")
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "STRING": str,
    "INTEGER": int,
    "FLOAT": (float, int),
    "BOOLEAN": bool,
    "ZONED DATETIME": datetime,
}


@dataclass(frozen=True, slots=True)
class WriteSummary:
    """What a load did. Rows count what was asked for, counters what had to change."""

    nodes: int = 0
    relationships: int = 0
    evidence: int = 0
    missing_ends: int = 0
    """Relationships not written because a node that they join is not in the graph."""
    changed: Counters = field(default_factory=Counters)
    outdated: int = 0
    """Texts of which nothing was written because they were removed or reworded since they were read."""

    def __add__(self, other: WriteSummary) -> WriteSummary:
        return WriteSummary(
            self.nodes + other.nodes,
            self.relationships + other.relationships,
            self.evidence + other.evidence,
            self.missing_ends + other.missing_ends,
            self.changed + other.changed,
            self.outdated + other.outdated,
        )


def upsert(
    store: GraphStore, graph: Graph, *, batch_size: int = BATCH_SIZE, progress: Progress | None = None
) -> WriteSummary:
    """Validate ``graph``, then merge its nodes, relationships and evidence, in this order.

    Raises:
        SchemaError: something in ``graph`` does not fit the schema; nothing was written.
    """
    validate(graph)
    nodes = merged_nodes(graph.nodes)
    relationships = merged_relationships(graph.relationships)
    evidence = list({e.id: e for e in graph.evidence}.values())
    changed = Counters()
    for part in batched(nodes, batch_size):
        changed += store.change_all(list(node_statements(part)))
        _tell(progress, len(part))
    for relationship_part in batched(relationships, batch_size):
        changed += store.change_all(list(relationship_statements(relationship_part)))
        _tell(progress, len(relationship_part))
    for evidence_part in batched(evidence, batch_size):
        changed += store.change_all(list(evidence_statements(evidence_part)))
        _tell(progress, len(evidence_part))
    missing = _count_missing(store, relationships) if relationships else 0
    return WriteSummary(len(nodes), len(relationships) - missing, len(evidence), missing, changed)


def set_vectors(
    store: GraphStore,
    label: str,
    property: str,
    vectors: Iterable[tuple[str, np.ndarray]],
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> int:
    """Write float32 vectors (key, ``[d]``) as a list property of existing nodes; return how many nodes took one.

    They travel as Bolt vectors, which was 1.8 times faster than lists of floats.

    Raises:
        SchemaError: a vector holds NaN or infinity.
    """
    key = _label(label).key
    cypher = (
        f"CYPHER 25 UNWIND $rows AS row\nMATCH (n:{label} {{{key}: row.key}})\n"
        f"SET n.{property} = toFloatList(row.vector)\nRETURN count(n) AS written"
    )
    written = 0
    for part in batched(vectors, batch_size):
        rows = []
        for name, vector in part:
            if not np.isfinite(vector).all():
                raise SchemaError(f"The vector for {label} {name!r} holds NaN or infinity; nothing of it was written.")
            rows.append({"key": name, "vector": vector_parameter(vector)})
        written += store.write(cypher, rows=rows)[0]["written"]
        _tell(progress, len(part))
    return written


def validate(graph: Graph) -> None:
    """Check every value against the schema; say of the first that does not fit what is wrong with it.

    Raises:
        SchemaError: naming the node or relationship, what was expected and what came.
    """
    for node in graph.nodes:
        label = _label(node.label)
        _require_key(node.ref)
        where = f"{node.label} {node.key!r}"
        _check_properties(where, label.properties, node.properties, given_elsewhere={label.key})
    for relationship in graph.relationships:
        kind = schema.RELATIONSHIP_TYPE.get(relationship.type)
        where = f"({relationship.start.key!r})-[:{relationship.type}]->({relationship.end.key!r})"
        if kind is None:
            raise SchemaError(f"{where}: no such relationship type in kg/schema.py. Known: {_known_types()}.")
        _require_key(relationship.start)
        _require_key(relationship.end)
        if (relationship.start.label, relationship.end.label) not in kind.between:
            allowed = " or ".join(f"{a} → {b}" for a, b in kind.between)
            raise SchemaError(
                f"{where} would join {relationship.start.label} to {relationship.end.label}; "
                f"{kind.name} joins {allowed}."
            )
        _check_properties(where, kind.properties, relationship.properties, given_elsewhere={"source"})
    for item in graph.evidence:
        if item.start < 0 or item.end <= item.start or len(item.quote) != item.end - item.start:
            raise SchemaError(
                f"Evidence in {item.document}: {item.quote!r} cannot stand at offsets {item.start} to {item.end}."
            )
        if not 0 < item.confidence <= 1:
            raise SchemaError(f"Evidence in {item.document}: confidence {item.confidence} is not in (0, 1].")


_SHELVES: Final = """
CALL (p) {
  MATCH (p)-[:IN_CATEGORY]->(c:Category)
  WITH DISTINCT c.path AS path
  ORDER BY path
  LIMIT 2
  RETURN collect(path + ' > ') AS on
}
WITH p, on
WHERE coalesce(p.shelf, '') <> coalesce(on[0], '') OR coalesce(p.also_on, '') <> coalesce(on[1], '')
"""
_NOTE: Final = "SET p.shelf = on[0], p.also_on = on[1]"
SHELVE: Final = _SHELVES + _NOTE
"""Clauses that note on ``p`` on which shelves it stands; see :func:`shelve_statement`."""
SHELVE_ALL: Final = f"MATCH (p:Product)\n{_SHELVES}CALL (p, on) {{ {_NOTE} }} IN TRANSACTIONS OF 5000 ROWS"
"""The same for all products: a statement that manages its transactions."""


def shelve_statement(skus: Iterable[str]) -> Statement:
    """Note on these products on which shelves they stand.

    A vector index cannot look from node to node, but it can keep to products whose ``shelf`` begins with a path.
    Whoever reads it checks against ``IN_CATEGORY`` all the same, and finds what stands on a second shelf by
    ``also_on``. On a third and further shelves a product is found by neither.
    """
    return f"UNWIND $skus AS sku\nMATCH (p:Product {{sku: sku}})\n{SHELVE}", {"skus": sorted(set(skus))}


def node_statements(nodes: Sequence[Node]) -> Iterator[Statement]:
    """One MERGE for each label among ``nodes``."""
    by_label: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        by_label[node.label].append(node)
    for label, group in sorted(by_label.items()):
        rows = [{"key": n.key, "properties": dict(n.properties)} for n in sorted(group, key=lambda n: n.key)]
        yield (
            f"UNWIND $rows AS row\nMERGE (n:{label} {{{_label(label).key}: row.key}})\nSET n += row.properties",
            {"rows": rows},
        )


def relationship_statements(relationships: Sequence[Relationship]) -> Iterator[Statement]:
    """One MERGE for each (type, start label, end label) among ``relationships``. Both ends must exist.

    What the products note of their shelves follows.
    """
    groups: dict[tuple[str, str, str], list[Relationship]] = defaultdict(list)
    for r in relationships:
        groups[r.type, r.start.label, r.end.label].append(r)
    for (type_, start, end), group in sorted(groups.items()):
        identity = schema.RELATIONSHIP_TYPE[type_].identity
        matched = "".join(f" {{{', '.join(f'{name}: row.{name}' for name in identity)}}}" if identity else "")
        rows = [
            {
                "start": r.start.key,
                "end": r.end.key,
                "properties": dict(r.properties),
                **{name: r.source if name == "source" else r.properties[name] for name in identity},
            }
            for r in sorted(group, key=lambda r: (r.start.key, r.end.key, r.source))
        ]
        yield (
            "UNWIND $rows AS row\n"
            f"MATCH (s:{start} {{{_label(start).key}: row.start}})\n"
            f"MATCH (e:{end} {{{_label(end).key}: row.end}})\n"
            f"MERGE (s)-[r:{type_}{matched}]->(e)\n"
            "SET r += row.properties",
            {"rows": rows},
        )
    if shelved := {r.start.key for r in relationships if r.type == "IN_CATEGORY"}:
        yield shelve_statement(shelved)


def evidence_statements(evidence: Sequence[Evidence]) -> Iterator[Statement]:
    """Evidence nodes with their document, then what they mention. The documents must exist."""
    rows = [
        {
            "id": e.id,
            "document": e.document,
            "properties": {
                "start": e.start,
                "end": e.end,
                "quote": e.quote,
                "confidence": e.confidence,
                "extractor": e.extractor,
                "version": e.version,
                "fact": e.fact,
            },
            # The driver takes 100 µs to pack a datetime, and there are many.
            "at": int(e.at.timestamp() * 1000),
        }
        for e in sorted(evidence, key=lambda e: e.id)
    ]
    yield (
        "UNWIND $rows AS row\n"
        "MATCH (d:Document {id: row.document})\n"
        "MERGE (e:Evidence {id: row.id})\n"
        "SET e += row.properties, e.at = datetime({epochMillis: row.at})\n"
        "MERGE (e)-[:FROM]->(d)",
        {"rows": rows},
    )
    mentions: dict[str, list[dict[str, str]]] = defaultdict(list)
    for e in evidence:
        if e.mentions is not None:
            mentions[e.mentions.label].append({"id": e.id, "key": e.mentions.key})
    for label, pairs in sorted(mentions.items()):
        yield (
            "UNWIND $rows AS row\n"
            "MATCH (e:Evidence {id: row.id})\n"
            f"MATCH (n:{label} {{{_label(label).key}: row.key}})\n"
            "MERGE (e)-[:MENTIONS]->(n)",
            {"rows": sorted(pairs, key=lambda row: row["id"])},
        )


def merged_nodes(nodes: Iterable[Node]) -> list[Node]:
    """Nodes with the same label and key made one; of two values for a property the later stands."""
    properties: dict[NodeRef, dict[str, Any]] = {}
    for node in nodes:
        properties.setdefault(node.ref, {}).update(node.properties)
    return [Node(ref.label, ref.key, values) for ref, values in properties.items()]


def merged_relationships(relationships: Iterable[Relationship]) -> list[Relationship]:
    """Relationships of the same identity made one; of two values for a property the later stands."""
    found: dict[tuple[object, ...], tuple[Relationship, dict[str, Any]]] = {}
    for r in relationships:
        identity = tuple(
            r.source if name == "source" else r.properties.get(name)
            for name in schema.RELATIONSHIP_TYPE[r.type].identity
        )
        _, values = found.setdefault((r.start, r.type, r.end, identity), (r, {}))
        values.update(r.properties)
    return [Relationship(r.start, r.type, r.end, r.source, values) for r, values in found.values()]


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


class Pipeline:
    """Lets the next batch be prepared while the last is being written: one write at a time, in order.

    A failed write raises at the next :meth:`put`, or at the end of the ``with`` block.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kg-writer")
        self._last: Future[None] | None = None

    def put(self, write: Callable[[], None]) -> None:
        """Wait for the write before, then begin this one."""
        self._wait()
        self._last = self._worker.submit(write)

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            # An error raised while the next batch was prepared is the one to report, not a later one here.
            if kind is None:
                self._wait()
        finally:
            self._worker.shutdown(wait=True)


def _count_missing(store: GraphStore, relationships: Sequence[Relationship]) -> int:
    """How many relationships name a node that the graph does not hold."""
    ends: dict[str, set[str]] = defaultdict(set)
    for r in relationships:
        ends[r.start.label].add(r.start.key)
        ends[r.end.label].add(r.end.key)
    absent = {NodeRef(label, key) for label, keys in ends.items() for key in missing_keys(store, label, keys)}
    return sum(r.start in absent or r.end in absent for r in relationships) if absent else 0


def missing_keys(store: GraphStore, label: str, keys: Iterable[str]) -> set[str]:
    """Which of ``keys`` no node of ``label`` has."""
    wanted = sorted(set(keys))
    key = _label(label).key
    found: set[str] = set()
    for part in batched(wanted, 10_000):
        rows = store.read(
            f"UNWIND $keys AS key\nMATCH (n:{label} {{{key}: key}})\nRETURN collect(key) AS found", keys=part
        )
        found.update(rows[0]["found"])
    return set(wanted) - found


def _check_properties(
    where: str, known: Sequence[schema.Property], given: Mapping[str, Any], *, given_elsewhere: set[str]
) -> None:
    for prop in known:
        value = given.get(prop.name)
        if value is None:
            if prop.required and prop.name not in given_elsewhere:
                raise SchemaError(f"{where} lacks the required property {prop.name!r} ({prop.doc})")
        elif not _fits(value, prop.type):
            raise SchemaError(f"{where}: {prop.name} should be {prop.type}, is {type(value).__name__} {value!r:.80}.")
    names = {prop.name for prop in known}
    for name in given:
        if name not in names and not _SUPPLIED_VECTOR.fullmatch(name):
            raise SchemaError(f"{where}: no property {name!r} in kg/schema.py. Known: {', '.join(sorted(names))}.")


def _fits(value: object, type_: str) -> bool:
    if type_.startswith("LIST<"):
        return isinstance(value, list | tuple) and all(_fits(item, type_[5:-1]) for item in value)
    if isinstance(value, bool):
        return type_ == "BOOLEAN"
    return isinstance(value, _TYPES[type_])


def _label(name: str) -> schema.Label:
    label = schema.LABEL.get(name)
    if label is None:
        raise SchemaError(f"No label {name!r} in kg/schema.py. Known: {', '.join(sorted(schema.LABEL))}.")
    return label


def _require_key(ref: NodeRef) -> None:
    label = _label(ref.label)
    if not ref.key or not isinstance(ref.key, str):
        raise SchemaError(f"A {ref.label} needs a non-empty {label.key}; got {ref.key!r}.")


def _known_types() -> str:
    return ", ".join(sorted(schema.RELATIONSHIP_TYPE))


def _tell(progress: Progress | None, rows: int) -> None:
    if progress is not None:
        progress(rows)
