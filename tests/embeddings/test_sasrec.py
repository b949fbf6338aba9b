from __future__ import annotations

import numpy as np
import pytest
import torch

from embeddings import sasrec
from embeddings.baselines import Validation
from embeddings.sasrec import SASRec, sequences
from tests.embeddings.worlds import met


def test_sequences_go_by_time_and_know_only_what_has_one() -> None:
    x = met([(0, 2), (0, 0), (1, 1), (0, 1)], 3, 3, at=[3.0, 1.0, float("nan"), 2.0])
    assert [s.tolist() for s in sequences(x)] == [[0, 1, 2], [], []]


def test_a_state_does_not_see_what_comes_later() -> None:
    torch.manual_seed(0)
    model = SASRec(5).eval()
    lengths = torch.tensor([3, 3])
    first, second = model(torch.tensor([[1, 2, 3], [1, 2, 5]]), lengths)
    assert torch.allclose(first[:2], second[:2], atol=1e-6)
    assert not torch.allclose(first[2], second[2], atol=1e-3)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = SASRec(5).eval()
    alone = model(torch.tensor([[4, 2]]), torch.tensor([2]))[0]
    beside = model(torch.tensor([[4, 2, 0], [1, 2, 3]]), torch.tensor([2, 3]))[0, :2]
    assert torch.allclose(alone, beside, atol=1e-5)


def test_it_learns_what_follows_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody walks round a circle of six products; whoever stands at p goes on to p + 1."""
    monkeypatch.setattr(sasrec, "BATCH", 16)
    monkeypatch.setattr(sasrec, "DROPOUT", 0.0)
    monkeypatch.setattr(sasrec, "EPOCHS", 60)
    pairs = [(u, (u + step) % 6) for u in range(48) for step in range(4)]
    x = met(pairs, 48, 6, at=[float(step) for _ in range(48) for step in range(4)])
    told = []

    def score(rank: object) -> float:
        told.append(rank)
        return float(len(told))

    found = sasrec.sasrec(x, Validation(x, score), seed=0)
    assert found.chosen == "60 epochs"
    scores = found.rank(np.arange(6))
    assert scores.argmax(axis=1).tolist() == [(u + 4) % 6 for u in range(6)]
