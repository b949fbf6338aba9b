"""What somebody typed, over HTTP: ``POST /search`` and ``POST /ask``.

The queries of the catalogue take a vector, and facts, which a caller without the
models cannot make. These two routes make them as ``kg search`` and ``kg ask`` do,
behind the same gate and limits as every query; one request holds one slot and
one time limit, whatever it reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
from fastapi import FastAPI, Response

from kg import catalogue
from kg.app import openapi
from kg.app.answers import Answer
from kg.app.api import Server, time_left
from kg.app.gate import ASK, SEARCH
from kg.app.search import Prepared
from kg.catalogue import Rows
from kg.queries import Column, Parameter, Query

T = TypeVar("T")


class Once(Generic[T]):
    """A value that takes seconds to make: made when first asked for, by whoever asks first."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None

    def __call__(self) -> T:
        """The value."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


class Searching(Protocol):
    """What :class:`kg.app.search.Searcher` does."""

    def prepare(self, texts: Sequence[str], *, left_s: Callable[[], float] | None = None) -> list[Prepared]:
        """Correct and encode searches."""

    def run(
        self, prepared: Prepared, *, user: str | None = None, left_s: Callable[[], float] | None = None, **filters: Any
    ) -> Rows:
        """The rows found."""


class Asking(Protocol):
    """What :class:`kg.app.ask.Asker` does."""

    def ask(self, question: str, skus: Sequence[str] = (), *, left_s: Callable[[], float] | None = None) -> Answer:
        """Answer a question."""


def search_of(products: Query) -> Query:
    """What ``POST /search`` takes, in a query's words: the parameters of ``search/products`` without the vector."""
    own = (
        Parameter("text", "STRING", "what was typed"),
        Parameter("user", "STRING", "the user's id, for an order of this user's own", required=False),
        Parameter("vector", "BOOLEAN", "whether the answer holds the vector, too", required=False, default=False),
    )
    return Query(
        name="search",
        title="Products for what somebody typed",
        description="Corrects the spelling, makes the vector, and runs search/products, or search/personalised for a "
        "user. What was searched for is told in corrected. With vector the answer has it under vector, for callers "
        "who run these queries themselves; it is null for a text without a Latin letter.",
        parameters=own + tuple(p for p in products.parameters if p.name not in ("text", "vector")),
        example={"text": "lether straps for guitars", "max_price": 30.0, "limit": 5},
        returns=products.returns,
        text="",
    )


QUESTION: Final = Query(
    name="ask",
    title="The answer to a customer's question",
    description="Reads a question in English, fetches the facts with search/answer, and answers with the sentences "
    "that say so, or says that it is not known. No language model is asked.",
    parameters=(
        Parameter("question", "STRING", "a customer's question, in English"),
        Parameter("skus", "LIST<STRING>", 'products that "it" or "these" means', required=False, default=[]),
    ),
    example={"question": "Does the leather strap fit the S-200?"},
    returns=(
        Column("question", "STRING"),
        Column("asks", "STRING"),
        Column("verdict", "STRING"),
        Column("text", "STRING"),
        Column("facts", "LIST<MAP>"),
    ),
    text="",
)
"""What ``POST /ask`` takes and answers, in a query's words."""


class Typed:
    """The two routes; :func:`kg.app.api.application` takes them as ``typed``."""

    def __init__(self, searcher: Callable[[], Searching], asker: Callable[[], Asking]) -> None:
        self._searcher = searcher
        self._asker = asker

    def add_routes(self, app: FastAPI, server: Server) -> None:
        """Add the routes to the application."""
        products, personalised = (
            catalogue.find(f"search/{name}", server.queries) for name in ("products", "personalised")
        )
        search = search_of(products)
        most = server.limits.max_rows

        def searched(given: Mapping[str, Any]) -> bytes:  # runs in a thread
            left_s = time_left(server.limits.timeout_s)
            named = catalogue.with_pseudonyms(search, given, server.pseudonym)
            text, wants_vector = named.pop("text"), named.pop("vector")
            (prepared,) = self._searcher().prepare([text], left_s=left_s)
            rows = self._searcher().run(prepared, **named, left_s=left_s)
            if named["user"] is None:
                del named["user"]
            query = personalised if "user" in named else products
            answer = {
                "rows": rows.rows,
                "truncated": rows.truncated,
                "reason": catalogue.notice(server.store, query, {**prepared.parameters, **named}, rows),
                "corrected": prepared.corrected,
            }
            return orjson.dumps(answer | ({"vector": prepared.vector} if wants_vector else {}))

        def asked(given: Mapping[str, Any]) -> bytes:  # runs in a thread
            answer = self._asker().ask(given["question"], given["skus"], left_s=time_left(server.limits.timeout_s))
            return orjson.dumps(answer.as_dict())

        added: dict[str, openapi.Json] = {
            "corrected": {"type": "string", "description": "What was searched for, its spelling corrected."},
            "vector": {"type": ["array", "null"], "items": {"type": "number"}, "description": "If it was asked for."},
        }
        for path, query, work, described in (
            (SEARCH, search, searched, openapi.typed(search, most, openapi.rows_schema(search, added))),
            (ASK, QUESTION, asked, openapi.typed(QUESTION, most, openapi.row_schema(QUESTION))),
        ):
            app.add_api_route(
                path,
                server.posted(query, work),
                methods=["POST"],
                summary=query.title,
                description=query.description,
                tags=["typed"],
                response_class=Response,
                openapi_extra=described,
            )
