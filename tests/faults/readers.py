"""Readers while models change: no answer may be made of two models.

Models take turns in two shapes, which differ in vectors, relations and the popularity that they were trained on, so
that each gives its own recommendations, to the last digit of a score. An answer that neither shape gives is made of
both, or of a model that is half there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Final

import numpy as np
import scipy.sparse as sp

from embeddings import registry
from embeddings.registry import Checkpoint
from embeddings.writeback import write_embeddings
from kg import catalogue
from kg.errors import StoreError
from kg.store import GraphStore
from tests.conftest import SHOP, empty
from tests.embeddings.test_writeback import POPULARITY, model, slots

USERS: Final = ("anna", "ben", "cleo")
Answer = tuple[tuple[str, float], ...]
Answers = Mapping[str, frozenset[Answer]]
"""What each user may be told."""


def shape(number: int) -> Checkpoint:
    """The model of this number; even ones are alike, and odd ones."""
    if number % 2:
        return model(f"m{number}")
    similar = np.zeros((4, 4), dtype=np.float32)
    similar[0, 1], similar[0, 3], similar[2, 1], similar[3, 2] = 0.3, 0.7, 0.9, 0.2
    other = model(f"m{number}", first=7)
    return replace(other, product_vectors=other.product_vectors[::-1].copy(), similar=sp.csr_matrix(similar))


def told_apart(store: GraphStore) -> Answers:
    """The shop with a model of either shape, one of them live; what each user is told by one and by the other."""
    empty(store)
    store.write(SHOP)
    told: dict[str, list[Answer]] = {user: [] for user in USERS}
    for number in (0, 1):
        write_embeddings(store, shape(number))
        registry.promote(store, f"m{number}")
        for user in USERS:
            told[user].append(answer(store, user))
    assert all(len(set(told[user])) == 2 for user in ("anna", "ben")), told
    return {user: frozenset(answers) for user, answers in told.items()}


def answer(store: GraphStore, user: str) -> Answer:
    """What a user is recommended, by one read."""
    rows = catalogue.run(store, _FOR_USER, {"user": user, "limit": 10}).rows
    return tuple((row["sku"], round(row["score"], 9)) for row in rows)


_FOR_USER: Final = catalogue.load()["recommend/for_user"]


@dataclass
class Reading:
    """What readers met."""

    wrong: list[str] = field(default_factory=list)
    """Answers that no model gives, at most one for each reader and two more."""
    answered_at: float = 0.0
    """When one of them was answered last, by ``time.monotonic``; 0 before."""


@contextmanager
def reading(store: GraphStore, answers: Answers, readers: int = 2) -> Iterator[Reading]:
    """Read all the time; what came of it."""
    stop, seen = threading.Event(), Reading()
    wrong = seen.wrong

    def read() -> None:
        for user in cycle(USERS):
            if stop.is_set() or len(wrong) >= 3:
                return
            try:
                found = answer(store, user)
            except StoreError:  # the database is away: no answer is no wrong one
                stop.wait(0.05)
                continue
            seen.answered_at = time.monotonic()
            if found not in answers[user]:
                wrong.append(f"{user} was told what no model says: {found}.")

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
        while not wrong and not seen.answered_at:  # a reader that never read has shown nothing
            stop.wait(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wrong_in_the_graph(store: GraphStore, number: int) -> Iterator[str]:
    """What is not as it should be once the model of this number is live: its own slot, and no more than one other."""
    live = registry.live(store)
    if live is None or live.version != f"m{number}":
        yield f"Live is {live and live.version} instead of m{number}."
        return
    wanted = shape(number)
    seen = slots(store)
    vectors = {
        key: int(vector.argmax())
        for keys, rows in ((wanted.users, wanted.user_vectors), (wanted.products, wanted.product_vectors))
        for key, vector in zip(keys, rows, strict=True)
        if vector.any()
    }
    if seen[live.slot] != vectors:
        yield f"The live vectors are {seen[live.slot]} instead of {vectors}."
    matrix = wanted.similar.tocoo()
    pairs = sorted(
        (wanted.products[a], wanted.products[b], round(float(w), 6))
        for a, b, w in zip(matrix.row, matrix.col, matrix.data, strict=True)
    )
    related = sorted((a, b, round(w, 6)) for a, b, w in seen.get(live.version, []))
    if related != pairs:
        yield f"The live relations are {related} instead of {pairs}."
    if seen["popularity"] != POPULARITY:
        yield f"The popularity is {seen['popularity']} instead of the shop's, {POPULARITY}."
    others = sorted(version for version in seen if version not in (live.version, "blue", "green", "popularity"))
    if len(others) > 1:
        yield f"Relations of {', '.join(others)} were left."
