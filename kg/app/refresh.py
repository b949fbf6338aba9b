"""What follows from a piece of a stream: its texts are read, its users and products get their place in the live model.

The piece itself stands in the graph by then, with a mark on each document and
user that waits (:mod:`kg.streams`). What is done here is idempotent, and the mark
goes last: if the process is killed anywhere in between, the next one finds the
mark and does it again. Nothing is trained.

A text waits until its facts stand in the graph and its product has a place among
those that can be recommended; a user waits until the vector follows what was done.
Before a model is live there is no place to give: texts are read, and users wait
for the first promotion.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from extraction.corpus import Kind
from extraction.encoder import one_thread
from extraction.mentions import Lexicon, words
from extraction.pipeline import NAME, Extractor
from extraction.workers import return_memory
from kg import provenance, streams
from kg.app import jobs
from kg.errors import LeaseLostError, StoreError
from kg.graph import Document, DocumentKind, Extraction
from kg.settings import Settings
from kg.store import GraphStore
from kg.streams import Loaded
from kg.writer import batched

log = structlog.get_logger()

CHUNK: Final = 64
"""Texts that are read at once: about a second of work, after which a lease can be renewed."""
CHARACTERS: Final = 50_000
"""Of all texts of a chunk together, but a text that is longer alone: some six seconds of work, where reviews take a
tenth of a second for a thousand (docs/benchmark.md). Longer texts are left to upkeep, one at a time, so that the source
goes on in between."""
MOST_PHRASES: Final = 400
"""Names looked for in texts at once: Lucene takes 1,024 clauses, and each is two, in titles and descriptions."""
USERS: Final = 1000
"""Users who are placed before a lease can be renewed."""
SWEEP_S: Final = 10.0
"""How often it is looked for what others left undone; they have as long to do it themselves."""
NAMES_S: Final = 60.0
"""Least time between two looks for names that the catalogue has learnt."""
NAMES_SHARE: Final = 20
"""Looking takes at most one part in as many of the time: a large catalogue is looked at less often."""

_WAITING: Final = """
MATCH (d:Document)
WHERE d.id IN $documents AND d.waiting IS NOT NULL
RETURN d.id AS id, d.kind AS kind, d.text AS text, d.sku AS sku, d.title_end AS title_end, d.waiting AS mark,
       d.sha256 AS sha256, d.extracted AS extracted, d.encoded AS encoded
ORDER BY d.id
"""
_WAITING_SINCE: Final = (
    "MATCH (d:Document)\nWHERE d.waiting < $before\nRETURN d.id AS id, size(d.text) AS characters\n"
    "ORDER BY d.waiting, d.id LIMIT $limit"
)
_LENGTHS: Final = (
    "UNWIND $documents AS id\nMATCH (d:Document {id: id})\nWHERE d.waiting IS NOT NULL\n"
    "RETURN id, size(d.text) AS characters"
)
# Without the lock a reader may see a piece that is being committed in parts: its mark already, its text not yet.
_LOCK_DOCUMENTS: Final = "UNWIND $rows AS row\nMATCH (d:Document {id: row.id})\nSET d.id = row.id"
_SERVED: Final = "UNWIND $rows AS row\nMATCH (d:Document {id: row.id})\nWHERE d.waiting = row.mark\nREMOVE d.waiting"
# A text that names a product is one of those that hold the words of a name one behind the other. The product's own text
# is none: it is being read. What waits will be read anyway.
_HOLDING: Final = """
CALL db.index.fulltext.queryNodes('product_fulltext', $phrases, {limit: $limit}) YIELD node
MATCH (d:Document {sku: node.sku, kind: 'product'})
WHERE NOT d.sku IN $skus AND d.waiting IS NULL
RETURN d.id AS id, d.sku AS sku, d.text AS text
"""
# What then stands in `extracted` is no version, and tells the text from one that nobody has read.
_READ_AGAIN: Final = """
UNWIND $rows AS row
MATCH (d:Document {id: row.id})
WHERE d.extracted STARTS WITH d.sha256
SET d.waiting = coalesce(d.waiting, $mark),
    d.extracted = d.sha256 + ' again'
"""
_TAKERS: Final = (
    "MATCH (p:Product)<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-(u:User)\n"
    "WHERE p.sku IN $skus AND u.waiting IS NOT NULL\nRETURN DISTINCT u.id AS id"
)


class Refresher:
    """Does what waits.

    Args:
        store: where it writes; a fenced one where somebody else may take over.
        reader: reads texts, and outlives the lease that ``store`` is fenced by; None for one who serves users alone,
            and has no text to keep them waiting.
        keep: called between two chunks of work, to renew that lease.
    """

    def __init__(self, store: GraphStore, reader: Reader | None, *, keep: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._reader = reader
        self._keep = keep
        self._run: provenance.ExtractionRun | None = None
        self._version: str | None = None
        self._swept = 0.0
        self._sweeping: Iterator[None] | None = None
        """What a look has found, piece by piece."""
        self._again: dict[str, None] = {}
        """Documents that this process marked to be read again, in that order."""

    def after(self, loaded: Loaded) -> None:
        """Do what a piece that was just loaded asks for, but for long texts: they are left to :meth:`upkeep`."""
        if self._reader and loaded.documents:
            rows = self._store.read(_LENGTHS, documents=loaded.documents)
            short = [row for row in rows if row["characters"] <= CHARACTERS]
            self._texts(list(_chunks(short)))
        self._users(loaded.users)

    def sweep(self, *, older: timedelta = timedelta(0)) -> None:
        """Do what waits, whoever brought it, and if another model is live give it what its training has not seen.

        Args:
            older: leave what came within this time to the process that brought it.
        """
        for _ in self._sweep(older):
            pass

    def upkeep(self, *, idle: bool = False) -> bool:
        """Now and then look for what others left, for another model and for new names, however much comes meanwhile.

        To be called after each piece, and when nothing comes. One call does a chunk of what was found, so that a stream
        that never pauses and what is found take turns.

        Args:
            idle: nothing comes: texts that this process has marked to be read again are, and need not be looked for.
                While more comes they wait, since it may name them again.

        Returns:
            Whether more was found, to be done by the next call.
        """
        if self._reader is not None:
            self._reader.renew(self._store)
        if idle and (marked := self._marked()):
            self._texts([marked])
            return bool(self._again)
        if self._sweeping is None:
            if time.monotonic() - self._swept <= SWEEP_S:
                return False
            self._sweeping = self._sweep(timedelta(seconds=SWEEP_S))
        try:
            next(self._sweeping)
        except StopIteration:
            self._sweeping = None
        except BaseException:
            self._sweeping = None
            raise
        return self._sweeping is not None

    def close(self) -> None:
        """End the record of the texts that were read."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def _sweep(self, older: timedelta) -> Iterator[None]:
        """Do what waits; to be gone on with after each chunk."""
        before = streams.mark(self._store.now() - older)
        yield from self._follow_model()
        while self._reader and (rows := self._store.read(_WAITING_SINCE, before=before, limit=CHUNK)):
            # The rest is found again, after what came meanwhile.
            self._texts([next(_chunks(rows))])
            yield
        if self._is_live():
            from embeddings import foldin

            yield from self._place_users(foldin.waiting_users(self._store, before=before))
        self._swept = time.monotonic()

    def _follow_model(self) -> Iterator[None]:
        """A model that has come to be live was trained on the graph as it was when its training began."""
        rows = self._store.read("MATCH (s:Serving {name: 'model'}) RETURN s.version AS version")
        version = rows[0]["version"] if rows else None
        if version is not None and version != self._version:
            from embeddings import foldin  # torch takes seconds to import

            for skus in batched(foldin.unplaced_products(self._store) if self._reader else (), CHUNK):
                foldin.fold_in_products(self._store, skus)
                self._keep()
                yield
            yield from self._place_users(foldin.users_behind(self._store))
        self._version = version

    def _marked(self) -> list[str]:
        """A chunk of the documents that are to be read again, and still wait."""
        some = list(self._again)[:CHUNK]
        if not some:
            return []
        rows = self._store.read(_LENGTHS, documents=some)
        for gone in {*some} - {row["id"] for row in rows}:
            del self._again[gone]
        return next(_chunks(rows), [])

    def _is_live(self) -> bool:
        return bool(self._store.read("MATCH (s:Serving {name: 'model'}) RETURN s.version"))

    def _texts(self, parts: Sequence[Sequence[str]]) -> None:
        """Serve chunks of documents, if there is a reader. One is read while what the last one said is written."""
        reader = self._reader
        if reader is None or not parts:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as ahead:
            coming = ahead.submit(self._read, parts[0], reader)
            for part in [*parts[1:], None]:
                read = coming.result()
                if part is not None:
                    coming = ahead.submit(self._read, part, reader)
                self._write(read)
                self._keep()

    def _read(self, ids: Sequence[str], reader: Reader) -> _Read:
        """What those that wait say, unless it stands in the graph; likewise the vectors of products' texts."""
        lock = {"rows": [{"id": id} for id in sorted(ids)]}
        rows = self._store.write_all([(_LOCK_DOCUMENTS, lock), (_WAITING, {"documents": ids})])[1]
        extractor = reader.extractor(self._store)
        came = [
            row["sku"]
            for row in rows
            if row["kind"] == DocumentKind.PRODUCT and not (row["extracted"] or "").startswith(row["sha256"])
        ]
        if unknown := {*came, *(row["sku"] for row in rows if not extractor.knows(row["sku"]))}:
            extractor = reader.learn(self._store, sorted(unknown))
        encoding = extractor.encoder.fingerprint
        documents = [Document(r["id"], DocumentKind(r["kind"]), r["text"], r["sku"], r["title_end"]) for r in rows]
        unread, unencoded = [], []
        for row, document in zip(rows, documents, strict=True):
            if row["extracted"] != _done(document, extractor.version):
                unread.append(document)
            if document.kind is DocumentKind.PRODUCT and document.text and row["encoded"] != _done(document, encoding):
                unencoded.append(document)
        # The encoder computes without Python most of the time, and spaCy in it.
        with one_thread(), ThreadPoolExecutor(1, thread_name_prefix="encoder") as beside:
            coming = beside.submit(extractor.encoder.encode, [d.text for d in unencoded])
            extractions = list(extractor.extract_all(unread))
            vectors = coming.result()
        return_memory()
        return _Read(rows, extractor, came, unread, extractions, encoding, unencoded, vectors)

    def _write(self, read: _Read) -> None:
        """Record what was read, give products their place, and take the marks off."""
        if not read.rows:
            return
        # Before anything says that these have been read: whoever does it again marks the same.
        self._read_again(read)
        if read.unread:
            if self._run is None:
                self._run = provenance.ExtractionRun(self._store, extractor=NAME, version=read.extractor.version)
            self._run.record(read.unread, read.extractions)
        if read.unencoded:
            told = [(d.id, d.sku, _done(d, read.encoding)) for d in read.unencoded]
            # A few texts do not throw away what another encoder made of the whole catalogue.
            jobs.shape_texts(self._store, read.vectors.shape[1], anew=False)
            jobs.write_text_vectors(self._store, told, read.vectors)
        self._place([row["sku"] for row in read.rows if row["kind"] == DocumentKind.PRODUCT])
        marks = [{"id": row["id"], "mark": row["mark"]} for row in read.rows]
        self._store.write_all([(_LOCK_DOCUMENTS, {"rows": marks}), (_SERVED, {"rows": marks})])
        for row in marks:
            self._again.pop(row["id"], None)

    def _read_again(self, read: _Read) -> None:
        """Mark texts of products that name those that came with these: when they were read, nobody knew the names.

        As many at most as are read now, so that the work stays in proportion; the next look finds them.
        """
        extractor, came = read.extractor, set(read.came)
        names = sorted({name for sku in read.came for name in extractor.sure_names(sku)})
        found: set[str] = set()
        for part in batched(names, MOST_PHRASES):
            phrases = " OR ".join(f'"{" ".join(w.text for w in words(name))}"' for name in part)
            rows = self._store.read(_HOLDING, phrases=phrases, skus=read.came, limit=4 * CHUNK)
            found |= {row["id"] for row in rows if came & extractor.named_in(row["text"])}
        if found:
            again = sorted(found)[:CHUNK]
            rows = [{"id": id_} for id_ in again]
            self._store.write(_READ_AGAIN, rows=rows, mark=streams.mark(self._store.now()))
            self._again |= dict.fromkeys(again)

    def _place(self, skus: Sequence[str]) -> None:
        if not skus or not self._is_live():
            return
        from embeddings import foldin

        if foldin.fold_in_products(self._store, skus):
            self._users([row["id"] for row in self._store.read(_TAKERS, skus=skus)])

    def _users(self, users: Sequence[str]) -> None:
        if users and self._is_live():
            for _ in self._place_users(users):
                pass

    def _place_users(self, users: Sequence[str]) -> Iterator[None]:
        from embeddings import foldin

        for part in batched(users, USERS):
            foldin.fold_in_users(self._store, part)
            self._keep()
            yield


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """The ids of documents, in their order, as many at a time as are read at once.

    Args:
        rows: each with ``id`` and ``characters``.
    """
    chunk: list[str] = []
    characters = 0
    for row in rows:
        if chunk and (len(chunk) == CHUNK or characters + row["characters"] > CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk.append(row["id"])
        characters += row["characters"]
    if chunk:
        yield chunk


@dataclass(frozen=True, slots=True)
class _Read:
    """A chunk of documents that wait, and what is to be written of them."""

    rows: Sequence[dict[str, Any]]
    extractor: Extractor
    """Which read them."""
    came: Sequence[str]
    """Products of which no text in this wording has been read."""
    unread: Sequence[Document]
    extractions: Sequence[Extraction]
    """One for each that was unread."""
    encoding: str
    """Fingerprint of the encoder."""
    unencoded: Sequence[Document]
    vectors: NDArray[np.float32]
    """Of each that was not encoded."""


class Reader:
    """The extractor, made when it is first asked for, and the names that it knows, which grow with the catalogue.

    Names of products are learnt before the texts with which they came are read. What has to be counted over all titles
    is counted anew now and then, beside the work.
    """

    def __init__(self, settings: Settings) -> None:
        self.stale = False
        """Whether products came that it has not counted, or other processes brought."""
        self._settings = settings
        self._changing = threading.Lock()
        self._learnt: list[Lexicon] = []
        """Since a renewal began, which may not have seen them."""
        self._products = 0
        self._extractor: Extractor | None = None
        self._renewal: threading.Thread | None = None
        self._looked = 0.0
        self._took = 0.0

    def extractor(self, store: GraphStore) -> Extractor:
        """The extractor, with the names that were in the graph when they were last looked for."""
        if self._extractor is None:
            self._extractor = self._build(store)
        return self._extractor

    def learn(self, store: GraphStore, skus: Sequence[str]) -> Extractor:
        """The extractor, which knows these products by their names from now on."""
        came = jobs.lexicon_of(store, skus)
        made = self.extractor(store)
        with self._changing:
            extractor = self._extractor or made
            self.stale = bool(extractor.learn(came)) or self.stale
            if self._renewal is not None and self._renewal.is_alive():
                self._learnt.append(came)
        return extractor

    def renew(self, store: GraphStore) -> None:
        """Count what came since, and learn what others brought, beside the work, and not too often."""
        if self._extractor is None or (self._renewal is not None and self._renewal.is_alive()):
            return
        if time.monotonic() - self._looked > max(NAMES_S, NAMES_SHARE * self._took):
            self._looked = time.monotonic()
            if self.stale or _count(store) != self._products:
                self._learnt.clear()
                self._renewal = threading.Thread(target=self._rebuild, args=(store,), name="names", daemon=True)
                self.stale = False
                self._renewal.start()

    def learn_names(self, store: GraphStore) -> None:
        """Count now what came since, if anything did."""
        if self.stale:
            self.stale = False
            self._rebuild(store)

    def _rebuild(self, store: GraphStore) -> None:
        try:
            extractor = self._build(store)
        except (StoreError, LeaseLostError) as error:
            log.warning("the names of the catalogue could not be read; it is tried again", error=str(error))
            self.stale = True
            return
        with self._changing:
            for came in self._learnt:
                extractor.learn(came)
            self._learnt.clear()
            self._extractor = extractor

    def _build(self, store: GraphStore) -> Extractor:
        began = time.monotonic()
        self._products = _count(store)
        if self._extractor is None:
            extractor = jobs.extractor_spec(store, self._settings).build()
        else:
            # The models stay: loading them takes longer than the names of a shop of thousands.
            extractor = self._extractor.knowing(jobs.lexicon(store))
        self._looked = time.monotonic()
        self._took = self._looked - began
        log.info("names of the catalogue read", seconds=round(self._took, 1))
        return extractor


def _count(store: GraphStore) -> int:
    """How many products there are: the database has the number at hand."""
    return int(store.read("MATCH (p:Product) RETURN count(p) AS n")[0]["n"])


def reader_for(kind: Kind, store: GraphStore, settings: Settings) -> Reader | None:
    """A reader that is ready, where records of this kind have texts."""
    if kind not in ("products", "reviews"):
        return None
    reader = Reader(settings)
    reader.extractor(store)  # takes seconds, which the first text is not to wait for
    return reader


def _done(document: Document, version: str) -> str:
    """What stands on a document that this version has read, or encoded, in its present wording."""
    return f"{document.sha256} {version}"
