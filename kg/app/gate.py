"""The gate: the first and the last to see a request. Asks for the key, counts the answer.

Without keys it lets in who reaches the server under a name of this machine itself,
and no page of another site that asks through a visitor's browser.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Final, Protocol
from urllib.parse import urlsplit

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg.app import metrics
from kg.app.responses import Problem, error_answer

OPEN: Final = ("/health", "/health/live")
"""Paths that need no key: whoever watches the process must not need a secret for it."""

SEARCH: Final = "/search"
ASK: Final = "/ask"
"""Paths of what somebody typed (:mod:`kg.app.typed`): posted by programs, while a page of that path is for people."""


class Entrance(Protocol):
    """How people come to the pages, who send no key in a header."""

    def admits(self, path: str, cookies: str) -> bool:
        """Whether this path is a page, and open to a caller without a key who sends these cookies."""

    def refusal(self, path: str, query: str, problem: Problem) -> Response | None:
        """What somebody gets in place of a page for which a key is needed; ``None`` where the path is no page."""


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
        face: Entrance | None = None,
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
