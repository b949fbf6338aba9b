from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embeddings.features import Features
from embeddings.mixture import _coordinate_search, _Panel, _surely_better, ridges_of
from embeddings.settings import TrainSettings
from embeddings.shop import Shop
from embeddings.split import hold_out
from tests.embeddings.worlds import met


def panel(good: float, users: int = 400, seed: int = 0) -> _Panel:
    """Twenty products; 'ridge' is noise, and 'side' lifts the target of ``good`` of the users."""
    rng = np.random.default_rng(seed)
    knows = rng.random((users, 1)) < good
    return _Panel(
        parts={
            "ridge": rng.random((users, 20)).astype(np.float32),
            "side": rng.random((users, 20)).astype(np.float32),
        },
        own={"ridge": rng.random((users, 1)).astype(np.float32), "side": knows.astype(np.float32)},
        hidden=np.zeros((users, 20), dtype=bool),
    )


def test_a_gain_must_exceed_its_own_standard_error() -> None:
    old = np.array([0.0, 1.0] * 200)
    rng = np.random.default_rng(0)
    assert _surely_better(old + 0.1, old)
    assert not _surely_better(old + 0.001 * old.mean(), old)
    one_lucky_user = old.copy()
    one_lucky_user[0] += 3.0
    assert not _surely_better(one_lucky_user, old)
    assert not _surely_better(old + rng.normal(0.0, 3.0, 400) - 0.2, old)


def test_a_part_that_knows_is_taken_and_noise_is_left_where_it_was() -> None:
    _, chosen = _coordinate_search([panel(1.0)], ["side"], {"side": 0.0})
    assert chosen["side"] >= 1.0
    kept = 0
    for seed in range(20):
        noise = panel(0.0, users=60, seed=seed)
        noise.own["side"][:] = np.random.default_rng(seed).random((60, 1))
        kept += _coordinate_search([noise], ["side"], {"side": 0.12})[1]["side"] == 0.12
    assert kept >= 14


def test_the_value_is_hit_and_twice_the_gain_with_ties_at_their_expected_place() -> None:
    p = _Panel(parts={}, own={}, hidden=np.array([[False, False, True]] * 3))
    mixed = np.array([[0.5, 0.4, 9.0], [2.0, 0.4, 9.0], [1.0, 1.0, 9.0]], dtype=np.float32)
    values = p.values(mixed, np.ones((3, 1), dtype=np.float32))
    assert values == pytest.approx([3.0, 1.0 + 2.0 / np.log2(3.0), 1.0 + 2.0 / np.log2(3.0)])


def test_each_penalty_and_each_strength_of_what_is_said_is_tried_the_usual_first() -> None:
    """Everybody takes, one after the other, products of one maker: when that was, is of no matter."""
    rng = np.random.default_rng(0)
    pairs = [(u, (u % 5) * 4 + int(p)) for u in range(60) for p in rng.permutation(4)[:3]]
    x = met(pairs, 60, 20, at=[86_400.0 * day for day in range(len(pairs))])
    folds = (hold_out(x, rng, by_time=True),)
    settings = TrainSettings(penalties=(1.0, 2.0, 3.0), half_lives=(365.0, 30.0, 3650.0), features=(1.0, 0.0))
    silent = Shop(60, 20, 80, None, (), {}, {})
    made = Features.of(None, {"MADE_BY": (np.arange(20), np.arange(20) // 4, 5)}, 20)

    def tried(shop: Shop) -> list[tuple[float, float]]:
        return [(ridge.features, ridge.penalty) for ridge in ridges_of(folds, shop, settings, lambda *_: None)]

    assert tried(silent) == [(0.0, 2.0), (0.0, 1.0), (0.0, 3.0)]
    told = replace(silent, features=made)
    assert tried(told) == [(1.0, 2.0), (1.0, 1.0), (1.0, 3.0), (0.0, 2.0)]
    first, *_, without = ridges_of(folds, told, settings, lambda *_: None)
    assert {ridge.half_life_days for ridge in (first, without)} == {365.0}
    assert first.weights[0][0, 1] > without.weights[0][0, 1] > 0.0
