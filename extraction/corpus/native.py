"""Records in the format of this project: ``docs/data.md`` field by field."""

from __future__ import annotations

from typing import Final

from extraction.corpus import fields
from extraction.corpus.fields import BadRecord, Row
from kg.records import EVENT_TYPES, EventRecord, ProductRecord, ReviewRecord, UserRecord

REQUIRED: Final = {
    ProductRecord: ("sku", "title"),
    ReviewRecord: ("id", "user", "sku", "text"),
    EventRecord: ("user", "type"),
    UserRecord: ("user",),
}
"""Columns without which a table holds no records of that kind."""

_TYPES: Final = {name: name for name in EVENT_TYPES}
_VALUES: Final = {"rated": fields.rating, "bought": fields.quantity}
"""How the value of an event is read that may not be any number."""


def product(row: Row) -> ProductRecord:
    """A product.

    Raises:
        BadRecord: with the reason, as do all functions here.
    """
    title = fields.title(row, "title")
    if not title:
        raise BadRecord("title is missing or empty.")
    active = fields.flag(row, "active")
    return ProductRecord(
        sku=fields.required_key(row, "sku"),
        title=title,
        description=fields.text(row, "description"),
        price=fields.price(row, "price"),
        currency=fields.currency(row, "currency"),
        brand=fields.line(row, "brand"),
        categories=fields.paths(row, "categories"),
        released_at=fields.moment(row, "released_at"),
        active=True if active is None else active,
        stock=fields.integer(row, "stock"),
        consumable=fields.flag(row, "consumable"),
        gtin=fields.key(row, "gtin"),
        variant_of=fields.key(row, "variant_of"),
        related=fields.keys_by_kind(row, "related"),
        vectors=fields.vectors(row, "vectors"),
    )


def review(row: Row) -> ReviewRecord:
    """A review; one without a text is refused, since a bare rating is an event."""
    text = fields.text(row, "text")
    if not text:
        raise BadRecord("empty text.")
    return ReviewRecord(
        id=fields.required_key(row, "id"),
        user=fields.required_key(row, "user"),
        sku=fields.required_key(row, "sku"),
        text=text,
        rating=fields.rating(row, "rating"),
        title=fields.title(row, "title"),
        at=fields.moment(row, "at"),
    )


def event(row: Row) -> EventRecord:
    """An event."""
    given = row.get("type")
    type_ = _TYPES.get(given) if isinstance(given, str) else None
    if type_ is None:
        type_ = _TYPES.get(given.strip().lower()) if isinstance(given, str) else None
        if type_ is None:
            raise BadRecord(f"type is {given!r:.60}; expected one of {', '.join(EVENT_TYPES)}.")
    sku = fields.key(row, "sku")
    query = fields.line(row, "query")
    if type_ == "searched":
        if query is None:
            raise BadRecord("searched without a query.")
    elif sku is None:
        raise BadRecord(f"{type_} without a sku.")
    return EventRecord(
        user=fields.required_key(row, "user"),
        type=type_,
        sku=sku,
        at=fields.moment(row, "at"),
        value=_VALUES.get(type_, fields.number)(row, "value"),
        session=fields.key(row, "session"),
        query=query,
        model=fields.key(row, "model"),
        arm=fields.key(row, "arm"),
    )


def user(row: Row) -> UserRecord:
    """What a user said of themself."""
    return UserRecord(
        user=fields.required_key(row, "user"),
        interests=fields.lines(row, "interests"),
        language=fields.line(row, "language", limit=35),
        friends=fields.keys(row, "friends"),
    )
