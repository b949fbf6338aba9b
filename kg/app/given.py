"""What a request gives: the parameters of a query in its URL or its body. What they may be says the query's header."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import orjson
from fastapi import Request

from kg.app.responses import Problem
from kg.errors import ParameterError
from kg.queries import Query

_BODY_S: Final = 10.0
"""Longest time a body may take to come."""


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
