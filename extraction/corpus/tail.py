"""A JSON Lines file that grows: the records of whole lines from a place on, and the place where they end.

A line counts once its line end is there; what is being written is left for the
next look. Places are bytes, since a file can be opened there without reading
what stands before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

from extraction.corpus import native
from extraction.corpus.fields import BadRecord, Row
from extraction.corpus.readers import reject_of
from extraction.corpus.sources import MAX_LINE_BYTES, json_row
from kg.records import EventRecord, Place, Record, Reject, ReviewRecord

Kind = Literal["products", "reviews", "events", "users"]

_PARSE: Final[dict[Kind, Callable[[Row], Record]]] = {
    "products": native.product,
    "reviews": native.review,
    "events": native.event,
    "users": native.user,
}
_BOM: Final = b"\xef\xbb\xbf"
_END_BYTES: Final = 4096
"""What is looked at of each end of what was read, each time that it is asked whether the file is still the same."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines, read."""

    records: tuple[tuple[int, Record], ...]
    """Each with the byte at which its line begins."""
    rejects: tuple[Reject, ...]
    end: Place


def read_piece(path: Path, kind: Kind, start: Place, *, most_lines: int, most_bytes: int = 8_388_608) -> Piece:
    """The whole lines after ``start``, as many as are there or allowed; ``end`` is ``start`` when there are none."""
    records: list[tuple[int, Record]] = []
    rejects: list[Reject] = []
    lines, at = start.lines, start.bytes
    with path.open("rb") as stream:
        stream.seek(at)
        while lines - start.lines < most_lines and at - start.bytes < most_bytes:
            raw = stream.readline(MAX_LINE_BYTES + 1)
            size = len(raw)
            while raw and not raw.endswith(b"\n"):  # too long: only its beginning is kept
                rest = stream.readline(MAX_LINE_BYTES)
                if not rest:
                    break
                size += len(rest)
                if rest.endswith(b"\n"):
                    raw += b"\n"
            if not raw.endswith(b"\n"):
                break
            lines += 1
            if found := parse_line(str(path), kind, raw.removeprefix(_BOM) if at == 0 else raw, lines, at):
                if isinstance(found, Reject):
                    rejects.append(found)
                else:
                    records.append((at, found))
            at += size
        # Of the file that was read, though another may have its name by now.
        head = head_of(stream, at) if at > start.bytes else start.head
    return Piece(tuple(records), tuple(rejects), Place(at, lines, head) if at > start.bytes else start)


def head_of(stream: BinaryIO, until: int) -> str:
    """What tells a file by what was read of it: the digest of its first bytes, and where there are more, of the last
    before ``until``, which are others in a new version of the file that begins like the one before.
    """
    stream.seek(0)
    head = hashlib.sha256(stream.read(min(until, _END_BYTES))).hexdigest()
    if until <= _END_BYTES:
        return head
    stream.seek(until - _END_BYTES)
    return f"{head} {hashlib.sha256(stream.read(_END_BYTES)).hexdigest()}"


def is_same_file(path: Path, place: Place) -> bool:
    """Whether the file still begins, and goes on where it was read up to ``place``, as it did then."""
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size < place.bytes:
            return False
        found = head_of(stream, place.bytes)
    # An earlier version of kg noted the first bytes alone.
    return place.head in (found, found.partition(" ")[0])


def parse_line(name: str, kind: Kind, raw: bytes, line: int, offset: int | None = None) -> Record | Reject | None:
    """What a line of JSON says, or why it says nothing; None for an empty one.

    Args:
        name: of its source, for the reject.
        line: its number in the source.
        offset: where it begins there.
    """
    if not raw or raw.isspace():
        return None
    row = json_row(line, raw)
    if row.values is None:
        return replace(reject_of(name, row, row.problem, of_people=kind != "products"), offset=offset)
    try:
        record: Record = _PARSE[kind](row.values)
    except BadRecord as bad:
        return replace(reject_of(name, row, str(bad), of_people=kind != "products"), offset=offset)
    return replace(record, line=line) if isinstance(record, EventRecord | ReviewRecord) else record
