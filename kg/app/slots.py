"""Slots: how many queries a server runs at once, in threads, since the driver of :mod:`kg.store` blocks.

A slot belongs to one request from its first query to its last row. Whoever
finds none free waits a little and is then refused: a queue that may grow only
makes everybody's answer late. A request can give up a call that takes too
long; the thread may still be in it, and the slot is free only when it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

T = TypeVar("T")

WAIT_S: Final = 2.0
"""How long a request waits for a slot: longer than a common query takes, shorter than people like to wait."""


class BusyError(Exception):
    """No slot became free in time."""


class Slots:
    """``count`` threads and as many slots. To be used from one event loop."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="query")
        self._free = asyncio.Semaphore(count)
        self.taken = 0

    async def take(self, wait_s: float = WAIT_S) -> Slot:
        """A slot, to be released by whoever took it.

        Raises:
            BusyError: none was free within ``wait_s`` seconds.
        """
        try:
            await asyncio.wait_for(self._free.acquire(), wait_s)
        except TimeoutError:
            raise BusyError from None
        self.taken += 1
        return Slot(self, self._pool, asyncio.get_running_loop())

    def close(self) -> None:
        """Begin nothing more; do not wait for what runs, which the database's time limit ends."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _freed(self) -> None:
        self.taken -= 1
        self._free.release()


class Slot:
    """One place among those that may run; calls one function at a time."""

    def __init__(self, slots: Slots, pool: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop) -> None:
        self._slots = slots
        self._pool = pool
        self._loop = loop
        self._running: Future[object] | None = None

    async def call(self, work: Callable[[], T], timeout_s: float) -> T:
        """What ``work`` returns, run in a thread.

        Raises:
            TimeoutError: it took longer than ``timeout_s``; the thread goes on, and its result is dropped.
        """
        future = self._pool.submit(work)
        self._running = future  # type: ignore[assignment]
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)

    def release(self, last: Callable[[], None] | None = None) -> None:
        """Give the slot back once the thread is out of its call, and ``last``, which tidies up, has been run there."""

        def finish(_: object = None) -> None:
            try:
                if last is not None:
                    last()
            finally:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(self._slots._freed)

        if self._running is not None and not self._running.done():
            self._running.add_done_callback(finish)
        elif last is None:
            self._slots._freed()
        else:
            with suppress(RuntimeError):  # the pool is closed: the process ends
                self._pool.submit(finish)
