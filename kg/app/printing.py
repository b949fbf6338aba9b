"""What ``kg`` prints: data as a table or as one JSON value to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
"""The option of a command that prints data."""


def show(data: Any, json: bool, words: str = "") -> None:
    """Print ``data`` as JSON, or ``words`` in its place, or without any the data as a table or line by line."""
    if json:
        sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS))
        sys.stdout.flush()
    elif words:
        out.print(words, markup=False)
    elif isinstance(data, list):
        _print_rows(data)
    else:
        for name, value in data.items():
            out.print(f"{name}: {short(value)}", markup=False)


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(short(value) for value in row.values()))
    # Wrapped at the width of the terminal; a pipe gets whole rows.
    Console(highlight=False, width=None if out.is_terminal else 200, markup=False).print(table)


def short(value: Any) -> str:
    """A value for people: numbers to four places, members and items in one line."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {short(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(short(v) for v in value)
    return str(value)
