"""Whether an explanation is true: take away the edges that it names, score again, and see whether the score falls.

``recommend/explain`` names, for a user and a recommended product, paths of edges, first those that begin with
something without which the score would be lower. Here rows of the live graph are drawn by chance, the edges that
their first paths name are taken away, and the score is computed anew; beside them as many edges drawn by chance: of the
whole graph, of the neighbourhood (all edges of the user, of the user's products and of the recommended one), and of the
user's own.

Scoring again means that nothing is learned anew, and that what an edge feeds goes with it: a place in the user's
history, by which the others count the more, and in its order; a relation of the score; a taker of the product's
popularity. What becomes of the user's vector can be answered in three ways, and all are measured:

- **kept**: it stays as it is, which is what deleting the edges in Neo4j and asking again gives;
- **folded**: it is the mean of what interests the user, as :mod:`embeddings.foldin` keeps it between trainings;
- **propagated**: the live checkpoint's network is run again on the graph without the edges. Its free vectors, the
  user's own among them, have learned from what is taken away, so it forgets least.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from embeddings.evaluation import GraphModel, read_model
from embeddings.export import PRODUCT_RELATIONS, SHARED, NodeIndex, export_subgraph, shop_with_supplied
from embeddings.finetuning import settings_of, start_from
from embeddings.gcn import HeteroLightGCN, TypedEdges, normalised_adjacency
from embeddings.registry import Checkpoint
from embeddings.scoring import history, recent
from embeddings.shop import MET, Shop, interacted
from embeddings.split import Interactions
from kg import catalogue
from kg.errors import BenchmarkError
from kg.store import GraphStore

SIMILAR: Final = "SIMILAR_TO"
WAYS: Final = ("kept", "folded", "propagated")
SHOWN: Final = 10
"""Of a user's first so many recommendations one is looked at."""
SEVERAL: Final = 3
"""Beside the first path alone, so many together."""
_LEAST: Final = 1e-6
"""Of the score: a smaller change is rounding."""
_FELT: Final = 0.01
"""Of the score: less hardly moves a product. Taking one of a hundred takers away lowers it, by a thousandth."""


class Edge(NamedTuple):
    """One edge between nodes of the network's numbering: users, products, the other labels."""

    type: str
    """:data:`MET`, :data:`SIMILAR`, or the name of the shop's typed edges, ``MADE_BY:Brand``."""
    head: int
    tail: int


@dataclass(frozen=True)
class Rescorer:
    """Computes a product's score for a user on the graph without some edges."""

    model: GraphModel
    shop: Shop
    network: Propagation | None = None

    def score(self, user: int, product: int, without: Collection[Edge] = (), *, way: str = "kept") -> float:
        """The score, as :mod:`embeddings.scoring` defines it.

        Args:
            user: row of the user.
            product: row of the product.
            without: edges that are not there.
            way: what becomes of the user's vector, one of :data:`WAYS`.
        """
        scorer, weights, n_users = self.model.scorer, self.model.scorer.weights, self.shop.n_users
        mine = self._own(user, {e.tail - n_users for e in without if e.type == MET and e.head == user})
        past = history(mine, weights.half_life_days)
        through = _column(scorer.similar, product) * weights.similar
        onward = np.zeros_like(through) if scorer.following is None else _column(scorer.following, product)
        for type_, related in scorer.relations.items():
            weight = weights.relations.get(type_, 0.0)
            if weight:
                there = _column(related, product)
                there[self._unrelated(type_, product, without)] = 0.0
                through += weight * there
        for edge in without:
            if edge.type == SIMILAR and edge.tail - n_users == product:
                through[edge.head - n_users] -= weights.similar * scorer.similar[edge.head - n_users, product]
                onward[edge.head - n_users] = 0.0
        total = float((past @ through)[0])
        if weights.next:
            total += weights.next * float((recent(mine, weights.recency, past) @ onward)[0])
        total += weights.embedding * self._cosine(user, product, mine, without, way)
        return total + weights.popularity * self._popularity(product, without)

    def neighbourhood(self, user: int, product: int) -> list[Edge]:
        """All stated edges of the user, of the products in the user's history, and of the product."""
        x, n_users = self.model.interactions, self.shop.n_users
        near = np.zeros(self.shop.n_nodes, dtype=bool)
        near[[user, n_users + product]] = True
        near[n_users + x.products[x.users == user]] = True
        found: list[Edge] = []
        for edges in self._stated:
            here = near[edges.heads] | near[edges.tails]
            found += [
                Edge(edges.name, int(h), int(t)) for h, t in zip(edges.heads[here], edges.tails[here], strict=True)
            ]
        return found

    def anywhere(self, count: int, rng: np.random.Generator) -> list[Edge]:
        """So many of the stated edges of the whole graph, drawn by chance; all, where there are no more."""
        starts = np.cumsum([0, *(len(edges.heads) for edges in self._stated)])
        found: list[Edge] = []
        for drawn in rng.choice(starts[-1], min(count, int(starts[-1])), replace=False).tolist():
            type_ = int(np.searchsorted(starts, drawn, side="right")) - 1
            edges, place = self._stated[type_], drawn - starts[type_]
            found.append(Edge(edges.name, int(edges.heads[place]), int(edges.tails[place])))
        return found

    @cached_property
    def _stated(self) -> list[TypedEdges]:
        """All edges but the learned ones."""
        x = self.model.interactions
        met = np.unique(np.stack([x.users, x.products + self.shop.n_users]), axis=1)
        return [TypedEdges(MET, met[0], met[1]), *self.shop.catalogue]

    def _own(self, user: int, gone: set[int]) -> Interactions:
        """What the user did but with these products, as of a shop of one user; the user's clock stays."""
        x = self.model.interactions
        kept = (x.users == user) & ~np.isin(x.products, list(gone))
        return Interactions(
            users=np.zeros(int(kept.sum()), dtype=np.int64),
            products=x.products[kept],
            strength=x.strength[kept],
            at=x.at[kept],
            known=x.known[kept],
            last_at=x.last_at[[user]],
            n_users=1,
            n_products=x.n_products,
        )

    def _unrelated(self, type_: str, product: int, without: Collection[Edge]) -> list[int]:
        """Products whose relations of the type to ``product`` are all among the edges that are not there."""
        target = self.shop.n_users + product
        gone: dict[int, int] = {}
        for edge in without:
            if edge.type.split(":")[0] == type_ and target in (edge.head, edge.tail):
                other = edge.tail if edge.head == target else edge.head
                if other < self.shop.n_users + self.shop.n_products:  # a product is made for a brand, too
                    gone[other] = gone.get(other, 0) + 1
        return [
            other - self.shop.n_users for other, count in gone.items() if count >= self._count(type_, target, other)
        ]

    def _count(self, type_: str, a: int, b: int) -> int:
        count = 0
        for edges in self.shop.catalogue:
            if edges.name.split(":")[0] == type_:
                forth, back = (edges.heads == a) & (edges.tails == b), (edges.heads == b) & (edges.tails == a)
                count += int((forth | back).sum())
        return count

    def _cosine(self, user: int, product: int, mine: Interactions, without: Collection[Edge], way: str) -> float:
        scorer = self.model.scorer
        if way == "kept":
            return float(scorer.user_vectors[user].astype(np.float64) @ scorer.product_vectors[product])
        if way == "folded":
            # history() divides all of a user's interests by one number, which a direction does not feel.
            mean = history(mine, scorer.weights.half_life_days).astype(np.float64) @ scorer.product_vectors
            length = float(np.linalg.norm(mean))
            return float(mean[0] @ scorer.product_vectors[product]) / length if length > 1e-6 else 0.0
        if self.network is None:
            raise BenchmarkError("The live model's checkpoint is not in this home, so its network cannot be run again.")
        return self.network.cosine(user, self.shop.n_users + product, without)

    def _popularity(self, product: int, without: Collection[Edge]) -> float:
        target = self.shop.n_users + product
        popular = float(self.model.scorer.popularity[product])
        gone = sum(edge.type == MET and edge.tail == target for edge in without)
        if not gone:
            return popular
        x = self.model.interactions
        takers = len(np.unique(x.users[x.products == product]))
        return popular * float(np.log1p(takers - gone) / np.log1p(takers))


class Propagation:
    """The live network, run on the graph without some edges; nothing is trained."""

    def __init__(self, checkpoint: Checkpoint, shop: Shop, index: NodeIndex, x: Interactions) -> None:
        every = [interacted(x, settings_of(checkpoint).edge_half_life), *shop.catalogue]
        self._edges = {edges.name: edges for edges in every}
        self._n_nodes = shop.n_nodes
        adjacency = {name: normalised_adjacency(edges, shop.n_nodes) for name, edges in self._edges.items()}
        width = checkpoint.dimensions
        layers = int(checkpoint.settings["layers"])
        model = HeteroLightGCN(
            adjacency, x.n_users, x.n_products, shop.content, np.zeros((shop.n_nodes, width)), layers=layers
        )
        start_from(checkpoint, index)(model)
        self._layers = layers
        self._weights = model.type_weights()
        self._inputs = model.inputs().detach().numpy().astype(np.float64)
        self._adjacency = {name: matrix.astype(np.float64) for name, matrix in adjacency.items()}

    def cosine(self, user: int, product: int, without: Collection[Edge] = ()) -> float:
        """Of two nodes' vectors."""
        adjacency = dict(self._adjacency)
        for name in {edge.type for edge in without} & adjacency.keys():
            adjacency[name] = self._left(name, [edge for edge in without if edge.type == name])
        step = sp.csr_matrix((self._n_nodes, self._n_nodes), dtype=np.float64)
        for name, matrix in adjacency.items():
            step = step + self._weights[name] * matrix
        total: np.ndarray = self._inputs
        x = total
        for _ in range(self._layers):
            x = np.asarray(step @ x)
            total = total + x
        ours, theirs = total[user], total[product]
        length = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
        return float(ours @ theirs) / length if length > 0.0 else 0.0

    def _left(self, name: str, gone: Iterable[Edge]) -> sp.csr_matrix:
        edges = self._edges[name]
        kept = np.ones(len(edges.heads), dtype=bool)
        for edge in gone:
            kept &= ~((edges.heads == edge.head) & (edges.tails == edge.tail))
        weights = None if edges.weights is None else edges.weights[kept]
        left = replace(edges, heads=edges.heads[kept], tails=edges.tails[kept], weights=weights)
        return normalised_adjacency(left, self._n_nodes).astype(np.float64)


def _column(matrix: sp.csr_matrix, column: int) -> np.ndarray:
    return np.asarray(matrix[:, [column]].todense(), dtype=np.float64).ravel()


# --- what an explanation names ------------------------------------------------------------------------------


def named_edges(steps: Sequence[Mapping[str, Any]], shop: Shop, index: NodeIndex) -> list[Edge]:
    """The edges of a path of ``recommend/explain``. A step that stands for many edges (others who took both) is none.

    Args:
        steps: the row's: type and keys of the ends, the first from the user.
    """
    first = {"User": 0, "Product": shop.n_users}
    end = shop.n_users + shop.n_products
    for _, label in SHARED:
        first[label] = end
        end += index.count(label)

    def node(label: str, key: str) -> int | None:
        row = index.row(label, key)
        return None if row is None else first[label] + row

    edges: list[Edge] = []
    for step in steps:
        start, head, onto = node("User", step["from"]), node("Product", step["from"]), node("Product", step["to"])
        if start is not None and onto is not None and not edges:
            edges.append(Edge(MET, start, onto))
            continue
        if head is None:
            continue
        if step["type"] == SIMILAR and onto is not None:
            edges.append(Edge(SIMILAR, head, onto))
            continue
        for typed in shop.catalogue:
            type_, _, label = typed.name.partition(":")
            tail = onto if type_ in PRODUCT_RELATIONS and label not in first else node(label, step["to"])
            if type_ == step["type"] and tail is not None:
                here = (typed.heads == head) & (typed.tails == tail)
                edges += [Edge(typed.name, head, tail)] * int(here.any())
    return edges


@dataclass(frozen=True, slots=True)
class _Case:
    user: int
    product: int
    paths: tuple[tuple[Edge, ...], ...]
    """Of the first rows of the explanation."""


def evaluate_explanations(
    store: GraphStore, *, rows: int, seed: int, checkpoint: Checkpoint | None, shown: int = SHOWN
) -> dict[str, Any]:
    """How often the score falls without the edges that explanations name, and without edges drawn by chance.

    Args:
        rows: users, each with one recommendation.
        shown: one of a user's first so many.
        checkpoint: the live model's, for running its network again; None to leave that way out.

    Returns:
        ``rows`` and how many of them are ``explained``; then, for the edges of the first path and for those of the
        first :data:`SEVERAL` together: of what is named, of as many edges drawn from the whole graph, from the
        neighbourhood and from the user's own, the share of explained rows whose score was ``lowered``, and by at
        least 1 %, and the ``mean fall`` as a share of the score, each by the ways of scoring again.

    Raises:
        BenchmarkError: nobody has met two products, or nothing that is recommended is explained.
    """
    model = read_model(store)
    data, index = export_subgraph(store, shop_with_supplied(store))
    if index.keys["User"] != model.index.keys["User"] or index.keys["Product"] != model.index.keys["Product"]:
        raise BenchmarkError(
            "Users or products came or went while the graph was read. Try again when nothing is loaded."
        )
    x = model.interactions
    shop = Shop.of(data, x)
    network = None
    if checkpoint is not None:
        network = Propagation(checkpoint, shop, index, x)
    rescorer = Rescorer(model, shop, network)
    rng = np.random.default_rng(seed)
    per_user = np.asarray(x.matrix().sum(axis=1)).ravel()
    users = np.flatnonzero(per_user >= 2)
    if users.size == 0:
        raise BenchmarkError("Nobody in this graph has met two products, so no path can be told from another.")
    chosen = np.sort(rng.permutation(users)[:rows])
    cases = list(_cases(store, chosen, shown, rescorer, index, rng))
    explained = [case for case in cases if case.paths]
    if not explained:
        raise BenchmarkError(
            f"None of {len(cases)} recommendations has an explanation: they are what is popular. Load more events."
        )
    ways = WAYS if network is not None else WAYS[:-1]
    report: dict[str, Any] = {"rows": len(cases), "explained": len(explained)}
    for name, depth in (("first path", 1), (f"first {SEVERAL} paths", SEVERAL)):
        falls: dict[str, list[list[float]]] = {}
        for case in explained:
            named = list(dict.fromkeys(edge for path in case.paths[:depth] for edge in path))
            around = rescorer.neighbourhood(case.user, case.product)
            own = [edge for edge in around if edge.type == MET and edge.head == case.user]
            taken = {"named": named, "random, whole graph": rescorer.anywhere(len(named), rng)}
            taken["random, neighbourhood"] = _some(around, len(named), rng)
            taken["random, user's own"] = _some(own, sum(edge.type == MET for edge in named), rng)
            for kind, edges in taken.items():
                falls.setdefault(kind, []).append([_fall(rescorer, case, edges, way) for way in ways])
        report[name] = {kind: _summary(np.array(values), ways) for kind, values in falls.items()}
    return report


def _cases(
    store: GraphStore, users: np.ndarray, most: int, rescorer: Rescorer, index: NodeIndex, rng: np.random.Generator
) -> Iterable[_Case]:
    ids, skus = index.keys["User"], {sku: row for row, sku in enumerate(index.keys["Product"])}
    for_users, explain = (catalogue.find(f"recommend/{name}") for name in ("for_users", "explain"))
    for begin in range(0, len(users), 25):
        some = users[begin : begin + 25]
        shown: dict[str, list[str]] = {}
        for row in catalogue.run(store, for_users, {"users": [ids[user] for user in some], "limit": most}):
            shown.setdefault(row["user"], []).append(row["sku"])
        for user in some:
            mine = shown.get(ids[user], [])
            if not mine:
                continue
            sku = mine[int(rng.integers(len(mine)))]
            found = catalogue.run(store, explain, {"user": ids[user], "sku": sku, "limit": SEVERAL})
            paths = tuple(tuple(named_edges(row["steps"], rescorer.shop, index)) for row in found)
            yield _Case(int(user), skus[sku], paths)


def _summary(falls: np.ndarray, ways: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of shares by which scores fell, ``[rows, ways]``."""
    return {
        "lowered": dict(zip(ways, np.mean(falls > _LEAST, axis=0).round(4).tolist(), strict=True)),
        "lowered by 1 %": dict(zip(ways, np.mean(falls >= _FELT, axis=0).round(4).tolist(), strict=True)),
        "mean fall": dict(zip(ways, np.mean(falls, axis=0).round(4).tolist(), strict=True)),
    }


def _some(edges: Sequence[Edge], count: int, rng: np.random.Generator) -> list[Edge]:
    return [edges[i] for i in rng.permutation(len(edges))[:count]]


def _fall(rescorer: Rescorer, case: _Case, edges: Collection[Edge], way: str) -> float:
    """By what share the score falls without the edges."""
    before = rescorer.score(case.user, case.product, way=way)
    after = rescorer.score(case.user, case.product, edges, way=way)
    return (before - after) / max(abs(before), 1e-12)
