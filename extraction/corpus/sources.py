"""Rows out of files: JSON Lines, CSV and Parquet, each also compressed with gzip.

A file that cannot be read at all ends in :class:`~kg.errors.InputError`. A line
that cannot be read is a :class:`SourceRow` whose ``problem`` says why, and the
next line follows. Memory is bounded: no line longer than
:data:`MAX_LINE_BYTES` is held, whatever the file is.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson
import pyarrow
import pyarrow.parquet

from extraction.corpus.fields import Undecodable
from kg.errors import InputError

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""A line of JSON with the longest text that is read and several image vectors fits many times over."""
_MAX_CELL: Final = 4_000_000
"""Characters of a cell of CSV; more is a quotation mark that is never closed."""
_BATCH_ROWS: Final = 2_048
_BOM: Final = b"\xef\xbb\xbf"
_LINE_SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
SUFFIXES: Final = (*_LINE_SUFFIXES, ".csv", ".tsv", ".parquet")
"""What a file's name may end in, before an optional ``.gz``."""


class SourceRow(NamedTuple):
    """One record as it stands in the file: either ``values`` or a ``problem``."""

    line: int
    """1-based: the line on which the record begins, or its row in a Parquet file."""
    values: dict[str, Any] | None
    problem: str = ""
    """Why there are no values, in one sentence."""
    raw: bytes = b""
    """The lines as they stand, line ends included; empty for Parquet."""


def rows(path: Path) -> Iterator[SourceRow]:
    """The records of ``path``, in order.

    Raises:
        InputError: the file is missing, empty, a folder, of an unknown kind, damaged, or has no readable head.
            What stood before the damage has been yielded by then.
    """
    kind = suffix(path)
    with _explained(path):
        if kind == ".parquet":
            with _seekable(path) as stream:
                yield from _parquet_rows(stream, path)
        else:
            with _opened(path) as stream:
                lines = _lines(_without_mark(stream, path))
                if kind in _LINE_SUFFIXES:
                    yield from _json_rows(lines, path, kind)
                else:
                    yield from _csv_rows(_CsvReader(lines, path), path)


def head(path: Path) -> bytes:
    """What a copy of some lines of ``path`` must begin with: the first row of CSV; nothing in JSON Lines."""
    if suffix(path) in _LINE_SUFFIXES:
        return b""
    with _explained(path), _opened(path) as stream:
        reader = _CsvReader(_lines(_without_mark(stream, path)), path)
        _header(reader, path)
        return reader.raw


def suffix(path: Path) -> str:
    """The suffix that tells the kind of file, without ``.gz``; refuses others."""
    name = path.name.lower().removesuffix(".gz")
    found = Path(name).suffix
    if found not in SUFFIXES:
        raise InputError(
            f"{path} is of no known kind. Expected a name that ends in {', '.join(SUFFIXES)}, each also with .gz."
        )
    return found


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; name the files in it.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user.") from error
    except EOFError as error:
        raise InputError(f"{path} is cut off: its gzip stream has no end. Fetch it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a sound gzip file ({error}). Fetch it again, or drop the .gz.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or _first_line(error)}).") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        if path.name.lower().endswith(".gz"):
            # A buffer in C around the decompressor: readline of GzipFile itself is a Python function.
            with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked) as stream:
                yield stream
        else:
            yield file


@contextmanager
def _seekable(path: Path) -> Iterator[IO[bytes]]:
    """The file itself, or what it unpacks to: Parquet is read from its end."""
    with _opened(path) as stream:
        if not path.name.lower().endswith(".gz"):
            _refuse_empty(path.stat().st_size == 0, path)
            yield stream
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(stream, unpacked)
            _refuse_empty(unpacked.tell() == 0, path)
            unpacked.seek(0)
            yield unpacked


def _without_mark(stream: IO[bytes], path: Path) -> IO[bytes]:
    head = stream.peek(4)[:4]  # type: ignore[attr-defined]  # both kinds of stream are buffered readers
    _refuse_empty(not head, path)
    if head.startswith(_BOM):
        stream.read(len(_BOM))
    elif head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is in UTF-16. Save it as UTF-8.")
    return stream


def _refuse_empty(empty: bool, path: Path) -> None:
    if empty:
        raise InputError(f"{path} is empty.")


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends; of one that is too long only the beginning, one byte over the limit and without an end."""
    limit = MAX_LINE_BYTES + 1
    while line := stream.readline(limit):
        yield line
        if len(line) == limit and not line.endswith(b"\n"):
            while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
                pass


def _refuse_doubles(names: list[str], path: Path) -> None:
    for name, count in Counter(names).items():
        if name and count > 1:
            raise InputError(f"{path} has two columns called {name!r}. Rename or drop one.")


def _json_rows(lines: Iterable[bytes], path: Path, kind: str) -> Iterator[SourceRow]:
    blank = True
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        if blank and kind == ".json" and line.lstrip().startswith(b"["):
            raise InputError(f"{path} is one JSON array. Write one object a line (JSON Lines).")
        blank = False
        yield json_row(number, line)
    _refuse_empty(blank, path)


def json_row(number: int, line: bytes) -> SourceRow:
    """One line of JSON Lines."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        value = _second_opinion(line, error)
    if isinstance(value, dict):
        return SourceRow(number, value, raw=line)
    if isinstance(value, _Problem):
        return SourceRow(number, None, value, line)
    return SourceRow(number, None, f"expected a JSON object, found {_json_type(value)}.", line)


class _Problem(str):
    """A reason, told apart from a line that is a JSON string."""


def _second_opinion(line: bytes, error: orjson.JSONDecodeError) -> Any:
    """Why ``line`` is no JSON; or its value, for halves of pairs and NaN, which Python's own reader takes."""
    if len(line) > MAX_LINE_BYTES:
        return _Problem(f"the line is longer than {MAX_LINE_BYTES:,} bytes.")
    try:
        decoded = line.decode()
    except UnicodeDecodeError as wrong:
        return _Problem(f"not UTF-8 (byte {wrong.start + 1} of the line is 0x{line[wrong.start]:02x}).")
    try:
        return json.loads(decoded)
    except (ValueError, RecursionError):
        return _Problem(f"broken JSON ({error}).")


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


class _CsvReader:
    """Rows of CSV, each with the lines that it was read from."""

    def __init__(self, lines: Iterable[bytes], path: Path) -> None:
        self.line = 0
        """Number of lines read so far."""
        self.raw = b""
        """The lines of the latest row."""
        self._lines = lines
        self._taken: list[bytes] = []
        source = self._decoded()
        first = next((line for line in source if not line.isspace()), "")
        _refuse_empty(not first, path)
        csv.field_size_limit(_MAX_CELL)  # the module knows no other way to set it
        self._reader = csv.reader(chain([first], source), delimiter=max(",;\t|", key=first.count))

    def next(self) -> list[str]:
        try:
            return next(self._reader)
        finally:
            self.raw = b"".join(self._taken)
            self._taken.clear()

    def _decoded(self) -> Iterator[str]:
        for line in self._lines:
            self.line += 1
            self._taken.append(line)
            # What is not UTF-8 becomes halves of pairs here, and _csv_row tells of it.
            yield line.decode("utf-8", "surrogateescape")


def _csv_rows(reader: _CsvReader, path: Path) -> Iterator[SourceRow]:
    names = _header(reader, path)
    while True:
        first = reader.line + 1
        try:
            cells = reader.next()
        except StopIteration:
            return
        except csv.Error as error:
            yield SourceRow(first, None, f"broken CSV ({error}).", reader.raw)
            continue
        if cells:
            yield _csv_row(first, cells, names, reader.raw)


def _header(reader: _CsvReader, path: Path) -> list[str]:
    try:
        names = [cell.strip() for cell in reader.next()]
    except csv.Error as error:
        raise InputError(f"{path} has no readable first row ({error}).") from error
    _refuse_doubles(names, path)
    return names


def _csv_row(line: int, cells: list[str], names: list[str], raw: bytes) -> SourceRow:
    if len(cells) != len(names):
        return SourceRow(line, None, f"it has {len(cells)} cells, the first row has {len(names)}.", raw)
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as wrong:
            return SourceRow(line, None, f"not UTF-8 (byte {wrong.start + 1} is 0x{raw[wrong.start]:02x}).", raw)
    return SourceRow(line, dict(zip(names, cells, strict=True)), raw=raw)


def _parquet_rows(stream: IO[bytes], path: Path) -> Iterator[SourceRow]:
    row = 0
    for batch in _parquet_batches(stream, path):
        columns = [_values(column) for column in batch.columns]
        for values in zip(*columns, strict=True):
            row += 1
            yield SourceRow(row, dict(zip(batch.schema.names, values, strict=True)))


def _parquet_batches(stream: IO[bytes], path: Path) -> Iterator[Any]:
    try:
        table = pyarrow.parquet.ParquetFile(stream)
        _refuse_doubles(table.schema_arrow.names, path)
        yield from table.iter_batches(batch_size=_BATCH_ROWS)
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # a broken name is a UnicodeDecodeError
        raise InputError(f"{path} is not a sound Parquet file ({_first_line(error)}).") from error


def _values(column: Any) -> list[Any]:
    if pyarrow.types.is_timestamp(column.type):
        # Nanoseconds have no place in a datetime; without a zone the time is in UTC.
        column = column.cast(pyarrow.timestamp("us", "UTC"), safe=False)
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):  # UnicodeDecodeError among them: one bad value spoils its column
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return Undecodable()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
