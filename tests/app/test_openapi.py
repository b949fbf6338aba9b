"""The header's words as JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kg.app.given import from_url
from kg.app.openapi import by_url, parameter_schema, url_schema
from kg.catalogue import load
from kg.queries import bind, parse

QUERIES = load()
JSON_TEXT = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"type": "object"}}


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        ("STRING", {"type": "string", "maxLength": 10_000}),
        ("STRING = null", {"type": ["string", "null"], "maxLength": 10_000, "default": None}),
        ("STRING in day|week = 'day'", {"type": "string", "enum": ["day", "week"], "default": "day"}),
        ("STRING in day|week = null", {"type": ["string", "null"], "enum": ["day", "week", None], "default": None}),
        ("INTEGER", {"type": "integer", "minimum": 0, "maximum": 1_000_000}),
        ("INTEGER in 1..365 = 30", {"type": "integer", "minimum": 1, "maximum": 365, "default": 30}),
        ("FLOAT in -1..1.5", {"type": "number", "minimum": -1.0, "maximum": 1.5}),
        ("BOOLEAN = true", {"type": "boolean", "default": True}),
        ("ZONED DATETIME = null", {"type": ["string", "null"], "format": "date-time", "default": None}),
        ("LIST<STRING>", {"type": "array", "items": {"type": "string"}, "maxItems": 5000}),
        ("LIST<MAP> = []", {"type": "array", "items": {"type": "object"}, "maxItems": 5000, "default": []}),
    ],
)
def test_a_parameter_in_the_words_of_json_schema(declared: str, schema: dict[str, Any]) -> None:
    assert parameter_schema(parameter("v", declared), max_rows=77) == schema


@pytest.mark.parametrize("name", QUERIES)
def test_what_is_described_of_a_url_is_taken(name: str) -> None:
    """A generated client sends texts, and lists as a name again; of an object it would make a name for each member."""
    query = QUERIES[name]
    sent = []
    for described in by_url(query, 1000, 1000)["parameters"]:
        schema = described["schema"]
        assert "object" not in (schema["type"], schema.get("items", {}).get("type")), described
        value = described.get("example", schema.get("default"))
        sent += [(described["name"], as_sent(v)) for v in (value if isinstance(value, list) else [value])]
        assert "contentSchema" not in schema or json.loads(described["example"]) is not None
    bound = bind(query, from_url(query, [(key, value) for key, value in sent if value is not None]))
    assert {key: bound[key] for key in query.example} == {key: bind(query, query.example)[key] for key in query.example}


def as_sent(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        ("MAP", JSON_TEXT),
        ("MAP = {}", {**JSON_TEXT, "default": "{}"}),
        ("MAP = null", {**JSON_TEXT, "type": ["string", "null"], "default": None}),
        ("LIST<MAP> = []", {"type": "array", "items": JSON_TEXT, "maxItems": 5000, "default": []}),
    ],
)
def test_in_a_url_a_map_is_a_text_that_is_json(declared: str, schema: dict[str, Any]) -> None:
    assert url_schema(parameter("v", declared), max_rows=77) == schema


def test_the_most_rows_bound_a_limit() -> None:
    schema = parameter_schema(parameter("limit", "INTEGER = 10"), max_rows=77)
    assert schema == {"type": "integer", "minimum": 1, "maximum": 77, "default": 10}


def parameter(name: str, declared: str) -> Any:
    values = {"INTEGER": "3", "FLOAT": "0.5", "MAP": "{}"}.get(declared.partition(" ")[0], '"day"')
    values = "[]" if declared.startswith("LIST") else values
    example = "" if "=" in declared else f'"{name}": {values}'
    query = parse(
        f"// title: T\n// description: D.\n// param {name}: {declared} -- a value\n// example: {{{example}}}\n"
        f"// returns: v MAP\n\nRETURN ${name} AS v\n",
        name="test/query",
    )
    return query.parameters[0]
