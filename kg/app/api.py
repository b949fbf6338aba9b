"""The HTTP interface: every query of the catalogue is a route, so that a new ``.cypher`` file is one too.

``GET /query/<folder>/<name>`` takes the parameters in the URL, ``POST`` in a
JSON object; both are checked by :func:`kg.queries.bind` alone. The answer is
``{"rows", "truncated", "reason"}``, or with ``Accept: application/x-ndjson`` a
row a line as Neo4j finds it. A request passes three doors, each its own
section below: the gate (host, key, counting), the parameters, the query.

An error is ``{"error": one sentence}``. Of what went wrong inside it says no
more than what to do; the log of the process has the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import anyio
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import kg
from kg import catalogue
from kg.app import graph_metrics, metrics, openapi
from kg.app.slots import BusyError, Slot, Slots
from kg.catalogue import Rows
from kg.errors import (
    AuthenticationError,
    ConnectionFailedError,
    KGError,
    ParameterError,
    QueryError,
    QueryTimeoutError,
)
from kg.privacy import Pseudonym
from kg.queries import DEFAULT_MAX_ROWS, Query, bind
from kg.store import GraphStore

log = logging.getLogger("kg.api")

GRACE_S: Final = 5.0
"""How much longer than Neo4j's own time limit is waited for its answer, in case it is Neo4j that hangs."""

_BODY_S: Final = 10.0
"""Longest time a body may take to come."""

_HEALTH_S: Final = 3.0
"""Longest time the database may take to say that it is well."""

OPEN: Final = ("/health", "/health/live")
"""Paths that need no key: whoever watches the process must not need a secret for it."""

SEARCH: Final = "/search"
ASK: Final = "/ask"
"""Paths of what somebody typed (:mod:`kg.app.typed`): posted by programs, while a page of that path is for people."""

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


class Problem(Exception):  # noqa: N818 (the field's word, RFC 9457)
    """A request that ends in something else than an answer: the status, and one sentence for its sender."""

    def __init__(
        self, status: int, sentence: str, *, refused: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.refused = refused
        """Under which reason it is counted as refused; None when something was run."""
        self.headers = headers or {}


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
        return face.problem(problem) if face is not None and _accepts(request, "text/html") else error_answer(problem)

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


class Face(Routes, Protocol):
    """Pages beside the routes: :class:`kg.app.web.pages.Pages`."""

    def admits(self, path: str, cookies: str) -> bool:
        """Whether this path is a page, and open to a caller without a key who sends these cookies."""

    def refusal(self, path: str, query: str, problem: Problem) -> Response | None:
        """What somebody gets in place of a page for which a key is needed; ``None`` where the path is no page."""

    def problem(self, problem: Problem) -> Response:
        """A page that says what is wrong."""


# --- the gate -------------------------------------------------------------------------------------------------


class Gate:
    """The first and the last to see a request: asks for the key, counts the answer.

    Args:
        setting: in which the keys are set, for who may set them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[str],
        metrics: metrics.Metrics,
        face: Face | None = None,
        setting: str = "KG_API_KEYS",
    ) -> None:
        self._app = app
        self._setting = setting
        self._face = face
        # Digests have one length, so that comparing them tells nothing about the key's.
        self._keys = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls an application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if (problem := self._problem(scope)) is not None:
                if problem.refused is not None:
                    self._metrics.refused(problem.refused)
                query = scope["query_string"].decode("latin-1")
                face = None if _is_typed(scope) else self._face
                page = None if face is None else face.refusal(scope["path"], query, problem)
                await (page or error_answer(problem))(scope, receive, noting)
            else:
                await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", None)
            self._metrics.answered(route, scope["method"], status, perf_counter() - began)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = dict(scope["headers"])
        if not self._keys:
            # A page of the open web can make a browser ask this machine under the page's own name (DNS rebinding),
            if not is_loopback(_host_of(headers.get(b"host", b""))):
                return Problem(
                    421,
                    "Without API keys this server answers to localhost alone; whoever runs it can set "
                    f"{self._setting}.",
                    refused="host",
                )
            # and under this machine's: it cannot read the answer then, but what it posts would be done.
            if _is_foreign(scope["method"], headers):
                return Problem(
                    403,
                    "A page of another site may ask nothing of this server while it has no API keys; whoever runs it "
                    f"can set {self._setting}.",
                    refused="origin",
                )
            return None
        if scope["path"] in OPEN or self._knows(_key_of(headers)):
            return None
        cookies = headers.get(b"cookie", b"").decode("latin-1")
        if self._face is not None and not _is_typed(scope) and self._face.admits(scope["path"], cookies):
            if scope["method"] == "POST" and _is_cross_site(headers):
                return Problem(403, "This form can be sent by a page of this server alone.", refused="origin")
            return None
        return Problem(
            401,
            "This needs an API key: send the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
            refused="key",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _knows(self, key: bytes) -> bool:
        digest = hashlib.sha256(key).digest()
        # All are compared, each in constant time: how long it takes says nothing about which was nearly right.
        return sum(hmac.compare_digest(digest, known) for known in self._keys) > 0


def _key_of(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")


def _is_foreign(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks this machine for a page of another one. Programs send none of these headers.

    A page of this machine may ask, whatever its port; and a link may lead here from anywhere.
    """
    if (origin := headers.get(b"origin")) is not None:
        # A page that hides where it comes from has the origin "null".
        return not is_loopback(_host_of(origin.partition(b"//")[2]))
    followed = method in ("GET", "HEAD") and headers.get(b"sec-fetch-mode") == b"navigate"
    return _is_cross_site(headers) and not followed


def _is_typed(scope: Scope) -> bool:
    """Whether a program asks, under a path where people have a page: what opens the page does not open this."""
    return scope["method"] == "POST" and scope["path"] in (SEARCH, ASK)


def _is_cross_site(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"sec-fetch-site", b"").lower() == b"cross-site"


def _host_of(header: bytes) -> str:
    """The name in a ``Host`` header, without port and brackets; '' when it is none."""
    try:
        return urlsplit(f"//{header.decode('latin-1')}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name of this machine that no other machine can reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- the parameters -------------------------------------------------------------------------------------------


def from_url(query: Query, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters in a URL: a list is its name given again for each item, or a JSON array."""
    lists = {p.name for p in query.parameters if p.type.startswith("LIST<")}
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise ParameterError(f"{query.name}, parameter {name}: expected it once, found it again.")
        else:
            given[name] = value
    for name in lists & given.keys():
        if len(given[name]) == 1:
            given[name] = _json_list(given[name][0])
    return given


def _json_list(text: str) -> Any:
    """The JSON array or null that ``text`` is, or a list of the text itself."""
    if text == "null":
        return None
    try:
        value = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, list) else [text]


async def from_body(request: Request, most: int) -> dict[str, Any]:
    """The JSON object in the body, {} for none."""
    body = await read_body(request, most)
    if not body:
        return {}
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise ParameterError("The body is not a JSON object with a member for each parameter.")
    return given


async def read_body(request: Request, most: int) -> bytes:
    """The body; never more than ``most`` bytes of it are held."""
    too_long = Problem(413, f"The body is longer than {most} bytes. Send less.", refused="body")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_long
    except TimeoutError:
        raise Problem(408, f"The body did not come within {_BODY_S:g} seconds.", refused="body") from None
    return bytes(body)


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
            with _problems(self.limits.timeout_s):
                given = from_url(query, request.query_params.multi_items())
                return await self._answer(request, query, given)

        return endpoint

    def _by_body(self, query: Query) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            with _problems(self.limits.timeout_s):
                given = await from_body(request, self.limits.max_body)
                if request.url.query:
                    raise ParameterError("A POST takes its parameters in the body, and none in the URL.")
                return await self._answer(request, query, given)

        return endpoint

    def posted(self, query: Query, work: Callable[[Mapping[str, Any]], bytes]) -> Callable[[Request], Any]:
        """What answers a POST with a JSON object of the query's parameters by ``work``, run in a thread with a slot."""

        async def endpoint(request: Request) -> Response:
            with _problems(self.limits.timeout_s):
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
        if _accepts(request, openapi.NDJSON):
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
        super().__init__(self._lines(), media_type=openapi.NDJSON, headers=_HEADERS)

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


# --- answers --------------------------------------------------------------------------------------------------

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What is recommended to somebody is nobody else's, and JSON is never a page."""


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is JSON."""
    return Response(body, status, {**_HEADERS, **(headers or {})}, "application/json")


def error_answer(problem: Problem) -> Response:
    """What the sender of a request is told that has a problem."""
    return json_answer(orjson.dumps({"error": problem.sentence}), problem.status, problem.headers)


def _accepts(request: Request, media_type: str) -> bool:
    ranges = request.headers.get("accept", "").split(",")
    return any(r.partition(";")[0].strip().lower() == media_type for r in ranges)


@contextmanager
def _problems(timeout_s: float) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if (problem := problem_of(error, timeout_s)) is None:
            raise
        raise problem from error


def problem_of(error: Exception, timeout_s: float) -> Problem | None:
    """What the sender of a request is told of an expected error; None for one that is a bug.

    Messages of the catalogue are passed on: they are about parameters and headers. Those of the store may hold
    Cypher and addresses, and go to the log.
    """
    match error:
        case Problem():
            return error
        case ParameterError():
            return Problem(422, str(error), refused="parameters")
        case BusyError():
            return Problem(
                503, "Too many queries run at the moment. Try again in a second.", refused="busy", headers=LATER
            )
        case QueryTimeoutError() | TimeoutError():
            return Problem(504, f"The query took longer than {timeout_s:g} seconds and was ended. Ask for less.")
        case QueryError():
            log.error("%s", error)
            return Problem(500, str(error))
        case ConnectionFailedError() | AuthenticationError():
            log.error("%s", error)
            return Problem(503, "The database does not answer. Try again later.", headers=LATER)
        case KGError():
            log.error("%s", error)
            return Problem(502, "The database failed at this query; the log of this server says how.")
        case ClientDisconnect():
            return Problem(400, "The request broke off.")
    return None


LATER: Final = {"Retry-After": "1"}
"""Headers of an answer that asks to try again."""


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
