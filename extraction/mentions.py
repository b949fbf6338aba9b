"""The values that pass between the stages of extraction.

A stage that recognises things gives :class:`Mention`; a stage that reads a
relation between the text's product and something else gives :class:`Claim`;
what a stage drops it gives as :class:`kg.graph.Rejected` with a :class:`Reason`.
:class:`Lexicon` is what the graph already knows, handed in by the caller:
this package never asks the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from kg.graph import Node, Rejected
from kg.normalise import brand_key, category_path


class Reason(StrEnum):
    """Why something was dropped."""

    NEGATED = "negated"
    """The text denies it: "does not fit the X100", "without a battery"."""
    HYPOTHETICAL = "hypothetical"
    """A question, a wish or a condition: "does it fit the X100?"."""
    COMPARED = "compared"
    """It is only told apart from something: "fits the X200 rather than the X100"."""
    ALTERNATIVE = "alternative"
    """Other versions have it: "available in red, green and blue"."""
    NOT_IN_SCHEMA = "not_in_schema"
    """No attribute, aspect or relation of the vocabulary covers it."""
    LOW_CONFIDENCE = "low_confidence"
    """Below the threshold of its kind."""
    NOT_OF_PRODUCT = "not_of_product"
    """A review says it, but not of its product, or not as a fact: "my black guitar", "it was 2 inches too long"."""
    SELF_REFERENCE = "self_reference"
    """The product would point to itself."""
    UNKNOWN = "unknown"
    """It names something that the graph does not know: "better than my Gibson"."""
    AMBIGUOUS = "ambiguous"
    """It may mean several things that the graph knows, equally well."""
    TOO_LONG = "too_long"
    """The part of a text beyond the length that is read."""


@dataclass(frozen=True, slots=True)
class ProductEntry:
    """What the lexicon says of one product."""

    title: str
    brand: str | None = None
    """Key of its brand, where known."""
    category: str | None = None
    """Path of its deepest category, where known."""


@dataclass(frozen=True, slots=True)
class KnownValue:
    """An attribute value that stands in the graph."""

    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The catalogue's own vocabulary: names by which texts speak of what is in the graph."""

    brands: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Brand key → name as shown."""
    categories: tuple[str, ...] = ()
    """Paths, names joined by ``' > '``."""
    products: Mapping[str, ProductEntry] = field(default_factory=dict, hash=False)
    """Sku → what is known of it."""
    attribute_values: tuple[KnownValue, ...] = ()
    aspects: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Aspect key → name as shown, those of the graph (the vocabulary's own are always known)."""

    @classmethod
    def of_products(cls, products: Iterable[ProductLike]) -> Lexicon:
        """The lexicon of a product file: its brands, categories and titles."""
        brands: dict[str, str] = {}
        categories: dict[str, None] = {}
        entries: dict[str, ProductEntry] = {}
        for product in products:
            key = brand_key(product.brand) if product.brand else ""
            if key and product.brand:
                brands.setdefault(key, product.brand.strip())
            paths = [category_path(path) for path in product.categories if path]
            categories.update(dict.fromkeys(paths))
            deepest = max(paths, key=lambda p: p.count(" > "), default=None)
            entries[product.sku] = ProductEntry(product.title, key or None, deepest)
        return cls(brands, tuple(categories), entries)


class ProductLike(Protocol):
    """What :class:`kg.records.ProductRecord` has and the lexicon needs."""

    @property
    def sku(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def brand(self) -> str | None: ...  # noqa: D102
    @property
    def categories(self) -> tuple[tuple[str, ...], ...]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in the text that names an entity."""

    node: Node
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What the text says of its product: a relation to a node, at a place."""

    type: str
    """Relationship type, as in :mod:`kg.schema`."""
    node: Node
    start: int
    end: int
    confidence: float
    about: tuple[Mention, ...] = ()
    """What else the same statement names: its evidence, too. The aspect by which two products are compared, say."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that rules cannot decide: a text for the encoder, and the claims that stand if it says yes."""

    text: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What one stage made of one text."""

    claims: tuple[Claim, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """A run of letters and digits with its offsets."""

    text: str
    start: int
    end: int


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words(text: str) -> list[Word]:
    """The words of a text; an apostrophe within a word belongs to it."""
    return [Word(m.group(), m.start(), m.end()) for m in _WORD.finditer(text)]


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as running text."""
    return frozenset(text.split())
