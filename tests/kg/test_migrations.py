"""The schema in the graph: applied once, recorded, completed after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kg import schema
from kg.errors import SchemaError
from kg.migrations import MIGRATIONS, migrate, vector_index_statement
from kg.store import GraphStore


@pytest.fixture
def unmigrated(store: GraphStore) -> Iterator[GraphStore]:
    """A graph that no migration has touched, put back afterwards."""
    drop_all(store)
    yield store
    drop_all(store)
    store.write("MATCH (m:Migration) WHERE NOT m.id IN $known DELETE m", known=[m.id for m in MIGRATIONS])
    store.write("MATCH (m:Migration) DELETE m")
    migrate(store)


def drop_all(store: GraphStore) -> None:
    for row in store.read("SHOW CONSTRAINTS YIELD name"):
        store.autocommit(f"DROP CONSTRAINT {row['name']} IF EXISTS")
    for row in store.read("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'"):
        store.autocommit(f"DROP INDEX {row['name']} IF EXISTS")
    store.write("MATCH (m:Migration) DELETE m")


def names(store: GraphStore) -> set[str]:
    return {row["name"] for row in store.read("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'")}


def test_a_dry_run_changes_nothing_then_all_is_made_once_and_recorded(unmigrated: GraphStore) -> None:
    assert migrate(unmigrated, dry_run=True) == MIGRATIONS
    assert names(unmigrated) == set()
    assert migrate(unmigrated) == MIGRATIONS
    assert names(unmigrated) == (
        {f"{label.name.lower()}_{label.key}" for label in schema.LABELS}
        | {index.name for index in (*schema.RANGE_INDEXES, *schema.FULLTEXT_INDEXES, *schema.VECTOR_INDEXES)}
    )
    assert migrate(unmigrated) == ()
    assert unmigrated.read("MATCH (m:Migration) RETURN m.id AS id ORDER BY id") == [{"id": m.id} for m in MIGRATIONS]


def test_a_migration_that_was_cut_off_is_completed(unmigrated: GraphStore) -> None:
    for statement in MIGRATIONS[0].statements[:5]:
        unmigrated.autocommit(statement)
    assert migrate(unmigrated) == MIGRATIONS
    assert len(names(unmigrated)) == len(MIGRATIONS[0].statements)


def test_runs_from_before_leases_are_settled(unmigrated: GraphStore) -> None:
    migrate(unmigrated)
    unmigrated.write("MATCH (m:Migration) WHERE m.id STARTS WITH '0005' DELETE m")
    unmigrated.write(
        "CREATE (:JobRun {id: 'old', job: 'train', outcome: 'running', at: datetime(), trigger: 'manual', "
        "process: 'shop/1/1'}), (:JobRun {id: 'new', job: 'train', outcome: 'running', at: datetime(), "
        "trigger: 'manual', process: 'shop/2', token: 1})"
    )
    assert [m.id for m in migrate(unmigrated)] == ["0005 leases"]
    assert unmigrated.read("MATCH (run:JobRun) RETURN run.id AS id, run.outcome AS outcome ORDER BY id") == [
        {"id": "new", "outcome": "running"},
        {"id": "old", "outcome": "abandoned"},
    ]


def test_the_vector_indexes_of_an_older_graph_learn_of_shelves_and_keep_their_width(unmigrated: GraphStore) -> None:
    migrate(unmigrated)
    unmigrated.write("MATCH (m:Migration) WHERE m.id STARTS WITH '0008' DELETE m")
    unmigrated.write(
        "CREATE (p:Product {sku: 'S', title: 'S', active: true}), (p)-[:IN_CATEGORY]->(:Category {path: 'B > C'}), "
        "(p)-[:IN_CATEGORY]->(:Category {path: 'A'}), (:Product {sku: 'T', title: 'T', active: true})"
    )
    older = replace(schema.embedding_index("blue", 32), filters=("price", "active"))
    unmigrated.autocommit("DROP INDEX product_embedding_blue")
    unmigrated.autocommit(vector_index_statement(older))
    unmigrated.await_indexes()
    assert [m.id for m in migrate(unmigrated)] == ["0008 shelves in the vector indexes"]
    found = unmigrated.read(
        "SHOW INDEXES YIELD name, properties, options\nWHERE name STARTS WITH 'product_embedding'\n"
        "RETURN name, properties, options.indexConfig['vector.dimensions'] AS width ORDER BY name"
    )
    assert [(row["name"], row["width"]) for row in found] == [
        ("product_embedding_blue", 32),
        ("product_embedding_green", schema.DEFAULT_DIMENSIONS),
    ]
    for row in found:
        assert set(row["properties"][1:]) == set(schema.PRODUCT_FILTERS)
    shelves = unmigrated.read("MATCH (p:Product) RETURN p.shelf AS shelf, p.also_on AS also ORDER BY p.sku")
    assert [tuple(row.values()) for row in shelves] == [("A > ", "B > C > "), (None, None)]


def test_a_graph_of_a_newer_version_is_refused(unmigrated: GraphStore) -> None:
    unmigrated.write("CREATE (:Migration {id: '9999 from the future'})")
    with pytest.raises(SchemaError, match=r"9999 from the future.*newer"):
        migrate(unmigrated)


def test_no_vector_index_is_left_to_the_defaults_that_lose_recall() -> None:
    for index in schema.VECTOR_INDEXES:
        assert "'NONE'" in vector_index_statement(index)
        assert "expansion_factor`: 5.0" in vector_index_statement(index)
