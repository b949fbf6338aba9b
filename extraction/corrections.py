"""People's corrections of what was extracted, as examples to learn from.

JSON Lines: ``text, attribute, value or null, start, end``; ``start`` and ``end``
are the offsets of the value's words in ``text`` (null where there is none), and
a ``category`` may be given. ``null`` as value says that the text does not state
the attribute. All lines about one text make one example.

Without a category, a text that was not learned before counts as one of the
category of the learned titles that are most like its own: an attribute is asked
of a category, and a correction that belonged to none would never be asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from extraction.benchmarks import MarkedProduct
from extraction.mentions import Lexicon, ProductEntry
from extraction.products import CategoryFinder
from extraction.shelves import ShelfRules
from kg.errors import ExtractionError


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says of one attribute in one text."""

    text: str
    attribute: str
    value: str | None
    category: str = ""
    quote: str | None = None
    """The text's own words for the value, where its place was given: ``40mm`` for ``4 cm``."""

    @classmethod
    def of_dict(cls, row: Any) -> Correction:
        """A line of a file.

        Raises:
            ValueError: the line is no correction; the message says why.
        """
        if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row.get("attribute"):
            raise ValueError("needs 'text' and 'attribute'")
        value, start, end = row.get("value"), row.get("start"), row.get("end")
        if value is not None and not isinstance(value, str):
            raise ValueError("has a 'value' that is neither text nor null")
        if value is not None and start is not None and end is not None:
            said = row["text"][int(start) : int(end)]
            if not said.strip():
                raise ValueError(f"has offsets {start} to {end}, where the text has nothing")
            if said.casefold() == value.casefold():
                value = said
        else:
            said = None
        return cls(row["text"], str(row["attribute"]), value or None, str(row.get("category") or ""), said)


def read_corrections(path: Path) -> list[Correction]:
    """Read a file of corrections.

    Raises:
        ExtractionError: the file cannot be read, or a line is no correction.
    """
    found: list[Correction] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ExtractionError(f"{path} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(Correction.of_dict(orjson.loads(line)))
        except (ValueError, TypeError) as error:
            raise ExtractionError(
                f"{path}, line {number}: {error}. Expected an object such as "
                '{"text": "Acme lure 40mm", "attribute": "Size", "value": "40mm", "start": 10, "end": 14}.'
            ) from error
    if not found:
        raise ExtractionError(f"No corrections in {path}.")
    return found


def as_examples(corrections: Iterable[Correction], known: Sequence[MarkedProduct]) -> list[MarkedProduct]:
    """One example for each text; a later correction outranks an earlier one.

    A text that was learned before keeps its category and the values that nobody corrected.
    """
    corrections = list(corrections)
    before = {product.text: product for product in known}
    targets: dict[str, dict[str, tuple[str, ...]]] = {}
    category: dict[str, str] = {}
    for c in corrections:
        own = targets.setdefault(c.text, dict(before[c.text].targets) if c.text in before else {})
        # Either is right: the words are what is found in a text, the value what a normal form makes of them.
        own[c.attribute] = tuple(dict.fromkeys(v for v in (c.value, c.quote) if v)) if c.value is not None else ()
        category[c.text] = c.category or category.get(c.text, "") or _category(before, c.text)
    if not all(category.values()):
        like = _Neighbours(known)
        category = {text: name or like.category(text) for text, name in category.items()}
    return [_example(before.get(text), text, category[text], own) for text, own in targets.items()]


class _Neighbours:
    """Tells the category of a text by the titles that were learned."""

    def __init__(self, known: Sequence[MarkedProduct]) -> None:
        entries = {str(i): ProductEntry(p.title, category=p.category or None) for i, p in enumerate(known)}
        self._shelves = ShelfRules(Lexicon(products=entries), CategoryFinder(Lexicon(), parts=True))

    def category(self, text: str) -> str:
        """That of the titles most like the text's first line; empty where none shares a word with it."""
        shares = self._shelves.votes(text.partition("\n")[0], "").shares
        return max(shares, key=shares.__getitem__, default="")


def _category(before: Mapping[str, MarkedProduct], text: str) -> str:
    return before[text].category if text in before else ""


def _example(
    before: MarkedProduct | None, text: str, category: str, targets: Mapping[str, tuple[str, ...]]
) -> MarkedProduct:
    if before is not None:
        return MarkedProduct(before.title, before.description, category, targets)
    title, _, description = text.partition("\n")
    return MarkedProduct(title, description, category, targets)
