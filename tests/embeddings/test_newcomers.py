from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import newcomers
from embeddings.baselines import Ranker
from embeddings.newcomers import LIFTS, choose_lift, lifted, without_a_tenth
from embeddings.split import Holdout, Interactions
from tests.embeddings.worlds import met


def test_the_fewer_have_met_a_product_the_more_its_side_counts() -> None:
    side = sp.csr_matrix(np.ones((3, 3), dtype=np.float32))
    assert lifted(side, np.array([0.0, 1.0, 99.0]), 4.0).toarray()[0] == pytest.approx([5.0, 3.0, 1.04])


def test_a_tenth_of_the_catalogue_is_made_new() -> None:
    x = met([(0, product) for product in range(20)], 1, 20)
    left, new = without_a_tenth(x, 5)
    assert np.flatnonzero(new).tolist() == [5, 15]
    assert sorted(left.products.tolist()) == [p for p in range(20) if p not in (5, 15)]


def catalogue() -> tuple[Holdout, np.ndarray, Interactions]:
    """Thirty users who took two old products and the new one, 0; one more old product of each is held out."""
    pairs = [(user, product) for user in range(30) for product in (0, 11 + user % 5, 21 + user % 5)]
    x = met(pairs, 30, 40)
    left, new = without_a_tenth(x, 0)
    return Holdout(x, np.arange(30), np.full(30, 31)), new, left


@pytest.mark.parametrize(("needed", "expected"), [(0.0, 0.0), (4.0, 4.0), (99.0, 0.0)])
def test_newcomers_are_lifted_until_they_are_found_and_no_further(
    needed: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newcomer stands before all others from the lift ``needed`` on; where none helps, none is taken."""
    monkeypatch.setattr(newcomers, "_CUTOFF", 2)
    fold, new, left = catalogue()

    def ranker(lift: float) -> Ranker:
        def rank(rows: np.ndarray) -> np.ndarray:
            scores = np.zeros((len(rows), 40), dtype=np.float32)
            scores[:, 31] = 5.0
            scores[:, 0] = 9.0 if lift >= needed else -1.0
            return scores

        return rank

    lift, found = choose_lift(fold, new, left, ranker, np.random.default_rng(0))
    assert set(found) == set(LIFTS)
    assert found[0.0] == (float(needed == 0.0), 1.0)
    assert lift == expected
