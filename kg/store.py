"""GraphStore: the one door to Neo4j. The only module that imports the driver.

Reads and writes run as managed transactions and are tried again after what may
pass (a deadlock, a server that starts again); therefore every write that passes
here must be idempotent. The database is always named: without it each
query costs a round trip to ask for the default one.
"""

from __future__ import annotations

import errno
import random
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final, LiteralString, Self, TypeVar
from uuid import uuid4

import neo4j
import numpy as np
from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    DatabaseError,
    DriverError,
    IncompleteCommit,
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
    StatementError,
    StoreError,
    VersionError,
    WriteRefusedError,
)

Row = dict[str, Any]
T = TypeVar("T")

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


class Transaction:
    """A write transaction that is open, as the work of :meth:`GraphStore.transact` sees it."""

    def __init__(self, tx: neo4j.ManagedTransaction) -> None:
        self._tx = tx

    def run(self, cypher: str, /, **parameters: Any) -> list[Row]:
        """Run one statement and return all rows."""
        return self._tx.run(_query(cypher), parameters).data()

    def run_all(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[list[Row]]:
        """Run several and return the rows of each."""
        # All are sent before the first answer is read: the server works on one while the next is packed.
        results = [self._tx.run(_query(cypher), dict(parameters)) for cypher, parameters in statements]
        return [result.data() for result in results]

    def change_all(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> Counters:
        """Run several and tell what changed."""
        total = Counters()
        for cypher, parameters in statements:
            total += _counters(self._tx.run(_query(cypher), dict(parameters)).consume())
        return total


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold for whoever writes through :meth:`GraphStore.guarded`."""

    look: Callable[[], None]
    """Called before anything is asked of the database; raises when it is known here to hold no more."""
    check: Callable[[Transaction], None]
    """The last thing in each write transaction; raises, so that all is rolled back, when it does not hold. It must take
    the lock of what it reads, so that it still holds when the transaction is committed."""
    condition: str
    """Clauses that give one row while it holds, else none: put before statements that manage their own transactions."""
    parameters: Mapping[str, Any]
    """Those of ``condition``."""
    metadata: Mapping[str, Any]
    """Shown with each transaction by ``SHOW TRANSACTIONS``, so that others can find and end them."""


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

    def __init__(self, driver: neo4j.Driver, database: str, uri: str, retry_s: float) -> None:
        self._driver = driver
        self.database = database
        self.uri = uri
        self._retry_s = retry_s

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
                max_transaction_retry_time=0,  # see _patiently
            )
        except (ConfigurationError, ValueError) as error:
            raise ConnectionFailedError(
                f"NEO4J_URI {uri!r} is not the address of a Neo4j ({error}). Expected e.g. bolt://localhost:7687."
            ) from error
        store = cls(driver, database, uri, retry_s)
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
        return self._write(lambda tx: Transaction(tx).change_all(statements))

    def write_all(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[list[Row]]:
        """Like :meth:`change_all`, but return the rows of each statement."""
        return self._write(lambda tx: Transaction(tx).run_all(statements))

    def transact(
        self,
        work: Callable[[Transaction], T],
        *,
        timeout_s: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> T:
        """Do ``work`` in one write transaction; what it raises rolls it back. It may be tried again, as a write.

        For a decision between statements; where there is none, :meth:`write_all` is the simpler way.

        Args:
            metadata: shown with the transaction by ``SHOW TRANSACTIONS``.
        """
        return self._write(lambda tx: work(Transaction(tx)), timeout_s, metadata)

    def guarded(self, guard: Guard) -> GraphStore:
        """The same store for somebody who may write only while something holds."""
        return _GuardedStore(self._driver, self.database, self.uri, self._retry_s, guard)

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
        with self._errors_explained(), self._session(neo4j.READ_ACCESS, fetch_size=fetch_size) as session:
            yield from session.run(neo4j.Query(_query(cypher), timeout=timeout_s), dict(parameters))

    def explain(self, cypher: str, /, **parameters: Any) -> dict[str, Any]:
        """The plan that Neo4j would run, as nested dicts (``operatorType``, ``args``, ``children``)."""
        with self._errors_explained(), self._session(neo4j.READ_ACCESS) as session:
            summary = session.run(_query("EXPLAIN " + cypher), parameters).consume()
        if summary.plan is None:  # the server promises one for EXPLAIN
            raise StoreError("Neo4j returned no plan for an EXPLAIN.")
        return {**summary.plan, "query_type": summary.query_type}

    def now(self) -> datetime:
        """The moment by the database's clock, with a time zone.

        Moments that several processes compare are all taken from here: the clocks of machines disagree, and are set.
        """
        moment: datetime = self.read("RETURN datetime.realtime('UTC') AS now")[0]["now"].to_native()
        return moment

    def await_indexes(self, timeout_s: int = 3600) -> None:
        """Wait until every index is online; say which one failed, and why."""
        self.autocommit("CALL db.awaitIndexes($timeout)", timeout=timeout_s)
        failed = self.read("SHOW INDEXES YIELD name, state, failureMessage WHERE state = 'FAILED'")
        if failed:
            raise StoreError(
                f"Index {failed[0]['name']} failed: {failed[0]['failureMessage']}. Drop it, and run kg init again."
            )

    def end_transactions(self, key: str, value: str) -> int:
        """End the open transactions that show this in their metadata, and say how many.

        Where a connection breaks and nobody tells the server, what it left open keeps its locks, until the server
        misses the client: by the usual settings of Linux 13 to 30 minutes (tcp(7), ``tcp_retries2``).
        """
        with self._errors_explained():
            return self._patiently(lambda: self._end(key, value), _may_pass)

    def _end(self, key: str, value: str) -> int:
        with self._driver.session(database=self.database) as session:
            rows = session.run(
                "SHOW TRANSACTIONS YIELD transactionId, metaData\nWHERE metaData[$key] = $value\n"
                "RETURN transactionId AS id",
                key=key,
                value=value,
            )
            ids = [row["id"] for row in rows]
            if ids:
                session.run("TERMINATE TRANSACTIONS $ids", ids=ids).consume()
        return len(ids)

    def _session(self, mode: str, **how: Any) -> neo4j.Session:
        return self._driver.session(database=self.database, default_access_mode=mode, **how)

    def _write(
        self,
        work: Callable[[neo4j.ManagedTransaction], T],
        timeout_s: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> T:
        attempt = uuid4().hex
        marks = {**(metadata or {}), "attempt": attempt}
        unit = neo4j.unit_of_work(metadata=marks, timeout=timeout_s)(work)
        cut_off = False

        def once() -> T:
            nonlocal cut_off
            if cut_off:
                self._end("attempt", attempt)
                cut_off = False
            try:
                return session.execute_write(unit)
            except (ServiceUnavailable, SessionExpired):
                cut_off = True
                raise

        with self._errors_explained(), self._session(neo4j.WRITE_ACCESS) as session:
            try:
                return self._patiently(once, _may_pass)
            except IncompleteCommit:
                with suppress(DriverError, Neo4jError, OSError):  # it may be away for longer: then it has forgotten all
                    self._patiently(lambda: self._end("attempt", attempt), _may_pass)
                raise

    def _run(
        self,
        mode: str,
        cypher: str,
        parameters: Mapping[str, Any],
        timeout_s: float | None,
        max_rows: int | None = None,
    ) -> tuple[list[Row], Counters]:
        def work(tx: neo4j.ManagedTransaction) -> tuple[list[Row], Counters]:
            result = tx.run(_query(cypher), dict(parameters))
            rows = [record.data() for record in islice(result, max_rows)]
            return rows, _counters(result.consume())

        if mode == neo4j.WRITE_ACCESS:
            return self._write(work, timeout_s)
        read = neo4j.unit_of_work(timeout=timeout_s)(work)
        with self._errors_explained(), self._session(mode) as session:
            # Nobody tries a transaction again of whose commit no word came. But a read has changed nothing.
            return self._patiently(
                lambda: session.execute_read(read),
                lambda error: _may_pass(error) or isinstance(error, IncompleteCommit),
            )

    def _patiently(self, call: Callable[[], T], may_pass: Callable[[Exception], bool]) -> T:
        """What it returns, tried again for ``retry_s`` after a first failure that may pass.

        The driver would do so too, but waits twice as long before each try, and sees 16 s late that a server is back.
        """
        pause_s, end = _PAUSE_S, None
        while True:
            try:
                return call()
            except (DriverError, Neo4jError, OSError) as error:
                now = time.monotonic()
                end = now + self._retry_s if end is None else end
                if now > end or not may_pass(error):
                    raise
            # By chance a little sooner or later: those that hindered each other are not to do so again.
            time.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except AuthError as error:
            raise AuthenticationError(
                f"Neo4j at {self.uri} refused the user name or password. "
                "Check NEO4J_USERNAME and NEO4J_PASSWORD (after several wrong ones it locks the user for 5 seconds)."
            ) from error
        except (ServiceUnavailable, SessionExpired, OSError) as error:
            # The driver lets through that a connection was reset while it was being opened (OSError, ENOTCONN).
            if isinstance(error, OSError) and error.errno != errno.ENOTCONN:
                raise
            raise ConnectionFailedError(
                f"Neo4j at {self.uri} does not answer ({_first_line(error)}). "
                "Is it running? kg db status tells for the local one; what was committed is safe, so run the same "
                "command again once it answers."
            ) from error
        except TransientError as error:
            if _needs_too_much(error):
                raise StoreError(
                    f"Neo4j at {self.uri} ended a transaction that needed more memory than one may have, and nothing "
                    "of it was done. Narrow the query, write less at a time (KG_BATCH_SIZE), or raise "
                    "db.memory.transaction.max."
                ) from error
            raise StoreError(
                f"Neo4j at {self.uri} could not do this for now ({error.code}: {_first_line(error)}). "
                "What was committed is safe: run the same command again."
            ) from error
        except ClientError as error:
            raise _client_error(error, self.uri) from error
        except (DatabaseError, Neo4jError, DriverError) as error:
            # A value that no index takes is called a failure of the database's own.
            lasting = isinstance(error, Neo4jError) and (error.code or "").startswith("Neo.DatabaseError.Statement.")
            raise (StatementError if lasting else StoreError)(
                f"Neo4j at {self.uri} failed: {_first_line(error)}"
            ) from error


class _GuardedStore(GraphStore):
    """See :meth:`GraphStore.guarded`."""

    def __init__(self, driver: neo4j.Driver, database: str, uri: str, retry_s: float, guard: Guard) -> None:
        super().__init__(driver, database, uri, retry_s)
        self._guard = guard

    def close(self) -> None:
        """The pool belongs to the store of which this is a view."""

    def guarded(self, guard: Guard) -> GraphStore:
        """See :meth:`GraphStore.guarded`; what this store is guarded by must hold as well."""
        outer = self._guard

        def look() -> None:
            outer.look()
            guard.look()

        def check(tx: Transaction) -> None:
            outer.check(tx)
            guard.check(tx)

        both = Guard(
            look=look,
            check=check,
            condition=f"{outer.condition}\n{guard.condition}",
            parameters={**outer.parameters, **guard.parameters},
            metadata={**outer.metadata, **guard.metadata},
        )
        return _GuardedStore(self._driver, self.database, self.uri, self._retry_s, both)

    def autocommit(self, cypher: str, /, **parameters: Any) -> list[Row]:
        """See :meth:`GraphStore.autocommit`; what holds is looked at before, in the statement itself where that has
        transactions of its own, and afterwards.

        While such a statement runs in the server, nothing here can stop it: whoever makes the guard fail must also end
        the transactions that have its metadata.
        """
        guard = self._guard
        self._look()
        own = _MANAGES_TRANSACTIONS.search(cypher) is not None
        query = neo4j.Query(_query(_behind(guard.condition, cypher) if own else cypher), metadata=dict(guard.metadata))
        with self._reason_known(), self._errors_explained(), self._session(neo4j.WRITE_ACCESS) as session:
            rows = [record.data() for record in session.run(query, {**parameters, **(guard.parameters if own else {})})]
        if own:
            self._look()
        return rows

    def _look(self) -> None:
        """Raise unless it holds."""
        super()._write(lambda tx: self._guard.check(Transaction(tx)))

    def _session(self, mode: str, **how: Any) -> neo4j.Session:
        self._guard.look()
        return super()._session(mode, **how)

    def _write(
        self,
        work: Callable[[neo4j.ManagedTransaction], T],
        timeout_s: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> T:
        def guarded(tx: neo4j.ManagedTransaction) -> T:
            result = work(tx)
            # Last, not first: the lock is held for the length of a commit, not for that of the work.
            self._guard.check(Transaction(tx))
            return result

        with self._reason_known():
            return super()._write(guarded, timeout_s, {**(metadata or {}), **self._guard.metadata})

    @contextmanager
    def _reason_known(self) -> Iterator[None]:
        """A transaction that the server ended may have been ended because the guard holds no more."""
        try:
            yield
        except QueryTimeoutError:
            self._look()
            raise


_PAUSE_S: Final = 0.1
"""Before a transaction is tried again; each time twice as long, up to the next."""
_LONGEST_PAUSE_S: Final = 1.0


def _may_pass(error: Exception) -> bool:
    """Whether a transaction that ended with this has changed nothing and may succeed later."""
    if isinstance(error, OSError):  # see _errors_explained: nothing was sent by then
        return error.errno == errno.ENOTCONN
    if isinstance(error, TransientError) and _needs_too_much(error):
        return False
    return isinstance(error, DriverError | Neo4jError) and error.is_retryable()


def _needs_too_much(error: TransientError) -> bool:
    """Whether a transaction met the limit of one: Neo4j calls that transient, but the same needs the same memory again.

    The limit of all together (``…total.max``) is another matter: the others end.
    """
    return "MemoryPoolOutOfMemory" in (error.code or "") and "total.max" not in (error.message or "")


_MANAGES_TRANSACTIONS: Final = re.compile(r"\bIN\s+(\S+\s+CONCURRENT\s+)?TRANSACTIONS\b", re.IGNORECASE)
_VERSION: Final = re.compile(r"\s*CYPHER\s+\d+\s+", re.IGNORECASE)


def _behind(condition: str, cypher: str) -> str:
    """The statement, to be run only where the condition gives a row.

    >>> _behind("MATCH (l:Lease)\\nWITH 1 AS held", "CYPHER 25 MATCH (n) DELETE n")
    'CYPHER 25 MATCH (l:Lease)\\nWITH 1 AS held\\nMATCH (n) DELETE n'
    """
    version = _VERSION.match(cypher)
    start = version.end() if version else 0
    return f"{cypher[:start]}{condition}\n{cypher[start:]}"


def vector_parameter(vector: np.ndarray) -> Vector:
    """A float32 vector as a query parameter: packed, where a list of floats is encoded number by number."""
    return Vector.from_numpy(np.ascontiguousarray(vector, dtype=np.float32))


def _client_error(error: ClientError, uri: str) -> StoreError:
    code = error.code or ""
    # The last is what a query gets that waited for a lock when its time was up.
    ended = ("Transaction.TransactionTimedOut", "Transaction.Terminated", "Transaction.LockClientStopped")
    if any(word in code for word in ended):
        return QueryTimeoutError(f"Neo4j at {uri} ended a query that ran too long. Narrow it, or raise its timeout.")
    if "Statement.AccessMode" in code:  # by the plan, before anything of it is run
        return WriteRefusedError(f"Neo4j at {uri} refused a statement that writes, where only reading is allowed.")
    if "Database.DatabaseNotFound" in code:
        return StoreError(f"Neo4j at {uri} has no such database: {_first_line(error)} Set NEO4J_DATABASE.")
    lasting = ("Neo.ClientError.Statement.", "Neo.ClientError.Schema.ConstraintValidationFailed")
    kind = StatementError if code.startswith(lasting) else StoreError
    return kind(f"Neo4j at {uri} refused a statement ({code}): {_first_line(error)}")


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
