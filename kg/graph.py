"""The values that travel between packages: nodes, relationships, evidence, and a graph of them.

Pure data, no I/O. Whatever is extracted or read becomes a :class:`Graph`;
:mod:`kg.writer` puts it into Neo4j. Identity is a business key, never an
internal id: two values with the same label and key are the same node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeRef:
    """Names a node by label and business key without saying anything else of it."""

    label: str
    key: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node to be merged on ``(label, key)``; ``properties`` excludes the key itself.

    A property whose value is ``None`` is removed from the node: the writer's
    caller states the whole truth of the properties that it names.
    """

    label: str
    key: str
    properties: Properties = field(default_factory=dict, hash=False)

    @property
    def ref(self) -> NodeRef:
        """The node's name."""
        return NodeRef(self.label, self.key)


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship to be merged on ``(start, type, end, source)``.

    ``source`` says who asserts it (``catalogue``, ``extraction``, ``curator``,
    ``also_bought`` …). Two sources that assert the same thing are two
    relationships side by side, so that taking one source away takes away
    exactly what it alone supported.
    """

    start: NodeRef
    type: str
    end: NodeRef
    source: str
    properties: Properties = field(default_factory=dict, hash=False)

    @property
    def fact(self) -> str:
        """The id under which evidence for this relationship is found: 16 hex digits of SHA-256."""
        return fact_id(self.start, self.type, self.end, self.source)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place in one text that supports a fact, or merely mentions an entity.

    ``document[start:end] == quote`` always holds for the stored text; offsets count
    Unicode code points, as Python's slices and Cypher's ``substring`` do.
    """

    document: str
    """Id of the :class:`Document`."""
    start: int
    end: int
    quote: str
    confidence: float
    """In (0, 1]."""
    extractor: str
    version: str
    at: datetime
    fact: str | None = None
    """:attr:`Relationship.fact` that this supports; ``None`` for a bare mention."""
    mentions: NodeRef | None = None
    """The entity named here."""

    @property
    def id(self) -> str:
        """Stable id: the same extractor finding the same thing again gives the same evidence."""
        entity = f"{self.mentions.label}:{self.mentions.key}" if self.mentions else ""
        return _digest(self.document, str(self.start), str(self.end), self.fact or "", entity, self.extractor)


class DocumentKind(StrEnum):
    """What a text is; the extractor reads reviews for opinions and the others for attributes."""

    PRODUCT = "product"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Document:
    """A cleaned text and what it is about. ``text`` is stored as it stands; evidence counts in it."""

    id: str
    kind: DocumentKind
    text: str
    sku: str
    """The product that the text describes or reviews."""
    title_end: int = 0
    """Offset where the title (of product or review) ends; 0 when there is none."""

    @property
    def sha256(self) -> str:
        """Hex digest of the text: tells whether it must be extracted again."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that was dropped, and why: rejection is data."""

    reason: str
    """A short enumerable code, such as ``negated`` or ``not_in_schema``."""
    detail: str
    document: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes, relationships and the evidence for them, ready to be validated and written."""

    nodes: tuple[Node, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    def __add__(self, other: Graph) -> Graph:
        return Graph(self.nodes + other.nodes, self.relationships + other.relationships, self.evidence + other.evidence)

    @classmethod
    def union(cls, graphs: Iterable[Graph]) -> Graph:
        """Concatenate many graphs in linear time; the writer removes doubles."""
        nodes: list[Node] = []
        relationships: list[Relationship] = []
        evidence: list[Evidence] = []
        for graph in graphs:
            nodes += graph.nodes
            relationships += graph.relationships
            evidence += graph.evidence
        return cls(tuple(nodes), tuple(relationships), tuple(evidence))

    def __bool__(self) -> bool:
        return bool(self.nodes or self.relationships or self.evidence)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one document gave: a graph with evidence, and what was dropped with the reason."""

    document: str
    graph: Graph
    rejected: tuple[Rejected, ...] = ()


def fact_id(start: NodeRef, type: str, end: NodeRef, source: str) -> str:
    """The id of a relationship as a fact; see :attr:`Relationship.fact`."""
    return _digest(start.label, start.key, type, end.label, end.key, source)


def _digest(*parts: str) -> str:
    # The length prefix keeps ("ab", "c") and ("a", "bc") apart.
    joined = "".join(f"{len(p)}:{p}" for p in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:16]
