"""Followers in the process of the tests, and what they are asked to bring."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kg.store import GraphStore
from tests.faults.stream import PATIENCE_S


@contextmanager
def following(follow: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """Follow in a thread, from ``with`` to its end; ``follow`` takes the event that stops it last."""
    stop = threading.Event()
    thread = threading.Thread(target=follow, args=(*arguments, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def users(store: GraphStore) -> list[str]:
    return [row["id"] for row in store.read("MATCH (u:User) RETURN u.id AS id ORDER BY id")]
