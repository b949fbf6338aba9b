"""Vectors that a shop supplies of its products (of an image, say) count wherever their text's vector does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from embeddings.content import TEXT, Content, placed, supplied, unit_rows
from embeddings.export import export_subgraph, shop_with_supplied
from embeddings.network import Fit, vectors_of
from embeddings.relations import side_parts
from embeddings.shop import Shop
from embeddings.split import interactions
from embeddings.training import train
from kg.errors import EmbeddingError
from kg.store import GraphStore
from tests.embeddings.worlds import QUICK, write_checkerboard


def of(**vectors: list[list[float]]) -> HeteroData:
    data = HeteroData()
    for name, rows in vectors.items():
        data["Product"][name] = torch.tensor(rows, dtype=torch.float32)
        data["Product"].num_nodes = len(rows)
    return data


def test_each_kind_stands_at_unit_length_beside_the_text() -> None:
    content = Content.of(of(vector_image=[[3.0, 4.0], [0.0, 0.0]], text_embedding=[[1.0], [0.0]], price=[[9.0], [9.0]]))
    assert content.layout == {TEXT: 1, "vector_image": 2}
    together = content.together()
    assert together is not None
    assert together.tolist() == [[1.0, pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0, 0.0]]


def test_rows_at_unit_length_hide_no_nan() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0]]))
    assert rows[:2].tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
    assert np.isnan(rows[2]).all()


def test_what_no_product_has_is_no_content() -> None:
    assert Content.of(of(text_embedding=[[0.0, 0.0]])).together() is None


def test_a_projection_follows_its_columns_and_knows_nothing_of_new_ones() -> None:
    weight = np.array([[1.0, 2.0, 3.0]])
    made_for = {TEXT: 1, "vector_image": 2}
    assert placed(weight, made_for, {"vector_image": 2, "vector_sound": 1, TEXT: 1}).tolist() == [[2.0, 3.0, 0.0, 1.0]]
    # An image vector of another width is of another model: nothing that was learned of the old one holds.
    assert placed(weight, made_for, {TEXT: 1, "vector_image": 3}).tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_products_that_look_alike_are_related() -> None:
    parts = side_parts(of(vector_image=[[2.0, 0.0], [1.0, 0.0], [0.0, 5.0]]))
    assert parts["vector_image"].toarray().tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def with_pictures(store: GraphStore) -> None:
    """A checkerboard whose products show their colour, and one of each colour that nobody has met."""
    write_checkerboard(store)
    store.write("CREATE (:Product {sku: 'new even', active: true}), (:Product {sku: 'new odd', active: true})")
    store.write(
        "CYPHER 25\nMATCH (p:Product)\n"
        "LET odd = CASE WHEN p.sku = 'new odd' THEN 1 WHEN p.sku = 'new even' THEN 0\n"
        "               ELSE toInteger(substring(p.sku, 1)) % 2 END\n"
        "SET p.vector_image = [3.0 * (1 - odd), 3.0 * odd]"
    )


def test_a_product_that_nobody_has_met_stands_where_its_picture_says(store: GraphStore) -> None:
    with_pictures(store)
    data, index = export_subgraph(store, shop_with_supplied(store))
    x = interactions(data)
    model, _ = Fit(Shop.of(data, x), x, QUICK, 0.3, 60, 0).run(torch.device("cpu"), lambda *_: None)
    users, products = vectors_of(model, x)
    even, odd = index.row("Product", "new even"), index.row("Product", "new odd")
    assert even is not None
    assert odd is not None
    assert users[0] @ products[even] > users[0] @ products[odd] + 0.5
    assert users[1] @ products[odd] > users[1] @ products[even] + 0.5


def test_it_is_related_to_those_that_look_like_it(store: GraphStore, tmp_path: Path) -> None:
    with_pictures(store)
    checkpoint = train(store, home=tmp_path, settings=QUICK)
    assert checkpoint.settings["content"] == {"vector_image": 2}
    row = checkpoint.products.index("new even")
    related = {checkpoint.products[column] for column in checkpoint.similar[row].indices}
    assert related
    assert all(sku == "new even" or int(sku[1:]) % 2 == 0 for sku in related)


def test_what_is_trained_on_begins_with_what_was_learned_of_pictures(store: GraphStore, tmp_path: Path) -> None:
    with_pictures(store)
    base = train(store, home=tmp_path, settings=QUICK)
    store.write("MATCH (p:Product)\nSET p.vector_sound = [1.0, 0.0, 0.0]")
    more = train(store, home=tmp_path, settings=QUICK, base=base)
    assert more.settings["content"] == {"vector_image": 2, "vector_sound": 3}


def test_only_names_that_a_file_can_give_are_looked_for(store: GraphStore) -> None:
    store.write("CREATE (:Product {sku: 'a', vector_image: [1.0], `vector_Not a name`: 'x'})")
    names = supplied(store)
    assert "vector_image" in names
    assert all(" " not in name for name in names)
    data, _ = export_subgraph(store, shop_with_supplied(store))
    assert data["Product"].vector_image.tolist() == [[1.0]]


def test_vectors_of_two_widths_are_refused_with_what_to_do(store: GraphStore) -> None:
    store.write("CREATE (:Product {sku: 'a', vector_image: [1.0]}), (:Product {sku: 'b', vector_image: [1.0, 2.0]})")
    with pytest.raises(EmbeddingError, match=r"vector_image has 1 and 2 numbers .* one width"):
        export_subgraph(store, shop_with_supplied(store))
