"""What a shop's files say, one frozen value a line: products, reviews, events, users.

The readers in :mod:`extraction.corpus` make them, :mod:`kg.statements` says what they become.
They mirror the input format of ``docs/data.md`` field by field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

VECTOR_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
"""What a supplied vector may be called: ``vector_`` before it makes the property of its product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRecord:
    """A product as its file states it: the whole truth of what the file owns."""

    sku: str
    title: str
    description: str = ""
    price: float | None = None
    currency: str | None = None
    brand: str | None = None
    categories: tuple[tuple[str, ...], ...] = ()
    """Paths from the root shelf downwards."""
    released_at: datetime | None = None
    active: bool = True
    stock: int | None = None
    consumable: bool | None = None
    gtin: str | None = None
    variant_of: str | None = None
    related: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Other skus by kind: ``also_bought``, ``bought_together``, ``also_viewed``, ``buy_after_viewing``,
    ``accessory_of``, ``compatible_with``, ``substitute_for``."""
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict, hash=False)
    """Supplied feature vectors by name (:data:`VECTOR_NAME`), an image embedding say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord:
    """A review; ``id`` is unique among reviews."""

    id: str
    user: str
    sku: str
    text: str
    rating: float | None = None
    title: str = ""
    at: datetime | None = None
    rates: bool = False
    """Whether its rating is an event as well, a ``rated`` that stands and goes with the review (Amazon's format)."""
    line: int | None = field(default=None, compare=False, repr=False)
    """Where it stands in its file, for messages; not part of what it says."""

    @property
    def rated(self) -> EventRecord:
        """The event that the review is as well, where it ``rates``."""
        return EventRecord(user=self.user, type="rated", sku=self.sku, at=self.at, value=self.rating)


EVENT_TYPES: Final = (
    "viewed",
    "carted",
    "bought",
    "rated",
    "disliked",
    "returned",
    "hidden",
    "exposed",
    "clicked",
    "searched",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Something that a user did. ``searched`` has ``query`` and needs no ``sku``."""

    user: str
    type: str
    """One of :data:`EVENT_TYPES`."""
    sku: str | None = None
    at: datetime | None = None
    """Without it events keep no order."""
    value: float | None = None
    """The rating, the quantity bought or the seconds viewed."""
    session: str | None = None
    query: str | None = None
    model: str | None = None
    arm: str | None = None
    origin: str | None = field(default=None, compare=False, repr=False)
    """Tells apart events without a time that say the same, where the source knows: a message's offset, a request's key.
    Without it they are told apart by how many of them a file holds."""
    line: int | None = field(default=None, compare=False, repr=False)
    """Where it stands in its file, for messages; not part of what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """What a user said of themself."""

    user: str
    interests: tuple[str, ...] = ()
    language: str | None = None
    friends: tuple[str, ...] = ()


Record = ProductRecord | ReviewRecord | EventRecord | UserRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that was not loaded: where it stands, why, and how it begins."""

    file: str
    line: int
    """1-based line of a text file, or row of a Parquet file."""
    reason: str
    """One sentence."""
    excerpt: str = ""
    """At most the first 200 characters."""
    offset: int | None = None
    """The byte at which it begins, in a file that is followed."""

    def as_dict(self) -> dict[str, Any]:
        """As a row of ``rejects.jsonl``."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file that grows has been read."""

    bytes: int = 0
    lines: int = 0
    head: str = ""
    """Digests of the first bytes of what was read and of the last: by them a file that was replaced is known."""
