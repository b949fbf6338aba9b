"""A subgraph of Neo4j as PyTorch Geometric ``HeteroData``, with the names of its rows.

Row by row, Bolt carries some 20,000 relationships a second; most of that is the
price of a row. So the server packs the ids and properties of many relationships
into ``vector(…)`` values and one row carries thousands of them, decoded by
numpy without a Python object each. Relationships are read by pages of start
nodes, so neither side ever holds more than a page of them beside the result.

The graph stays heterogeneous here: one edge store a relationship type, since
:mod:`embeddings.gcn` gives each type a weight of its own. Only there are the
types stacked into one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from torch_geometric.data import HeteroData

from embeddings.content import SUPPLIED, supplied
from kg import schema
from kg.errors import EmbeddingError, StatementError
from kg.store import GraphStore

EdgeType = tuple[str, str, str]
"""Start label, relationship type, end label."""

INTERACTIONS: Final = ("BOUGHT", "RATED", "CARTED", "CLICKED", "VIEWED")
"""Relationships from a user to a product that show interest; the score's history."""
PRODUCT_RELATIONS: Final = (
    "BOUGHT_WITH",
    "VIEWED_WITH",
    "ACCESSORY_OF",
    "COMPATIBLE_WITH",
    "SUBSTITUTE_FOR",
    "VARIANT_OF",
)
"""Explicit relationships between products; each has a weight in the score."""
SHARED: Final = (
    ("MADE_BY", "Brand"),
    ("IN_CATEGORY", "Category"),
    ("HAS_ATTRIBUTE", "AttributeValue"),
    ("PRAISED_FOR", "Aspect"),
)
"""Relationships by which products are alike when they share the other end."""
LEAST_VOICES: Final = 3
"""Reviews that must praise an aspect before training counts it as the product's. What one review says tells as much of
its author, who praises the same of whatever they buy: a model learns to know the author by it, and a split that hides
the author's purchase, but not the words, agrees."""
AGREED: Final[Mapping[str, str]] = {"PRAISED_FOR": f"r.count >= {LEAST_VOICES}"}
"""Relationship type → Cypher predicate over the relationship ``r``: those which training reads."""

PAGE: Final = 4096
"""Start nodes in one query; also the longest vector that Neo4j makes."""
_GROUP: Final = 128
"""Start nodes whose relationships are gathered into lists at once, within a page."""
_READERS: Final = 2
"""Queries under way at once, over a connection each. Measured on two cores, 800,000 relationships with two properties:
the server needs 0.93 s with one, 0.60 s with two, 0.54 s with three; to scan them itself, 0.61 s."""
_MISSING: Final = -(2**62)
"""Stands for null on the way, since a Neo4j vector holds neither null nor NaN."""


def _property_type(owner: str, name: str) -> str:
    known = schema.LABEL.get(owner) or schema.RELATIONSHIP_TYPE.get(owner)
    if known is None:
        raise EmbeddingError(f"SubgraphSpec: the schema has no {owner!r}. kg/schema.py lists labels and types.")
    for p in known.properties:
        if p.name == name:
            return p.type
    # Vectors that a product file supplied stand beside the declared properties.
    if owner == "Product" and name.startswith(SUPPLIED):
        return "LIST<FLOAT>"
    raise EmbeddingError(f"SubgraphSpec: the schema knows no property {name!r} of {owner}.")


@dataclass(frozen=True, slots=True)
class SubgraphSpec:
    """What to export.

    >>> SubgraphSpec(
    ...     nodes={"User": (), "Product": ("price", "text_embedding")},
    ...     edges={("User", "BOUGHT", "Product"): ("strength", "at")},
    ...     where={"Product": "n.active AND n.price < $most"},
    ...     parameters={"most": 100.0},
    ... )
    """

    nodes: Mapping[str, Sequence[str]]
    """Label → properties. The business key always comes, as the :class:`NodeIndex`."""
    edges: Mapping[EdgeType, Sequence[str]]
    """Relationship type with the labels of its ends → properties."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Label → Cypher predicate over the node ``n``; edges of a node that is left out are left out. Relationship type →
    predicate over the relationship ``r``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values for the ``$names`` of the predicates."""

    def __post_init__(self) -> None:
        for label, properties in self.nodes.items():
            if label not in schema.LABEL:
                raise EmbeddingError(f"SubgraphSpec: the schema has no label {label!r}. kg/schema.py lists them.")
            for name in properties:
                _property_type(label, name)
        for (start, type_, end), properties in self.edges.items():
            missing = [label for label in (start, end) if label not in self.nodes]
            if missing:
                raise EmbeddingError(
                    f"SubgraphSpec: {start}-{type_}-{end} needs the label {missing[0]} among its nodes."
                )
            for name in properties:
                _property_type(type_, name)
        types = {type_ for _, type_, _ in self.edges}
        for name in self.where.keys() - self.nodes.keys() - types:
            raise EmbeddingError(f"SubgraphSpec: a filter for {name}, which is not among its nodes and edges.")


SHOP: Final = SubgraphSpec(
    nodes={
        "User": ("last_at",),
        "Product": ("active", "text_embedding"),
        **{label: () for _, label in SHARED},
    },
    edges={
        **{("User", type_, "Product"): ("strength", "at") for type_ in INTERACTIONS},
        **{("Product", type_, "Product"): ("source", "confidence") for type_ in PRODUCT_RELATIONS},
        **{("Product", type_, label): () for type_, label in SHARED},
        **{
            ("Product", type_, label): ()
            for type_ in ("ACCESSORY_OF", "COMPATIBLE_WITH")
            for label in ("Brand", "Category")
        },
    },
    where=AGREED,
)
"""All that training reads, but for supplied vectors: :func:`shop_with_supplied`."""


def shop_with_supplied(store: GraphStore) -> SubgraphSpec:
    """:data:`SHOP` with the vectors that product files supplied, of whatever names this graph has."""
    nodes = {**SHOP.nodes, "Product": (*SHOP.nodes["Product"], *supplied(store))}
    return replace(SHOP, nodes=nodes)


@dataclass(frozen=True, slots=True)
class NodeIndex:
    """Business key ↔ row, for each label; rows are in the order of the keys' code points."""

    keys: Mapping[str, tuple[str, ...]]
    _rows: Mapping[str, Mapping[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = {label: {key: row for row, key in enumerate(keys)} for label, keys in self.keys.items()}
        object.__setattr__(self, "_rows", rows)

    def count(self, label: str) -> int:
        """Number of nodes with that label."""
        return len(self.keys.get(label, ()))

    def row(self, label: str, key: str) -> int | None:
        """Row of a key, or None for one that was not exported."""
        return self._rows.get(label, {}).get(key)

    def rows(self, label: str, keys: Sequence[str]) -> np.ndarray:
        """Rows of many keys, int64; -1 for those that were not exported."""
        known = self._rows.get(label, {})
        return np.fromiter((known.get(key, -1) for key in keys), dtype=np.int64, count=len(keys))


def export_subgraph(store: GraphStore, spec: SubgraphSpec = SHOP) -> tuple[HeteroData, NodeIndex]:
    """Read the subgraph that ``spec`` names.

    Each node store has ``num_nodes`` and one tensor a property: numbers and
    times (Unix seconds) as float64 ``[n]`` with NaN for null, booleans as bool
    with False for null, text as int64 codes with the texts in ``NAME_texts``
    (-1 for null), lists of numbers as float32 ``[n, width]`` with zero rows for
    null. Each edge store has ``edge_index`` ``[2, e]`` sorted by start row, then
    end row, and its properties likewise.

    Raises:
        EmbeddingError: a list property has different widths on different nodes, or a number is NaN or infinite.
    """
    data = HeteroData()
    keys: dict[str, tuple[str, ...]] = {}
    rows: dict[str, _Rows] = {}
    with _readers() as readers:
        nodes = list(readers.map(lambda label: _read_nodes(store, spec, label, spec.nodes[label]), spec.nodes))
    for label, (names, found, columns) in zip(spec.nodes, nodes, strict=True):
        keys[label], rows[label] = names, found
        data[label].num_nodes = len(names)
        for name, value in columns.items():
            data[label][name] = value
    for start, type_, end in spec.edges:
        index, columns = _read_edges(store, spec, (start, type_, end), rows)
        data[start, type_, end].edge_index = index
        for name, value in columns.items():
            data[start, type_, end][name] = value
    return data, NodeIndex(keys)


def _readers() -> ThreadPoolExecutor:
    """Neo4j Community runs a query on one processor: with two under way it reads one page while another is decoded."""
    return ThreadPoolExecutor(_READERS, thread_name_prefix="export")


def _finite(rows: Iterator[Sequence[Any]], owner: str, properties: Sequence[str]) -> Iterator[Sequence[Any]]:
    """The rows; Neo4j refuses to pack what is no finite float, and does not say whose it is."""
    try:
        yield from rows
    except StatementError as error:
        if "coordinates must be finite" not in str(error):
            raise
        raise EmbeddingError(
            f"A number of {owner} is NaN, infinite or greater than a float32 can be: one of {', '.join(properties)}. "
            f"Find it (MATCH of {owner} WHERE isNaN(…) or abs(…) > 3.4e38), set it right, and try again."
        ) from error


# --- nodes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """Neo4j's internal ids, ascending, and the row of each; valid only while the export runs."""

    ids: np.ndarray
    rows: np.ndarray
    _table: np.ndarray | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = None
        # Neo4j numbers its nodes from zero and uses numbers again, so that the ids of a label are mostly dense.
        if self.ids.size and self.ids[-1] < 8 * self.ids.size:
            table = np.full(int(self.ids[-1]) + 1, -1, dtype=np.int64)
            table[self.ids] = self.rows
        object.__setattr__(self, "_table", table)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Row of each id, or -1: created since, filtered out, or of another label."""
        if self.ids.size == 0:
            return np.full(ids.shape, -1, dtype=np.int64)
        if self._table is not None:
            return np.where(ids < self._table.size, self._table[np.minimum(ids, self._table.size - 1)], -1)
        at = np.minimum(np.searchsorted(self.ids, ids), self.ids.size - 1)
        return np.where(self.ids[at] == ids, self.rows[at], -1)


def _read_nodes(
    store: GraphStore, spec: SubgraphSpec, label: str, properties: Sequence[str]
) -> tuple[tuple[str, ...], _Rows, dict[str, Any]]:
    key = schema.LABEL[label].key
    columns = [_Column.of(label, name, "n") for name in properties]
    predicate = f"WHERE {spec.where[label]}\n" if label in spec.where else ""
    # Lists are wide: fewer nodes a row keep the row small.
    page = PAGE if all(c.kind != "list" for c in columns) else PAGE // 8
    cypher = (
        "CYPHER 25\n"
        f"MATCH (n:{label})\n"
        f"{predicate}"
        # References alone are gathered; properties are read page by page.
        "WITH collect(n) AS found\n"
        "WHERE size(found) > 0\n"
        f"UNWIND range(0, size(found) - 1, {page}) AS i\n"
        f"WITH found[i..i + {page}] AS nodes\n"
        "RETURN " + ",\n       ".join([f"[n IN nodes | n.{key}]", _packed("id(n)"), *(c.gathered() for c in columns)])
    )
    names: list[str] = []
    ids: list[np.ndarray] = []
    chunks: list[list[Any]] = [[] for _ in columns]
    rows = _finite(store.stream(cypher, fetch_size=4, **spec.parameters), label, properties)
    for page_names, page_ids, *page_columns in rows:
        names += page_names
        ids.append(page_ids.to_numpy().astype(np.int64))
        for column, chunk, value in zip(columns, chunks, page_columns, strict=True):
            chunk.append(column.decode(value))
    # Sorted here: Neo4j's index and its operators order text beyond the basic plane differently.
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    internal = np.concatenate(ids)[order] if ids else np.empty(0, dtype=np.int64)
    by_id = np.argsort(internal)
    tensors: dict[str, Any] = {}
    for column, chunk in zip(columns, chunks, strict=True):
        tensors.update(column.tensors(chunk, order))
    return tuple(names[i] for i in order), _Rows(internal[by_id], by_id), tensors


# --- edges ---------------------------------------------------------------------------------------------------


def _read_edges(
    store: GraphStore,
    spec: SubgraphSpec,
    edge: EdgeType,
    rows: Mapping[str, _Rows],
) -> tuple[torch.Tensor, dict[str, Any]]:
    start, type_, end = edge
    columns = [_Column.of(type_, name, "r") for name in spec.edges[edge]]
    predicate = f" AND ({spec.where[type_]})" if type_ in spec.where else ""
    gathered = ["collect(id(a)) AS starts", "collect(id(b)) AS ends"]
    gathered += [f"collect({c.value}) AS c{i}" for i, c in enumerate(columns)]
    sliced = [
        f"{name}[j..j + {PAGE}] AS {name}" for name in ("starts", "ends", *(f"c{i}" for i in range(len(columns))))
    ]
    packed = ["vector(starts, size(starts), INTEGER64)", "vector(ends, size(ends), INTEGER64)"]
    packed += [c.packed(f"c{i}") for i, c in enumerate(columns)]
    # The labels of the far end are not asked for: what is not in its rows is dropped on arrival.
    cypher = (
        "CYPHER 25\n"
        f"UNWIND range(0, size($ids) - 1, {_GROUP}) AS i\n"
        "CALL (i) {\n"
        f"  UNWIND $ids[i..i + {_GROUP}] AS id\n"
        # The label is asked again: an id may have passed to another node since.
        f"  MATCH (a:{start})-[r:{type_}]->(b)\n"
        f"  WHERE id(a) = id{predicate}\n"
        f"  RETURN {', '.join(gathered)}\n"
        "}\n"
        # Not only to save work: range(0, -1, 4096) is [0] in Neo4j, not [].
        "WITH *\n"
        "WHERE size(starts) > 0\n"
        f"UNWIND range(0, size(starts) - 1, {PAGE}) AS j\n"
        f"WITH {', '.join(sliced)}\n"
        "RETURN " + ", ".join(packed)
    )

    def page_from(begin: int) -> _EdgePage:
        ids = rows[start].ids[begin : begin + PAGE].tolist()
        page = _EdgePage([], [], [[] for _ in columns])
        found = store.stream(cypher, fetch_size=32, ids=ids, **spec.parameters)
        for a, b, *values in _finite(found, type_, spec.edges[edge]):
            head, tail = rows[start].of(a.to_numpy().astype(np.int64)), rows[end].of(b.to_numpy().astype(np.int64))
            kept = (head >= 0) & (tail >= 0)
            page.heads.append(head[kept])
            page.tails.append(tail[kept])
            for column, chunk, value in zip(columns, page.chunks, values, strict=True):
                chunk.append(column.decode(value)[kept])
        return page

    begins = range(0, rows[start].ids.size, PAGE) if rows[end].ids.size else ()
    with _readers() as readers:
        pages = list(readers.map(page_from, begins))
    head = np.concatenate([part for page in pages for part in page.heads] or [np.empty(0, dtype=np.int64)])
    tail = np.concatenate([part for page in pages for part in page.tails] or [np.empty(0, dtype=np.int64)])
    plain = [
        np.concatenate([part for page in pages for part in page.chunks[i]] or [column.empty()])
        for i, column in enumerate(columns)
    ]
    order = _order(head, tail, plain)
    tensors: dict[str, Any] = {}
    for column, joined in zip(columns, plain, strict=True):
        tensors.update(column.tensors([joined], order))
    return torch.from_numpy(np.stack([head[order], tail[order]])), tensors


@dataclass(frozen=True, slots=True)
class _EdgePage:
    """The relationships of one page of start nodes: rows of both ends, and each property, in several arrays."""

    heads: list[np.ndarray]
    tails: list[np.ndarray]
    chunks: list[list[np.ndarray]]


def _order(head: np.ndarray, tail: np.ndarray, properties: Sequence[np.ndarray]) -> np.ndarray:
    """Permutation by start row, then end row, then properties: the same, whatever Neo4j returned first."""
    if not head.size:
        return np.empty(0, dtype=np.int64)
    pair = head * (int(tail.max()) + 1) + tail
    order = np.argsort(pair)
    ascending = pair[order]
    same = ascending[1:] == ascending[:-1]
    # Parallel relationships alone are compared by all that they say: for every one it would take as long as reading.
    tied = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    among = order[tied]
    order[tied] = among[np.lexsort([*(values[among] for values in reversed(properties)), pair[among]])]
    return order


# --- properties ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """How one property travels: its Cypher expression there, its array here."""

    name: str
    kind: str
    """``number``, ``time``, ``boolean``, ``text`` or ``list``."""
    variable: str

    @classmethod
    def of(cls, owner: str, name: str, variable: str) -> _Column:
        type_ = _property_type(owner, name)
        if type_.startswith("LIST"):
            kind = "list"
        else:
            kind = {"ZONED DATETIME": "time", "BOOLEAN": "boolean", "STRING": "text"}.get(type_, "number")
        return cls(name, kind, variable)

    @property
    def value(self) -> str:
        """Expression for the property of one node or relationship; null only for text and lists."""
        access = f"{self.variable}.{self.name}"
        if self.kind == "time":
            return f"coalesce({access}.epochSeconds, {_MISSING})"
        if self.kind == "boolean":
            return f"CASE WHEN {access} THEN 1 ELSE 0 END"
        if self.kind == "number":
            return f"coalesce({access}, {float(_MISSING)})"
        if self.kind == "text":
            return f"coalesce({access}, '')"
        return f"vector({access}, size({access}), FLOAT32)"

    def packed(self, values: str) -> str:
        """Expression that packs the list ``values``; texts and vectors go as a list."""
        if self.kind in ("text", "list"):
            return values
        return f"vector({values}, size({values}), {'FLOAT64' if self.kind == 'number' else 'INTEGER64'})"

    def gathered(self) -> str:
        """Expression that gathers and packs the property of all ``nodes``."""
        return self.packed(f"[n IN nodes | {self.value}]")

    def decode(self, value: Any) -> np.ndarray:
        """What arrived, as an array with one row a node or relationship."""
        if self.kind == "text":
            return np.array(value, dtype=object)
        if self.kind == "list":
            rows = np.empty(len(value), dtype=object)
            for i, vector in enumerate(value):
                rows[i] = None if vector is None else vector.to_numpy().astype(np.float32)
            return rows
        array = value.to_numpy()
        if self.kind == "boolean":
            return array.astype(bool)
        return np.where(array == _MISSING, np.nan, array.astype(np.float64))

    def empty(self) -> np.ndarray:
        return np.empty(0, dtype={"text": object, "list": object, "boolean": bool}.get(self.kind, np.float64))

    def tensors(self, chunks: Sequence[np.ndarray], order: np.ndarray) -> dict[str, Any]:
        """The chunks joined and put into ``order``, under the names that ``HeteroData`` will have."""
        values = np.concatenate(chunks) if chunks else self.empty()
        values = values[order]
        if self.kind == "text":
            texts = sorted(set(values.tolist()) - {""})
            code = {text: i for i, text in enumerate(texts)}
            codes = np.fromiter((code.get(v, -1) for v in values), dtype=np.int64, count=len(values))
            return {self.name: torch.from_numpy(codes), f"{self.name}_texts": texts}
        if self.kind == "list":
            widths = {len(v) for v in values if v is not None}
            if len(widths) > 1:
                raise EmbeddingError(
                    f"Property {self.name} has {' and '.join(map(str, sorted(widths)))} numbers on different nodes; "
                    "it must have one width. Run kg extract again, or supply vectors of one width."
                )
            matrix = np.zeros((len(values), widths.pop() if widths else 0), dtype=np.float32)
            for i, vector in enumerate(values):
                if vector is not None:
                    matrix[i] = vector
            return {self.name: torch.from_numpy(matrix)}
        return {self.name: torch.from_numpy(values)}


def _packed(expression: str) -> str:
    return f"vector([n IN nodes | {expression}], size(nodes), INTEGER64)"
