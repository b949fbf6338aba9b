"""A query file as a value: its header read, and the parameters of a call checked against it. Nothing is run here.

A query file is Cypher that runs unchanged in any Neo4j client. The comment on
top of it is its contract, read here and shown in ``docs/queries.md``::

    // title: Recommendations for one user
    // description: Products near the user's vector, joined with explicit relations;
    //   a line that begins with three spaces goes on where the last one ended.
    // param user: STRING -- the user's id
    // param days: INTEGER in 1..365 = 30 -- how far back to look
    // param sort: STRING in score|price = 'score' -- what to order by
    // param limit: INTEGER = 10 -- most rows to return
    // either: sku, category
    // example: {"user": "anna", "limit": 3}
    // returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

A parameter without ``= default`` must be given; one whose default is ``null``
may be null. ``in`` bounds a number or names the texts that may be given;
without it an INTEGER, which is a count here, may be anything from 0 to a
million, and ``limit`` from 1 to the most rows allowed. The example's parameters
count on the test world ``shop`` (``tests/conftest.py``). ``either``, which may
be left out, names parameters of which one may be given and no second: what is
asked of a product cannot be asked of a shelf at the same time. A blank line, or the
Cypher itself, ends the header.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kg.errors import ParameterError, QueryError

TYPES: Final = ("STRING", "INTEGER", "FLOAT", "BOOLEAN", "ZONED DATETIME", "MAP")
"""The types of parameters and columns; each also as ``LIST<…>``."""

DEFAULT_MAX_ROWS: Final = 10_000
"""Most rows of an answer, and so the greatest ``limit``, unless a caller says otherwise."""

COUNTS: Final = (0, 1_000_000)
"""What an INTEGER may be unless its header says otherwise: rows, days, places. Nothing here means a minus."""

MOST_ITEMS: Final = 5_000
"""Longest list that is taken: a cart of thousands is a mistake, or an attack. Vectors are shorter, too."""

MOST_CHARACTERS: Final = 10_000
"""Longest text that is taken."""

DEEPEST: Final = 10
"""How deep lists and maps may stand in each other: nothing here is deeper than three, and packing them is recursive."""

_RESERVED: Final = frozenset({"timeout_s", "max_rows"})
"""Names that the store takes for itself; a query parameter must not be called so."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One ``$name`` of a query: its type, whether it must be given, and what it means."""

    name: str
    type: str
    """One of :data:`TYPES`, or ``LIST<…>`` of one."""
    doc: str
    required: bool = True
    default: Any = None
    """A JSON value; only meaningful where the parameter is not required."""
    bounds: tuple[float, float] | None = None
    """Least and greatest value of a number; both may be given."""
    choices: tuple[str, ...] = ()
    """The texts that may be given; empty for any."""

    @property
    def nullable(self) -> bool:
        """Whether null may be passed: exactly when null is the default."""
        return not self.required and self.default is None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Query:
    """One file of ``cypher/``."""

    name: str
    """Folder and stem: ``recommend/for_user``."""
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    example: Mapping[str, Any] = field(hash=False)
    """Parameters that give rows on the test world ``shop``."""
    returns: tuple[Column, ...]
    text: str
    """The whole file, header included, as any client runs it."""
    either: tuple[str, ...] = ()
    """Parameters of which at most one may be given; empty where any may be."""

    @property
    def cypher(self) -> str:
        """The text without its header: what a reader wants to see beside the header's facts."""
        lines = self.text.splitlines()
        return "\n".join(lines[_header_length(lines) :]).strip() + "\n"


# --- the header -----------------------------------------------------------------------------------------------

_KEYS: Final = ("title", "description", "param", "either", "example", "returns")
_ENTRY: Final = re.compile(r"//\s?(?P<key>\w+)(?P<subject> \w+)?:\s*(?P<value>.*)")
_CONTINUATION: Final = re.compile(r"//   \s*(?P<value>\S.*)")
_PARAM: Final = re.compile(
    r"(?P<type>[A-Z<> ]+?)\s*(?:in\s+(?P<allowed>\S+)\s*)?(?:=\s*(?P<default>.+?)\s*)?--\s*(?P<doc>\S.*)"
)
_RANGE: Final = re.compile(r"(?P<least>-?\d+(?:\.\d+)?)\.\.(?P<most>-?\d+(?:\.\d+)?)")
_CHOICES: Final = re.compile(r"\w+(?:\|\w+)+")
_COLUMN: Final = re.compile(r"(?P<name>\w+)\s+(?P<type>[A-Z<> ]+)")


@dataclass(slots=True)
class _Entry:
    """One ``// key subject: value`` of the header, its continuation lines joined."""

    line: int
    key: str
    subject: str
    value: str


def parse(text: str, *, name: str, file: Path | str | None = None) -> Query:
    """Read one query file.

    Raises:
        QueryError: naming ``file``, the line, and what was expected there.
    """
    where = str(file or f"{name}.cypher")
    entries = list(_entries(text, where))
    single: dict[str, _Entry] = {}
    parameters: dict[str, Parameter] = {}
    for entry in entries:
        if entry.key == "param":
            if entry.subject in parameters:
                raise _malformed(where, entry.line, f"parameter {entry.subject} once, not twice")
            parameters[entry.subject] = _parse_parameter(entry, where)
        elif entry.key in single:
            raise _malformed(where, entry.line, f"one '{entry.key}:', not two")
        else:
            single[entry.key] = entry
    for key in ("title", "description", "example", "returns"):
        if key not in single:
            raise _malformed(where, 1, f"a line '// {key}: …' in the header")
    query = Query(
        name=name,
        title=single["title"].value,
        description=single["description"].value,
        parameters=tuple(parameters.values()),
        example=_parse_example(single["example"], where),
        returns=_parse_returns(single["returns"], where),
        text=text,
        either=_parse_either(single["either"], parameters, where) if "either" in single else (),
    )
    if query.cypher.strip() == "":
        raise _malformed(where, len(text.splitlines()) or 1, "Cypher after the header")
    try:
        bind(query, query.example)
    except QueryError as error:
        raise _malformed(where, single["example"].line, f"an example that can be run ({error})") from error
    return query


def _header_length(lines: Sequence[str]) -> int:
    return next((n for n, line in enumerate(lines) if not line.startswith("//")), len(lines))


def _entries(text: str, where: str) -> Iterator[_Entry]:
    lines = text.splitlines()
    current: _Entry | None = None
    for number, line in enumerate(lines[: _header_length(lines)], start=1):
        if current is not None and (more := _CONTINUATION.fullmatch(line)):
            current.value = f"{current.value} {more['value']}".strip()
            continue
        entry = _ENTRY.fullmatch(line)
        key = entry["key"] if entry else ""
        if entry is None or key not in _KEYS or (key == "param") != bool(entry["subject"]):
            raise _malformed(
                where,
                number,
                "'// title:', '// description:', '// param NAME:', '// either:', '// example:' or '// returns:', or "
                f"'//   ' and the rest of the line above, or a blank line to end the header; found {line!r}",
            )
        if current is not None:
            yield current
        current = _Entry(number, key, (entry["subject"] or "").strip(), entry["value"].strip())
    if current is not None:
        yield current


def _parse_parameter(entry: _Entry, where: str) -> Parameter:
    match = _PARAM.fullmatch(entry.value)
    if match is None or not _is_type(match["type"]):
        raise _malformed(
            where,
            entry.line,
            f"'// param {entry.subject}: TYPE = default -- meaning' with a type of {', '.join(TYPES)} or LIST<…>; "
            f"found {entry.value!r}",
        )
    if entry.subject in _RESERVED:
        raise _malformed(where, entry.line, f"another parameter name than {entry.subject}, which kg uses itself")
    bounds, choices = _parse_allowed(match["type"], match["allowed"], entry, where)
    if match["default"] is None:
        return Parameter(entry.subject, match["type"], match["doc"], bounds=bounds, choices=choices)
    try:
        default = _literal(match["default"])
    except ValueError:
        raise _malformed(where, entry.line, f"a JSON value or 'text' as default; found {match['default']}") from None
    parameter = Parameter(
        entry.subject, match["type"], match["doc"], required=False, default=default, bounds=bounds, choices=choices
    )
    try:
        _checked(default, parameter)
    except ValueError as error:
        raise _malformed(where, entry.line, f"a default of type {parameter.type}: {error}") from None
    return parameter


def _parse_allowed(
    type_: str, allowed: str | None, entry: _Entry, where: str
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    if allowed is None:
        return (COUNTS if type_ == "INTEGER" and entry.subject != "limit" else None), ()
    if type_ in ("INTEGER", "FLOAT") and (ends := _RANGE.fullmatch(allowed)):
        number = int if type_ == "INTEGER" else float
        least, most = number(ends["least"]), number(ends["most"])
        if least <= most:
            return (least, most), ()
    if type_ == "STRING" and _CHOICES.fullmatch(allowed):
        return None, tuple(allowed.split("|"))
    raise _malformed(
        where, entry.line, f"'in 1..365' for a number or 'in day|week' for a STRING; found {type_} in {allowed}"
    )


def _parse_example(entry: _Entry, where: str) -> Mapping[str, Any]:
    try:
        example = json.loads(entry.value)
    except json.JSONDecodeError as error:
        raise _malformed(where, entry.line, f"a JSON object as example ({error})") from None
    if not isinstance(example, dict):
        raise _malformed(where, entry.line, f"a JSON object as example; found {entry.value!r}")
    return example


def _parse_either(entry: _Entry, parameters: Mapping[str, Parameter], where: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in entry.value.split(","))
    if len(names) < 2 or not all(name in parameters and parameters[name].nullable for name in names):
        raise _malformed(
            where, entry.line, f"two or more of the parameters above whose default is null; found {entry.value!r}"
        )
    return names


def _parse_returns(entry: _Entry, where: str) -> tuple[Column, ...]:
    columns = []
    for part in entry.value.split(","):
        match = _COLUMN.fullmatch(part.strip())
        if match is None or not _is_type(match["type"]):
            raise _malformed(
                where, entry.line, f"columns as 'name TYPE, name TYPE' with TYPE of {', '.join(TYPES)}; found {part!r}"
            )
        columns.append(Column(match["name"], match["type"]))
    return tuple(columns)


def _is_type(name: str) -> bool:
    while name.startswith("LIST<") and name.endswith(">"):
        name = name[5:-1]
    return name in TYPES


def _literal(source: str) -> Any:
    """A default as Cypher writes it: JSON, or text in single quotes."""
    try:
        return json.loads(source)
    except json.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(source)
    except (SyntaxError, ValueError) as error:
        raise ValueError(source) from error


def _malformed(where: str, line: int, expected: str) -> QueryError:
    return QueryError(f"{where}, line {line}: expected {expected}.")


# --- parameters -----------------------------------------------------------------------------------------------

_INT64: Final = 2**63


def bind(query: Query, given: Mapping[str, Any], *, max_rows: int = DEFAULT_MAX_ROWS) -> dict[str, Any]:
    """The parameters to send: ``given`` checked against the header, the rest from its defaults, ``limit`` at most
    ``max_rows``.

    Text is read by the declared type, so that values may come from a command
    line: ``"5"`` for an INTEGER, JSON for lists and maps, ISO 8601 for times.

    Raises:
        ParameterError: a name is unknown or missing, or a value is not of its type, out of its bounds or too long; a
            ``limit`` is given below 1 or above ``max_rows``; two parameters are given of which the header takes one.
    """
    declared = {p.name: p for p in query.parameters}
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        names = ", ".join(name if len(name) <= 60 else f"{name[:60]}…" for name in unknown[:3])
        raise ParameterError(f"{query.name} has no parameter {names}{more}. {_signature(query)}")
    bound = {}
    for parameter in query.parameters:
        if parameter.name not in given:
            if parameter.required:
                raise ParameterError(f"{query.name} needs the parameter {parameter.name}. {_signature(query)}")
            value = parameter.default
        else:
            value = given[parameter.name]
        try:
            value = _checked(value, parameter)
        except ValueError as error:
            raise ParameterError(f"{query.name}, parameter {parameter.name}: {error}. {_signature(query)}") from None
        if parameter.name == "limit":
            if "limit" not in given:
                value = min(value, max_rows)  # a default is nobody's mistake
            elif not 1 <= value <= max_rows:
                raise ParameterError(f"{query.name}, parameter limit: expected 1 to {max_rows}, found {value}.")
        bound[parameter.name] = value
    if len(both := [name for name in query.either if bound[name] is not None]) > 1:
        raise ParameterError(f"{query.name} takes {' or '.join(query.either)}, not {' and '.join(both)} together.")
    return bound


def _signature(query: Query) -> str:
    if not query.parameters:
        return "It takes none."
    return "It takes: " + ", ".join(
        f"{p.name} {described_type(p)}" + ("" if p.required else f" = {json.dumps(p.default)}")
        for p in query.parameters
    )


def described_type(parameter: Parameter) -> str:
    """The type with what is allowed of it, as a header writes it; the common bounds of counts are not repeated."""
    if parameter.choices:
        return f"{parameter.type} in {'|'.join(parameter.choices)}"
    if parameter.bounds is not None and parameter.bounds != COUNTS:
        return f"{parameter.type} in {parameter.bounds[0]}..{parameter.bounds[1]}"
    return parameter.type


def _checked(value: Any, parameter: Parameter) -> Any:
    # "null" typed on a command line means null, save where it may be meant as text.
    if value is None or (value == "null" and parameter.nullable and parameter.type != "STRING"):
        if not parameter.nullable:
            raise ValueError(f"expected {parameter.type}, found null")
        return None
    value = _coerce(value, parameter.type)
    _require_modest(value)
    if parameter.choices and value not in parameter.choices:
        raise ValueError(f"expected one of {', '.join(parameter.choices)}, found {_shown(value)}")
    if parameter.bounds is not None and not parameter.bounds[0] <= value <= parameter.bounds[1]:
        raise ValueError(f"expected {parameter.bounds[0]} to {parameter.bounds[1]}, found {value}")
    return value


def _require_modest(value: Any, depth: int = 0) -> None:
    """Refuse, at any depth, what is too long, and what no client can send to Neo4j or no query reckon with.

    What is too long would be sent, parsed and kept in memory before a limit cut it.
    """
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise ValueError(f"expected at most {MOST_CHARACTERS} characters, found {len(value)}")
        if not value.isascii() and _SURROGATE.search(value):
            raise ValueError(f"expected whole characters, found half of one in {_shown(value)}")
    elif isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise ValueError("expected whole numbers of at most 64 bits, found a greater one")
    elif isinstance(value, float) and math.isnan(value):
        raise ValueError("expected numbers, found NaN")
    elif isinstance(value, list | tuple | Mapping):
        if len(value) > MOST_ITEMS:
            raise ValueError(f"expected at most {MOST_ITEMS} items, found {len(value)}")
        if depth == DEEPEST:
            raise ValueError(f"expected lists and maps at most {DEEPEST} deep, found deeper ones")
        for item in (*value, *value.values()) if isinstance(value, Mapping) else value:
            _require_modest(item, depth + 1)


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""JSON can write half of a character, UTF-8 cannot."""


def _coerce(value: Any, type_: str) -> Any:
    """``value`` as ``type_``; ValueError says what was expected and what came."""
    if type_.startswith("LIST<"):
        items = from_json(value)
        if not isinstance(items, list | tuple):
            raise _wrong(value, type_)
        return [_coerce(item, type_[5:-1]) for item in items]
    if type_ == "MAP":
        mapping = from_json(value)
        if not isinstance(mapping, Mapping):
            raise _wrong(value, type_)
        return dict(mapping)
    return _coerce_scalar(value, type_)


def _coerce_scalar(value: Any, type_: str) -> Any:
    # bool is an int to Python and not to Cypher: it is let in nowhere but as BOOLEAN.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        if type_ == "STRING" and isinstance(value, str):
            return value
        if type_ == "INTEGER" and isinstance(value, int | str) and not isinstance(value, bool):
            integer = int(value)
            if -_INT64 <= integer < _INT64:
                return integer
        if type_ == "FLOAT" and (number or isinstance(value, str)):
            real = float(value)
            # To NaN nothing compares: as a price it would hide everything, as a weight spoil the order of all.
            if not math.isnan(real):
                return real
        if type_ == "BOOLEAN" and (isinstance(value, bool) or str(value).lower() in ("true", "false")):
            return str(value).lower() == "true"
        if type_ == "ZONED DATETIME" and isinstance(value, str | datetime):
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            if moment.tzinfo is not None:
                # Neo4j knows no offset beyond 18 hours, and its driver no moment that in UTC is beyond its years.
                return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # int("five"), float(10**400): told below in the same words as any other misfit
        pass
    raise _wrong(value, type_)


def from_json(value: Any) -> Any:
    """What a text says as JSON; anything else, and a text that is none, as it stands."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, too; the latter for a thousand brackets
        return value


def _wrong(value: Any, type_: str) -> ValueError:
    shape = {"MAP": " as a JSON object", "ZONED DATETIME": " as ISO 8601 with an offset"}.get(type_, "")
    shape = " as a JSON array" if type_.startswith("LIST<") else shape
    return ValueError(f"expected {type_}{shape}, found {_shown(value)}")


def _shown(value: Any) -> str:
    """The value for a message, which is to be one sentence whatever was sent."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
