from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import HeteroData

from embeddings import nearest, relations
from embeddings.relations import (
    combine,
    either_way,
    explicit_part,
    explicit_relations,
    likeness_part,
    prune_together,
    shared_part,
    side_parts,
)
from embeddings.scoring import prune


def test_text_relates_by_the_squared_cosine() -> None:
    text = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    wanted = np.array([[0, 0.36, 0, 0], [0.36, 0, 0, 0], [0] * 4, [0] * 4])
    assert likeness_part(text).toarray() == pytest.approx(wanted)


def test_what_few_share_says_more_than_what_many_share(monkeypatch: pytest.MonkeyPatch) -> None:
    # Brand 0 makes products 0 and 1, brand 1 makes 1 to 4, brand 2 only 5; product 1 names brand 0 twice.
    products, brands = np.array([0, 1, 1, 1, 2, 3, 4, 5]), np.array([0, 0, 0, 1, 1, 1, 1, 2])
    part = shared_part(products, brands, 6, 3).toarray()
    assert part[0, 1] == pytest.approx(1 / np.sqrt(2))
    assert part[1, 2] == part[2, 1] == pytest.approx(1 / np.sqrt(4))
    assert not part[5].any()
    assert not np.diag(part).any()
    monkeypatch.setattr(relations, "MOST_SHARING", 3)
    assert shared_part(products, brands, 6, 3).toarray()[1, 2] == 0.0


def test_explicit_relations_count_in_either_direction_once_and_never_to_oneself() -> None:
    index = np.array([[0, 1, 2, 0], [1, 0, 2, 2]])
    assert either_way(index, 3).toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    half = 1 / np.sqrt(2)
    assert explicit_part(index, 3).toarray() == pytest.approx(np.array([[0, half, half], [half, 0, 0], [half, 0, 0]]))


def test_each_feed_of_relations_is_a_part_of_its_own() -> None:
    data = HeteroData()
    data["Product"].num_nodes = 3
    store = data["Product", "BOUGHT_WITH", "Product"]
    store.edge_index = torch.tensor([[0, 0], [1, 2]])
    store.source, store.source_texts = torch.tensor([1, 0]), ["also_bought", "bought_together"]
    found = [(type_, source, index.tolist()) for type_, source, index in explicit_relations(data)]
    assert found == [("BOUGHT_WITH", "also_bought", [[0], [2]]), ("BOUGHT_WITH", "bought_together", [[0], [1]])]
    assert list(side_parts(data)) == ["bought_with:also_bought", "bought_with:bought_together"]


def test_the_sum_keeps_positive_weights_and_the_strongest_of_each_product() -> None:
    parts = {
        "ridge": sp.csr_matrix(np.array([[0, -1.0, 0.5], [0.2, 0, 0.1], [0, 0, 0]], dtype=np.float32)),
        "text": sp.csr_matrix(np.array([[0, 0.5, 0.5], [0, 0, 0.4], [1.0, 0, 0]], dtype=np.float32)),
        "unused": sp.csr_matrix(np.full((3, 3), 9.0, dtype=np.float32)),
    }
    total = prune(combine(parts, {"ridge": 1.0, "text": 0.5}), 1)
    assert total.toarray() == pytest.approx(np.array([[0, 0, 0.75], [0, 0, 0.3], [0.5, 0, 0]]))
    assert combine(parts, {}).nnz == 0


def test_what_speaks_against_a_relation_in_one_part_takes_nothing_from_another() -> None:
    ridge = sp.csr_matrix(np.array([[0.0, 3.0, -1.0, 0.0]], dtype=np.float32))
    onward = sp.csr_matrix(np.array([[0.0, -1.0, 2.0, 1.0]], dtype=np.float32))
    total = combine({"ridge": ridge, "next": onward}, {"ridge": 1.0, "next": 0.5})
    assert total.toarray() == pytest.approx(np.array([[0.0, 3.0, 1.0, 0.5]]))
    assert (ridge.nnz, onward.nnz) == (2, 3)


def test_weight_and_next_share_the_relations_of_a_product() -> None:
    similar = sp.csr_matrix(np.array([[0.0, 0.5, 0.3, 0.1]], dtype=np.float32))
    following = sp.csr_matrix(np.array([[0.0, -0.5, 0.0, 0.4]], dtype=np.float32))
    weight, onward = prune_together(similar, following, 2.0, 2)
    assert weight.toarray() == pytest.approx(np.array([[0.0, 0.5, 0.0, 0.1]]))
    assert onward.toarray() == pytest.approx(np.array([[0.0, 0.0, 0.0, 0.4]]))
    weight, onward = prune_together(similar, following, 0.0, 2)
    assert weight.toarray() == pytest.approx(np.array([[0.0, 0.5, 0.3, 0.0]]))
    assert onward.nnz == 0


def test_a_large_catalogue_compares_each_text_with_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    kinds = rng.standard_normal((40, 16))
    text = kinds[rng.integers(40, size=3000)] + 0.4 * rng.standard_normal((3000, 16))
    text = (text / np.linalg.norm(text, axis=1, keepdims=True)).astype(np.float32)
    exact = likeness_part(text)
    monkeypatch.setattr(relations, "EXACT_TEXTS", 1000)
    monkeypatch.setattr(nearest, "LISTS", 10)  # of 30
    near = likeness_part(text)
    assert near.multiply(exact > 0).sum() > 0.95 * exact.sum()
    assert not near.diagonal().any()
    assert near.nnz == exact.nnz  # as many, and what is not among the nearest is near
    assert (likeness_part(text) != near).nnz == 0
    # Those without a vector are left out, and not looked through for each other.
    seen = []
    monkeypatch.setattr(
        relations, "neighbourhoods", lambda rows: seen.append(len(rows)) or nearest.neighbourhoods(rows)
    )
    text[::2] = 0.0
    half = likeness_part(text)
    assert seen == [1500]
    assert half[1::2].nnz == half[1::2, 1::2].nnz == half.nnz > 0


def test_each_text_is_in_one_list_and_among_its_own_candidates() -> None:
    text = np.zeros((250, 4), dtype=np.float32)
    text[:200] = np.random.default_rng(1).standard_normal((200, 4))  # fifty say nothing
    found = list(nearest.neighbourhoods(text))
    assert sorted(np.concatenate([rows for rows, _ in found]).tolist()) == list(range(250))
    assert all(np.isin(rows, candidates).all() for rows, candidates in found)
