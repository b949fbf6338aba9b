"""A checkpoint into the graph, beside the model that is live.

There are two slots: properties ``embedding_blue`` and ``embedding_green`` with an
index each, and ``SIMILAR_TO`` relations that name their model. Write-back fills
the slot that nobody reads; :func:`embeddings.registry.promote` then switches. Cut
off at any moment it leaves the live slot as it was, and running it again begins
with clearing what was left half done.

Whoever begins takes the slot from whoever is still writing into it: by hand, by
another job, of the same model or another. Each of a write-back's transactions
therefore ends by looking whether the slot is still its own (``ModelVersion.claim``),
so that what stands in a slot is of one model, and of one write-back.

The dark slot's index stays online while vectors are written. Neo4j plans a query
against all indexes that it names, so readers of the live slot would fail while
the other slot's index is away, even though they do not use it. Only a change of
width makes the index anew, in one transaction, and while it is empty.

``Product.popularity`` belongs to the data, not to a model (:mod:`kg.popularity`): it has no slots, and nothing
here writes it. Nor is the note of a product's shelves a model's: it repeats ``IN_CATEGORY``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import numpy as np

from embeddings.export import SHARED
from embeddings.registry import LOCK_MODELS, SERVED, Checkpoint
from embeddings.scoring import no_weights
from kg import schema
from kg.errors import CheckpointError, EmbeddingError
from kg.migrations import shape_vector_index
from kg.store import GraphStore, Guard, Transaction
from kg.writer import SHELVE_ALL, batched, set_vectors

Report = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""

_PRODUCTS_A_BATCH: Final = 200
"""Products whose outgoing relations go in one transaction: at 50 each, 10,000 relations."""
_TOLERANCE: Final = 1e-3
"""How far the length of a vector may be from 1."""


@dataclass(frozen=True, slots=True)
class WriteBackSummary:
    """What a write-back did."""

    version: str
    slot: str
    users: int
    """Users that have a vector now."""
    products: int
    """Products that have a vector now."""
    relations: int
    """SIMILAR_TO relations of this model."""
    missing: int
    """Users and products of the checkpoint that the graph no longer holds."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def write_embeddings(
    store: GraphStore,
    checkpoint: Checkpoint,
    *,
    beside: str | None = None,
    progress: Report | None = None,
    now: datetime | None = None,
) -> WriteBackSummary:
    """Write vectors and relations into the dark slot; the model is then ``ready`` to be promoted.

    A model that is there already, whole, is left as it is.

    Args:
        beside: the version that is to be live, the empty text for none; None for whichever is.

    Raises:
        CheckpointError: another is live than ``beside``; nothing was written.
        EmbeddingError: a vector is not finite or not of unit length, or another write-back took the slot meanwhile.
    """
    report = progress or (lambda *_: None)
    _check(checkpoint)
    version = checkpoint.version
    claim = _claim(store, checkpoint, beside, now or store.now())
    slot = claim.slot
    if claim.whole:
        return _summary(store, checkpoint, slot)
    mine = store.guarded(_while_claimed(version, claim))
    _let_end(store)
    _clear(mine, slot, claim.live, report)
    # The slot is empty now, and was its own a moment ago. (A transaction that changes the schema can change no data, so
    # it cannot take the lock of a look.)
    shape_vector_index(store, schema.embedding_index(slot, checkpoint.dimensions))
    for label, keys, vectors in (
        ("User", checkpoint.users, checkpoint.user_vectors),
        ("Product", checkpoint.products, checkpoint.product_vectors),
    ):
        _write_vectors(mine, label, f"embedding_{slot}", keys, vectors, report)
    _write_relations(mine, checkpoint, report)
    # Applications that relate products to categories by a driver of their own need not know of this note.
    report("Shelves", 0, 1)
    store.autocommit(SHELVE_ALL)
    report("Waiting for the index", 0, 1)
    store.await_indexes()
    _finish(store, version, claim)
    return _summary(store, checkpoint, slot)


# --- the steps -----------------------------------------------------------------------------------------------

PATIENCE_S: Final = 5.0
"""How long statements that began before a slot is cleared are let end. Recommendations take milliseconds; who reads for
longer, an export say, holds up no write-back."""
_OPEN: Final = "SHOW TRANSACTIONS YIELD transactionId\nRETURN collect(transactionId) AS ids"


def _let_end(store: GraphStore) -> None:
    """Wait for what is open now, as long as :data:`PATIENCE_S`: a statement that looked up the model before the last
    switch may still read the slot."""
    until = time.monotonic() + PATIENCE_S
    before = set(store.read(_OPEN)[0]["ids"])
    while before and time.monotonic() < until:
        time.sleep(0.02)
        before &= set(store.read(_OPEN)[0]["ids"])


def _check(checkpoint: Checkpoint) -> None:
    weights = checkpoint.weights.as_properties().values()
    numbers = {
        "users' vectors": checkpoint.user_vectors,
        "products' vectors": checkpoint.product_vectors,
        "SIMILAR_TO weights": checkpoint.similar.data,
        "SIMILAR_TO nexts": np.empty(0) if checkpoint.following is None else checkpoint.following.data,
        "score's weights": np.array(list(weights)),
    }
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            raise EmbeddingError(
                f"Checkpoint {checkpoint.version}: the {name} hold NaN or infinity. Nothing was written; train again."
            )
    for name in ("users' vectors", "products' vectors"):
        length = np.linalg.norm(numbers[name], axis=1)
        wrong = (length > 0) & (np.abs(length - 1.0) > _TOLERANCE)
        if wrong.any():
            raise EmbeddingError(
                f"Checkpoint {checkpoint.version}: {int(wrong.sum())} of the {name} are not of unit length, which the "
                "cosine index assumes. Nothing was written; train again."
            )


@dataclass(frozen=True, slots=True)
class _Claim:
    """The slot of a write-back."""

    id: str
    """Names the write-back."""
    slot: str
    live: str | None
    """The version that queries read, in the other slot."""
    whole: bool = False
    """The model stands there already, and nothing was claimed."""
    ousted: tuple[str, ...] = ()
    """Other write-backs that had not ended there."""


_STANDS: Final = "MATCH (m:ModelVersion {id: $version})\nRETURN m.status AS status, m.slot AS slot"
_OUST: Final = """
MATCH (m:ModelVersion)
WHERE m.slot = $slot OR m.id = $version
WITH m, CASE WHEN m.status = 'writing' AND m.claim <> $claim THEN m.claim END AS ousted
SET m.status = 'retired'
REMOVE m.slot, m.claim
RETURN ousted
"""
_OWN: Final = """
MERGE (m:ModelVersion {id: $version})
SET m += $weights, m.slot = $slot, m.status = 'writing', m.claim = $claim, m.at = $now,
    m.dimensions = $dimensions
"""


def _claim(store: GraphStore, checkpoint: Checkpoint, beside: str | None, now: datetime) -> _Claim:
    """From here on the slot belongs to this write-back; whatever stood in it is retired.

    Which slot that is, is decided with the lock in hand: a promotion or a rollback may have come just before.
    """
    version, id = checkpoint.version, uuid4().hex

    def work(tx: Transaction) -> _Claim:
        tx.run(LOCK_MODELS)
        served = tx.run(SERVED)
        live = served[0]["version"] if served else None
        own = tx.run(_STANDS, version=version)
        if own and own[0]["status"] in ("ready", "live"):
            return _Claim(id, own[0]["slot"], live, whole=True)
        if beside is not None and (live or "") != beside:
            raise CheckpointError(
                f"Model {version} was to be written beside {beside or 'no live model'}, but {live or 'none'} is live "
                "now. Nothing was written; try again."
            )
        slot = next(s for s in schema.SLOTS if not served or s != served[0]["slot"])
        ousted = tx.run(_OUST, slot=slot, version=version, claim=id)
        weights = {**checkpoint.weights.as_properties(), **_factors(checkpoint)}
        tx.run(_OWN, version=version, slot=slot, claim=id, now=now, dimensions=checkpoint.dimensions, weights=weights)
        return _Claim(id, slot, live, ousted=tuple(row["ousted"] for row in ousted if row["ousted"] is not None))

    claim = store.transact(work)
    # A statement that manages its transactions does not look between them.
    for other in claim.ousted:
        store.end_transactions("claim", other)
    return claim


def _while_claimed(version: str, claim: _Claim) -> Guard:
    """Lets a write-back write while the slot is its own: one look a transaction, however many rows that has."""
    parameters = {"claim_model": version, "claim_id": claim.id}

    def check(tx: Transaction) -> None:
        # To set a property takes the lock, for which whoever claims the slot waits.
        if not tx.run(
            "MATCH (m:ModelVersion {id: $claim_model})\nSET m.status = m.status\nWITH m\nWHERE m.claim = $claim_id\n"
            "RETURN m.id AS id",
            **parameters,
        ):
            raise _taken(version, claim.slot)

    return Guard(
        look=lambda: None,
        check=check,
        condition=(
            "MATCH (claimed:ModelVersion {id: $claim_model})\nWHERE claimed.claim = $claim_id\n"
            "WITH count(claimed) AS claims\nWHERE claims = 1"
        ),
        parameters=parameters,
        metadata={"claim": claim.id},
    )


def _taken(version: str, slot: str) -> EmbeddingError:
    return EmbeddingError(
        f"While {version} was written into slot {slot}, another write-back took that slot. "
        "Wait for it to end, then run kg promote again."
    )


def _factors(checkpoint: Checkpoint) -> dict[str, float]:
    """What :mod:`embeddings.foldin` needs to know of a model, as properties of its ``ModelVersion``."""
    factors = checkpoint.settings.get("factors", {})
    parts = ("text", *(type_.lower() for type_, _ in SHARED))
    return {
        "lift": float(checkpoint.settings.get("lift", 0.0)),
        **{f"f_{part}": float(factors.get(part, 0.0)) for part in parts},
    }


def _clear(store: GraphStore, slot: str, kept: str | None, report: Report) -> None:
    """Take away what older models left: a node that this model does not know must not keep an old vector."""
    report("Clearing the slot", 0, 1)
    for label in ("User", "Product"):
        store.autocommit(
            f"MATCH (n:{label})\nWHERE n.embedding_{slot} IS NOT NULL\n"
            f"CALL (n) {{ REMOVE n.embedding_{slot} }} IN TRANSACTIONS OF 5000 ROWS"
        )
    store.autocommit(
        "MATCH ()-[r:SIMILAR_TO]->()\nWHERE r.model <> $kept\nCALL (r) { DELETE r } IN TRANSACTIONS OF 10000 ROWS",
        kept=kept or "",
    )


def _write_vectors(
    store: GraphStore, label: str, property: str, keys: tuple[str, ...], vectors: np.ndarray, report: Report
) -> None:
    rows = np.flatnonzero(vectors.any(axis=1))
    written = 0

    def tell(count: int) -> None:
        nonlocal written
        written += count
        report(f"{label} vectors", written, len(rows))

    set_vectors(store, label, property, ((keys[row], vectors[row]) for row in rows), progress=tell)


# All of a product's relations go in one transaction, so a product that has any has them all: then a
# transaction that the driver tries again, its first commit having been lost on the way, adds nothing.
_RELATE: Final = """
UNWIND $rows AS row
MATCH (a:Product {sku: row.sku})
WHERE NOT EXISTS { (a)-[:SIMILAR_TO {model: $version}]->() }
UNWIND row.others AS other
MATCH (b:Product {sku: other[0]})
CREATE (a)-[:SIMILAR_TO {model: $version, weight: other[1], next: other[2]}]->(b)
"""


def _write_relations(store: GraphStore, checkpoint: Checkpoint, report: Report) -> None:
    similar = checkpoint.similar.tocsr()
    following = no_weights(*similar.shape) if checkpoint.following is None else checkpoint.following.tocsr()
    skus = checkpoint.products

    def rows() -> Iterator[Mapping[str, Any]]:
        for row in np.flatnonzero(np.diff(similar.indptr) + np.diff(following.indptr)):
            others: dict[int, list[Any]] = {}
            for place, matrix in enumerate((similar, following), start=1):
                span = slice(matrix.indptr[row], matrix.indptr[row + 1])
                for column, weight in zip(matrix.indices[span].tolist(), matrix.data[span].tolist(), strict=True):
                    # An absent weight is 0, since every relation has one; an absent next stays absent.
                    others.setdefault(column, [skus[column], 0.0, None])[place] = weight
            yield {"sku": skus[row], "others": list(others.values())}

    done = 0
    for batch in batched(rows(), _PRODUCTS_A_BATCH):
        store.write(_RELATE, rows=batch, version=checkpoint.version)
        done += len(batch)
        report("Relations", done, len(skus))


# Two that begin in a graph without any model have no lock in common when they claim the slot.
_READY: Final = """
MATCH (m:ModelVersion {id: $version})
WHERE m.claim = $claim AND m.status IN ['writing', 'ready']
  AND NOT EXISTS { MATCH (o:ModelVersion) WHERE o.slot = m.slot AND o <> m }
SET m.status = 'ready'
RETURN m.id AS id
"""


def _finish(store: GraphStore, version: str, claim: _Claim) -> None:
    rows = store.write_all([(LOCK_MODELS, {}), (_READY, {"version": version, "claim": claim.id})])
    if not rows[1]:
        raise _taken(version, claim.slot)


def _summary(store: GraphStore, checkpoint: Checkpoint, slot: str) -> WriteBackSummary:
    """Counted in the graph, not on the way there."""
    row = store.read(
        f"RETURN COUNT {{ MATCH (u:User) WHERE u.embedding_{slot} IS NOT NULL }} AS users,\n"
        f"       COUNT {{ MATCH (p:Product) WHERE p.embedding_{slot} IS NOT NULL }} AS products,\n"
        "       COUNT { MATCH (:Product)-[r:SIMILAR_TO {model: $version}]->() } AS relations",
        version=checkpoint.version,
    )[0]
    wanted = int(checkpoint.user_vectors.any(axis=1).sum()) + int(checkpoint.product_vectors.any(axis=1).sum())
    return WriteBackSummary(
        checkpoint.version,
        slot,
        row["users"],
        row["products"],
        row["relations"],
        missing=max(wanted - row["users"] - row["products"], 0),
    )
