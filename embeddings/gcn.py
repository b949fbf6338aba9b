"""The graph convolutional network: LightGCN over users, products and what the catalogue says of them.

LightGCN (He et al., SIGIR 2020, arXiv:2002.02126) drops the weight matrices and
non-linearities of a GCN and keeps the propagation::

    E⁽ˡ⁺¹⁾ = D^-½ A D^-½ E⁽ˡ⁾            E = mean of E⁽⁰⁾ … E⁽ᴸ⁾

Here the graph has several types of edge. Each type t has its own normalised
matrix Â_t and one learned weight, the softmax of θ, so that the model itself says
how far a shared brand or category is to be believed::

    E⁽ˡ⁺¹⁾ = Σ_t softmax(θ)_t · Â_t E⁽ˡ⁾

A product enters with a free vector and a projection of its text's vector, and of those that the shop supplied, so
that a product nobody has met yet still stands somewhere. Outputs lie on the
unit sphere: what the model means by near is then what a cosine index serves.

All nodes share one numbering (users, products, then the other labels), and Â_t
is symmetric. Its gradient is therefore Â_t again, which autograd cannot know and
:class:`SymmetricProduct` tells it: on 1.6 million directed edges a forward and
backward pass took 0.17 s so, and 2.4 s with PyG's ``LGConv`` on an edge list.
``LGConv`` stays as :func:`propagate_reference`, against which a test holds it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import LGConv

from embeddings.content import Content


@dataclass(frozen=True, slots=True)
class TypedEdges:
    """The undirected edges of one type between nodes of the common numbering."""

    name: str
    heads: np.ndarray
    """int64 ``[e]``"""
    tails: np.ndarray
    """int64 ``[e]``"""
    weights: np.ndarray | None = None
    """float ``[e]``, positive; 1 without."""


def normalised_adjacency(edges: TypedEdges, n_nodes: int) -> sp.csr_matrix:
    """D^-½ A D^-½ of one type, symmetric, float32 ``[n, n]``.

    An edge given twice counts once, with its greatest weight; a self-loop would
    make a node its own neighbour and is dropped.
    """
    weights = np.ones(len(edges.heads)) if edges.weights is None else np.asarray(edges.weights, dtype=np.float64)
    apart = edges.heads != edges.tails
    low = np.minimum(edges.heads, edges.tails)[apart]
    high = np.maximum(edges.heads, edges.tails)[apart]
    order = np.lexsort([-weights[apart], high, low])
    low, high, weights = low[order], high[order], weights[apart][order]
    first = np.ones(len(low), dtype=bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, weights = low[first], high[first], weights[first]
    half = sp.csr_matrix((weights, (low, high)), shape=(n_nodes, n_nodes))
    both = (half + half.T).tocsr()
    degree = np.asarray(both.sum(axis=1)).ravel()
    scale = sp.diags(np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0))
    return (scale @ both @ scale).tocsr().astype(np.float32)


class SymmetricProduct(torch.autograd.Function):
    """``matrix @ x`` for a symmetric matrix: the gradient by ``x`` is the same product again.

    In full precision where others are in half: there is no sparse product of halves, and sums over many neighbours
    would lose their digits.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: Tensor, x: Tensor) -> Tensor:
        """``matrix @ x``."""
        ctx.matrix = matrix  # type: ignore[attr-defined]
        return matrix @ x

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")  # type: ignore[untyped-decorator]
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad: Tensor) -> tuple[None, Tensor]:
        """Nothing for the matrix, which is data; for ``x`` the transpose, which is the matrix."""
        return None, ctx.matrix @ grad[0]  # type: ignore[attr-defined]


class HeteroLightGCN(nn.Module):
    """LightGCN with one learned weight for each type of edge.

    Args:
        adjacency: normalised symmetric matrix of each type, over all nodes.
        n_users: the first nodes.
        n_products: the nodes after them.
        content: vectors of the products' texts, and those that were supplied.
        initial: where the free vectors begin, float32 ``[n_nodes, d]``.
        layers: how often vectors are passed on.

    Shapes:
        - output of ``forward``: users ``[n_users, d]`` and products ``[n_products, d]``, of unit length, save
          that a node which nothing reaches (no edge, no text) has the zero vector.
    """

    def __init__(
        self,
        adjacency: Mapping[str, sp.csr_matrix],
        n_users: int,
        n_products: int,
        content: Content,
        initial: np.ndarray,
        *,
        layers: int,
    ) -> None:
        super().__init__()
        self.n_users, self.n_products, self.layers = n_users, n_products, layers
        self.types = tuple(adjacency)
        self._thinned: Tensor | None = None
        for position, matrix in enumerate(adjacency.values()):
            self.register_buffer(f"adjacency_{position}", csr_tensor(matrix), persistent=False)
        self.free = nn.Parameter(torch.from_numpy(initial.astype(np.float32)))
        # The first type is what users did; the others begin with an e^-2 of its weight.
        self.theta = nn.Parameter(torch.tensor([0.0] + [-2.0] * (len(self.types) - 1)))
        self.layout = content.layout
        said = content.together()
        if said is None:
            self.project = None
        else:
            self.register_buffer("content", torch.from_numpy(said.astype(np.float32)), persistent=False)
            self.project = nn.Linear(said.shape[1], initial.shape[1], bias=False)
            nn.init.zeros_(self.project.weight)

    def inputs(self) -> Tensor:
        """E⁽⁰⁾: the free vectors, the products' with their content added. ``[n_nodes, d]``"""
        if self.project is None:
            return self.free
        before, after = self.n_users, len(self.free) - self.n_users - self.n_products
        return self.free + F.pad(self.project(self.content), (0, 0, before, after))

    def type_weights(self) -> dict[str, float]:
        """softmax(θ) by name: what the model believes each type of edge to be worth."""
        return dict(zip(self.types, torch.softmax(self.theta.detach(), 0).tolist(), strict=True))

    def propagate(self, x: Tensor, *, noise: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """Mean of all layers, ``[n_nodes, d]`` → ``[n_nodes, d]``.

        Args:
            noise: length of a random vector that is added to each node after each layer, within the node's own
                orthant (SimGCL: Yu et al., arXiv:2112.08679).
        """
        weights = torch.softmax(self.theta, 0)
        total = x
        for _ in range(self.layers):
            passed = [weights[t] * SymmetricProduct.apply(self._passing(t), x) for t in range(len(self.types))]
            x = reduce(torch.add, passed)
            if noise:
                drawn = torch.rand(x.shape, generator=generator).to(x.device)
                x = x + torch.sign(x.detach()) * F.normalize(drawn, dim=1) * noise
            total = total + x
        return total / (self.layers + 1)

    def thin(self, share: float, generator: torch.Generator) -> None:
        """Pass messages over all but a random ``share`` of the interactions, until :meth:`restore`.

        Both directions of an edge go together, so that the matrix stays its own transpose; what stays counts the
        more, so that sums keep their size.
        """
        whole = self.get_buffer("adjacency_0")
        rows = torch.repeat_interleave(torch.arange(whole.shape[0], device=whole.device), whole.crow_indices().diff())
        low, high = torch.minimum(rows, whole.col_indices()), torch.maximum(rows, whole.col_indices())
        _, edge = torch.unique(low * whole.shape[0] + high, return_inverse=True)
        kept = torch.rand(int(edge.max()) + 1 if len(edge) else 0, generator=generator).to(whole.device) >= share
        values = whole.values() * kept[edge] / (1.0 - share)
        self._thinned = torch.sparse_csr_tensor(
            whole.crow_indices(), whole.col_indices(), values, size=whole.shape, check_invariants=False
        )

    def restore(self) -> None:
        """Pass messages over all interactions again."""
        self._thinned = None

    def _passing(self, place: int) -> Tensor:
        if place == 0 and self._thinned is not None:
            return self._thinned
        return self.get_buffer(f"adjacency_{place}")

    @property
    def knows_newcomers(self) -> bool:
        """Whether anything but interactions is known of products."""
        return self.project is not None or len(self.types) > 1

    def newcomers(self) -> Tensor:
        """Unit vectors that the products would have if nobody had met them, ``[n_products, d]``.

        Of the content and of what the catalogue connects directly: the first two terms of :meth:`propagate` for a
        product without a free vector and without interactions.
        """
        before, end = self.n_users, self.n_users + self.n_products
        x = torch.cat([torch.zeros_like(self.free[:end]), self.free[end:]])
        if self.project is not None:
            x = x + F.pad(self.project(self.content), (0, 0, before, len(x) - end))
        weights, alone = torch.softmax(self.theta, 0), x
        for t in range(1, len(self.types)):
            around = SymmetricProduct.apply(getattr(self, f"adjacency_{t}"), alone)
            x = x + weights[t] * around
        return unit(x[before:end])

    def forward(self, *, noise: float = 0.0, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Unit vectors of users ``[n_users, d]`` and products ``[n_products, d]``; with ``noise`` a view of them."""
        out = unit(self.propagate(self.inputs(), noise=noise, generator=generator))
        return out[: self.n_users], out[self.n_users : self.n_users + self.n_products]


def unit(x: Tensor) -> Tensor:
    """Rows at unit length; what is nearly zero (no text, no neighbour) stays so, and its gradient stays bounded.

    With the floor of ``F.normalize``, 1e-12, such a row has a gradient of 1e12, of which Adam's second moment does not
    forget for the rest of a training: the nodes behind it would stand still.
    """
    return F.normalize(x, dim=1, eps=1e-3)


def propagate_reference(edges: Sequence[tuple[Tensor, float]], x: Tensor, layers: int) -> Tensor:
    """What :meth:`HeteroLightGCN.propagate` computes, by PyG's ``LGConv`` over edge lists: slow and plain.

    Args:
        edges: of each type both directions of every edge, ``[2, e]``, without doubles or self-loops, and the
            type's weight.
    """
    conv = LGConv()
    total = x
    for _ in range(layers):
        x = torch.stack([weight * conv(x, index) for index, weight in edges]).sum(0)
        total = total + x
    return total / (layers + 1)


def spectral_vectors(met: sp.csr_matrix, dimensions: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The leading singular vectors of D_u^-½ R D_p^-½: where propagation ends up, and so a good place to begin.

    Of each side the vectors are scaled by the root of the singular values, and all
    of them by one factor that makes the average length 1: the optimiser's steps
    would otherwise be small for a small graph and overwhelming for a large one.

    Returns:
        float32 ``[n_users, d]`` and ``[n_products, d]``; zero rows for nodes without interactions.
    """
    per_user, per_product = (np.asarray(met.sum(axis=a)).ravel() for a in (1, 0))
    u_scale = np.divide(1.0, np.sqrt(per_user), out=np.zeros_like(per_user), where=per_user > 0)
    p_scale = np.divide(1.0, np.sqrt(per_product), out=np.zeros_like(per_product), where=per_product > 0)
    R = (sp.diags(u_scale) @ met @ sp.diags(p_scale)).tocsr().astype(np.float32)
    left, values, right = singular_vectors(R, dimensions, rng)
    root = np.sqrt(values)
    users, products = left * root, right * root
    lengths = np.linalg.norm(np.concatenate([users, products]), axis=1)
    unit = lengths[lengths > 0].mean() if lengths.any() else 1.0
    users, products = users / unit, products / unit
    pad = ((0, 0), (0, dimensions - len(values)))
    return np.pad(users, pad).astype(np.float32), np.pad(products, pad).astype(np.float32)


def singular_vectors(
    R: sp.csr_matrix, dimensions: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular vectors and values of a sparse matrix ``[m, n]``, as many as there can be.

    Randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4).

    Returns:
        ``[m, k]``, ``[k]`` descending, and ``[n, k]``, float32.
    """
    rank = min(dimensions, *R.shape)
    width = min(rank + 16, *R.shape)
    Q = np.linalg.qr(R @ rng.standard_normal((R.shape[1], width)).astype(np.float32))[0]
    for _ in range(6):
        Q = np.linalg.qr(R @ np.linalg.qr(R.T @ Q)[0])[0]
    left, values, right = np.linalg.svd(np.asarray((R.T @ Q).T), full_matrices=False)
    return Q @ left[:, :rank], values[:rank], right[:rank].T


def csr_tensor(matrix: sp.csr_matrix) -> Tensor:
    """A scipy matrix as a torch CSR tensor."""
    with warnings.catch_warnings():
        # torch calls its CSR tensors beta; the product used here has been stable for years.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            check_invariants=False,
        )
