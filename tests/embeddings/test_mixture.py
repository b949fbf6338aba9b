from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from embeddings.evaluation import validation_values
from embeddings.features import Features
from embeddings.mixture import (
    _bagged,
    _coordinate_search,
    _mixture,
    _Panel,
    _panel,
    _search,
    _surely_better,
    _values,
    followings_of,
    ridges_of,
    similar_to,
)
from embeddings.relations import shared_part
from embeddings.scoring import Scorer, popularity
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
        owner=np.arange(users),
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


def rows_of(p: _Panel, rows: np.ndarray) -> _Panel:
    parts, own = ({name: values[rows] for name, values in of.items()} for of in (p.parts, p.own))
    return _Panel(parts, own, np.arange(len(rows)), p.hidden[rows])


def test_a_draw_counts_each_user_as_often_as_it_was_drawn() -> None:
    p = panel(0.4, users=80)
    rows = np.random.default_rng(5).integers(80, size=80)
    times = np.bincount(rows, minlength=80).astype(float)
    counted, chosen = _search([p], ["side"], {"side": 0.0}, times)
    repeated, same = _search([rows_of(p, rows)], ["side"], {"side": 0.0})
    assert chosen == same
    assert np.average(counted, weights=times) == pytest.approx(repeated.mean())
    old = np.random.default_rng(6).random(80)
    for gain in (0.0, 0.05, 0.1, 0.2):
        new = old + gain * (np.random.default_rng(7).random(80) - 0.3)
        assert _surely_better(new, old, times) == _surely_better(new[rows], old[rows])


def test_what_is_sure_is_chosen_by_every_draw_and_the_mean_changes_less_than_one_choice() -> None:
    sure = panel(1.0)
    bagged = _bagged([sure], ["side"], {"side": 0.0}, np.random.default_rng(0))
    assert bagged["side"] >= 1.0
    assert _values([sure], bagged).mean() > 1.5 * _values([sure], {"side": 0.0}).mean()

    def spread(choose: Callable[[_Panel], float]) -> float:
        """Of the choices in worlds that differ by their users alone, of whom few know."""
        return float(np.std([choose(panel(0.4, users=120, seed=seed)) for seed in range(20)]))

    one = spread(lambda p: _search([p], ["side"], {"side": 0.12})[1]["side"])
    mean = spread(lambda p: _bagged([p], ["side"], {"side": 0.12}, np.random.default_rng(0))["side"])
    assert 0.0 < mean < 0.8 * one, (mean, one)


def test_the_value_is_hit_and_twice_the_gain_with_ties_at_their_expected_place() -> None:
    p = _Panel(parts={}, own={}, owner=np.arange(3), hidden=np.array([[False, False, True]] * 3))
    mixed = np.array([[0.5, 0.4, 9.0], [2.0, 0.4, 9.0], [1.0, 1.0, 9.0]], dtype=np.float32)
    values = p.values(mixed, np.ones((3, 1), dtype=np.float32))
    assert values == pytest.approx([3.0, 1.0 + 2.0 / np.log2(3.0), 1.0 + 2.0 / np.log2(3.0)])


def test_of_several_targets_of_a_user_each_is_ranked_as_if_alone_and_their_mean_counts() -> None:
    p = _Panel(parts={}, own={}, owner=np.array([0, 0, 1]), hidden=np.array([[False, True], [False, False]]))
    mixed = np.array([[0.5, 0.9], [0.5, 0.9]], dtype=np.float32)
    values = p.values(mixed, np.array([[0.7], [0.4], [1.0]], dtype=np.float32))
    assert values == pytest.approx([(3.0 + 1.0 + 2.0 / np.log2(3.0)) / 2.0, 3.0])


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
    settings = replace(settings, penalties=(1.0, 2.0))
    assert tried(silent) == [(0.0, 1.0), (0.0, 2.0)]  # of two the smaller
    settings = replace(settings, penalties=(1.0, 2.0, 3.0))
    told = replace(silent, features=made)
    assert tried(told) == [(1.0, 2.0), (1.0, 1.0), (1.0, 3.0), (0.0, 2.0)]
    first, *_, without = ridges_of(folds, told, settings, lambda *_: None)
    assert {ridge.half_life_days for ridge in (first, without)} == {365.0}
    assert first.weights[0][0, 1] > without.weights[0][0, 1] > 0.0
    # The sequence of each ridge hears of the products what the ridge does.
    followings = followings_of(folds, told, (first, without), settings)
    assert set(followings) == {1.0, 0.0}
    assert followings[1.0][0].nnz > followings[0.0][0].nnz > 0


@pytest.mark.parametrize("outgoing", [3, 60])
def test_the_panel_of_a_mixture_scores_through_the_relations_that_the_graph_would_get(outgoing: int) -> None:
    """Products of five makers; everybody stays with one, mostly: ridge weights of both signs, and a sequence."""
    rng = np.random.default_rng(0)
    pairs = [
        (u, p) for u in range(80) for p in sorted({*((u % 5) * 6 + rng.permutation(6)[:4]), *rng.integers(30, size=2)})
    ]
    x = met(pairs, 80, 30, at=[float(rng.integers(9)) * 86_400.0 for _ in pairs])
    fold = hold_out(x, rng, by_time=True, share=np.where(np.arange(80) % 2, 0.4, 0.0))
    maker = np.arange(30) // 6
    shop = replace(Shop(80, 30, 110, None, (), {}, {}), side={"made_by": shared_part(np.arange(30), maker, 30, 5)})
    settings = TrainSettings(penalties=(5.0,), outgoing=outgoing)
    (ridge,) = ridges_of((fold,), shop, settings, lambda *_: None)
    ((following,),) = followings_of((fold,), shop, (ridge,), settings).values()
    assert (following.data < 0).any()
    vectors = tuple(rng.standard_normal((n, 4)).astype(np.float32) for n in (80, 30))
    chosen = {"next": 0.5, "latest": 0.25, "embedding": 0.03, "popularity": 0.1, "made_by": 0.5}
    mixture = _mixture(chosen, ridge, 0.2, settings.recency)

    panel = _panel(fold, shop, ridge.weights[0], following, vectors, ridge, 0.2, list(chosen), mixture, settings)
    similar, onward = similar_to(shop, fold.train, ridge.weights[0], following, mixture, 0.0, outgoing)
    scorer = Scorer(*vectors, similar, {}, popularity(fold.train), mixture.weights, onward)
    served = validation_values(scorer.ranker(fold.train), fold)
    assert _values([panel], chosen) == pytest.approx(served)

    own = _panel(fold, shop, ridge.weights[0], following, vectors, ridge, 0.2, list(chosen), None, settings)
    assert (_values([own], chosen) == pytest.approx(served)) == (outgoing == 60)
