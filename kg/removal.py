"""Taking away a document, a review, a product or a source: exactly what it alone supported goes with it.

Afterwards the graph is as if it had been loaded and read without it. What others
support as well stays: a fact that another text states, a brand that another
product has, a user who did something else. What a user's events say of other
products is counted as before, since each relationship is counted from its own
events alone; the time of the user's latest event is looked up anew. Whose vector holds a product that is gone waits
for another (:mod:`kg.streams`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from kg import schema
from kg.errors import InputError
from kg.normalise import PATH_SEPARATOR
from kg.provenance import retract_statements
from kg.statements import INTEREST
from kg.store import GraphStore, Row, Transaction
from kg.streams import mark
from kg.writer import Statement, batched, shelve_statement

KINDS: Final = ("products", "reviews", "documents", "sources")
"""What can be removed."""

_BATCH: Final = 100
_AT_ONCE: Final = 10_000
"""Relationships of a source that go in one transaction. Each looks through those of a type anew, so not too few."""

# Taken first, as whoever loads a piece of a stream takes them. What hangs on them is looked for in statements after
# that, which find all that came until then; and nothing comes any more.
_LOCK_PRODUCTS: Final = "UNWIND $keys AS key\nMATCH (p:Product {sku: key})\nSET p.sku = key\nRETURN key"
_LOCK_REVIEWED: Final = """
UNWIND $keys AS key
MATCH (:Review {id: key})-[:ABOUT]->(p)
WITH DISTINCT p
ORDER BY p.sku
SET p.sku = p.sku
"""
_REVIEWED: Final = "UNWIND $keys AS key\nMATCH (:Review {id: key})-[:ABOUT]->(p)\nRETURN p.sku AS sku"
_DOCUMENTS: Final = "UNWIND $keys AS key\nMATCH (d:Document {id: key})\nRETURN key AS id, d.sku AS sku"
_DOCUMENTS_OF_PRODUCTS: Final = """
UNWIND $keys AS key
MATCH (p:Product {sku: key})
CALL (p) {
  MATCH (p)-[:HAS_TEXT]->(d:Document)
  RETURN d
UNION
  MATCH (p)<-[:ABOUT]-(:Review)-[:HAS_TEXT]->(d:Document)
  RETURN d
}
RETURN d.id AS id ORDER BY id
"""
_DOCUMENTS_OF_REVIEWS: Final = (
    "UNWIND $keys AS key\nMATCH (:Review {id: key})-[:HAS_TEXT]->(d:Document)\nRETURN d.id AS id ORDER BY id"
)
_PARTNERS: Final = """
UNWIND $keys AS key
MATCH (:Product {sku: key})--(x:Brand|Category|AttributeValue|Aspect)
RETURN DISTINCT labels(x)[0] AS label, coalesce(x.key, x.path) AS key
"""
_AUTHORS: Final = (
    "UNWIND $keys AS key\nMATCH (:Review {id: key})<-[:WROTE]-(u:User)\nRETURN DISTINCT u.id AS id ORDER BY id"
)
_ACTORS: Final = """
UNWIND $keys AS key
MATCH (p:Product {sku: key})
CALL (p) {
  MATCH (p)<--(u:User)
  RETURN u
UNION
  MATCH (p)<-[:ABOUT]-(:Review)<-[:WROTE]-(u:User)
  RETURN u
}
RETURN DISTINCT u.id AS id ORDER BY id
"""
# In the order of their ids, as whoever loads events takes them.
_LOCK_USERS: Final = "UNWIND $users AS id\nMATCH (u:User {id: id})\nSET u.id = id"
# The encoder's vector is of the text alone.
_FORGET_VECTORS: Final = (
    "UNWIND $documents AS id\nMATCH (p:Product)-[:HAS_TEXT]->(:Document {id: id})\nREMOVE p.text_embedding"
)
_DELETE_DOCUMENTS: Final = "UNWIND $documents AS id\nMATCH (d:Document {id: id})\nDETACH DELETE d"
_DELETE_REVIEWS: Final = "UNWIND $keys AS key\nMATCH (r:Review {id: key})\nDETACH DELETE r"
# Other texts may name the product: their evidence of it would point nowhere.
_DELETE_PRODUCTS: Final = """
UNWIND $keys AS key
MATCH (p:Product {sku: key})
OPTIONAL MATCH (p)<-[:ABOUT]-(review:Review)
OPTIONAL MATCH (p)<-[:MENTIONS]-(e:Evidence)
WITH p, collect(DISTINCT review) AS reviews, collect(DISTINCT e) AS evidence
FOREACH (x IN reviews + evidence | DETACH DELETE x)
DETACH DELETE p
"""
# A review that is a rating as well is counted as if it had never been given: what stands is the latest of the others.
_TAKE_RATINGS: Final = """
UNWIND $keys AS key
MATCH (v:Review {id: key})-[:ABOUT]->(p:Product), (v)<-[:WROTE]-(u:User)-[r:RATED]->(p)
WHERE v.event IN r.events
WITH u, r, collect(v.event) AS gone
WITH u, r, [i IN range(0, size(r.events) - 1) WHERE NOT r.events[i] IN gone] AS kept
WITH u, r, kept, [i IN kept WHERE r.times[i] >= 0 | r.times[i]] AS times,
     reduce(
       best = [-1, null], i IN kept |
         CASE WHEN isNaN(r.values[i]) OR r.times[i] < best[0] THEN best ELSE [r.times[i], r.values[i]] END
     )[1] AS rating
SET u.waiting = $mark
FOREACH (_ IN CASE WHEN size(kept) > 0 THEN [1] ELSE [] END |
  SET r.count = size(kept),
      r.rating = rating,
      r.strength = $interest / 5 * coalesce(rating, 3.0),
      r.at = CASE WHEN size(times) > 0 THEN datetime({epochSeconds: reduce(m = -1, t IN times |
        CASE WHEN t > m THEN t ELSE m END)}) END,
      r.first_at = CASE WHEN size(times) > 0 THEN datetime({epochSeconds: reduce(m = times[0], t IN times |
        CASE WHEN t < m THEN t ELSE m END)}) END,
      r.times = [i IN kept | r.times[i]],
      r.values = [i IN kept | r.values[i]],
      r.sessions = CASE WHEN any(i IN kept WHERE r.sessions[i] <> '') THEN [i IN kept | r.sessions[i]] END,
      r.events = [i IN kept | r.events[i]]
)
FOREACH (_ IN CASE WHEN size(kept) = 0 THEN [1] ELSE [] END | DELETE r)
"""
_LATEST: Final = """
UNWIND $users AS id
MATCH (u:User {id: id})
CALL (u) {
  OPTIONAL MATCH (u)-[r:!EXPOSED]->(:Product|Query)
  RETURN max(r.at) AS at
}
SET u.last_at = at
"""
# Whose vector is of what is gone.
_ACTORS_WAIT: Final = """
UNWIND $keys AS key
MATCH (:Product {sku: key})<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-(u:User)
WITH DISTINCT u
ORDER BY u.id
SET u.waiting = $mark
"""
# Whom a file of users describes has interests, be it none of them. A segment is what was found out, not what was said.
_FORGET_USERS: Final = """
UNWIND $users AS id
MATCH (u:User {id: id})
WHERE u.interests IS NULL AND u.language IS NULL AND NOT EXISTS { (u)-[:!IN_SEGMENT]-() }
DETACH DELETE u
"""
_DROP_ALONE: Final = """
UNWIND $partners AS x
MATCH (n:%s {%s: x})
WHERE NOT EXISTS { (n)--() }
DELETE n
"""
# A shelf goes with its last product, and then the shelf above it, unless something else stands there.
_DROP_SHELVES: Final = """
UNWIND $partners AS x
MATCH (n:Category {path: x})
WHERE NOT EXISTS { (n)<--() }
DETACH DELETE n
"""
_READ_DOCUMENTS: Final = (
    "MATCH (d:Document)\nWHERE d.extracted IS NOT NULL\nRETURN d.id AS id, d.sku AS sku\nLIMIT $most"
)
# Those that are to be read again have no mark, and say something all the same. From the evidence on, which is fewer
# each time; the texts that say nothing would be looked through again and again.
_SAYING_DOCUMENTS: Final = """
MATCH (e:Evidence)
USING SCAN e:Evidence
MATCH (e)-[:FROM]->(d:Document)
WITH DISTINCT d
LIMIT $most
RETURN d.id AS id, d.sku AS sku
"""
_MARK_UNREAD: Final = "UNWIND $documents AS id\nMATCH (d:Document {id: id})\nREMOVE d.extracted"
_CUT: Final = """
MATCH (a)-[r:%s]->(b)
WHERE r.source = $source
WITH a, r, b
LIMIT $most
DELETE r
RETURN a.sku AS sku, labels(b)[0] AS label, coalesce(b.key, b.path) AS end
"""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal took away, and whose place it changed."""

    kind: str
    found: int
    """How many of those that were named were there."""
    users: tuple[str, ...] = ()
    """Users who had to do with them, by the graph's ids."""
    products: tuple[str, ...] = ()
    """Products of which something else is said now, or which are gone."""


def remove(store: GraphStore, kind: str, keys: Sequence[str]) -> Removed:
    """Remove products by sku, reviews or documents by id, or sources by name; names that are not there do nothing.

    A source is one that relationships name: a feed such as ``bought_together``, or ``extraction``, which is all that
    was ever read out of texts; these then count as not read. Each hundred keys are one transaction.

    Raises:
        InputError: the kind is unknown, or the source is the catalogue, whose records are removed by their keys.
    """
    removals = {
        "products": _remove_products,
        "reviews": _remove_reviews,
        "documents": _remove_documents,
        "sources": _remove_source,
    }
    if kind not in removals:
        raise InputError(f"{kind!r} cannot be removed; expected one of {', '.join(KINDS)}.")
    if kind == "sources" and schema.CATALOGUE in keys:
        raise InputError(
            "The catalogue is not removed as a whole: name the products or reviews instead "
            "(kg remove products SKU …), or begin with an empty graph."
        )
    count, users, products = 0, set[str](), set[str]()
    for part in batched(dict.fromkeys(keys), 1 if kind == "sources" else _BATCH):
        found = removals[kind](store, part)
        count += found.found
        users.update(found.users)
        products.update(found.products)
    return Removed(kind, count, tuple(sorted(users)), tuple(sorted(products)))


def _remove_documents(store: GraphStore, ids: Sequence[str]) -> Removed:
    def work(tx: Transaction) -> Removed:
        rows = tx.run(_DOCUMENTS, keys=sorted(ids))
        tx.run_all(_without_documents([row["id"] for row in rows]))
        return Removed("documents", len(rows), products=tuple(row["sku"] for row in rows))

    return store.transact(work)


def _remove_reviews(store: GraphStore, ids: Sequence[str]) -> Removed:
    keys, piece = sorted(ids), mark(store.now())

    def work(tx: Transaction) -> Removed:
        tx.run(_LOCK_REVIEWED, keys=keys)
        users = _locked_users(tx, _AUTHORS, keys)
        rows = tx.run(_REVIEWED, keys=keys)
        documents = [row["id"] for row in tx.run(_DOCUMENTS_OF_REVIEWS, keys=keys)]
        tx.run_all(
            [
                (_TAKE_RATINGS, {"keys": keys, "mark": piece, "interest": INTEREST["rated"]}),
                *_without_documents(documents),
                (_DELETE_REVIEWS, {"keys": keys}),
                (_LATEST, {"users": users}),
                (_FORGET_USERS, {"users": users}),
            ],
        )
        return Removed("reviews", len(rows), tuple(users), tuple(row["sku"] for row in rows))

    return store.transact(work)


def _remove_products(store: GraphStore, skus: Sequence[str]) -> Removed:
    wanted, piece = sorted(skus), mark(store.now())

    def work(tx: Transaction) -> Removed:
        keys = [row["key"] for row in tx.run(_LOCK_PRODUCTS, keys=wanted)]
        users = _locked_users(tx, _ACTORS, keys)
        documents = [row["id"] for row in tx.run(_DOCUMENTS_OF_PRODUCTS, keys=keys)]
        alone: dict[str, list[str]] = {}
        for row in tx.run(_PARTNERS, keys=keys):
            alone.setdefault(row["label"], []).append(row["key"])
        tx.run_all(
            [
                (_ACTORS_WAIT, {"keys": keys, "mark": piece}),
                *_without_documents(documents),
                (_DELETE_PRODUCTS, {"keys": keys}),
                (_LATEST, {"users": users}),
                (_FORGET_USERS, {"users": users}),
                *_dropped(alone),
            ],
        )
        return Removed("products", len(keys), tuple(users), tuple(keys))

    return store.transact(work)


def _locked_users(tx: Transaction, cypher: str, keys: Sequence[str]) -> list[str]:
    users = [row["id"] for row in tx.run(cypher, keys=keys)]
    tx.run(_LOCK_USERS, users=users)
    return users


def _remove_source(store: GraphStore, sources: Sequence[str]) -> Removed:
    """One source: its relationships, and what only they joined; of extraction the evidence as well.

    Part by part, until none is left: a feed may have millions, which no memory is to hold at once.
    """
    (source,) = sources
    # Once no evidence is left, no extracted relationship has a reason any more.
    parts = chain(_unread(store) if source == schema.EXTRACTION else (), _cut(store, source))
    found, products = False, set[str]()
    for part in parts:
        found = True
        products.update(row["sku"] for row in part if row["sku"] is not None)
    return Removed("sources", int(found), products=tuple(products))


def _unread(store: GraphStore) -> Iterator[list[Row]]:
    """Take back what texts say, which then count as not read; the documents of each transaction."""
    for documents in (_READ_DOCUMENTS, _SAYING_DOCUMENTS):
        while rows := store.read(documents, most=_BATCH):
            ids = [row["id"] for row in rows]
            store.write_all([*retract_statements(ids), (_MARK_UNREAD, {"documents": ids})])
            yield rows


def _cut(store: GraphStore, source: str) -> Iterator[list[Row]]:
    """Delete the relationships of a source, and what only they joined; those of each transaction."""

    def cut(tx: Transaction) -> list[Row]:
        rows = tx.run(delete, source=source, most=_AT_ONCE)
        alone: dict[str, list[str]] = {}
        for row in rows:
            if row["end"] is not None:
                alone.setdefault(row["label"], []).append(row["end"])
        statements = _dropped(alone)
        if type_.name == "IN_CATEGORY":
            statements.append(shelve_statement(row["sku"] for row in rows))
        tx.run_all(statements)
        return rows

    for type_ in schema.RELATIONSHIP_TYPES:
        if "source" in type_.identity:
            delete = _CUT % type_.name
            while rows := store.transact(cut):
                yield rows


def _without_documents(documents: Sequence[str]) -> list[Statement]:
    gone = {"documents": list(documents)}
    return [*retract_statements(documents), (_FORGET_VECTORS, gone), (_DELETE_DOCUMENTS, gone)]


def _dropped(alone: dict[str, list[str]]) -> list[Statement]:
    """What nothing joins any more goes; shelves from the deepest up."""
    statements: list[Statement] = []
    for label in ("Brand", "AttributeValue", "Aspect"):
        if label in alone:
            key = schema.LABEL[label].key
            statements.append((_DROP_ALONE % (label, key), {"partners": sorted(set(alone[label]))}))
    by_depth: dict[int, set[str]] = defaultdict(set)
    for path in alone.get("Category", ()):
        names = path.split(PATH_SEPARATOR)
        for depth in range(1, len(names) + 1):
            by_depth[depth].add(PATH_SEPARATOR.join(names[:depth]))
    statements += [(_DROP_SHELVES, {"partners": sorted(by_depth[depth])}) for depth in sorted(by_depth, reverse=True)]
    return statements
