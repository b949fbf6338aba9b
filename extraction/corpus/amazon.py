"""Records in the format of Amazon's product data (McAuley Lab, 2014): one object a line, ``asin`` for the product.

Reviews: ``reviewerID, asin, reviewText, overall, summary, unixReviewTime``. Products: ``asin, title, description,
price, brand, categories, related``. Other fields are ignored, and ``reviewerName`` is not even kept among rejects:
it is a person's name.
"""

from __future__ import annotations

import hashlib
from typing import Final

from extraction.corpus import fields
from extraction.corpus.fields import BadRecord, Row
from kg.records import EventRecord, ProductRecord, ReviewRecord

REQUIRED: Final = {
    ProductRecord: ("asin",),
    ReviewRecord: ("reviewerID", "asin"),
    EventRecord: ("reviewerID", "asin"),
}
"""Columns without which a table holds no records of that kind."""


def product(row: Row) -> ProductRecord:
    """A product. Without a title it is named by its asin: it still has a shelf, a price and people who bought it."""
    asin = fields.required_key(row, "asin")
    return ProductRecord(
        sku=asin,
        title=fields.title(row, "title") or asin,
        description=fields.text(row, "description"),
        price=fields.price(row, "price"),
        brand=fields.line(row, "brand"),
        categories=fields.paths(row, "categories"),
        related=fields.keys_by_kind(row, "related"),
    )


def rating(row: Row) -> EventRecord:
    """The ``rated`` that each review also is, whether or not it has a text."""
    return EventRecord(
        user=fields.required_key(row, "reviewerID"),
        type="rated",
        sku=fields.required_key(row, "asin"),
        at=fields.moment(row, "unixReviewTime"),
        value=fields.rating(row, "overall"),
    )


def review(row: Row) -> ReviewRecord:
    """A review; one without a text is refused."""
    rated = rating(row)
    text = fields.text(row, "reviewText")
    if not text:
        raise BadRecord("empty text.")
    return ReviewRecord(
        id=_review_id(rated),
        user=rated.user,
        sku=rated.sku or "",
        text=text,
        rating=rated.value,
        title=fields.title(row, "summary"),
        at=rated.at,
        rates=True,
    )


def _review_id(rated: EventRecord) -> str:
    # The format has no id. The time makes a second review of the same thing another one, and the digest keeps
    # the reviewer's id out of the graph, where a pseudonym may have to stand for it.
    at = "" if rated.at is None else rated.at.isoformat()
    digest = hashlib.blake2b(f"{rated.user}\n{rated.sku}\n{at}".encode("utf-8", "surrogatepass"), digest_size=8)
    return f"{rated.sku}:{digest.hexdigest()}"
