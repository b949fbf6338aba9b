"""Files that must be read whole: of an evaluation or a benchmark no line may be lost, so a bad one is an error.

What a shop loads is read by :mod:`extraction.corpus`, where a bad line is a reject and the others follow.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson

from kg.errors import BenchmarkError, InputError

T = TypeVar("T")


def member(folder: Path, name: str) -> Path:
    """The file of a benchmark's folder, or its ``.gz``.

    Raises:
        BenchmarkError: neither is there.
    """
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise BenchmarkError(
        f"{folder / name} is not there, nor {name}.gz; docs/benchmark.md says what the set consists of."
    )


def lines(path: Path) -> Iterator[str]:
    """The lines of a text in UTF-8, packed or not, without their ends."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def json_rows(path: Path, make: Callable[[Any], T], example: str) -> Iterator[T]:
    """What ``make`` makes of each line of JSON, blank ones left out.

    Args:
        make: raises KeyError, TypeError or ValueError for what it cannot use.
        example: a good line, for the message.

    Raises:
        InputError: the file cannot be read, or a line is no JSON or not what ``make`` wants.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield make(orjson.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, line {number}: expected an object such as {example}, "
                f"found {line[:80].decode('utf-8', 'replace')!r}."
            ) from error
