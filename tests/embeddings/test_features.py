"""What is said of the products, as rows that a ridge reads."""

from __future__ import annotations

import numpy as np
import pytest

from embeddings.features import STRENGTH, Features

TEXT = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.6, 0.8]], dtype=np.float32)
SHARED = {
    # Product 0 names its maker twice; the second maker has a single product.
    "MADE_BY": (np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1]), 2),
    "PRAISED_FOR": (np.array([0, 1, 2, 3]), np.array([0, 0, 0, 0]), 1),
    "IN_CATEGORY": (np.array([0, 1]), np.array([0, 0]), 1),
}


def test_products_have_in_common_what_they_share_and_say() -> None:
    features = Features.of(TEXT, SHARED, 4)
    there = [0, 1, 3]
    centred = TEXT[there] - TEXT[there].mean(axis=0)
    praised = STRENGTH["PRAISED_FOR"] / np.sqrt(4)
    expected = np.full((4, 4), praised)
    expected[np.ix_(there, there)] += centred @ centred.T
    # Categories were of no use; what a single product has says nothing.
    expected[:2, :2] += STRENGTH["MADE_BY"] / np.sqrt(2)
    assert features.gram() == pytest.approx(expected, abs=1e-6)
    assert features.gram(np.array([2])) == pytest.approx(expected[[2]], abs=1e-6)
    assert features.times(3.0).gram() == pytest.approx(3.0 * expected, abs=1e-5)
    assert features.taller(5).gram() == pytest.approx(np.pad(expected, (0, 1)), abs=1e-6)


def test_another_product_changes_nothing_between_the_others() -> None:
    before = Features.of(TEXT, SHARED, 4)
    text = np.vstack([TEXT, [[0.8, -0.6]]]).astype(np.float32)
    shared = SHARED | {"MADE_BY": (np.array([0, 1, 2, 4, 4]), np.array([0, 0, 1, 0, 2]), 3)}
    after = Features.of(text, shared, 5, like=before)
    assert after.gram()[:4, :4] == pytest.approx(before.gram(), abs=1e-6)
    assert after.gram()[4].any()
    assert not np.allclose(Features.of(text, shared, 5).gram()[:4, :4], before.gram())


def test_nothing_said_is_no_features() -> None:
    assert not Features.of(None, {}, 3)
    assert not Features.of(np.zeros((3, 2), dtype=np.float32), {"MADE_BY": (np.array([0]), np.array([0]), 1)}, 3)
    assert Features.of(None, SHARED, 4)
