from __future__ import annotations

import pytest
import torch

from kg.app.benchmark_growth import graph_until
from tests.embeddings.worlds import exported

PAIRS = [("anna", "S1"), ("anna", "S2"), ("ben", "S1"), ("cleo", "S3")]


@pytest.mark.parametrize(
    ("end", "users", "products", "pairs"),
    [
        (0.0, (), (), []),
        (1.0, ("anna",), ("S1", "S2"), [(0, 0), (0, 1)]),
        (2.0, ("anna", "ben"), ("S1", "S2"), [(0, 0), (0, 1), (1, 0)]),
        (9.0, ("anna", "ben", "cleo"), ("S1", "S2", "S3"), [(0, 0), (0, 1), (1, 0), (2, 2)]),
    ],
)
def test_of_what_came_later_there_is_no_trace(
    end: float, users: tuple[str, ...], products: tuple[str, ...], pairs: list[tuple[int, int]]
) -> None:
    data, index = exported(PAIRS)
    data["User", "BOUGHT", "Product"].at = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    data["User"].last_at = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    related = data["Product", "BOUGHT_WITH", "Product"]
    related.edge_index, related.source = torch.tensor([[0, 0], [1, 2]]), torch.tensor([0, 1])
    related.source_texts = ["bought_together", "also_bought", "catalogue"]
    part, names = graph_until(data, index, end)
    assert (names.keys["User"], names.keys["Product"]) == (users, products)
    assert list(map(tuple, part["User", "BOUGHT", "Product"].edge_index.T.tolist())) == pairs
    assert (part["User"].last_at <= end).all()
    left = part["Product", "BOUGHT_WITH", "Product"]
    assert left.edge_index.shape[1] == {0: 0, 2: 1, 3: 2}[len(products)]
    assert left.source_texts == ["bought_together", "also_bought", "catalogue"]
    assert data["User"].num_nodes == 3  # the whole stays whole
