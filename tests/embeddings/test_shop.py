from __future__ import annotations

import numpy as np

from embeddings.shop import folds_of
from tests.embeddings.worlds import met


def walkers(timed: bool) -> tuple[list[tuple[int, int]], list[float] | None]:
    """Thirty users who each met products 0 to 4, in this order."""
    pairs = [(user, product) for user in range(30) for product in range(5)]
    return pairs, [float(product) for _, product in pairs] if timed else None


def test_with_times_each_split_takes_the_products_before_those_of_the_last() -> None:
    pairs, at = walkers(timed=True)
    folds = folds_of(met(pairs, 30, 5, at), np.random.default_rng(0), large=False)
    assert [set(fold.products.tolist()) for fold in folds] == [{4}, {3}, {2}]
    for fold, most in zip(folds, (3, 2, 1), strict=True):
        assert fold.train.products.max() == most


def test_without_times_chance_decides_each_time_anew() -> None:
    pairs, at = walkers(timed=False)
    folds = folds_of(met(pairs, 30, 5, at), np.random.default_rng(0), large=False)
    assert [len(fold.train) for fold in folds] == [120] * 3
    assert len({tuple(fold.products.tolist()) for fold in folds}) == 3


def test_a_large_graph_is_split_once_and_a_tiny_one_not_at_all() -> None:
    pairs, at = walkers(timed=True)
    assert len(folds_of(met(pairs, 30, 5, at), np.random.default_rng(0), large=True)) == 1
    few = [pair for pair in pairs if pair[0] < 10]
    assert folds_of(met(few, 30, 5), np.random.default_rng(0), large=False) == ()
