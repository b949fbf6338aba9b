"""A piece of a source that is followed, loaded: all of it but what the database refuses, which is rejected alone.

Shared by the sources that have places (files, topics); :mod:`kg.streams` commits
a piece and its place together. Rejects go to a file, which is put right when
following begins: what had been rejected of a piece that was not committed is
rejected again.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from extraction import corpus
from extraction.corpus import Piece
from kg import streams
from kg.errors import DiskError, SchemaError, StatementError
from kg.privacy import Pseudonym
from kg.records import EventRecord, Place, Reject, ReviewRecord
from kg.store import GraphStore
from kg.streams import Loaded

DOCUMENTS: Final = streams.Documents(corpus.product_document, corpus.review_document)


@dataclass(frozen=True, slots=True)
class PieceLoader:
    """Loads pieces of one source after the other."""

    store: GraphStore
    pseudonym: Pseudonym
    rejects: RejectLog
    create_missing: bool = False

    def next(
        self,
        source: str,
        name: str,
        place: Place,
        read: Callable[[int], Piece],
        *,
        most: int,
        repeats: Callable[[], Counter[int]],
        recount: Callable[[], None] = lambda: None,
        keep: Callable[[], None] = lambda: None,
        behind: Callable[[Place], int] = lambda _: 0,
    ) -> tuple[Place, Loaded] | None:
        """Load the next piece and say where it ends; None when there is none.

        After a refusal the piece is halved until the record that is refused stands alone.

        Args:
            source: under which the graph knows how far it has been read.
            name: of the source, in rejects.
            place: how far that is.
            read: the piece after that place, of at most so many lines.
            most: lines of a piece.
            repeats: counts events without a time.
            recount: called when they have to be counted anew.
            keep: called before anything is written, to renew a lease.
            behind: how much the source has beyond a place, in its own measure.
        """
        while True:
            piece = read(most)
            if piece.end == place:
                return None
            keep()
            try:
                return piece.end, self._load(source, name, place, piece, repeats(), behind)
            except (StatementError, SchemaError) as error:
                self.rejects.keep_only({name: place.bytes})
                recount()
                lines = piece.end.lines - place.lines
                if lines == 1:
                    ((offset, _),) = piece.records
                    refused = Reject(file=name, line=piece.end.lines, reason=str(error), offset=offset)
                    alone = Piece((), (refused,), piece.end)
                    return piece.end, self._load(source, name, place, alone, repeats(), behind)
                most = max(lines // 2, 1)

    def _load(
        self,
        source: str,
        name: str,
        place: Place,
        piece: Piece,
        repeats: Counter[int],
        behind: Callable[[Place], int],
    ) -> Loaded:
        offsets = {id(record): offset for offset, record in piece.records}
        self.rejects.write(piece.rejects)
        return streams.load_piece(
            self.store,
            source,
            piece.end,
            [record for _, record in piece.records],
            documents=DOCUMENTS,
            pseudonym=self.pseudonym,
            repeats=repeats,
            create_missing=self.create_missing,
            before_commit=lambda refused: self.rejects.write(
                [unknown_product(name, record, offsets[id(record)]) for record in refused]
            ),
            first=place.lines == 0,
            rejected=len(piece.rejects),
            behind=behind(piece.end),
        )


def unknown_product(name: str, record: ReviewRecord | EventRecord, offset: int | None = None) -> Reject:
    """The reject of a record whose product the catalogue lacks."""
    # The user's name for themself stays out of a file that may be passed around.
    return Reject(
        file=name,
        line=record.line or 0,
        reason=f"The catalogue has no product {record.sku!r}.",
        excerpt=f"sku={record.sku} at={record.at}",
        offset=offset,
    )


class RejectLog:
    """Rejects of sources that are followed, a JSON object a line, appended.

    Followers of several sources may share the file; a lock beside it keeps what one appends from being lost where
    another puts the file right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(path.name + ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)

    def keep_only(self, read: dict[str, int]) -> None:
        """Take out what was rejected of a piece that was not committed, and a last line that was cut off.

        Args:
            read: for each file, how far it has been read; rejects of other files stay.

        Raises:
            DiskError: the disk does not take them.
        """

        def kept(reject: dict[str, Any]) -> dict[str, Any] | None:
            offset = reject.get("offset")
            stays = offset is None or "replaced" in reject or offset < read.get(reject["file"], 1 << 62)
            return reject if stays else None

        self._put_right(kept)

    def replaced(self, name: str, read: int) -> None:
        """Another file has this name by now: what was rejected of the one before, read so far, stays for good.

        Raises:
            DiskError: the disk does not take them.
        """

        def kept(reject: dict[str, Any]) -> dict[str, Any] | None:
            if reject["file"] != name or reject.get("offset") is None or "replaced" in reject:
                return reject
            return {**reject, "replaced": True} if reject["offset"] < read else None

        self._put_right(kept)

    def _put_right(self, kept: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Write the file anew, each reject as it is to stay, without those that are not to."""
        if not self._path.exists():
            return
        part = self._path.with_name(self._path.name + ".part")
        with self._room(), self._locked():
            lines = []
            for line in self._path.read_bytes().splitlines():
                try:
                    reject = kept(orjson.loads(line))
                except orjson.JSONDecodeError:
                    continue
                if reject is not None:
                    lines.append(orjson.dumps(reject, option=orjson.OPT_APPEND_NEWLINE))
            with open(part, "wb", opener=_private) as file:
                file.write(b"".join(lines))
            part.replace(self._path)

    def write(self, rejects: Sequence[Reject]) -> None:
        """Append, and see to it that it is on the disk before the piece is committed.

        Raises:
            DiskError: the disk does not take them all; none of them is in the file.
        """
        if not rejects:
            return
        lines = b"".join(orjson.dumps(r.as_dict(), option=orjson.OPT_APPEND_NEWLINE) for r in rejects)
        # Without a buffer, of which Python would try to write the rest when the file is closed, after it was cut.
        with self._room(), self._locked(), open(self._path, "ab", buffering=0, opener=_private) as file:
            before = file.tell()
            try:
                while lines:
                    lines = lines[file.write(lines) :]
                os.fsync(file.fileno())
            except OSError:
                # What fitted ends in the middle of a line, onto which the next reject would be written.
                file.truncate(before)
                raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The file itself is replaced: a lock of it might be one of what was there before.
        with open(self._lock, "ab", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskError(
                f"Rejects could not be written to {self._path}: {error.strerror or error}. Make room on that disk; "
                "what was read with them is not loaded before they are written."
            ) from error


def _private(path: str, flags: int) -> int:
    """Opens for :func:`open`; a file that is made can be read by its owner alone, since records are of customers."""
    return os.open(path, flags, 0o600)
