"""Checkpoints on disk, and which model is live in the graph.

A checkpoint is a folder ``KG_HOME/models/<version>/`` of two files: the arrays
(safetensors: no code is run by loading one) and what they mean (JSON: the node
index first of all, without which weights are of no use). It appears under its
name whole or not at all.

In the graph a model is a ``ModelVersion``. At most one is live; its slot is the
one that queries read. The switch is one transaction, so no reader ever sees two
models mixed.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from embeddings.scoring import ScoreWeights, no_weights
from kg import schema
from kg.errors import CheckpointError
from kg.store import GraphStore

FORMAT: Final = 2
"""Counts breaking changes of the checkpoint's own files."""
_ARRAYS: Final = "arrays.safetensors"
_ABOUT: Final = "checkpoint.json"
_KNOWN: Final = ("met", "user_prints", "product_prints")
"""Arrays that earlier checkpoints lack."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model, whole: what write-back puts into the graph and what a report says of it."""

    version: str
    users: tuple[str, ...]
    """Ids, in the order of the rows."""
    products: tuple[str, ...]
    """Skus, in the order of the rows."""
    user_vectors: np.ndarray
    """float32 ``[n_users, d]``, unit length; zero rows for users without a vector."""
    product_vectors: np.ndarray
    """float32 ``[n_products, d]``, likewise."""
    similar: sp.csr_matrix
    """Weights of SIMILAR_TO, ``[n_products, n_products]``."""
    popularity: np.ndarray
    """float32 ``[n_products]``"""
    weights: ScoreWeights
    following: sp.csr_matrix | None = None
    """``next`` of SIMILAR_TO, ``[n_products, n_products]``; None for nowhere."""
    state: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Parameters of the network, for training on."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Validation figures, the baselines' beside them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All that decided the outcome: seed, device, sizes, chosen hyper-parameters."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage."""
    commit: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = schema.VERSION
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys of the network's other nodes, by label, in the order of their rows; for training on."""
    met: np.ndarray | None = None
    """Users who had met each product, int64 ``[n_products]``; for training on. None in a checkpoint without it."""
    user_prints: np.ndarray | None = None
    """What was known of each user, int64 ``[n_users]`` (:mod:`embeddings.prints`). None in an earlier checkpoint."""
    product_prints: np.ndarray | None = None
    """Likewise, int64 ``[n_products]``."""

    @property
    def dimensions(self) -> int:
        """Width of the vectors."""
        return int(self.product_vectors.shape[1])


def new_version(now: datetime) -> str:
    """Sortable by time, and apart from another made in the same second."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def environment() -> tuple[str | None, dict[str, str]]:
    """The commit of the checkout that runs, if it is one, and the versions of the libraries that matter."""
    commit = None
    folder = Path(__file__).resolve().parent
    if shutil.which("git") and (folder.parent / ".git").exists():
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        commit = found.stdout.strip() or None
    libraries = {}
    for name in ("shopgraph", "torch", "torch-geometric", "numpy", "scipy", "neo4j"):
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return commit, libraries


def folder(home: Path) -> Path:
    """Where a home's checkpoints are."""
    return home / "models"


def save(checkpoint: Checkpoint, home: Path) -> Path:
    """Write the checkpoint and return its folder. It is complete when it appears: written beside, then renamed."""
    target = folder(home) / checkpoint.version
    if target.exists():
        raise CheckpointError(f"{target} exists already; a checkpoint is never written over. Train again.")
    part = folder(home) / f".{checkpoint.version}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        similar = checkpoint.similar.tocsr()
        following = (no_weights(*similar.shape) if checkpoint.following is None else checkpoint.following).tocsr()
        arrays = {
            "user_vectors": checkpoint.user_vectors.astype(np.float32),
            "product_vectors": checkpoint.product_vectors.astype(np.float32),
            "similar_indptr": similar.indptr.astype(np.int64),
            "similar_indices": similar.indices.astype(np.int32),
            "similar_data": similar.data.astype(np.float32),
            "following_indptr": following.indptr.astype(np.int64),
            "following_indices": following.indices.astype(np.int32),
            "following_data": following.data.astype(np.float32),
            "popularity": checkpoint.popularity.astype(np.float32),
            **{name: value.astype(np.int64) for name in _KNOWN if (value := getattr(checkpoint, name)) is not None},
            **{f"state.{name}": np.ascontiguousarray(value) for name, value in checkpoint.state.items()},
        }
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, part / _ARRAYS)
        about = {
            "format": FORMAT,
            "schema_version": checkpoint.schema_version,
            "version": checkpoint.version,
            "commit": checkpoint.commit,
            "libraries": dict(checkpoint.libraries),
            "weights": asdict(checkpoint.weights),
            "metrics": dict(checkpoint.metrics),
            "settings": dict(checkpoint.settings),
            "timings": dict(checkpoint.timings),
            "users": checkpoint.users,
            "products": checkpoint.products,
            "others": dict(checkpoint.others),
        }
        with (part / _ABOUT).open("w", encoding="utf-8") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    except (OSError, SafetensorError) as error:  # the second is what safetensors makes of a full disk
        shutil.rmtree(part, ignore_errors=True)
        raise CheckpointError(
            f"The checkpoint could not be written to {target}: {error}. Free space or set KG_HOME, and train again."
        ) from error
    return target


def versions(home: Path) -> tuple[str, ...]:
    """All checkpoints of a home, oldest first. What a cut-off write left behind is not among them."""
    if not folder(home).is_dir():
        return ()
    return tuple(sorted(p.name for p in folder(home).iterdir() if p.is_dir() and not p.name.startswith(".")))


def newest(home: Path) -> str:
    """The latest checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    found = versions(home)
    if not found:
        raise CheckpointError(f"No checkpoint in {folder(home)}. Make one: kg train.")
    return found[-1]


def load(home: Path, version: str | None = None) -> Checkpoint:
    """Read a checkpoint, the newest by default.

    Raises:
        CheckpointError: it is not there, incomplete, or of another schema version.
    """
    version = version or newest(home)
    path = folder(home) / version
    if version not in versions(home):
        have = ", ".join(versions(home)[-3:]) or "none"
        raise CheckpointError(f"No checkpoint {version!r} in {folder(home)} (the latest: {have}). Make one: kg train.")
    broken = f"Checkpoint {path} is incomplete or damaged ({{}}). Delete that folder and train again: kg train."
    try:
        about = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        arrays = load_file(path / _ARRAYS)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(broken.format(error)) from error
    if about.get("format") != FORMAT or about.get("schema_version") != schema.VERSION:
        raise CheckpointError(
            f"Checkpoint {path} is of format {about.get('format')} and schema version {about.get('schema_version')}; "
            f"this kg reads format {FORMAT} and schema version {schema.VERSION}. Train again: kg train."
        )
    try:
        n = len(about["products"])
        checkpoint = Checkpoint(
            version=about["version"],
            users=tuple(about["users"]),
            products=tuple(about["products"]),
            user_vectors=arrays["user_vectors"],
            product_vectors=arrays["product_vectors"],
            similar=sp.csr_matrix(
                (arrays["similar_data"], arrays["similar_indices"], arrays["similar_indptr"]), shape=(n, n)
            ),
            following=sp.csr_matrix(
                (arrays["following_data"], arrays["following_indices"], arrays["following_indptr"]), shape=(n, n)
            ),
            popularity=arrays["popularity"],
            weights=ScoreWeights(**about["weights"]),
            state={k.removeprefix("state."): v for k, v in arrays.items() if k.startswith("state.")},
            metrics=about["metrics"],
            settings=about["settings"],
            timings=about["timings"],
            commit=about["commit"],
            libraries=about["libraries"],
            schema_version=about["schema_version"],
            others={label: tuple(keys) for label, keys in about.get("others", {}).items()},
            **{name: arrays.get(name) for name in _KNOWN},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(broken.format(error)) from error
    sizes = (len(checkpoint.user_vectors), len(checkpoint.product_vectors), len(checkpoint.popularity))
    if sizes != (len(checkpoint.users), n, n):
        raise CheckpointError(broken.format("its arrays and its node index differ in length"))
    return checkpoint


def prune(home: Path, *, in_use: Set[str], newest: int) -> tuple[str, ...]:
    """Delete old checkpoints and what their trainings logged; which.

    Only a version whose checkpoint is there, whole, is deleted: never one that is being trained or saved.

    Args:
        in_use: versions that stay, however old.
        newest: how many of the latest stay.
    """
    gone = [name for name in versions(home)[:-newest] if name not in in_use]
    for name in gone:
        # Away under its name at once: whoever looks sees it whole or not at all.
        away = folder(home) / f".{name}.gone"
        with suppress(OSError):  # another process was quicker
            (folder(home) / name).rename(away)
        shutil.rmtree(away, ignore_errors=True)
        shutil.rmtree(home / "runs" / name, ignore_errors=True)
    return tuple(gone)


# --- the live model in the graph -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A ``ModelVersion`` that queries read."""

    version: str
    slot: str
    weights: ScoreWeights
    dimensions: int = schema.DEFAULT_DIMENSIONS
    """Width of its vectors."""
    at: datetime | None = None
    """When it was written."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """Factor of each part of SIMILAR_TO that what a product is decides, by its name."""
    lift: float = 0.0
    """Of newcomers (:mod:`embeddings.newcomers`)."""


def live(store: GraphStore) -> LiveModel | None:
    """The model that queries read now, or None before the first promotion."""
    rows = store.read(
        "MATCH (s:Serving {name: 'model'})\nWITH s.version AS version\n"
        "MATCH (m:ModelVersion {id: version})\nRETURN properties(m) AS model"
    )
    if not rows:
        return None
    model = rows[0]["model"]
    return LiveModel(
        version=model["id"],
        slot=model["slot"],
        weights=ScoreWeights.from_properties(model),
        dimensions=model.get("dimensions", schema.DEFAULT_DIMENSIONS),
        at=model["at"].to_native() if "at" in model else None,
        factors={n.removeprefix("f_"): value for n, value in model.items() if n.startswith("f_")},
        lift=model.get("lift", 0.0),
    )


SERVED: Final = (
    "MATCH (s:Serving {name: 'model'})\nWITH s.version AS version\nMATCH (m:ModelVersion {id: version})\n"
    "RETURN m.id AS version, m.slot AS slot"
)
"""The live version and its slot; no row before the first promotion."""

_IN_USE: Final = """
MATCH (m:ModelVersion)
WHERE m.slot IS NOT NULL
UNWIND [m.id, m.previous] AS version
WITH DISTINCT version
WHERE version IS NOT NULL
RETURN version
"""


def in_use(store: GraphStore) -> set[str]:
    """Versions that stand in a slot or are being written into one, and those that were live before them."""
    return {row["version"] for row in store.read(_IN_USE)}


LOCK_MODELS: Final = "MATCH (m:ModelVersion)\nWITH m\nORDER BY m.id\nSET m.status = m.status"
"""Takes the lock of every model, so that of two who change slots the second sees what the first did.

By a property without an index, so that no index has anything to follow."""

# One property of one node says which model is read: a reader sees its old value or its new one. A flag on each model
# is two changes, and readers that hammered met moments in which no model was flagged, or two. For the same reason
# queries read the property once, into a variable: a plan that compares it with each model may see both values.
_SWITCH: Final = """
MERGE (serving:Serving {name: 'model'})
WITH serving
WHERE $instead_of IS NULL OR coalesce(serving.version, '') = $instead_of
MATCH (next:ModelVersion {id: $version, status: 'ready'})
OPTIONAL MATCH (before:ModelVersion {id: serving.version})
WHERE before <> next
SET before.status = 'ready'
SET next.status = 'live', next.promoted_at = $now, next.previous = coalesce(before.id, next.previous)
SET next.rolled_back_at = NULL, next.rolled_back_because = NULL
SET serving.version = next.id
RETURN next.id AS version
"""

_MARK: Final = """
MATCH (:Serving {name: 'model', version: $version})
MATCH (m:ModelVersion {id: $instead_of})
SET m.rolled_back_at = $now, m.rolled_back_because = $because
"""


def promote(
    store: GraphStore, version: str, *, instead_of: str | None = None, now: datetime | None = None
) -> LiveModel:
    """Make a written model the one that queries read, in one transaction. Promoting the live one changes nothing.

    Args:
        instead_of: the version whose place it is to take, the empty text for none; None for whichever is live.

    Raises:
        CheckpointError: the graph does not hold that model, or not all of it, or another is live than ``instead_of``.
    """
    rows = store.read("MATCH (m:ModelVersion {id: $version})\nRETURN m.status AS status", version=version)
    status = rows[0]["status"] if rows else None
    if status not in ("ready", "live"):
        why = {None: "is not in this graph", "retired": "has left its slot to a later one"}.get(
            status, "was not written to its end"
        )
        raise CheckpointError(f"Model {version} {why}. Write it with kg promote {version}, or train another: kg train.")
    if status == "ready":
        switch = {"version": version, "now": now or store.now(), "instead_of": instead_of}
        done = store.write_all([(LOCK_MODELS, {}), (_SWITCH, switch)])[1]
        return _switched(store, version, instead_of, bool(done))
    return _switched(store, version, None, True)


def _switched(store: GraphStore, version: str, instead_of: str | None, done: bool) -> LiveModel:
    """The live model, which is to be this one.

    Args:
        done: whether the switch found what it was to switch. (The driver does a transaction again whose commit was not
            confirmed: then it finds nothing, and the model is live.)
    """
    model = live(store)
    if model is not None and model.version == version:
        return model
    if done:
        raise CheckpointError(f"Model {version} was promoted, but another promotion came right after it.")
    if instead_of is not None and (model.version if model else "") != instead_of:
        raise CheckpointError(
            f"Model {version} was to take the place of {instead_of or 'none'}, but meanwhile "
            f"{model.version if model else 'none'} became the live one. Nothing was switched; try again."
        )
    raise CheckpointError(
        f"Model {version} lost its slot to another write-back before it could be switched to. Write it again: "
        f"kg promote {version}."
    )


def rollback(
    store: GraphStore,
    *,
    because: str = "by hand",
    live: str | None = None,
    before: str | None = None,
    now: datetime | None = None,
) -> str:
    """Make the model that was live before live again, and return its version.

    The one that was live is marked as rolled back, in the same transaction: no job promotes it again by itself.

    Args:
        because: why, for whoever looks at the model later.
        live: the version that is to go; None for whichever is live.
        before: the version that is to come back; None for whichever was live before.

    Raises:
        CheckpointError: no model is live, the one before has left its slot, or they are others than was asked for.
    """
    rows = store.read(
        "MATCH (s:Serving {name: 'model'})\nWITH s.version AS version\nMATCH (m:ModelVersion {id: version})\n"
        "OPTIONAL MATCH (before:ModelVersion {id: m.previous})\n"
        "RETURN m.id AS live, before.id AS version, before.status AS status"
    )
    if not rows:
        raise CheckpointError("No model is live, so there is nothing to roll back. Promote one first: kg promote.")
    row = rows[0]
    wanted = (live or row["live"], before or row["version"])
    if wanted != (row["live"], row["version"]):
        raise CheckpointError(
            f"Model {wanted[0]} was to be rolled back to {wanted[1]}, but now {row['live']} is live, after "
            f"{row['version'] or 'none'}. Nothing was switched."
        )
    if row["version"] is None or row["status"] != "ready":
        raise CheckpointError(
            f"Model {row['live']} is live and the one before it is no longer in the graph. "
            "Promote a checkpoint by name instead: kg promote VERSION."
        )
    switch = {"version": row["version"], "instead_of": row["live"], "now": now or store.now()}
    done = store.write_all([(LOCK_MODELS, {}), (_SWITCH, switch), (_MARK, {**switch, "because": because})])[1]
    return _switched(store, row["version"], row["live"], bool(done)).version
