"""Parting a file for evaluation: each user's last review or purchase is held out, the rest stays as it is.

Time decides, and the sku where times are equal, so that anyone who repeats the
split gets the same one. With it goes whatever else the user did with that
product: the look and the cart before a purchase would foretell it. All other
lines are copied byte for byte.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import orjson

from extraction.corpus import fields
from extraction.corpus.fields import BadRecord, Row
from extraction.corpus.readers import Format
from extraction.corpus.sources import MAX_LINE_BYTES, SourceRow, head, rows, suffix
from kg.errors import InputError

TAKEN: Final = frozenset({"bought", "rated"})
"""Types of events by which a user takes a product: what a recommendation is to foretell, and nothing else."""
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HoldoutSummary:
    """What :func:`split_last` did: lines kept, users of whom one was held out, and lines that went with these."""

    remaining: int
    held_out: int
    traces: int = 0


def split_last(
    path: Path,
    *,
    remaining: Path,
    holdout: Path,
    format: Format = "native",
    types: Collection[str] = TAKEN,
    least: int = 1,
) -> HoldoutSummary:
    """Hold out each user's last record of a file of reviews or events: the greatest by (time, sku).

    Other records of the same user and product are in neither of the two files.

    Args:
        path: JSON Lines or CSV, also ``.gz``. A record without a time comes before all others; of records
            with the same time and sku the later line is held out. Lines that cannot be read stay, those too
            long to be read do not.
        remaining: gets all other lines unchanged (compressed if its name ends in ``.gz``).
        holdout: gets ``{"user": …, "sku": …}``, one a line, in the order of ``path``.
        types: of events, only those of these types may be held out. Rows without a type are reviews.
        least: a user with fewer records that may be held out keeps all of them.

    Raises:
        InputError: ``path`` cannot be read, or is Parquet, which has no lines to copy.
    """
    if suffix(path) == ".parquet":
        raise InputError(f"{path} is Parquet, which has no lines to copy. Write it as JSON Lines or CSV first.")
    if path.resolve() in (remaining.resolve(), holdout.resolve()):
        raise InputError(f"{path} would be written over while it is read. Choose other names for the results.")
    pair = _amazon_pair if format == "amazon" else _native_pair
    last = _last_rows(rows(path), pair, types, least)
    gone = {(place.user, place.sku) for place in last.values()}
    kept = traces = 0
    with _written(remaining) as rest, _written(holdout) as held:
        rest.write(head(path))
        for row in rows(path):
            if (found := last.get(row.line)) is not None:
                held.write(orjson.dumps({"user": found.user, "sku": found.sku}) + b"\n")
            elif _pair_of(row, pair) in gone:
                traces += 1
            elif len(row.raw) <= MAX_LINE_BYTES:  # of a longer line only the beginning is at hand
                rest.write(row.raw)
                kept += 1
    return HoldoutSummary(kept, len(last), traces)


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a record stands in its user's order; the greatest is held out."""

    at: datetime
    sku: str
    line: int
    user: str


_Pair = Callable[[Row], tuple[str | None, str | None, datetime | None]]


def _native_pair(row: Row) -> tuple[str | None, str | None, datetime | None]:
    return fields.key(row, "user"), fields.key(row, "sku"), fields.moment(row, "at")


def _amazon_pair(row: Row) -> tuple[str | None, str | None, datetime | None]:
    return fields.key(row, "reviewerID"), fields.key(row, "asin"), fields.moment(row, "unixReviewTime")


def _pair_of(row: SourceRow, pair: _Pair) -> tuple[str | None, str | None]:
    try:
        return pair(row.values)[:2] if row.values is not None else (None, None)
    except BadRecord:
        return None, None


def _last_rows(found: Iterator[SourceRow], pair: _Pair, types: Collection[str], least: int) -> dict[int, _Place]:
    """The last record of each user, by its line."""
    last: dict[str, _Place] = {}
    counts: Counter[str] = Counter()
    for row in found:
        if row.values is None or row.values.get("type") not in (None, "", *types):
            continue
        try:
            user, sku, at = pair(row.values)
        except BadRecord:
            continue
        if user is None or sku is None:
            continue
        place = _Place(at or _BEFORE_ALL, sku, row.line, user)
        counts[user] += 1
        if user not in last or last[user] < place:
            last[user] = place
    return {place.line: place for user, place in last.items() if counts[user] >= least}


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            if path.name.lower().endswith(".gz"):
                # No name and no time in the header: the same split gives the same bytes.
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield file
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}).") from error
    finally:
        part.unlink(missing_ok=True)
