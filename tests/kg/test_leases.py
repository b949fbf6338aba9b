"""Leases on a real Neo4j: one holder at a time, and nothing written by a former one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
import structlog

from kg import leases
from kg.errors import ConnectionFailedError, LeaseLostError, StoreError
from kg.leases import Lease
from kg.store import GraphStore, Transaction

TTL = timedelta(minutes=1)
PATIENCE_S = 60
"""How long a test waits for something that must happen; nothing is asserted of how long it took."""


def take(store: GraphStore, holder: str, **how: object) -> Lease:
    lease = leases.take(store, "train", holder, TTL, **how)  # type: ignore[arg-type]
    assert lease is not None
    return lease


def let_its_time_pass(store: GraphStore) -> None:
    store.write("MATCH (lease:Lease {name: 'train'}) SET lease.until = datetime.realtime() - duration('PT1S')")


def brands(store: GraphStore) -> list[str]:
    return [row["key"] for row in store.read("MATCH (b:Brand) RETURN b.key AS key ORDER BY key")]


# --- taking and giving back -----------------------------------------------------------------------------------


def test_of_many_who_want_it_one_gets_it(store: GraphStore) -> None:
    together = threading.Barrier(8)

    def want(number: int) -> Lease | None:
        together.wait(PATIENCE_S)
        return leases.take(store, "train", f"h{number}", TTL)

    with ThreadPoolExecutor(8) as threads:
        taken = [lease for lease in threads.map(want, range(8)) if lease is not None]
    assert [lease.token for lease in taken] == [1]
    assert store.read("MATCH (l:Lease) RETURN l.name AS name, l.holder AS holder, l.token AS token") == [
        {"name": "train", "holder": taken[0].holder, "token": 1}
    ]


def test_it_is_given_back_and_taken_again_with_a_higher_token(store: GraphStore) -> None:
    first = take(store, "h1")
    assert leases.take(store, "train", "h2", TTL) is None
    assert leases.release(store, first)
    assert take(store, "h2").token == first.token + 1
    assert not leases.release(store, first)
    assert not leases.renew(store, first, TTL)
    assert leases.take(store, "train", "h3", TTL) is None


def test_taking_again_with_the_same_name_is_the_same_holding(store: GraphStore) -> None:
    # As the driver does when it did not learn whether a transaction was committed.
    assert take(store, "h1").token == take(store, "h1").token == 1


def test_leases_of_other_names_are_others(store: GraphStore) -> None:
    take(store, "h1")
    assert leases.take(store, "extract", "h1", TTL) is not None


def test_it_is_not_taken_if_somebody_had_it_since_it_was_looked_at(store: GraphStore) -> None:
    assert leases.release(store, take(store, "h1", seen=0))
    assert leases.take(store, "train", "h2", TTL, seen=0) is None
    assert take(store, "h2", seen=1).token == 2


def test_a_change_by_one_who_passes_by_counts_as_a_holding(store: GraphStore) -> None:
    def brand(tx: Transaction) -> None:
        tx.run("CREATE (:Brand {key: 'a', name: 'A'})")

    leases.create(store, ("train",))
    assert leases.change(store, "train", seen=0, then=brand)
    assert not leases.change(store, "train", seen=0, then=brand)
    take(store, "h1", seen=1)
    assert not leases.change(store, "train", seen=2, then=brand)
    assert brands(store) == ["a"]


def test_what_is_done_with_a_move_and_the_move_happen_together_or_not(store: GraphStore) -> None:
    def fail(tx: Transaction, _: Lease) -> None:
        tx.run("CREATE (:Brand {key: 'a', name: 'A'})")
        tx.run("THIS IS NOT CYPHER")

    with pytest.raises(StoreError):
        leases.take(store, "train", "h1", TTL, then=fail)
    lease = take(store, "h2", then=lambda tx, _: tx.run("CREATE (:Brand {key: 'b', name: 'B'})"))
    with pytest.raises(StoreError):
        leases.release(store, lease, then=fail)
    assert leases.renew(store, lease, TTL)
    assert brands(store) == ["b"]


# --- time -----------------------------------------------------------------------------------------------------


def test_a_lease_whose_time_has_passed_is_expired_by_whoever_sees_it_first(store: GraphStore) -> None:
    lease = take(store, "h1")
    assert leases.expire(store, "train") is None
    let_its_time_pass(store)
    assert leases.take(store, "train", "h2", TTL) is None
    expired = leases.expire(store, "train")
    assert expired is not None
    assert (expired.holder, expired.token) == ("h1", lease.token)
    assert leases.expire(store, "train") is None
    assert not leases.renew(store, lease, TTL)
    assert take(store, "h2").token == 2


def test_a_holder_who_is_late_renews_it_as_long_as_nobody_has_expired_it(store: GraphStore) -> None:
    lease = take(store, "h1")
    let_its_time_pass(store)
    assert leases.renew(store, lease, TTL)
    assert leases.expire(store, "train") is None


@pytest.mark.parametrize(("back", "expired"), [("PT1S", False), ("PT59S", False), ("PT10M", True), ("P1Y", True)])
def test_a_lease_whose_end_a_clock_set_back_has_put_far_off_is_expired(
    store: GraphStore, back: str, expired: bool
) -> None:
    lease = take(store, "h1")
    assert leases.renew(store, lease, TTL)
    # What is left behind by a database's clock that has been set back meanwhile.
    store.write("MATCH (lease:Lease {name: 'train'}) SET lease.until = lease.until + duration($back)", back=back)
    assert (leases.expire(store, "train") is not None) is expired
    assert (leases.take(store, "train", "h2", TTL) is not None) is expired


def test_a_lease_of_an_earlier_version_lasts_as_long_as_it_says(store: GraphStore) -> None:
    take(store, "h1")
    store.write("MATCH (lease:Lease) SET lease.until = lease.until + duration('PT10M') REMOVE lease.ttl")
    assert leases.expire(store, "train") is None
    let_its_time_pass(store)
    assert leases.expire(store, "train") is not None


# --- fencing --------------------------------------------------------------------------------------------------

BRAND = "MERGE (b:Brand {key: $key}) ON CREATE SET b.name = $key"
IN_TRANSACTIONS = "UNWIND ['x', 'y'] AS key CALL (key) { CREATE (:Brand {key: key, name: key}) } IN TRANSACTIONS"
INDEX = "CREATE INDEX fenced IF NOT EXISTS FOR (b:Brand) ON (b.name)"

WRITES: dict[str, Callable[[GraphStore], object]] = {
    "write": lambda store: store.write(BRAND, key="x"),
    "change": lambda store: store.change(BRAND, key="x"),
    "change_all": lambda store: store.change_all([(BRAND, {"key": "x"}), (BRAND, {"key": "y"})]),
    "write_all": lambda store: store.write_all([(BRAND, {"key": "x"}), (BRAND, {"key": "y"})]),
    "transact": lambda store: store.transact(lambda tx: tx.run(BRAND, key="x")),
    "autocommit": lambda store: store.autocommit(IN_TRANSACTIONS),
    "autocommit of a version": lambda store: store.autocommit(f"CYPHER 25 {IN_TRANSACTIONS} OF 1 ROW"),
    "index": lambda store: store.autocommit(INDEX),
}


@pytest.mark.parametrize("kind", WRITES)
def test_only_the_holder_writes(store: GraphStore, kind: str) -> None:
    def has_written() -> bool:
        return bool(brands(store) or store.read("SHOW INDEXES YIELD name WHERE name = 'fenced'"))

    former = leases.fenced(store, take(store, "h1"))
    let_its_time_pass(store)
    leases.expire(store, "train")
    with pytest.raises(LeaseLostError, match=r"lease 'train' passed to another .*token 1.* Nothing was written"):
        WRITES[kind](former)
    holder = leases.fenced(store, take(store, "h2"))
    with pytest.raises(LeaseLostError):
        WRITES[kind](former)
    assert not has_written()
    WRITES[kind](holder)
    assert has_written()
    store.autocommit("DROP INDEX fenced IF EXISTS")


def test_nobody_writes_after_giving_it_back(store: GraphStore) -> None:
    lease = take(store, "h1")
    view = leases.fenced(store, lease)
    view.write(BRAND, key="x")
    leases.release(store, lease)
    with pytest.raises(LeaseLostError):
        view.write(BRAND, key="y")
    assert brands(store) == ["x"]


def test_a_former_holder_is_stopped_at_the_commit_of_what_it_had_begun(store: GraphStore) -> None:
    lease = take(store, "h1")

    def outrun(tx: Transaction) -> None:
        tx.run(BRAND, key="x")
        let_its_time_pass(store)
        # Another connection: the lease passes on while this transaction is open.
        store.write("MATCH (l:Lease {name: 'train'}) SET l.holder = 'h2', l.token = 2")

    with pytest.raises(LeaseLostError):
        leases.fenced(store, lease).transact(outrun)
    assert brands(store) == []


def test_a_holder_who_is_told_of_the_loss_does_not_even_read(store: GraphStore) -> None:
    lost = threading.Event()
    view = leases.fenced(store, take(store, "h1"), lost)
    assert view.read("RETURN 1 AS one") == [{"one": 1}]
    assert list(view.stream("RETURN 1 AS one")) == [[1]]
    lost.set()
    for ask in (lambda: view.read("RETURN 1 AS one"), lambda: list(view.stream("RETURN 1 AS one"))):
        with pytest.raises(LeaseLostError):
            ask()


def test_a_view_that_is_closed_leaves_the_pool_open(store: GraphStore) -> None:
    with leases.fenced(store, take(store, "h1")) as view:
        assert view.database == store.database
    assert store.read("RETURN 1 AS one") == [{"one": 1}]


# --- those who froze ------------------------------------------------------------------------------------------


@contextmanager
def frozen(store: GraphStore, work: Callable[[Transaction], object], holder: str) -> Iterator[None]:
    """Somebody who has done ``work`` and never commits: its transaction stays open in the server."""
    open_, thaw = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        work(tx)
        open_.set()
        thaw.wait(PATIENCE_S)

    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(store.transact, hold, metadata={"holder": holder})
        assert open_.wait(PATIENCE_S)
        try:
            yield
        finally:
            thaw.set()
        assert isinstance(held.exception(PATIENCE_S), StoreError)


def test_locks_that_a_frozen_holder_has_on_the_data_are_taken_from_it(store: GraphStore) -> None:
    store.write(BRAND, key="x")
    take(store, "h1")
    with frozen(store, lambda tx: tx.run("MATCH (b:Brand {key: 'x'}) SET b.name = 'frozen'"), "h1"):
        let_its_time_pass(store)
        assert leases.expire(store, "train") is not None
        leases.fenced(store, take(store, "h2")).write("MATCH (b:Brand {key: 'x'}) SET b.name = 'new'")
    assert store.read("MATCH (b:Brand) RETURN b.name AS name") == [{"name": "new"}]


def test_a_frozen_holder_loses_the_lock_of_the_lease(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MOVE_TIMEOUT_S", 0.5)
    take(store, "h1")
    let_its_time_pass(store)
    with frozen(store, lambda tx: tx.run("MATCH (l:Lease {name: 'train'}) SET l.lock = true"), "h1"):
        assert leases.expire(store, "train") is not None
        assert take(store, "h2").token == 2


@contextmanager
def endless(store: GraphStore, holder: str) -> Iterator[None]:
    """A statement of a holder that commits in parts, and looks for its lease at its beginning alone."""
    view = leases.fenced(store, take(store, holder))
    statement = (
        "UNWIND range(1, 1000000000) AS n "
        "CALL (n) { MERGE (b:Brand {key: 'x'}) SET b.name = toString(n) } IN TRANSACTIONS OF 10 ROWS"
    )
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(view.autocommit, statement)
        while not brands(store):
            assert not running.done()
        let_its_time_pass(store)
        try:
            yield
        finally:
            store.end_transactions("holder", holder)
        with pytest.raises(LeaseLostError):
            running.result(PATIENCE_S)


def running_for(store: GraphStore, holder: str) -> bool:
    return bool(store.read("SHOW TRANSACTIONS YIELD metaData WHERE metaData.holder = $holder", holder=holder))


def test_what_still_runs_in_the_server_for_a_former_holder_is_ended(store: GraphStore) -> None:
    with endless(store, "h1"):
        assert leases.expire(store, "train") is not None
        while running_for(store, "h1"):  # it has been told to end
            pass
    assert take(store, "h2").token == 2


def test_what_could_not_be_ended_is_ended_before_another_begins(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise ConnectionFailedError("Neo4j does not answer.")

    done: list[Lease] = []
    with endless(store, "h1"):
        with monkeypatch.context() as broken, structlog.testing.capture_logs() as logs:
            broken.setattr(GraphStore, "end_transactions", away)
            expired = leases.expire(store, "train", then=lambda _, lease: done.append(lease))
            assert expired is not None
            assert leases.expire(store, "train") is None
        assert done == [expired]
        assert [entry["log_level"] for entry in logs] == ["warning", "warning"]
        assert leases.take(store, "train", "h2", TTL) is None
        assert leases.expire(store, "train") is None
        while running_for(store, "h1"):
            pass
        assert leases.take(store, "train", "h2", TTL) is not None
