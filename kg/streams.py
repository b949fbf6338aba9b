"""What comes in pieces: records are loaded together with the place up to which their source has been read.

Both stand in the graph or neither, so a piece that was cut off is read again from
where the last one ended, and each record is in effect loaded once. How records
become nodes and relationships is told in :mod:`kg.intake`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kg.graph import Document, Node
from kg.intake import event_statements, product_statements, related_of, review_statements, user_statements
from kg.privacy import Pseudonym
from kg.records import EventRecord, Place, ProductRecord, Record, ReviewRecord, UserRecord
from kg.store import GraphStore
from kg.writer import Statement, merged_relationships, missing_keys, node_statements, relationship_statements

_PLACE: Final = """
MERGE (place:Offset {source: $source})
SET place.bytes = $bytes,
    place.lines = $lines,
    place.head = $head,
    place.at = datetime.realtime()
"""


def places(store: GraphStore, sources: Sequence[str]) -> dict[str, Place]:
    """How far each source has been read; the beginning for one that the graph does not know."""
    rows = store.read(
        "MATCH (o:Offset)\nWHERE o.source IN $sources\n"
        "RETURN o.source AS source, o.bytes AS bytes, o.lines AS lines, o.head AS head",
        sources=list(sources),
    )
    found = {row["source"]: Place(row["bytes"], row["lines"], row["head"]) for row in rows}
    return {source: found.get(source, Place()) for source in sources}


def load_piece(
    store: GraphStore,
    source: str,
    place: Place,
    records: Sequence[Record],
    *,
    documents: Documents,
    pseudonym: Pseudonym,
    repeats: Counter[int],
    create_missing: bool = False,
    before_commit: Callable[[Sequence[ReviewRecord | EventRecord]], None] = lambda _: None,
    now: datetime | None = None,
) -> tuple[ReviewRecord | EventRecord, ...]:
    """Load records and note how far their source has been read, in one transaction.

    Args:
        documents: make the texts of products and of reviews.
        repeats: counts events without a time, as :func:`kg.intake.count_repeats` does for those loaded before.
        before_commit: told of the records that are refused: what must be kept of them is to be kept first.

    Returns:
        The records that were refused because the catalogue lacks their product. Relations of products to such products
        are not made.
    """
    products = [r for r in records if isinstance(r, ProductRecord)]
    reviews = [r for r in records if isinstance(r, ReviewRecord)]
    events = [r for r in records if isinstance(r, EventRecord)]
    about: list[ReviewRecord | EventRecord] = [*reviews, *events]
    named = {r.sku for r in about if r.sku is not None}
    absent = missing_keys(store, "Product", named) if named else set()
    made = sorted({r.sku for r in events if r.sku in absent} if create_missing else ())
    absent.difference_update(made)
    statements: list[Statement] = []
    if products:
        statements += _products_with_relations(store, products, documents, now)
    if made:
        statements += node_statements([Node("Product", sku, {"title": sku, "active": True}) for sku in made])
    if known := [r for r in reviews if r.sku not in absent]:
        latest = list({r.id: r for r in known}.values())
        statements += review_statements(latest, [documents.of_review(r) for r in latest], pseudonym)
    if counted := [r for r in events if r.sku not in absent]:
        statements += event_statements(counted, pseudonym, repeats)
    if users := [r for r in records if isinstance(r, UserRecord)]:
        statements += user_statements(users, pseudonym)
    statements.append((_PLACE, {"source": source, "bytes": place.bytes, "lines": place.lines, "head": place.head}))
    refused = tuple(r for r in about if r.sku in absent)
    before_commit(refused)
    store.write_all(statements)
    return refused


@dataclass(frozen=True, slots=True)
class Documents:
    """How records become texts."""

    of_product: Callable[[ProductRecord], Document]
    of_review: Callable[[ReviewRecord], Document]


def _products_with_relations(
    store: GraphStore, products: Sequence[ProductRecord], documents: Documents, now: datetime | None
) -> list[Statement]:
    latest = list({r.sku: r for r in products}.values())
    at = int((now or datetime.now(UTC)).timestamp())
    pairs = [r for product in latest for r in related_of(product)]
    absent = missing_keys(store, "Product", {r.end.key for r in pairs} - {p.sku for p in latest}) if pairs else set()
    known = merged_relationships(r for r in pairs if r.end.key not in absent)
    return [
        *product_statements(latest, [documents.of_product(r) for r in latest], at),
        *relationship_statements(known),
    ]
