"""The door to Neo4j: transactions, errors that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from neo4j.exceptions import Neo4jError, ServiceUnavailable, TransientError

from kg import localdb
from kg.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InputError,
    StatementError,
    StoreError,
    VersionError,
)
from kg.store import GraphStore, Transaction, _check_version, _may_pass
from tests.faults.proxy import Cut, How, Proxy

TOO_MUCH = "UNWIND range(1, 100000000) AS x WITH collect(x) AS xs RETURN size(xs) AS n"
"""Several times what a server with a heap of 768 MB gives a transaction."""


def test_all_statements_take_effect_or_none(store: GraphStore) -> None:
    with pytest.raises(StoreError, match="refused a statement"):
        store.change_all([("CREATE (:Brand {key: 'a', name: 'A'})", {}), ("THIS IS NOT CYPHER", {})])
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]


def test_a_write_in_a_read_transaction_is_refused(store: GraphStore) -> None:
    with pytest.raises(StoreError, match="refused"):
        store.read("CREATE (:Brand {key: 'a', name: 'A'})")
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]


def test_rows_beyond_the_limit_are_not_fetched(store: GraphStore) -> None:
    assert len(store.read("UNWIND range(1, 10000000) AS n RETURN n", max_rows=3)) == 3


def test_a_query_that_takes_too_long_is_ended(store: GraphStore) -> None:
    slow = "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b RETURN sum(a * b) AS n"
    with pytest.raises(StoreError, match="too long"):
        store.read(slow, timeout_s=0.5)


def test_rows_are_streamed(store: GraphStore) -> None:
    assert sum(row[0] for row in store.stream("UNWIND range(1, 5000) AS n RETURN n", fetch_size=100)) == 12502500


def test_a_plan_is_returned_and_nothing_is_run(store: GraphStore) -> None:
    plan = store.explain("CREATE (:Brand {key: 'a', name: 'A'})")
    assert plan["query_type"] == "w"
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]


def test_what_changed_is_counted(store: GraphStore) -> None:
    changed = store.change("CREATE (:Brand {key: 'a', name: 'A'})-[:X]->(:Brand {key: 'b', name: 'B'})")
    assert (changed.nodes_created, changed.relationships_created, changed.properties_set) == (2, 1, 4)


def test_nobody_home_is_said_in_one_sentence() -> None:
    with pytest.raises(ConnectionFailedError, match="does not answer"):
        GraphStore.connect("bolt://127.0.0.1:1", "neo4j", "x")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConnectionFailedError, match="is not the address"):
        GraphStore.connect("localhost", "neo4j", "x")


def test_a_wrong_password_is_refused_without_showing_it(database: localdb.Connection) -> None:
    with pytest.raises(AuthenticationError, match="NEO4J_PASSWORD") as error:
        GraphStore.connect(database.uri, "neo4j", "not the password")
    assert "not the password" not in str(error.value)


def test_a_database_that_is_not_there_is_named(database: localdb.Connection) -> None:
    with pytest.raises(StoreError, match="NEO4J_DATABASE"):
        GraphStore.connect(database.uri, database.username, database.password, database="elsewhere")


@pytest.mark.parametrize("agent", ["Neo4j/5.26.0", "Neo4j/2025.12.1", "Memgraph"])
def test_a_server_that_is_too_old_is_named(agent: str) -> None:
    with pytest.raises(VersionError, match=r"2026\.01"):
        _check_version(agent, "bolt://x")
    _check_version("Neo4j/2026.09.0", "bolt://x")


def test_what_the_work_of_a_transaction_raises_rolls_it_back(store: GraphStore) -> None:
    def work(tx: Transaction) -> list[dict[str, object]]:
        tx.run("CREATE (:Brand {key: 'a', name: 'A'})")
        rows = tx.run("MATCH (b:Brand) RETURN b.key AS key ORDER BY key")
        if len(rows) == 1:
            raise InputError("One brand is too few.")
        return rows

    with pytest.raises(InputError):
        store.transact(work)
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]
    store.write("CREATE (:Brand {key: 'b', name: 'B'})")
    assert store.transact(work) == [{"key": "a"}, {"key": "b"}]


def test_a_connection_that_is_reset_while_it_opens_is_said_to_have_failed(store: GraphStore) -> None:
    with pytest.raises(ConnectionFailedError, match="does not answer"), store._errors_explained():
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
    with pytest.raises(FileNotFoundError), store._errors_explained():
        raise FileNotFoundError(errno.ENOENT, "No such file")


def test_of_a_connection_that_is_cut_at_the_commit_a_read_is_done_again_and_a_write_is_said_to_be_unknown(
    store: GraphStore, database: localdb.Connection
) -> None:
    port = int(database.uri.rpartition(":")[2])
    cuts = [Cut(2, How.UNTOLD, 0.1), Cut(2, How.UNTOLD, 0.1)]  # the first commit of each is what one connects with
    with (
        Proxy(port, cuts) as proxy,
        GraphStore.connect(proxy.uri, database.username, database.password) as cut_off,
    ):
        assert cut_off.read("UNWIND [1, 2] AS n RETURN n") == [{"n": 1}, {"n": 2}]
        assert proxy.left == 1
        with pytest.raises(ConnectionFailedError, match="run the same command again"):
            cut_off.write("CREATE (:Aspect {key: 'sound'})")
    assert proxy.left == 0
    assert store.read("MATCH (a:Aspect) RETURN a.key AS key") == [{"key": "sound"}]


def test_what_a_connection_that_fell_silent_left_open_keeps_nobody_waiting(
    store: GraphStore, database: localdb.Connection
) -> None:
    store.write("CREATE (:Aspect {key: 'sound'})")
    port = int(database.uri.rpartition(":")[2])
    with (
        Proxy(port, [Cut(2, How.MUTE, 0.1)]) as proxy,  # the commit never comes to the server, and nobody closes
        GraphStore.connect(proxy.uri, database.username, database.password) as cut_off,
    ):
        with pytest.raises(ConnectionFailedError, match="run the same command again"):
            cut_off.write("MATCH (a:Aspect {key: 'sound'}) SET a.name = 'lost'")
        assert store.write("MATCH (a:Aspect {key: 'sound'}) SET a.name = 'Sound' RETURN 1 AS n", timeout_s=5) == [
            {"n": 1}
        ]
    assert store.read("MATCH (a:Aspect) RETURN a.name AS name") == [{"name": "Sound"}]


def test_what_may_pass_is_tried_again_and_a_server_that_is_back_is_found_within_about_a_second(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("kg.store.time.sleep", pauses.append)
    away = iter([OSError(errno.ENOTCONN, "Transport endpoint is not connected"), *8 * [ServiceUnavailable("away")]])

    def once() -> str:
        for error in away:
            raise error
        return "answered"

    assert store._patiently(once, _may_pass) == "answered"
    assert len(pauses) == 9
    assert 0 < min(pauses) <= max(pauses) <= 1.2


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphStore]:
    """A server of its own: one that holds the plans of a thousand tests could end for want of memory."""
    own = tmp_path_factory.mktemp("narrow")
    connection = localdb.start(own, heap_mb=768, page_cache_mb=64)
    try:
        with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
            yield store
    finally:
        localdb.stop(own)


@pytest.mark.servers
@pytest.mark.parametrize(
    "asked",
    [
        lambda store: store.read(TOO_MUCH),
        lambda store: store.write(TOO_MUCH),
        lambda store: store.write_all([("CREATE (:Aspect {key: 'sound'})", {}), (TOO_MUCH, {})]),
        lambda store: store.change_all([(TOO_MUCH, {})]),
        lambda store: store.transact(lambda tx: tx.run(TOO_MUCH)),
        lambda store: store.autocommit(TOO_MUCH),
        lambda store: list(store.stream(TOO_MUCH)),
    ],
    ids=["read", "write", "write_all", "change_all", "transact", "autocommit", "stream"],
)
def test_what_needs_too_much_memory_is_said_to_and_not_tried_again(
    narrow: GraphStore, monkeypatch: pytest.MonkeyPatch, asked: Callable[[GraphStore], object]
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("kg.store.time.sleep", pauses.append)
    with pytest.raises(StoreError, match=r"needed more memory than one may have.*db\.memory\.transaction\.max"):
        asked(narrow)
    assert pauses == []
    assert narrow.read("MATCH (a:Aspect) RETURN a") == []


def test_that_others_hold_the_memory_may_pass() -> None:
    code = "Neo.TransientError.General.MemoryPoolOutOfMemoryError"
    taken = Neo4jError._hydrate_neo4j(code=code, message="… dbms.memory.transaction.total.max threshold reached")
    assert isinstance(taken, TransientError)
    assert _may_pass(taken)


def test_what_does_not_pass_is_not_tried_again(store: GraphStore) -> None:
    tries = []

    def work(tx: Transaction) -> None:
        tries.append(tx)
        tx.run("RETURN 1 / 0")

    with pytest.raises(StatementError):
        store.transact(work)
    assert len(tries) == 1
