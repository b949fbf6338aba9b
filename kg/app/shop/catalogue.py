"""The shelves of the bundled shop: products as ``words.yaml`` describes them, with what is planted in their texts."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

import yaml

Words = Mapping[str, Any]
"""The contents of ``words.yaml``, whose comments say what stands where."""

_PLANT = re.compile(r"\[\[(?P<kind>[>~!]|[a-z ]+=)(?P<what>[^|\]]+?)(?:\|(?P<words>[^\]]+))?\]\]")
_RELATIONS: Final = {">": "ACCESSORY_OF", "~": "COMPATIBLE_WITH"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedRelation:
    """A relation between two products that a description states, or denies."""

    sku: str
    type: str
    """``ACCESSORY_OF`` or ``COMPATIBLE_WITH``."""
    target: str
    quote: str
    """The words of the description that say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedAttribute:
    """A value that a description states."""

    sku: str
    attribute: str
    """A name of ``vocabulary.yaml``."""
    value: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product as the words give it; ``text`` without the marks of what is planted."""

    sku: str
    title: str
    brand: str
    path: tuple[str, ...]
    price: float
    thing: str
    short: str | None
    popularity: float
    consumable: bool
    hides_brand: bool
    variant_of: str | None
    praise: tuple[str, ...]
    blame: tuple[str, ...]
    text: str
    relations: tuple[PlantedRelation, ...]
    denied: tuple[PlantedRelation, ...]
    attributes: tuple[PlantedAttribute, ...]

    @property
    def shelf(self) -> str:
        """The last name of its category."""
        return self.path[-1]

    @property
    def targets(self) -> tuple[str, ...]:
        """What it belongs to or works with."""
        return tuple(dict.fromkeys(r.target for r in self.relations))


@cache
def load_words() -> Words:
    """Read ``words.yaml``."""
    words: Words = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))
    return words


def products(words: Words) -> tuple[Product, ...]:
    """All products, in the order of the words."""
    return tuple(_product(entry) for entry in words["products"])


def product_rows(words: Words, catalogue: Sequence[Product], seed: int) -> list[dict[str, Any]]:
    """The rows of ``products.jsonl``: what a shop's feed says, with some of the mark-up that feeds carry."""
    rng = random.Random(f"{seed} products")
    rows = []
    for number, product in enumerate(catalogue):
        row: dict[str, Any] = {
            "sku": product.sku,
            "title": _escaped(product.title, rng),
            "description": _description(words, product, rng),
            "price": product.price,
            "currency": "EUR",
            "brand": None if product.hides_brand else product.brand,
            "categories": [list(product.path)],
            "released_at": f"{rng.randint(2019, 2023)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
            "active": rng.random() > 0.03,
            "stock": rng.choice([0, 1, 2, 3, 5, 8, 12, 20, 40]),
            "consumable": product.consumable or None,
            "gtin": _in_store_number(number),
            "variant_of": product.variant_of,
        }
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows


def _product(entry: Mapping[str, Any]) -> Product:
    sku = entry["sku"]
    raw = re.sub(r"\s*\n\s*", "\n", entry["text"].strip())
    relations: list[PlantedRelation] = []
    denied: list[PlantedRelation] = []
    attributes: list[PlantedAttribute] = []
    for plant in _PLANT.finditer(raw):
        kind, what = plant["kind"], plant["what"]
        quote = plant["words"] or what
        if kind == "!":
            denied.append(PlantedRelation(sku=sku, type="COMPATIBLE_WITH", target=what, quote=quote))
        elif kind in _RELATIONS:
            relations.append(PlantedRelation(sku=sku, type=_RELATIONS[kind], target=what, quote=quote))
        else:
            attributes.append(PlantedAttribute(sku=sku, attribute=kind[:-1], value=what, quote=quote))
    return Product(
        sku=sku,
        title=entry["title"],
        brand=entry["brand"],
        path=tuple(entry["category"].split(" > ")),
        price=float(entry["price"]),
        thing=entry["thing"],
        short=entry.get("short"),
        popularity=float(entry.get("popularity", 1)),
        consumable=entry.get("consumable", False),
        hides_brand=entry.get("hide_brand", False),
        variant_of=entry.get("variant_of"),
        praise=tuple(entry.get("praise", ())),
        blame=tuple(entry.get("blame", ())),
        text=_PLANT.sub(lambda plant: plant["words"] or plant["what"], raw),
        relations=tuple(relations),
        denied=tuple(denied),
        attributes=tuple(attributes),
    )


def _description(words: Words, product: Product, rng: random.Random) -> str:
    paragraphs = product.text.split("\n")
    notes = [*words["notes"].get(product.shelf, ()), *words["notes"]["*"]]
    if rng.random() < 0.7:
        paragraphs[-1] += " " + " ".join(rng.sample(notes, rng.choice([1, 1, 2])))
    facts = [f"{a.attribute.capitalize()}: {a.value}" for a in product.attributes]
    # Some suppliers repeat the figures in a list; a reader must not count them as other facts.
    listed = rng.sample(facts, rng.randint(2, 4)) if len(facts) >= 4 and rng.random() < 0.35 else []
    if rng.random() < 0.2:
        html = "".join(f"<p>{escape(p)}</p>" for p in paragraphs)
        return html + (f"<ul>{''.join(f'<li>{escape(f)}</li>' for f in listed)}</ul>" if listed else "")
    return _escaped("\n".join([*paragraphs, *listed]), rng)


def _escaped(text: str, rng: random.Random) -> str:
    return escape(text) if rng.random() < 0.25 else text


def _in_store_number(number: int) -> str:
    """A GTIN-13 of the range that is left to shops themselves, so that it is nobody's."""
    digits = f"20{number:010d}"
    total = sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(digits))
    return digits + str(-total % 10)
