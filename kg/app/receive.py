"""``kg ingest KIND http://HOST:PORT --follow``: loads the records that are posted to it, as they come.

``POST /products``, ``/reviews``, ``/events`` and ``/users`` take one JSON record,
or with ``Content-Type: application/x-ndjson`` one a line. What is answered with
``loaded`` stands in the graph. Requests that come close together are committed
together, by one thread, in the order in which they came; what follows from them
(:mod:`kg.app.refresh`) is done by others, after the answer.

A request may be sent again whenever no answer came: products, reviews and users
are known by their own keys, events by all that they say. Events without a time
say too little for that, so they need the header ``Idempotency-Key``, under which
the same request is sent again.

What may wait is bounded, here and in the graph: beyond that the sender is asked
to come later. It writes, so it is no part of ``kg serve``, which only reads, and has
keys of its own.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Tally
from starlette.exceptions import HTTPException

import kg
from extraction import corpus
from extraction.corpus import Kind
from kg import streams
from kg.app import metrics, openapi
from kg.app.gate import Gate
from kg.app.given import read_body
from kg.app.pieces import DOCUMENTS, RejectLog, unknown_product
from kg.app.refresh import Reader, Refresher
from kg.app.responses import LATER, Problem, error_answer, json_answer, problem_of
from kg.app.session import pseudonym_of
from kg.errors import KGError, SchemaError, StatementError, StoreError
from kg.records import EventRecord, Record, Reject, ReviewRecord
from kg.settings import Settings
from kg.store import GraphStore
from kg.streams import Loaded

log = structlog.get_logger()

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MOST_WAITING: Final = 20_000
"""Records that may wait to be written; a second or two of work."""
MOST_UNREAD: Final = 5_000
"""Texts that may wait to be read, whoever took them; about a minute of work."""
MOST_UNPLACED: Final = 20_000
"""Users who came here and may wait for their vector: as many as records, each of which brings one at most. Those who
are marked in the graph besides are no reason to take nothing: a removal marks all who bought a product."""
AT_ONCE: Final = 1_000
"""Texts, or users, that are served before it is looked what else is to be done."""
ANSWER_S: Final = 30.0
"""How long a request waits for its records to be written."""
IDLE_S: Final = 1.0
COUNT_S: Final = 1.0
"""Least time between two counts of what is marked in the graph, while it is being served."""
AFTER_BUG_S: Final = 10.0
"""Between two tries of what fails by a bug, each of which puts a traceback into the log."""


@dataclass(slots=True)
class _Delivery:
    """The records of a request on their way into the graph."""

    kind: Kind
    records: list[tuple[int, Record]]
    """Each with its place in the body, from 0."""
    rejected: list[tuple[int, Reject]]
    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    loaded: int = 0

    def finish(self, error: Exception | None = None) -> None:
        def set_it() -> None:
            if not self.done.done():
                if error is None:
                    self.done.set_result(None)
                else:
                    self.done.set_exception(error)

        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(set_it)

    def answer(self) -> Response:
        rejected = [{"index": index, "reason": reject.reason} for index, reject in sorted(self.rejected, key=_first)]
        status = 422 if rejected and not self.loaded else 200
        return json_answer(orjson.dumps({"loaded": self.loaded, "rejected": rejected}), status)


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


class Receiver:
    """What the routes share: the queue, the thread that writes, and those that serve what was written."""

    def __init__(
        self,
        store: GraphStore,
        settings: Settings,
        *,
        kinds: Sequence[Kind] = KINDS,
        rejects: Path,
        create_missing: bool = False,
    ) -> None:
        self.kinds = tuple(kinds)
        self.metrics = metrics.Metrics()
        self._store = store
        self._settings = settings
        self._pseudonym = pseudonym_of(settings)
        self._rejects = RejectLog(rejects)
        self._create_missing = create_missing
        self._queue: queue.Queue[_Delivery | None] = queue.Queue()
        self._queued = 0
        self._counting = threading.Lock()
        self._writer = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._texts = _Behind(store, settings, "texts", texts=True)
        self._users = _Behind(store, settings, "users", texts=False)
        self._records = self._measure(self.metrics.registry)

    def start(self) -> None:
        """Begin to write, and to serve what is written."""
        self._writer.start()
        self._users.start()
        if {"products", "reviews"} & set(self.kinds):
            self._texts.start()

    def close(self) -> None:
        """Write what was taken, and end."""
        self._queue.put(None)
        self._writer.join()
        self._users.close()
        self._texts.close()

    def _measure(self, registry: CollectorRegistry) -> Tally:
        """Show what waits here; a count of what was written."""
        Gauge("kg_ingest_queued", "Records that wait to be written.", registry=registry).set_function(
            lambda: self._queued
        )
        Gauge("kg_ingest_unread", "Texts that wait to be read.", registry=registry).set_function(
            lambda: self._texts.waiting
        )
        return Tally(
            "kg_ingest_records", "Records posted, by what became of them.", ("kind", "outcome"), registry=registry
        )

    # --- a request -------------------------------------------------------------------------------------------

    async def post(self, kind: Kind, request: Request) -> Response:
        """Take records, and answer when they stand in the graph."""
        # Looked at before the body is read: who is to come later need not send it.
        behind = self._texts.waiting >= MOST_UNREAD or self._users.waiting >= MOST_UNPLACED
        if behind or self._queued >= MOST_WAITING:
            raise Problem(429, "More comes than is written. Send it again in a second.", refused="busy", headers=LATER)
        body = await read_body(request, self._settings.api_max_body)
        key = request.headers.get("idempotency-key", "").strip() or None  # empty, it is the same for every request
        lines = _is_lines(request)
        loop = asyncio.get_running_loop()
        records, rejected = await asyncio.to_thread(_read, kind, body, key, lines)
        delivery = _Delivery(kind, records, rejected, loop.create_future(), loop)
        if not delivery.records and not delivery.rejected:
            raise Problem(422, "The body holds no record.", refused="body")
        with self._counting:
            self._queued += len(delivery.records)
        self._queue.put(delivery)
        try:
            await asyncio.wait_for(delivery.done, ANSWER_S)
        except TimeoutError:
            raise Problem(503, "The records were not written in time. Send them again.", headers=LATER) from None
        except StoreError as error:
            log.error("records were not written", error=str(error))
            raise Problem(
                503, "The database does not take records now. Send them again later.", headers=LATER
            ) from None
        return delivery.answer()

    # --- the thread that writes ------------------------------------------------------------------------------

    def _write_all(self) -> None:
        ended = False
        while not ended:
            first = self._queue.get()
            together = [] if first is None else [first]
            ended = first is None
            count = len(first.records) if first is not None else 0
            while not ended and count < self._settings.batch_size:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    together.append(more)
                    count += len(more.records)
            # A review that was posted after its product finds it: only neighbours of one kind are one transaction.
            while together:
                kind = together[0].kind
                same = next((n for n, d in enumerate(together) if d.kind != kind), len(together))
                self._write(together[:same])
                together = together[same:]

    def _write(self, deliveries: Sequence[_Delivery]) -> None:
        with self._counting:
            self._queued -= sum(len(d.records) for d in deliveries)
        try:
            self._rejects.write([reject for d in deliveries for _, reject in d.rejected])
            self._load([(d, index, record) for d in deliveries for index, record in d.records], set())
        except (KGError, OSError) as error:
            problem = error if isinstance(error, StoreError) else StoreError(f"The records cannot be kept: {error}")
            for d in deliveries:
                d.finish(problem)
        except Exception as bug:
            # There is one thread that writes: ended by one request, it would leave all others without an answer.
            of_what = ", ".join(sorted({d.kind for d in deliveries}))
            log.exception("requests were not written, by a bug; others are", kinds=of_what, requests=len(deliveries))
            for d in deliveries:
                d.finish(bug)
        else:
            for d in deliveries:
                self._records.labels(d.kind, "loaded").inc(d.loaded)
                self._records.labels(d.kind, "rejected").inc(len(d.rejected))
                d.finish()

    def _load(self, rows: Sequence[tuple[_Delivery, int, Record]], told: set[int]) -> None:
        """Load rows; what the database refuses is found by halving, and rejected alone.

        Args:
            told: which records stand among the rejects, by ``id``: a half knows the same unknown products again.
        """
        if not rows:
            return
        owner = {id(record): (d, index) for d, index, record in rows}

        def reject(records: Sequence[ReviewRecord | EventRecord]) -> None:
            new = [r for r in records if id(r) not in told]
            self._rejects.write([unknown_product(f"POST /{owner[id(r)][0].kind}", r) for r in new])
            told.update(map(id, new))

        try:
            loaded = streams.load_piece(
                self._store,
                None,
                None,
                [record for _, _, record in rows],
                documents=DOCUMENTS,
                pseudonym=self._pseudonym,
                repeats=Counter(),  # events without a time have the request's key
                create_missing=self._create_missing,
                before_commit=reject,
            )
        except (StatementError, SchemaError) as error:
            if len(rows) > 1:
                self._load(rows[: len(rows) // 2], told)
                self._load(rows[len(rows) // 2 :], told)
                return
            ((delivery, index, _),) = rows
            refused = Reject(file=f"POST /{delivery.kind}", line=index + 1, reason=str(error))
            self._rejects.write([refused])
            delivery.rejected.append((index, refused))
            return
        for unknown in loaded.refused:
            delivery, index = owner[id(unknown)]
            delivery.rejected.append((index, unknown_product(f"POST /{delivery.kind}", unknown)))
        lost = {id(record) for record in loaded.refused}
        for delivery, _, record in rows:
            delivery.loaded += id(record) not in lost
        self._texts.put(loaded.documents)
        self._users.put(loaded.users)


class _Stopped(Exception):  # noqa: N818 (no error: it was asked to stop)
    """Raised between two chunks of work."""


class _Behind(threading.Thread):
    """Serves what was written, behind the answers: users in a thread of their own, so that they wait for no text."""

    def __init__(self, store: GraphStore, settings: Settings, name: str, *, texts: bool) -> None:
        super().__init__(name=name, daemon=True)
        self.waiting = 0
        """Texts that are marked in the graph as still to be read, those of other processes as well; or users who came
        here and are still to be served."""
        self._put = 0
        """How many have ever come."""
        self._counted = 0.0
        self._store = store
        self._reader = Reader(settings) if texts else None
        self._came: deque[str] = deque()
        self._news = threading.Condition()
        self._more = False
        """Whether upkeep is to go on at once."""
        self._closed = False

    def put(self, keys: Sequence[str]) -> None:
        """These documents, or users, wait."""
        if keys:
            with self._news:
                self._came.extend(keys)
                self.waiting += len(keys)
                self._put += len(keys)
                self._news.notify()

    def close(self) -> None:
        """Stop after what is being done. What still waits is marked in the graph."""
        with self._news:
            self._closed = True
            self._news.notify()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Until closed."""
        refresher = Refresher(self._store, self._reader, keep=self._between)
        swept = False
        while True:
            try:
                self._stop_if_closed()
                self._count()
                if not swept:
                    if self._reader is not None:
                        self._reader.extractor(self._store)
                    refresher.sweep()
                    swept = True
                self._serve(refresher)
            except _Stopped:
                return
            except KGError as error:
                log.warning("what was written is not served yet; it is tried again", error=str(error))
                swept = False
                self._rest(IDLE_S)
            except Exception:
                # The thread that ends serves nobody any more; other records may do.
                log.exception("what was written is not served, by a bug; it is tried again", after_s=AFTER_BUG_S)
                swept = False
                self._rest(AFTER_BUG_S)

    def _rest(self, seconds: float) -> None:
        with self._news:
            self._news.wait_for(lambda: self._closed, seconds)

    def _serve(self, refresher: Refresher) -> None:
        with self._news:
            if not self._came and not self._closed and not self._more:
                self._news.wait(IDLE_S)
            taken = [self._came.popleft() for _ in range(min(len(self._came), AT_ONCE))]
        self._stop_if_closed()
        came = tuple(dict.fromkeys(taken))
        try:
            if came:
                refresher.after(Loaded(documents=came) if self._reader else Loaded(users=came))
        finally:
            # Whatever failed is marked in the graph: the sweep finds it.
            if self._reader is None:
                with self._news:
                    self.waiting -= len(taken)
        self._more = False  # unless the next line says so: one that fails has found nothing to go on with
        self._more = refresher.upkeep(idle=not came)

    def _count(self) -> None:
        """Look how many texts wait: some may have come before this process began, or to another."""
        if self._reader is None:
            return
        with self._news:
            before = self._put
        rows = self._store.read("MATCH (d:Document)\nWHERE d.waiting IS NOT NULL\nRETURN count(d) AS n")
        with self._news:
            self.waiting = int(rows[0]["n"]) + self._put - before
        self._counted = time.monotonic()

    def _between(self) -> None:
        """Called between two chunks of work."""
        self._stop_if_closed()
        if time.monotonic() - self._counted > COUNT_S:
            self._count()

    def _stop_if_closed(self) -> None:
        if self._closed:
            raise _Stopped


def _is_lines(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == openapi.NDJSON


def _read(
    kind: Kind, body: bytes, key: str | None, lines: bool
) -> tuple[list[tuple[int, Record]], list[tuple[int, Reject]]]:
    """The records of a body and its rejects, each with its place among both. Runs in a thread."""
    records: list[tuple[int, Record]] = []
    rejected: list[tuple[int, Reject]] = []
    index = 0
    for number, raw in enumerate(body.split(b"\n") if lines else [body], start=1):
        record = corpus.parse_line(f"POST /{kind}", kind, raw, number)
        if record is None:
            continue
        if isinstance(record, EventRecord) and record.at is None:
            if key is None:
                reason = "An event without `at` needs the header Idempotency-Key, or sent again it would count again."
                record = Reject(file=f"POST /{kind}", line=number, reason=reason)
            else:
                record = replace(record, origin=f"{key} {index}")
        if isinstance(record, Reject):
            rejected.append((index, record))
        else:
            records.append((index, record))
        index += 1
    return records, rejected


# --- the application ------------------------------------------------------------------------------------------


def application(receiver: Receiver, *, keys: Sequence[str] = ()) -> FastAPI:
    """The routes over a receiver, which they start and end.

    Args:
        keys: those that may write; with none everybody may who reaches it under a name of this machine itself.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        receiver.start()
        yield
        await asyncio.to_thread(receiver.close)

    app = FastAPI(
        title="shopgraph ingest",
        version=kg.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )

    def route(kind: Kind) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                return await receiver.post(kind, request)
            except Exception as error:
                if (problem := problem_of(error, ANSWER_S)) is None:
                    raise
                raise problem from error

        return endpoint

    async def live() -> Response:
        return json_answer(orjson.dumps({"status": "ok"}))

    async def measured() -> Response:
        return Response(receiver.metrics.text(), media_type=metrics.CONTENT_TYPE)

    for kind in receiver.kinds:
        app.add_api_route(f"/{kind}", route(kind), methods=["POST"], response_class=Response)
    app.add_api_route("/health/live", live, methods=["GET"], response_class=Response)
    app.add_api_route("/metrics", measured, methods=["GET"], response_class=Response)
    app.add_middleware(Gate, keys=keys, metrics=receiver.metrics, setting="KG_INGEST_KEYS")

    @app.exception_handler(Problem)
    async def _problem(_request: Request, problem: Problem) -> Response:
        if problem.refused is not None:
            receiver.metrics.refused(problem.refused)
        return error_answer(problem)

    @app.exception_handler(HTTPException)
    async def _not_routed(_request: Request, error: HTTPException) -> Response:
        taken = " and ".join(f"/{kind}" for kind in receiver.kinds)
        return error_answer(Problem(error.status_code, f"This takes records by POST at {taken}, and nothing else."))

    @app.exception_handler(Exception)
    async def _failed(_request: Request, _bug: Exception) -> Response:
        return error_answer(Problem(500, "Something is wrong in this server; its log says what."))

    return app


def receive(
    store: GraphStore,
    settings: Settings,
    listening: socket.socket,
    *,
    kinds: Sequence[Kind],
    rejects: Path,
    create_missing: bool,
) -> None:
    """Take records until SIGINT or SIGTERM; what was taken is written first."""
    from kg.app.server import run_until_stopped

    receiver = Receiver(store, settings, kinds=kinds, rejects=rejects, create_missing=create_missing)
    keys = [key.get_secret_value() for key in settings.ingest_keys]
    run_until_stopped(application(receiver, keys=keys), listening, grace_s=ANSWER_S)
