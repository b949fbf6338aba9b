"""``kg benchmark round-trip``: the graph out of Neo4j, and vectors back into it.

Each way stands beside the plain one of the same run: export row by row over the
same Bolt connection, and what the server needs merely to look at the
relationships; write-back of vectors as lists of floats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from kg import schema
from kg.app.benchmark import own_graph
from kg.errors import BenchmarkError
from kg.migrations import vector_index_statement
from kg.settings import Settings
from kg.store import GraphStore
from kg.writer import batched, set_vectors

ROW_BY_ROW: Final = 50_000
"""Relationships that are read row by row: enough to measure a rate, few enough to wait for."""
AS_LISTS: Final = 20_000
"""Vectors that are written as lists, likewise."""
WARM_UP_S: Final = 20.0
"""How long each way is used before it is measured, in seconds: the first export has a third of the later rate."""
_BATCH: Final = 1_000
_DIMENSIONS: Final = 64


def round_trip(settings: Settings, *, edges: int, vectors: int) -> dict[str, Any]:
    """Relationships a second out and vectors a second in, with what is gained over the plain way of each.

    Each way is the median of five after a warm-up; the first export, without one, stands beside. All the
    vectors are written once, over those written as lists.

    Args:
        edges: interactions, between a sixteenth as many users and products.
        vectors: products that get a vector of 64 numbers.
    """
    from embeddings.export import SubgraphSpec, export_subgraph  # torch takes seconds to import
    from embeddings.measure import measured

    rng = np.random.default_rng(settings.seed)
    with own_graph(settings, "round-trip") as store:
        _fill(store, edges, vectors, rng)
        spec = SubgraphSpec({"User": (), "Product": ()}, {("User", "RATED", "Product"): ("strength", "at")})
        scan = "MATCH (:User)-[r:RATED]->(:Product) RETURN count(r) AS n, sum(r.strength) AS s"
        scanned = _median_seconds(lambda: store.read(scan))
        rows = min(ROW_BY_ROW, edges)
        slowly = "MATCH (u:User)-[r:RATED]->(p:Product)\nRETURN u.id, p.sku, r.strength, r.at.epochSeconds LIMIT $limit"
        one_by_one = _median_seconds(lambda: _consume(store.stream(slowly, limit=rows)))
        (data, _), cost = measured(lambda: export_subgraph(store, spec))
        exported = _median_seconds(lambda: export_subgraph(store, spec))
        found = int(data["User", "RATED", "Product"].edge_index.shape[1])
        if found != edges:
            raise BenchmarkError(f"{found} of {edges} relationships arrived; the benchmark is wrong.")
        back = _write_back(store, vectors, rng)
    rates = {
        "scan_edges_per_second": edges / scanned,
        "row_by_row_edges_per_second": rows / one_by_one,
        "export_edges_per_second": edges / exported,
    }
    return {
        "edges": edges,
        **{name: round(rate) for name, rate in rates.items()},
        "export_over_row_by_row": round(rates["export_edges_per_second"] / rates["row_by_row_edges_per_second"], 1),
        "export_over_scan": round(rates["export_edges_per_second"] / rates["scan_edges_per_second"], 2),
        "first_export_edges_per_second": round(edges / cost.seconds),
        "export_added_mb": cost.as_dict()["added_mb"],
        **back,
    }


def _write_back(store: GraphStore, count: int, rng: np.random.Generator) -> dict[str, Any]:
    index = schema.embedding_index("blue", _DIMENSIONS)
    store.autocommit(f"DROP INDEX {index.name} IF EXISTS")
    values = rng.standard_normal((count, _DIMENSIONS)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    keys = [f"p{n}" for n in range(count)]
    lists = min(AS_LISTS, count)

    def plainly() -> None:
        for batch in batched(zip(keys[:lists], values[:lists], strict=True), _BATCH):
            store.write(
                "UNWIND $rows AS row\nMATCH (p:Product {sku: row.key})\nSET p.embedding_blue = row.vector",
                rows=[{"key": key, "vector": vector.tolist()} for key, vector in batch],
            )

    listed = _median_seconds(plainly)
    written = _seconds(lambda: set_vectors(store, "Product", "embedding_blue", zip(keys, values, strict=True)))

    def built() -> None:
        store.autocommit(vector_index_statement(index))
        store.await_indexes()

    building = _seconds(built)
    return {
        "vectors": count,
        "list_vectors_per_second": round(lists / listed),
        "vectors_per_second": round(count / written),
        "write_over_lists": round((count / written) / (lists / listed), 2),
        "write_seconds": round(written, 1),
        "index_seconds": round(building, 1),
        "total_seconds": round(written + building, 1),
    }


def _fill(store: GraphStore, edges: int, vectors: int, rng: np.random.Generator) -> None:
    users, products = max(1, edges // 16), max(vectors, edges // 16)
    for label, key, count in (("User", "u", users), ("Product", "p", products)):
        name = schema.LABEL[label].key
        more = "SET n.active = true, n.title = n.sku" if label == "Product" else ""
        for begin in range(0, count, 10_000):
            store.write(
                f"UNWIND range($begin, $end) AS i\nCREATE (n:{label} {{{name}: $key + toString(i)}})\n{more}",
                begin=begin,
                end=min(begin + 10_000, count) - 1,
                key=key,
            )
    left = edges
    while left:
        some = min(left, 10_000)
        store.write(
            "UNWIND $rows AS row\nMATCH (u:User {id: row[0]})\nMATCH (p:Product {sku: row[1]})\n"
            "CREATE (u)-[:RATED {strength: row[2], at: datetime({epochSeconds: row[3]}), count: 1}]->(p)",
            rows=[
                [f"u{u}", f"p{p}", float(s), 1_600_000_000 + int(u)]
                for u, p, s in zip(
                    rng.integers(users, size=some),
                    (rng.random(some) ** 2 * products).astype(int),
                    rng.random(some),
                    strict=True,
                )
            ],
        )
        left -= some


def _consume(rows: Iterator[Any]) -> None:
    for _ in rows:
        pass


def _median_seconds(work: Callable[[], object]) -> float:
    """Of five times, after :data:`WARM_UP_S`: Neo4j compiles what it runs often."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < WARM_UP_S:
        work()
    return sorted(_seconds(work) for _ in range(5))[2]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
