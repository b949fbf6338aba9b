"""The right to follow a source, which one process has at a time: taken, kept while it works, taken again when lost."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import structlog

from kg import leases
from kg.errors import DiskError, LeaseLostError, StoreError
from kg.leases import Lease
from kg.store import GraphStore

log = structlog.get_logger()


class Held:
    """One holding of the lease of a source."""

    def __init__(self, store: GraphStore, lease: Lease, ttl: timedelta) -> None:
        self.bare = store
        """For reading."""
        self.store = leases.fenced(store, lease)
        """For writing: it refuses once the lease has passed on."""
        self._lease = lease
        self._ttl = ttl
        self._renewed = time.monotonic()

    def keep(self) -> None:
        """Renew the lease when a third of its time has gone.

        Raises:
            LeaseLostError: another has it.
        """
        if time.monotonic() - self._renewed > self._ttl.total_seconds() / 3:
            if not leases.renew(self.bare, self._lease, self._ttl):
                raise LeaseLostError(f"The lease {self._lease.name!r} passed to another; it goes on there.")
            self._renewed = time.monotonic()


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
                work(Held(store, lease, ttl))
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
