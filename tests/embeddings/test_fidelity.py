"""Explanations are held against the score itself, which is computed again without what they name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import registry
from embeddings.evaluation import read_model
from embeddings.export import SHOP, export_subgraph
from embeddings.fidelity import MET, SIMILAR, Edge, Propagation, Rescorer, evaluate_explanations, named_edges
from embeddings.registry import Checkpoint
from embeddings.scoring import ScoreWeights
from embeddings.shop import Shop
from embeddings.split import interactions
from embeddings.training import fit, train
from embeddings.writeback import write_embeddings
from kg import catalogue
from kg.errors import BenchmarkError
from kg.store import GraphStore
from tests.embeddings.test_writeback import POPULARITY, WIDTH, model
from tests.embeddings.worlds import QUICK, checkerboard, exported, write_checkerboard


def entangled(version: str = "v1") -> Checkpoint:
    """A model for the shop in which every term of the score is at work, and no two vectors are alike."""
    rng = np.random.default_rng(0)

    def unit(rows: int) -> np.ndarray:
        drawn = rng.standard_normal((rows, WIDTH)).astype(np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    weights = sp.csr_matrix(rng.random((4, 4)).astype(np.float32) * (1 - np.eye(4, dtype=np.float32)))
    return replace(
        model(version),
        user_vectors=unit(3),
        product_vectors=unit(4),
        similar=weights,
        following=weights.T.tocsr(),
        weights=ScoreWeights(0.7, 1.0, 0.1, 30.0, {"BOUGHT_WITH": 0.5, "ACCESSORY_OF": 0.2}, next=0.8, recency=0.5),
    )


@pytest.fixture
def live(shop: GraphStore) -> GraphStore:
    write_embeddings(shop, entangled())
    registry.promote(shop, "v1")
    return shop


def rescorer(store: GraphStore) -> tuple[Rescorer, Any]:
    data, index = export_subgraph(store, SHOP)
    graph = read_model(store)
    return Rescorer(graph, Shop.of(data, graph.interactions)), index


def explain(store: GraphStore, user: str, sku: str) -> list[dict[str, Any]]:
    return list(catalogue.run(store, catalogue.find("recommend/explain"), {"user": user, "sku": sku}))


def test_with_nothing_taken_away_the_score_is_that_of_the_query(live: GraphStore) -> None:
    scores, index = rescorer(live)
    for user in ("anna", "ben", "cleo"):
        for row in catalogue.run(live, catalogue.find("recommend/for_user"), {"user": user, "limit": 10}):
            if row["sku"] == "S2":  # it has come since, and has no vector
                continue
            found = scores.score(index.row("User", user), index.row("Product", row["sku"]))
            assert found == pytest.approx(row["score"], abs=1e-6)


def test_the_drop_of_a_path_is_what_the_score_loses_without_its_product(live: GraphStore) -> None:
    scores, index = rescorer(live)
    seen = set()
    for user in ("anna", "ben"):
        for sku in ("G1", "G2", "S1", "T1"):
            for row in explain(live, user, sku):
                u, p = index.row("User", user), index.row("Product", sku)
                met = Edge(MET, u, scores.shop.n_users + index.row("Product", row["steps"][0]["to"]))
                if met.tail == scores.shop.n_users + p:  # would leave the product less popular, too
                    continue
                whole, less = (scores.score(u, p, gone, way="folded") for gone in ((), (met,)))
                assert row["drop"] == pytest.approx(whole - less, abs=1e-5)
                seen.add((user, sku, row["steps"][0]["to"]))
    assert len(seen) >= 8


def test_paths_that_carry_the_score_come_first(live: GraphStore) -> None:
    drops = [row["drop"] > 1e-9 for user in ("anna", "ben") for row in explain(live, user, "G2")]
    assert True in drops
    for user in ("anna", "ben"):
        carries = [row["drop"] > 1e-9 for row in explain(live, user, "G2")]
        assert carries == sorted(carries, reverse=True)


def test_each_edge_takes_away_what_it_feeds(live: GraphStore) -> None:
    live.write("MATCH (a:Product {sku: 'T1'}), (b:Product {sku: 'G2'}) CREATE (a)-[:BOUGHT_WITH {source: 'x'}]->(b)")
    live.write("MATCH (a:Product {sku: 'T1'}), (b:Product {sku: 'G2'}) CREATE (b)-[:BOUGHT_WITH {source: 'y'}]->(a)")
    scores, index = rescorer(live)
    user, target = index.row("User", "ben"), index.row("Product", "G2")
    node = {sku: scores.shop.n_users + index.row("Product", sku) for sku in ("G1", "G2", "S1", "T1")}
    whole = scores.score(user, target)

    one = Edge("BOUGHT_WITH:x", node["T1"], node["G2"])
    other = Edge("BOUGHT_WITH:y", node["G2"], node["T1"])
    # Two feeds say so: without one of them the relation is still there.
    assert scores.score(user, target, [one]) == pytest.approx(whole)
    assert scores.score(user, target, [one, other]) < whole - 0.1
    assert scores.score(user, target, [Edge(SIMILAR, node["T1"], node["G2"])]) < whole - 0.01
    # A relation the other way says nothing of this product, nor does a brand.
    brand = named_edges([{"type": "MADE_BY", "from": "T1", "to": "cobalt"}], scores.shop, index)
    assert [edge.type for edge in brand] == ["MADE_BY:Brand"]
    assert scores.score(user, target, [Edge(SIMILAR, node["G2"], node["T1"]), *brand]) == pytest.approx(whole)
    # Made for all of a brand is no relation between two products, though it has the same type.
    live.write("MATCH (p:Product {sku: 'G2'}), (b:Brand {key: 'cobalt'}) CREATE (p)-[:ACCESSORY_OF {source: 'x'}]->(b)")
    wide, names = rescorer(live)
    (made_for,) = named_edges([{"type": "ACCESSORY_OF", "from": "G2", "to": "cobalt"}], wide.shop, names)
    assert made_for.type == "ACCESSORY_OF:Brand"
    assert wide.score(user, target, [made_for]) == pytest.approx(whole)
    # Somebody else's purchase makes the product less popular.
    anna = Edge(MET, index.row("User", "anna"), node["S1"])
    strap = index.row("Product", "S1")
    assert scores.score(user, strap, [anna]) == pytest.approx(scores.score(user, strap) - 0.1 * POPULARITY["S1"])


def test_edges_are_drawn_from_all_that_is_stated(live: GraphStore) -> None:
    scores, index = rescorer(live)
    rng = np.random.default_rng(0)
    every = scores.anywhere(10_000, rng)
    met = Edge(MET, index.row("User", "anna"), scores.shop.n_users + index.row("Product", "S1"))
    assert met in every
    assert len(set(every)) == len(every)
    near = {e for u in range(3) for p in range(len(index.keys["Product"])) for e in scores.neighbourhood(u, p)}
    assert near <= set(every), "the neighbourhoods are parts of the whole"
    some = [scores.anywhere(3, rng) for _ in range(40)]
    assert all(len(set(drawn)) == 3 for drawn in some)
    assert {edge for drawn in some for edge in drawn} == set(every), "each edge may be drawn"


def test_the_network_is_run_again_on_the_graph_without_the_edges() -> None:
    taken, _ = checkerboard(users=12, products=8)
    data, index = exported(taken)
    fitted = fit(data, index, seed=0, settings=QUICK)
    x = interactions(data)
    network = Propagation(fitted, Shop.of(data, x), index, x)
    cosines = fitted.user_vectors @ fitted.product_vectors.T
    assert network.cosine(0, 12 + 3) == pytest.approx(float(cosines[0, 3]), abs=1e-5)
    # Taking an edge away moves the two apart, and the rest of the graph hardly feels it.
    met = int(x.products[x.users == 0][0])
    assert network.cosine(0, 12 + met, [Edge(MET, 0, 12 + met)]) < network.cosine(0, 12 + met) - 1e-4
    left = [(u, p) for u, p in taken if (u, p) != (index.keys["User"][0], index.keys["Product"][met])]
    there, names = exported(left)
    again = Propagation(fitted, Shop.of(there, interactions(there)), names, interactions(there))
    assert network.cosine(0, 12 + met, [Edge(MET, 0, 12 + met)]) == pytest.approx(again.cosine(0, 12 + met), abs=1e-9)


def test_what_explanations_name_matters_and_what_chance_names_does_not(store: GraphStore, tmp_path: Path) -> None:
    write_checkerboard(store)
    trained = train(store, home=tmp_path, device="cpu", settings=QUICK)
    write_embeddings(store, trained)
    registry.promote(store, trained.version)
    report = evaluate_explanations(store, rows=12, seed=0, checkpoint=trained, shown=1)
    assert (report["rows"], report["explained"]) == (12, 12)
    first = report["first path"]
    assert first["named"]["lowered"].keys() == {"kept", "folded", "propagated"}
    assert first["named"]["lowered"]["folded"] >= 0.9
    assert first["random, neighbourhood"]["lowered"]["folded"] <= 0.25
    assert first["random, whole graph"]["lowered"]["folded"] <= 0.25
    assert first["named"]["mean fall"]["folded"] > first["random, neighbourhood"]["mean fall"]["folded"]
    # Without the checkpoint its network cannot be run, and the rest is the same.
    rest = evaluate_explanations(store, rows=12, seed=0, checkpoint=None, shown=1)
    assert rest["first path"]["named"]["lowered"]["kept"] == first["named"]["lowered"]["kept"]


def test_with_one_product_each_there_is_nothing_to_tell_apart(store: GraphStore) -> None:
    store.write("CREATE (:User {id: 'u'})-[:BOUGHT {count: 1, strength: 1.0}]->(:Product {sku: 'p', active: true})")
    with pytest.raises(BenchmarkError, match="two products"):
        evaluate_explanations(store, rows=5, seed=0, checkpoint=None)
