"""The header's words as JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from kg.app.openapi import parameter_schema
from kg.queries import parse


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


def test_the_most_rows_bound_a_limit() -> None:
    schema = parameter_schema(parameter("limit", "INTEGER = 10"), max_rows=77)
    assert schema == {"type": "integer", "minimum": 1, "maximum": 77, "default": 10}


def parameter(name: str, declared: str) -> Any:
    values = {"INTEGER": "3", "FLOAT": "0.5"}.get(declared.partition(" ")[0], '"day"')
    values = "[]" if declared.startswith("LIST") else values
    example = "" if "=" in declared else f'"{name}": {values}'
    query = parse(
        f"// title: T\n// description: D.\n// param {name}: {declared} -- a value\n// example: {{{example}}}\n"
        f"// returns: v MAP\n\nRETURN ${name} AS v\n",
        name="test/query",
    )
    return query.parameters[0]
