from __future__ import annotations

import numpy as np
import pytest
import torch

from embeddings.split import hold_out, interactions
from kg.errors import EmptyGraphError
from tests.embeddings.worlds import exported, met


def test_the_latest_product_of_each_user_is_held_out() -> None:
    x = met([(0, 0), (0, 1), (0, 2), (1, 2), (1, 0)], 2, 3, at=[10, 30, 20, 5, 4])
    split = hold_out(x, np.random.default_rng(0), by_time=True)
    assert dict(zip(split.users.tolist(), split.products.tolist(), strict=True)) == {0: 1, 1: 2}
    assert sorted(zip(split.train.users.tolist(), split.train.products.tolist(), strict=True)) == [
        (0, 0),
        (0, 2),
        (1, 0),
    ]
    assert split.train.last_at.tolist() == [20.0, 4.0]


def test_of_products_at_the_same_time_the_greater_row_is_the_last() -> None:
    x = met([(0, 2), (0, 0), (0, 1)], 1, 3, at=[7, 7, 7])
    assert hold_out(x, np.random.default_rng(0), by_time=True).products.tolist() == [2]


def test_every_trace_of_the_held_out_product_goes() -> None:
    x = met([(0, 0), (0, 1), (0, 1), (0, 1)], 1, 2, at=[1, 2, 3, 9])
    split = hold_out(x, np.random.default_rng(0), by_time=True)
    assert split.products.tolist() == [1]
    assert split.train.products.tolist() == [0]


def test_a_user_of_one_product_keeps_it() -> None:
    split = hold_out(met([(0, 0), (1, 0), (1, 1)], 2, 2), np.random.default_rng(0), by_time=False)
    assert split.users.tolist() == [1]


def test_only_what_was_taken_is_held_out_not_what_was_merely_viewed() -> None:
    x = met([(0, 0), (0, 1), (0, 2)], 1, 3, at=[1, 2, 3])
    x.known[:] = [True, True, False]
    assert hold_out(x, np.random.default_rng(0), by_time=True).products.tolist() == [1]


def test_chance_comes_from_the_generator_alone() -> None:
    x = met([(u, p) for u in range(30) for p in range(5)], 30, 5)
    again = [hold_out(x, np.random.default_rng(3), by_time=False).products.tolist() for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] != hold_out(x, np.random.default_rng(4), by_time=False).products.tolist()
    # Without times the last is a random one too, not the one that happens to stand last.
    assert len(set(hold_out(x, np.random.default_rng(3), by_time=True).products.tolist())) > 1


def test_most_limits_the_users() -> None:
    x = met([(u, p) for u in range(30) for p in range(3)], 30, 3)
    split = hold_out(x, np.random.default_rng(0), by_time=False, most=7)
    assert len(split.users) == len(set(split.users.tolist())) == 7
    assert len(split.train) == 90 - 7


def test_of_whom_a_share_is_wanted_the_latest_share_is_held_out_and_of_others_one() -> None:
    x = met([(u, p) for u in range(3) for p in range(10)], 3, 10, at=[float(p) for _ in range(3) for p in range(10)])
    split = hold_out(x, np.random.default_rng(0), by_time=True, share=np.array([0.0, 0.3, 0.2]))
    assert sorted(zip(split.users.tolist(), split.products.tolist(), strict=True)) == [
        (0, 9),
        (1, 7),
        (1, 8),
        (1, 9),
        (2, 8),
        (2, 9),
    ]
    assert split.users.tolist() == [0, 1, 1, 1, 2, 2]
    assert np.bincount(split.train.users).tolist() == [9, 7, 8]
    limited = hold_out(x, np.random.default_rng(0), by_time=True, share=np.full(3, 0.3), most=2)
    assert np.unique(limited.users, return_counts=True)[1].tolist() == [3, 3]


def test_interactions_without_positive_strength_show_no_interest() -> None:
    data, _ = exported([("a", "x"), ("a", "y"), ("b", "x")])
    data["User", "BOUGHT", "Product"].strength = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    x = interactions(data)
    assert list(zip(x.users.tolist(), x.products.tolist(), strict=True)) == [(0, 0)]


@pytest.mark.parametrize("strength", [[], [0.0, -1.0]])
def test_nothing_to_learn_from_is_said(strength: list[float]) -> None:
    data, _ = exported([("a", "x"), ("a", "y")])
    store = data["User", "BOUGHT", "Product"]
    store.edge_index = store.edge_index[:, : len(strength)]
    store.strength, store.at = torch.tensor(strength, dtype=torch.float64), store.at[: len(strength)]
    with pytest.raises(EmptyGraphError, match="Nothing to learn from"):
        interactions(data)
