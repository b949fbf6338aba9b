from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings import registry
from embeddings.scoring import Scorer, history
from embeddings.split import interactions
from embeddings.training import fit, train
from kg.errors import EmbeddingError, EmptyGraphError
from kg.store import GraphStore
from tests.embeddings.worlds import QUICK, checkerboard, exported, write_checkerboard


def test_a_checkerboard_is_learned_by_the_vectors_and_by_the_relations() -> None:
    taken, out = checkerboard()
    data, index = exported(taken)
    model = fit(data, index, seed=0, settings=QUICK)
    x = interactions(data)
    past = history(x, model.weights.half_life_days)
    users = index.rows("User", [user for user, _ in out])
    missing = index.rows("Product", [sku for _, sku in out])
    cosines = model.user_vectors[users] @ model.product_vectors.T
    related = (past[users] @ model.similar).toarray()
    scorer = Scorer(model.user_vectors, model.product_vectors, model.similar, {}, model.popularity, model.weights)
    for scores in (cosines, related, scorer.ranker(x)(users)):
        for row, user in enumerate(users):
            scores[row, x.products[x.users == user]] = -np.inf
        assert scores.argmax(axis=1).tolist() == missing.tolist()


def test_vectors_have_unit_length_and_relations_are_positive_and_few() -> None:
    data, index = exported(checkerboard()[0])
    model = fit(data, index, seed=0, settings=QUICK)
    for vectors in (model.user_vectors, model.product_vectors):
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)
    assert (model.similar.data > 0).all()
    assert np.diff(model.similar.indptr).max() <= QUICK.outgoing


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    data, index = exported(checkerboard()[0])
    first, second = (fit(data, index, seed=5, settings=QUICK) for _ in range(2))
    assert np.array_equal(first.user_vectors, second.user_vectors)
    assert first.weights == second.weights
    other = fit(data, index, seed=6, settings=QUICK)
    assert not np.array_equal(first.user_vectors, other.user_vectors)


def test_training_reports_its_figures_beside_the_baselines(tmp_path: Path) -> None:
    data, index = exported(checkerboard()[0])
    told: set[str] = set()
    model = fit(data, index, seed=0, settings=QUICK, report=lambda stage, *_: told.add(stage), logs=tmp_path / "runs")
    assert set(model.metrics) == {
        "model",
        "embedding alone",
        "relations alone",
        "popularity",
        "item_knn",
    }
    assert model.metrics["model"]["hr@10"] > model.metrics["popularity"]["hr@10"]
    assert {"Network, validation at temperature 0.3", "Relations", "Mixture"} <= told
    assert list((tmp_path / "runs").rglob("events.out.tfevents.*"))
    # TensorBoard's projector has a row for each product's vector.
    (names,) = (tmp_path / "runs" / "projector").rglob("metadata.tsv")
    (vectors,) = (tmp_path / "runs" / "projector").rglob("tensors.tsv")
    assert names.read_text().splitlines()[:2] == ["sku\tbrand\tcategory", "p00\t-\t-"]
    assert len(names.read_text().splitlines()) == 1 + len(vectors.read_text().splitlines()) == 21
    assert model.settings["seed"] == 0


@pytest.mark.parametrize(
    "pairs",
    [
        [("anna", "S1")],
        [("anna", "S1"), ("anna", "S2")],
        [("anna", "S1"), ("ben", "S2"), ("cleo", "S1")],
    ],
    ids=["one pair", "one user", "no user with two"],
)
def test_too_little_to_choose_by_still_gives_a_model(pairs: list[tuple[str, str]]) -> None:
    data, index = exported(pairs)
    model = fit(data, index, seed=0, settings=QUICK)
    for array in (model.user_vectors, model.product_vectors, model.similar.data, model.popularity):
        assert np.isfinite(array).all()
    assert model.metrics == {}
    assert model.weights.popularity > 0


def test_a_user_without_interactions_has_no_vector(shop: GraphStore, tmp_path: Path) -> None:
    model = train(shop, home=tmp_path, device="cpu", settings=QUICK)
    lengths = dict(zip(model.users, np.linalg.norm(model.user_vectors, axis=1).round(4).tolist(), strict=True))
    assert lengths == {"anna": 1.0, "ben": 1.0, "cleo": 0.0}
    # The acoustic was only looked at and the strings by nobody, but the catalogue says where both stand.
    assert np.linalg.norm(model.product_vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-4)
    assert registry.load(tmp_path).version == model.version


def test_double_interactions_and_self_relations_change_nothing(store: GraphStore, tmp_path: Path) -> None:
    write_checkerboard(store)
    once = train(store, home=tmp_path / "once", device="cpu", settings=QUICK)
    store.write(
        "MATCH (u:User)-[r:BOUGHT]->(p:Product)\nCREATE (u)-[:VIEWED {count: 1, strength: 0.2}]->(p)\n"
        "WITH DISTINCT p CREATE (p)-[:BOUGHT_WITH {source: 'loop'}]->(p)"
    )
    twice = train(store, home=tmp_path / "twice", device="cpu", settings=QUICK)
    assert np.allclose(once.product_vectors, twice.product_vectors, atol=1e-4)


def test_an_empty_graph_says_what_to_load(store: GraphStore, tmp_path: Path) -> None:
    with pytest.raises(EmptyGraphError, match="kg ingest events"):
        train(store, home=tmp_path, settings=QUICK)
    assert registry.versions(tmp_path) == ()


def test_a_loss_that_is_not_a_number_stops_the_training() -> None:
    data, index = exported(checkerboard()[0])
    data["Product"].text_embedding = torch.full((20, 4), torch.nan)
    with pytest.raises(EmbeddingError, match=r"loss became nan.*text_embedding"):
        fit(data, index, seed=0, settings=QUICK)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_before_any_work() -> None:
    data, index = exported(checkerboard()[0])
    with pytest.raises(EmbeddingError, match="KG_DEVICE=cpu"):
        fit(data, index, seed=0, device="cuda", settings=QUICK)
