"""``kg ingest KIND DIRECTORY --follow``: loads what is appended to the JSON Lines files of a directory, as it comes.

A piece of a file and the place up to which it has been read are committed in one
transaction, so each line is in effect loaded once, wherever the process is cut
off. Of several processes that follow one directory one does it, by a lease; the
others wait, and go on when it dies. What is read next is read when the database
has taken what was read before: a slow database slows the reading down, nothing
is held in memory.

What was read is then served (:mod:`kg.app.refresh`): texts become facts, new
products and the users who did something get their place in the live model. A
process that was killed before it got there has left marks for the next.

A bad record, and one that the database refuses, goes to a file of rejects with
its line and offset (:mod:`kg.app.pieces`). A file that cannot be read is left out
for a while; the others go on. Where log rotation gave a file another name
(``x.jsonl`` became ``x.jsonl.1``), its rest is read from there before its
successor is begun.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from extraction import corpus
from extraction.corpus import Kind, Piece
from kg import statements, streams
from kg.app.held import Held, while_held
from kg.app.pieces import PieceLoader, RejectLog
from kg.app.refresh import Reader, Refresher, reader_for
from kg.app.session import pseudonym_of
from kg.errors import InputError
from kg.records import EventRecord, Place
from kg.scheduler import TTL
from kg.settings import Settings
from kg.store import GraphStore

log = structlog.get_logger()

POLL_S: Final = 0.2
"""How often it looks whether the files have grown."""
UNREADABLE_S: Final = 60.0
"""After how long a file that could not be read is tried again."""
SUFFIXES: Final = (".jsonl", ".ndjson")


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
    reader = reader_for(source.kind, store, settings)
    while_held(
        store,
        source.name,
        lambda held: _Following(settings, source, held, reader).until(stop),
        stop,
        ttl=source.ttl,
        pause_s=source.poll_s,
    )


class _Following:
    """What one holding of the lease knows: how far each file has been read, and what of it has no time."""

    def __init__(self, settings: Settings, source: Source, held: Held, reader: Reader | None) -> None:
        self._held = held
        self._source = source
        self._pseudonym = pseudonym_of(settings)
        self._batch = settings.batch_size
        self._places: dict[Path, Place] = {}
        self._repeats: dict[Path, Counter[int]] = {}
        self._unreadable: dict[Path, float] = {}
        """When files that could not be read are to be tried again, by :func:`time.monotonic`."""
        self._loader = PieceLoader(
            held.store, self._pseudonym, RejectLog(source.rejects), create_missing=source.create_missing
        )
        self._refresher = Refresher(held.store, reader, keep=held.keep)

    def until(self, stop: threading.Event) -> None:
        self._know(self._files())
        self._loader.rejects.keep_only({str(file): place.bytes for file, place in self._places.items()})
        self._refresher.sweep()
        try:
            while not stop.is_set():
                files = self._files()
                self._know([file for file in files if file not in self._places])
                moved = [self._step(file) for file in files if file in self._places and not stop.is_set()]
                self._held.keep()
                if not self._refresher.upkeep(idle=not any(moved)) and not any(moved):
                    stop.wait(self._source.poll_s)
        finally:
            self._refresher.close()

    def _files(self) -> tuple[Path, ...]:
        """Those that are there, but those that are left out for a while."""
        directory = self._source.directory
        try:
            with _reading():
                files = self._source.files() if self._is_readable(directory) else ()
        except _UnreadableError as error:
            self._leave_out(directory, error)
            return ()
        return tuple(file for file in files if self._is_readable(file))

    def _is_readable(self, path: Path) -> bool:
        return self._unreadable.get(path, 0.0) <= time.monotonic()

    def _leave_out(self, path: Path, error: _UnreadableError) -> None:
        self._places.pop(path, None)  # whatever was counted of it is counted anew
        if not isinstance(error.why, FileNotFoundError):  # taken away since it was listed; the next list lacks it
            self._unreadable[path] = time.monotonic() + UNREADABLE_S
            log.warning(
                "a file cannot be read; it is left out and tried again",
                file=str(path),
                error=error.why.strerror or str(error.why),
                after_s=UNREADABLE_S,
            )

    def _know(self, files: Sequence[Path]) -> None:
        """Find out how far files have been read; one that was replaced since begins anew."""
        found = streams.places(self._held.bare, [self._source.source_of(file) for file in files])
        for file in files:
            place = found[self._source.source_of(file)]
            try:
                if not _is_same(file, place):
                    begun = _size(file) > 0  # asked first: whoever writes has let go of the one before only then
                    place = self._finish_renamed(file, place)
                    if not begun:
                        self._places.pop(file, None)
                        continue
                    log.warning("a file was replaced; it is read from its beginning", file=str(file))
                    # In this order: whoever is killed in between finds it replaced again.
                    self._loader.rejects.replaced(str(file), place.bytes)
                    streams.begin_anew(self._held.store, self._source.source_of(file))
                    place = Place()
                self._repeats[file] = self._counted(file, place)
            except _UnreadableError as error:
                self._leave_out(file, error)
                continue
            self._places[file] = place

    def _finish_renamed(self, file: Path, place: Place) -> Place:
        """Load the rest of what had this name and has another now, if it is found; how far that has been read."""
        renamed = _renamed(file, place)
        if renamed is None or _size(renamed) <= place.bytes:
            return place
        self._loader.rejects.keep_only({str(file): place.bytes})
        self._repeats[file] = self._counted(renamed, place)
        self._places[file] = place
        log.info("a file has another name; its rest is read", file=str(file), now=str(renamed))
        while self._load_next(file, renamed):
            pass
        return self._places[file]

    def _counted(self, file: Path, until: Place) -> Counter[int]:
        """Events without a time are told apart by their number: those read before are counted once more."""
        repeats: Counter[int] = Counter()
        if self._source.kind == "events":
            for piece in _pieces(file, self._source.kind, until):
                events = (r for _, r in piece.records if isinstance(r, EventRecord) and r.at is None)
                statements.count_repeats(events, self._pseudonym, repeats)
                self._held.keep()
        return repeats

    def _step(self, file: Path) -> bool:
        """Load the next piece of a file, if there is one and it can be read."""
        try:
            return self._load(file)
        except _UnreadableError as error:
            self._leave_out(file, error)
            return False

    def _load(self, file: Path) -> bool:
        if not _is_same(file, self._places[file]):
            self._know([file])
            if file not in self._places:
                return False
        return self._load_next(file, file)

    def _load_next(self, file: Path, present: Path) -> bool:
        """Load the next piece of a file, which has its ``present`` name by now."""
        place = self._places[file]
        found = self._loader.next(
            self._source.source_of(file),
            str(file),
            place,
            lambda most: _named(_piece(present, self._source.kind, place, most), str(file)),
            most=self._batch,
            repeats=lambda: self._repeats[file],
            recount=lambda: self._repeats.update({file: self._counted(present, place)}),
            keep=self._held.keep,
            behind=lambda end: max(_size(present) - end.bytes, 0),
        )
        if found is None:
            return False
        self._places[file], loaded = found
        self._refresher.after(loaded)
        return True


class _UnreadableError(Exception):
    """A file, or the folder, cannot be read now."""

    def __init__(self, why: OSError) -> None:
        super().__init__(str(why))
        self.why = why


@contextmanager
def _reading() -> Iterator[None]:
    """Tells what happens to the files that are followed from what happens to others."""
    try:
        yield
    except OSError as error:
        raise _UnreadableError(error) from error


def _is_same(file: Path, place: Place) -> bool:
    """Whether what has been read of the file is still its beginning."""
    with _reading():
        return not place.bytes or corpus.is_same_file(file, place)


def _renamed(file: Path, place: Place) -> Path | None:
    """The file beside it that was read under its name up to ``place``, the one that was written to last if several.

    Those that are followed themselves are not among them: they are read whole.
    """
    found = []
    with _reading():
        for other in file.parent.iterdir():
            with suppress(OSError):  # it is none that was read, or is so no longer
                if other.suffix not in SUFFIXES and other.is_file() and corpus.is_same_file(other, place):
                    found.append((other.stat().st_mtime, other))
    return max(found, default=(0.0, None))[1]


def _piece(file: Path, kind: Kind, place: Place, most: int) -> Piece:
    with _reading():
        return corpus.read_piece(file, kind, place, most_lines=most)


def _named(piece: Piece, name: str) -> Piece:
    """The piece of a file that had this name: its rejects stand under that."""
    return replace(piece, rejects=tuple(replace(reject, file=name) for reject in piece.rejects))


def _size(file: Path) -> int:
    """Zero for one that was taken away since it was read: what was read of it is loaded all the same."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _pieces(file: Path, kind: Kind, until: Place) -> Iterator[Piece]:
    """What was read before."""
    place = Place()
    while place.lines < until.lines:
        piece = _piece(file, kind, place, min(until.lines - place.lines, 10_000))
        if piece.end == place:
            return
        yield piece
        place = piece.end
