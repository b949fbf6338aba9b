"""Followers in the process of the tests, and what they are asked to bring."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from kg import streams
from kg.app.pieces import DOCUMENTS
from kg.records import EventRecord
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


def leave_behind(store: GraphStore) -> None:
    """Load an event, as a process does that is killed before its user is served."""
    event = EventRecord(user="ben", type="bought", sku="S1", at=datetime(2100, 1, 1, tzinfo=UTC))
    streams.load_piece(store, None, None, [event], documents=DOCUMENTS, pseudonym=str, repeats=Counter())
