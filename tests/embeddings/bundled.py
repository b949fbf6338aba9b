"""The bundled shop in the graph, without its texts read: what its customers did, up to a day."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from extraction import corpus
from kg import intake
from kg.app.shop import write_shop
from kg.app.shop.customers import OPENS
from kg.records import EventRecord
from kg.store import GraphStore

# The package has a function of that name, which hides the module.
customers = importlib.import_module("kg.app.shop.customers")


@dataclass(frozen=True)
class Later:
    """What the graph was not told."""

    now: int
    """Unix seconds of the cut."""
    events: tuple[EventRecord, ...]


def load_shop(store: GraphStore, folder: Path, *, days: int = 366, whole: bool = False) -> Later:
    """Load products, and the events of the first ``days``; return the later ones.

    The bundled files hold back the last purchase of a third of the customers, with every trace of it. For who
    foretells how much will be bought that is a fall in demand which is no demand's; ``whole`` holds nothing back.
    """
    with pytest.MonkeyPatch.context() as patch:
        if whole:
            patch.setattr(customers, "_HOLD_OUT_FROM", 10**9)
        write_shop(folder)
    cut = OPENS + timedelta(days=days)
    events = [event for event in corpus.read_events(folder / "events.jsonl", rejects=_never) if event.at is not None]
    products = corpus.read_products(folder / "products.jsonl", rejects=_never)
    intake.load_products(store, products, document_of=corpus.product_document)
    known = (event for event in events if event.at is not None and event.at <= cut)
    intake.load_events(store, known, refuse=_never, pseudonym=str)
    return Later(int(cut.timestamp()), tuple(event for event in events if event.at is not None and event.at > cut))


def _never(*record: object) -> None:
    raise AssertionError(f"the bundled shop has a bad record: {record}")
