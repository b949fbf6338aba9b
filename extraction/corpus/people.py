"""Who is kept out of rejects: fields that name people, in a row that was read and in a line that was not.

Rejects are mailed to whoever made the file, and kept after the person asked to be
forgotten, so they say of a bad record what it is about, not of whom.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

FIELDS: Final = ("user", "friends", "reviewerID", "reviewerName")
"""Fields whose values name people; in a file that writes them in other case they do so too."""

_FOLDED: Final = frozenset(name.casefold() for name in FIELDS)

# A line that is broken, or cut off, may end within each of these.
_STATED = re.compile(
    rf"""(["'](?:{"|".join(FIELDS)})["']\s*:\s*)"""
    r"""("(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|\[(?:"(?:[^"\\]|\\.)*+"?|[^\]"])*+\]?|\{.*|[^,}]*)""",
    re.IGNORECASE | re.DOTALL,
)


def names_people(field: str) -> bool:
    """Whether the values of a field name people."""
    return field.casefold() in _FOLDED


def without_people(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without the fields that name people."""
    return {name: value for name, value in row.items() if not names_people(name)}


def line_without_people(line: str) -> str:
    """A line of JSON, broken perhaps, with nothing in the fields that name people."""
    return _STATED.sub(r'\1""', line)
