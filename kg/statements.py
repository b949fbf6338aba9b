"""What records become in the graph: the statements that write products, reviews, users and events.

They are the same for a whole file (:mod:`kg.intake`) and for a piece of a stream
(:mod:`kg.streams`). Written twice they equal written once. Products, reviews and
users are merged on their ids, and what comes again replaces what it said before.
An event has no id, so it is given one: a hash of its content, which the
interaction's relationship remembers in ``events``; the same event arriving again
adds nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kg import schema
from kg.graph import Document, Graph, Node, NodeRef, Relationship
from kg.normalise import brand_key, category_path, query_key
from kg.privacy import Pseudonym
from kg.provenance import reworded_statements
from kg.records import EventRecord, ProductRecord, ReviewRecord, UserRecord
from kg.writer import (
    Statement,
    merged_nodes,
    merged_relationships,
    node_statements,
    relationship_statements,
    shelve_statement,
    validate,
)

RELATED: Final = {
    "also_bought": "BOUGHT_WITH",
    "bought_together": "BOUGHT_WITH",
    "also_viewed": "VIEWED_WITH",
    "buy_after_viewing": "VIEWED_WITH",
    "accessory_of": "ACCESSORY_OF",
    "compatible_with": "COMPATIBLE_WITH",
    "substitute_for": "SUBSTITUTE_FOR",
}
"""The relationship that each kind of ``related`` becomes; the kind is kept as its ``source``."""

_RELATIONS: Final = "VARIANT_OF|" + "|".join(sorted(set(RELATED.values())))
"""Relationships to other products that a product file owns, as it does those to brand and shelves: what it no longer
says, goes."""

INTEREST: Final = {
    "viewed": 0.2,
    "carted": 0.5,
    "bought": 1.0,
    "rated": 1.0,
    "clicked": 0.2,
    "searched": 0.0,
    "exposed": 0.0,
    "disliked": -1.0,
    "returned": -0.5,
    "hidden": -1.0,
}
"""Interest shown by one event of a type; ``rated`` is this times rating / 5. Repetition adds its logarithm."""


# What the price was when something was bought is what its elasticity is read from. The first price has no time: since
# when the shop asks it is not known, and a graph that is loaded twice must be the same graph.
_NOTE_PRICES: Final = """
UNWIND $rows AS row
MATCH (p:Product {sku: row.sku})
WHERE p.prices IS NULL OR p.prices[-1] <> row.price
SET p.price_times = CASE WHEN p.prices IS NULL THEN [0] ELSE p.price_times + $at END,
    p.prices = coalesce(p.prices, []) + row.price
"""

# What has no popularity is not in its index, where recommendations look for what somebody new is shown. Once a model is
# live a product gets a popularity together with its place in it (embeddings/foldin.py).
_FIRST_POPULARITY: Final = """
OPTIONAL MATCH (live:Serving {name: 'model'})
WITH live
WHERE live IS NULL
UNWIND $skus AS sku
MATCH (p:Product {sku: sku})
WHERE p.popularity IS NULL
SET p.popularity = 0.0
"""


# Prices in two currencies are no change of one. Asked before the product is written, while its old one stands.
_BEGIN_PRICES_ANEW: Final = """
UNWIND $rows AS row
MATCH (p:Product {sku: row.sku})
WHERE p.prices IS NOT NULL AND p.currency <> row.currency
SET p.prices = [row.price], p.price_times = [$at]
"""


# A record that comes again replaces what it said before. Mostly that is the same, or nothing: then neither statement of
# a pair finds anything. Taking a relationship away locks both its ends, so users whom only the earlier record names are
# locked first, together with those of this one, in the order of all who write to users.
# The far ends have no labels: with one, the planner would compare every new review with all products.
_LOCK_EARLIER: Final = """
UNWIND CASE WHEN earlier = [] THEN [] ELSE earlier + $users END AS id
WITH DISTINCT id
ORDER BY id
MATCH (u:User {id: id})
SET u.id = u.id
"""
_LOCK_EARLIER_AUTHORS: Final = f"""
UNWIND $rows AS row
MATCH (review:Review {{id: row.id}})
MATCH (review)<-[:WROTE {{source: $source}}]-(u)
WHERE u.id <> row.user
WITH collect(u.id) AS earlier
{_LOCK_EARLIER}"""
_FORGET_EARLIER_REVIEW: Final = """
UNWIND $rows AS row
MATCH (review:Review {id: row.id})
CALL (row, review) {
  MATCH (review)<-[r:WROTE {source: $source}]-(u)
  WHERE u.id <> row.user
  RETURN r
UNION ALL
  MATCH (review)-[r:ABOUT {source: $source}]->(p)
  WHERE p.sku <> row.sku
  RETURN r
}
DELETE r
"""
_LOCK_EARLIER_FRIENDS: Final = f"""
UNWIND $rows AS row
MATCH (u:User {{id: row.id}})
MATCH (u)-[:FRIEND_OF {{source: $source}}]->(f)
WHERE NOT f.id IN row.friends
WITH collect(f.id) AS earlier
{_LOCK_EARLIER}"""
_FORGET_EARLIER_FRIENDS: Final = """
UNWIND $rows AS row
MATCH (u:User {id: row.id})
MATCH (u)-[r:FRIEND_OF {source: $source}]->(f)
WHERE NOT f.id IN row.friends
DELETE r
"""


def placeholder_statement(skus: Iterable[str]) -> Statement:
    """Make products of which only the sku is known; one that has come meanwhile stays as it is."""
    return (
        "UNWIND $skus AS sku\nMERGE (p:Product {sku: sku})\nON CREATE SET p.title = sku, p.active = true",
        {"skus": sorted(skus)},
    )


def user_statements(users: Sequence[UserRecord], pseudonym: Pseudonym) -> list[Statement]:
    """The statements that merge ``users`` and make their friends known; of two records of a user the later stands."""
    nodes: list[Node] = []
    friends: list[Relationship] = []
    rows: list[dict[str, Any]] = []
    for r in {r.user: r for r in users}.values():
        me = NodeRef("User", pseudonym(r.user))
        nodes.append(Node("User", me.key, {"interests": list(r.interests), "language": r.language}))
        rows.append({"id": me.key, "friends": [pseudonym(friend) for friend in r.friends]})
        for friend in r.friends:
            other = NodeRef("User", pseudonym(friend))
            nodes.append(Node("User", other.key))
            friends.append(Relationship(me, "FRIEND_OF", other, schema.CATALOGUE))
    # A friend without properties must not undo what the same batch says of them.
    known = merged_nodes(nodes)
    said = {"rows": rows, "source": schema.CATALOGUE}
    return [
        (_LOCK_EARLIER_FRIENDS, said | {"users": [n.key for n in known]}),
        *node_statements(known),
        (_FORGET_EARLIER_FRIENDS, said),
        *relationship_statements(merged_relationships(friends)),
    ]


def product_statements(products: Sequence[ProductRecord], documents: Sequence[Document], at: int) -> list[Statement]:
    """The statements that merge ``products`` with what their file owns, but for relations to other products.

    Args:
        documents: their texts, in the same order.
        at: Unix seconds at which a price that differs is taken to have changed.
    """
    nodes: list[Node] = []
    relationships: list[Relationship] = []
    for p in products:
        product = NodeRef("Product", p.sku)
        nodes.append(
            Node(
                "Product",
                p.sku,
                {
                    "title": p.title,
                    "description": p.description or None,
                    "price": p.price,
                    "currency": p.currency,
                    "active": p.active,
                    "stock": p.stock,
                    "consumable": p.consumable,
                    "gtin": p.gtin,
                    "released_at": p.released_at,
                    **{f"vector_{name}": list(vector) for name, vector in p.vectors.items()},
                },
            )
        )
        if p.brand and (key := brand_key(p.brand)):
            nodes.append(Node("Brand", key, {"name": p.brand}))
            relationships.append(Relationship(product, "MADE_BY", NodeRef("Brand", key), schema.CATALOGUE))
        for names in p.categories:
            path: str | None = None
            for depth in range(1, len(names) + 1):
                parent = path
                path = category_path(names[:depth])
                nodes.append(Node("Category", path, {"name": names[depth - 1]}))
                if parent is not None:
                    relationships.append(
                        Relationship(
                            NodeRef("Category", path), "SUBCATEGORY_OF", NodeRef("Category", parent), schema.CATALOGUE
                        )
                    )
            if path is not None:
                relationships.append(Relationship(product, "IN_CATEGORY", NodeRef("Category", path), schema.CATALOGUE))
    graph = Graph(tuple(nodes), tuple(relationships))
    validate(graph)
    prices = {
        "rows": [
            {"sku": sku, "price": float(p.price), "currency": p.currency}
            for sku, p in sorted({p.sku: p for p in products}.items())
            if p.price is not None
        ],
        "at": at,
    }
    return [
        (_BEGIN_PRICES_ANEW, prices),
        (
            "UNWIND $skus AS sku\n"
            "MATCH (:Product {sku: sku})-[r:MADE_BY|IN_CATEGORY]->()\n"
            "WHERE r.source = $source\n"
            "DELETE r",
            {"skus": sorted(p.sku for p in products), "source": schema.CATALOGUE},
        ),
        *node_statements(merged_nodes(graph.nodes)),
        (_FIRST_POPULARITY, {"skus": sorted(p.sku for p in products)}),
        *relationship_statements(merged_relationships(graph.relationships)),
        shelve_statement(p.sku for p in products if not any(p.categories)),
        (_NOTE_PRICES, prices),
        *_document_statements("Product", [(d.sku, d) for d in documents]),
    ]


def relation_statements(skus: Sequence[str], relations: Iterable[Relationship]) -> list[Statement]:
    """The statements by which products are related to others as their file says, and no longer as an earlier one did.

    Args:
        relations: of these products, to products that are there.
    """
    return [
        (
            "UNWIND $skus AS sku\n"
            f"MATCH (:Product {{sku: sku}})-[r:{_RELATIONS}]->()\n"
            "WHERE r.source IN $sources\n"
            "DELETE r",
            {"skus": sorted(skus), "sources": [schema.CATALOGUE, *RELATED]},
        ),
        *relationship_statements(merged_relationships(relations)),
    ]


def related_of(p: ProductRecord) -> Iterator[Relationship]:
    """The relations to other products that a product's file names, of the kinds in :data:`RELATED`."""
    start = NodeRef("Product", p.sku)
    for kind, skus in p.related.items():
        type_ = RELATED.get(kind)
        for sku in skus:
            if type_ is not None and sku != p.sku:
                yield Relationship(start, type_, NodeRef("Product", sku), kind)
    if p.variant_of is not None and p.variant_of != p.sku:
        yield Relationship(start, "VARIANT_OF", NodeRef("Product", p.variant_of), schema.CATALOGUE)


def review_statements(
    reviews: Sequence[ReviewRecord], documents: Sequence[Document], pseudonym: Pseudonym
) -> list[Statement]:
    """The statements that merge ``reviews`` with their authors and texts; their products must be there."""
    nodes: list[Node] = []
    authors: list[Node] = []
    relationships: list[Relationship] = []
    rows: list[dict[str, Any]] = []
    for r in reviews:
        review, user = NodeRef("Review", r.id), NodeRef("User", pseudonym(r.user))
        # Of a rating without a time it cannot be said later which of several it was.
        event = _event_id(r.rated, user.key, Counter()) if r.rates and r.at is not None else None
        nodes.append(Node("Review", r.id, {"rating": r.rating, "title": r.title or None, "at": r.at, "event": event}))
        authors.append(Node("User", user.key))
        rows.append({"id": r.id, "user": user.key, "sku": r.sku})
        relationships.append(Relationship(user, "WROTE", review, schema.CATALOGUE))
        relationships.append(Relationship(review, "ABOUT", NodeRef("Product", r.sku), schema.CATALOGUE))
    validate(Graph((*nodes, *authors), tuple(relationships)))
    said = {"rows": rows, "source": schema.CATALOGUE}
    return [
        *node_statements(merged_nodes(nodes)),
        (_LOCK_EARLIER_AUTHORS, said | {"users": [n.key for n in authors]}),
        *node_statements(merged_nodes(authors)),
        (_FORGET_EARLIER_REVIEW, said),
        *relationship_statements(merged_relationships(relationships)),
        *_document_statements("Review", [(r.id, d) for r, d in zip(reviews, documents, strict=True)]),
    ]


def _document_statements(owner: str, documents: Sequence[tuple[str, Document]]) -> list[Statement]:
    """Store the texts; whatever stood in an older wording, or was said of another product, is taken back first.

    Offsets in another wording would lie, and facts are looked for at the product of which the text is; either way it
    has to be read again.
    """
    key = schema.LABEL[owner].key
    ordered = sorted(documents, key=lambda pair: pair[1].id)
    rows = [
        {
            "owner": owner_key,
            "id": d.id,
            "properties": {
                "kind": d.kind.value,
                "text": d.text,
                "sku": d.sku,
                "title_end": d.title_end,
                "sha256": d.sha256,
            },
        }
        for owner_key, d in ordered
    ]
    return [
        *reworded_statements([{"id": d.id, "sha256": d.sha256, "sku": d.sku} for _, d in ordered]),
        (
            "UNWIND $rows AS row\n"
            f"MATCH (o:{owner} {{{key}: row.owner}})\n"
            "MERGE (d:Document {id: row.id})\n"
            "SET d += row.properties\n"
            "MERGE (o)-[:HAS_TEXT]->(d)",
            {"rows": rows},
        ),
    ]


# Every writer of interactions first locks the users that it will touch, in the same order. So two loads
# of the same events wait for one another instead of both looking for a relationship before either makes it.
_LOCK_USERS: Final = """
UNWIND $users AS row
MERGE (u:User {id: row.id})
SET u.id = row.id,
    u.last_at = CASE WHEN row.at IS NULL OR u.last_at.epochSeconds >= row.at THEN u.last_at
                     ELSE datetime({epochSeconds: row.at}) END
"""

# Lists hold one entry an event, so that any window of time can be recounted. `latest`, `earliest` and
# `rating` are those of the whole row: events counted before are in r.at and r.first_at already, so
# taking them in again changes nothing. Times travel as seconds: the driver takes 100 µs to pack a datetime.
# Nearly all relationships of a load are new: making one at once takes three quarters of what MERGE and the
# arithmetic of the other case take. Rows come grouped by user, who is looked up once.
_ADD_EVENTS: Final = """
UNWIND $groups AS group
MATCH (u:User {{id: group.user}})
UNWIND group.rows AS row
{target}
OPTIONAL MATCH (u)-[r:{type}{identity}]->(x)
WITH u, x, r, row, coalesce(r.events, []) AS known
WITH u, x, r, row, known,
     CASE WHEN r IS NULL THEN [] ELSE [i IN range(0, size(row.events) - 1) WHERE NOT row.events[i] IN known] END
       AS fresh{also}
FOREACH (_ IN CASE WHEN r IS NULL THEN [1] ELSE [] END |
  CREATE (u)-[new:{type}{identity}]->(x)
  SET {first}
      new.events = row.events, new.times = row.times, new.values = row.values, new.sessions = row.sessions,
      new.at = CASE WHEN row.latest IS NULL THEN null ELSE datetime({{epochSeconds: row.latest}}) END,
      new.first_at = CASE WHEN row.earliest IS NULL THEN null ELSE datetime({{epochSeconds: row.earliest}}) END
)
FOREACH (_ IN CASE WHEN size(fresh) > 0 THEN [1] ELSE [] END |
  SET {further}
      r.events = known + [i IN fresh | row.events[i]],
      r.times = coalesce(r.times, []) + [i IN fresh | row.times[i]],
      r.values = coalesce(r.values, []) + [i IN fresh | row.values[i]],
      r.sessions = CASE WHEN r.sessions IS NULL AND row.sessions IS NULL THEN null
        ELSE coalesce(r.sessions, [_ IN known | '']) + [i IN fresh | coalesce(row.sessions[i], '')] END,
      r.at = CASE WHEN row.latest IS NULL OR r.at.epochSeconds >= row.latest THEN r.at
                  ELSE datetime({{epochSeconds: row.latest}}) END,
      r.first_at = CASE WHEN row.earliest IS NULL OR r.first_at.epochSeconds <= row.earliest THEN r.first_at
                        ELSE datetime({{epochSeconds: row.earliest}}) END
)
RETURN sum(CASE WHEN r IS NULL THEN size(row.events) ELSE size(fresh) END) AS added,
       collect(DISTINCT CASE WHEN $acts AND (r IS NULL OR size(fresh) > 0) THEN u.id END) AS acting
"""


@dataclass(frozen=True, slots=True)
class _Measure:
    """What an interaction of a type counts: of a new relationship, and when more events come to it."""

    first: str
    further: str
    also: str = ""


_MEASURE: Final = {
    # Units bought; a purchase without a quantity is one unit.
    "bought": _Measure(
        "new.count = row.units, new.strength = $interest * (1 + log(size(row.events))),",
        """r.count = coalesce(r.count, 0) + toInteger(reduce(
        n = 0.0, i IN fresh | n + CASE WHEN isNaN(row.values[i]) THEN 1.0 ELSE ceil(row.values[i]) END)),
      r.strength = $interest * (1 + log(size(known) + size(fresh))),""",
    ),
    # The latest rating stands; of several at one time, the last that arrived; -1 is no time.
    "rated": _Measure(
        "new.count = size(row.events), new.rating = row.rating, "
        "new.strength = $interest / 5 * coalesce(row.rating, 3.0),",
        """r.count = size(known) + size(fresh),
      r.rating = rating,
      r.strength = $interest / 5 * coalesce(rating, 3.0),""",
        """
WITH u, x, r, row, known, fresh, coalesce(reduce(
  best = reduce(best = [-1, null], i IN range(0, size(known) - 1) |
    CASE WHEN isNaN(r.values[i]) OR r.times[i] < best[0] THEN best ELSE [r.times[i], r.values[i]] END),
  i IN fresh |
    CASE WHEN isNaN(row.values[i]) OR row.times[i] < best[0] THEN best ELSE [row.times[i], row.values[i]] END
)[1], r.rating) AS rating""",
    ),
}
_MEASURE_OTHERS: Final = _Measure(
    "new.count = size(row.events), new.strength = $interest * (1 + log(size(row.events))),",
    """r.count = size(known) + size(fresh),
      r.strength = $interest * (1 + log(size(known) + size(fresh))),""",
)


USERS_WAIT: Final = "UNWIND $users AS id\nMATCH (u:User {id: id})\nSET u.waiting = $mark"
"""Marks users whose vectors are to be made anew; by the mark whoever does so knows that nothing happened meanwhile."""


def event_statements(events: Sequence[EventRecord], pseudonym: Pseudonym, repeats: Counter[int]) -> list[Statement]:
    """The statements that add ``events``.

    Those of interactions return how many were ``added``, and which users are ``acting``: they did one of these.
    """
    groups: dict[str, dict[tuple[str, ...], list[tuple[int, int, float, str]]]] = defaultdict(lambda: defaultdict(list))
    last: dict[str, int] = {}
    for e in events:
        user = pseudonym(e.user)
        time = -1 if e.at is None else int(e.at.timestamp())
        # What the shop shows is nothing that the user did: interest would fade by it.
        if (done := -1 if e.type == "exposed" else time) > last.get(user, -2):
            last[user] = done
        target = query_key(e.query or "") if e.type == "searched" else e.sku or ""
        shown = e.type in ("exposed", "clicked")
        key: tuple[str, ...] = (user, target, e.model or "", e.arm or "") if shown else (user, target)
        value = math.nan if e.value is None else float(e.value)
        groups[e.type][key].append((_event_id(e, user, repeats), time, value, e.session or ""))
    met = [{"id": user, "at": at if at >= 0 else None} for user, at in sorted(last.items())]
    statements: list[Statement] = [(_LOCK_USERS, {"users": met})]
    searched = sorted({key[1] for key in groups.get("searched", ())})
    if searched:
        statements.append(("UNWIND $queries AS text\nMERGE (:Query {text: text})", {"queries": searched}))
    for type_, pairs in sorted(groups.items()):
        rows_of: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for key, occurrences in sorted(pairs.items()):
            unique = sorted({o[0]: o for o in occurrences}.values(), key=lambda o: o[1])
            ids, times, values, sessions = (list(column) for column in zip(*unique, strict=True))
            timed = [t for t in times if t >= 0]
            row: dict[str, Any] = {
                "target": key[1],
                "events": ids,
                "times": times,
                "values": values,
                # A list of strings has a record of its own in the store: half as much again to write.
                "sessions": sessions if any(sessions) else None,
                "latest": timed[-1] if timed else None,
                "earliest": timed[0] if timed else None,
                "rating": next((v for v in reversed(values) if not math.isnan(v)), None),
            }
            if type_ == "bought":
                # Of what is sold by the metre, a part counts as a whole one: units are counted in whole numbers.
                row["units"] = sum(1 if math.isnan(v) else math.ceil(v) for v in values)
            if len(key) == 4:
                row["model"], row["arm"] = key[2], key[3]
            rows_of[key[0]].append(row)
        measure = _MEASURE.get(type_, _MEASURE_OTHERS)
        cypher = _ADD_EVENTS.format(
            type=type_.upper(),
            target="MATCH (x:Query {text: row.target})"
            if type_ == "searched"
            else "MATCH (x:Product {sku: row.target})",
            identity=" {model: row.model, arm: row.arm}" if type_ in ("exposed", "clicked") else "",
            first=measure.first,
            further=measure.further,
            also=measure.also,
        )
        groups_of = [{"user": user, "rows": rows} for user, rows in rows_of.items()]
        # As above, what the shop shows is nothing that the user did.
        statements.append((cypher, {"groups": groups_of, "interest": INTEREST[type_], "acts": type_ != "exposed"}))
    return statements


def _event_id(e: EventRecord, user: str, repeats: Counter[int]) -> int:
    """63 bits of the event's content; see :func:`load_events` for what makes two events the same."""
    parts = (user, e.type, e.sku, e.at and e.at.isoformat(), e.value, e.session, e.query, e.model, e.arm)
    digest = _hash63(repr(parts))
    if e.at is not None:
        return digest
    if e.origin is not None:
        return _hash63(f"{digest} of {e.origin}")
    repeats[digest] += 1
    return digest if repeats[digest] == 1 else _hash63(f"{digest} {repeats[digest]}")


def _hash63(text: str) -> int:
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "big") >> 1


def count_repeats(events: Iterable[EventRecord], pseudonym: Pseudonym, repeats: Counter[int]) -> None:
    """Count events without a time that were loaded before, so that the next equal one is known to be another."""
    for e in events:
        _event_id(e, pseudonym(e.user), repeats)
