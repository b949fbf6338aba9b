"""What the HTTP interface answers: JSON, or ``{"error": one sentence}`` with a status.

An expected error becomes a :class:`Problem` in one place, so that API, pages and
``kg ingest --follow`` say the same of it. Of what went wrong inside it says no more
than what to do; the log of the process has the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import orjson
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from kg.app.slots import BusyError
from kg.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ExtractionError,
    KGError,
    ParameterError,
    QueryError,
    QueryTimeoutError,
)

log = logging.getLogger("kg.api")

HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What is recommended to somebody is nobody else's, and JSON is never a page."""

LATER: Final = {"Retry-After": "1"}
"""Headers of an answer that asks to try again."""


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


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is JSON."""
    return Response(body, status, {**HEADERS, **(headers or {})}, "application/json")


def error_answer(problem: Problem) -> Response:
    """What the sender of a request is told that has a problem."""
    return json_answer(orjson.dumps({"error": problem.sentence}), problem.status, problem.headers)


def accepts(request: Request, media_type: str) -> bool:
    """Whether the sender names this type among those it takes."""
    ranges = request.headers.get("accept", "").split(",")
    return any(r.partition(";")[0].strip().lower() == media_type for r in ranges)


@contextmanager
def problems(timeout_s: float) -> Iterator[None]:
    """Raise expected errors as what the sender of the request is told of them."""
    try:
        yield
    except Exception as error:
        if (problem := problem_of(error, timeout_s)) is None:
            raise
        raise problem from error


def problem_of(error: Exception, timeout_s: float) -> Problem | None:
    """What the sender of a request is told of an expected error; None for one that is a bug.

    Messages of the catalogue are passed on: they are about parameters and headers. So are those about a model that is
    missing, which say what to do, without the folders that they name. Those of the store may hold Cypher and addresses,
    and go to the log.
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
        case ExtractionError():
            log.error("%s", error)
            said = _FOLDERS.sub("", " ".join(str(error).split()))
            return Problem(503, f"What is typed cannot be read here until whoever runs this server sees to it. {said}")
        case KGError():
            log.error("%s", error)
            return Problem(502, "The database failed at this query; the log of this server says how.")
        case ClientDisconnect():
            return Problem(400, "The request broke off.")
    return None


_FOLDERS: Final = re.compile(r"(?<![\w:/.])/(?:[^\s/()'\"]+/)*")
"""What leads to a file in a path of this machine."""
