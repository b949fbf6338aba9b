from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings.evaluation import expected_ranks, metrics, rank_all, targets_of, validation_values
from embeddings.split import hold_out
from tests.embeddings.worlds import met


def slow_metrics(lists: list[list[int]], wanted: list[set[int]], k: int) -> dict[str, float]:
    """Over the lists themselves, as the LightGCN evaluation reads them."""
    recall = ndcg = hr = mrr = 0.0
    for shown, targets in zip(lists, wanted, strict=True):
        hits = [1.0 if p in targets else 0.0 for p in shown[:k]]
        recall += sum(hits) / len(targets)
        dcg = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
        ndcg += dcg / sum(1 / math.log2(place + 2) for place in range(min(len(targets), k)))
        hr += any(hits)
        mrr += next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0)
    n = len(lists)
    return {f"recall@{k}": recall / n, f"ndcg@{k}": ndcg / n, f"hr@{k}": hr / n, "mrr": mrr / n}


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_a_slow_loop_over_the_lists(seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, products = 25, 30
    scores = rng.standard_normal((users, products)).astype(np.float32)
    pairs = sorted({(int(rng.integers(users)), int(rng.integers(products))) for _ in range(90)})
    targets = targets_of(np.array([u for u, _ in pairs]), np.array([p for _, p in pairs]))
    hidden = sp.csr_matrix((rng.random((users, products)) < 0.1).astype(np.float32))
    barred = rng.random(products) < 0.1
    ranking = rank_all(lambda rows: scores[rows].copy(), targets, hidden, barred, most=10)
    found = metrics(ranking.ranks, targets.owner, len(targets.users), (3, 10))

    shown = np.where(hidden.toarray().astype(bool) | barred, -np.inf, scores)
    lists = [[p for p in np.argsort(-shown[u]) if shown[u, p] > -np.inf] for u in targets.users]
    wanted = [{p for v, p in pairs if v == u} for u in targets.users]
    for k in (3, 10):
        slow = slow_metrics(lists, wanted, k)
        assert {name: found[name] for name in slow if name != "mrr"} == pytest.approx(
            {name: value for name, value in slow.items() if name != "mrr"}
        )
    assert found["mrr"] == pytest.approx(slow_metrics(lists, wanted, 10)["mrr"])
    assert set(np.flatnonzero(ranking.shown)) == {p for one in lists for p in one[:10]}


def test_ties_get_their_expected_rank() -> None:
    scores = np.array([[1.0, 1.0, 1.0, 0.0], [2.0, 3.0, -np.inf, 3.0]])
    ranks = expected_ranks(scores, np.array([0, 0, 1, 1]), np.array([1, 3, 3, 2]))
    assert ranks.tolist() == [1.0, 3.0, 0.5, math.inf]


def test_one_score_for_all_is_no_better_than_chance() -> None:
    targets = targets_of(np.zeros(100, dtype=np.int64), np.arange(100))
    ranking = rank_all(
        lambda rows: np.zeros((len(rows), 100), dtype=np.float32),
        targets,
        sp.csr_matrix((1, 100), dtype=np.float32),
        np.zeros(100, dtype=bool),
        most=60,
    )
    assert set(ranking.ranks.tolist()) == {49.5}


def test_a_user_without_any_hit_counts_in_the_mean() -> None:
    found = metrics(np.array([0.0, np.inf]), np.array([0, 1]), 2, (10,))
    assert found == {"recall@10": 0.5, "ndcg@10": 0.5, "hr@10": 0.5, "mrr": 0.5}


def test_no_users_give_zeroes() -> None:
    empty = np.empty(0, dtype=np.int64)
    assert metrics(empty.astype(float), empty, 0, (5,)) == {"recall@5": 0.0, "ndcg@5": 0.0, "hr@5": 0.0, "mrr": 0.0}
    assert len(targets_of(empty, empty).users) == 0


def test_a_pair_given_twice_is_one_target() -> None:
    targets = targets_of(np.array([3, 1, 3, 3]), np.array([5, 5, 5, 6]))
    assert targets.users.tolist() == [1, 3]
    assert list(zip(targets.owner.tolist(), targets.products.tolist(), strict=True)) == [(0, 5), (1, 5), (1, 6)]


def test_the_value_of_a_user_is_the_mean_over_what_is_held_out_each_ranked_as_if_alone() -> None:
    rng = np.random.default_rng(0)
    users, products = 12, 40
    x = met([(u, p) for u in range(users) for p in rng.permutation(products)[:15].tolist()], users, products)
    fold = hold_out(x, rng, by_time=False, share=np.where(np.arange(users) % 2, 0.4, 0.0))
    # Whole numbers, so that there are ties.
    scores = rng.integers(25, size=(users, products)).astype(np.float32)
    known = fold.train.matrix(known_only=True).toarray().astype(bool)
    wanted = []
    for user in range(users):
        held = fold.products[fold.users == user]
        others = np.setdiff1d(np.flatnonzero(~known[user]), held)
        assert len(held) == (6 if user % 2 else 1)
        ranks = [(scores[user, others] > s).sum() + (scores[user, others] == s).sum() / 2 for s in scores[user, held]]
        wanted.append(np.mean([1 + 2 / np.log2(rank + 2) if rank < 10 else 0.0 for rank in ranks]))
    found = validation_values(lambda rows: scores[rows].copy(), fold)
    assert found == pytest.approx(np.array(wanted))
    assert len(set(wanted)) > 6


def test_a_score_that_is_no_number_foretells_nothing() -> None:
    fold = hold_out(met([(0, 0), (0, 1), (0, 2)], 1, 30), np.random.default_rng(0), by_time=True)
    assert validation_values(lambda rows: np.full((len(rows), 30), np.nan, dtype=np.float32), fold).tolist() == [0.0]
