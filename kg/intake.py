"""What a shop's files say, put into the graph: products, reviews, events and users, a batch a transaction.

Loading a file twice equals loading it once; what a record becomes is told in
:mod:`kg.statements`.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from kg.graph import Document, Relationship
from kg.privacy import Pseudonym
from kg.records import EventRecord, ProductRecord, ReviewRecord, UserRecord
from kg.statements import (
    RELATED,
    USERS_WAIT,
    event_statements,
    placeholder_statement,
    product_statements,
    related_of,
    relation_statements,
    review_statements,
    user_statements,
)
from kg.store import GraphStore, Transaction
from kg.writer import (
    BATCH_SIZE,
    Pipeline,
    Progress,
    Statement,
    batched,
    missing_keys,
)


@dataclass(frozen=True, slots=True)
class IntakeSummary:
    """What a load did.

    ``unknown_targets`` counts related products that the catalogue does not hold,
    ``unknown_kinds`` those of a kind that :data:`RELATED` does not hold.
    """

    loaded: int = 0
    unchanged_events: int = 0
    unknown_targets: int = 0
    unknown_kinds: int = 0
    deactivated: int = 0
    sync_left_out: bool = False
    """Nothing was made inactive although it was asked for: what was loaded is not the whole catalogue."""

    def __add__(self, other: IntakeSummary) -> IntakeSummary:
        return IntakeSummary(
            self.loaded + other.loaded,
            self.unchanged_events + other.unchanged_events,
            self.unknown_targets + other.unknown_targets,
            self.unknown_kinds + other.unknown_kinds,
            self.deactivated + other.deactivated,
            self.sync_left_out or other.sync_left_out,
        )


# Before the first model there is no vector that could be made anew.
_WHILE_LIVE: Final = "MATCH (:Serving {name: 'model'})\n"

Refuse = Callable[[ReviewRecord | EventRecord, str], None]
"""Called with a record that cannot be loaded and the reason, in one sentence."""


def load_products(
    store: GraphStore,
    records: Iterable[ProductRecord],
    *,
    document_of: Callable[[ProductRecord], Document],
    sync: bool = False,
    is_whole: Callable[[], bool] = lambda: True,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> IntakeSummary:
    """Merge products with their brand, categories, text and relations to other products.

    A file is the whole truth of what it owns: a brand or category that a product
    had from an earlier file and has no more is taken away. Relations to other
    products are written after all products, since they may point forwards; those
    of the earlier file stay until then, so that a load that stops loses none.

    Args:
        document_of: makes the text from which facts will be extracted.
        sync: make products that are not among ``records`` inactive, if there are any records.
        is_whole: asked after the last record; whether ``records`` were all that the files hold. A product whose line
            was rejected is on sale all the same, so otherwise ``sync`` makes nothing inactive.
        now: when a price that changes is taken to have changed.
    """
    loaded = unknown = unknown_kinds = 0
    seen: set[str] = set()
    at = int((now or store.now()).timestamp())
    with tempfile.TemporaryFile() as spool:
        spooled = 0
        with Pipeline() as pipeline:
            for batch in batched(records, batch_size):
                products = list({r.sku: r for r in batch}.values())
                statements = product_statements(products, [document_of(r) for r in products], at)
                pipeline.put(partial(_commit, store, statements, len(batch), progress))
                pickle.dump([(product.sku, list(related_of(product))) for product in products], spool)
                spooled += 1
                if sync:
                    seen.update(r.sku for r in products)
                loaded += len(batch)
                unknown_kinds += sum(len(to) for p in products for kind, to in p.related.items() if kind not in RELATED)
        spool.seek(0)
        for _ in range(spooled):
            for part in _portions(pickle.load(spool), 5 * batch_size):
                pairs = [r for _, named in part for r in named]
                absent = missing_keys(store, "Product", {r.end.key for r in pairs}) if pairs else set()
                unknown += sum(r.end.key in absent for r in pairs)
                known = [r for r in pairs if r.end.key not in absent]
                store.change_all(relation_statements([sku for sku, _ in part], known))
    left_out = sync and not (loaded and is_whole())
    return IntakeSummary(
        loaded=loaded,
        unknown_targets=unknown,
        unknown_kinds=unknown_kinds,
        deactivated=_deactivate_all_but(store, seen, batch_size) if sync and not left_out else 0,
        sync_left_out=left_out,
    )


def load_reviews(
    store: GraphStore,
    records: Iterable[ReviewRecord],
    *,
    document_of: Callable[[ReviewRecord], Document],
    refuse: Refuse,
    pseudonym: Pseudonym,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> IntakeSummary:
    """Merge reviews with their author, product and text; a review of an unknown product is refused."""
    loaded = 0
    for batch in batched(records, batch_size):
        absent = missing_keys(store, "Product", {r.sku for r in batch})
        known = []
        for r in batch:
            if r.sku in absent:
                refuse(r, f"The catalogue has no product {r.sku!r}.")
            else:
                known.append(r)
        if known:
            reviews = list({r.id: r for r in known}.values())
            store.change_all(review_statements(reviews, [document_of(r) for r in reviews], pseudonym))
        loaded += len(known)
        if progress is not None:
            progress(len(batch))
    return IntakeSummary(loaded=loaded)


def load_users(
    store: GraphStore,
    records: Iterable[UserRecord],
    *,
    pseudonym: Pseudonym,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> IntakeSummary:
    """Merge users with what they said of themselves; friends are made known by it."""
    loaded = 0
    for batch in batched(records, batch_size):
        store.change_all(user_statements(batch, pseudonym))
        loaded += len(batch)
        if progress is not None:
            progress(len(batch))
    return IntakeSummary(loaded=loaded)


def load_events(
    store: GraphStore,
    records: Iterable[EventRecord],
    *,
    refuse: Refuse,
    pseudonym: Pseudonym,
    create_missing: bool = False,
    mark: Callable[[], str] | None = None,
    batch_size: int = 5 * BATCH_SIZE,
    progress: Progress | None = None,
) -> IntakeSummary:
    """Add events to the interactions between users and products; an event already counted adds nothing.

    An event with a time is the same event when all its fields are the same.
    Without a time, the n-th of several equal records of one load is the n-th:
    loading the file again finds all of them counted.

    Args:
        refuse: called for an event whose product the catalogue lacks.
        create_missing: make such products instead, their title their sku.
        mark: a new name for each batch (:func:`kg.streams.mark`), put on the users who did something that was not
            counted before: while a model is live, their vector waits to be made anew.
    """
    repeats: Counter[int] = Counter()
    loaded = 0
    added: list[int] = []

    def commit(statements: list[Statement], rows: int) -> None:
        name = mark() if mark is not None else None

        def work(tx: Transaction) -> int:
            rows = [row for result in tx.run_all(statements) for row in result]
            acting = sorted({user for row in rows for user in row["acting"]})
            if name is not None and acting:
                tx.run(_WHILE_LIVE + USERS_WAIT, users=acting, mark=name)
            return sum(row["added"] for row in rows)

        added.append(store.transact(work))
        if progress is not None:
            progress(rows)

    with Pipeline() as pipeline:
        for batch in batched(records, batch_size):
            absent = missing_keys(store, "Product", {r.sku for r in batch if r.sku is not None})
            if absent and create_missing:
                store.change_all([placeholder_statement(absent)])
                absent = set()
            known = []
            for r in batch:
                if r.sku in absent:
                    refuse(r, f"The catalogue has no product {r.sku!r}; --create-missing would make it.")
                else:
                    known.append(r)
            if known:
                pipeline.put(partial(commit, event_statements(known, pseudonym, repeats), len(batch)))
            loaded += len(known)
    return IntakeSummary(loaded=loaded, unchanged_events=loaded - sum(added))


def _commit(store: GraphStore, statements: list[Statement], rows: int, progress: Progress | None) -> None:
    store.change_all(statements)
    if progress is not None:
        progress(rows)


def _portions(
    named: Sequence[tuple[str, list[Relationship]]], size: int
) -> Iterator[list[tuple[str, list[Relationship]]]]:
    """Products with the relations that they name, some ``size`` of these at a time: one may name hundreds."""
    part: list[tuple[str, list[Relationship]]] = []
    count = 0
    for product in named:
        part.append(product)
        count += len(product[1])
        if count >= size:
            yield part
            part, count = [], 0
    if part:
        yield part


def _deactivate_all_but(store: GraphStore, seen: set[str], batch_size: int) -> int:
    active = [row[0] for row in store.stream("MATCH (p:Product {active: true}) RETURN p.sku")]
    gone = [sku for sku in active if sku not in seen]
    for part in batched(gone, batch_size):
        store.write("UNWIND $skus AS sku\nMATCH (p:Product {sku: sku})\nSET p.active = false", skus=part)
    return len(gone)
