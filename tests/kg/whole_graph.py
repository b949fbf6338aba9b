"""The whole graph as plain values, so that two graphs can be compared."""

from __future__ import annotations

from typing import Any

from kg.store import GraphStore

KEYS = "coalesce(n.sku, n.id, n.key, n.path, n.text)"


def whole_graph(store: GraphStore) -> dict[str, list[Any]]:
    """Every node and relationship with all properties, in a fixed order; migrations left out."""
    nodes = store.read(
        f"MATCH (n) WHERE NOT n:Migration RETURN labels(n)[0] AS label, {KEYS} AS key, properties(n) AS properties "
        "ORDER BY label, key"
    )
    relationships = store.read(
        f"MATCH (n)-[r]->(m) RETURN {KEYS} AS start, type(r) AS type, {KEYS.replace('n.', 'm.')} AS end, "
        "properties(r) AS properties ORDER BY start, type, end, properties.source, properties.model, properties.arm"
    )
    return {"nodes": nodes, "relationships": [{**r, "properties": _nan_free(r["properties"])} for r in relationships]}


def _nan_free(properties: dict[str, Any]) -> dict[str, Any]:
    # NaN marks an event without a value; it equals nothing, not even itself.
    return {
        name: [("none" if v != v else v) for v in value] if isinstance(value, list) else value
        for name, value in properties.items()
    }
