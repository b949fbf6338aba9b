"""``kg ingest KIND DIRECTORY --follow``: loads what is appended to the JSON Lines files of a directory, as it comes.

A piece of a file and the place up to which it has been read are committed in one
transaction, so each line is in effect loaded once, wherever the process is cut
off. Of several processes that follow one directory one does it, by a lease; the
others wait, and go on when it dies. What is read next is read when the database
has taken what was read before: a slow database slows the reading down, nothing
is held in memory.

A bad record, and one that the database refuses, goes to a file of rejects with
its line and offset. Such a file is put right when following begins: what had been
rejected of a piece that was not committed is rejected again.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
import structlog

from extraction import corpus
from extraction.corpus import Kind, Piece
from kg import intake, leases, streams
from kg.app.session import pseudonym_of
from kg.errors import InputError, LeaseLostError, SchemaError, StatementError, StoreError
from kg.leases import Lease
from kg.records import EventRecord, Place, Reject, ReviewRecord
from kg.scheduler import TTL
from kg.settings import Settings
from kg.store import GraphStore

log = structlog.get_logger()

POLL_S: Final = 0.5
"""How often it looks whether the files have grown."""
SUFFIXES: Final = (".jsonl", ".ndjson")
_DOCUMENTS: Final = streams.Documents(corpus.product_document, corpus.review_document)


@dataclass(frozen=True, slots=True)
class Source:
    """What is followed, and how."""

    kind: Kind
    directory: Path
    rejects: Path
    create_missing: bool = False
    poll_s: float = POLL_S
    ttl: timedelta = TTL

    @property
    def name(self) -> str:
        """Of its lease."""
        return f"ingest {self.kind} {self.directory.resolve()}"

    def files(self) -> tuple[Path, ...]:
        """Those that are there now."""
        return tuple(sorted(p for p in self.directory.iterdir() if p.suffix in SUFFIXES and p.is_file()))

    def source_of(self, file: Path) -> str:
        """The name under which the graph knows how far it has been read."""
        return f"{self.kind} {file.resolve()}"


def follow(store: GraphStore, settings: Settings, source: Source, stop: threading.Event) -> None:
    """Follow until ``stop`` is set, through restarts of the database and losses of the lease.

    Raises:
        InputError: there is no such directory.
    """
    if not source.directory.is_dir():
        raise InputError(f"{source.directory} is no folder. Name the one whose files are to be followed.")
    leases.create(store, (source.name,))
    waiting = False
    while not stop.is_set():
        try:
            leases.expire(store, source.name)
            lease = leases.take(store, source.name, uuid.uuid4().hex, source.ttl)
            if lease is None:
                if not waiting:
                    log.info("another process follows; this one waits", source=source.name)
                waiting = True
                stop.wait(source.ttl.total_seconds() / 5)
                continue
            waiting = False
            log.info("following", source=source.name, token=lease.token)
            try:
                _Following(store, settings, source, lease).until(stop)
            finally:
                leases.release(store, lease)
        except LeaseLostError as error:
            log.warning("the lease of a source was lost", source=source.name, error=str(error))
        except StoreError as error:
            log.warning("the database does not take what was read; it is tried again", error=str(error))
            stop.wait(source.poll_s)


class _Following:
    """What one holding of the lease knows: how far each file has been read, and what of it has no time."""

    def __init__(self, store: GraphStore, settings: Settings, source: Source, lease: Lease) -> None:
        self._bare = store
        self._store = leases.fenced(store, lease)
        self._source = source
        self._lease = lease
        self._renewed = time.monotonic()
        self._pseudonym = pseudonym_of(settings)
        self._batch = settings.batch_size
        self._places: dict[Path, Place] = {}
        self._repeats: dict[Path, Counter[int]] = {}

    def until(self, stop: threading.Event) -> None:
        rejects = _RejectLog(self._source.rejects)
        self._know(self._source.files())
        rejects.keep_only({str(file): place.bytes for file, place in self._places.items()})
        while not stop.is_set():
            try:
                files = self._source.files()
                self._know([file for file in files if file not in self._places])
                moved = [self._step(file, rejects) for file in files if file in self._places and not stop.is_set()]
            except FileNotFoundError:  # taken away since it was listed; the next list lacks it
                moved = []
            if not any(moved):
                self._keep()
                stop.wait(self._source.poll_s)

    def _know(self, files: Sequence[Path]) -> None:
        """Find out how far files have been read; one that was replaced since begins anew."""
        found = streams.places(self._bare, [self._source.source_of(file) for file in files])
        for file in files:
            place = found[self._source.source_of(file)]
            try:
                if place.bytes and not corpus.is_same_file(file, place):
                    log.warning("a file was replaced; it is read from its beginning", file=str(file))
                    place = Place()
                self._repeats[file] = self._counted(file, place)
            except FileNotFoundError:  # taken away since it was listed
                continue
            self._places[file] = place

    def _counted(self, file: Path, until: Place) -> Counter[int]:
        """Events without a time are told apart by their number: those read before are counted once more."""
        repeats: Counter[int] = Counter()
        if self._source.kind == "events":
            for piece in _pieces(file, self._source.kind, until):
                events = (r for _, r in piece.records if isinstance(r, EventRecord) and r.at is None)
                intake.count_repeats(events, self._pseudonym, repeats)
                self._keep()
        return repeats

    def _step(self, file: Path, rejects: _RejectLog) -> bool:
        """Load the next piece of a file, if there is one."""
        place = self._places[file]
        if place.bytes and not corpus.is_same_file(file, place):
            self._know([file])
            place = self._places[file]
        # After a refusal the piece is halved until the record that is refused stands alone.
        lines = self._batch
        while True:
            piece = corpus.read_piece(file, self._source.kind, place, most_lines=lines)
            if piece.end == place:
                return False
            self._keep()
            try:
                self._load(file, piece, rejects)
            except (StatementError, SchemaError) as error:
                rejects.keep_only({str(file): place.bytes})
                self._repeats[file] = self._counted(file, place)
                read = piece.end.lines - place.lines
                if read == 1:
                    self._give_up(file, piece, rejects, str(error))
                    return True
                lines = max(read // 2, 1)
                continue
            return True

    def _load(self, file: Path, piece: Piece, rejects: _RejectLog) -> None:
        offsets = {id(record): offset for offset, record in piece.records}
        streams.load_piece(
            self._store,
            self._source.source_of(file),
            piece.end,
            [record for _, record in piece.records],
            documents=_DOCUMENTS,
            pseudonym=self._pseudonym,
            repeats=self._repeats[file],
            create_missing=self._source.create_missing,
            before_commit=lambda refused: rejects.write(
                [*piece.rejects, *(_unknown_product(file, record, offsets[id(record)]) for record in refused)]
            ),
        )
        self._places[file] = piece.end

    def _give_up(self, file: Path, piece: Piece, rejects: _RejectLog, reason: str) -> None:
        ((offset, _),) = piece.records
        rejects.write([Reject(file=str(file), line=piece.end.lines, reason=reason, offset=offset)])
        self._load(file, Piece((), (), piece.end), rejects)

    def _keep(self) -> None:
        """Renew the lease when a third of its time has gone."""
        if time.monotonic() - self._renewed > self._source.ttl.total_seconds() / 3:
            if not leases.renew(self._bare, self._lease, self._source.ttl):
                raise LeaseLostError(f"The lease {self._lease.name!r} passed to another; it goes on there.")
            self._renewed = time.monotonic()


def _pieces(file: Path, kind: Kind, until: Place) -> Iterator[Piece]:
    """What was read before."""
    place = Place()
    while place.lines < until.lines:
        piece = corpus.read_piece(file, kind, place, most_lines=min(until.lines - place.lines, 10_000))
        if piece.end == place:
            return
        yield piece
        place = piece.end


def _unknown_product(file: Path, record: ReviewRecord | EventRecord, offset: int) -> Reject:
    # The user's name for themself stays out of a file that may be passed around.
    return Reject(
        file=str(file),
        line=record.line or 0,
        reason=f"The catalogue has no product {record.sku!r}.",
        excerpt=f"sku={record.sku} at={record.at}",
        offset=offset,
    )


class _RejectLog:
    """Rejects of files that are followed, a JSON object a line, appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def keep_only(self, read: dict[str, int]) -> None:
        """Take out what was rejected of a piece that was not committed, and a last line that was cut off.

        Args:
            read: for each file, how far it has been read; rejects of other files stay.
        """
        if not self._path.exists():
            return
        kept = []
        for line in self._path.read_bytes().splitlines(keepends=True):
            try:
                reject = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if reject["offset"] < read.get(reject["file"], 1 << 62):
                kept.append(line)
        part = self._path.with_suffix(".part")
        part.write_bytes(b"".join(kept))
        part.replace(self._path)

    def write(self, rejects: Sequence[Reject]) -> None:
        """Append, and see to it that it is on the disk before the piece is committed."""
        if rejects:
            with self._path.open("ab") as file:
                file.write(b"".join(orjson.dumps(r.as_dict(), option=orjson.OPT_APPEND_NEWLINE) for r in rejects))
                file.flush()
                os.fsync(file.fileno())
