"""Leases in the graph: the right to do something, held by one at a time among all processes, with fencing tokens.

A lease is one ``(:Lease {name, holder, token, until})`` node::

            take                    renew
    free ─────────▶ held until … ─────────▶ held until later
      ▲               │      │
      ├── release ────┘      └── nobody renewed it: anybody may expire ──▶ free, but for its former
      └── what the former holder has open in the server is ended ────────────────┘

Each move is one transaction that takes the node's lock first and looks then, so
that of several who want it one gets it. Time is the database's own
(``datetime.realtime()``): the clocks of the processes need not agree. Where that
clock itself is set back, a time to come that is farther off than any holder ever
asked for has passed, too.

That a lease is held says that *others* do not begin. It cannot say that a former
holder has stopped: a process may freeze for a minute, its lease pass to another,
and the process wake up and go on. Therefore taking counts the lease's ``token``
up, and :func:`fenced` gives a store each of whose write transactions ends by
looking, with the lock in hand, whether holder and token are still the newest. A
write that comes too late is rolled back and raises
:class:`~kg.errors.LeaseLostError`. (M. Kleppmann, "How to do distributed
locking", 2016, has the reasoning.)

A frozen process may also leave a transaction open in the server, with locks that
nobody else can get, or a statement that commits in parts and looks for its lease
at its beginning alone. Whoever expires its lease ends its transactions; they are
known by their metadata. Until that has succeeded its name stands on the lease as
``former``, nobody can take the lease, and whoever passes by tries it again. For
the same reason the moves here, which take milliseconds, are limited in time by
the server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog

from kg.errors import LeaseLostError, QueryTimeoutError, StoreError
from kg.store import GraphStore, Guard, Transaction

T = TypeVar("T")

log = structlog.get_logger()

MOVE_TIMEOUT_S: Final = 5.0
"""After this long the server ends a move: whoever began it is frozen, or waits for the lock of somebody who is."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was taken."""

    name: str
    holder: str
    """Names this one holding of it: used once."""
    token: int
    """Counts the holdings of this lease."""
    at: datetime
    """When it was taken, by the database's clock."""


Then = Callable[[Transaction, Lease], None]
"""What else is to happen in the transaction of a move, if the move is made."""

# To set a property takes the lock of its node, even to the value that it has.
_LOCK: Final = "MATCH (lease:Lease {name: $name})\nSET lease.lock = true"

EXPIRED: Final = "coalesce(lease.until <= now OR lease.until > now + duration('PT2S') * lease.ttl, false)"
"""Whether nobody has renewed a lease in time, in Cypher, of ``lease`` and ``now``. A holder asks for one ttl: only a
clock that was set back leaves more than that. The second ttl is for small corrections, which are to end no run."""

# A statement of its own, after the lock: what a statement reads before it takes a lock may be old by then.
_LOOK: Final = f"""
WITH datetime.realtime() AS now
MATCH (lease:Lease {{name: $name}})
RETURN lease.holder AS holder,
       lease.former AS former,
       lease.token AS token,
       {EXPIRED} AS expired,
       now
"""

_CREATE: Final = """
WITH datetime.realtime() AS now
UNWIND $names AS name
MERGE (lease:Lease {name: name})
ON CREATE SET lease.token = 0, lease.since = now
"""

_GRANT: Final = """
MATCH (lease:Lease {name: $name})
SET lease.holder = $holder,
    lease.token = $token,
    lease.ttl = $ttl,
    lease.until = datetime.realtime() + duration({seconds: $ttl})
"""

_EXTEND: Final = """
MATCH (lease:Lease {name: $name})
SET lease.ttl = $ttl,
    lease.until = datetime.realtime() + duration({seconds: $ttl})
"""

_FREE: Final = "MATCH (lease:Lease {name: $name})\nREMOVE lease.holder, lease.until, lease.ttl"
_FORMER: Final = "MATCH (lease:Lease {name: $name})\nSET lease.former = $holder"
_FORGET: Final = "MATCH (lease:Lease {name: $name, former: $holder})\nREMOVE lease.former"


def create(store: GraphStore, names: tuple[str, ...]) -> None:
    """Make the leases that are not there yet; they are free."""
    store.write(_CREATE, names=sorted(names))


def take(
    store: GraphStore, name: str, holder: str, ttl: timedelta, *, seen: int | None = None, then: Then | None = None
) -> Lease | None:
    """Take a free lease for ``ttl``; None when it is held, even if its time has passed (see :func:`expire`), or when
    what its former holder has open in the server is still to be ended.

    Args:
        holder: names this holding; not to be used again.
        seen: take it only if its token is still this one, so that nobody had it since the caller looked.
        then: done in the same transaction.
    """

    def work(tx: Transaction) -> Lease | None:
        state = _locked(tx, name)
        if state.holder == holder:  # the driver does a transaction again whose commit was not confirmed
            return Lease(name, holder, state.token, state.now)
        if state.holder is not None or state.former is not None or (seen is not None and state.token != seen):
            return None
        lease = Lease(name, holder, state.token + 1, state.now)
        tx.run(_GRANT, name=name, holder=holder, token=lease.token, ttl=ttl.total_seconds())
        if then is not None:
            then(tx, lease)
        return lease

    return _move(store, work, name, holder)


def renew(store: GraphStore, lease: Lease, ttl: timedelta, *, then: Then | None = None) -> bool:
    """Hold it for ``ttl`` from now, though its time may have passed meanwhile.

    False, and ``then`` is not done, when another has expired it.
    """

    def work(tx: Transaction) -> bool:
        if not _is_held(_locked(tx, lease.name), lease):
            return False
        tx.run(_EXTEND, name=lease.name, ttl=ttl.total_seconds())
        if then is not None:
            then(tx, lease)
        return True

    return _move(store, work, lease.name, lease.holder)


def release(store: GraphStore, lease: Lease, *, then: Then | None = None) -> bool:
    """Give it back; False, and ``then`` is not done, when it was lost already."""

    def work(tx: Transaction) -> bool:
        if not _is_held(_locked(tx, lease.name), lease):
            return False
        tx.run(_FREE, name=lease.name)
        if then is not None:
            then(tx, lease)
        return True

    return _move(store, work, lease.name, lease.holder)


def expire(store: GraphStore, name: str, *, then: Then | None = None) -> Lease | None:
    """Free a lease whose time has passed, and end what transactions its holder has open; None when there is nothing to.

    Where they cannot be ended, that is logged, and the next call tries again: the lease cannot be taken before.

    Returns:
        The holding that has ended.
    """

    def work(tx: Transaction) -> tuple[Lease | None, str | None]:
        state = _locked(tx, name)
        if state.holder is None or not state.expired:
            return None, state.former
        lease = Lease(name, state.holder, state.token, state.now)
        tx.run(_FREE, name=name)
        tx.run(_FORMER, name=name, holder=lease.holder)
        if then is not None:
            then(tx, lease)
        return lease, lease.holder

    try:
        expired, former = _move(store, work, name, "")
    except QueryTimeoutError:
        # Somebody has the lock and does not let go: the holder, frozen in the middle of a commit.
        held = store.read(_LOOK, name=name)
        if held and held[0]["expired"]:
            store.end_transactions("holder", held[0]["holder"])
        expired, former = _move(store, work, name, "")
    if former is not None:
        _end_former(store, name, former)
    return expired


def _end_former(store: GraphStore, name: str, former: str) -> None:
    """End what a former holder has open. It begins nothing more: whatever it begins looks for its lease first."""
    try:
        store.end_transactions("holder", former)
        _move(store, lambda tx: tx.run(_FORGET, name=name, holder=former), name, "")
    except StoreError as error:
        log.warning(
            "what a former holder left open could not be ended; it is tried again", lease=name, error=str(error)
        )


def change(store: GraphStore, name: str, *, seen: int, then: Callable[[Transaction], None]) -> bool:
    """Do something that only a holder may, in one transaction; False when it is held or somebody had it since ``seen``.

    As if it were taken and released: the token counts up, so that of several who want the same change one makes it.
    """

    def work(tx: Transaction) -> bool:
        state = _locked(tx, name)
        if state.holder is not None or state.token != seen:
            return False
        tx.run("MATCH (lease:Lease {name: $name})\nSET lease.token = $token", name=name, token=seen + 1)
        then(tx)
        return True

    return _move(store, work, name, "")


def fenced(store: GraphStore, lease: Lease, lost: threading.Event | None = None) -> GraphStore:
    """The store for the holder of a lease: it writes nothing once the lease has passed on.

    Args:
        lost: when set, whoever keeps the lease alive has found that it is lost; then not even a read is tried.
    """

    def refuse() -> None:
        raise LeaseLostError(
            f"The lease {lease.name!r} passed to another while this run (token {lease.token}) held it: it was not "
            "renewed in time. Nothing was written. The run begins anew elsewhere; nothing is to be done here."
        )

    def look() -> None:
        if lost is not None and lost.is_set():
            refuse()

    def check(tx: Transaction) -> None:
        if not _is_held(_locked(tx, lease.name), lease):
            refuse()

    return store.guarded(
        Guard(
            look=look,
            check=check,
            condition=(
                "MATCH (lease:Lease {name: $lease_name})\n"
                "WHERE lease.holder = $lease_holder AND lease.token = $lease_token\n"
                "WITH count(lease) AS held\n"
                "WHERE held = 1"
            ),
            parameters={"lease_name": lease.name, "lease_holder": lease.holder, "lease_token": lease.token},
            metadata={"lease": lease.name, "holder": lease.holder},
        )
    )


@dataclass(frozen=True, slots=True)
class _State:
    """A lease as it stands in the graph."""

    holder: str | None
    former: str | None
    """Whose transactions are still to be ended."""
    token: int
    expired: bool
    now: datetime


def _locked(tx: Transaction, name: str) -> _State:
    """Take the lock of a lease, then look at it. One that is not there is free and is made."""
    tx.run(_LOCK, name=name)
    rows = tx.run(_LOOK, name=name)
    if not rows:
        tx.run(_CREATE, names=[name])
        rows = tx.run(_LOOK, name=name)
    row = rows[0]
    return _State(row["holder"], row["former"], row["token"], row["expired"], row["now"].to_native())


def _is_held(state: _State, lease: Lease) -> bool:
    return state.holder == lease.holder and state.token == lease.token


def _move(store: GraphStore, work: Callable[[Transaction], T], name: str, holder: str) -> T:
    return store.transact(work, timeout_s=MOVE_TIMEOUT_S, metadata={"lease": name, "holder": holder})
