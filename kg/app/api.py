"""The HTTP interface: every query of the catalogue is a route, so that a new ``.cypher`` file is one too.

``GET /query/<folder>/<name>`` takes the parameters in the URL, ``POST`` in a
JSON object; both are checked by :func:`kg.queries.bind` alone. The answer is
``{"rows", "truncated", "reason"}``, or with ``Accept: application/x-ndjson`` a
row a line as Neo4j finds it. A request passes three doors, each its own module
or section: the gate (:mod:`kg.app.gate`: host, key, counting), the parameters
(:mod:`kg.app.given`), the query (below). What it is answered is made in
:mod:`kg.app.responses`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import anyio
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

import kg
from kg import catalogue
from kg.app import graph_metrics, metrics, openapi
from kg.app.gate import OPEN, Entrance, Gate
from kg.app.given import from_body, from_url
from kg.app.responses import HEADERS, Problem, accepts, error_answer, json_answer, problem_of, problems
from kg.app.slots import BusyError, Slot, Slots
from kg.catalogue import Rows
from kg.errors import KGError, ParameterError, QueryError, QueryTimeoutError
from kg.privacy import Pseudonym
from kg.queries import DEFAULT_MAX_ROWS, Query, bind
from kg.store import GraphStore

GRACE_S: Final = 5.0
"""How much longer than Neo4j's own time limit is waited for its answer, in case it is Neo4j that hangs."""

_HEALTH_S: Final = 3.0
"""Longest time the database may take to say that it is well."""

_LEAST_S: Final = 0.001
"""Least time that a query can be given: Neo4j counts milliseconds, and takes 0 for no limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    timeout_s: float = catalogue.DEFAULT_TIMEOUT_S
    max_rows: int = DEFAULT_MAX_ROWS
    """Most rows of an answer in one piece."""
    max_stream_rows: int = 1_000_000
    """Most rows of an answer that is read as a stream."""
    max_body: int = 1_048_576
    """Longest body, in bytes."""
    concurrency: int = 8
    """Queries that run at once."""


def application(
    store: GraphStore,
    queries: Mapping[str, Query],
    *,
    limits: Limits | None = None,
    keys: Sequence[str] = (),
    pseudonym: Pseudonym = str,
    typed: Routes | None = None,
    face: Face | None = None,
) -> FastAPI:
    """The application over ``queries``, which must not change while it runs.

    Args:
        keys: those that may ask; with none everybody may who reaches it under a name of this machine itself.
        pseudonym: from the shop's id of a user to the graph's.
        typed: the routes of what somebody typed, for which models are needed.
        face: pages for people, beside the routes for programs.
    """
    server = Server(store, queries, limits or Limits(), pseudonym)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()

    app = FastAPI(
        title="shopgraph",
        version=kg.__version__,
        description="The questions of `cypher/`, each a route. A new file is a new route.",
        # The pages that FastAPI has for these come from a CDN.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    server.add_routes(app)
    if typed is not None:
        typed.add_routes(app, server)
    if face is not None:
        face.add_routes(app, server)

    def answer(request: Request, problem: Problem) -> Response:
        return face.problem(problem) if face is not None and accepts(request, "text/html") else error_answer(problem)

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema = openapi.with_security(made, OPEN) if keys else made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
    app.add_middleware(Gate, keys=keys, metrics=server.metrics, face=face)

    @app.exception_handler(Problem)
    async def _problem(_request: Request, problem: Problem) -> Response:
        if problem.refused is not None:
            server.metrics.refused(problem.refused)
        return error_answer(problem)

    @app.exception_handler(HTTPException)
    async def _not_routed(request: Request, error: HTTPException) -> Response:
        return answer(request, _no_route(request, error, app, queries))

    @app.exception_handler(Exception)
    async def _failed(request: Request, _bug: Exception) -> Response:
        # Starlette raises it again, so that the server's log has the traceback.
        return answer(request, Problem(500, "Something is wrong in this server; its log says what."))

    return app


class Routes(Protocol):
    """More routes: :class:`kg.app.typed.Typed`, of which this module need not know more."""

    def add_routes(self, app: FastAPI, server: Server) -> None:
        """Add the routes to the application."""


class Face(Routes, Entrance, Protocol):
    """Pages beside the routes: :class:`kg.app.web.pages.Pages`."""

    def problem(self, problem: Problem) -> Response:
        """A page that says what is wrong."""


# --- the query ------------------------------------------------------------------------------------------------


class Server:
    """What the routes share: the store, the slots, the counters."""

    def __init__(self, store: GraphStore, queries: Mapping[str, Query], limits: Limits, pseudonym: Pseudonym) -> None:
        self.store = store
        self.queries = queries
        self.limits = limits
        self.pseudonym = pseudonym
        self.metrics = metrics.Metrics()
        self.slots = Slots(limits.concurrency)
        self.metrics.running.set_function(lambda: self.slots.taken)
        # A thread of its own each: a server that is busy with queries, or slow to tell its numbers, is well.
        self._doctor = Slots(1)
        self._clerk = Slots(1)

    def close(self) -> None:
        """Begin nothing more."""
        self.slots.close()
        self._doctor.close()
        self._clerk.close()

    def add_routes(self, app: FastAPI) -> None:
        """Add a route for each query, and those about the server itself."""
        for query in self.queries.values():
            about: dict[str, Any] = {
                "summary": query.title,
                "description": query.description,
                "tags": [query.name.partition("/")[0]],
                "response_class": Response,
            }
            path = f"/query/{query.name}"
            most = (self.limits.max_rows, self.limits.max_stream_rows)
            app.add_api_route(
                path, self._by_url(query), methods=["GET"], openapi_extra=openapi.by_url(query, *most), **about
            )
            app.add_api_route(
                path, self._by_body(query), methods=["POST"], openapi_extra=openapi.by_body(query, *most), **about
            )
        app.add_api_route("/query", self.listed, methods=["GET"], response_class=Response, summary="All queries")
        app.add_api_route(
            "/health", self.ready, methods=["GET"], response_class=Response, summary="Whether queries can be answered"
        )
        app.add_api_route(
            "/health/live", self.live, methods=["GET"], response_class=Response, summary="Whether the process is alive"
        )
        app.add_api_route(
            "/metrics", self.measured, methods=["GET"], response_class=Response, summary="Numbers for Prometheus"
        )

    def _by_url(self, query: Query) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            with problems(self.limits.timeout_s):
                given = from_url(query, request.query_params.multi_items())
                return await self._answer(request, query, given)

        return endpoint

    def _by_body(self, query: Query) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            with problems(self.limits.timeout_s):
                given = await from_body(request, self.limits.max_body)
                if request.url.query:
                    raise ParameterError("A POST takes its parameters in the body, and none in the URL.")
                return await self._answer(request, query, given)

        return endpoint

    def posted(self, query: Query, work: Callable[[Mapping[str, Any]], bytes]) -> Callable[[Request], Any]:
        """What answers a POST with a JSON object of the query's parameters by ``work``, run in a thread with a slot."""

        async def endpoint(request: Request) -> Response:
            with problems(self.limits.timeout_s):
                given = await from_body(request, self.limits.max_body)
                if request.url.query:
                    raise ParameterError("A POST takes its parameters in the body, and none in the URL.")
                bound = bind(query, given, max_rows=self.limits.max_rows)
                slot = await self.slots.take()
                try:
                    body = await slot.call(lambda: work(bound), self.limits.timeout_s + GRACE_S)
                finally:
                    slot.release()
                return json_answer(body)

        return endpoint

    async def _answer(self, request: Request, query: Query, given: Mapping[str, Any]) -> Response:
        given = catalogue.with_pseudonyms(query, given, self.pseudonym)
        slot = await self.slots.take()
        if accepts(request, openapi.NDJSON):
            return await _Stream.begin(self, slot, query, given)
        try:
            body = await slot.call(lambda: self._rows(query, given), self.limits.timeout_s + GRACE_S)
        finally:
            slot.release()
        return json_answer(body)

    def _rows(self, query: Query, given: Mapping[str, Any]) -> bytes:
        """The whole answer; runs in a thread."""
        rows = catalogue.run(self.store, query, given, timeout_s=self.limits.timeout_s, max_rows=self.limits.max_rows)
        reason = catalogue.notice(self.store, query, given, rows)
        return orjson.dumps({"rows": rows.rows, "truncated": rows.truncated, "reason": reason})

    async def listed(self) -> Response:
        """Name, title and description of each query."""
        return json_answer(
            orjson.dumps(
                [
                    {"name": q.name, "path": f"/query/{q.name}", "title": q.title, "description": q.description}
                    for q in self.queries.values()
                ]
            )
        )

    async def live(self) -> Response:
        """The process answers."""
        return json_answer(orjson.dumps({"status": "ok"}))

    async def ready(self) -> Response:
        """Neo4j answers; and which model is live, null before the first promotion."""
        try:
            slot = await self._doctor.take(_HEALTH_S)
            try:
                version = await slot.call(self._live_model, _HEALTH_S)
            finally:
                slot.release()
        except (KGError, BusyError, TimeoutError):
            return json_answer(orjson.dumps({"status": "unavailable", "neo4j": False, "model": None}), 503)
        return json_answer(orjson.dumps({"status": "ok", "neo4j": True, "model": version}))

    def _live_model(self) -> str | None:
        rows = self.store.read("MATCH (s:Serving {name: 'model'}) RETURN s.version AS version", timeout_s=_HEALTH_S)
        return rows[0]["version"] if rows else None

    async def measured(self) -> Response:
        """In Prometheus' text format: this process's numbers, and those that the graph records of jobs and streams."""
        try:
            slot = await self._clerk.take(_HEALTH_S)
            try:
                recorded = await slot.call(self._recorded, _HEALTH_S)
            finally:
                slot.release()
        except (KGError, BusyError, TimeoutError):
            recorded = b""  # what is not known is left out, as Prometheus expects it
        return Response(self.metrics.text() + recorded, media_type=metrics.CONTENT_TYPE)

    def _recorded(self) -> bytes:
        return graph_metrics.text(self.store, _HEALTH_S)


class _Stream(StreamingResponse):
    """Rows a line each as they are found, and a last line ``{"_end": …}`` that says how it ended.

    It holds its slot, and Neo4j its transaction, for as long as it is read: both end with the time limit, however
    slowly somebody reads.
    """

    @classmethod
    async def begin(cls, server: Server, slot: Slot, query: Query, given: Mapping[str, Any]) -> _Stream:
        """A stream whose first rows are there: what fails before them is still an error with a status."""
        limits = server.limits
        batches = catalogue.stream(
            server.store, query, given, timeout_s=limits.timeout_s, max_rows=limits.max_stream_rows
        )

        def step() -> _Part | None:  # runs in a thread
            batch = next(batches, None)
            return None if batch is None else _Part.of(batch)

        def first() -> _Part:
            batch = next(batches)
            return _Part.of(batch, reason=catalogue.notice(server.store, query, given, batch))

        try:
            part = await slot.call(first, limits.timeout_s + GRACE_S)
        except BaseException:
            slot.release(batches.close)
            raise
        return cls(slot, part, step, batches.close, limits.timeout_s)

    def __init__(
        self,
        slot: Slot,
        first: _Part,
        step: Callable[[], _Part | None],
        close: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._slot = slot
        self._first = first
        self._step = step
        self._close = close
        self._timeout_s = timeout_s
        super().__init__(self._lines(), media_type=openapi.NDJSON, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.move_on_after(self._timeout_s + GRACE_S):
                await super().__call__(scope, receive, send)
        finally:
            self._slot.release(self._close)

    async def _lines(self) -> AsyncIterator[bytes]:
        part: _Part | None = self._first
        end: dict[str, Any] = {"rows": 0, "truncated": False, "reason": self._first.reason, "error": None}
        while part is not None:
            end["rows"] += part.rows
            end["truncated"] = part.truncated
            if part.lines:
                yield part.lines
            try:
                part = await self._slot.call(self._step, self._timeout_s + GRACE_S)
            except Exception as error:
                if (problem := problem_of(error, self._timeout_s)) is None:
                    raise
                end["error"], part = problem.sentence, None
        yield orjson.dumps({"_end": end}, option=orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True, slots=True)
class _Part:
    """A batch of rows as it is sent."""

    lines: bytes
    rows: int
    truncated: bool
    reason: str | None

    @classmethod
    def of(cls, batch: Rows, reason: str | None = None) -> _Part:
        lines = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in batch)
        return cls(lines, len(batch), batch.truncated, reason)


def time_left(timeout_s: float) -> Callable[[], float]:
    """The seconds that are left of so many, for a request of several queries that holds one slot meanwhile.

    What it gives raises :class:`QueryTimeoutError` where none is left.
    """
    until = monotonic() + timeout_s

    def left_s() -> float:
        left = until - monotonic()
        if left < _LEAST_S:
            raise QueryTimeoutError(f"The queries of a request took more than {timeout_s:g} s.")
        return left

    return left_s


def _no_route(request: Request, error: HTTPException, app: FastAPI, queries: Mapping[str, Query]) -> Problem:
    """A path that is none, or a method that it does not take."""
    path = request.url.path
    if error.status_code == 405:
        allowed = sorted({m for r in app.routes if getattr(r, "path", None) == path for m in getattr(r, "methods", ())})
        return Problem(405, f"{path} takes {' and '.join(allowed)} only.", headers={"Allow": ", ".join(allowed)})
    if error.status_code == 404 and path.startswith("/query/"):
        try:
            catalogue.find(path.removeprefix("/query/")[:100], queries)
        except QueryError as unknown:
            return Problem(404, str(unknown))
    if error.status_code == 404:
        return Problem(404, "There is nothing at this path. GET /query lists the queries, GET /openapi.json says all.")
    return Problem(error.status_code, str(error.detail), headers=error.headers)
