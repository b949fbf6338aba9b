from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from embeddings import gate
from embeddings.gate import Refits, artefact_values, judged
from embeddings.registry import Checkpoint
from embeddings.scoring import ScoreWeights
from embeddings.shop import Shop, folds_of
from embeddings.split import hold_out, interactions
from embeddings.training import fit
from tests.embeddings.worlds import QUICK, checkerboard, exported

USERS = 400
RNG = np.random.default_rng(0)
LIVE = RNG.random(USERS)


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    data, index = exported(checkerboard()[0])
    return replace(fit(data, index, seed=0, settings=QUICK), version="live")


def measured(checkpoint: Checkpoint) -> tuple[np.ndarray, np.ndarray]:
    """The recipe's values and the arrays' own."""
    data, index = exported(checkerboard()[0])
    x = interactions(data)
    shop = Shop.of(data, x)
    folds = folds_of(x, np.random.default_rng(0), False)
    refits = Refits(shop, folds, index, torch.device("cpu"), 0, lambda *_: None)
    return refits.values(checkpoint), artefact_values(checkpoint, shop, folds, index)


def test_the_same_recipe_passes_though_its_values_scatter() -> None:
    found = judged(LIVE, LIVE, LIVE, "live")
    assert (found.passed, found.difference, found.error, found.users) == (True, 0.0, 0.0, USERS)


def test_a_loss_within_the_noise_passes_and_one_beyond_it_does_not() -> None:
    noise = RNG.normal(0.0, 0.2, USERS)
    noise -= noise.mean()
    error = noise.std(ddof=1) / np.sqrt(USERS)
    within, beyond = (judged(LIVE + noise - by * error, LIVE, LIVE + 1.0, "live") for by in (1.5, 1.8))
    assert (within.passed, beyond.passed) == (True, False)
    assert beyond.difference == pytest.approx(-1.8 * error)
    assert beyond.error == pytest.approx(error)
    assert "worse than the live model" in beyond.reason
    # Paired: unpaired, the spread between users would have hidden it.
    assert LIVE.std() / np.sqrt(USERS) > 1.8 * error / 1.645


def test_arrays_that_do_worse_than_their_recipe_are_refused() -> None:
    found = judged(LIVE, LIVE, LIVE - 0.5, "live")
    assert (found.passed, found.difference) == (False, 0.0)
    assert "arrays are not what its recipe gives" in found.reason
    unknown = np.full(USERS, np.nan)
    assert judged(LIVE, LIVE, unknown, "live").passed


def test_a_recipe_without_its_strongest_part_is_worse_and_its_own_memory_is_better(trained: Checkpoint) -> None:
    recipe, artefact = measured(trained)
    assert recipe.shape == artefact.shape == (40,)
    assert artefact.mean() >= recipe.mean() > 1.0
    popular = {**trained.settings, "factors": {"ridge": 0.0}}
    poor = replace(trained, version="poor", settings=popular, weights=ScoreWeights(popularity=1.0))
    assert not judged(measured(poor)[0], recipe, artefact, "live").passed
    # The other way it would be an improvement.
    assert judged(recipe, measured(poor)[0], artefact, "poor").passed


def test_several_products_held_out_of_a_user_give_one_value_and_none_where_one_is_unknown(trained: Checkpoint) -> None:
    data, index = exported(checkerboard()[0])
    x = interactions(data)
    fold = hold_out(x, np.random.default_rng(0), by_time=False, share=np.full(x.n_users, 0.3))
    renamed = replace(trained, products=("gone", *trained.products[1:]))
    values = artefact_values(renamed, Shop.of(data, x), (fold,), index)
    met_it = np.unique(fold.users[fold.products == 0])
    assert len(fold.products) > len(values) == 40
    assert np.flatnonzero(np.isnan(values)).tolist() == met_it.tolist()
    assert 0 < len(met_it) < 20


@pytest.mark.parametrize("damage", ["vectors", "relations"])
def test_damaged_arrays_are_seen(trained: Checkpoint, damage: str) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal(trained.product_vectors.shape).astype(np.float32)
    changes: Mapping[str, Any] = {
        "vectors": {
            "product_vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            "similar": sp.csr_matrix(trained.similar.shape, dtype=np.float32),
        },
        "relations": {"similar": sp.csr_matrix(rng.random(trained.similar.shape).astype(np.float32) * 9.0)},
    }[damage]
    recipe, artefact = measured(replace(trained, **changes))
    found = judged(recipe, recipe, artefact, "live")
    assert (found.passed, found.difference) == (False, 0.0)


def test_what_two_recipes_have_in_common_is_fitted_once(trained: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    data, index = exported(checkerboard()[0])
    x = interactions(data)
    fits: list[gate.Fit] = []

    class Counted(gate.Fit):
        def run(self, *args: Any, **kwargs: Any) -> Any:
            fits.append(self)
            return super().run(*args, **kwargs)

    monkeypatch.setattr(gate, "Fit", Counted)
    folds = folds_of(x, np.random.default_rng(0), False)
    refits = Refits(Shop.of(data, x), folds, index, torch.device("cpu"), 0, lambda *_: None)
    refits.values(trained)
    refits.values(replace(trained, weights=replace(trained.weights, popularity=2.0)))
    assert len(fits) == len(folds) == 2
