"""The schema and its later changes, in order, each recorded in the graph once applied.

A migration is a name and the statements that bring a graph from the state
before it to the state after. Every statement is idempotent (``IF NOT EXISTS``),
so a migration that was cut off is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from kg import schema
from kg.errors import SchemaError
from kg.store import GraphStore
from kg.writer import SHELVE_ALL


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number and name, and the Cypher that does it."""

    id: str
    statements: tuple[str, ...]
    then: Callable[[GraphStore], None] | None = None
    """What depends on the graph, after the statements; idempotent too."""


def migrate(store: GraphStore, *, dry_run: bool = False, now: datetime | None = None) -> tuple[Migration, ...]:
    """Apply what this graph lacks, and return it. With ``dry_run`` nothing is changed.

    Raises:
        SchemaError: the graph was made by a newer kg.
    """
    applied = {row["id"] for row in store.read("MATCH (m:Migration) RETURN m.id AS id")}
    unknown = sorted(applied - {m.id for m in MIGRATIONS})
    if unknown:
        raise SchemaError(
            f"This graph has migrations that this kg does not know ({', '.join(unknown)}): "
            "it was made by a newer version. Upgrade shopgraph, or use another KG_HOME."
        )
    pending = tuple(m for m in MIGRATIONS if m.id not in applied)
    if dry_run or not pending:
        return pending
    for migration in pending:
        # Neo4j refuses schema and data in one transaction; the record is written last, so that a
        # migration that was cut off counts as not applied.
        for statement in migration.statements:
            store.autocommit(statement)
        if migration.then is not None:
            migration.then(store)
        store.await_indexes()
        store.write(
            "MERGE (m:Migration {id: $id}) ON CREATE SET m.at = $at",
            id=migration.id,
            at=now or datetime.now(UTC),
        )
    return pending


def constraint_statement(label: schema.Label) -> str:
    """A business key is unique; with it comes the index by which the key is found."""
    return (
        f"CREATE CONSTRAINT {label.name.lower()}_{label.key} IF NOT EXISTS\n"
        f"FOR (n:{label.name}) REQUIRE n.{label.key} IS UNIQUE"
    )


def range_index_statement(index: schema.RangeIndex) -> str:
    """An ordinary index on nodes or relationships."""
    pattern = f"()-[x:{index.target}]-()" if index.relationship else f"(x:{index.target})"
    return f"CREATE INDEX {index.name} IF NOT EXISTS\nFOR {pattern} ON ({_listed('x', index.properties)})"


def fulltext_index_statement(index: schema.FullTextIndex) -> str:
    """A Lucene index."""
    return (
        f"CREATE FULLTEXT INDEX {index.name} IF NOT EXISTS\n"
        f"FOR (x:{index.label}) ON EACH [{_listed('x', index.properties)}]\n"
        f"OPTIONS {{indexConfig: {{`fulltext.analyzer`: '{index.analyzer}'}}}}"
    )


def vector_index_statement(index: schema.VectorIndex) -> str:
    """A nearest-neighbour index, with every setting spelled out: Neo4j's defaults lose half the recall."""
    filters = f"\nWITH [{_listed('x', index.filters)}]" if index.filters else ""
    return (
        f"CYPHER 25 CREATE VECTOR INDEX {index.name} IF NOT EXISTS\n"
        f"FOR (x:{index.label}) ON (x.{index.property}){filters}\n"
        "OPTIONS {indexConfig: {"
        f"`vector.dimensions`: {index.dimensions}, "
        f"`vector.similarity_function`: '{index.similarity}', "
        f"`vector.quantization.type`: '{index.quantization}', "
        f"`vector.default_search_expansion_factor`: {index.search_expansion}, "
        f"`vector.hnsw.m`: {index.m}, "
        f"`vector.hnsw.ef_construction`: {index.ef_construction}"
        "}}"
    )


def index_width(store: GraphStore, name: str) -> int | None:
    """How many numbers the vectors of an index have; None where there is no such index."""
    found = store.read(
        "SHOW VECTOR INDEXES YIELD name, options\nWHERE name = $name\n"
        "RETURN options.indexConfig['vector.dimensions'] AS dimensions",
        name=name,
    )
    return int(found[0]["dimensions"]) if found else None


def shape_vector_index(store: GraphStore, index: schema.VectorIndex) -> None:
    """Make the index anew where it is away or of another width; vectors of another width are not in it, silently.

    In one transaction: readers whose query names the index failed while it was away. To be called while nothing is to
    be indexed, so that the new one is ready at once.
    """
    if index_width(store, index.name) == index.dimensions:
        return
    store.change_all([(f"DROP INDEX {index.name} IF EXISTS", {}), (vector_index_statement(index), {})])
    store.await_indexes()


def _listed(variable: str, properties: Iterable[str]) -> str:
    return ", ".join(f"{variable}.{name}" for name in properties)


def _filter_vectors(store: GraphStore) -> None:
    """Make anew each index of a model's vectors that does not hold all properties by which a search may be narrowed."""
    for slot in schema.SLOTS:
        name = schema.embedding_index(slot).name
        found = store.read(
            "SHOW INDEXES YIELD name, properties, options\nWHERE name = $name\n"
            "RETURN properties, options.indexConfig['vector.dimensions'] AS dimensions",
            name=name,
        )
        width = int(found[0]["dimensions"]) if found else schema.DEFAULT_DIMENSIONS
        index = schema.embedding_index(slot, width)
        if found and set(index.filters) <= set(found[0]["properties"]):
            continue
        store.autocommit(f"DROP INDEX {name} IF EXISTS")
        store.autocommit(vector_index_statement(index))


MIGRATIONS = (
    Migration(
        "0001 first schema",
        (
            *(constraint_statement(label) for label in schema.LABELS),
            *(range_index_statement(index) for index in schema.RANGE_INDEXES),
            *(fulltext_index_statement(index) for index in schema.FULLTEXT_INDEXES),
            *(vector_index_statement(index) for index in schema.VECTOR_INDEXES),
        ),
    ),
    Migration(
        "0002 insight",
        (
            *(constraint_statement(schema.LABEL[name]) for name in ("Segment", "IntentModel")),
            *(
                range_index_statement(index)
                for index in schema.RANGE_INDEXES
                if index.name in ("product_gtin", "exposed_model", "clicked_model")
            ),
        ),
    ),
    Migration(
        "0003 one node names the live model",
        (
            constraint_statement(schema.LABEL["Serving"]),
            "MATCH (m:ModelVersion {live: true})\nMERGE (s:Serving {name: 'model'})\nSET s.version = m.id",
            "MATCH (m:ModelVersion)\nREMOVE m.live",
            "DROP INDEX model_live IF EXISTS",
        ),
    ),
    Migration(
        "0004 words and denials",
        (
            *(fulltext_index_statement(i) for i in schema.FULLTEXT_INDEXES if i.name == "product_words"),
            *(range_index_statement(i) for i in schema.RANGE_INDEXES if i.name == "fact_does_not_fit"),
        ),
    ),
    Migration(
        "0005 leases",
        (
            constraint_statement(schema.LABEL["Lease"]),
            # Runs without a lease: nobody could tell of them whether they go on.
            "MATCH (run:JobRun {outcome: 'running'})\nWHERE run.token IS NULL\n"
            "SET run.outcome = 'abandoned', run.error = 'It began under a version of kg that had no leases.'",
        ),
    ),
    Migration("0006 offsets", (constraint_statement(schema.LABEL["Offset"]),)),
    Migration(
        "0007 waiting",
        tuple(range_index_statement(i) for i in schema.RANGE_INDEXES if i.name in ("document_waiting", "user_waiting")),
    ),
    Migration(
        "0008 shelves in the vector indexes",
        (
            *(range_index_statement(i) for i in schema.RANGE_INDEXES if i.name in ("product_also_on", "product_shelf")),
            SHELVE_ALL,
        ),
        _filter_vectors,
    ),
    Migration(
        "0009 comparisons",
        tuple(
            range_index_statement(i)
            for i in schema.RANGE_INDEXES
            if i.name in ("fact_better_than", "fact_worse_than", "fact_compared_with")
        ),
    ),
)
"""The first always makes the schema as it is now; each later one, what a graph made before it lacks."""
