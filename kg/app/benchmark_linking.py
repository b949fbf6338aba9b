"""``kg benchmark linking``: how long it takes to link what a new text names, as the catalogue grows to a million.

The catalogue is synthetic, its titles made of makers, lines, models and things.
Measured is what every new text needs: the look-ups of names in memory (the maker, the
shelf, the products that are named), and in the graph the look-up of the keys that they
lead to, through the indexes. What is said of building the names is once in a process.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import psutil

from extraction import language
from extraction.mentions import Lexicon, ProductEntry, words
from extraction.ner import BrandFinder
from extraction.products import CategoryFinder, ProductFinder
from extraction.shelves import ShelfRules
from extraction.workers import return_memory
from kg import vocabulary
from kg.app.benchmark import own_graph
from kg.settings import Settings
from kg.store import GraphStore
from kg.writer import batched, missing_keys

TEXTS: Final = 500
_SYLLABLES: Final = ("bar", "dol", "fen", "gur", "kas", "lom", "mir", "nul", "per", "rin", "sot", "tuv", "val", "wex")
_THINGS: Final = ("camera", "tripod", "backpack", "lens", "tent", "strap", "battery", "filter", "stove", "lamp", "case")
_KINDS: Final = ("leather", "carbon", "folding", "compact", "wide", "light", "winter", "travel", "studio", "trail")


def linking(settings: Settings, *, sizes: Sequence[int], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each size of the catalogue."""
    known = vocabulary.load(settings.vocabulary)
    common = language.lemma_index() | known.words()
    rows = []
    with own_graph(settings, "linking") as store:
        there = 0
        for size in sorted(sizes):
            say(f"{size} products.")
            _write(store, there, size)
            there = size
            rows.append(_measured(store, size, common, known.accessories, random.Random(settings.seed)))
            gc.collect()
    return rows


def _measured(
    store: GraphStore, size: int, common: frozenset[str], accessories: frozenset[str], rng: random.Random
) -> dict[str, Any]:
    gc.collect()
    before, began = psutil.Process().memory_info().rss, time.process_time()
    lexicon = catalogue(size)
    brands = BrandFinder(lexicon, common)
    products = ProductFinder(lexicon, common, accessories)
    shelves = ShelfRules(lexicon, CategoryFinder(lexicon, parts=True))
    return_memory()
    built, after = time.process_time() - began, psutil.Process().memory_info().rss
    texts = [_text(size + n, rng.randrange(size)) for n in range(TEXTS)]
    named: set[str] = set()
    makers = shelved = 0
    begun = time.process_time()
    for n, (title, body) in enumerate(texts):
        makers += brands.maker(f"{title}\n{body}", len(title)) is not None
        shelved += bool(shelves.find(title, document=f"d{n}", sku=f"p{size + n}").claims)
        for found in products.find(body, words(body)):
            named.update(found.skus)
    linked = time.process_time() - begun
    keys = sorted(named)[:TEXTS]
    missing_keys(store, "Product", keys)  # Neo4j reads and plans the query for the first time
    looked = time.perf_counter()
    absent = missing_keys(store, "Product", keys)
    in_graph = time.perf_counter() - looked
    return {
        "products": size,
        "linking a text, ms": round(1000 * linked / TEXTS, 3),
        "look-up of a key in Neo4j, ms": round(1000 * in_graph / max(len(keys), 1), 3),
        "makers found": makers / TEXTS,
        "shelves found": shelved / TEXTS,
        "named products found": len(keys),
        "absent": len(absent),
        "building the names, s": round(built, 1),
        "memory of the names, MB": round((after - before) / 1e6),
    }


def catalogue(size: int) -> Lexicon:
    """The first ``size`` products of an endless shop: a maker has 200 of them, a shelf a thousand."""
    entries = {f"p{n}": _entry(n) for n in range(size)}
    return Lexicon(
        brands={_maker(m).lower(): _maker(m) for m in range(-(-size // 200))},
        categories=tuple(f"Shop > {_shelf(s)}" for s in range(-(-size // 1000))),
        products=entries,
    )


def _entry(n: int) -> ProductEntry:
    maker = _maker(n // 200)
    return ProductEntry(f"{maker} {_model(n)} {_kind(n)} {_thing(n)}", maker.lower(), f"Shop > {_shelf(n // 1000)}")


def _text(n: int, other: int) -> tuple[str, str]:
    """Title and description of the n-th product, which is of the maker and shelf of another one and names it."""
    maker, kind, thing = _maker(other // 200), _kind(other), _thing(n)
    body = f"A {kind} {thing} for every day. It fits the {maker} {_model(other)} and comes in black."
    return f"{maker} {_model(n)} {kind} {thing}", body


def _maker(m: int) -> str:
    letters = []
    for _ in range(4):
        letters.append(_SYLLABLES[m % len(_SYLLABLES)])
        m //= len(_SYLLABLES)
    return "".join(letters).capitalize()


def _model(n: int) -> str:
    return f"{chr(65 + n % 26)}{chr(65 + n // 26 % 26)}{n}"


def _kind(n: int) -> str:
    """A word that the products of one shelf share."""
    return f"{_KINDS[n // 1000 % len(_KINDS)]}{_maker(n // 1000)[:6].lower()}"


def _thing(n: int) -> str:
    return _THINGS[n % len(_THINGS)]


def _shelf(s: int) -> str:
    return f"Shelf {s}"


def _write(store: GraphStore, begin: int, end: int) -> None:
    def rows() -> Iterator[dict[str, str]]:
        for n in range(begin, end):
            yield {"sku": f"p{n}"}

    for part in batched(rows(), 10_000):
        store.write("UNWIND $rows AS row\nCREATE (:Product {sku: row.sku, active: true})", rows=part)
