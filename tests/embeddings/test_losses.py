from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from embeddings.content import Content
from embeddings.gcn import HeteroLightGCN, TypedEdges, normalised_adjacency
from embeddings.losses import VIEW_TEMPERATURE, bpr_loss, contrastive_loss, softmax_loss
from embeddings.network import _hard_ranks
from embeddings.settings import TrainSettings, changed
from embeddings.training import fit
from kg.errors import SettingsError
from tests.embeddings.worlds import QUICK, checkerboard, exported


def unit(rows: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_bpr_is_the_mean_log_loss_of_pairs() -> None:
    users, products = unit(2), unit(5, 1)
    own, others = torch.tensor([0, 3]), torch.tensor([[1, 2], [3, 4]])
    s = users @ products.T / 0.2
    expected = [
        -F.logsigmoid(s[0, 0] - s[0, 1]), -F.logsigmoid(s[0, 0] - s[0, 2]), -F.logsigmoid(s[1, 3] - s[1, 4])
    ]  # the second user's own product is no negative  # fmt: skip
    assert torch.allclose(bpr_loss(users, products, own, others, 0.2), torch.stack(expected).mean())


def test_hard_negatives_are_further_terms_of_the_softmax() -> None:
    users, products = unit(2), unit(6, 1)
    own = torch.tensor([0, 1])
    both = softmax_loss(users, products, own, torch.tensor([2, 3, 4, 5]), 0.3)
    apart = softmax_loss(users, products, own, torch.tensor([2, 3]), 0.3, torch.tensor([[4, 5], [5, 4]]))
    assert torch.allclose(both, apart)


def test_the_contrast_is_cross_entropy_of_the_partners() -> None:
    one, other = unit(3), unit(3, 1)
    expected = F.cross_entropy(one @ other.T / VIEW_TEMPERATURE, torch.arange(3))
    assert torch.allclose(contrastive_loss(one, other), expected)
    assert contrastive_loss(one, one) < contrastive_loss(one, other)


def test_half_precision_changes_the_loss_by_its_rounding_alone() -> None:
    """What a GPU computes under autocast, here by the processor."""
    users, products = unit(8), unit(40, 1)
    own, others, hard = torch.arange(8), torch.arange(40), torch.arange(16).reshape(8, 2) + 20
    whole = softmax_loss(users, products, own, others, 0.1, hard)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = softmax_loss(users, products, own, others, 0.1, hard)
    assert half.dtype == torch.float32
    assert half == pytest.approx(float(whole), rel=0.02)
    assert half != whole


def small() -> HeteroLightGCN:
    rng = np.random.default_rng(0)
    heads, tails = np.nonzero(rng.random((30, 20)) < 0.3)
    adjacency = {"INTERACTED": normalised_adjacency(TypedEdges("INTERACTED", heads, tails + 30), 50)}
    return HeteroLightGCN(adjacency, 30, 20, Content({}), rng.standard_normal((50, 4)), layers=2)


def test_a_thinned_graph_is_symmetric_and_whole_again_afterwards() -> None:
    model = small()
    whole = model.adjacency_0.to_dense()
    before = model()[0].detach()
    model.thin(0.4, torch.Generator().manual_seed(1))
    thin = model._passing(0).to_dense()
    assert torch.equal(thin, thin.T)
    kept = (thin != 0).sum() / (whole != 0).sum()
    assert 0.45 < float(kept) < 0.75
    assert torch.allclose(thin[thin != 0], whole[thin != 0] / 0.6)
    assert not torch.allclose(model()[0], before)
    model.restore()
    assert torch.equal(model()[0], before)


def test_noise_is_as_long_as_asked_and_stays_in_the_orthant() -> None:
    model = small()
    x = model.inputs().detach()
    quiet = model.propagate(x).detach()
    noisy = model.propagate(x, noise=0.1, generator=torch.Generator().manual_seed(0))
    again = model.propagate(x, noise=0.1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(noisy, again)
    # Of the three layers that are averaged the second has one noise, and the last that one passed on and its own.
    assert 0.0 < float((noisy.detach() - quiet).norm(dim=1).max()) <= (0.1 + 0.2) / 3


def test_hard_ranks_are_the_nearest_that_the_user_never_met() -> None:
    model = small()
    users, products = torch.tensor([0, 0, 3]), torch.tensor([4, 7, 1])
    ranks = _hard_ranks(model, users, products)
    assert ranks.shape == (30, 5)
    ours, theirs = model()
    scores = (ours @ theirs.T).detach()
    scores[users, products] = -torch.inf
    assert torch.equal(ranks, scores.argsort(dim=1, descending=True)[:, :5])


@pytest.mark.parametrize(
    "given",
    [{"loss": "bpr", "hard_negatives": "2"}, {"hard_negatives": "2"}, {"edge_dropout": "0.2"}, {"contrast": "0.1"}],
    ids=lambda given: ",".join(given),
)
def test_a_checkerboard_is_learned_with_each(given: dict[str, str]) -> None:
    taken, out = checkerboard()
    data, index = exported(taken)
    model = fit(data, index, seed=0, settings=changed(QUICK, given))
    scores = model.user_vectors @ model.product_vectors.T
    scores[index.rows("User", [u for u, _ in taken]), index.rows("Product", [p for _, p in taken])] = -np.inf
    found = [index.keys["Product"][row] for row in scores[index.rows("User", [u for u, _ in out])].argmax(axis=1)]
    assert sum(sku == right for sku, (_, right) in zip(found, out, strict=True)) >= 36


def test_settings_are_read_as_a_command_line_has_them() -> None:
    given = {
        "layers": "3",
        "temperatures": "0.2,0.1",
        "loss": "bpr",
        "learning_rate": "1e-3",
        "mixed_precision": "false",
    }
    found = changed(TrainSettings(), given)
    assert (found.layers, found.temperatures, found.loss, found.learning_rate, found.mixed_precision) == (
        3, (0.2, 0.1), "bpr", 0.001, False
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"depth": "3"}, "no setting 'depth' of training. There are all_negatives, "),
        ({"layers": "two"}, "layers='two': expected int, such as 2"),
        ({"temperatures": "low"}, "expected numbers separated by commas, such as 0.4,0.1"),
        ({"loss": "hinge"}, "expected one of softmax, bpr"),
        ({"edge_dropout": "1"}, "from 0 to below 1"),
        ({"epochs": "0"}, "epochs is 0; expected at least 1"),
        ({"half_lives": "365,0"}, "half_lives is 365.0,0.0; expected more than 0"),
        ({"penalties": "nan"}, "penalties is nan; expected more than 0"),
        ({"penalties": "inf"}, "penalties is inf; expected more than 0"),
        ({"edge_half_life": "-1"}, "edge_half_life is -1.0; expected 0 or more"),
        ({"hard_negatives": "-1"}, "hard_negatives is -1; expected 0 or more"),
        ({"batch": "64"}, "batch is 64; expected the least and the most"),
        ({"batch": "0,0"}, "batch is 0,0; expected at least 1"),
        ({"recency": "2"}, "recency is 2.0; expected a share"),
        ({"learning_rate": "nan"}, "learning_rate is nan; expected more than 0"),
        ({"mixed_precision": "1"}, "expected bool, such as True"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(given: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        changed(TrainSettings(), given)
