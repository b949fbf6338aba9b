"""The main job's steps, composed from the packages: ingest and extract here, the model's in :mod:`kg.app.models`.

The command line, the scheduler, the demo and the benchmarks all call these;
none of them knows more than this module of how the packages fit together.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from extraction import corpus
from extraction.encoder import Encoder
from extraction.mentions import KnownValue, Lexicon, ProductEntry
from extraction.pipeline import NAME
from extraction.workers import ExtractorSpec, Workers
from kg import intake, provenance, runs, schema, streams, vocabulary, writer
from kg.app import alerts, models
from kg.app.session import Advance, RejectFile, progress_bar, pseudonym_of, stage_bar
from kg.errors import ExtractionError, PromotionRefusedError
from kg.graph import Document, Extraction
from kg.intake import IntakeSummary
from kg.migrations import index_width, shape_vector_index
from kg.popularity import count_popularity
from kg.privacy import Pseudonym
from kg.records import EventRecord, ProductRecord, Reject, ReviewRecord
from kg.settings import Settings
from kg.store import GraphStore
from kg.timetable import Job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from extraction.training import Heads

KINDS = ("products", "reviews", "events", "users")
"""What ``kg ingest`` reads."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What ``kg ingest`` did with its files."""

    kind: str
    files: int
    loaded: int
    rejected: int
    rejects: str
    """File of the rejects."""
    reasons: dict[str, int] = field(default_factory=dict)
    unchanged_events: int = 0
    unknown_targets: int = 0
    unknown_kinds: int = 0
    deactivated: int = 0
    sync_left_out: bool = False
    """Whether ``--sync`` made nothing inactive, because the files were not loaded whole."""
    users_placed: int = 0
    """Users whose vector of the live model follows what they did."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def ingest(
    store: GraphStore,
    settings: Settings,
    kind: str,
    files: Sequence[Path],
    *,
    format: corpus.Format = "native",
    rejects: Path | None = None,
    max_rejects: int | None = None,
    sync: bool = False,
    create_missing: bool = False,
    related: bool = True,
) -> IngestReport:
    """Load ``files`` of one ``kind``; bad records go to the rejects file, the rest are in the graph at the end.

    Raises:
        InputError: a file cannot be read, or there are more than ``max_rejects`` bad records.
    """
    path = rejects or settings.home / "rejects.jsonl"
    placed = 0
    with RejectFile(path, limit=max_rejects) as refused, progress_bar(f"Loading {kind}", unit=kind) as advance:
        loader = _Loader(store, settings, refused, advance, format, create_missing)
        summary = IntakeSummary()
        if kind == "products":
            # --sync compares with all files together, so they are one load.
            summary = loader.products(files, sync=sync, related=related)
        else:
            load = {"reviews": loader.reviews, "events": loader.events, "users": loader.users}[kind]
            for file in files:
                summary += load(file)
            if kind in ("reviews", "events"):
                placed = _follow(store, loader.seen)
    return IngestReport(
        kind=kind,
        files=len(files),
        loaded=summary.loaded,
        rejected=refused.count,
        rejects=str(path),
        reasons=dict(sorted(refused.reasons.items(), key=lambda item: -item[1])),
        unchanged_events=summary.unchanged_events,
        unknown_targets=summary.unknown_targets,
        unknown_kinds=summary.unknown_kinds,
        deactivated=summary.deactivated,
        sync_left_out=summary.sync_left_out,
        users_placed=placed,
    )


def _is_live(store: GraphStore) -> bool:
    return bool(store.read("MATCH (s:Serving {name: 'model'}) RETURN s.version"))


def _follow(store: GraphStore, users: set[str]) -> int:
    """What is served follows what users did: their vectors; before the first model, what is popular."""
    if not _is_live(store):
        count_popularity(store)
        return 0
    from embeddings import foldin  # torch takes seconds to import

    return foldin.fold_in_users(store, foldin.unplaced_users(store, sorted(users)))


@dataclass(frozen=True, slots=True)
class _Loader:
    store: GraphStore
    settings: Settings
    refused: RejectFile
    advance: Advance
    format: corpus.Format
    create_missing: bool
    seen: set[str] = field(default_factory=set)
    """Users of the events and reviews, as the graph knows them."""

    def products(self, files: Sequence[Path], *, sync: bool, related: bool) -> IntakeSummary:
        def records() -> Iterator[ProductRecord]:
            for file in files:
                for record in corpus.read_products(file, format=self.format, rejects=self.refused):
                    yield record if related else replace(record, related={})

        return intake.load_products(
            self.store,
            records(),
            document_of=corpus.product_document,
            sync=sync,
            is_whole=lambda: self.refused.count == 0,
            batch_size=self.settings.batch_size,
            progress=self.advance,
        )

    def reviews(self, file: Path) -> IntakeSummary:
        if self.format != "amazon":
            return self._reviews(file, corpus.read_reviews(file, rejects=self.refused))
        # An Amazon review is also a rating. The file is read twice, so that neither pass holds it in memory.
        summary = self._reviews(file, corpus.read_reviews(file, format="amazon", rejects=self.refused))
        silent: Callable[[Reject], None] = lambda _: None  # noqa: E731  the first pass has reported them
        ratings = (
            record for record in corpus.read_rated_reviews(file, rejects=silent) if isinstance(record, EventRecord)
        )
        self._events(ratings, refuse=lambda *_: None)
        return summary

    def events(self, file: Path) -> IntakeSummary:
        records = corpus.read_events(file, format=self.format, rejects=self.refused)
        return self._events(records, refuse=self._refuse(file))

    def users(self, file: Path) -> IntakeSummary:
        return intake.load_users(
            self.store,
            corpus.read_users(file, rejects=self.refused),
            pseudonym=pseudonym_of(self.settings),
            batch_size=self.settings.batch_size,
            progress=self.advance,
        )

    def _reviews(self, file: Path, records: Iterable[ReviewRecord]) -> IntakeSummary:
        return intake.load_reviews(
            self.store,
            records,
            document_of=corpus.review_document,
            refuse=self._refuse(file),
            pseudonym=self._noting(),
            batch_size=self.settings.batch_size,
            progress=self.advance,
        )

    def _events(self, records: Iterable[EventRecord], *, refuse: intake.Refuse) -> IntakeSummary:
        return intake.load_events(
            self.store,
            records,
            refuse=refuse,
            pseudonym=self._noting(),
            create_missing=self.create_missing,
            mark=lambda: streams.mark(self.store.now()),
            batch_size=5 * self.settings.batch_size,
            progress=self.advance,
        )

    def _noting(self) -> Pseudonym:
        pseudonym = pseudonym_of(self.settings)

        def noted(user: str) -> str:
            name = pseudonym(user)
            self.seen.add(name)
            return name

        return noted

    def _refuse(self, file: Path) -> intake.Refuse:
        def refuse(record: ReviewRecord | EventRecord, reason: str) -> None:
            # The user's name for themself stays out of a file that may be passed around.
            excerpt = f"sku={record.sku} at={record.at}"
            self.refused(Reject(file=str(file), line=record.line or 0, reason=reason, excerpt=excerpt))

        return refuse


@dataclass(frozen=True, slots=True)
class ExtractReport:
    """What ``kg extract`` did."""

    version: str
    documents: int
    facts: int
    rejected: int
    vectors: int
    """Products whose text was encoded."""
    placed: int = 0
    """New products that the live model can recommend now."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def extract(
    store: GraphStore, settings: Settings, *, everything: bool = False, now: Callable[[], datetime] | None = None
) -> ExtractReport:
    """Read every text that this extractor version has not read, and encode the products among them.

    With ``everything`` the texts already read are read again: names that joined the catalogue since may stand in them.
    """

    clock = now or (lambda: datetime.now(UTC))
    spec = extractor_spec(store, settings)
    version = spec.version
    if everything:
        store.autocommit("MATCH (d:Document) CALL (d) { REMOVE d.extracted } IN TRANSACTIONS OF 5000 ROWS")
    waiting = provenance.count_pending(store, version)
    run = provenance.ExtractionRun(store, extractor=NAME, version=version, now=clock())
    # A clock that was handed in cannot travel to another process.
    count = _workers(settings, waiting) if now is None else 1
    with Workers(spec, count, clock=clock) as workers:
        with progress_bar("Extracting", unit="texts", total=waiting) as advance, writer.Pipeline() as pipeline:
            for documents, extractions in workers.extract(provenance.pending(store, version, page=PAGE)):
                pipeline.put(partial(_record, run, documents, extractions, advance))
        vectors = encode_products(store, workers, encoder_of(settings).fingerprint)
    run.close(now=clock())
    placed = 0
    if _is_live(store):
        from embeddings import foldin  # torch takes seconds to import

        placed = foldin.fold_in_products(store, foldin.unplaced_products(store))
        foldin.fold_in_users(store, foldin.waiting_users(store))
    return ExtractReport(version, run.documents, run.facts, run.rejected, vectors, placed)


def extractor_spec(store: GraphStore, settings: Settings) -> ExtractorSpec:
    """What the extractor of this graph and home is made from, the catalogue's names as they are now."""
    return ExtractorSpec(
        vocabulary.load(settings.vocabulary),
        lexicon(store),
        settings.encoder,
        settings.device,
        heads_folder(settings),
        shipped_folder(settings),
        exact_in(settings),
    )


PAGE: Final = 256
"""Texts in one batch: one transaction, and what a worker is given at a time."""
FEW_TEXTS: Final = 200
"""Below this, starting processes takes longer than they save."""
MOST_WORKERS: Final = 4
"""Processes unless KG_WORKERS asks for more: each takes about half a gigabyte."""


def _workers(settings: Settings, waiting: int) -> int:
    """How many processes read ``waiting`` texts."""
    if settings.workers is not None:
        return settings.workers
    return 1 if waiting < FEW_TEXTS else min(MOST_WORKERS, os.cpu_count() or 1)


def _record(
    run: provenance.ExtractionRun,
    documents: Sequence[Document],
    extractions: Sequence[Extraction],
    advance: Advance,
) -> None:
    run.record(documents, extractions)
    advance(len(documents))


def encode_products(store: GraphStore, workers: Workers, fingerprint: str) -> int:
    """Give each product whose text is new the encoder's vector of it: ``Product.text_embedding``.

    Where another encoder is set than the last time, every text is new; where its vectors are of another width, those of
    the last one go first and the index is made anew.
    """
    pages: deque[list[dict[str, Any]]] = deque()

    def texts() -> Iterator[list[str]]:
        after = ""
        while rows := store.read(_UNENCODED, after=after, encoder=fingerprint, limit=PAGE):
            pages.append(rows)
            after = rows[-1]["id"]
            yield [row["text"] for row in rows]

    total = 0
    for _, vectors in workers.encode(texts()):
        rows = pages.popleft()
        if not total:
            shape_texts(store, vectors.shape[1], anew=True)
        total += write_text_vectors(store, [(row["id"], row["sku"], row["mark"]) for row in rows], vectors)
    return total


def shape_texts(store: GraphStore, width: int, *, anew: bool) -> None:
    """See that the index of text vectors has the width of the encoder that is set: it leaves out any other, silently.

    Args:
        anew: take vectors of another width away. A query that looks near one would fail at the index. Their texts are
            then to be encoded again, by whichever encoder: so that a kill in between, and a return to the old encoder,
            leaves no product without.

    Raises:
        ExtractionError: the vectors in the graph are of another width, and are not to be taken away.
    """
    if index_width(store, schema.text_index().name) == width:
        return
    if not anew and store.read("MATCH (p:Product)\nWHERE p.text_embedding IS NOT NULL\nRETURN p.sku LIMIT 1"):
        check_text_width(store, width)
    store.autocommit(
        "MATCH (p:Product)\nWHERE size(p.text_embedding) <> $width\n"
        "CALL (p) {\n"
        "  REMOVE p.text_embedding\n"
        "  WITH p\n"
        "  MATCH (p)-[:HAS_TEXT]->(d:Document)\n"
        "  REMOVE d.encoded\n"
        "} IN TRANSACTIONS OF 1000 ROWS",
        width=width,
    )
    shape_vector_index(store, schema.text_index(width))


def check_text_width(store: GraphStore, width: int) -> None:
    """Refuse vectors of which the index of text vectors takes none.

    Raises:
        ExtractionError: it is of another width than ``width``.
    """
    stands = index_width(store, schema.text_index().name)
    if stands is not None and stands != width:
        raise ExtractionError(
            f"The encoder that is set makes vectors of {width} numbers, and the products' texts stand in the graph "
            f"with vectors of {stands}. Encode them anew: kg extract; or set KG_ENCODER to the encoder that made them."
        )


def write_text_vectors(store: GraphStore, texts: Sequence[tuple[str, str, str]], vectors: NDArray[np.float32]) -> int:
    """Write the encoder's vectors, ``[texts, dimensions]``, of texts: document, sku, and what says that it is done."""
    written = writer.set_vectors(
        store, "Product", "text_embedding", zip((sku for _, sku, _ in texts), vectors, strict=True)
    )
    marks = [{"id": id, "mark": mark} for id, _, mark in texts]
    store.write("UNWIND $rows AS row\nMATCH (d:Document {id: row.id})\nSET d.encoded = row.mark", rows=marks)
    return written


_UNENCODED = """
MATCH (d:Document {kind: 'product'})
WHERE d.id > $after AND d.text <> '' AND (d.encoded IS NULL OR d.encoded <> d.sha256 + ' ' + $encoder)
RETURN d.id AS id, d.sku AS sku, d.text AS text, d.sha256 + ' ' + $encoder AS mark
ORDER BY d.id
LIMIT $limit
"""


def lexicon(store: GraphStore) -> Lexicon:
    """The names that the catalogue itself knows.

    What was merely extracted is left out: an error would become a name to look for, and breed.
    """
    brands = store.read(
        "MATCH (b:Brand)\nWHERE EXISTS { (:Product)-[r:MADE_BY]->(b) WHERE r.source <> $extraction }\n"
        "RETURN b.key AS key, b.name AS name ORDER BY key",
        extraction=schema.EXTRACTION,
    )
    categories = store.read("MATCH (c:Category) RETURN c.path AS path ORDER BY path")
    products = store.read(_ENTRIES.format(where=""), extraction=schema.EXTRACTION)
    values = store.read(
        "MATCH (v:AttributeValue)\nWHERE EXISTS { ()-[r:HAS_ATTRIBUTE]->(v) WHERE r.source <> $extraction }\n"
        "RETURN v.attribute AS attribute, v.value AS value ORDER BY v.key",
        extraction=schema.EXTRACTION,
    )
    return Lexicon(
        brands={row["key"]: row["name"] for row in brands},
        categories=tuple(row["path"] for row in categories),
        products={row["sku"]: _entry(row) for row in products},
        attribute_values=tuple(KnownValue(row["attribute"], row["value"]) for row in values),
    )


def lexicon_of(store: GraphStore, skus: Sequence[str]) -> Lexicon:
    """The part of it that these products bring: their titles, brands and shelves."""
    rows = store.read(_ENTRIES.format(where="WHERE p.sku IN $skus\n"), skus=skus, extraction=schema.EXTRACTION)
    return Lexicon(
        brands={row["brand"]: row["brand_name"] for row in rows if row["brand"] is not None},
        categories=tuple(dict.fromkeys(path for row in rows for path in row["categories"])),
        products={row["sku"]: _entry(row) for row in rows},
    )


_ENTRIES: Final = """
MATCH (p:Product)
{where}WITH p, [(p)-[r:MADE_BY]->(b) WHERE r.source <> $extraction | b][0] AS maker
RETURN p.sku AS sku, p.title AS title, maker.key AS brand, maker.name AS brand_name,
       [(p)-[r:IN_CATEGORY]->(c) WHERE r.source <> $extraction | c.path] AS categories
ORDER BY sku
"""


def _entry(row: dict[str, Any]) -> ProductEntry:
    deepest = max(row["categories"], key=lambda path: (path.count(" > "), path), default=None)
    return ProductEntry(row["title"], row["brand"], deepest)


def train_extraction(
    settings: Settings, files: Sequence[Path], format: Literal["pave", "ae", "aste"]
) -> dict[str, Any]:
    """Learn from marked files; see :func:`extraction.training.train`."""
    from extraction import training, values

    with stage_bar() as progress:
        report = training.train(
            files,
            format,
            heads_folder(settings),
            encoder_of(settings),
            vocabulary=vocabulary.load(settings.vocabulary),
            recipe=values.Recipe(seed=settings.seed),
            progress=progress,
        )
    return {**asdict(report), "folder": str(heads_folder(settings))}


def correct_extraction(settings: Settings, corrections: Path) -> dict[str, Any]:
    """Learn people's corrections; see :func:`extraction.training.correct`."""
    from extraction import training, values

    with stage_bar() as progress:
        report = training.correct(
            corrections,
            heads_folder(settings),
            encoder_of(settings),
            vocabulary=vocabulary.load(settings.vocabulary),
            recipe=values.Recipe(seed=settings.seed),
            progress=progress,
        )
    return {**asdict(report), "folder": str(heads_folder(settings))}


def suggest_corrections(
    settings: Settings, file: Path, format: Literal["pave", "ae"], limit: int
) -> list[dict[str, Any]]:
    """What a person should look at next in a file; see :func:`extraction.training.suggest`."""
    from extraction import training

    heads = _heads(settings)
    return training.suggest(file, format, heads, limit=limit)


def evaluate_extraction(settings: Settings, gold: Path, format: Literal["pave", "ae", "aste"]) -> dict[str, Any]:
    """Score what this home has learned on a gold file; see :func:`extraction.training.evaluate`."""
    from extraction import training

    return training.evaluate(gold, format, _heads(settings)).as_dict()


def _heads(settings: Settings) -> Heads:
    from extraction.training import Heads

    encoder = encoder_of(settings)
    return Heads.load(
        heads_folder(settings), encoder, vocabulary.load(settings.vocabulary), shipped=shipped_folder(settings)
    )


def encoder_of(settings: Settings) -> Encoder:
    """The encoder that is set; its weights are read when they are first needed."""
    return Encoder(settings.encoder, device=settings.device, exact=exact_in(settings))


def exact_in(settings: Settings) -> bool:
    """Whether texts are encoded in fp32 even where the processor is faster in bf16."""
    return settings.precision == "float32"


def heads_folder(settings: Settings) -> Path:
    """Where this home keeps what its extractor has learned."""
    return settings.home / "extraction"


def shipped_folder(settings: Settings) -> Path | None:
    """Where the heads that ship with kg lie, unless they are not to be used."""
    from extraction.shipping import SHIPPED

    return SHIPPED if settings.shipped_heads else None


# --- the clock -----------------------------------------------------------------------------------------------


def scheduled_jobs(settings: Settings) -> tuple[Job, ...]:
    """The jobs of a shop: every night read new texts, then train and promote, and find segments and intent; every hour
    teach the live model what has changed, and look how it does."""

    def run_extract(store: GraphStore) -> str:
        report = extract(store, settings)
        return f"{report.documents} texts, {report.facts} facts"

    def run_train(store: GraphStore) -> str:
        return str(models.train(store, settings)["version"])

    def run_learn(store: GraphStore) -> str:
        if not _is_live(store):
            return "no model is live yet"
        learned = models.learn(store, settings)
        return f"{learned['users']} users and {learned['products']} products for {learned['version']}"

    def run_promote(store: GraphStore) -> str:
        try:
            # On several machines another may have trained, into a home of its own.
            trained = runs.latest_detail(store, "train")
            version = models.trained_last(store, settings, trained)
            if version is None:
                return f"{trained} is live already"
            promoted = models.promote(store, settings, version, unattended=True)
        except PromotionRefusedError as refused:
            # A decision, not a failure: tried again it would be the same.
            alerts.tell(settings, str(refused))
            return str(refused)
        gate = promoted["gate"]
        return f"{promoted['version']} in slot {promoted['slot']}" + (f", {gate['reason']}" if gate else "")

    def run_watch(store: GraphStore) -> str:
        return str(models.watch(store, settings)["detail"])

    def run_insight(store: GraphStore) -> str:
        report = models.insight(store, settings)
        fitted = "fitted" if report["intent"] else "not fitted: too few purchases"
        return f"{report['segments']} segments, intent {fitted}"

    return (
        Job(name="extract", run=run_extract, trigger="0 2 * * *", doc="Read facts out of new and changed texts."),
        Job(name="train", run=run_train, after=("extract",), doc="Train on the graph as it stands."),
        Job(
            name="promote",
            run=run_promote,
            after=("train",),
            doc="Write the newest checkpoint and switch to it, unless it is worse on validation than the live one.",
        ),
        Job(
            name="learn",
            run=run_learn,
            trigger="15 * * * *",
            doc="Teach the live model what users did and what came, was said or was removed since it last learned.",
        ),
        Job(
            name="watch",
            run=run_watch,
            trigger="30 * * * *",
            doc="Roll back a model that is clicked or bought from less than the one before it, beyond chance.",
        ),
        Job(name="insight", run=run_insight, after=("extract",), doc="Find the users' segments and fit their intent."),
    )
