"""The recommendation queries on Neo4j: what they return, what they never return, and that they mean the score."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embeddings import registry
from embeddings.evaluation import KNOWN_FILTER, evaluate_recommend, index_recall, read_model
from embeddings.training import train
from embeddings.writeback import write_embeddings
from kg import catalogue
from kg.errors import BenchmarkError
from kg.store import GraphStore
from tests.embeddings.test_writeback import POPULARITY, model
from tests.embeddings.worlds import QUICK, write_checkerboard

FOR_USER, FOR_USERS = "recommend/for_user", "recommend/for_users"


def rows(store: GraphStore, name: str = FOR_USER, **parameters: Any) -> list[dict[str, Any]]:
    return list(catalogue.run(store, catalogue.find(name), parameters))


def skus(store: GraphStore, user: str, limit: int = 10) -> list[str]:
    return [row["sku"] for row in rows(store, user=user, limit=limit)]


@pytest.fixture
def live(shop: GraphStore) -> GraphStore:
    """The shop with the hand-made model of test_writeback live; the strings (S2) have come into the shop since."""
    shop.write("MATCH (p:Product {sku: 'S2'}) REMOVE p.popularity")
    write_embeddings(shop, model("v1"))
    registry.promote(shop, "v1")
    return shop


@pytest.fixture
def board(store: GraphStore, tmp_path: Path) -> tuple[GraphStore, list[tuple[str, str]]]:
    """A checkerboard, trained, written and promoted; with the pairs that were held out."""
    out = write_checkerboard(store)
    trained = train(store, home=tmp_path, device="cpu", settings=QUICK)
    write_embeddings(store, trained)
    registry.promote(store, trained.version)
    return store, out


# --- for_user ------------------------------------------------------------------------------------------------


def test_the_two_files_differ_only_in_whom_they_ask_for() -> None:
    one, many = (catalogue.find(name).cypher for name in (FOR_USER, FOR_USERS))
    assert many == (
        one.replace("UNWIND [$user] AS user", "UNWIND $users AS user")
        .replace("\nRETURN sku, title, score, reasons\n", "\nRETURN user, sku, title, score, reasons\n")
        .replace("\nORDER BY score DESC, sku\n", "\nORDER BY user, score DESC, sku\n")
    )
    assert one.count(KNOWN_FILTER) == 1


def test_before_any_model_everyone_gets_what_is_popular(shop: GraphStore) -> None:
    # The amp is no longer sold.
    assert skus(shop, "cleo") == ["G1", "S1", "G2", "S2", "T1"]
    assert skus(shop, "nobody of that name") == ["G1", "S1", "G2", "S2", "T1"]
    assert skus(shop, "anna") == ["G2", "S2", "T1"]
    (first,) = rows(shop, user="cleo", limit=1)
    assert first["reasons"] == [{"term": "POPULARITY", "share": 1.0, "because": None}]


def test_the_score_adds_vector_relations_and_popularity(live: GraphStore) -> None:
    live.write("MATCH (m:ModelVersion) SET m.w_bought_with = 0.5")
    live.write("MATCH (a:Product {sku: 'S1'}), (b:Product {sku: 'G2'}) CREATE (a)-[:BOUGHT_WITH {source: 'x'}]->(b)")
    found = {row["sku"]: row for row in rows(live, user="anna")}
    # anna's history: guitar and strap. The guitar's interest has aged one day of a year.
    w = {"G1": 0.5 ** (1 / 365), "S1": 1.0}
    a = {h: x / math.sqrt(sum(w.values())) for h, x in w.items()}
    assert set(found) == {"T1", "G2"}
    assert found["T1"]["score"] == pytest.approx(0.25 * a["G1"] + 0.1 * POPULARITY["T1"])
    assert found["G2"]["score"] == pytest.approx(0.5 * a["S1"] + 0.1 * POPULARITY["G2"])
    assert found["G2"]["reasons"] == [
        {"term": "BOUGHT_WITH", "share": pytest.approx(0.5 * a["S1"] / found["G2"]["score"]),
         "because": "Birch leather guitar strap"},
        {"term": "POPULARITY", "share": pytest.approx(0.1 * POPULARITY["G2"] / found["G2"]["score"]), "because": None},
    ]  # fmt: skip


def test_what_was_taken_or_is_unwanted_never_comes_back(live: GraphStore) -> None:
    assert "G1" not in skus(live, "ben")
    assert "T1" not in skus(live, "ben")
    # ben only looked at the acoustic, so it may come.
    assert "G2" in skus(live, "ben")
    live.write(
        "MATCH (u:User {id: 'ben'}), (p:Product {sku: 'G2'}) CREATE (u)-[:HIDDEN {count: 1, strength: -1.0}]->(p)"
    )
    assert skus(live, "ben") == ["S1"]
    live.write("MATCH (p:Product {sku: 'S1'}) SET p.active = false")
    assert skus(live, "ben") == []


def test_someone_without_history_gets_what_is_popular(live: GraphStore) -> None:
    assert skus(live, "cleo") == skus(live, "nobody of that name") == ["G1", "S1", "G2", "T1"]


def test_a_product_reached_twice_by_one_relation_counts_once(live: GraphStore) -> None:
    live.write("MATCH (m:ModelVersion) SET m.w_bought_with = 0.5, m.w_popularity = 0.0, m.w_similar = 0.0")
    live.write(
        "MATCH (a:Product {sku: 'T1'}), (b:Product {sku: 'S2'})\n"
        "CREATE (a)-[:BOUGHT_WITH {source: 'x'}]->(b), (b)-[:BOUGHT_WITH {source: 'y'}]->(a),\n"
        "       (a)-[:BOUGHT_WITH {source: 'z'}]->(a)"
    )
    found = {row["sku"]: row["score"] for row in rows(live, user="ben")}
    w = {"G1": 1.0, "T1": 1.0, "G2": 0.2 * 0.5 ** (1 / 365)}
    assert found["S2"] == pytest.approx(0.5 * (w["T1"] + w["G2"]) / math.sqrt(sum(w.values())))


def test_the_limit_limits_each_user(live: GraphStore) -> None:
    assert [row["user"] for row in rows(live, FOR_USERS, users=["cleo", "ben", "cleo"], limit=1)] == [
        "ben",
        "cleo",
        "cleo",
    ]


def test_many_users_get_what_each_gets_alone(live: GraphStore) -> None:
    together = rows(live, FOR_USERS, users=["anna", "ben", "cleo", "nobody"], limit=3)
    for user in ("anna", "ben", "cleo", "nobody"):
        mine = [{k: v for k, v in row.items() if k != "user"} for row in together if row["user"] == user]
        assert mine == rows(live, user=user, limit=3)


# --- similar_products ----------------------------------------------------------------------------------------


def test_similar_products_join_vectors_texts_and_relations(live: GraphStore) -> None:
    found = rows(live, "recommend/similar_products", sku="G1", limit=5)
    # The strap: same vector (1), strongest learned relation (1), and made for the guitar (a quarter of 0.8).
    assert found[0]["sku"] == "S1"
    assert found[0]["score"] == pytest.approx(1.0 + 1.0 + 0.25 * 0.8)
    assert [reason["term"] for reason in found[0]["reasons"]] == ["EMBEDDING", "SIMILAR_TO", "ACCESSORY_OF"]
    assert found[1]["sku"] == "T1"
    assert found[1]["score"] == pytest.approx(0.25 / 0.5)
    assert "G1" not in [row["sku"] for row in found]


def test_similar_products_know_relations_before_any_model(shop: GraphStore) -> None:
    assert [row["sku"] for row in rows(shop, "recommend/similar_products", sku="G2", limit=5)] == ["S2"]
    assert rows(shop, "recommend/similar_products", sku="no such thing") == []


def test_a_product_is_as_similar_however_many_rows_are_asked_for(live: GraphStore) -> None:
    """Sixty are nearer by both vectors than a variant, which is more like it than they are by all that counts."""
    live.write(
        "MATCH (g:Product {sku: 'G1'}) SET g.embedding_blue = [1.0] + [i IN range(1, 63) | 0.0], "
        "g.text_embedding = [1.0] + [i IN range(1, 383) | 0.0] "
        "CREATE (:Product {sku: 'V', title: 'v', active: true, "
        "  embedding_blue: [0.8, 0.6] + [i IN range(2, 63) | 0.0], "
        "  text_embedding: [0.6, 0.8] + [i IN range(2, 383) | 0.0]})-[:VARIANT_OF {source: 'catalogue'}]->(g) "
        "WITH g UNWIND range(1, 90) AS n CREATE (:Product {sku: 'N' + n, title: 'n', active: true, "
        "  embedding_blue: g.embedding_blue, text_embedding: g.text_embedding})"
    )
    live.await_indexes()
    for limit in (1, 10, 80):
        first = rows(live, "recommend/similar_products", sku="G1", limit=limit)[0]
        assert (first["sku"], first["score"]) == ("V", pytest.approx(1.0 + 0.8 + 0.6))
        assert [reason["term"] for reason in first["reasons"]] == ["VARIANT_OF", "EMBEDDING", "TEXT"]


def test_what_is_no_longer_sold_hides_nothing_that_is_like_a_product(store: GraphStore) -> None:
    store.write(
        "UNWIND range(1, 400) AS n CREATE (:Product {sku: 'old' + n, title: 'n', active: n % 2 = 0, stock: 0, "
        "  text_embedding: [1.0, 0.001 * n] + [i IN range(2, 383) | 0.0]})"
    )
    store.write(
        "UNWIND [['a', 0.0], ['b', 0.75]] AS row CREATE (:Product {sku: row[0], title: row[0], active: true, "
        "  text_embedding: [1.0, row[1]] + [i IN range(2, 383) | 0.0]})"
    )
    store.await_indexes()
    (found,) = rows(store, "recommend/similar_products", sku="a")
    assert (found["sku"], found["score"]) == ("b", pytest.approx(0.8))


# --- measured ------------------------------------------------------------------------------------------------


def test_a_checkerboard_is_solved_through_cypher(board: tuple[GraphStore, list[tuple[str, str]]]) -> None:
    store, out = board
    report = evaluate_recommend(store, out, (1, 10))
    assert (report["users"], report["products"]) == (40, 20)
    assert report["cypher"]["hr@1"] == report["cypher"]["mrr"] == report["exact"]["ndcg@10"] == 1.0
    assert report["cypher"]["coverage"] == 1.0
    assert report["baselines"]["item_knn"]["hr@1"] == 1.0
    assert report["baselines"]["popularity"]["hr@1"] < 0.5
    assert set(report["baselines"]) == {"popularity", "item_knn", "rp3beta", "gf_cf", "ease", "mf"}
    assert report["baselines"]["ease"]["training_seconds"] > 0.0
    assert index_recall(store) >= 0.98


def test_neo4j_and_numpy_compute_the_same_scores(board: tuple[GraphStore, list[tuple[str, str]]]) -> None:
    store, _ = board
    # Times, views, dislikes, a retired product and explicit relations make every term of the score matter.
    store.write(
        "MATCH (u:User)-[r:BOUGHT]->(p:Product)\n"
        "SET r.at = datetime({epochSeconds: 1700000000 + 864000 * (toInteger(substring(p.sku, 1)) / 3)}),\n"
        "    u.last_at = datetime({epochSeconds: 1720000000})"
    )
    store.write(
        "MATCH (u:User {id: 'u00'}), (p:Product {sku: 'p01'}), (q:Product {sku: 'p03'}), (x:Product {sku: 'p05'})\n"
        "CREATE (u)-[:VIEWED {count: 2, strength: 0.3}]->(p), (u)-[:DISLIKED {count: 1, strength: -1.0}]->(q)\n"
        "CREATE (p)-[:BOUGHT_WITH {source: 'a'}]->(x), (x)-[:BOUGHT_WITH {source: 'b'}]->(p),\n"
        "       (q)-[:VIEWED_WITH {source: 'a'}]->(:Product {sku: 'p99', title: 'Retired', active: false})"
    )
    store.write(
        "MATCH (serving:Serving {name: 'model'}), (m:ModelVersion {id: serving.version}) "
        "SET m.w_bought_with = 0.4, m.w_viewed_with = 0.2, m.w_popularity = 0.1"
    )
    store.write(
        "MATCH (serving:Serving {name: 'model'}), (m:ModelVersion {id: serving.version}) "
        "SET m.w_next = 0.3, m.recency = 0.6\n"
        "WITH m MATCH (a:Product)-[r:SIMILAR_TO {model: m.id}]->(b:Product) WHERE a.sku < b.sku SET r.next = 0.5"
    )
    exact = read_model(store)
    users = np.arange(exact.index.count("User"))
    scores = exact.ranker()(users)
    for user in ("u00", "u01", "u17"):
        row = exact.index.row("User", user)
        shown = {
            sku: scores[row, product]
            for product, sku in enumerate(exact.index.keys["Product"])
            if not exact.inactive[product] and exact.hidden[row, product] == 0
        }
        found = {r["sku"]: r["score"] for r in rows(store, user=user, limit=50)}
        assert found == pytest.approx(shown, abs=1e-5)


def test_a_date_of_the_far_future_leaves_a_user_recommendations_by_the_rest_of_the_score(
    board: tuple[GraphStore, list[tuple[str, str]]],
) -> None:
    """Some write 9999 for "never". By then nothing is left of any interest, and nothing is no number to divide by."""
    store, _ = board
    store.write(
        "MATCH (u:User {id: 'u00'})-[r:BOUGHT]->() SET r.at = datetime('2024-01-01T00:00:00Z'), "
        "u.last_at = datetime('9999-12-31T00:00:00Z')"
    )
    exact = read_model(store)
    row, skus_ = exact.index.row("User", "u00"), exact.index.keys["Product"]
    scores = exact.ranker()(np.array([row]))[0]
    for query in (FOR_USER, "recommend/diverse"):
        found = {r["sku"]: r["score"] for r in rows(store, query, user="u00", limit=50)}
        assert found == pytest.approx({sku: scores[skus_.index(sku)] for sku in found}, abs=1e-5)
        assert len(found) == 11
    audience = rows(store, "insight/audience", sku="p00", limit=50)
    assert all(row["score"] is not None for row in audience)
    assert "u00" in {row["user"] for row in audience}


def test_without_the_known_filter_nothing_is_hidden(board: tuple[GraphStore, list[tuple[str, str]]]) -> None:
    store, _ = board
    known = [(row["u"], row["p"]) for row in store.read("MATCH (u:User)-[:BOUGHT]->(p) RETURN u.id AS u, p.sku AS p")]
    assert evaluate_recommend(store, known, (20,))["cypher"]["hr@20"] == 0.0
    shown = evaluate_recommend(store, known, (20,), known_filter=False)
    assert shown["cypher"]["recall@20"] == shown["exact"]["recall@20"] == 1.0


def test_what_was_bought_is_known_to_an_evaluation_even_if_it_is_consumed(
    board: tuple[GraphStore, list[tuple[str, str]]],
) -> None:
    """A shop sells coffee twice; whoever measures wants to know what is foretold that the user did not have."""
    store, _ = board
    known = [(row["u"], row["p"]) for row in store.read("MATCH (u:User)-[:BOUGHT]->(p) RETURN u.id AS u, p.sku AS p")]
    store.write("MATCH (p:Product) SET p.consumable = true")
    report = evaluate_recommend(store, known, (20,), compare=False)
    assert report["cypher"]["hr@20"] == report["exact"]["hr@20"] == 0.0


def test_unknown_users_and_products_are_counted_and_left_out(shop: GraphStore) -> None:
    pairs = [("anna", "T1"), ("anna", "no such sku"), ("nobody", "T1"), ("nobody", "T1"), ("ben", "S1")]
    report = evaluate_recommend(shop, pairs, (10, 20))
    assert (report["users"], report["pairs"], report["unknown_users"], report["unknown_products"]) == (2, 2, 1, 1)
    assert report["cypher"]["hr@10"] == report["exact"]["hr@10"] == 1.0
    with pytest.raises(BenchmarkError, match="None of the 1 held-out pairs"):
        evaluate_recommend(shop, [("nobody", "T1")])
    with pytest.raises(BenchmarkError, match="from 1"):
        evaluate_recommend(shop, pairs, (0,))


def test_the_index_cannot_be_measured_before_a_model_is_live(shop: GraphStore) -> None:
    with pytest.raises(BenchmarkError, match="No model is live"):
        index_recall(shop)


def test_the_shop_itself_can_be_trained_promoted_and_asked(shop: GraphStore, tmp_path: Path) -> None:
    trained = train(shop, home=tmp_path, device="cpu", settings=QUICK)
    write_embeddings(shop, trained)
    registry.promote(shop, trained.version)
    for user in ("anna", "ben", "cleo"):
        known = {row["p"] for row in shop.read("MATCH (:User {id: $u})-[:BOUGHT|RATED]->(p) RETURN p.sku AS p", u=user)}
        found = rows(shop, user=user)
        assert {row["sku"] for row in found} == {"G1", "G2", "S1", "S2", "T1"} - known
        assert all(row["reasons"] for row in found if row["score"] > 0)
