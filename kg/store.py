"""GraphStore: the one door to Neo4j. The only module that imports the driver.

Reads and writes run as managed transactions, so that the driver retries what
it calls retryable (a deadlock, a leader change); therefore every write that
passes here must be idempotent. The database is always named: without it each
query costs a round trip to ask for the default one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, LiteralString, Self

import neo4j
import numpy as np
from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    DatabaseError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)
from neo4j.vector import Vector

from kg.errors import (
    AuthenticationError,
    ConnectionFailedError,
    QueryTimeoutError,
    StoreError,
    VersionError,
    WriteRefusedError,
)

Row = dict[str, Any]

MINIMUM_VERSION: Final = (2026, 1)
"""First server whose Cypher 25 has the SEARCH clause, on which the catalogue stands."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a write changed."""

    nodes_created: int = 0
    nodes_deleted: int = 0
    relationships_created: int = 0
    relationships_deleted: int = 0
    properties_set: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.nodes_created + other.nodes_created,
            self.nodes_deleted + other.nodes_deleted,
            self.relationships_created + other.relationships_created,
            self.relationships_deleted + other.relationships_deleted,
            self.properties_set + other.properties_set,
        )


class GraphStore:
    """A connection to one database of one Neo4j.

    >>> with GraphStore.connect(uri, "neo4j", password) as store:
    ...     store.read("MATCH (p:Product {sku: $sku}) RETURN p.title AS title", sku="A1")
    [{'title': 'Dreadnought guitar'}]

    Raises:
        ConnectionFailedError: nothing answers, or it stopped answering.
        AuthenticationError: the user name or password is refused.
        VersionError: the server is older than :data:`MINIMUM_VERSION`.
        StoreError: the server refused or failed for another reason; the message is the server's own.
    """

    def __init__(self, driver: neo4j.Driver, database: str, uri: str) -> None:
        self._driver = driver
        self.database = database
        self.uri = uri

    @classmethod
    def connect(cls, uri: str, username: str, password: str, *, database: str = "neo4j", retry_s: float = 15.0) -> Self:
        """Open a pool of connections and make sure that a server of the right version answers.

        Args:
            retry_s: how long a transaction is tried again after its first failure; enough for a server to restart.
        """
        try:
            driver = neo4j.GraphDatabase.driver(
                uri,
                auth=(username, password),
                user_agent="shopgraph",
                notifications_min_severity="OFF",
                telemetry_disabled=True,
                max_transaction_retry_time=retry_s,
            )
        except (ConfigurationError, ValueError) as error:
            raise ConnectionFailedError(
                f"NEO4J_URI {uri!r} is not the address of a Neo4j ({error}). Expected e.g. bolt://localhost:7687."
            ) from error
        store = cls(driver, database, uri)
        try:
            with store._errors_explained():
                _check_version(driver.get_server_info().agent, uri)
                store.read("RETURN 1 AS one")
        except BaseException:
            driver.close()
            raise
        return store

    def close(self) -> None:
        """Close the pool."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(
        self, cypher: str, /, *, timeout_s: float | None = None, max_rows: int | None = None, **parameters: Any
    ) -> list[Row]:
        """Run ``cypher`` in a read transaction and return all rows, or the first ``max_rows``.

        The server computes lazily: rows beyond ``max_rows`` are neither fetched nor, mostly, computed.
        """
        return self._run(neo4j.READ_ACCESS, cypher, parameters, timeout_s, max_rows)[0]

    def write(self, cypher: str, /, *, timeout_s: float | None = None, **parameters: Any) -> list[Row]:
        """Run ``cypher`` in a write transaction and return all rows. May be tried again: it must be idempotent."""
        return self._run(neo4j.WRITE_ACCESS, cypher, parameters, timeout_s)[0]

    def change(self, cypher: str, /, **parameters: Any) -> Counters:
        """Like :meth:`write`, but tell what changed."""
        return self._run(neo4j.WRITE_ACCESS, cypher, parameters, None)[1]

    def change_all(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> Counters:
        """Run several statements in one write transaction: all take effect or none."""

        def work(tx: neo4j.ManagedTransaction) -> Counters:
            total = Counters()
            for cypher, parameters in statements:
                total += _counters(tx.run(_query(cypher), dict(parameters)).consume())
            return total

        with self._errors_explained(), self._session(neo4j.WRITE_ACCESS) as session:
            return session.execute_write(work)

    def write_all(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[list[Row]]:
        """Like :meth:`change_all`, but return the rows of each statement."""

        def work(tx: neo4j.ManagedTransaction) -> list[list[Row]]:
            # All are sent before the first answer is read: the server works on one while the next is packed.
            results = [tx.run(_query(cypher), dict(parameters)) for cypher, parameters in statements]
            return [result.data() for result in results]

        with self._errors_explained(), self._session(neo4j.WRITE_ACCESS) as session:
            return session.execute_write(work)

    def autocommit(self, cypher: str, /, **parameters: Any) -> list[Row]:
        """Run a statement that manages its own transactions (``CALL … IN TRANSACTIONS``) or is DDL."""
        with self._errors_explained(), self._session(neo4j.WRITE_ACCESS) as session:
            return [record.data() for record in session.run(_query(cypher), parameters)]

    def stream(self, cypher: str, /, *, fetch_size: int = 1000, **parameters: Any) -> Iterator[Sequence[Any]]:
        """Yield the values of each row as they arrive, in bounded memory. Not retried."""
        for record in self._stream(cypher, parameters, fetch_size, None):
            yield record.values()

    def stream_rows(
        self, cypher: str, /, *, timeout_s: float, fetch_size: int = 1000, **parameters: Any
    ) -> Generator[Row, None, None]:
        """Like :meth:`stream`, by name and limited in time: the time of whoever reads the rows counts too."""
        for record in self._stream(cypher, parameters, fetch_size, timeout_s):
            yield record.data()

    def _stream(
        self, cypher: str, parameters: Mapping[str, Any], fetch_size: int, timeout_s: float | None
    ) -> Iterator[neo4j.Record]:
        with (
            self._errors_explained(),
            self._driver.session(
                database=self.database, default_access_mode=neo4j.READ_ACCESS, fetch_size=fetch_size
            ) as session,
        ):
            yield from session.run(neo4j.Query(_query(cypher), timeout=timeout_s), dict(parameters))

    def explain(self, cypher: str, /, **parameters: Any) -> dict[str, Any]:
        """The plan that Neo4j would run, as nested dicts (``operatorType``, ``args``, ``children``)."""
        with self._errors_explained(), self._session(neo4j.READ_ACCESS) as session:
            summary = session.run(_query("EXPLAIN " + cypher), parameters).consume()
        if summary.plan is None:  # the server promises one for EXPLAIN
            raise StoreError("Neo4j returned no plan for an EXPLAIN.")
        return {**summary.plan, "query_type": summary.query_type}

    def await_indexes(self, timeout_s: int = 3600) -> None:
        """Wait until every index is online; say which one failed, and why."""
        self.autocommit("CALL db.awaitIndexes($timeout)", timeout=timeout_s)
        failed = self.read("SHOW INDEXES YIELD name, state, failureMessage WHERE state = 'FAILED'")
        if failed:
            raise StoreError(
                f"Index {failed[0]['name']} failed: {failed[0]['failureMessage']}. Drop it, and run kg init again."
            )

    def _session(self, mode: str) -> neo4j.Session:
        return self._driver.session(database=self.database, default_access_mode=mode)

    def _run(
        self,
        mode: str,
        cypher: str,
        parameters: Mapping[str, Any],
        timeout_s: float | None,
        max_rows: int | None = None,
    ) -> tuple[list[Row], Counters]:
        @neo4j.unit_of_work(timeout=timeout_s)
        def work(tx: neo4j.ManagedTransaction) -> tuple[list[Row], Counters]:
            try:
                result = tx.run(_query(cypher), dict(parameters))
                rows = [record.data() for record in islice(result, max_rows)]
                return rows, _counters(result.consume())
            except TransientError as error:
                # Neo4j calls it transient, and the driver would try again; the same query needs the same memory.
                if "MemoryPoolOutOfMemory" not in (error.code or ""):
                    raise
                raise StoreError(
                    f"Neo4j at {self.uri} ended a query that needed more memory than one may have. Narrow it, "
                    "or raise db.memory.transaction.max."
                ) from error

        with self._errors_explained(), self._session(mode) as session:
            return session.execute_read(work) if mode == neo4j.READ_ACCESS else session.execute_write(work)

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except AuthError as error:
            raise AuthenticationError(
                f"Neo4j at {self.uri} refused the user name or password. "
                "Check NEO4J_USERNAME and NEO4J_PASSWORD (after several wrong ones it locks the user for 5 seconds)."
            ) from error
        except (ServiceUnavailable, SessionExpired) as error:
            raise ConnectionFailedError(
                f"Neo4j at {self.uri} does not answer ({_first_line(error)}). "
                "Is it running? kg db status tells for the local one; what was committed is safe, so run the same "
                "command again once it answers."
            ) from error
        except TransientError as error:
            raise StoreError(
                f"Neo4j at {self.uri} could not do this for now ({error.code}: {_first_line(error)}). "
                "What was committed is safe: run the same command again."
            ) from error
        except ClientError as error:
            raise _client_error(error, self.uri) from error
        except (DatabaseError, Neo4jError, DriverError) as error:
            raise StoreError(f"Neo4j at {self.uri} failed: {_first_line(error)}") from error


def vector_parameter(vector: np.ndarray) -> Vector:
    """A float32 vector as a query parameter: packed, where a list of floats is encoded number by number."""
    return Vector.from_numpy(np.ascontiguousarray(vector, dtype=np.float32))


def _client_error(error: ClientError, uri: str) -> StoreError:
    code = error.code or ""
    if "Transaction.TransactionTimedOut" in code or "Transaction.Terminated" in code:
        return QueryTimeoutError(f"Neo4j at {uri} ended a query that ran too long. Narrow it, or raise its timeout.")
    if "Statement.AccessMode" in code:  # by the plan, before anything of it is run
        return WriteRefusedError(f"Neo4j at {uri} refused a statement that writes, where only reading is allowed.")
    if "Database.DatabaseNotFound" in code:
        return StoreError(f"Neo4j at {uri} has no such database: {_first_line(error)} Set NEO4J_DATABASE.")
    return StoreError(f"Neo4j at {uri} refused a statement ({code}): {_first_line(error)}")


def _check_version(agent: str, uri: str) -> None:
    number = agent.partition("/")[2]
    try:
        version = tuple(int(part) for part in number.split(".")[:2])
    except ValueError:
        version = ()
    if version < MINIMUM_VERSION:
        raise VersionError(
            f"The server at {uri} is {agent}; the queries of kg need Neo4j "
            f"{MINIMUM_VERSION[0]}.{MINIMUM_VERSION[1]:02d} or newer. "
            "Upgrade it, or unset NEO4J_URI to let kg run its own."
        )


def _query(cypher: str) -> LiteralString:
    # The driver's type asks for literals to discourage injection; values go in as parameters throughout.
    return cypher


def _counters(summary: neo4j.ResultSummary) -> Counters:
    c = summary.counters
    return Counters(
        c.nodes_created, c.nodes_deleted, c.relationships_created, c.relationships_deleted, c.properties_set
    )


def _first_line(error: BaseException) -> str:
    message = (error.message if isinstance(error, Neo4jError) else None) or str(error)
    return (message.strip().splitlines() or [type(error).__name__])[0][:400]
