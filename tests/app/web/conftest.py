"""The pages over the named shop, without the models that take seconds to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from extraction.questions import Asks
from kg.app.answers import Answer, Fact
from kg.app.search import Prepared
from kg.app.web.pages import Pages
from kg.catalogue import Rows, find, load, run
from kg.errors import QueryTimeoutError
from kg.store import GraphStore

QUERIES = load()
LeftS = Callable[[], float]


class Plain:
    """Searches by words alone; what is spelt ``guitr`` was meant to be a guitar, and ``everything`` takes too long."""

    def __init__(self, store: GraphStore) -> None:
        self._store = store

    def prepare(self, texts: Sequence[str], *, left_s: LeftS | None = None) -> list[Prepared]:
        meant = [text.replace("guitr", "guitar") for text in texts]
        return [Prepared(text, other, other, None) for text, other in zip(texts, meant, strict=True)]

    def run(self, prepared: Prepared, *, user: str | None = None, left_s: LeftS | None = None, **filters: Any) -> Rows:
        if prepared.text == "everything":
            raise QueryTimeoutError("ended")
        return run(self._store, find("search/products", QUERIES), {**prepared.parameters, **filters})


class Oracle:
    """Answers every question with one fact, whose texts hold what an attacker would write."""

    def ask(self, question: str, skus: Sequence[str] = (), *, left_s: LeftS | None = None) -> Answer:
        fact = Fact(
            sku="S1",
            title="<script>alert(1)</script>",
            says="ACCESSORY_OF",
            object="Ashdown S-200 electric guitar",
            texts=1,
            confidence=0.8,
            source="extraction",
            quote="Ashdown S-200",
            sentence='Fits the Ashdown S-200 & "all" of them.',
            document="product:S1",
            start=52,
            end=65,
        )
        return Answer(question, Asks.FITS, "yes", f"Yes, {question}", (fact,))


def pages(store: GraphStore, *, keys: Sequence[str] = (), script: bytes | None = None) -> Pages:
    return Pages(lambda: Plain(store), Oracle, keys=keys, script=script)
