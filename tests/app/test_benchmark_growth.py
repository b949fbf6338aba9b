from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from kg.app.benchmark_growth import arriving, graph_until
from kg.records import EventRecord
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
    data["User"].last_at = torch.tensor([8.0, 2.0, 3.0], dtype=torch.float64)
    related = data["Product", "BOUGHT_WITH", "Product"]
    related.edge_index, related.source = torch.tensor([[0, 0], [1, 2]]), torch.tensor([0, 1])
    related.source_texts = ["bought_together", "also_bought", "catalogue"]
    part, names = graph_until(data, index, end)
    assert (names.keys["User"], names.keys["Product"]) == (users, products)
    assert list(map(tuple, part["User", "BOUGHT", "Product"].edge_index.T.tolist())) == pairs
    assert (part["User"].last_at <= end).all()
    if users:  # as of then: the clock of one who comes back later does not run on
        assert part["User"].last_at[0] == 1.0
    left = part["Product", "BOUGHT_WITH", "Product"]
    assert left.edge_index.shape[1] == {0: 0, 2: 1, 3: 2}[len(products)]
    assert left.source_texts == ["bought_together", "also_bought", "catalogue"]
    assert data["User"].num_nodes == 3  # the whole stays whole


def test_events_of_which_only_the_order_is_known_come_in_it() -> None:
    first = datetime(2014, 1, 1, tzinfo=UTC)
    events = [
        EventRecord(user=user, sku=f"S{n}", type="bought", at=first + timedelta(days=n))
        for user in ("anna", "ben")
        for n in range(20)
    ]
    came = arriving(events, np.random.default_rng(0))
    assert [(e.user, e.sku) for e in came] == [(e.user, e.sku) for e in events]
    moments = {user: [e.at for e in came if e.user == user and e.at is not None] for user in ("anna", "ben")}
    for mine in moments.values():
        assert mine == sorted(set(mine))
        assert mine[-1] - mine[0] > timedelta(days=180)
    assert moments["anna"] != moments["ben"]
