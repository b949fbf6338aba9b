"""The graph in memory, brought up to date by what changed, is what an export of all of it would be."""

from __future__ import annotations

import numpy as np

from embeddings.export import export_subgraph, shop_with_supplied
from embeddings.mirror import Mirror
from embeddings.split import interactions
from kg.store import GraphStore


def exported(store: GraphStore) -> Mirror:
    data, index = export_subgraph(store, shop_with_supplied(store))
    return Mirror(data, index, interactions(data))


def said(mirror: Mirror) -> dict[str, object]:
    """All that a mirror holds, by names: two of them number their rows differently."""
    names = {label: mirror.users.keys if label == "User" else None for label in mirror.nodes()}
    names |= {"Product": mirror.products.keys} | {label: keys.keys for label, keys in mirror.others.items()}
    of_node = [f"{label} {key}" for label in mirror.nodes() for key in names[label] or ()]
    x = mirror.interactions()
    met = zip(x.users, x.products, x.strength, np.nan_to_num(x.at), x.known, strict=True)
    there = {key for row, key in enumerate(mirror.users.keys) if row in set(x.users.tolist())}
    return {
        "met": sorted((mirror.users.keys[u], mirror.products.keys[p], s, at, bool(k)) for u, p, s, at, k in met),
        "last": {k: v for k, v in zip(mirror.users.keys, np.nan_to_num(x.last_at), strict=True) if k in there},
        "edges": {
            e.name: sorted(
                (of_node[a], of_node[b], round(float(weight), 9))
                for a, b, weight in zip(
                    e.heads, e.tails, np.ones(len(e.heads)) if e.weights is None else e.weights, strict=True
                )
            )
            for e in mirror.edges(30.0)
        },
        "content": {
            name: {k: row[:2].tolist() for k, row in zip(mirror.products.keys, rows, strict=True) if row.any()}
            for name, rows in mirror.content.blocks.items()
        },
    }


def test_what_is_read_anew_is_what_a_whole_export_would_hold(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'S2'})\nSET p.vector_image = [3.0, 4.0]")
    mirror = exported(shop)
    shop.write(
        "MATCH (cleo:User {id: 'cleo'}), (strap:Product {sku: 'S1'}), (tuner:Product {sku: 'T1'})\n"
        "MATCH (strap)-[fits:ACCESSORY_OF]->(), (cobalt:Brand {key: 'cobalt'})\n"
        "DELETE fits\nSET cleo.last_at = datetime('2026-03-05T10:00:00Z'), tuner.text_embedding = [0.5, 0.5],\n"
        "    tuner.vector_image = [0.0, 2.0]\n"
        "CREATE (case:Product {sku: 'C1', active: true})-[:MADE_BY {source: 'catalogue'}]->(cobalt)\n"
        "CREATE (case)-[:ACCESSORY_OF {source: 'accessory_of'}]->(tuner),\n"
        "       (case)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(:AttributeValue {key: 'colour=red'}),\n"
        "       (case)-[:PRAISED_FOR {source: 'extraction', count: 3}]->(sound:Aspect {key: 'sound'}),\n"
        "       (tuner)-[:PRAISED_FOR {source: 'extraction', count: 2}]->(sound)\n"
        "CREATE (cleo)-[:BOUGHT {strength: 1.0, at: datetime('2026-03-05T10:00:00Z')}]->(case)"
    )
    shop.write("MATCH (p:Product {sku: 'G1'})\nDETACH DELETE p")
    read = mirror.read(shop, ["cleo"], ["S1", "T1", "C1", "G1", "unheard of"])
    assert said(mirror) == said(exported(shop))
    # Anna and Ben had met the guitar that is gone.
    assert [mirror.users.keys[row] for row in read.users] == ["anna", "ben", "cleo"]
    assert [mirror.products.keys[row] for row in read.gone] == ["G1"]


def test_parts_in_some_rows_are_those_of_all(shop: GraphStore) -> None:
    mirror = exported(shop)
    whole = mirror.side_parts(np.arange(len(mirror.products)))
    of = np.array([1, 3])
    some = mirror.side_parts(of)
    assert set(some) <= set(whole)
    for name, part in whole.items():
        wanted = part.toarray()
        keep = np.zeros(wanted.shape, dtype=bool)
        keep[of] = keep[:, of] = True
        found = some[name].toarray() if name in some else np.zeros_like(wanted)
        assert np.allclose(found, np.where(keep, wanted, 0.0))
