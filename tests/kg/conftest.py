"""Fixtures of several modules that ask the catalogue's queries."""

from __future__ import annotations

from collections.abc import Iterator

import neo4j
import pytest

from kg import localdb
from kg.store import GraphStore
from tests.kg.test_queries_shelves import MODEL


@pytest.fixture(scope="module")
def driver(database: localdb.Connection) -> Iterator[neo4j.Driver]:
    """What any application has: the plain driver, and nothing of ours."""
    with neo4j.GraphDatabase.driver(database.uri, auth=(database.username, database.password)) as driver:
        yield driver


@pytest.fixture
def trained(shop: GraphStore) -> GraphStore:
    """The shop with the live model of ``test_queries_shelves``."""
    shop.write(MODEL)
    return shop
