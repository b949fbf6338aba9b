"""One field of a record at a time: from what stands in a file to a typed value.

A cell of CSV is always a string, a field of JSON has a type, a column of
Parquet has one of its own; the functions here take all three. Each gets the
row and the name of the field, returns ``None`` (or an empty value) where the
field is absent, and raises :class:`BadRecord` with one sentence where it is
wrong. Absent means: no such key, ``null``, or an empty string.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson

from extraction.corpus.people import names_people
from extraction.corpus.text import clean_line, clean_text, drop_controls
from kg.records import VECTOR_NAME

Row = Mapping[str, Any]

MAX_TEXT: Final = 1_000_000
"""Characters of a title, description or review. What is longer is a log or a file gone astray, not prose,
and one such text would hold up the language model for minutes."""
MAX_KEY: Final = 1_000
"""Characters of an id, a brand or a category: Neo4j refuses index entries of over 8 kB, in UTF-8."""

MAX_QUANTITY: Final = 1_000_000
"""Pieces bought at once. More is a mistake of whoever counted, and what they add up to must fit 64 bits."""

_PRICE = re.compile(r"(?:[$€£¥]\s*)?(?P<number>\d{1,3}(?:,\d{3})+\.\d+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)")
_SECONDS = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_YES: Final = frozenset(("true", "t", "yes", "y", "1"))
_NO: Final = frozenset(("false", "f", "no", "n", "0"))
_INT64: Final = 2**63
_MILLISECONDS_FROM: Final = 1e11
"""A time this great is in milliseconds: in seconds it would lie in the year 5138."""


class BadRecord(Exception):  # noqa: N818  not an error of the program: it becomes a Reject
    """The record cannot be loaded; the message is the reason, in one sentence."""


class Undecodable:
    """Stands in a row for what Python has no value for: a text that is not UTF-8 (Parquet promises that it is,
    and does not check), or a time after the year 9999."""

    def __repr__(self) -> str:
        return "not UTF-8 or beyond all dates"


def key(row: Row, name: str) -> str | None:
    """An id: any string, or a number, which becomes its digits."""
    return _as_key(row.get(name), name)


def required_key(row: Row, name: str) -> str:
    """An id that must be there."""
    found = _as_key(row.get(name), name)
    if found is None:
        raise BadRecord(f"{name} is missing.")
    return found


def line(row: Row, name: str, limit: int = MAX_KEY) -> str | None:
    """A name: cleaned text on one line."""
    return _as_line(row.get(name), name, limit)


def title(row: Row, name: str) -> str:
    """A headline: cleaned text on one line, as long as a text may be."""
    value = _as_text(row.get(name), name)
    return clean_line(value) if value else ""


def text(row: Row, name: str) -> str:
    """Cleaned prose; a list of strings is taken for its paragraphs."""
    value = row.get(name)
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        value = "\n".join(value)
    value = _as_text(value, name)
    return clean_text(value) if value else ""


def number(row: Row, name: str) -> float | None:
    """A finite number."""
    value = row.get(name)
    if value is None or value == "":
        return None
    return _as_number(value, name)


def rating(row: Row, name: str) -> float | None:
    """Stars, 1 to 5."""
    found = number(row, name)
    if found is not None and not 1 <= found <= 5:
        raise BadRecord(f"{name} is {found:g}; expected 1 to 5.")
    return found


def quantity(row: Row, name: str) -> float | None:
    """How much of something was taken, more than 0 and at most :data:`MAX_QUANTITY`: pieces, or metres of cloth."""
    found = number(row, name)
    if found is not None and not 0 < found <= MAX_QUANTITY:
        raise BadRecord(f"{name} is {found:.15g}; expected more than 0 and at most {MAX_QUANTITY:,}.")
    return found


def price(row: Row, name: str) -> float | None:
    """A price, 0 or more; as a string also with a currency sign or as ``1,299.00``."""
    value = row.get(name)
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        if (match := _PRICE.fullmatch(value)) is not None:
            value = match["number"].replace(",", "")
    found = None if value is None else _as_number(value, name)
    if found is not None and found < 0:
        raise BadRecord(f"{name} is negative ({found:g}).")
    return found


def integer(row: Row, name: str) -> int | None:
    """A whole number."""
    value = row.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        whole = value
    else:
        found = _as_number(value, name)
        whole = int(found)
        if whole != found:
            raise BadRecord(f"{name} is {found:g}, not a whole number.")
    if not -_INT64 <= whole < _INT64:
        raise BadRecord(f"{name} is {whole:.3g}, beyond 64 bits.")
    return whole


def flag(row: Row, name: str) -> bool | None:
    """True or false; also 1 and 0, yes and no, y and n, t and f."""
    value = row.get(name)
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _YES or word in _NO:
        return word in _YES
    if value == "":
        return None
    raise BadRecord(f"{name} is {_shown(value)}, neither true nor false.")


def moment(row: Row, name: str) -> datetime | None:
    """A time: ISO 8601, UTC where it names no zone, or Unix seconds (as a number or in digits). In UTC."""
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = value.strip()
            # Digits alone are seconds, although Python would take some for a date without hyphens.
            value = float(value) if _SECONDS.fullmatch(value) else datetime.fromisoformat(value)
        if isinstance(value, datetime):
            at = value
        elif isinstance(value, date):
            at = datetime.combine(value, time())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return _from_unix(float(value))
        else:
            raise ValueError(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise BadRecord(
            f"{name} is {_shown(value)}; expected ISO 8601 (2024-05-31T18:00:00Z) or Unix seconds."
        ) from None


def currency(row: Row, name: str) -> str | None:
    """A currency by its three letters (ISO 4217)."""
    value = _as_text(row.get(name), name)
    code = (value or "").strip().upper()
    if code and not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise BadRecord(f"{name} is {_shown(value)}; expected three letters, such as EUR.")
    return code or None


def paths(row: Row, name: str) -> tuple[tuple[str, ...], ...]:
    """Paths from the root: a list of them, one path, or text such as ``A > B > C | A > D``."""
    value = _from_json(row.get(name), name)
    if value is None or value == "":
        return ()
    given: Iterable[Any]
    if isinstance(value, str):
        given = value.split("|")
    elif not isinstance(value, list):
        raise BadRecord(f"{name} is {_shown(value)}; expected a list of paths.")
    elif all(isinstance(part, str) and ">" not in part for part in value):
        given = [value]
    else:
        given = value
    found = (_path(path, name) for path in given)
    return tuple(dict.fromkeys(path for path in found if path))


def keys(row: Row, name: str) -> tuple[str, ...]:
    """A list of ids; in plain text they are parted by ``;`` or ``|``."""
    return _as_keys(_from_json(row.get(name), name), name)


def lines(row: Row, name: str) -> tuple[str, ...]:
    """A list of short texts; in plain text they are parted by ``;`` or ``|``."""
    value = _from_json(row.get(name), name)
    found = (_as_line(part, name) for part in _parts(value, name))
    return tuple(dict.fromkeys(part for part in found if part))


def keys_by_kind(row: Row, name: str) -> dict[str, tuple[str, ...]]:
    """Lists of ids by their kind."""
    found = {kind: _as_keys(value, f"{name}.{kind}") for kind, value in _items(row, name)}
    return {kind: ids for kind, ids in found.items() if ids}


def vectors(row: Row, name: str) -> dict[str, tuple[float, ...]]:
    """Lists of finite numbers by their name, which becomes part of a property's."""
    found: dict[str, tuple[float, ...]] = {}
    for kind, value in _items(row, name):
        if value is None:
            continue
        if not VECTOR_NAME.fullmatch(kind):
            raise BadRecord(
                f"{name} holds {_shown(kind)}; expected a name of at most 41 of a-z, 0-9 and _ that begins with a-z."
            )
        if not isinstance(value, list) or not value:
            raise BadRecord(f"{name}.{kind} is {_shown(value)}; expected a list of numbers.")
        found[kind] = tuple(_as_number(x, f"{name}.{kind}") for x in value)
    return found


def _as_key(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        found = value.strip()
        if not found.isprintable():
            found = drop_controls(found).strip()
        if len(found) > MAX_KEY:
            raise BadRecord(f"{name} has {len(found):,} characters; at most {MAX_KEY:,} can be kept.")
        return found or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _INT64 * 2:
        return str(value)
    # Tables turn whole numbers into floats as soon as one of the column is missing.
    if isinstance(value, float | Decimal) and abs(whole := float(value)) < 1e15 and whole.is_integer():
        return str(int(whole))
    raise BadRecord(f"{name} is {_shown(value, name)}, not an id.")


def _as_keys(value: Any, name: str) -> tuple[str, ...]:
    found = (_as_key(part, name) for part in _parts(value, name))
    return tuple(dict.fromkeys(part for part in found if part))


def _as_text(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadRecord(f"{name} is {_shown(value)}, not text.")
    if len(value) > MAX_TEXT:
        raise BadRecord(f"{name} has {len(value):,} characters; a text of more than {MAX_TEXT:,} is not read.")
    return value


def _as_line(value: Any, name: str, limit: int = MAX_KEY) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 100:
        text = _as_text(value, name)
        cleaned = clean_line(text) if text else ""
    else:
        cleaned = _clean_name(value)
    if len(cleaned) > limit:
        raise BadRecord(f"{name} has {len(cleaned):,} characters; at most {limit:,} can be kept.")
    return cleaned or None


@lru_cache(maxsize=1 << 16)
def _clean_name(value: str) -> str:
    return clean_line(value)  # brands and shelves come again and again


def _as_number(value: Any, name: str) -> float:
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            raise BadRecord(f"{name} is {_shown(value)}, not a number.") from None
        if not math.isfinite(found):
            raise BadRecord(f"{name} is {found}, not a finite number.")
        return found
    raise BadRecord(f"{name} is {_shown(value)}, not a number.")


def _from_unix(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS_FROM else seconds, UTC)


def _from_json(value: Any, name: str) -> Any:
    if isinstance(value, str) and value[:1] in "[{" and value:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadRecord(f"{name} holds broken JSON ({error}).") from None
    return value


def _parts(value: Any, name: str) -> Iterable[Any]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return value.replace("|", ";").split(";")
    if isinstance(value, list):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,)
    raise BadRecord(f"{name} is {_shown(value, name)}; expected a list.")


def _items(row: Row, name: str) -> Iterable[tuple[str, Any]]:
    value = _from_json(row.get(name), name)
    if value is None or value == "":
        return ()
    if isinstance(value, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)  # a map of Parquet
    if not isinstance(value, dict):
        raise BadRecord(f"{name} is {_shown(value)}; expected an object of lists.")
    return [(drop_controls(str(kind)).strip(), v) for kind, v in value.items()]


def _path(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(">")
    if not isinstance(value, list):
        raise BadRecord(f"{name} is a list with {_shown(value)} in it; expected paths.")
    found = (_as_line(part, name) for part in value)
    path = tuple(part for part in found if part)
    if sum(map(len, path)) > MAX_KEY:
        raise BadRecord(f"{name} has a path of over {MAX_KEY:,} characters.")
    return path


def _shown(value: Any, name: str = "") -> str:
    """How a value begins; of the field ``name``, if it says who, only of what kind it is."""
    if names_people(name):
        return f"a value of type {type(value).__name__}"
    shown = repr(value)
    return drop_controls(shown if len(shown) <= 60 else shown[:59] + "…")
