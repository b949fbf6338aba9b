"""Item–item weights by ridge regression, beside the regressions written out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import ridge
from embeddings.features import Features
from embeddings.ridge import following_weights, prefixes, ridge_weights
from tests.embeddings.worlds import met


def some_interactions(users: int = 60, products: int = 12) -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    return sp.csr_matrix((rng.random((users, products)) < 0.3).astype(np.float32))


def scaled(met: sp.csr_matrix) -> np.ndarray:
    dense = met.toarray().astype(float)
    return dense * np.maximum(dense.sum(1, keepdims=True), 1) ** -0.25


@pytest.mark.parametrize("exact", [True, False])
def test_each_column_is_a_ridge_regression_on_the_other_products(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways give it when every product is a neighbour: the inverse of the Gram matrix is but a short cut."""
    if not exact:
        monkeypatch.setattr(ridge, "EXACT_PRODUCTS", 0)
    taken = some_interactions()
    X = scaled(taken)
    W, other = (w.toarray() for w in ridge_weights(taken, (3.0, 9.0)))
    assert not np.diag(W).any()
    for j in range(X.shape[1]):
        others = [i for i in range(X.shape[1]) if i != j]
        A = X[:, others]
        expected = np.linalg.solve(A.T @ A + 3.0 * np.eye(len(others)), A.T @ X[:, j])
        assert W[others, j] == pytest.approx(expected, abs=1e-5)
    assert np.abs(other).sum() < np.abs(W).sum()


def test_local_weights_use_only_the_nearest_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "EXACT_PRODUCTS", 0)
    monkeypatch.setattr(ridge, "NEIGHBOURS", 3)
    told: list[tuple[int, int]] = []
    (W,) = ridge_weights(some_interactions(), (3.0,), tick=lambda done, of: told.append((done, of)))
    assert (W != 0).sum(axis=0).max() == 3
    assert told == [(0, 12)]


def test_a_product_that_nobody_met_has_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "EXACT_PRODUCTS", 0)
    assert ridge_weights(sp.csr_matrix((3, 4), dtype=np.float32), (1.0,))[0].nnz == 0


def some_features(products: int = 12) -> Features:
    """Texts of three dimensions, of which product 4 has none; two brands of several products, one of a single one."""
    rng = np.random.default_rng(1)
    text = rng.normal(size=(products, 3)).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    text[4] = 0.0
    brands = np.array([0, 0, 0, 1, 1, 1, 1, 2] + [3] * (products - 8))
    return Features.of(text, {"MADE_BY": (np.arange(products), brands, 4)}, products)


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_said_of_products_counts_as_further_users(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exact:
        monkeypatch.setattr(ridge, "EXACT_PRODUCTS", 0)
    taken, features = some_interactions(), some_features()
    (W,) = (w.toarray() for w in ridge_weights(taken, (3.0,), features=features))
    shared = np.vstack([scaled(taken), features.members.toarray().T])
    X = np.vstack([shared, features.content.T])
    for j in range(X.shape[1]):
        # The local way regresses on products that share a user or a maker with this one.
        others = [i for i in range(X.shape[1]) if i != j and (exact or shared[:, i] @ shared[:, j] > 0.0)]
        A = X[:, others]
        expected = np.linalg.solve(A.T @ A + 3.0 * np.eye(len(others)), A.T @ X[:, j])
        assert W[others, j] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("exact", [True, False])
def test_a_product_that_nobody_met_is_related_by_what_is_said_of_it(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exact:
        monkeypatch.setattr(ridge, "EXACT_PRODUCTS", 0)
    taken = some_interactions().tolil()
    taken[:, 0] = 0.0
    (W,) = (w.toarray() for w in ridge_weights(taken.tocsr(), (3.0,), features=some_features()))
    maker = [1, 2]
    assert W[maker, 0].min() > 0.0
    assert W[maker, 0].mean() > np.delete(W[:, 0], [0, *maker]).mean()


def some(products: int, *chosen: int) -> np.ndarray:
    mask = np.zeros(products, dtype=bool)
    mask[list(chosen)] = True
    return mask


def test_rows_are_what_solving_all_columns_gives_where_all_are_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other columns nothing is solved, and yet the product's weights towards them are theirs."""
    monkeypatch.setattr(ridge, "EXACT_PRODUCTS", 0)
    taken, features = some_interactions(users=120), some_features()
    columns, rows = some(12, 0, 5), some(12, 5, 7)
    whole = ridge_weights(taken, (3.0, 9.0), features=features)
    part = ridge_weights(taken, (3.0, 9.0), features=features, columns=columns, rows=rows)
    for W, found in zip(whole, part, strict=True):
        expected = np.where(rows[:, None] | columns[None, :], W.toarray(), 0.0)
        assert np.abs(expected[7]).sum() > 0.1
        assert found.toarray() == pytest.approx(expected, abs=1e-5)


def test_rows_of_what_follows_are_what_solving_all_columns_gives_where_all_are_neighbours() -> None:
    rng = np.random.default_rng(4)
    pairs = [(user, int(product)) for user in range(150) for product in rng.permutation(10)[:7]]
    x = met(pairs, 150, 10, at=np.tile(np.arange(7.0), 150).tolist())
    columns, rows = some(10, 0, 5), some(10, 5, 7)
    W = following_weights(x, 0.5, 3.0).toarray()
    found = following_weights(x, 0.5, 3.0, columns=columns, rows=rows).toarray()
    expected = np.where(rows[:, None] | columns[None, :], W, 0.0)
    assert np.abs(expected[7]).sum() > 0.05
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_step_of_a_sequence_knows_what_came_before_it_the_nearer_the_stronger() -> None:
    # User 0 met 3, 1, 2 in this order (and 3 once more, late: its latest time counts), user 1 only 0.
    x = met([(0, 3), (0, 1), (0, 2), (1, 0)], 2, 4, at=[1.0, 2.0, 3.0, 5.0])
    before, after = prefixes(x, 0.5)
    steps = [(b.tolist(), a.tolist()) for b, a in zip(before.toarray(), after.toarray(), strict=True) if a.any()]
    assert steps == [([0, 1, 0, 0.5], [0, 0, 1, 0]), ([0, 0, 0, 1], [0, 1, 0, 0])]
    assert prefixes(met([(0, 1), (0, 2)], 1, 3), 0.5)[1].nnz == 0


def test_what_was_met_at_one_time_comes_before_each_other() -> None:
    # 0 first, then 1 and 2 together, then 3; the numbers of the products say nothing.
    x = met([(0, 0), (0, 2), (0, 1), (0, 3)], 1, 4, at=[1.0, 2.0, 2.0, 3.0])
    before, after = prefixes(x, 0.5)
    steps = {int(a.argmax()): b.tolist() for b, a in zip(before.toarray(), after.toarray(), strict=True) if a.any()}
    assert steps == {3: [0.5, 1, 1, 0], 1: [1, 0, 1, 0], 2: [1, 1, 0, 0]}


def test_what_follows_is_learned_in_the_direction_of_time() -> None:
    """Everybody takes 0 and then 1, and 2 whenever."""
    pairs, at = [], []
    for user in range(20):
        pairs += [(user, 0), (user, 1), (user, 2)]
        at += [10.0, 20.0, 5.0 if user % 2 else 30.0]
    W = following_weights(met(pairs, 20, 3, at), 0.5, 1.0).toarray()
    assert W[0, 1] > 0.5
    assert W[0, 1] > 5 * abs(W[1, 0])
    assert not np.diag(W).any()


def test_what_follows_a_product_follows_others_of_which_the_same_is_said() -> None:
    """Everybody takes 0 and then 1; nobody has met 2, which is told in the words of 1, and 3 is told in none."""
    content = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    maker = sp.csr_matrix(np.array([[0.0], [1.0], [1.0], [0.0]], dtype=np.float32))
    features = Features(content, maker, np.zeros(2, dtype=np.float32), {})
    pairs = [(user, product) for user in range(20) for product in (0, 1)]
    x = met(pairs, 20, 4, at=[1.0, 2.0] * 20)
    assert not following_weights(x, 0.5, 1.0).toarray()[:, 2:].any()
    W = following_weights(x, 0.5, 1.0, features=features).toarray()
    assert W[1, 2] > 0.1
    assert not W[:, 3].any()
    assert W[0, 1] > 0.5
    # Without times nothing follows anything.
    assert following_weights(met(pairs, 20, 4), 0.5, 1.0, features=features).nnz == 0
