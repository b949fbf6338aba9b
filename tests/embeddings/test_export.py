from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from embeddings import export
from embeddings.export import NodeIndex, SubgraphSpec, export_subgraph, shop_with_supplied
from kg.errors import EmbeddingError
from kg.store import GraphStore

SMALL = SubgraphSpec(
    nodes={"User": ("last_at",), "Product": ("price", "active", "title", "consumable")},
    edges={
        ("User", "BOUGHT", "Product"): ("strength", "at"),
        ("Product", "BOUGHT_WITH", "Product"): ("source", "confidence"),
    },
)


def test_rows_are_in_the_order_of_the_business_keys(shop: GraphStore) -> None:
    data, index = export_subgraph(shop, SMALL)
    assert index.keys == {"User": ("anna", "ben", "cleo"), "Product": ("G1", "G2", "S1", "S2", "T1", "X1")}
    assert data["Product"].num_nodes == 6
    assert index.row("Product", "S2") == 3
    assert index.row("Product", "unheard of") is None
    assert index.rows("User", ["ben", "nobody", "anna"]).tolist() == [1, -1, 0]


def test_properties_arrive_with_null_as_nan_false_or_minus_one(shop: GraphStore) -> None:
    data, _ = export_subgraph(shop, SMALL)
    assert data["Product"].price.tolist() == [499.0, 289.0, 24.5, 12.0, 15.0, 99.0]
    assert data["Product"].active.tolist() == [True, True, True, True, True, False]
    assert data["Product"].consumable.tolist() == [False, False, False, True, False, False]
    assert data["Product"].title_texts[data["Product"].title[4]] == "Cobalt clip-on tuner"
    assert data["User"].last_at[:2].tolist() == [1772445600.0, 1772532000.0]
    assert torch.isnan(data["User"].last_at[2])
    pairs = data["Product", "BOUGHT_WITH", "Product"]
    assert [pairs.source_texts[code] for code in pairs.source] == ["bought_together"]
    assert torch.isnan(pairs.confidence).all()


def test_edges_join_the_rows_of_their_ends(shop: GraphStore) -> None:
    data, _ = export_subgraph(shop, SMALL)
    bought = data["User", "BOUGHT", "Product"]
    assert bought.edge_index.tolist() == [[0, 1, 1], [0, 0, 4]]
    assert bought.strength.tolist() == [1.0, 1.0, 1.0]
    assert bought.at.tolist() == [1772359200.0, 1772532000.0, 1772532000.0]


def test_a_filter_leaves_out_nodes_and_their_edges(shop: GraphStore) -> None:
    spec = SubgraphSpec(
        nodes=SMALL.nodes, edges=SMALL.edges, where={"Product": "n.price < $most"}, parameters={"most": 100.0}
    )
    data, index = export_subgraph(shop, spec)
    assert index.keys["Product"] == ("S1", "S2", "T1", "X1")
    assert data["User", "BOUGHT", "Product"].edge_index.tolist() == [[1], [2]]


def test_a_filter_of_relationships_leaves_out_those_alone(shop: GraphStore) -> None:
    spec = replace(
        SMALL, where={"BOUGHT": "r.at > datetime($since) OR a.id = 'cleo'"}, parameters={"since": "2026-03-02"}
    )
    data, index = export_subgraph(shop, spec)
    assert index.count("Product") == 6
    bought = data["User", "BOUGHT", "Product"]
    assert bought.edge_index.tolist() == [[1, 1], [0, 4]]
    assert bought.strength.tolist() == [1.0, 1.0]
    assert data["Product", "BOUGHT_WITH", "Product"].edge_index.shape == (2, 1)


def test_what_fewer_than_three_reviews_praise_is_not_trained_on(shop: GraphStore) -> None:
    shop.write(
        "MATCH (p:Product)\nMERGE (a:Aspect {key: 'sound'})\n"
        "CREATE (p)-[:PRAISED_FOR {count: CASE WHEN p.sku IN ['G1', 'T1'] THEN 3 ELSE 2 END}]->(a)"
    )
    data, index = export_subgraph(shop)
    rows = data["Product", "PRAISED_FOR", "Aspect"].edge_index
    named = [(index.keys["Product"][p], index.keys["Aspect"][a]) for p, a in rows.T.tolist()]
    assert named == [("G1", "sound"), ("T1", "sound")]


def test_packed_pages_equal_one_row_at_a_time(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(
        "UNWIND range(1, 23) AS n CREATE (:User {id: 'u' + toString(n)})\n"
        "WITH count(*) AS _ UNWIND range(1, 17) AS n\n"
        "CREATE (:Product {sku: 'p' + toString(n), title: 'p', active: true, price: 1.0 * n,\n"
        "                  text_embedding: [0.5 * n, 1.0, -1.0]})"
    )
    store.write(
        "MATCH (u:User), (p:Product)\n"
        "WHERE (toInteger(substring(u.id, 1)) * 7 + toInteger(substring(p.sku, 1))) % 3 = 0\n"
        "CREATE (u)-[:VIEWED {count: 1, strength: p.price / 10}]->(p)"
    )
    # Pages and groups so small that every boundary is crossed.
    monkeypatch.setattr(export, "PAGE", 8)
    monkeypatch.setattr(export, "_GROUP", 3)
    spec = SubgraphSpec(
        nodes={"User": (), "Product": ("text_embedding",)}, edges={("User", "VIEWED", "Product"): ("strength",)}
    )
    data, index = export_subgraph(store, spec)
    rows = store.read("MATCH (u:User)-[r:VIEWED]->(p:Product) RETURN u.id AS u, p.sku AS p, r.strength AS s")
    viewed = data["User", "VIEWED", "Product"]
    packed = {
        (index.keys["User"][u], index.keys["Product"][p], s)
        for (u, p), s in zip(viewed.edge_index.T.tolist(), viewed.strength.tolist(), strict=True)
    }
    assert len(rows) == viewed.edge_index.shape[1] > 100
    assert packed == {(row["u"], row["p"], row["s"]) for row in rows}
    vector = data["Product"].text_embedding[index.row("Product", "p9")]
    assert vector.tolist() == [4.5, 1.0, -1.0]


def test_keys_beyond_the_basic_plane_lose_no_page(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neo4j's index and its operators order these differently, so paging by ranges of keys lost some of them."""
    keys = ["a", "\ufb01", "\uffe6", "\U0001d11e", "\U0001f3b8", "z", "\u00e9"]
    store.write(
        "UNWIND $keys AS key CREATE (:User {id: key})-[:BOUGHT {count: 1, strength: 1.0}]->"
        "(:Product {sku: key, title: 't', active: true})",
        keys=keys,
    )
    monkeypatch.setattr(export, "PAGE", 2)
    data, index = export_subgraph(store, SubgraphSpec(SMALL.nodes, {("User", "BOUGHT", "Product"): ()}))
    assert index.keys["User"] == tuple(sorted(keys))
    assert data["User", "BOUGHT", "Product"].edge_index.tolist() == [list(range(7)), list(range(7))]


def test_an_empty_graph_exports_empty_stores(store: GraphStore) -> None:
    data, index = export_subgraph(store)
    assert index.count("User") == index.count("Product") == 0
    assert data["User", "BOUGHT", "Product"].edge_index.shape == (2, 0)
    assert data["Product"].text_embedding.shape == (0, 0)


def test_a_product_without_text_has_a_zero_row(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'S1'}) SET p.text_embedding = [1.0, 0.0]")
    data, _ = export_subgraph(shop, SubgraphSpec({"Product": ("text_embedding",)}, {}))
    assert data["Product"].text_embedding.tolist() == [[0.0, 0.0]] * 2 + [[1.0, 0.0]] + [[0.0, 0.0]] * 3


def test_vectors_of_two_widths_are_refused(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product) SET p.text_embedding = CASE p.sku WHEN 'S1' THEN [1.0] ELSE [1.0, 0.0] END")
    with pytest.raises(EmbeddingError, match="1 and 2 numbers"):
        export_subgraph(shop, SubgraphSpec({"Product": ("text_embedding",)}, {}))


@pytest.mark.parametrize(
    ("cypher", "message"),
    [
        ("MATCH (:User {id: 'anna'})-[r:BOUGHT]->() SET r.strength = 0.0 / 0.0", "of BOUGHT is NaN.* strength, at"),
        ("MATCH (p:Product {sku: 'S1'}) SET p.vector_image = [1.0, 1e300]", "of Product is NaN.* vector_image"),
    ],
)
def test_what_is_no_finite_number_is_refused_by_name(shop: GraphStore, cypher: str, message: str) -> None:
    shop.write(cypher)
    with pytest.raises(EmbeddingError, match=message):
        export_subgraph(shop, shop_with_supplied(shop))


@pytest.mark.parametrize(
    ("nodes", "edges", "where", "message"),
    [
        ({"Prodct": ()}, {}, {}, "no label 'Prodct'"),
        ({"Product": ("colour",)}, {}, {}, "no property 'colour' of Product"),
        ({"Product": ()}, {("User", "BOUGHT", "Product"): ()}, {}, "needs the label User"),
        ({"Product": ()}, {}, {"User": "true"}, "a filter for User"),
    ],
)
def test_a_spec_that_does_not_fit_the_schema_says_so(nodes, edges, where, message) -> None:
    with pytest.raises(EmbeddingError, match=message):
        SubgraphSpec(nodes, edges, where)


def test_a_node_index_counts_and_finds() -> None:
    index = NodeIndex({"User": ("a", "b")})
    assert (index.count("User"), index.count("Product")) == (2, 0)
    assert index.rows("Product", ["x"]).dtype == np.int64


def test_relationships_are_in_one_order_whatever_arrives_first() -> None:
    rng = np.random.default_rng(0)
    # So few ends that many relationships are parallel, and so few values that some are equal throughout.
    head, tail = rng.integers(20, size=2_000), rng.integers(20, size=2_000)
    values = [rng.integers(3, size=2_000).astype(float), rng.choice(["", "feed", "text"], size=2_000).astype(object)]
    order = export._order(head, tail, values)
    assert sorted(order.tolist()) == list(range(2_000))
    rows = [tuple(column[i] for column in (head, tail, *values)) for i in order]
    assert rows == sorted(rows)
    assert export._order(head[:0], tail[:0], [v[:0] for v in values]).size == 0


@pytest.mark.parametrize("spread", [1, 1_000], ids=["dense", "sparse"])
def test_internal_ids_are_found_dense_and_sparse(spread: int) -> None:
    ids = np.arange(1, 50) * spread
    found = export._Rows(ids, np.arange(49)[::-1].copy())
    assert found.of(np.array([ids[0], ids[-1], ids[3]])).tolist() == [48, 0, 45]
    assert found.of(np.array([0, ids[-1] + 1, ids[-1] * 100])).tolist() == [-1, -1, -1]
