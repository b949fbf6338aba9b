"""The bundled shop: a synthetic outfitter for photographers and walkers, with planted truths.

Everything in it is invented: 121 products of makers that do not exist, 300
customers, 3,000 events and 600 reviews. The descriptions, and the clauses that
reviews are put together from, were written by hand for this project
(``words.yaml``); who buys, rates and says what is drawn by a seeded generator
(``catalogue``, then ``customers``, then ``reviews``). The same seed gives the
same bytes.

Because it is made, it is known what its texts say. :class:`ShopTruth` holds
that, and none of it stands in any field of the files but the texts, so that an
extractor can be measured against it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from kg.app.shop.catalogue import PlantedAttribute, PlantedRelation, load_words, product_rows, products
from kg.app.shop.customers import PlantedPair, customers, event_rows, histories, pairs_bought, user_rows
from kg.app.shop.reviews import Mention, review_rows

__all__ = [
    "Mention",
    "PlantedAttribute",
    "PlantedOpinion",
    "PlantedPair",
    "PlantedRelation",
    "ShopTruth",
    "write_shop",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedOpinion:
    """What at least two reviewers say of a product, and more of them than say the opposite."""

    sku: str
    aspect: str
    """A name of ``vocabulary.yaml``."""
    sentiment: str
    """``praised`` or ``criticised``."""
    reviews: tuple[str, ...]
    """Ids of the reviews that say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopTruth:
    """All that is known of the shop beforehand."""

    relations: tuple[PlantedRelation, ...]
    denied: tuple[PlantedRelation, ...]
    """Relations that a text denies ("does not fit"): whoever finds them in the graph has misread it."""
    attributes: tuple[PlantedAttribute, ...]
    brands: Mapping[str, str]
    """Brand by sku, of those products whose record does not say it."""
    mentions: tuple[Mention, ...]
    """Every clause of every review that judges an aspect."""
    opinions: tuple[PlantedOpinion, ...]
    together: tuple[PlantedPair, ...]

    @property
    def accessories(self) -> frozenset[tuple[str, str]]:
        """Pairs (sku of the accessory, sku of what it belongs to)."""
        return frozenset((r.sku, r.target) for r in self.relations if r.type == "ACCESSORY_OF")


def write_shop(folder: Path, *, seed: int = 7) -> ShopTruth:
    """Write the shop's files into ``folder`` and return what is true of them.

    The files are ``products.jsonl``, ``reviews.jsonl``, ``events.jsonl`` and ``users.jsonl`` in the native format,
    ``holdout.jsonl`` with the last purchase of those who made three or more (the events leave it out), and
    ``truth.json``.
    """
    words = load_words()
    catalogue = products(words)
    people = customers(words, seed)
    past = histories(words, catalogue, people, seed)
    reviews, mentions = review_rows(words, catalogue, people, past, seed)
    truth = ShopTruth(
        relations=tuple(r for p in catalogue for r in p.relations),
        denied=tuple(r for p in catalogue for r in p.denied),
        attributes=tuple(a for p in catalogue for a in p.attributes),
        brands={p.sku: p.brand for p in catalogue if p.hides_brand},
        mentions=mentions,
        opinions=_opinions(mentions),
        together=pairs_bought(words, catalogue, past),
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "products.jsonl", product_rows(words, catalogue, seed))
    _write_lines(folder / "users.jsonl", user_rows(words, people, seed))
    _write_lines(folder / "events.jsonl", event_rows(past))
    _write_lines(folder / "reviews.jsonl", reviews)
    held_out = ((user, history.held_out) for user, history in past.items())
    _write_lines(folder / "holdout.jsonl", ({"user": user, "sku": sku} for user, sku in held_out if sku))
    (folder / "truth.json").write_bytes(orjson.dumps(asdict(truth), option=orjson.OPT_INDENT_2))
    return truth


def _opinions(mentions: Iterable[Mention]) -> tuple[PlantedOpinion, ...]:
    by_aspect: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: {"praised": [], "criticised": []})
    for mention in mentions:
        by_aspect[mention.sku, mention.aspect][mention.sentiment].append(mention.review)
    return tuple(
        PlantedOpinion(sku=sku, aspect=aspect, sentiment=sentiment, reviews=tuple(reviews))
        for (sku, aspect), sides in sorted(by_aspect.items())
        for sentiment, reviews in sides.items()
        if len(reviews) >= 2 and 2 * len(reviews) > sum(map(len, sides.values()))
    )


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
