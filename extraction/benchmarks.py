"""Files in the formats of public benchmarks: what a person marked in texts, for training and for measuring.

``pave``  WDC PAVE: JSON lines ``input_title, input_description, category, target_scores``
``ae``    AE-110K as ExtractGPT splits it: JSON lines ``input, category, target_scores``
``aste``  ASTE-Data-V2: ``sentence####[([aspect tokens], [opinion tokens], 'POS'), …]``

``target_scores`` is ``{attribute: {value or "n/a": …}}``. Reading is for the
format, not for one file: keys that a format does not need are ignored.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import orjson

from kg.errors import ExtractionError

Format = Literal["pave", "ae", "aste"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)
NOT_STATED: Final = "n/a"
SENTIMENTS: Final = ("POS", "NEG", "NEU")


@dataclass(frozen=True, slots=True)
class MarkedProduct:
    """A product text, and for each attribute that was looked for the values that it states."""

    title: str
    description: str
    category: str
    targets: Mapping[str, tuple[str, ...]]
    """Attribute → values that count as right; empty where the text states none."""

    @property
    def text(self) -> str:
        """Title and description, as they are read."""
        return f"{self.title}\n{self.description}" if self.description else self.title

    def as_dict(self) -> dict[str, Any]:
        """For storing."""
        targets = {attribute: list(values) for attribute, values in self.targets.items()}
        return {"title": self.title, "description": self.description, "category": self.category, "targets": targets}

    @classmethod
    def of_dict(cls, row: Mapping[str, Any]) -> MarkedProduct:
        """What :meth:`as_dict` gave."""
        targets = {attribute: tuple(values) for attribute, values in row["targets"].items()}
        return cls(row["title"], row["description"], row["category"], targets)


@dataclass(frozen=True, slots=True, order=True)
class Triplet:
    """An aspect, an opinion of it and the sentiment; both are runs of tokens."""

    aspect: tuple[int, ...]
    opinion: tuple[int, ...]
    sentiment: str
    """``POS``, ``NEG`` or ``NEU``."""

    def says_like(self, other: Triplet) -> bool:
        """Whether both say the same fact: the same sentiment about aspects that share a word."""
        return self.sentiment == other.sentiment and not set(self.aspect).isdisjoint(other.aspect)


@dataclass(frozen=True, slots=True)
class MarkedSentence:
    """A sentence as tokens, and the triplets that it holds."""

    tokens: tuple[str, ...]
    triplets: tuple[Triplet, ...]


def read_products(path: Path, format: Literal["pave", "ae"]) -> Iterator[MarkedProduct]:
    """Read a file of marked products.

    Raises:
        ExtractionError: the file cannot be read, or a line is not of the format.
    """
    for number, line in _lines(path):
        try:
            row: Any = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise _wrong(path, number, f"is not JSON ({error})") from error
        title_key = "input_title" if format == "pave" else "input"
        targets = row.get("target_scores") if isinstance(row, dict) else None
        if not isinstance(targets, dict) or not isinstance(row.get(title_key), str):
            raise _wrong(path, number, f"needs {title_key!r} (text) and 'target_scores' (an object)")
        if not all(isinstance(values, dict) for values in targets.values()):
            raise _wrong(path, number, "has a target that is not an object of values")
        yield MarkedProduct(
            title=row[title_key],
            description=str(row.get("input_description") or "") if format == "pave" else "",
            category=str(row.get("category") or ""),
            targets={
                attribute: tuple(v.strip() for v in values if v != NOT_STATED)
                if next(iter(values), NOT_STATED) != NOT_STATED
                else ()
                for attribute, values in targets.items()
            },
        )


def read_sentences(path: Path) -> Iterator[MarkedSentence]:
    """Read a file of sentences with triplets.

    Raises:
        ExtractionError: the file cannot be read, or a line is not of the format.
    """
    for number, line in _lines(path):
        sentence, separator, marked = line.decode("utf-8", "replace").partition("####")
        try:
            found = ast.literal_eval(marked.strip()) if separator else None
        except (ValueError, SyntaxError) as error:
            raise _wrong(path, number, f"has triplets that cannot be read ({error})") from error
        tokens = tuple(sentence.split())
        if not isinstance(found, list):
            raise _wrong(path, number, "needs a sentence, '####' and a list of triplets")
        yield MarkedSentence(tokens, tuple(_triplet(path, number, t, len(tokens)) for t in found))


def _triplet(path: Path, number: int, found: object, length: int) -> Triplet:
    if isinstance(found, tuple) and len(found) == 3:
        aspect, opinion, sentiment = found
        runs = (aspect, opinion)
        sound = all(isinstance(r, list) and r and all(isinstance(i, int) and 0 <= i < length for i in r) for r in runs)
        if sound and sentiment in SENTIMENTS:
            return Triplet(tuple(aspect), tuple(opinion), sentiment)
    raise _wrong(path, number, f"has a triplet that is not ([token …], [token …], POS|NEG|NEU): {found!r}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise ExtractionError(f"{path} cannot be read: {error.strerror}.") from error


def _wrong(path: Path, number: int, what: str) -> ExtractionError:
    return ExtractionError(f"{path}, line {number} {what}. Is it of another --format ({', '.join(FORMATS)})?")
