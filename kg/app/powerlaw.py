"""A synthetic shop of any size, seeded, as arrays; and the bulk path that writes it into an empty graph.

What is popular is met very often and the rest seldom: brands, values of
attributes and products follow power laws, so that a query meets nodes with a
hundred thousand neighbours as well as filters that a handful of products pass.
Products of one shelf have vectors near each other, and users are drawn to a few
shelves, so that vectors, relations and behaviour agree as they do after training.

The arrays stay with the caller, who can compute there what the graph is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from embeddings.intent import WAVES, IntentModel, write_intent
from kg import schema
from kg.migrations import fulltext_index_statement, vector_index_statement
from kg.store import GraphStore, vector_parameter
from kg.writer import batched

DIMENSIONS: Final = 64
SIMILAR: Final = 10
"""Learned relations of a product."""
_BATCH: Final = 5_000
_SEGMENTS: Final = 12
_START: Final = 1_735_689_600
"""2025-01-01, in Unix seconds; events fall into the year that follows."""
_YEAR: Final = 365 * 86_400
MODEL: Final = "synthetic"
WEIGHTS: Final[Mapping[str, float]] = {
    "w_embedding": 1.0,
    "w_similar": 0.5,
    "w_next": 0.2,
    "recency": 0.6,
    "w_popularity": 0.3,
    "half_life_days": 180.0,
    "w_bought_with": 0.2,
    "w_viewed_with": 0.1,
    "w_compatible_with": 0.2,
    "w_accessory_of": 0.3,
    "w_substitute_for": 0.1,
    "w_variant_of": 0.1,
}
"""A mixture in which every term of the score matters."""
ROOT: Final = "Shop"
"""Path of the category that holds all departments, so that a query can be asked for everything there is."""
ATTRIBUTES: Final[Mapping[str, int]] = {"finish": 3, "colour": 20, "size": 60, "series": 5_000}
"""Attribute → number of values. Shares of the catalogue reach from a half to a few products."""
INTERACTIONS: Final[Mapping[str, tuple[float, float]]] = {
    "VIEWED": (0.55, 0.2),
    "CARTED": (0.1, 0.5),
    "BOUGHT": (0.2, 1.0),
    "RATED": (0.1, 0.8),
    "CLICKED": (0.05, 0.3),
}
"""Type → share of the pairs, and the interest that one event shows."""
UNWANTED: Final = ("DISLIKED", "RETURNED", "HIDDEN")
RELATIONS: Final[Mapping[str, float]] = {
    "BOUGHT_WITH": 2.0,
    "VIEWED_WITH": 1.0,
    "ACCESSORY_OF": 0.5,
    "COMPATIBLE_WITH": 0.5,
    "SUBSTITUTE_FOR": 0.2,
}
"""Explicit relation → how many a product has, on average."""
ASPECTS: Final = ("sound", "battery", "strap", "price", "weight", "finish", "case", "service")


@dataclass(frozen=True, slots=True)
class PowerLawShop:
    """The shop. Rows of products are the numbers in their skus, and likewise for users, brands and shelves."""

    price: np.ndarray
    """float64 ``[n]``"""
    stock: np.ndarray
    """float64 ``[n]``, NaN where unknown."""
    active: np.ndarray
    """bool ``[n]``"""
    consumable: np.ndarray
    """bool ``[n]``"""
    popularity: np.ndarray
    """float64 ``[n]`` in [0, 1]."""
    brand: np.ndarray
    """int64 ``[n]``"""
    shelf: np.ndarray
    """int64 ``[n]``"""
    values: Mapping[str, np.ndarray]
    """Attribute → number of the product's value, int64 ``[n]``."""
    vectors: np.ndarray
    """float32 ``[n, 64]``, unit length."""
    user_vectors: np.ndarray
    """float32 ``[m, 64]``, unit length."""
    similar: np.ndarray
    """Learned relations: start, end, int64 ``[2, s]``."""
    similar_weight: np.ndarray
    """float64 ``[s]``"""
    similar_next: np.ndarray
    """float64 ``[s]``, 0 for none."""
    related: Mapping[str, np.ndarray]
    """Explicit relation → start, end, int64 ``[2, r]``, each pair once."""
    met: Mapping[str, np.ndarray]
    """Type of interaction → user, product, int64 ``[2, e]``, each pair once."""
    met_at: Mapping[str, np.ndarray]
    """Unix seconds, int64 ``[e]``."""
    unwanted: Mapping[str, np.ndarray]
    """Likewise for what users do not want: user, product, int64 ``[2, d]``."""

    @property
    def products(self) -> int:
        """Number of products."""
        return len(self.price)

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.user_vectors)

    def category(self, shelf: int) -> str:
        """Path of a shelf; ten shelves make a department."""
        return f"{department(shelf)} > Shelf {shelf}"


def department(shelf: int) -> str:
    """Path of a shelf's department."""
    return f"Department {shelf // 10}"


def sku(row: int) -> str:
    """Sku of a product."""
    return f"p{row}"


def draw(products: int, rng: np.random.Generator) -> PowerLawShop:
    """Draw a shop of ``products`` products, and a fourth as many users."""
    users, shelves, brands = max(8, products // 4), max(10, products // 500), max(5, products // 200)
    shelf = _zipf(rng, shelves, products, 0.5)
    centres = _unit(rng.normal(size=(shelves, DIMENSIONS)))
    vectors = _unit(centres[shelf] + 0.12 * rng.normal(size=(products, DIMENSIONS)))
    on_shelf = _members(shelf, shelves)
    # Each user is drawn to three shelves; of a shelf the first members are met most.
    taste = rng.integers(shelves, size=(users, 3))
    user_vectors = _unit(centres[taste].sum(axis=1) + 0.12 * rng.normal(size=(users, DIMENSIONS)))
    activity = np.minimum(3 + rng.pareto(1.3, size=users) * 6, 400).astype(np.int64)
    who = np.repeat(np.arange(users), activity)
    where = taste[who, rng.integers(3, size=len(who))]
    what = _pick(rng, on_shelf, where)
    pairs = np.unique(np.stack([who, what]), axis=1)
    pairs = pairs[:, rng.permutation(pairs.shape[1])]
    popularity = np.log1p(np.bincount(pairs[1], minlength=products))
    kinds = rng.choice(len(INTERACTIONS), size=pairs.shape[1], p=[share for share, _ in INTERACTIONS.values()])
    met = {name: pairs[:, kinds == i] for i, name in enumerate(INTERACTIONS)}
    start = np.repeat(np.arange(products), SIMILAR)
    similar = _distinct(np.stack([start, _pick(rng, on_shelf, shelf[start])]))
    weight = np.clip(np.einsum("ij,ij->i", vectors[similar[0]], vectors[similar[1]]), 0.01, 1.0)
    following = np.where(rng.random(similar.shape[1]) < 0.2, rng.random(similar.shape[1]), 0.0)
    related = {}
    for name, each in RELATIONS.items():
        first = rng.integers(products, size=int(products * each))
        near = _pick(rng, on_shelf, shelf[first])
        far = rng.integers(products, size=len(first))
        related[name] = _distinct(np.stack([first, np.where(rng.random(len(first)) < 0.7, near, far)]))
    unwanted = {
        name: np.unique(
            np.stack([rng.integers(users, size=users // 4), rng.integers(products, size=users // 4)]), axis=1
        )
        for name in UNWANTED
    }
    return PowerLawShop(
        price=np.round(np.exp(rng.normal(3.7, 1.0, size=products)), 2),
        stock=np.where(rng.random(products) < 0.2, np.nan, np.floor(rng.pareto(1.0, size=products) * 3)),
        active=rng.random(products) < 0.97,
        consumable=rng.random(products) < 0.1,
        popularity=popularity / max(float(popularity.max()), 1.0),
        brand=_zipf(rng, brands, products, 1.0),
        shelf=shelf,
        values={name: _zipf(rng, min(count, products), products, 0.9) for name, count in ATTRIBUTES.items()},
        vectors=vectors,
        user_vectors=user_vectors,
        similar=similar,
        similar_weight=weight,
        similar_next=following,
        related=related,
        met=met,
        met_at={name: rng.integers(_START, _START + _YEAR, size=(pairs.shape[1],)) for name, pairs in met.items()},
        unwanted=unwanted,
    )


def _zipf(rng: np.random.Generator, kinds: int, size: int, exponent: float) -> np.ndarray:
    """Numbers below ``kinds``, the k-th with probability proportional to (k + 1)^-exponent: int64 ``[size]``."""
    weights = (np.arange(kinds) + 1.0) ** -exponent
    return rng.choice(kinds, size=size, p=weights / weights.sum())


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _members(shelf: np.ndarray, shelves: int) -> list[np.ndarray]:
    """Products of each shelf; nobody looks for a product on an empty one, which gets the first product."""
    order = np.argsort(shelf, kind="stable")
    bounds = np.searchsorted(shelf[order], np.arange(shelves + 1))
    return [order[a:b] if b > a else order[:1] for a, b in pairwise(bounds)]


def _pick(rng: np.random.Generator, on_shelf: Sequence[np.ndarray], where: np.ndarray) -> np.ndarray:
    """A product of each named shelf, the first ones far more often (a cubed uniform draw): int64 like ``where``."""
    sizes = np.array([len(members) for members in on_shelf])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    flat = np.concatenate(on_shelf)
    picked: np.ndarray = flat[starts[where] + (rng.random(len(where)) ** 3 * sizes[where]).astype(np.int64)]
    return picked


def _distinct(pairs: np.ndarray) -> np.ndarray:
    """Each pair once, none of a product with itself."""
    return np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)


# --- the bulk path --------------------------------------------------------------------------------------------


def write(store: GraphStore, shop: PowerLawShop, rng: np.random.Generator, *, texts: bool = True) -> None:
    """Write ``shop`` into an empty migrated graph: plain ``CREATE`` in large batches, vector indexes built afterwards.

    Args:
        rng: for what no figure depends on: texts' vectors, reviews and their evidence.
        texts: give products a text vector (384 numbers) too.
    """
    for name in ("product_embedding_blue", "product_text", "product_fulltext"):
        store.autocommit(f"DROP INDEX {name} IF EXISTS")
    _write_shelves(store, shop)
    _write_products(store, shop, rng, texts)
    _write_users(store, shop, rng)
    _write_relations(store, shop)
    _write_behaviour(store, shop, rng)
    _write_reviews(store, shop, rng)
    _write_insight(store, shop)
    for vector_index in (schema.embedding_index("blue", DIMENSIONS), *schema.VECTOR_INDEXES[:1]):
        store.autocommit(vector_index_statement(vector_index))
    for text_index in schema.FULLTEXT_INDEXES:
        store.autocommit(fulltext_index_statement(text_index))
    store.autocommit("CALL db.resampleOutdatedIndexes()")
    store.await_indexes()


def _send(store: GraphStore, cypher: str, rows: Iterable[Any]) -> None:
    for batch in batched(rows, _BATCH):
        store.write(f"CYPHER 25\nUNWIND $rows AS row\n{cypher}", rows=batch)


def _write_shelves(store: GraphStore, shop: PowerLawShop) -> None:
    shelves, brands = int(shop.shelf.max()) + 1, int(shop.brand.max()) + 1
    store.write("CREATE (:Category {path: $root, name: $root})", root=ROOT)
    _send(
        store,
        f"MATCH (root:Category {{path: '{ROOT}'}})\n"
        "CREATE (:Category {path: row, name: row})-[:SUBCATEGORY_OF {source: 'catalogue'}]->(root)",
        sorted({department(s) for s in range(shelves)}),
    )
    _send(
        store,
        "MATCH (d:Category {path: row[0]})\n"
        "CREATE (:Category {path: row[1], name: row[2]})-[:SUBCATEGORY_OF {source: 'catalogue'}]->(d)",
        ([department(s), shop.category(s), f"Shelf {s}"] for s in range(shelves)),
    )
    _send(store, "CREATE (:Brand {key: 'brand ' + row, name: 'Brand ' + row})", range(brands))
    _send(store, "CREATE (:Aspect {key: row, name: row})", ASPECTS)
    _send(
        store,
        "CREATE (:AttributeValue {key: row[0] + '=' + row[1], attribute: row[0], value: toString(row[1])})",
        ([name, int(value)] for name, of in shop.values.items() for value in np.unique(of)),
    )


def _write_products(store: GraphStore, shop: PowerLawShop, rng: np.random.Generator, texts: bool) -> None:
    centres = _unit(rng.normal(size=(int(shop.shelf.max()) + 1, schema.TEXT_DIMENSIONS)))
    names = list(shop.values)

    def rows() -> Iterator[dict[str, Any]]:
        for i in range(shop.products):
            row: dict[str, Any] = {
                "sku": sku(i),
                "title": f"Product {i} of brand {shop.brand[i]}, colour {shop.values['colour'][i]}",
                "description": f"Stands on shelf {shop.shelf[i]}, belongs to series {shop.values['series'][i]}.",
                "price": float(shop.price[i]),
                # Every second product cost more in the first half of the year.
                "prices": [float(shop.price[i])]
                if i % 2
                else [round(1.2 * float(shop.price[i]), 2), float(shop.price[i])],
                "price_times": [0] if i % 2 else [0, _START + _YEAR // 2],
                "active": bool(shop.active[i]),
                "stock": None if np.isnan(shop.stock[i]) else int(shop.stock[i]),
                "consumable": bool(shop.consumable[i]),
                "popularity": float(shop.popularity[i]),
                "vector": vector_parameter(shop.vectors[i]),
                "brand": f"brand {shop.brand[i]}",
                "shelf": shop.category(int(shop.shelf[i])),
                "values": [f"{name}={shop.values[name][i]}" for name in names],
            }
            if texts:
                noise = 0.05 * rng.normal(size=schema.TEXT_DIMENSIONS)
                row["text"] = vector_parameter(_unit((centres[shop.shelf[i]] + noise)[None])[0])
            yield row

    _send(
        store,
        "MATCH (b:Brand {key: row.brand})\nMATCH (c:Category {path: row.shelf})\n"
        "CREATE (p:Product {sku: row.sku, title: row.title, description: row.description, price: row.price,\n"
        "                   prices: row.prices, price_times: row.price_times,\n"
        "                   currency: 'EUR', active: row.active, stock: row.stock, consumable: row.consumable,\n"
        "                   popularity: row.popularity, embedding_blue: toFloatList(row.vector),\n"
        "                   shelf: row.shelf + ' > ',\n"
        "                   text_embedding: CASE WHEN row.text IS NOT NULL THEN toFloatList(row.text) END})\n"
        "CREATE (p)-[:MADE_BY {source: 'catalogue'}]->(b)\nCREATE (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c)\n"
        "WITH p, row\nUNWIND row.values AS key\nMATCH (v:AttributeValue {key: key})\n"
        "CREATE (p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v)",
        rows(),
    )


def _write_users(store: GraphStore, shop: PowerLawShop, rng: np.random.Generator) -> None:
    last = np.full(shop.users, _START)
    for name, pairs in shop.met.items():
        np.maximum.at(last, pairs[0], shop.met_at[name])
    _send(
        store,
        "CREATE (:User {id: row.id, last_at: datetime({epochSeconds: row.last}), interests: row.interests,\n"
        "               embedding_blue: toFloatList(row.vector)})",
        (
            {
                "id": f"u{i}",
                "last": int(last[i]),
                "interests": [f"colour {int(rng.integers(20))}"],
                "vector": vector_parameter(shop.user_vectors[i]),
            }
            for i in range(shop.users)
        ),
    )
    friends = _distinct(rng.integers(shop.users, size=(2, 2 * shop.users)))
    _send(
        store,
        "MATCH (a:User {id: 'u' + row[0]})\nMATCH (b:User {id: 'u' + row[1]})\n"
        "CREATE (a)-[:FRIEND_OF {source: 'catalogue'}]->(b)",
        friends.T.tolist(),
    )


def _write_relations(store: GraphStore, shop: PowerLawShop) -> None:
    store.write(
        "CREATE (:Serving {name: 'model', version: $id})\n"
        "CREATE (m:ModelVersion {id: $id, slot: 'blue', status: 'live', dimensions: $width, "
        "at: datetime({epochSeconds: $at})})\nSET m += $weights",
        id=MODEL,
        width=DIMENSIONS,
        at=_START + _YEAR,
        weights=dict(WEIGHTS),
    )
    ends = "MATCH (a:Product {sku: 'p' + row[0]})\nMATCH (b:Product {sku: 'p' + row[1]})\n"
    _send(
        store,
        ends + f"CREATE (a)-[:SIMILAR_TO {{model: '{MODEL}', weight: row[2], next: row[3]}}]->(b)",
        (
            [a, b, float(weight), float(following) or None]
            for (a, b), weight, following in zip(
                shop.similar.T.tolist(), shop.similar_weight.tolist(), shop.similar_next.tolist(), strict=True
            )
        ),
    )
    for name, pairs in shop.related.items():
        _send(store, f"{ends}CREATE (a)-[:{name} {{source: 'catalogue', confidence: 0.9}}]->(b)", pairs.T.tolist())


def _write_behaviour(store: GraphStore, shop: PowerLawShop, rng: np.random.Generator) -> None:
    ends = "MATCH (u:User {id: 'u' + row[0]})\nMATCH (p:Product {sku: 'p' + row[1]})\n"
    counted = "count: 1, events: [row[2]], times: [row[2]], values: [row[3]], sessions: ['']"
    timed = "LET at = datetime({epochSeconds: row[2]})\n"
    for name, pairs in shop.met.items():
        strength = INTERACTIONS[name][1]
        more = {"RATED": ", rating: row[3]", "CLICKED": f", model: '{MODEL}', arm: 'a'"}.get(name, "")
        stars = rng.choice(np.array([1.0, 3.0, 4.0, 5.0]), size=pairs.shape[1], p=[0.1, 0.2, 0.3, 0.4]).tolist()
        _send(
            store,
            f"{ends}{timed}CREATE (u)-[:{name} {{at: at, first_at: at, strength: {strength}, {counted}{more}}}]->(p)",
            (
                [*pair, int(at), one]
                for pair, at, one in zip(pairs.T.tolist(), shop.met_at[name].tolist(), stars, strict=True)
            ),
        )
    for name, pairs in shop.unwanted.items():
        _send(store, f"{ends}CREATE (u)-[:{name} {{count: 1, strength: -0.5}}]->(p)", pairs.T.tolist())
    shown = _chance_pairs(rng, shop.users, shop.products, 2 * shop.users)
    clicked = np.concatenate([shop.met["CLICKED"], shown], axis=1)
    _send(
        store,
        f"{ends}{timed}CREATE (u)-[:EXPOSED {{at: at, first_at: at, strength: 0.0, {counted}, model: '{MODEL}', "
        "arm: 'a'}]->(p)",
        ([*pair, _START, 1.0] for pair in np.unique(clicked, axis=1).T.tolist()),
    )


def _chance_pairs(rng: np.random.Generator, users: int, products: int, count: int) -> np.ndarray:
    """Pairs of a user and a product that have nothing to do with each other, once: int64 ``[2, ≤ count]``."""
    return np.unique(np.stack([rng.integers(users, size=count), rng.integers(products, size=count)]), axis=1)


def _write_reviews(store: GraphStore, shop: PowerLawShop, rng: np.random.Generator) -> None:
    """A review for every second rating, with one sentence on one aspect, and the evidence read from it."""
    pairs, at = shop.met["RATED"][:, ::2], shop.met_at["RATED"][::2]
    aspects: list[int] = rng.integers(len(ASPECTS), size=(pairs.shape[1],)).tolist()

    def rows() -> Iterator[dict[str, Any]]:
        facts: dict[tuple[int, int], str] = {}
        for n, ((user, product), when, aspect) in enumerate(zip(pairs.T.tolist(), at.tolist(), aspects, strict=True)):
            key = (product, aspect)
            new = key not in facts
            facts.setdefault(key, f"praise-{n}")
            name = ASPECTS[aspect]
            yield {
                "id": f"r{n}",
                "user": user,
                "product": product,
                "at": int(when),
                "aspect": name,
                "text": f"Bought in spring.\n\nThe {name} is very good. I use it daily.",
                "start": 19,
                "end": 19 + len(f"The {name} is very good"),
                "quote": f"The {name} is very good",
                "fact": facts[key],
                "new": new,
            }

    _send(
        store,
        "MATCH (u:User {id: 'u' + row.user})\nMATCH (p:Product {sku: 'p' + row.product})\n"
        "MATCH (a:Aspect {key: row.aspect})\n"
        "CREATE (u)-[:WROTE {source: 'catalogue'}]->(r:Review {id: row.id, rating: 5.0, title: 'Bought in spring.',\n"
        "        at: datetime({epochSeconds: row.at})})-[:ABOUT {source: 'catalogue'}]->(p)\n"
        "CREATE (r)-[:HAS_TEXT]->(d:Document {id: 'review:' + row.id, kind: 'review', sku: p.sku, text: row.text,\n"
        "        title_end: 17, sha256: row.id})\n"
        "CREATE (e:Evidence {id: 'e' + row.id, start: row.start, end: row.end, quote: row.quote, confidence: 0.8,\n"
        "        extractor: 'synthetic', version: '1', at: r.at, fact: row.fact})-[:FROM]->(d)\n"
        "CREATE (e)-[:MENTIONS]->(a)\n"
        "FOREACH (_ IN CASE WHEN row.new THEN [1] ELSE [] END |\n"
        "  CREATE (p)-[:PRAISED_FOR {source: 'extraction', fact: row.fact, confidence: 0.8, count: 1}]->(a))",
        rows(),
    )


def _write_insight(store: GraphStore, shop: PowerLawShop) -> None:
    """What the job "insight" would leave: a model of purchases with plain numbers, and each user in a segment."""
    end = _START + _YEAR
    model = IntentModel(
        until=end,
        rate=0.02,
        shape=1.0,
        own=0.5,
        share_total=shop.met["BOUGHT"].shape[1] + 0.5 * shop.products + 1.0,
        level=1.0,
        amounts=dict.fromkeys(WAVES, 0.05),
        half_lives=dict.fromkeys(WAVES, 14.0),
        visit_viewed=0.02,
        visit_carted=0.2,
    )
    write_intent(store, model, datetime.fromtimestamp(end, UTC))
    store.write(
        "UNWIND range(0, $segments - 1) AS n\n"
        "CREATE (:Segment {id: 's' + n, name: 'Segment ' + n, users: $users / $segments, traits: ['colour = 1'],\n"
        "                  inside: [0.5], outside: [0.1], z: [3.0], at: datetime({epochSeconds: $at})})",
        segments=_SEGMENTS,
        users=shop.users,
        at=end,
    )
    _send(
        store,
        "MATCH (u:User {id: 'u' + row[0]})\nMATCH (s:Segment {id: 's' + row[1]})\n"
        "CREATE (u)-[:IN_SEGMENT {strength: row[2]}]->(s)",
        ([user, user % _SEGMENTS, 1.0 / (1 + user % 97)] for user in range(shop.users)),
    )
