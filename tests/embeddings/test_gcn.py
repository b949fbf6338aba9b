from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn import functional as F

from embeddings.content import TEXT, Content
from embeddings.gcn import (
    HeteroLightGCN,
    SymmetricProduct,
    TypedEdges,
    csr_tensor,
    normalised_adjacency,
    propagate_reference,
    spectral_vectors,
)
from embeddings.losses import softmax_loss
from embeddings.network import vectors_of
from embeddings.split import Interactions

N_USERS, N_PRODUCTS, N_NODES = 4, 5, 11
MET = TypedEdges("MET", np.array([0, 0, 1, 2, 3, 3]), np.array([4, 5, 5, 6, 7, 4]))
BRAND = TypedEdges("BRAND", np.array([4, 5, 6, 8]), np.array([9, 9, 10, 10]))


def content(text: np.ndarray | None) -> Content:
    return Content({} if text is None else {TEXT: text})


def model(initial: np.ndarray, text: np.ndarray | None = None, layers: int = 3) -> HeteroLightGCN:
    adjacency = {e.name: normalised_adjacency(e, N_NODES) for e in (MET, BRAND)}
    return HeteroLightGCN(adjacency, N_USERS, N_PRODUCTS, content(text), initial, layers=layers)


def both_ways(edges: TypedEdges) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.r_[edges.heads, edges.tails], np.r_[edges.tails, edges.heads]]))


def test_the_sparse_path_computes_what_pyg_lgconv_computes() -> None:
    initial = np.random.default_rng(0).standard_normal((N_NODES, 6)).astype(np.float32)
    net = model(initial)
    weights = torch.softmax(net.theta.detach(), 0).tolist()
    edges = list(zip([both_ways(MET), both_ways(BRAND)], weights, strict=True))
    expected = propagate_reference(edges, torch.from_numpy(initial), layers=3)
    assert torch.allclose(net.propagate(net.inputs()), expected, atol=1e-6)


def test_gradients_through_the_sparse_path_are_those_of_autograd() -> None:
    initial = np.random.default_rng(1).standard_normal((N_NODES, 3)).astype(np.float32)
    net = model(initial, layers=2)
    probe = torch.from_numpy(np.random.default_rng(2).standard_normal((N_NODES, 3)).astype(np.float32))
    (net.propagate(net.inputs()) * probe).sum().backward()

    dense = [torch.from_numpy(normalised_adjacency(e, N_NODES).toarray()) for e in (MET, BRAND)]
    free, theta = (torch.nn.Parameter(p.detach().clone()) for p in (net.free, net.theta))
    weights, x = torch.softmax(theta, 0), free
    total = x
    for _ in range(2):
        x = sum(w * (a @ x) for w, a in zip(weights, dense, strict=True))
        total = total + x
    ((total / 3) * probe).sum().backward()
    assert torch.allclose(net.free.grad, free.grad, atol=1e-5)
    assert torch.allclose(net.theta.grad, theta.grad, atol=1e-5)


def test_the_symmetric_product_passes_gradcheck() -> None:
    matrix = csr_tensor(normalised_adjacency(MET, N_NODES)).to(torch.float64)
    x = torch.randn(N_NODES, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: SymmetricProduct.apply(matrix, v), (x,))


def test_double_edges_count_once_and_self_loops_not_at_all() -> None:
    once = normalised_adjacency(TypedEdges("T", np.array([0, 1]), np.array([1, 2])), 3)
    messy = normalised_adjacency(TypedEdges("T", np.array([0, 1, 1, 0, 2, 1]), np.array([1, 0, 2, 1, 2, 1])), 3)
    assert np.array_equal(once.toarray(), messy.toarray())


def test_the_adjacency_is_symmetric_and_normalised_by_both_degrees() -> None:
    a = normalised_adjacency(TypedEdges("T", np.array([0, 0]), np.array([1, 2])), 3).toarray()
    half = 1 / np.sqrt(2)
    assert np.allclose(a, [[0, half, half], [half, 0, 0], [half, 0, 0]])


def test_outputs_lie_on_the_unit_sphere_and_an_unreached_node_at_its_centre() -> None:
    initial = np.zeros((N_NODES, 4), dtype=np.float32)
    initial[:4] = np.random.default_rng(0).standard_normal((4, 4))
    text = np.zeros((N_PRODUCTS, 2), dtype=np.float32)
    users, products = model(initial, text, layers=1)()
    assert torch.allclose(users.norm(dim=1), torch.ones(N_USERS), atol=1e-6)
    # The fifth product has no interaction, no text and no free vector: nothing says where it is.
    assert products.norm(dim=1).round(decimals=5).tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_text_alone_places_a_product() -> None:
    net = model(np.zeros((N_NODES, 4), dtype=np.float32), np.eye(5, 3, dtype=np.float32), layers=0)
    with torch.no_grad():
        net.project.weight.copy_(torch.eye(4, 3))
    _, products = net()
    assert products[0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_full_softmax_is_cross_entropy_over_all_products() -> None:
    rng = torch.Generator().manual_seed(0)
    users, products = (F.normalize(torch.randn(n, 4, generator=rng), dim=1) for n in (3, 6))
    own = torch.tensor([2, 0, 5])
    loss = softmax_loss(users, products, own, torch.arange(6), 0.2)
    assert torch.allclose(loss, F.cross_entropy(users @ products.T / 0.2, own))


def test_spectral_vectors_are_the_leading_singular_vectors() -> None:
    rng = np.random.default_rng(5)
    met = sp.csr_matrix((rng.random((30, 20)) < 0.3).astype(np.float32))
    users, products = spectral_vectors(met, 4, rng)
    R = met.toarray() / np.sqrt(np.asarray(met.sum(1))) / np.sqrt(np.asarray(met.sum(0)))
    left, values, right = np.linalg.svd(R)
    expected = (left[:, :4] * values[:4]) @ right[:4]
    found = users @ products.T
    assert found / np.linalg.norm(found) == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)
    assert np.linalg.norm(np.concatenate([users, products]), axis=1).mean() == pytest.approx(1.0, abs=1e-5)


def test_spectral_vectors_of_a_tiny_graph_are_padded() -> None:
    users, products = spectral_vectors(sp.csr_matrix(np.eye(2, dtype=np.float32)), 8, np.random.default_rng(0))
    assert users.shape == products.shape == (2, 8)
    assert np.isfinite(users).all()
    assert not users[:, 2:].any()


def test_a_product_that_nobody_met_is_what_the_model_says_of_newcomers() -> None:
    """With one layer, no free vector and a brand alone, the short way is the whole way."""
    rng = np.random.default_rng(0)
    # Users 0 and 1, products 2 to 4, brand 5; nobody has met product 4.
    edges = [
        TypedEdges("INTERACTED", np.array([0, 1]), np.array([2, 3])),
        TypedEdges("MADE_BY:Brand", np.array([2, 4]), np.array([5, 5])),
    ]
    initial = rng.standard_normal((6, 3)).astype(np.float32)
    initial[4] = 0.0
    text = rng.standard_normal((3, 4)).astype(np.float32)
    adjacency = {e.name: normalised_adjacency(e, 6) for e in edges}
    model = HeteroLightGCN(adjacency, 2, 3, content(text), initial, layers=1)
    assert model.knows_newcomers
    with torch.no_grad():
        assert model.project is not None
        model.project.weight.normal_()
        assert torch.allclose(model.newcomers()[2], model()[1][2], atol=1e-6)
        assert not torch.allclose(model.newcomers()[0], model()[1][0], atol=1e-2)


def test_without_text_and_catalogue_nothing_is_known_of_newcomers() -> None:
    adjacency = {"INTERACTED": normalised_adjacency(TypedEdges("INTERACTED", np.array([0]), np.array([1])), 2)}
    assert not HeteroLightGCN(
        adjacency, 1, 1, content(None), np.ones((2, 3), dtype=np.float32), layers=1
    ).knows_newcomers


def test_what_is_nearly_nowhere_has_no_boundless_gradient() -> None:
    """Brands stand at the origin at first: one gradient of 1e12 would hold them there for a whole training."""
    net = model(np.zeros((N_NODES, 4), dtype=np.float32))
    net.newcomers()[:, 0].sum().backward()
    assert net.free.grad is not None
    assert 0.0 < net.free.grad.abs().max() < 1e4


def test_what_is_written_is_of_unit_length_even_where_the_model_is_nearly_at_zero() -> None:
    initial = np.random.default_rng(3).standard_normal((N_NODES, 6)).astype(np.float32)
    # Product 8 shares its brand with 6 alone; their component is far smaller than the floor that bounds gradients.
    initial[[2, 6, 8, 10]] *= 1e-6
    net = model(initial)
    met = np.ones(6)
    x = Interactions(MET.heads, MET.tails - N_USERS, met, met, met > 0, np.full(N_USERS, np.nan), N_USERS, N_PRODUCTS)
    short = net()[1].detach().norm(dim=1)
    users, products = vectors_of(net, x)
    assert short.min() < 0.1
    assert np.allclose(np.linalg.norm(users, axis=1), 1.0)
    assert np.allclose(np.linalg.norm(products, axis=1), 1.0)
