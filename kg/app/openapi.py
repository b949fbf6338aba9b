"""The catalogue in the words of OpenAPI 3.1: what a header says, as JSON Schema, with its example.

Only descriptions are made here. What comes in is checked by
:func:`kg.queries.bind`, the same for the API, the command line and the
tests, so that there is one rule and one sentence that states it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from kg.queries import MOST_CHARACTERS, MOST_ITEMS, Parameter, Query

Json = dict[str, Any]

NDJSON: Final = "application/x-ndjson"

_TYPES: Final[Mapping[str, Json]] = {
    "STRING": {"type": "string"},
    "INTEGER": {"type": "integer"},
    "FLOAT": {"type": "number"},
    "BOOLEAN": {"type": "boolean"},
    "ZONED DATETIME": {"type": "string", "format": "date-time"},
    "MAP": {"type": "object"},
}

PROBLEMS: Final[Mapping[int, str]] = {
    401: "The key is missing or wrong.",
    413: "The body is too long.",
    422: "A parameter is missing, unknown, of the wrong type or out of bounds. Nothing was run.",
    502: "Neo4j failed at this query.",
    503: "Neo4j does not answer, or too many queries run; try again.",
    504: "The query took too long and was ended.",
}
"""Statuses with which a query may be answered beside 200, each with one sentence under ``error``."""

SECURITY: Final[Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def type_schema(type_: str, *, nullable: bool = False) -> Json:
    """The JSON Schema of a type of :data:`kg.queries.TYPES`."""
    if type_.startswith("LIST<"):
        schema: Json = {"type": "array", "items": type_schema(type_[5:-1])}
    else:
        schema = dict(_TYPES[type_])
    if nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def parameter_schema(parameter: Parameter, max_rows: int) -> Json:
    """Type, bounds, choices and default of a parameter; ``max_rows`` is the most that ``limit`` may be."""
    schema = type_schema(parameter.type, nullable=parameter.nullable)
    if parameter.name == "limit":
        schema |= {"minimum": 1, "maximum": max_rows}
    elif parameter.bounds is not None:
        schema |= {"minimum": parameter.bounds[0], "maximum": parameter.bounds[1]}
    if parameter.choices:
        schema["enum"] = [*parameter.choices, *([None] if parameter.nullable else [])]
    elif parameter.type == "STRING":
        schema["maxLength"] = MOST_CHARACTERS
    elif parameter.type.startswith("LIST<"):
        schema["maxItems"] = MOST_ITEMS
    if not parameter.required:
        schema["default"] = min(parameter.default, max_rows) if parameter.name == "limit" else parameter.default
    return schema


def url_schema(parameter: Parameter, max_rows: int) -> Json:
    """:func:`parameter_schema` where the parameter stands in a URL: there a map is a text, which is JSON."""
    schema = parameter_schema(parameter, max_rows)
    if parameter.type == "MAP":
        schema |= {**_json_text("MAP"), "type": ["string", "null"] if parameter.nullable else "string"}
        if schema.get("default") is not None:
            schema["default"] = orjson.dumps(schema["default"]).decode()
    elif parameter.type == "LIST<MAP>":
        schema["items"] = _json_text("MAP")
        if schema.get("default"):
            schema["default"] = in_url(parameter, schema["default"])
    return schema


def _json_text(type_: str) -> Json:
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": type_schema(type_)}


def in_url(parameter: Parameter, value: Any) -> Any:
    """A value as a URL gives it: a map as JSON text, a list of maps as such texts."""
    if parameter.type == "MAP":
        return orjson.dumps(value).decode()
    return [orjson.dumps(item).decode() for item in value] if parameter.type == "LIST<MAP>" else value


def _url_example(query: Query, parameter: Parameter) -> Json:
    if parameter.name in query.example:
        return {"example": in_url(parameter, query.example[parameter.name])}
    # Of all types this is the one whose form in a URL nobody guesses.
    return {"example": '{"key":1.0}'} if parameter.type == "MAP" else {}


def _doc(parameter: Parameter, max_stream_rows: int) -> str:
    if parameter.name != "limit":
        return parameter.doc
    return f"{parameter.doc}; of a stream ({NDJSON}) up to {max_stream_rows}"


def by_url(query: Query, max_rows: int, max_stream_rows: int) -> Json:
    """What a GET of the query takes: each parameter in the URL, a list as the same name again, a map as JSON text.

    A schema cannot say that a greater ``limit`` is taken with another ``Accept``: that stands in the description.
    """
    return {
        "operationId": query.name.replace("/", "_"),
        "parameters": [
            {
                "name": p.name,
                "in": "query",
                "required": p.required,
                "description": _doc(p, max_stream_rows),
                "schema": url_schema(p, max_rows),
                **_url_example(query, p),
            }
            for p in query.parameters
        ],
        "responses": _responses(query),
    }


def by_body(query: Query, max_rows: int, max_stream_rows: int) -> Json:
    """What a POST of the query takes: a JSON object with a member for each parameter. See :func:`by_url`."""
    return {
        "operationId": f"{query.name.replace('/', '_')}_by_body",
        "requestBody": _body(query, max_rows, lambda p: _doc(p, max_stream_rows)),
        "responses": _responses(query),
    }


def typed(query: Query, max_rows: int, answer: Json) -> Json:
    """What a POST of :mod:`kg.app.typed` takes and answers, which is no query but is described like one."""
    return {
        "operationId": query.name,
        "requestBody": _body(query, max_rows, lambda p: p.doc),
        "responses": {
            "200": {"description": "The answer.", "content": {"application/json": {"schema": answer}}},
            **_problems({503: _UNREAD}),
        },
    }


_UNREAD: Final = "Neo4j does not answer, too many queries run, or a model that reads texts is missing here."
"""What 503 means where a text is read."""


def _body(query: Query, max_rows: int, doc: Callable[[Parameter], str]) -> Json:
    schema = {
        "type": "object",
        "properties": {p.name: {"description": doc(p), **parameter_schema(p, max_rows)} for p in query.parameters},
        "required": [p.name for p in query.parameters if p.required],
        "additionalProperties": False,
    }
    return {
        "required": bool(schema["required"]),
        "content": {"application/json": {"schema": schema, "example": dict(query.example)}},
    }


def row_schema(query: Query) -> Json:
    """One row of the query."""
    return {
        "type": "object",
        "properties": {c.name: type_schema(c.type, nullable=True) for c in query.returns},
        "required": [c.name for c in query.returns],
    }


def rows_schema(query: Query, added: Mapping[str, Json] | None = None) -> Json:
    """An answer in one piece, with what else it may hold."""
    return {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": row_schema(query)},
            "truncated": {"type": "boolean", "description": "Whether there was more than the server gives."},
            "reason": {
                "type": ["string", "null"],
                "description": "Why there is no row, or that the user named is unknown and the rows are anybody's.",
            },
            **(added or {}),
        },
        "required": ["rows", "truncated", "reason"],
    }


def _responses(query: Query) -> Json:
    return {
        "200": {
            "description": "The rows, in the query's order.",
            "content": {
                "application/json": {"schema": rows_schema(query)},
                NDJSON: {
                    "schema": {
                        "type": "string",
                        "description": 'A row a line as it is found, then {"_end": {…}} with rows, truncated, '
                        "reason and error.",
                    }
                },
            },
        },
        **_problems(),
    }


def _problems(others: Mapping[int, str] | None = None) -> Json:
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    return {
        str(status): {"description": words, "content": {"application/json": {"schema": error}}}
        for status, words in {**PROBLEMS, **(others or {})}.items()
    }


def with_security(document: Json, open_paths: Sequence[str]) -> Json:
    """``document`` for a server that asks for keys, save on ``open_paths``."""
    document.setdefault("components", {})["securitySchemes"] = SECURITY
    document["security"] = [{name: []} for name in SECURITY]
    for path in open_paths:
        for operation in document["paths"].get(path, {}).values():
            operation["security"] = []
    return document
