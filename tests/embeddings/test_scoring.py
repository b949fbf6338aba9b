from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings.scoring import Scorer, ScoreWeights, history, places, popularity, prune, recent
from tests.embeddings.worlds import met

DAY = 86_400.0


def test_interest_halves_with_every_half_life_before_the_users_own_last_event() -> None:
    x = met([(0, 0), (0, 1), (0, 2)], 1, 3, at=[0.0, 20 * DAY, 30 * DAY])
    a = history(x, half_life_days=10.0).toarray()[0]
    w = np.array([0.5**3, 0.5**1, 1.0])
    assert a == pytest.approx(w / math.sqrt(w.sum()))


def test_without_times_interest_stays_whole_and_repeated_interest_adds_up() -> None:
    x = met([(0, 0), (0, 1), (0, 1)], 1, 2)
    assert history(x, half_life_days=10.0).toarray()[0] == pytest.approx(np.array([1.0, 2.0]) / math.sqrt(3.0))


def test_only_the_strongest_interests_count_beyond_the_limit() -> None:
    x = met([(0, 0), (0, 1), (0, 2)], 1, 3, at=[0.0, 20 * DAY, 30 * DAY])
    a = history(x, half_life_days=10.0, limit=2).toarray()[0]
    assert a == pytest.approx(np.array([0.0, 0.5, 1.0]) / math.sqrt(1.5))


def test_the_score_is_the_sum_that_the_docstring_writes() -> None:
    """Recomputed with plain loops."""
    rng = np.random.default_rng(0)
    x = met([(0, 0), (0, 2), (1, 1), (1, 1)], 2, 4, at=[0.0, 5 * DAY, 1.0, 2 * DAY])
    users, products = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in rng.standard_normal((2, 4, 3)))
    users = users[:2]
    similar, bought_with = rng.random((4, 4)), (rng.random((4, 4)) < 0.5).astype(float)
    following = rng.random((4, 4))
    weights = ScoreWeights(0.3, 1.5, 0.2, 4.0, {"BOUGHT_WITH": 0.7}, next=0.9, recency=0.6)
    scorer = Scorer(
        users.astype(np.float32),
        products.astype(np.float32),
        sp.csr_matrix(similar.astype(np.float32)),
        {"BOUGHT_WITH": sp.csr_matrix(bought_with.astype(np.float32))},
        popularity(x),
        weights,
        sp.csr_matrix(following.astype(np.float32)),
    )
    got = scorer.ranker(x)(np.array([0, 1]))

    last = {0: 5 * DAY, 1: 2 * DAY}
    place = {(0, 2): 0, (0, 0): 1, (1, 1): 0}
    for u in (0, 1):
        w = dict.fromkeys(range(4), 0.0)
        for user, product, at in zip(x.users, x.products, x.at, strict=True):
            if user == u:
                w[product] += 0.5 ** ((last[u] - at) / DAY / 4.0)
        total = math.sqrt(sum(w.values()))
        for p in range(4):
            expected = 0.3 * float(users[u] @ products[p]) + 0.2 * float(popularity(x)[p])
            for h in range(4):
                expected += w[h] / total * (1.5 * similar[h, p] + 0.7 * bought_with[h, p])
                if (u, h) in place:
                    expected += 0.9 * 0.6 ** place[u, h] * following[h, p]
            assert got[u, p] == pytest.approx(expected, abs=1e-5)


def test_the_score_is_taken_apart_into_what_weighs_something() -> None:
    weights = ScoreWeights(embedding=0.5, similar=2.0, popularity=1.0, half_life_days=90.0, recency=0.7)
    assert weights.apart() == {
        "embedding alone": ScoreWeights(embedding=0.5, half_life_days=90.0, recency=0.7),
        "without embedding": replace(weights, embedding=0.0),
        "learned relations alone": ScoreWeights(similar=2.0, half_life_days=90.0, recency=0.7),
        "without learned relations": replace(weights, similar=0.0),
    }


def test_the_sequence_goes_by_each_products_latest_time_and_leaves_out_what_has_none() -> None:
    x = met([(0, 2), (0, 1), (0, 2), (0, 0), (1, 1), (0, 3)], 2, 4, at=[1.0, 5.0, 9.0, 5.0, math.nan, math.nan])
    users, products, place = places(x)
    assert list(zip(users.tolist(), products.tolist(), place.tolist(), strict=True)) == [
        (0, 2, 0),
        (0, 1, 1),  # of one time, one place
        (0, 0, 1),
    ]
    assert recent(x, 0.5, history(x, 365.0)).toarray().tolist() == [[0.5, 0.5, 1.0, 0.0], [0.0] * 4]
    # What the history's limit left out does not count, and the places of the others stay as they are.
    assert recent(x, 0.5, sp.csr_matrix(np.array([[1.0, 0, 0, 0], [0] * 4]))).toarray()[0].tolist() == [0.5, 0, 0, 0]


def test_what_was_met_ages_ago_has_its_place_in_the_sequence_though_nothing_is_left_of_the_interest() -> None:
    x = met([(0, 0), (0, 1)], 1, 2, at=[0.0, 60 * 365.0 * DAY])
    past = history(x, 90.0)
    assert past.toarray().tolist() == [[0.0, 1.0]]  # 2 ** -243 is no float32
    assert recent(x, 0.5, past).toarray().tolist() == [[0.5, 1.0]]


def test_popularity_is_the_logarithm_of_users_not_of_events() -> None:
    x = met([(0, 0), (1, 0), (2, 0), (0, 1), (0, 1), (0, 1)], 3, 2)
    assert popularity(x) == pytest.approx([1.0, math.log(2) / math.log(4)])


def test_what_nobody_has_met_is_as_popular_as_the_median() -> None:
    x = met([(0, 0), (1, 0), (0, 1), (1, 2), (2, 0)], 3, 4)
    assert popularity(x) == pytest.approx([1.0, 0.5, 0.5, 0.5])


def test_prune_keeps_the_strongest_and_of_equals_the_first() -> None:
    m = sp.csr_matrix(np.array([[1.0, 3.0, 2.0, 3.0], [5.0, 5.0, 5.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert prune(m, 2).toarray().tolist() == [[0, 3, 0, 3], [5, 5, 0, 0], [0, 0, 0, 0]]
    assert prune(m, 9) is m


def test_weights_survive_the_way_through_a_model_version() -> None:
    weights = ScoreWeights(0.1, 1.0, 0.3, 30.0, {"BOUGHT_WITH": 0.4}, next=0.2, recency=0.9)
    properties = weights.as_properties()
    assert properties["w_bought_with"] == 0.4
    assert properties["w_variant_of"] == 0.0
    back = ScoreWeights.from_properties(properties)
    assert back.as_properties() == properties
