from __future__ import annotations

import numpy as np

from embeddings.shop import folds_of
from tests.embeddings.worlds import met


def walkers(timed: bool, users: int = 90) -> tuple[list[tuple[int, int]], list[float] | None]:
    """Users who each met products 0 to 4, in this order."""
    pairs = [(user, product) for user in range(users) for product in range(5)]
    return pairs, [float(product) for _, product in pairs] if timed else None


def test_each_split_takes_the_latest_product_of_its_own_third_of_the_users_and_leaves_the_others_whole() -> None:
    pairs, at = walkers(timed=True)
    folds = folds_of(met(pairs, 90, 5, at), np.random.default_rng(0), large=False)
    assert [set(fold.products.tolist()) for fold in folds] == [{4}] * 3
    assert sorted(user for fold in folds for user in fold.users.tolist()) == list(range(90))
    for fold in folds:
        assert len(fold.train) == 450 - 30
        assert (np.bincount(fold.train.users) == np.where(np.isin(np.arange(90), fold.users), 4, 5)).all()


def test_without_times_chance_decides() -> None:
    pairs, at = walkers(timed=False)
    folds = folds_of(met(pairs, 90, 5, at), np.random.default_rng(0), large=False)
    assert [len(fold.train) for fold in folds] == [420] * 3
    assert all(len(set(fold.products.tolist())) > 1 for fold in folds)


def test_a_large_graph_loses_one_product_of_half_of_the_users_and_a_fifth_of_those_of_the_others() -> None:
    pairs = [(user, product) for user in range(200) for product in range(20)]
    at = [float(product) for _, product in pairs]
    (fold,) = folds_of(met(pairs, 200, 20, at), np.random.default_rng(0), large=True)
    held = [fold.products[fold.users == user].tolist() for user in range(200)]
    assert {tuple(sorted(products)) for products in held} == {(19,), (16, 17, 18, 19)}
    assert 70 < sum(len(products) == 1 for products in held) < 130


def test_a_large_graph_and_one_of_few_users_are_split_once_and_a_tiny_one_not_at_all() -> None:
    pairs, at = walkers(timed=True)
    assert len(folds_of(met(pairs, 90, 5, at), np.random.default_rng(0), large=True)) == 1
    for users, parts in ((30, 1), (45, 2), (10, 0)):
        few = [pair for pair in pairs if pair[0] < users]
        assert len(folds_of(met(few, 90, 5), np.random.default_rng(0), large=False)) == parts
