"""The right to follow a source, which one process has at a time: taken, kept while it works, taken again when lost.

A thread of its own keeps it. Whoever works may be long at one thing (a text of a book's length is read for minutes): a
lease that ended meanwhile would pass to another process, which begins with the same thing, and is as long at it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog

from kg import leases
from kg.errors import DiskError, LeaseLostError, StoreError
from kg.leases import Lease
from kg.store import GraphStore

log = structlog.get_logger()


STUCK_S: Final = 3600.0
"""Who has not come by for so long does not work any more: the lease is left to end, and another may try."""


class Held:
    """One holding of the lease of a source."""

    def __init__(self, store: GraphStore, lease: Lease, ttl: timedelta) -> None:
        self._lost = threading.Event()
        self.bare = store
        """For reading."""
        self.store = leases.fenced(store, lease, self._lost)
        """For writing: it refuses once the lease has passed on."""
        self._lease = lease
        self._ttl = ttl
        self._came_by = time.monotonic()

    def keep(self) -> None:
        """Come by: to be called between two things that are done, so that it is known that the work goes on.

        Raises:
            LeaseLostError: another has the lease.
        """
        self._came_by = time.monotonic()
        if self._lost.is_set():
            raise LeaseLostError(f"The lease {self._lease.name!r} passed to another; it goes on there.")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within, the lease is renewed each time that a third of its time has gone."""
        ended = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=(ended,), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(self._ttl.total_seconds() / 3):
            if time.monotonic() - self._came_by > STUCK_S:
                log.error("a source is not gone on with; another process may take it over", source=self._lease.name)
                return
            try:
                if not leases.renew(self.bare, self._lease, self._ttl):
                    self._lost.set()
                    return
            except StoreError as error:
                # The database keeps the lease, and says whose it is when it is back.
                log.warning("a lease could not be renewed; it is tried again", lease=self._lease.name, error=str(error))


def while_held(
    store: GraphStore,
    name: str,
    work: Callable[[Held], None],
    stop: threading.Event,
    *,
    ttl: timedelta,
    pause_s: float,
) -> None:
    """Do ``work`` whenever the lease can be had, until ``stop`` is set: through restarts of the database, a full disk,
    and losses.

    Args:
        name: of the lease.
        pause_s: after the database failed.
    """
    waiting = False
    while not stop.is_set():
        try:
            leases.expire(store, name)
            lease = leases.take(store, name, uuid.uuid4().hex, ttl)
            if lease is None:
                if not waiting:
                    log.info("another process follows; this one waits", source=name)
                waiting = True
                stop.wait(ttl.total_seconds() / 5)
                continue
            waiting = False
            log.info("following", source=name, token=lease.token)
            try:
                held = Held(store, lease, ttl)
                with held.kept():
                    work(held)
            finally:
                leases.release(store, lease)
        except LeaseLostError as error:
            log.warning("the lease of a source was lost", source=name, error=str(error))
        except StoreError as error:
            log.warning("the database does not take what was read; it is tried again", error=str(error))
            stop.wait(pause_s)
        except DiskError as error:
            log.warning("the disk does not take what was read; it is tried again", error=str(error))
            stop.wait(max(pause_s, 1.0))
