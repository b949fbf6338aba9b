"""Where facts come from: documents, evidence, extraction runs; and taking back what only one text supported.

A fact is a relationship with ``source: 'extraction'`` and a ``fact`` id. Evidence
nodes carry that id and hang on the document in which they stand. A fact whose
last evidence goes, goes; an entity that nothing joins any more goes with it.
What a catalogue file or a curator asserts is a relationship of its own beside
the extracted one and is never touched here.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from kg import schema
from kg.errors import SchemaError
from kg.graph import Document, DocumentKind, Extraction, Graph, Node, NodeRef, Relationship
from kg.store import GraphStore, Transaction
from kg.writer import (
    SHELVE,
    Statement,
    WriteSummary,
    evidence_statements,
    merged_nodes,
    merged_relationships,
    missing_keys,
    node_statements,
    relationship_statements,
    validate,
)

_FACT_TYPES: Final = "|".join(sorted(schema.EXTRACTABLE))

# Whoever says or takes back anything of a product has its lock first: what supports a fact is counted in a statement of
# its own after that, since what a statement reads before it takes a lock may be old by then.
_LOCK_PRODUCTS: Final = """
UNWIND $documents AS id
MATCH (d:Document {id: id})
WITH DISTINCT d.sku AS sku
ORDER BY sku
MATCH (p:Product {sku: sku})
SET p.sku = sku
"""

_LOCK_DOCUMENTS: Final = "UNWIND $documents AS row\nMATCH (d:Document {id: row.id})\nSET d.id = row.id"

_AS_READ: Final = """
UNWIND $documents AS row
MATCH (d:Document {id: row.id})
WHERE d.sha256 = row.sha256 AND d.sku = row.sku
RETURN d.id AS id
"""

_RETRACT: Final = f"""
UNWIND $documents AS id
MATCH (d:Document {{id: id}})
OPTIONAL MATCH (d)<-[:FROM]-(e:Evidence)
OPTIONAL MATCH (e)-[:MENTIONS]->(entity)
WITH d, collect(DISTINCT e) AS evidence, collect(DISTINCT e.fact) AS facts, collect(DISTINCT entity) AS entities
FOREACH (e IN evidence | DETACH DELETE e)
WITH collect({{sku: d.sku, facts: facts}}) AS touched, collect(entities) AS mentioned
CALL (touched) {{
  UNWIND touched AS item
  MATCH (p:Product {{sku: item.sku}})-[r:{_FACT_TYPES}]->(end)
  WHERE r.fact IN item.facts
  WITH DISTINCT r, end
  CALL (r) {{
    MATCH (x:Evidence {{fact: r.fact}})-[:FROM]->(y:Document)
    RETURN count(DISTINCT y) AS texts, max(x.confidence) AS confidence
  }}
  FOREACH (_ IN CASE WHEN texts = 0 THEN [1] ELSE [] END | DELETE r)
  FOREACH (_ IN CASE WHEN texts > 0 THEN [1] ELSE [] END | SET r.count = texts, r.confidence = confidence)
  RETURN collect(DISTINCT end) AS ends
}}
CALL (touched) {{
  UNWIND touched AS item
  MATCH (p:Product {{sku: item.sku}})
  WHERE size(item.facts) > 0
  WITH DISTINCT p
{SHELVE}
}}
UNWIND mentioned + [ends] AS group
UNWIND group AS entity
WITH DISTINCT entity
WHERE (entity:AttributeValue OR entity:Aspect OR entity:Brand OR entity:Category) AND NOT EXISTS {{ (entity)--() }}
DELETE entity
"""

_REWORDED: Final = """
UNWIND $rows AS row
MATCH (d:Document {id: row.id})
WHERE d.sha256 <> row.sha256 OR d.sku <> row.sku
"""
_LOCK_REWORDED: Final = f"""{_REWORDED}WITH DISTINCT d.sku AS sku
ORDER BY sku
MATCH (p:Product {{sku: sku}})
SET p.sku = sku
"""
_RETRACT_REWORDED: Final = f"""{_REWORDED}REMOVE d.extracted
WITH collect(d.id) AS reworded
{_RETRACT.replace("$documents", "reworded", 1)}"""

_COUNT: Final = f"""
UNWIND $touched AS item
MATCH (p:Product {{sku: item.sku}})-[r:{_FACT_TYPES}]->()
WHERE r.fact IN item.facts
CALL (r) {{
  MATCH (x:Evidence {{fact: r.fact}})-[:FROM]->(y:Document)
  RETURN count(DISTINCT y) AS texts, max(x.confidence) AS confidence
}}
SET r.count = texts, r.confidence = confidence
"""

_DONE: Final = """
UNWIND $documents AS row
MATCH (d:Document {id: row.id})
SET d.extracted = row.mark
"""

# Numbered pages by id rather than SKIP: each page is one index range seek.
_PENDING: Final = """
MATCH (d:Document)
WHERE d.id > $after AND (d.extracted IS NULL OR d.extracted <> d.sha256 + ' ' + $version)
RETURN d.id AS id, d.kind AS kind, d.text AS text, d.sku AS sku, d.title_end AS title_end
ORDER BY d.id
LIMIT $limit
"""

_WHY: Final = f"""
MATCH (e:Evidence {{fact: $fact}})-[:FROM]->(d:Document)
OPTIONAL MATCH (p:Product {{sku: d.sku}})-[r:{_FACT_TYPES}]->(end)
WHERE r.fact = $fact
RETURN type(r) AS type, d.sku AS sku, p.title AS title, labels(end)[0] AS label,
       coalesce(end.name, end.title, end.key) AS object, end.attribute AS attribute,
       d.id AS document, d.text AS text, e.start AS start, e.end AS end, e.quote AS quote,
       e.confidence AS confidence, e.extractor AS extractor, e.version AS version, e.at AS at
ORDER BY e.confidence DESC, d.id, e.start
LIMIT $limit
"""


@dataclass(frozen=True, slots=True)
class Testimony:
    """One piece of evidence for a fact, with the sentence or so around the quote."""

    type: str | None
    sku: str
    title: str | None
    object: str | None
    document: str
    start: int
    end: int
    quote: str
    before: str
    after: str
    confidence: float
    extractor: str
    version: str
    at: datetime

    def as_dict(self) -> dict[str, Any]:
        """As a row of ``kg why --json``."""
        return {name: getattr(self, name) for name in self.__slots__}


class ExtractionRun:
    """The record of one run of an extractor: open it, record batches, close it.

    A run that was cut off keeps no ``ended``; the documents that it finished
    stay done and the next run goes on with the rest.
    """

    def __init__(self, store: GraphStore, *, extractor: str, version: str, now: datetime | None = None) -> None:
        self.id = uuid.uuid4().hex
        self.version = version
        self.documents = self.facts = self.rejected = 0
        self._store = store
        store.write(
            "MERGE (run:ExtractionRun {id: $id}) SET run.extractor = $extractor, run.version = $version, run.at = $at",
            id=self.id,
            extractor=extractor,
            version=version,
            at=now or datetime.now(UTC),
        )

    def record(self, documents: Sequence[Document], extractions: Sequence[Extraction]) -> WriteSummary:
        """Replace, in one transaction, whatever these documents supported by what was found now."""
        summary = record(self._store, documents, extractions, version=self.version)
        self.documents += len(documents) - summary.outdated
        self.facts += summary.relationships
        self.rejected += sum(len(e.rejected) for e in extractions)
        return summary

    def close(self, *, now: datetime | None = None) -> None:
        """Mark the run as ended, with its counts."""
        self._store.write(
            "MATCH (run:ExtractionRun {id: $id}) "
            "SET run.ended = $at, run.documents = $documents, run.facts = $facts, run.rejected = $rejected",
            id=self.id,
            at=now or datetime.now(UTC),
            documents=self.documents,
            facts=self.facts,
            rejected=self.rejected,
        )


def pending(store: GraphStore, version: str, *, page: int = 500) -> Iterator[list[Document]]:
    """Pages of documents that this extractor version has not read in their present wording."""
    after = ""
    while True:
        rows = store.read(_PENDING, after=after, version=version, limit=page)
        if not rows:
            return
        yield [
            Document(
                id=row["id"],
                kind=DocumentKind(row["kind"]),
                text=row["text"],
                sku=row["sku"],
                title_end=row["title_end"],
            )
            for row in rows
        ]
        after = rows[-1]["id"]


def count_pending(store: GraphStore, version: str) -> int:
    """How many documents :func:`pending` would give."""
    cypher = (
        "MATCH (d:Document) WHERE d.extracted IS NULL OR d.extracted <> d.sha256 + ' ' + $version RETURN count(d) AS n"
    )
    return int(store.read(cypher, version=version)[0]["n"])


def record(
    store: GraphStore, documents: Sequence[Document], extractions: Sequence[Extraction], *, version: str
) -> WriteSummary:
    """Make what ``documents`` support be exactly ``extractions``, in one transaction.

    A text that was removed or reworded while it was read is counted in ``outdated``, and nothing of it is written:
    its offsets would lie. It stays as its writer left it. A relationship to a product that has left the graph
    meanwhile is counted in ``missing_ends`` and not written, and its evidence with it.

    Raises:
        SchemaError: an extraction does not fit the schema; nothing was written.
    """
    graph = Graph.union(e.graph for e in extractions)
    _check_extracted(graph)
    validate(graph)
    whole = _Findings.of(store, documents, extractions, version)
    rows = [{"id": d.id, "sha256": d.sha256, "sku": d.sku} for d in sorted(documents, key=lambda d: d.id)]

    def work(tx: Transaction) -> WriteSummary:
        tx.run(_LOCK_PRODUCTS, documents=[row["id"] for row in rows])
        tx.run(_LOCK_DOCUMENTS, documents=rows)
        as_read = {row["id"] for row in tx.run(_AS_READ, documents=rows)}
        found = whole
        if len(as_read) < len(rows):
            found = _Findings.of(
                store,
                [d for d in documents if d.id in as_read],
                [e for e in extractions if e.document in as_read],
                version,
            )
        changed = tx.change_all(found.statements)
        return WriteSummary(
            found.nodes, found.relationships, found.evidence, found.lost, changed, len(rows) - len(as_read)
        )

    return store.transact(work)


@dataclass(frozen=True, slots=True)
class _Findings:
    """What documents say, as statements that replace what they said before."""

    nodes: int
    relationships: int
    evidence: int
    lost: int
    """Relationships to what the graph does not hold."""
    statements: Sequence[Statement]

    @classmethod
    def of(
        cls, store: GraphStore, documents: Sequence[Document], extractions: Sequence[Extraction], version: str
    ) -> Self:
        graph = Graph.union(e.graph for e in extractions)
        nodes = merged_nodes(graph.nodes)
        present, lost = _with_both_ends(store, merged_relationships(graph.relationships), nodes)
        facts = {r.fact for r in present}
        evidence = list({e.id: e for e in graph.evidence if e.fact is None or e.fact in facts}.values())
        touched: dict[str, list[str]] = defaultdict(list)
        for r in present:
            touched[r.start.key].append(r.fact)
        statements: list[Statement] = [
            (_RETRACT, {"documents": sorted(d.id for d in documents)}),
            *node_statements(nodes),
            *relationship_statements(present),
        ]
        if evidence:
            statements += evidence_statements(evidence)
        statements.append((_COUNT, {"touched": [{"sku": sku, "facts": f} for sku, f in sorted(touched.items())]}))
        statements.append((_DONE, {"documents": [{"id": d.id, "mark": f"{d.sha256} {version}"} for d in documents]}))
        return cls(len(nodes), len(present), len(evidence), lost, statements)


def retract(store: GraphStore, documents: Sequence[str]) -> None:
    """Take back what these documents alone supported; the documents themselves stay."""
    store.write_all(retract_statements(documents))


def retract_statements(documents: Sequence[str]) -> list[Statement]:
    """:func:`retract` as statements, to run in a transaction with others, one behind the other."""
    ids = {"documents": sorted(documents)}
    return [(_LOCK_PRODUCTS, ids), (_RETRACT, ids)]


def reworded_statements(rows: Sequence[Mapping[str, Any]]) -> list[Statement]:
    """:func:`retract` for those documents whose stored text, or product, is another than that of their row.

    Args:
        rows: ``{id, sha256, sku}``, in the order of their ids.
    """
    return [(_LOCK_REWORDED, {"rows": rows}), (_RETRACT_REWORDED, {"rows": rows})]


def why(store: GraphStore, fact: str, *, limit: int = 50, context: int = 120) -> list[Testimony]:
    """The evidence for a fact, most confident first; empty when there is no such fact."""
    return [
        Testimony(
            type=row["type"],
            sku=row["sku"],
            title=row["title"],
            object=f"{row['attribute']} = {row['object']}" if row["attribute"] else row["object"],
            document=row["document"],
            start=row["start"],
            end=row["end"],
            quote=row["quote"],
            before=row["text"][max(0, row["start"] - context) : row["start"]],
            after=row["text"][row["end"] : row["end"] + context],
            confidence=row["confidence"],
            extractor=row["extractor"],
            version=row["version"],
            at=row["at"].to_native() if hasattr(row["at"], "to_native") else row["at"],
        )
        for row in store.read(_WHY, fact=fact, limit=limit)
    ]


def _check_extracted(graph: Graph) -> None:
    """An extractor asserts only in its own name, and nothing without a place in a text."""
    supported = {e.fact for e in graph.evidence}
    mentioned = {e.mentions for e in graph.evidence}
    for r in graph.relationships:
        if r.source != schema.EXTRACTION or r.type not in schema.EXTRACTABLE:
            raise SchemaError(f"An extractor may not assert {r.type} with source {r.source!r}.")
        if r.properties.get("fact") != r.fact or r.fact not in supported:
            raise SchemaError(f"{r.type} from {r.start.key!r} to {r.end.key!r} was extracted without evidence.")
    for node in graph.nodes:
        if node.ref not in mentioned:
            raise SchemaError(f"{node.label} {node.key!r} was extracted without evidence.")


def _with_both_ends(
    store: GraphStore, relationships: Sequence[Relationship], nodes: Sequence[Node]
) -> tuple[list[Relationship], int]:
    made_now = {n.ref for n in nodes}
    wanted: dict[str, set[str]] = defaultdict(set)
    for r in relationships:
        for ref in (r.start, r.end):
            if ref not in made_now:
                wanted[ref.label].add(ref.key)
    absent = {NodeRef(label, key) for label, keys in wanted.items() for key in missing_keys(store, label, keys)}
    present = [r for r in relationships if r.start not in absent and r.end not in absent]
    return present, len(relationships) - len(present)
