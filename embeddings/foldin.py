"""Folding in: users and products that the live model was not trained on get their place in it, without training.

A user stands at the mean of the products that show the user's interest, each
counting as it does in the score (:mod:`embeddings.scoring`).

A product gets from its text and from what it shares with others what training
gives to one that nobody has met (:mod:`embeddings.newcomers`): relations from and
to the products that it is like, by the factors that the live model was fitted
with, and the mean of their vectors, by the strength of these relations.

All of it stands in the graph: the model's factors are properties of its
``ModelVersion``. Written is only what still belongs to the model that is live,
and a user's vector only while nothing has happened since the user was looked at
(:mod:`kg.streams` marks whom a stream touches).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from embeddings.export import AGREED, SHARED
from embeddings.features import MOST_SHARING
from embeddings.registry import LiveModel, live
from embeddings.relations import PART_WIDTH
from embeddings.scoring import HISTORY
from kg.store import GraphStore, vector_parameter
from kg.streams import mark
from kg.writer import batched

OUTGOING: Final = 60
"""Most relations that a product is given in each direction."""
_BATCH: Final = 200
KNOWN: Final = 200
"""Relationships from which on the users who met a product are not told apart: a lift of a hundredth at most."""
_ASKED: Final = 10_000
"""Users who are asked for at once."""

_INTERESTS: Final = """
CYPHER 25
UNWIND $users AS id
MATCH (u:User {{id: id}})
WHERE u.embedding_{slot} IS NULL OR u.last_at > $since OR u.waiting > $waiting
CALL (u) {{
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0 AND h.embedding_{slot} IS NOT NULL
  LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / $half_life)
  WITH h, sum(coalesce(did.strength, 1.0) * decay) AS interest
  ORDER BY interest DESC, h.sku
  LIMIT {history}
  RETURN collect(interest) AS interests, collect(vector(h.embedding_{slot}, {dimensions}, FLOAT32)) AS vectors
}}
WITH u, interests, vectors
FILTER size(interests) > 0 OR u.embedding_{slot} IS NOT NULL
RETURN u.id AS key, interests, vectors
"""

# The index gives (1 + cosine) / 2; one of its rows is the product itself.
_LIKENESS: Final = """
CYPHER 25
UNWIND $skus AS sku
MATCH (p:Product {{sku: sku}})
WHERE p.embedding_{slot} IS NULL
CALL (p) {{
  CALL (p) {{
    CALL (p) {{
      WHEN p.text_embedding IS NOT NULL AND $text > 0.0 THEN {{
        MATCH (h:Product)
          SEARCH h IN (VECTOR INDEX product_text FOR p.text_embedding LIMIT {near})
          SCORE AS near
        LET cosine = 2.0 * near - 1.0
        RETURN h, CASE WHEN cosine > 0.0 THEN $text * cosine ^ 2 ELSE 0.0 END AS part
      }}
    }}
    RETURN h, part
{shared}
  }}
  WITH p, h, sum(part) AS weight
  FILTER h <> p AND weight > 0.0 AND h.embedding_{slot} IS NOT NULL
  ORDER BY weight DESC, h.sku
  LIMIT {outgoing}
  // Users are counted where they are few. How many a well-known product has makes no difference to its lift, and the
  // number of its relationships, which Neo4j knows without reading them, will do.
  CALL (h) {{
    WHEN COUNT {{ (h)<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-() }} > {known} THEN {{
      RETURN COUNT {{ (h)<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-() }} AS met
    }}
    ELSE {{
      MATCH (h)<-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-(u:User)
      WHERE coalesce(did.strength, 1.0) > 0.0
      RETURN count(DISTINCT u) AS met
    }}
  }}
  RETURN collect({{sku: h.sku, weight: weight, vector: vector(h.embedding_{slot}, {dimensions}, FLOAT32),
                  met: met}}) AS others
}}
WITH p, others
FILTER size(others) > 0
RETURN p.sku AS key, others
"""

# Taking the lock of the node that names the live model: a promotion waits, or has been and nothing is written.
_WHILE_LIVE: Final = (
    "CYPHER 25\nMATCH (s:Serving {{name: 'model'}})\nSET s.version = s.version\nWITH s\nWHERE s.version = $version\n"
)
_PLACE: Final = _WHILE_LIVE + (
    "UNWIND $rows AS row\nMATCH (n:{label} {{{key}: row.key}})\n{unless}"
    "SET n.embedding_{slot} = toFloatList(row.vector)\n"
    "RETURN count(n) AS written"
)
# Whose products are all gone has a vector of nothing that is there.
_TAKE_AWAY: Final = _WHILE_LIVE + (
    "UNWIND $rows AS row\nMATCH (n:User {{id: row.key}})\n{unless}REMOVE n.embedding_{slot}"
)
# Statements of their own, before what is read. A reader without the lock may see in parts what is being committed: the
# mark of a piece already, and its events not yet.
_LOCK: Final = "UNWIND $users AS id\nMATCH (u:User {id: id})\nSET u.id = id"
_LOCK_USERS: Final = _WHILE_LIVE.format() + "UNWIND $users AS id\nMATCH (u:User {id: id})\nSET u.id = id"
_UNLESS_TOUCHED: Final = "WHERE coalesce(n.waiting, '') = row.mark\n"
_PLACED: Final = _WHILE_LIVE.format() + (
    "UNWIND $rows AS row\nMATCH (u:User {id: row.key})\nWHERE u.waiting = row.mark\nREMOVE u.waiting"
)
_MARKS: Final = "UNWIND $users AS id\nMATCH (u:User {id: id})\nRETURN id, u.waiting AS mark"
# Who met a newcomer before it had a place had nothing of it in their vector.
_TAKERS_WAIT: Final = _WHILE_LIVE.format() + (
    "UNWIND $rows AS row\nMATCH (:Product {sku: row.key})<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-(u:User)\n"
    "WITH DISTINCT u\nORDER BY u.id\nSET u.waiting = $mark"
)
_RELATE: Final = _WHILE_LIVE + (
    "UNWIND $rows AS row\nMATCH (p:Product {{sku: row.key}})\n"
    "SET p.popularity = coalesce(p.popularity, $popularity)\n"
    "WITH p, row\nUNWIND row.others AS other\nMATCH (h:Product {{sku: other.sku}})\n"
    "MERGE (h)-[onto:SIMILAR_TO {{model: $version}}]->(p)\nSET onto.weight = other.onto\n"
    "MERGE (p)-[from:SIMILAR_TO {{model: $version}}]->(h)\nSET from.weight = other.from"
)


def fold_in_users(store: GraphStore, users: Iterable[str]) -> int:
    """Give users their vectors of the live model: those who have none, and those seen since its training began.

    A user none of whose products has a vector gets none, and loses one that is of products that are gone. Either way
    the user waits no more, unless something happened meanwhile; then nothing of that user is written.

    Returns:
        How many users were written; 0 while no model is live.
    """
    model = live(store)
    if model is None:
        return 0
    cypher = _INTERESTS.format(slot=model.slot, history=HISTORY, dimensions=model.dimensions)
    place = _PLACE.format(label="User", key="id", slot=model.slot, unless=_UNLESS_TOUCHED)
    take_away = _TAKE_AWAY.format(slot=model.slot, unless=_UNLESS_TOUCHED)
    since = _trained(model)
    waiting = mark(since) if since else ""
    written = 0
    for batch in batched(users, _BATCH):
        # The marks first: what is read after them is no older than they are.
        locked = store.write_all([(_LOCK, {"users": sorted(batch)}), (_MARKS, {"users": batch})])
        marks = {row["id"]: row["mark"] or "" for row in locked[1]}
        found = store.read(cypher, users=batch, since=since, waiting=waiting, half_life=model.weights.half_life_days)
        rows, nowhere = [], []
        for row in found:
            mean, at = _mean(row["vectors"], row["interests"]), {"key": row["key"], "mark": marks.get(row["key"], "")}
            if mean is None:
                nowhere.append(at)
            else:
                rows.append({**at, "vector": vector_parameter(mean)})
        done = [{"key": key, "mark": name} for key, name in sorted(marks.items()) if name]
        if rows or nowhere or done:
            touched = sorted({r["key"] for r in (*rows, *nowhere, *done)})
            placed = store.write_all(
                [
                    (_LOCK_USERS, {"version": model.version, "users": touched}),
                    (place, {"version": model.version, "rows": rows}),
                    (take_away, {"version": model.version, "rows": nowhere}),
                    (_PLACED, {"version": model.version, "rows": done}),
                ]
            )
            written += _written(placed[1])
    return written


def waiting_users(store: GraphStore, *, before: str = "~") -> list[str]:
    """Users whom a stream touched and nobody has placed since, those who have waited longest first.

    Args:
        before: a mark; only users who wait since an earlier one.
    """
    rows = store.read(
        "MATCH (u:User)\nWHERE u.waiting < $before\nRETURN u.id AS id ORDER BY u.waiting, id", before=before
    )
    return [row["id"] for row in rows]


def unplaced_users(store: GraphStore, users: Iterable[str]) -> list[str]:
    """Those among ``users`` who have no vector of the live model, or wait for another."""
    model = live(store)
    if model is None:
        return []
    cypher = (
        "UNWIND $users AS id\nMATCH (u:User {id: id})\n"
        f"WHERE u.embedding_{model.slot} IS NULL OR u.waiting IS NOT NULL\nRETURN id"
    )
    return [row["id"] for batch in batched(users, _ASKED) for row in store.read(cypher, users=batch)]


def users_behind(store: GraphStore) -> list[str]:
    """Users seen since the training of the live model began: their vector knows nothing of it."""
    model = live(store)
    if model is None or (since := _trained(model)) is None:
        return []
    rows = store.read("MATCH (u:User)\nWHERE u.last_at > $since\nRETURN u.id AS id ORDER BY id", since=since)
    return [row["id"] for row in rows]


def fold_in_products(store: GraphStore, skus: Iterable[str]) -> int:
    """Give products that the live model does not know relations and a vector of it, so that they are recommended.

    A product that is like no other (no text, no brand, no category) gets none. Users who met one before are marked as
    waiting: :func:`waiting_users` has them.

    Returns:
        How many products were written; 0 while no model is live.
    """
    model = live(store)
    if model is None:
        return 0
    shared = "\n".join(_shared_part(type_) for type_, _ in SHARED)
    cypher = _LIKENESS.format(
        slot=model.slot,
        near=PART_WIDTH + 1,
        shared=shared,
        outgoing=OUTGOING,
        dimensions=model.dimensions,
        known=KNOWN,
    )
    place = _PLACE.format(label="Product", key="sku", slot=model.slot, unless="")
    relate = _RELATE.format()
    factors: dict[str, Any] = {"text": model.factors.get("text", 0.0)}
    factors |= {type_.lower(): model.factors.get(type_.lower(), 0.0) for type_, _ in SHARED}
    popularity: float | None = None
    written = 0
    for batch in batched(skus, _BATCH):
        found = store.read(cypher, skus=batch, **factors)
        rows = [row for one in found if (row := _placed(one, model)) is not None]
        if not rows:
            continue
        popularity = _usual_popularity(store) if popularity is None else popularity
        takers = {"rows": [{"key": row["key"]} for row in rows], "version": model.version, "mark": mark(store.now())}
        written += _written(
            store.write_all(
                [
                    (relate, {"rows": rows, "version": model.version, "popularity": popularity}),
                    (place, {"rows": rows, "version": model.version}),
                    (_TAKERS_WAIT, takers),
                ]
            )[1]
        )
    return written


def _shared_part(type_: str) -> str:
    """What a newcomer has by sharing the ends of one relationship type, as :func:`embeddings.relations.shared_part`."""
    factor = type_.lower()
    # Without a predicate nothing is read of the relationships: how many there are stands at the node. A predicate names
    # ``r``, so each relationship has a scope of its own.
    rel, where = (f"r:{type_}", f" WHERE {AGREED[type_]}") if type_ in AGREED else (f":{type_}", "")
    return f"""    UNION ALL
    MATCH (p)
    FILTER ${factor} > 0.0
    UNWIND COLLECT {{ MATCH (p)-[{rel}]->(x){where} RETURN x }} AS x
    LET sharing = COUNT {{ (x)<-[{rel}]-(){where} }}
    FILTER sharing > 1 AND sharing <= {MOST_SHARING}
    MATCH (x)<-[{rel}]-(h:Product){where}
    RETURN h, ${factor} / sqrt(sharing) AS part"""


def unplaced_products(store: GraphStore) -> list[str]:
    """Products on sale that the live model has no vector for; none while no model is live."""
    model = live(store)
    if model is None:
        return []
    cypher = f"MATCH (p:Product)\nWHERE p.active AND p.embedding_{model.slot} IS NULL\nRETURN p.sku AS sku ORDER BY sku"
    return [row["sku"] for row in store.read(cypher)]


def _trained(model: LiveModel) -> datetime | None:
    """When the training began, which its version says: what happened later it has not seen.

    A version that says no time is that of a test; then when it was written.
    """
    try:
        return datetime.strptime(model.version.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return model.at


def _placed(found: dict[str, Any], model: LiveModel) -> dict[str, Any] | None:
    """A row to be written: the vector, and the relations onto the newcomer and from it, each lifted as in training."""
    others = found["others"]
    mean = _mean([other["vector"] for other in others], [other["weight"] for other in others])
    if mean is None:
        return None
    return {
        "key": found["key"],
        "vector": vector_parameter(mean),
        "others": [
            {
                "sku": other["sku"],
                "onto": other["weight"] * (1.0 + model.lift),
                "from": other["weight"] * (1.0 + model.lift / (1.0 + other["met"])),
            }
            for other in others
        ],
    }


def _mean(vectors: Sequence[Any], weights: Sequence[float]) -> np.ndarray | None:
    """The weighted mean at unit length, float32 ``[d]``; None where there is nothing, or it points nowhere."""
    if not vectors:
        return None
    mean = np.asarray(weights) @ np.stack([vector.to_numpy().astype(np.float64) for vector in vectors])
    length = float(np.linalg.norm(mean))
    return (mean / length).astype(np.float32) if length > 1e-6 else None


def _written(rows: Sequence[dict[str, Any]]) -> int:
    return int(rows[0]["written"]) if rows else 0


def _usual_popularity(store: GraphStore) -> float:
    """What a product is given that nobody has met: the median of the others, as in training."""
    rows = store.read(
        "MATCH (p:Product)\nWHERE p.popularity >= 0.0\nRETURN percentileCont(p.popularity, 0.5) AS median"
    )
    return float(rows[0]["median"] or 0.0)
