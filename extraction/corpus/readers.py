"""The readers: from a file to records, with whatever is wrong handed to ``rejects``.

A bad record never stops a file. What a file says twice is one record; what it
says twice and differently stands as it was said first, and the later one is
rejected: a load must not depend on which line a batch happened to end with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from extraction.corpus import amazon, native, people
from extraction.corpus.fields import BadRecord, Row
from extraction.corpus.sources import SourceRow, rows, suffix
from extraction.corpus.text import drop_controls
from kg.errors import InputError
from kg.graph import Document, DocumentKind
from kg.records import EventRecord, ProductRecord, Record, Reject, ReviewRecord, UserRecord

Format = Literal["native", "amazon"]
Rejects = Callable[[Reject], None]
R = TypeVar("R", bound=Record)

EXCERPT: Final = 200
"""Characters of a bad record that its reject shows."""


def read_products(path: Path, *, format: Format = "native", rejects: Rejects) -> Iterator[ProductRecord]:
    """The products of a file, in its order; each sku once.

    Raises:
        InputError: the file cannot be read (see :func:`extraction.corpus.sources.rows`), when iteration gets there.
    """
    parse = amazon.product if _is_amazon(format) else native.product
    return _unique(_read(path, ProductRecord, parse, format, rejects), "sku", path, rejects)


def read_reviews(path: Path, *, format: Format = "native", rejects: Rejects) -> Iterator[ReviewRecord]:
    """The reviews of a file, in its order; each id once. :func:`read_rated_reviews` gives the ratings with them."""
    parse = amazon.review if _is_amazon(format) else native.review
    return _unique(_read(path, ReviewRecord, parse, format, rejects), "id", path, rejects)


def read_events(path: Path, *, format: Format = "native", rejects: Rejects) -> Iterator[EventRecord]:
    """The events of a file, in its order; of an Amazon file of reviews its ratings."""
    parse = amazon.rating if _is_amazon(format) else native.event
    return (found.record for found in _read(path, EventRecord, parse, format, rejects))


def read_users(path: Path, *, format: Format = "native", rejects: Rejects) -> Iterator[UserRecord]:
    """The users of a file, in its order; each once."""
    if _is_amazon(format):
        raise InputError(f"{path}: Amazon's format has no file of users. Leave --format away.")
    return _unique(_read(path, UserRecord, native.user, format, rejects), "user", path, rejects)


def read_rated_reviews(path: Path, *, rejects: Rejects) -> Iterator[EventRecord | ReviewRecord]:
    """An Amazon file of reviews, read once: before each review the ``rated`` that it also is.

    A review with an empty text is a reject, but its rating counts: someone had the thing and judged it.
    """
    seen: dict[str, int] = {}
    for row, rated in _read(path, EventRecord, amazon.rating, "amazon", rejects):
        try:
            review = amazon.review(row.values or {})
        except BadRecord as bad:
            rejects(reject_of(path, row, str(bad), of_people=True))
            yield rated
            continue
        if _is_new(seen, review.id, review, row, path, rejects):
            yield rated
            yield review


def product_document(record: ProductRecord) -> Document:
    """The text of a product: its title, a blank line, its description.

    A title that is merely the sku (a product whose file gives it no name) is no text and stays out.
    """
    title = "" if record.title == record.sku else record.title
    return _document(f"product:{record.sku}", DocumentKind.PRODUCT, record.sku, title, record.description)


def review_document(record: ReviewRecord) -> Document:
    """The text of a review: its headline, if it has one, a blank line, what was written."""
    return _document(f"review:{record.id}", DocumentKind.REVIEW, record.sku, record.title, record.text)


def _document(id: str, kind: DocumentKind, sku: str, title: str, body: str) -> Document:
    text = f"{title}\n\n{body}" if title and body else title or body
    return Document(id=id, kind=kind, text=text, sku=sku, title_end=len(title))


class _Read(NamedTuple, Generic[R]):
    row: SourceRow
    record: R


def _read(path: Path, kind: type[R], parse: Callable[[Row], R], format: Format, rejects: Rejects) -> Iterator[_Read[R]]:
    required: tuple[str, ...] = (amazon.REQUIRED if format == "amazon" else native.REQUIRED)[kind]
    of_people = kind is not ProductRecord
    is_table = suffix(path) in (".csv", ".tsv", ".parquet")
    for row in rows(path):
        if row.values is None:
            rejects(reject_of(path, row, row.problem, of_people=of_people))
            continue
        if is_table:
            if missing := [name for name in required if name not in row.values]:
                raise InputError(f"{path} has no column {' and no column '.join(missing)}. See docs/data.md.")
            is_table = False  # all rows of a table have the columns of the first
        try:
            record = parse(row.values)
        except BadRecord as bad:
            rejects(reject_of(path, row, str(bad), of_people=of_people))
        else:
            if isinstance(record, EventRecord | ReviewRecord):
                # These name a product that the catalogue may lack; the refusal must say where they stand.
                record = replace(record, line=row.line)
            yield _Read(row, record)


def _unique(reads: Iterator[_Read[R]], key: str, path: Path, rejects: Rejects) -> Iterator[R]:
    seen: dict[str, int] = {}
    for row, record in reads:
        if _is_new(seen, getattr(record, key), record, row, path, rejects):
            yield record


def _is_new(seen: dict[str, int], key: str, record: Record, row: SourceRow, path: Path, rejects: Rejects) -> bool:
    """Whether ``key`` comes up for the first time; rejects the record if it came up with other content."""
    content = _content(record)
    if key not in seen:
        seen[key] = content
        return True
    if seen[key] != content:
        of_people = not isinstance(record, ProductRecord)
        # Who it is stays out of a file that may be passed around.
        what = "This user" if isinstance(record, UserRecord) else repr(key)
        reason = f"{what} stands in this file before, with other content; that is kept."
        rejects(reject_of(path, row, reason, of_people=of_people))
    return False


def _content(record: Record) -> int:
    """64 bits for all that the record says: enough to tell two apart, little enough to keep for millions."""
    if isinstance(record, ProductRecord):
        return hash((record, tuple(sorted(record.related.items())), tuple(sorted(record.vectors.items()))))
    return hash(record)


def _is_amazon(format: str) -> bool:
    if format not in ("native", "amazon"):
        raise InputError(f"Unknown format {format!r}. Known are native and amazon.")
    return format == "amazon"


def reject_of(path: Path | str, row: SourceRow, reason: str, *, of_people: bool) -> Reject:
    """The reject of a row, with what may be shown of it.

    Args:
        of_people: whether rows of this kind say who: then a line that is no JSON object, in which nobody knows where,
            is not shown.
    """
    return Reject(file=str(path), line=row.line, reason=reason, excerpt=_excerpt(row, of_people))


def _excerpt(row: SourceRow, of_people: bool) -> str:
    if row.values is not None and (not row.raw or any(map(people.names_people, row.values))):
        shown = json.dumps(people.without_people(row.values), ensure_ascii=False, default=repr)
    else:
        shown = people.line_without_people(row.raw[: 20 * EXCERPT].decode("utf-8", "replace").strip())
        if of_people and row.values is None and not shown.startswith("{"):
            shown = ""
    return drop_controls(shown[: 2 * EXCERPT])[:EXCERPT]
