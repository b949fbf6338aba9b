"""The pages, a function each: what the URL asks for, to a template and its values.

They are run in a thread that holds a slot of the server (:mod:`kg.app.slots`), so
that pages and API together run no more queries than allowed, and under the same
limits of time and rows. Everything read is a query of the catalogue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode

import jinja2
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from kg import catalogue
from kg.app.api import GRACE_S, Server, time_left
from kg.app.given import read_body
from kg.app.responses import Problem, problem_of
from kg.app.search import Prepared
from kg.app.typed import Asking, Searching
from kg.app.web import charts, words
from kg.app.web.door import COOKIE, Door, digest, within
from kg.app.web.drawing import drawing
from kg.catalogue import Rows
from kg.normalise import brand_key

log = logging.getLogger("kg.web")

_HERE: Final = Path(__file__).parent

LONGEST: Final = 500
"""Letters of a search or a question that are read."""

LONGEST_LOGIN: Final = 4096
"""Bytes of the form with a key."""

PAGE: Final = 24
"""Products on a page of a search."""

DEEPEST: Final = 8
"""Pages of the answer to what was typed: together fewer products than the 200 candidates that ``search/products`` takes
from each index, which with more it would read on. Whoever has leafed through so many types another word."""

BY_CHANCE: Final = 0.05
"""What chance alone brings about more often than this is not shown as a trend."""

KEPT_S: Final = 60.0
"""How long the shelves and what they hold are shown as they were counted: a shop of a million takes seconds for it."""

MOST_KEPT: Final = 1000
"""Answers that are kept; a shelf has two."""

HEADERS: Final[Mapping[str, str]] = {
    # Everything from this server alone: no script, style or picture of anybody else, none within the page itself,
    # and no page of anybody else around it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Kept:
    """Answers that count the whole catalogue and are the same for everybody, kept for a minute.

    Nobody waits for another to count: those who find an answer too old at one time all ask the graph.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[Hashable, tuple[float, Rows]] = {}

    def __call__(self, key: Hashable, make: Callable[[], Rows]) -> Rows:
        """What ``make`` gave for this key within the last minute, or gives now; an empty answer is not kept."""
        with self._lock:
            found = self._rows.get(key)
        if found is not None and monotonic() < found[0]:
            return found[1]
        rows = make()
        if rows:
            with self._lock:
                if len(self._rows) >= MOST_KEPT:
                    self._rows.clear()
                self._rows[key] = (monotonic() + KEPT_S, rows)
        return rows


@dataclass(frozen=True, slots=True)
class Asked:
    """What a URL asks for: every value is text, and what is empty was not asked for."""

    values: Mapping[str, Sequence[str]]

    @classmethod
    def by(cls, request: Request) -> Asked:
        """The parameters of a URL."""
        found: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            if value.strip():
                found.setdefault(name, []).append(value.strip())
        return cls(found)

    def one(self, name: str) -> str | None:
        """The value; the last where a form sent two."""
        return self.values[name][-1] if name in self.values else None

    def many(self, name: str) -> Sequence[str]:
        """Every value."""
        return self.values.get(name, [])

    def typed(self, name: str) -> str | None:
        """What somebody wrote, cut where nobody would write on."""
        value = self.one(name)
        return None if value is None else value[:LONGEST]


@dataclass(frozen=True, slots=True)
class Page:
    """A template and its values."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Found:
    """The products of one page of a search, out of those that were found up to its end."""

    rows: Sequence[Mapping[str, Any]]
    number: int
    """Of the page, from 1."""
    more: bool
    """Whether something comes after them."""
    previous: str | None
    """The page before; None on the first one."""
    next: str | None
    """The page after; None where nothing comes after them, or where no search goes further."""

    @classmethod
    def cut(cls, rows: Sequence[Mapping[str, Any]], number: int, deepest: int, address: Callable[[int], str]) -> Found:
        """The page ``number`` of ``rows``, the first of an order; ``address`` is that of a page."""
        more = len(rows) > number * PAGE
        return cls(
            rows[(number - 1) * PAGE : number * PAGE],
            number,
            more,
            address(number - 1) if number > 1 else None,
            address(number + 1) if more and number < deepest else None,
        )

    @property
    def first(self) -> int:
        """The place of the first of them, from 1."""
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        """The place of the last of them."""
        return self.first + len(self.rows) - 1


class Pages:
    """The pages for people; :func:`kg.app.api.application` takes them as its ``face``."""

    def __init__(
        self,
        searcher: Callable[[], Searching],
        asker: Callable[[], Asking],
        *,
        keys: Sequence[str] = (),
        script: bytes | None = None,
    ) -> None:
        self._searcher = searcher
        self._asker = asker
        self._door = Door(keys)
        self._kept = Kept()
        self._files = {
            "shop.css": ((_HERE / "static" / "shop.css").read_bytes(), "text/css; charset=utf-8"),
            "icon.svg": ((_HERE / "static" / "icon.svg").read_bytes(), "image/svg+xml"),
        }
        if script is not None:
            self._files["htmx.js"] = (script, "text/javascript; charset=utf-8")
        self._templates = _templates(locked=self._door.locked, scripted=script is not None)
        self._pages: dict[str, Callable[[Reader, Asked], Page]] = {
            "/": _home,
            "/search": self._search,
            "/product": _product,
            "/user": _user,
            "/why": _why,
            "/ask": self._ask,
            "/trends": _trends,
        }

    # --- what the API's server asks of its face

    def add_routes(self, app: FastAPI, server: Server) -> None:
        """Add the pages to the application."""
        for path, page in self._pages.items():
            app.router.routes.append(Route(path, self._endpoint(server, page), methods=["GET"]))
        app.router.routes.append(Route("/static/{name}", self._static, methods=["GET"]))
        if self._door.locked:
            app.router.routes.append(Route("/login", self._login, methods=["GET", "POST"]))
            app.router.routes.append(Route("/logout", self._logout, methods=["POST"]))

    def admits(self, path: str, cookies: str) -> bool:
        """Whether this path is a page, and open to a caller without a key who sends these cookies."""
        if path.startswith("/static/") or path in ("/login", "/logout"):
            return True
        return path in self._pages and self._door.admits(cookies)

    def refusal(self, path: str, query: str, problem: Problem) -> Response | None:
        """The way to the door, for somebody who wants a page and has no key; ``None`` where the path is no page."""
        if problem.status != 401 or path not in self._pages:
            return None
        target = f"{path}?{query}" if query else path
        return _moved("/login" if target == "/" else f"/login?{urlencode({'next': target})}")

    def problem(self, problem: Problem) -> Response:
        """A page that says what is wrong and where to go on."""
        page = Page("problem.html", {"sentence": problem.sentence}, problem.status)
        return self._response(page, problem.headers)

    # --- the rim

    def _endpoint(self, server: Server, page: Callable[[Reader, Asked], Page]) -> Callable[[Request], Any]:
        def made(asked: Asked) -> Response:  # runs in a thread
            return self._response(page(Reader(server, self._kept), asked))

        async def endpoint(request: Request) -> Response:
            asked = Asked.by(request)
            try:
                slot = await server.slots.take()
                try:
                    return await slot.call(lambda: made(asked), server.limits.timeout_s + GRACE_S)
                finally:
                    slot.release()
            except Exception as error:
                if (problem := problem_of(error, server.limits.timeout_s)) is None:
                    raise
                if problem.refused is not None:
                    server.metrics.refused(problem.refused)
                return self.problem(problem)

        return endpoint

    def _response(self, page: Page, headers: Mapping[str, str] | None = None) -> Response:
        html = self._templates.get_template(page.template).render(page.values)
        return Response(html, page.status, {**HEADERS, **(headers or {})}, "text/html; charset=utf-8")

    async def _static(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            return self.problem(Problem(404, "There is no such file."))
        body, kind = found
        # Looked at again each time the server starts anew; small enough to be sent again.
        return Response(body, 200, {**HEADERS, "Cache-Control": "no-cache"}, kind)

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return self._response(Page("login.html", {"next": within(request.query_params.get("next", "/"))}))
        try:
            body = await read_body(request, LONGEST_LOGIN)
        except (Problem, ClientDisconnect) as error:
            return self.problem(error if isinstance(error, Problem) else Problem(400, "The request broke off."))
        given = parse_qs(body.decode("utf-8", "replace"))
        key, target = given.get("key", [""])[0].strip(), within(given.get("next", ["/"])[0])
        if not self._door.knows(key):
            return self._response(Page("login.html", {"next": target, "wrong": True}, 401))
        answer = _moved(target)
        # By https where a proxy before us says so: then the cookie is never sent without it.
        secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(COOKIE, digest(key), httponly=True, samesite="strict", secure=secure)
        return answer

    async def _logout(self, _request: Request) -> Response:
        answer = _moved("/login")
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    # --- the two pages for which models are needed

    def _search(self, reader: Reader, asked: Asked) -> Page:
        text = asked.typed("q")
        filters: dict[str, Any] = {
            "category": asked.one("category"),
            "brand": asked.one("brand"),
            "attributes": asked.many("attribute"),
            "min_price": asked.one("min_price"),
            "max_price": asked.one("max_price"),
        }
        number, deepest = _number_of(asked), max(1, (reader.most_rows - 1) // PAGE)
        if text is not None:
            deepest = min(deepest, DEEPEST)
        if number > deepest:
            raise Problem(404, f"A search goes no further than its page {deepest}. Type another word, or add a filter.")
        prepared: Prepared | None = None
        rows: Sequence[Mapping[str, Any]] = ()
        if text is not None:
            (prepared,) = self._searcher().prepare([text], left_s=reader.left_s)
            # One more than is shown tells whether there is a page after it. The pages after the first are cut from one
            # answer: where filters let few through, how many are asked for decides how far the indexes are read.
            limit = min((PAGE if number == 1 else deepest * PAGE) + 1, reader.most_rows)
            rows = self._searcher().run(prepared, **filters, limit=limit, left_s=reader.left_s)
        elif any(filters.values()):
            rows = reader.rows("search/by_attributes", **filters, limit=number * PAGE + 1)
        found = Found.cut(rows, number, deepest, lambda page: _search_at(text, filters, page))
        category = filters["category"]
        shelves = reader.kept("search/shelves")
        below = reader.kept("search/shelves", category=category) if category else ()
        facets = reader.kept("search/facets", category=category, values=6, limit=6) if category else ()
        return Page(
            "search.html",
            {
                "text": text or "",
                "corrected": prepared.corrected if prepared is not None and prepared.corrected != text else None,
                "found": found,
                "turned": asked.one("page") is not None,
                "asked": bool(text or any(filters.values())),
                "filters": filters,
                "shelves": shelves,
                "below": below,
                "facets": facets,
            },
        )

    def _ask(self, reader: Reader, asked: Asked) -> Page:
        question, skus = asked.typed("question"), asked.many("sku")
        answer = self._asker().ask(question, skus, left_s=reader.left_s) if question else None
        return Page("ask.html", {"question": question or "", "skus": skus, "answer": answer})


def _number_of(asked: Asked) -> int:
    """Which page of a search, from 1."""
    given = asked.one("page") or "1"
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given) > 0):
        raise Problem(422, f"The page of a search is expected as a number from 1, found {given[:20]!r}.")
    return int(given)


def _search_at(text: str | None, filters: Mapping[str, Any], page: int) -> str:
    """Where a page of this search is. The fragment leads behind the filters, where the products begin."""
    given = {"q": text, **filters, "attributes": None, "attribute": filters["attributes"], "page": page}
    return f"/search?{urlencode({name: value for name, value in given.items() if value}, doseq=True)}#count"


class Reader:
    """Runs the queries of one page within the server's limits, users under their pseudonyms.

    The time limit is the page's, which holds a slot meanwhile: each query has what those before it have left.
    """

    def __init__(self, server: Server, kept: Kept) -> None:
        self._server = server
        self._kept = kept
        self.left_s = time_left(server.limits.timeout_s)

    @property
    def names_users(self) -> bool:
        """Whether an id that the graph gives is one that a page can be asked for: not so with pseudonyms."""
        return self._server.pseudonym is str

    @property
    def most_rows(self) -> int:
        """Most rows of a query."""
        return self._server.limits.max_rows

    def rows(self, name: str, **given: Any) -> Rows:
        """The rows of a query, no more than the server gives."""
        query, given = self._prepared(name, given)
        if "limit" in given:
            given["limit"] = min(given["limit"], self.most_rows)
        return catalogue.run(self._server.store, query, given, timeout_s=self.left_s(), max_rows=self.most_rows)

    def kept(self, name: str, **given: str | int | None) -> Rows:
        """The rows of a query that names no user, at most a minute old."""
        return self._kept((name, *sorted(given.items())), lambda: self.rows(name, **given))

    def knows(self, name: str, **given: Any) -> bool:
        """Whether the graph has what the parameters of a query name."""
        query, given = self._prepared(name, given)
        reason = catalogue.why_empty(self._server.store, query, given, timeout_s=self.left_s())
        return reason == catalogue.NOTHING_MATCHES

    def _prepared(self, name: str, given: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        query = catalogue.find(name, self._server.queries)
        return query, catalogue.with_pseudonyms(query, given, self._server.pseudonym)


# --- pages that only read -------------------------------------------------------------------------------------


def _home(reader: Reader, _asked: Asked) -> Page:
    return Page("home.html", {"shelves": reader.kept("search/shelves")})


def _product(reader: Reader, asked: Asked) -> Page:
    sku = asked.one("sku")
    found = reader.rows("product/profile", sku=sku) if sku else ()
    if not found:
        raise Problem(404, "This shop has no product with that number. Look for it by its name instead.")
    profile = found[0]
    over_time = reader.rows("insight/sentiment_over_time", sku=sku, every="quarter")
    by_aspect = words.grouped((r for r in over_time if r["aspect"] is not None), "aspect")
    summary = reader.rows("product/reviews_summary", sku=sku)
    return Page(
        "product.html",
        {
            "product": profile,
            "brand": brand_key(profile["brand"]) if profile["brand"] else None,
            "stated": [a for a in profile["attributes"] if set(a["sources"]) != {"extraction"}],
            "facts": [f for f in words.facts_of(reader.rows("product/why", sku=sku)) if f.type not in words.OPINIONS],
            "opinions": summary,
            "compared": reader.rows("product/compared", sku=sku, limit=6),
            "stars": _if_moving(charts.line([r for r in over_time if r["aspect"] is None], "rating", 1.0, 5.0)),
            "sentiment": [
                (aspect, line)
                for aspect in [r["aspect"] for r in summary][:3]
                if (line := _if_moving(charts.line(by_aspect.get(aspect, ()), "share", 0.0, 1.0, percent=True)))
            ],
            "drawing": drawing(reader.rows("product/neighbourhood", sku=sku), profile["sku"]),
            "similar": reader.rows("recommend/similar_products", sku=sku, limit=6),
            "accessories": reader.rows("recommend/accessories", sku=sku, limit=6),
            "buyers": reader.rows("insight/audience", sku=sku, limit=5) if reader.names_users else (),
        },
    )


def _if_moving(line: charts.Line) -> charts.Line | None:
    """A chart of one value in time shows nothing that the value does not."""
    return line if len(line.points) > 1 else None


def _user(reader: Reader, asked: Asked) -> Page:
    user = asked.one("user")
    filters = {name: asked.one(name) for name in ("category", "min_price", "max_price")}
    shelves = reader.kept("search/shelves")
    if user is None:
        segments = reader.rows("insight/segments", members=3, limit=6) if reader.names_users else ()
        return Page("user.html", {"user": None, "segments": segments, "shelves": shelves, "filters": filters})
    if not reader.knows("recommend/for_user", user=user):
        raise Problem(
            404,
            "This shop knows no customer of that name. Check the spelling: capital letters count, and so do blanks.",
        )
    if any(filters.values()):
        rows = reader.rows("recommend/for_user_filtered", user=user, **filters, limit=12)
    else:
        rows = reader.rows("recommend/for_user", user=user, limit=12)
    return Page(
        "user.html",
        {
            "user": user,
            "rows": rows,
            "interests": words.grouped(reader.rows("insight/user_profile", user=user, per_kind=5), "kind"),
            "because": reader.rows("recommend/because_you", user=user, shelves=3, limit=4),
            "shelves": shelves,
            "filters": filters,
        },
    )


def _why(reader: Reader, asked: Asked) -> Page:
    user, sku = asked.one("user"), asked.one("sku")
    profile = reader.rows("product/profile", sku=sku, limit=1) if sku else ()
    if user is None or not profile:
        raise Problem(404, "To explain a recommendation a customer and a product of this shop must be named.")
    paths = reader.rows("recommend/explain", user=user, sku=sku, limit=5)
    if not paths and not reader.knows("recommend/explain", user=user, sku=sku):
        raise Problem(404, "This shop knows no customer of that name, so there is nothing to explain.")
    evidence = [
        [
            step
            for step in reader.rows("recommend/explain_path", path=path["steps"], per_step=2)
            if step["sentence"] is not None
        ]
        for path in paths
    ]
    return Page(
        "why.html",
        {"user": user, "product": profile[0], "paths": list(zip(paths, evidence, strict=True))},
    )


def _trends(reader: Reader, asked: Asked) -> Page:
    shelves = reader.kept("search/shelves")
    category = asked.one("category") or (shelves[0]["category"] if shelves else None)
    days = asked.one("days") or "28"
    if category is None:
        return Page("trends.html", {"category": None, "shelves": shelves, "days": days})
    if not reader.knows("search/facets", category=category):
        raise Problem(404, "This shop has no shelf of that name. Choose one from the list of shelves.")
    found = reader.rows("insight/trends", category=category, days=days, least=3, limit=50)
    rising = words.grouped((r for r in found if r["p"] <= BY_CHANCE), "kind")
    over_time = reader.rows("insight/sentiment_over_time", category=category, every="quarter")
    by_aspect = words.grouped((r for r in over_time if r["aspect"] is not None), "aspect")
    spoken_of = sorted(by_aspect, key=lambda a: (-sum(r["praised"] + r["criticised"] for r in by_aspect[a]), a))
    return Page(
        "trends.html",
        {
            "category": category,
            "shelves": shelves,
            "days": days,
            "rising": {kind: charts.bars(rows[:10]) for kind, rows in rising.items()},
            "stars": _if_moving(charts.line([r for r in over_time if r["aspect"] is None], "rating", 1.0, 5.0)),
            "sentiment": [
                (aspect, line)
                for aspect in spoken_of[:6]
                if (line := _if_moving(charts.line(by_aspect[aspect], "share", 0.0, 1.0, percent=True)))
            ],
        },
    )


# --- the templates --------------------------------------------------------------------------------------------


def _templates(*, locked: bool, scripted: bool) -> jinja2.Environment:
    """Every value is escaped; a name that a template misspells is an error."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    names = (words.term, words.beside, words.stated, words.verb, words.money, words.percent, words.stars)
    for function in (*names, words.day, words.shelf, words.begun):
        found.filters[function.__name__] = function
    found.globals.update(
        locked=locked,
        scripted=scripted,
        marked=words.marked,
        shares=words.shares,
        sources=words.SOURCES,
        kinds=words.KINDS,
    )
    return found


def _moved(target: str) -> Response:
    # A header is Latin-1, and a link that somebody wrote may hold any letters.
    return Response(status_code=303, headers={**HEADERS, "Location": quote(target, safe=_OF_URLS)})


_OF_URLS: Final = "%/?#[]@!$&'()*+,;=:~"
"""Characters that a URL holds as they are; what is escaped already is one of them."""
