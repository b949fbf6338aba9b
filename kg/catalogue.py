"""The catalogue: every query of ``cypher/``, run read-only, limited in time and rows, and counted.

What a file's header says, and how parameters are checked against it, is :mod:`kg.queries`.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, time
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from kg import schema
from kg.errors import ParameterError, QueryError, QueryTimeoutError, StatementError, WriteRefusedError
from kg.queries import DEFAULT_MAX_ROWS, Query, bind, from_json, parse
from kg.store import GraphStore, Row

DEFAULT_TIMEOUT_S: Final = 30.0

_FEW: Final = 20
"""Queries that a message names; more are counted."""


@dataclass(frozen=True, slots=True)
class Rows(Sequence[Row]):
    """What a query gave: rows of JSON values, in the query's order."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    truncated: bool = False
    """Whether there was more than ``max_rows``, of which only the first stand here."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


# --- reading the files ----------------------------------------------------------------------------------------


def folder() -> Path:
    """Where the query files are: beside this module in an installed wheel, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    # The wheel's copy is asked for first: beside an installed package, "cypher" may be somebody else's.
    for candidate in (package / "cypher", package.parent / "cypher"):
        if candidate.is_dir():
            return candidate
    raise QueryError(
        f"No query files: neither {package / 'cypher'} nor {package.parent / 'cypher'} exists. Install shopgraph again."
    )


def load(root: Path | None = None) -> dict[str, Query]:
    """Read every ``*.cypher`` under ``root`` (:func:`folder` by default), by name in alphabetical order.

    Raises:
        QueryError: a header is malformed; the message has file, line and what was expected.
    """
    root = root or folder()
    queries = {}
    for path in sorted(root.rglob("*.cypher")):
        name = path.relative_to(root).with_suffix("").as_posix()
        queries[name] = parse(path.read_text(encoding="utf-8"), name=name, file=path.relative_to(root.parent))
    return queries


def find(name: str, queries: Mapping[str, Query] | None = None) -> Query:
    """The query of that name; for an unknown one, an error that names those most like it."""
    queries = load() if queries is None else queries
    name = name.removesuffix(".cypher")
    if name in queries:
        return queries[name]
    near = difflib.get_close_matches(name, queries, n=3, cutoff=0.5)
    near += [q for q in queries if q.rpartition("/")[2] == name and q not in near]
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif len(queries) <= _FEW:
        hint = f"Known are: {', '.join(queries)}."
    else:
        folders = ", ".join(sorted({f"{q.partition('/')[0]}/" for q in queries}))
        hint = f"There are {len(queries)}, in {folders}: kg query without a name lists them."
    raise QueryError(f"There is no query {name[:100]!r}. {hint}")


USERS: Final = frozenset({"user", "users", "exclude"})
"""Parameters that name users: one, or a list of them."""


def with_pseudonyms(query: Query, given: Mapping[str, Any], pseudonym: Callable[[str], str]) -> dict[str, Any]:
    """``given`` with the users as the graph knows them; what is not of the declared type is left for :func:`bind`."""
    types = {p.name: p.type for p in query.parameters}
    result = dict(given)
    for name in USERS & given.keys() & types.keys():
        value = from_json(given[name]) if types[name] == "LIST<STRING>" else given[name]
        if types[name] == "STRING" and isinstance(value, str):
            result[name] = pseudonym(value)
        elif types[name] == "LIST<STRING>" and isinstance(value, list | tuple):
            result[name] = [pseudonym(user) if isinstance(user, str) else user for user in value]
    return result


# --- running --------------------------------------------------------------------------------------------------


def run(
    store: GraphStore,
    query: Query,
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_rows: int = DEFAULT_MAX_ROWS,
) -> Rows:
    """Run ``query``, its text unchanged, in a read transaction of at most ``timeout_s`` seconds and ``max_rows`` rows.

    Raises:
        QueryError: a parameter is wrong, the query writes (nothing is run then), or its columns are not those
            that its header declares.
        QueryTimeoutError: the time was up; nothing of the answer is kept.
        StoreError: Neo4j refused or failed.
    """
    with _tallied(query.name) as given:
        rows = _run(store, query, parameters or {}, timeout_s, max_rows)
        given(len(rows))
        return rows


BATCH: Final = 1000
"""Rows that :func:`stream` gives at a time: what is in memory at once."""


def stream(
    store: GraphStore,
    query: Query,
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_rows: int = DEFAULT_MAX_ROWS,
) -> Generator[Rows, None, None]:
    """Like :func:`run`, but give the rows as they arrive, at most :data:`BATCH` at a time.

    There is always a first batch, if an empty one, and the last says whether the
    answer was ``truncated``. What :func:`run` refuses is refused by the first
    ``next``; but a server may fail, and time be up, after rows were given.
    """
    with (
        _tallied(query.name) as given,
        closing(_batches(store, query, parameters or {}, timeout_s, max_rows)) as batches,
    ):
        for batch in batches:
            given(len(batch))
            yield batch


def _batches(
    store: GraphStore, query: Query, parameters: Mapping[str, Any], timeout_s: float, max_rows: int
) -> Generator[Rows, None, None]:
    bound = bind(query, parameters, max_rows=max_rows)
    left = max_rows
    with (
        _vectors_taken(query),
        closing(store.stream_rows(query.text, timeout_s=timeout_s, fetch_size=BATCH, **bound)) as raw,
    ):
        # One row is held ahead of those that are given, so that the last batch knows whether there was more.
        held = list(islice(raw, 1))
        while True:
            size = min(BATCH, left)
            held += islice(raw, size)
            batch, held = held[:size], held[size:]
            left -= len(batch)
            last = not held or left == 0
            yield _rows(query, batch, truncated=last and bool(held))
            if last:
                return


def _run(store: GraphStore, query: Query, parameters: Mapping[str, Any], timeout_s: float, max_rows: int) -> Rows:
    bound = bind(query, parameters, max_rows=max_rows)
    # One row more than allowed is asked for, to know whether there are more; the server computes lazily and the
    # rest is never fetched.
    with _vectors_taken(query):
        raw = store.read(query.text, timeout_s=timeout_s, max_rows=max_rows + 1, **bound)
    return _rows(query, raw[:max_rows], truncated=len(raw) > max_rows)


_WIDTH: Final = re.compile(r"dimensionality of (\d+), but the provided vector has dimension (\d+)")


@contextmanager
def _vectors_taken(query: Query) -> Iterator[None]:
    """How wide the index is, and that it takes no vector of zeros, the server alone knows."""
    try:
        yield
    except StatementError as error:
        if not any(parameter.name == "vector" for parameter in query.parameters):
            raise
        if width := _WIDTH.search(str(error)):
            told = f"expected {width[1]} numbers, as the graph's vectors have, found {width[2]}"
        elif "l2-norm" in str(error):
            told = "expected a vector that points somewhere, found zeros alone or numbers too great"
        else:
            raise
        raise ParameterError(f"{query.name}, parameter vector: {told}.") from error


def _rows(query: Query, raw: Sequence[Row], *, truncated: bool) -> Rows:
    columns = tuple(column.name for column in query.returns)
    if raw and set(raw[0]) != set(columns):
        raise QueryError(
            f"{query.name} returns {', '.join(raw[0])} where its header says {', '.join(columns)}. Correct the header."
        )
    return Rows(columns, tuple({name: json_value(row[name]) for name in columns} for row in raw), truncated)


_NAMED: Final = {
    "user": "User",
    "users": "User",
    "sku": "Product",
    "skus": "Product",
    "items": "Product",
    "fits": "Product",
    "category": "Category",
    "brand": "Brand",
}
"""Parameters that name nodes by their business key, and the label of those nodes."""


NOTHING_MATCHES: Final = "Nothing in the graph matches."
"""The reason of :func:`why_empty` where everything that was named is there."""


def why_empty(store: GraphStore, query: Query, parameters: Mapping[str, Any], *, timeout_s: float = 5.0) -> str:
    """One sentence on why these parameters gave no row: what they name that the graph lacks, or that nothing matches.

    Values are not repeated in it: a user may stand in the graph, and here, under a pseudonym.
    """
    bound = bind(query, parameters, max_rows=sys.maxsize)
    for name, label in _NAMED.items():
        asked, found = _named(store, bound.get(name), label, timeout_s)
        if asked and found == 0:
            return _lacks(name, label) + "."
        if found < asked:
            return f"The graph has only {found} of the {asked} {label} nodes given as {name}; none matches."
    return NOTHING_MATCHES


def notice(
    store: GraphStore, query: Query, parameters: Mapping[str, Any], rows: Sequence[Row], *, timeout_s: float = 5.0
) -> str | None:
    """One sentence on what an answer does not show: why it is empty, or that it is no answer for the user named.

    Queries that fall back on what is popular do so for a user whom the graph lacks, too: a misspelt id would otherwise
    look like somebody's recommendations. None where there is nothing to say.
    """
    if not rows:
        return why_empty(store, query, parameters, timeout_s=timeout_s)
    bound = bind(query, parameters, max_rows=sys.maxsize)
    for name in ("user", "users"):
        asked, found = _named(store, bound.get(name), _NAMED[name], timeout_s)
        if asked and found == 0:
            return _lacks(name, _NAMED[name]) + ": these rows are what anybody would get."
        if found < asked:
            return f"The graph has only {found} of the {asked} users given; what the others get is what anybody would."
    return None


def _named(store: GraphStore, value: Any, label: str, timeout_s: float) -> tuple[int, int]:
    """How many nodes a parameter names, and how many of them the graph has."""
    asked = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    if not asked:
        return 0, 0
    key = schema.LABEL[label].key
    (row,) = store.read(
        f"UNWIND $asked AS key\nMATCH (n:{label} {{{key}: key}})\nRETURN count(DISTINCT key) AS n",
        timeout_s=timeout_s,
        asked=asked,
    )
    return len(set(asked)), int(row["n"])


def _lacks(name: str, label: str) -> str:
    return f"The graph has no {label} with the {schema.LABEL[label].key} given as {name}"


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the calls of one query in this process, for whoever watches it."""

    answered: int = 0
    refused: int = 0
    """Wrong parameters, or a query that writes: nothing was run."""
    cut: int = 0
    """Ended because the time was up."""
    failed: int = 0
    """The database refused or failed."""
    rows: int = 0
    """Rows given, in all."""
    seconds: float = 0.0
    """Time taken, in all, whatever came of it."""


_TALLIES: Final[dict[str, Tally]] = {}
_TALLYING: Final = threading.Lock()


def tallies() -> dict[str, Tally]:
    """The tally of each query that was called in this process, by name."""
    with _TALLYING:
        return dict(_TALLIES)


@contextmanager
def _tallied(name: str) -> Iterator[Callable[[int], None]]:
    """Count what becomes of one call; what it yields is told each time how many rows were given."""
    began = perf_counter()
    outcome, rows = "failed", 0

    def given(count: int) -> None:
        nonlocal rows
        rows += count

    try:
        yield given
        outcome = "answered"
    except GeneratorExit:  # whoever read the stream had enough
        outcome = "answered"
        raise
    except QueryTimeoutError:
        outcome = "cut"
        raise
    except WriteRefusedError as error:
        outcome = "refused"
        raise QueryError(
            f"{name} is not a read-only query, and the catalogue runs no other. Nothing was run."
        ) from error
    except QueryError:
        outcome = "refused"
        raise
    finally:
        _count(name, outcome, rows, perf_counter() - began)


def _count(name: str, outcome: str, rows: int, seconds: float) -> None:
    with _TALLYING:
        before = _TALLIES.get(name, Tally())
        _TALLIES[name] = replace(
            before,
            rows=before.rows + rows,
            seconds=before.seconds + seconds,
            **{outcome: getattr(before, outcome) + 1},
        )


def json_value(value: Any) -> Any:
    """A value of the database as JSON can say it.

    Times become ISO 8601 text and so do durations; NaN and the infinities,
    which JSON lacks, become null.

    Raises:
        QueryError: the value has no JSON form (bytes, a point).
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | time):
        return value.isoformat()
    # The driver's own times and durations. A duration has no native form, and is a tuple: it must come before lists.
    if hasattr(value, "to_native"):
        return value.to_native().isoformat()
    if hasattr(value, "iso_format"):
        return value.iso_format()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [json_value(item) for item in value]
    raise QueryError(
        f"A {type(value).__name__} has no form in JSON: return its parts, as a map or as text, from the query."
    )
