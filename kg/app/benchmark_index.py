"""``kg benchmark index-settings``: what each setting of the vector index is worth, and what it costs.

Two kinds of vectors, 64 wide and of unit length: those of the synthetic shop of
:mod:`kg.app.powerlaw`, which lie about the centres of their shelves as trained
ones do and are asked by its users; and vectors drawn by chance, which nothing
draws together, so that no index can be worse off. Every setting is built and
asked in the same Neo4j, one after the other, with the properties in the index by
which searches are narrowed and narrowed to what is active, as
``recommend/for_user`` asks; quality is beside exact cosines over all vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import cycle, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kg import schema
from kg.app.benchmark import own_graph
from kg.app.powerlaw import draw
from kg.migrations import vector_index_statement
from kg.settings import Settings
from kg.store import GraphStore
from kg.writer import batched, set_vectors

NEAREST: Final = 20
SERVED: Final = 200
"""Candidates that ``recommend/for_user`` asks for."""
WARM_UP: Final = 1000
"""Searches that are not counted, of each setting."""
_NAME: Final = "benchmark_index"
_PROPERTY: Final = "embedding_blue"
_SEARCH: Final = (
    "CYPHER 25\nMATCH (p:Product)\n"
    f"  SEARCH p IN (VECTOR INDEX {_NAME} FOR $vector WHERE p.active = true LIMIT $limit)\nRETURN p.sku AS sku"
)
SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"quantization": "BINARY", "search_expansion": 3.0},
    {"quantization": "BINARY", "search_expansion": 10.0},
    {"quantization": "SCALAR", "search_expansion": 3.0},
    {"quantization": "SCALAR", "search_expansion": 5.0},
    {"search_expansion": 1.0},
    {"search_expansion": 3.0},
    {},
    {"search_expansion": 10.0},
    {"m": 8},
    {"m": 32},
    {"ef_construction": 200},
    {"m": 32, "ef_construction": 200},
)
"""Differences from what :class:`kg.schema.VectorIndex` builds; the first is Neo4j's own default."""

Say = Callable[[str], None]


def index_settings(settings: Settings, *, products: int, queries: int, say: Say) -> list[dict[str, Any]]:
    """A row for each kind of vectors and each of :data:`SETTINGS`.

    Returns:
        ``recall@20`` against exact, milliseconds of a search by one client (median and p99), seconds of building; and
        the same of a search for :data:`SERVED` candidates: how many of the 20 nearest are among them.
    """
    rows = []
    for kind, vectors, asked in _kinds(products, queries, settings.seed):
        nearest = _exact(vectors, asked)
        with own_graph(settings, "index") as store:
            _fill(store, vectors)
            for changes in SETTINGS:
                index = replace(
                    schema.VectorIndex(_NAME, "Product", _PROPERTY, vectors.shape[1], schema.PRODUCT_FILTERS), **changes
                )
                say(f"{kind}: {index.quantization}, expansion {index.search_expansion:g}, m {index.m}.")
                rows.append({"vectors": kind, **_measured(store, index, asked, nearest)})
    return rows


def _kinds(products: int, queries: int, seed: int) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    rng = np.random.default_rng(seed)
    shop = draw(products, rng)
    users = rng.choice(shop.users, size=min(queries, shop.users), replace=False)
    yield "a shop's", shop.vectors, shop.user_vectors[users]
    drawn = rng.standard_normal((products + queries, shop.vectors.shape[1])).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    yield "by chance", drawn[:products], drawn[products:]


def _exact(vectors: NDArray[np.float32], asked: NDArray[np.float32]) -> list[frozenset[str]]:
    """The nearest of each query's vector."""
    found = []
    for part in np.array_split(asked, max(1, len(asked) // 100)):
        best = np.argpartition(-(part @ vectors.T), NEAREST, axis=1)[:, :NEAREST]
        found += [frozenset(f"p{row}" for row in some) for some in best]
    return found


def _fill(store: GraphStore, vectors: NDArray[np.float32]) -> None:
    for slot in schema.SLOTS:
        store.autocommit(f"DROP INDEX {schema.embedding_index(slot).name} IF EXISTS")
    keys = [f"p{row}" for row in range(len(vectors))]
    for batch in batched(keys, 10_000):
        store.write(
            "UNWIND $keys AS key\n"
            "CREATE (:Product {sku: key, title: key, active: true, price: toFloat(size(key)), shelf: size(key)})",
            keys=batch,
        )
    set_vectors(store, "Product", _PROPERTY, zip(keys, vectors, strict=True))


def _measured(
    store: GraphStore, index: schema.VectorIndex, asked: NDArray[np.float32], nearest: list[frozenset[str]]
) -> dict[str, Any]:
    begun = time.perf_counter()
    store.autocommit(vector_index_statement(index))
    store.await_indexes()
    built = time.perf_counter() - begun
    parameters = [vector.tolist() for vector in asked]
    for vector in islice(cycle(parameters), WARM_UP):
        store.read(_SEARCH, vector=vector, limit=SERVED)
    recall, p50, p99 = _asked(store, parameters, nearest, NEAREST)
    served = _asked(store, parameters, nearest, SERVED)
    store.autocommit(f"DROP INDEX {_NAME}")
    return {
        "quantisation": index.quantization,
        "expansion": index.search_expansion,
        "m": index.m,
        "ef": index.ef_construction,
        "recall@20": recall,
        "p50_ms": p50,
        "p99_ms": p99,
        f"recall@20 of {SERVED}": served[0],
        f"p50_ms of {SERVED}": served[1],
        f"p99_ms of {SERVED}": served[2],
        "build_s": round(built, 1),
    }


def _asked(
    store: GraphStore, parameters: list[list[float]], nearest: list[frozenset[str]], limit: int
) -> tuple[float, float, float]:
    """Share of the nearest among ``limit`` candidates, and milliseconds of a search: median and p99."""
    hits, seconds = 0, []
    for vector, right in zip(parameters, nearest, strict=True):
        begun = time.perf_counter()
        found = store.read(_SEARCH, vector=vector, limit=limit)
        seconds.append(time.perf_counter() - begun)
        hits += len(right & {row["sku"] for row in found})
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return round(hits / (NEAREST * len(nearest)), 4), round(float(p50), 2), round(float(p99), 2)
