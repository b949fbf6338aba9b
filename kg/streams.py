"""What comes in pieces: records are loaded together with the place up to which their source has been read.

Both stand in the graph or neither, so a piece that was cut off is read again from
where the last one ended, and each record is in effect loaded once. How records
become nodes and relationships is told in :mod:`kg.statements`.

What is to be computed afterwards (facts of new texts, vectors of users who did
something) is marked in the same transaction: ``waiting`` on the document or user
names the piece that touched it last. Whoever has done it takes the mark away,
unless a later piece has put its own there meanwhile; so what a process that was
killed left undone is found, and done.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from kg.graph import Document
from kg.privacy import Pseudonym
from kg.records import EventRecord, Place, ProductRecord, Record, ReviewRecord, UserRecord
from kg.statements import (
    USERS_WAIT,
    count_repeats,
    event_statements,
    placeholder_statement,
    product_statements,
    related_of,
    relation_statements,
    review_statements,
    user_statements,
)
from kg.store import GraphStore, Transaction
from kg.writer import Statement, missing_keys

# A transaction that is done again finds the place where it is to be; a source that was replaced is counted anew.
_PLACE: Final = """
MERGE (place:Offset {source: $source})
SET place.rejected = CASE
      WHEN $first THEN $rejected
      WHEN place.lines = $lines THEN place.rejected
      ELSE coalesce(place.rejected, 0) + $rejected
    END
SET place.bytes = $bytes,
    place.behind = $behind,
    place.lines = $lines,
    place.head = $head,
    place.at = datetime.realtime()
"""

# A product whose price changed has nothing new to read.
_TEXTS_WAIT: Final = """
UNWIND $documents AS id
MATCH (d:Document {id: id})
WHERE d.extracted IS NULL OR NOT d.extracted STARTS WITH d.sha256
SET d.waiting = $mark
"""


# The first of a transaction: products that are there then stay until it ends. An event of one that is not would be
# counted nowhere, and a review be about nothing.
_LOCK_PRODUCTS: Final = "UNWIND $skus AS sku\nMATCH (p:Product {sku: sku})\nSET p.sku = sku\nRETURN sku"


@dataclass(frozen=True, slots=True)
class Documents:
    """How records become texts."""

    of_product: Callable[[ProductRecord], Document]
    of_review: Callable[[ReviewRecord], Document]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a piece."""

    refused: tuple[ReviewRecord | EventRecord, ...] = ()
    """Not loaded, because the catalogue lacks their product."""
    users: tuple[str, ...] = ()
    """Who did something, by the graph's ids: they wait for their vector."""
    documents: tuple[str, ...] = ()
    """Texts that came; those that are new or changed wait for being read."""


def mark(now: datetime) -> str:
    """A name for a piece, sortable by time and apart from another made in the same microsecond.

    Args:
        now: by the database's clock (:meth:`~kg.store.GraphStore.now`). Marks are compared with those of other
            processes: one from a clock that is ahead would be looked for only when its time has come.
    """
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {secrets.token_hex(4)}"


def places(store: GraphStore, sources: Sequence[str]) -> dict[str, Place]:
    """How far each source has been read; the beginning for one that the graph does not know."""
    rows = store.read(
        "MATCH (o:Offset)\nWHERE o.source IN $sources\n"
        "RETURN o.source AS source, o.bytes AS bytes, o.lines AS lines, o.head AS head",
        sources=list(sources),
    )
    found = {row["source"]: Place(row["bytes"], row["lines"], row["head"]) for row in rows}
    return {source: found.get(source, Place()) for source in sources}


def begin_anew(store: GraphStore, source: str) -> None:
    """Nothing has been read of a source that took the place of another."""
    store.write(
        "MATCH (o:Offset {source: $source})\nSET o.bytes = $none.bytes, o.lines = $none.lines, o.head = $none.head",
        source=source,
        none=asdict(Place()),
    )


def count_waiting(store: GraphStore) -> int:
    """How many texts and users wait to be served, those of every piece whose place :func:`places` gives among them.

    While a transaction is committed, readers see its nodes before its index entries. Whoever gets the lock of a place
    finds the piece there whole.
    """
    store.write("MATCH (o:Offset)\nWITH o\nORDER BY o.source\nSET o.source = o.source")
    rows = store.read("MATCH (n:User|Document)\nWHERE n.waiting IS NOT NULL\nRETURN count(n) AS n")
    return int(rows[0]["n"])


def load_piece(
    store: GraphStore,
    source: str | None,
    place: Place | None,
    records: Sequence[Record],
    *,
    documents: Documents,
    pseudonym: Pseudonym,
    repeats: Counter[int],
    create_missing: bool = False,
    before_commit: Callable[[Sequence[ReviewRecord | EventRecord]], None] = lambda _: None,
    first: bool = False,
    rejected: int = 0,
    behind: int = 0,
    now: datetime | None = None,
) -> Loaded:
    """Load records and note how far their source has been read, in one transaction.

    Args:
        source: whose place it is; ``None`` where the records have none, being known by their own keys.
        documents: make the texts of products and of reviews.
        repeats: counts events without a time, as :func:`kg.statements.count_repeats` does for those loaded before.
        before_commit: told of the records that are refused: what must be kept of them is to be kept first. Told again
            of further ones, if their product is removed at this moment.
        first: the piece is the first of its source; what was counted at its place before was of another.
        rejected: lines that were no record; with those that are refused they are counted at the place.
        behind: how much the source has beyond the place.

    Returns:
        What was refused, and what waits. Relations of products to products that the catalogue lacks are not made.
    """
    about: list[ReviewRecord | EventRecord] = [r for r in records if isinstance(r, ReviewRecord | EventRecord)]
    named = {r.sku for r in about if r.sku is not None} - {r.sku for r in records if isinstance(r, ProductRecord)}
    missing = missing_keys(store, "Product", named) if named else set()
    moment = now or store.now()
    told: set[int] = set()
    while True:
        made = (
            {r.sku or "" for r in about if isinstance(r, EventRecord) and r.sku in missing} if create_missing else set()
        )
        absent = missing - made
        parts = _Parts.of(
            store, [r for r in records if getattr(r, "sku", None) not in absent], moment, documents, pseudonym, repeats
        )
        refused = tuple(r for r in about if r.sku in absent)
        statements = [placeholder_statement(made), *parts.statements] if made else list(parts.statements)
        if source is not None and place is not None:
            of_place = {"bytes": place.bytes, "lines": place.lines, "head": place.head}
            counts = {"first": first, "rejected": rejected + len(refused), "behind": behind}
            statements.append((_PLACE, {"source": source, **of_place, **counts}))
        before_commit([r for r in refused if id(r) not in told])
        told.update(map(id, refused))
        gone = _write(store, named - missing, statements) if statements else set()
        if not gone:
            return Loaded(refused, parts.acting, parts.texts)
        # Removed since the look for them. What was counted of their events, and of others, will be so again.
        missing |= gone
        repeats.subtract(parts.counted)


def _write(store: GraphStore, needed: set[str], statements: Sequence[Statement]) -> set[str]:
    """Run the statements in one transaction, unless products that they need are not there; those."""

    def work(tx: Transaction) -> set[str]:
        if needed:
            gone = needed - {row["sku"] for row in tx.run(_LOCK_PRODUCTS, skus=sorted(needed))}
            if gone:
                return gone
        tx.run_all(statements)
        return set()

    return store.transact(work)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What records become."""

    statements: Sequence[Statement]
    acting: tuple[str, ...]
    """Users who did something, by the graph's ids."""
    texts: tuple[str, ...]
    """Ids of documents."""
    counted: Counter[int]
    """What was added to the counts of events without a time."""

    @classmethod
    def of(
        cls,
        store: GraphStore,
        records: Sequence[Record],
        now: datetime,
        documents: Documents,
        pseudonym: Pseudonym,
        repeats: Counter[int],
    ) -> _Parts:
        """Args: those of :func:`load_piece`; of ``records`` all have their product."""
        statements: list[Statement] = []
        texts: list[str] = []
        acting: tuple[str, ...] = ()
        counted: Counter[int] = Counter()
        if products := [r for r in records if isinstance(r, ProductRecord)]:
            made_of = {r.sku: documents.of_product(r) for r in products}
            statements += _products_with_relations(store, products, made_of, now)
            texts += [d.id for d in made_of.values()]
        if reviews := {r.id: r for r in records if isinstance(r, ReviewRecord)}:
            written = [documents.of_review(r) for r in reviews.values()]
            statements += review_statements(list(reviews.values()), written, pseudonym)
            texts += [d.id for d in written]
        if events := [r for r in records if isinstance(r, EventRecord)]:
            statements += event_statements(events, pseudonym, repeats)
            count_repeats((r for r in events if r.at is None), pseudonym, counted)
            acting = tuple(sorted({pseudonym(r.user) for r in events}))
        if users := [r for r in records if isinstance(r, UserRecord)]:
            statements += user_statements(users, pseudonym)
        piece = mark(now)
        if acting:
            statements.append((USERS_WAIT, {"users": list(acting), "mark": piece}))
        if texts:
            statements.append((_TEXTS_WAIT, {"documents": sorted(texts), "mark": piece}))
        return cls(statements, acting, tuple(sorted(texts)), counted)


def _products_with_relations(
    store: GraphStore, products: Sequence[ProductRecord], documents: Mapping[str, Document], now: datetime
) -> list[Statement]:
    latest = list({r.sku: r for r in products}.values())
    at = int(now.timestamp())
    pairs = [r for product in latest for r in related_of(product)]
    absent = missing_keys(store, "Product", {r.end.key for r in pairs} - {p.sku for p in latest}) if pairs else set()
    return [
        *product_statements(latest, [documents[r.sku] for r in latest], at),
        *relation_statements([p.sku for p in latest], (r for r in pairs if r.end.key not in absent)),
    ]
