"""Options that several commands take in the same form."""

from __future__ import annotations

from collections.abc import Sequence

from kg.errors import QueryError


def pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """What was given as NAME=VALUE, by name; the last of a name counts.

    Raises:
        QueryError: one has no equals sign.
    """
    found = {}
    for item in given or ():
        name, sep, value = item.partition("=")
        if not sep:
            raise QueryError(f"{option} {item!r}: expected NAME=VALUE.")
        found[name] = value
    return found
