"""One real Neo4j for the whole run, emptied for each test, and a small named shop to put into it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg import localdb
from kg.migrations import migrate
from kg.store import GraphStore


@pytest.fixture(scope="session")
def home() -> Path:
    """The test run's own home: never somebody's graph."""
    return Path(os.environ.get("KG_HOME", ".kg/test")).absolute()


@pytest.fixture(scope="session")
def database(home: Path) -> localdb.Connection:
    """A running local Neo4j. It goes on running after the tests: most of what the first run waits for is a server that
    reads and plans each query for the first time; to one that knows them the same tests are much quicker."""
    # Each test empties the graph, which to Neo4j is a reason to plan every query anew: a third of the suite's time.
    return localdb.start(home, heap_mb=512, page_cache_mb=256, settings={"dbms.cypher.min_replan_interval": "1h"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is left running."""
    home = Path(os.environ.get("KG_HOME", ".kg/test"))
    if localdb.status(home.absolute()).running:
        terminalreporter.write_line(f"The tests' Neo4j stays up for the next run; stop it: KG_HOME={home} kg db stop")


BRIEF_JAVA = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
"""Environment for a server that lives for seconds: what Java's second compiler does in them, a start does not need,
and it takes 40 % of the processor's time."""


@pytest.fixture(scope="session")
def session_store(database: localdb.Connection) -> Iterator[GraphStore]:
    """A connection for the whole run."""
    with GraphStore.connect(database.uri, database.username, database.password) as store:
        migrate(store)
        yield store


@pytest.fixture
def store(session_store: GraphStore) -> GraphStore:
    """An empty, migrated graph."""
    empty(session_store)
    return session_store


def empty(store: GraphStore) -> None:
    """Delete all but the record of the migrations, and put back the indexes that a model may have remade."""
    store.autocommit("MATCH (n) WHERE NOT n:Migration CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 1000 ROWS")


def wait_until_blocked(store: GraphStore) -> None:
    """Until a transaction waits for the lock of another."""
    end = time.monotonic() + 60
    while not store.read("SHOW TRANSACTIONS YIELD status WHERE status STARTS WITH 'Blocked' RETURN status"):
        assert time.monotonic() < end, "no transaction waits for another"
        time.sleep(0.02)


SHOP = """
CREATE (strat:Product {sku: 'G1', title: 'Ashdown S-200 electric guitar', price: 499.0, currency: 'USD', active: true,
                       popularity: 0.9, description: 'Solid alder body. Comes without a strap.'}),
       (acoustic:Product {sku: 'G2', title: 'Birch dreadnought acoustic guitar', price: 289.0, currency: 'USD',
                          active: true, popularity: 0.7}),
       (strap:Product {sku: 'S1', title: 'Birch leather guitar strap', price: 24.5, currency: 'USD', active: true,
                       popularity: 0.8, description: 'Brown leather. Fits the Ashdown S-200.'}),
       (strings:Product {sku: 'S2', title: 'Cobalt phosphor bronze strings', price: 12.0, currency: 'USD',
                         active: true, popularity: 0.5, consumable: true}),
       (tuner:Product {sku: 'T1', title: 'Cobalt clip-on tuner', price: 15.0, currency: 'USD', active: true,
                       popularity: 0.3}),
       (retired:Product {sku: 'X1', title: 'Ashdown practice amp', price: 99.0, currency: 'USD', active: false,
                         popularity: 0.1}),
       (ashdown:Brand {key: 'ashdown', name: 'Ashdown'}),
       (birch:Brand {key: 'birch', name: 'Birch'}),
       (cobalt:Brand {key: 'cobalt', name: 'Cobalt'}),
       (guitars:Category {path: 'Instruments > Guitars', name: 'Guitars'}),
       (instruments:Category {path: 'Instruments', name: 'Instruments'}),
       (accessories:Category {path: 'Accessories', name: 'Accessories'}),
       (leather:AttributeValue {key: 'material=leather', attribute: 'material', value: 'leather'}),
       (comfort:Aspect {key: 'comfort', name: 'comfort'}),
       (anna:User {id: 'anna', last_at: datetime('2026-03-02T10:00:00Z')}),
       (ben:User {id: 'ben', last_at: datetime('2026-03-03T10:00:00Z')}),
       (cleo:User {id: 'cleo'}),
       (cleo)-[:FRIEND_OF {source: 'catalogue'}]->(ben),
       (guitars)-[:SUBCATEGORY_OF {source: 'catalogue'}]->(instruments),
       (strat)-[:MADE_BY {source: 'catalogue'}]->(ashdown),
       (retired)-[:MADE_BY {source: 'catalogue'}]->(ashdown),
       (acoustic)-[:MADE_BY {source: 'catalogue'}]->(birch),
       (strap)-[:MADE_BY {source: 'catalogue'}]->(birch),
       (strings)-[:MADE_BY {source: 'catalogue'}]->(cobalt),
       (tuner)-[:MADE_BY {source: 'catalogue'}]->(cobalt),
       (strat)-[:IN_CATEGORY {source: 'catalogue'}]->(guitars),
       (acoustic)-[:IN_CATEGORY {source: 'catalogue'}]->(guitars),
       (strap)-[:IN_CATEGORY {source: 'catalogue'}]->(accessories),
       (strings)-[:IN_CATEGORY {source: 'catalogue'}]->(accessories),
       (tuner)-[:IN_CATEGORY {source: 'catalogue'}]->(accessories),
       (acoustic)-[:BOUGHT_WITH {source: 'bought_together'}]->(strings),
       (strap)-[:HAS_ATTRIBUTE {source: 'extraction', fact: 'fact-leather', confidence: 0.9, count: 1}]->(leather),
       (strap)-[:ACCESSORY_OF {source: 'extraction', fact: 'fact-fits', confidence: 0.8, count: 1}]->(strat),
       (strap)-[:PRAISED_FOR {source: 'extraction', fact: 'fact-comfort', confidence: 0.7, count: 1}]->(comfort),
       (strap_text:Document {id: 'product:S1', kind: 'product', sku: 'S1', title_end: 26, sha256: 'a',
                             text: 'Birch leather guitar strap\\n\\nBrown leather. Fits the Ashdown S-200.'}),
       (strap)-[:HAS_TEXT]->(strap_text),
       (e1:Evidence {id: 'e1', start: 34, end: 41, quote: 'leather', confidence: 0.9, extractor: 'shopgraph',
                     version: '1', at: datetime('2026-03-01T00:00:00Z'), fact: 'fact-leather'}),
       (e1)-[:FROM]->(strap_text), (e1)-[:MENTIONS]->(leather),
       (e2:Evidence {id: 'e2', start: 52, end: 65, quote: 'Ashdown S-200', confidence: 0.8, extractor: 'shopgraph',
                     version: '1', at: datetime('2026-03-01T00:00:00Z'), fact: 'fact-fits'}),
       (e2)-[:FROM]->(strap_text), (e2)-[:MENTIONS]->(strat),
       (review:Review {id: 'r1', rating: 5.0, title: 'Lovely', at: datetime('2026-03-02T10:00:00Z')}),
       (anna)-[:WROTE {source: 'catalogue'}]->(review),
       (review)-[:ABOUT {source: 'catalogue'}]->(strap),
       (review_text:Document {id: 'review:r1', kind: 'review', sku: 'S1', title_end: 6, sha256: 'b',
                              text: 'Lovely\\n\\nVery comfortable, even for hours.'}),
       (review)-[:HAS_TEXT]->(review_text),
       (e3:Evidence {id: 'e3', start: 8, end: 24, quote: 'Very comfortable', confidence: 0.7, extractor: 'shopgraph',
                     version: '1', at: datetime('2026-03-02T11:00:00Z'), fact: 'fact-comfort'}),
       (e3)-[:FROM]->(review_text), (e3)-[:MENTIONS]->(comfort),
       (anna)-[:BOUGHT {at: datetime('2026-03-01T10:00:00Z'), first_at: datetime('2026-03-01T10:00:00Z'), count: 1,
                        strength: 1.0, events: [1], times: [1772359200], values: [1.0], sessions: ['']}]->(strat),
       (anna)-[:RATED {at: datetime('2026-03-02T10:00:00Z'), first_at: datetime('2026-03-02T10:00:00Z'), count: 1,
                       strength: 1.0, rating: 5.0, events: [2], times: [1772445600], values: [5.0],
                       sessions: ['']}]->(strap),
       (ben)-[:BOUGHT {at: datetime('2026-03-03T10:00:00Z'), first_at: datetime('2026-03-03T10:00:00Z'), count: 1,
                       strength: 1.0, events: [3], times: [1772532000], values: [1.0], sessions: ['']}]->(strat),
       (ben)-[:BOUGHT {at: datetime('2026-03-03T10:00:00Z'), first_at: datetime('2026-03-03T10:00:00Z'), count: 1,
                       strength: 1.0, events: [4], times: [1772532000], values: [1.0], sessions: ['']}]->(tuner),
       (ben)-[:VIEWED {at: datetime('2026-03-02T10:00:00Z'), first_at: datetime('2026-03-02T10:00:00Z'), count: 1,
                       strength: 0.2, events: [5], times: [1772445600], values: [30.0], sessions: ['s1']}]->(acoustic)
"""


@pytest.fixture
def shop(store: GraphStore) -> GraphStore:
    """Six products of a music shop, three brands, three users; cleo has done nothing yet.

    anna bought the electric guitar S-200 (G1) and rated its strap (S1);
    ben, a friend of cleo's, bought the guitar and the tuner (T1) and looked at the acoustic (G2).
    The strap's text says that it fits the guitar, and anna praised its comfort.
    The amp (X1) is no longer sold.
    """
    store.write(SHOP)
    return store
