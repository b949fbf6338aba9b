"""The named shop with a live model that was written before somebody or something new came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from embeddings import foldin, registry
from embeddings.foldin import fold_in_products, fold_in_users, unplaced_products
from embeddings.registry import LiveModel
from embeddings.writeback import write_embeddings
from kg.catalogue import load, run
from kg.removal import remove
from kg.store import GraphStore
from tests.embeddings.test_writeback import WIDTH, model


@pytest.fixture
def served(shop: GraphStore) -> GraphStore:
    """A model is live in which a brand counts 0.5, and a newcomer's relations five times."""
    factors = {"made_by": 0.5, "text": 2.0, "praised_for": 1.0}
    checkpoint = replace(model("m1"), settings={"factors": factors, "lift": 4.0})
    write_embeddings(shop, checkpoint)
    registry.promote(shop, "m1")
    return shop


def add_strap(store: GraphStore) -> None:
    """Like G2 and S1 it is of Birch; nobody has met it, and no model knows it."""
    store.write(
        "MATCH (b:Brand {key: 'birch'})\n"
        "CREATE (:Product {sku: 'S3', title: 'Birch cotton strap', active: true})-[:MADE_BY {source: 'catalogue'}]->(b)"
    )


def vector(store: GraphStore, label: str, key: str) -> list[float] | None:
    name = "id" if label == "User" else "sku"
    rows = store.read(f"MATCH (n:{label} {{{name}: $key}}) RETURN n.embedding_blue AS v", key=key)
    found: list[float] | None = rows[0]["v"]
    return found


def relations(store: GraphStore, sku: str) -> list[tuple[str, str, float]]:
    rows = store.read(
        "MATCH (a:Product)-[r:SIMILAR_TO {model: 'm1'}]->(b:Product) WHERE $sku IN [a.sku, b.sku]\n"
        "RETURN a.sku AS a, b.sku AS b, r.weight AS w ORDER BY a, b",
        sku=sku,
    )
    return [(row["a"], row["b"], round(row["w"], 4)) for row in rows]


def test_a_user_stands_at_the_mean_of_what_interests_them(served: GraphStore) -> None:
    served.write(
        "MATCH (u:User {id: 'cleo'}), (a:Product {sku: 'G1'}), (b:Product {sku: 'G2'})\n"
        "CREATE (u)-[:CARTED {count: 1, strength: 0.6}]->(a), (u)-[:VIEWED {count: 1, strength: 0.8}]->(b)"
    )
    assert fold_in_users(served, ["cleo"]) == 1
    assert vector(served, "User", "cleo") == pytest.approx([0.6, 0.8, *[0.0] * (WIDTH - 2)], abs=1e-6)


def test_interest_of_long_ago_counts_less(served: GraphStore) -> None:
    served.write(
        "MATCH (u:User {id: 'cleo'}), (a:Product {sku: 'G1'}), (b:Product {sku: 'G2'})\n"
        "SET u.last_at = datetime('2026-01-01T00:00:00Z')\n"
        "CREATE (u)-[:CARTED {count: 1, strength: 1.0, at: u.last_at}]->(a),\n"
        "       (u)-[:CARTED {count: 1, strength: 1.0, at: u.last_at - duration({days: 365})}]->(b)"
    )
    fold_in_users(served, ["cleo"])
    assert vector(served, "User", "cleo") == pytest.approx([2.0 / 5**0.5, 1.0 / 5**0.5, *[0.0] * (WIDTH - 2)], abs=1e-6)


def test_who_was_seen_since_moves_and_who_was_trained_on_stays(served: GraphStore) -> None:
    trained = vector(served, "User", "ben")
    assert fold_in_users(served, ["anna", "ben", "nobody"]) == 0
    served.write(
        "MATCH (u:User {id: 'ben'}), (p:Product {sku: 'S1'})\n"
        "SET u.last_at = datetime() + duration({days: 1})\n"
        "CREATE (u)-[:BOUGHT {count: 1, strength: 1.0, at: u.last_at}]->(p)"
    )
    assert fold_in_users(served, ["anna", "ben"]) == 1
    moved = vector(served, "User", "ben")
    assert moved != trained
    assert moved is not None
    assert np.argmax(moved) == 0  # towards the strap, S1


def test_a_user_without_any_interest_gets_no_vector(served: GraphStore) -> None:
    assert fold_in_users(served, ["cleo"]) == 0
    assert vector(served, "User", "cleo") is None


def test_who_has_nothing_left_of_what_interested_them_loses_the_vector(served: GraphStore) -> None:
    served.write(
        "MATCH (u:User {id: 'cleo'}), (p:Product {sku: 'T1'})\n"
        "SET u.language = 'en'\n"
        "CREATE (u)-[:BOUGHT {count: 1, strength: 1.0, at: datetime('2026-03-03T10:00:00Z')}]->(p)"
    )
    assert fold_in_users(served, ["cleo"]) == 1
    remove(served, "products", ["T1"])
    fold_in_users(served, foldin.waiting_users(served))
    assert vector(served, "User", "cleo") is None
    assert vector(served, "User", "ben") is not None  # who has something else
    assert foldin.waiting_users(served) == []


def test_a_new_product_is_related_and_recommended(served: GraphStore) -> None:
    add_strap(served)
    assert unplaced_products(served) == ["S2", "S3"]
    assert fold_in_products(served, ["S3"]) == 1
    share = 0.5 / 3**0.5  # of a brand of three
    assert relations(served, "S3") == [
        ("G2", "S3", round(5 * share, 4)),
        ("S1", "S3", round(5 * share, 4)),
        ("S3", "G2", round(share * (1 + 4 / 2), 4)),  # ben has looked at the acoustic
        ("S3", "S1", round(share * (1 + 4 / 2), 4)),  # anna has rated the strap
    ]
    assert vector(served, "Product", "S3") == pytest.approx([0.5**0.5, 0.5**0.5, *[0.0] * (WIDTH - 2)], abs=1e-6)
    assert served.read("MATCH (p:Product {sku: 'S3'}) RETURN p.popularity AS p") == [
        {"p": pytest.approx(0.6)}
    ]  # the median
    rows = run(served, load()["recommend/for_user"], {"user": "anna", "limit": 10})
    (strap,) = [row for row in rows if row["sku"] == "S3"]
    assert strap["reasons"][0]["term"] == "SIMILAR_TO"


def test_a_relation_onto_another_is_lifted_by_the_users_who_met_it_and_not_by_what_they_did(served: GraphStore) -> None:
    add_strap(served)
    served.write(
        "MATCH (anna:User {id: 'anna'}), (ben:User {id: 'ben'}), (p:Product {sku: 'S1'})\n"
        "CREATE (anna)-[:VIEWED {count: 9, strength: 0.5}]->(p), (anna)-[:CARTED {count: 1, strength: 1.0}]->(p),\n"
        "       (ben)-[:VIEWED {count: 1, strength: 0.0}]->(p)"
    )
    fold_in_products(served, ["S3"])
    (onto,) = [weight for a, b, weight in relations(served, "S3") if (a, b) == ("S3", "S1")]
    assert onto == round(0.5 / 3**0.5 * (1 + 4 / 2), 4)  # anna alone


def test_who_met_a_well_known_product_is_not_counted_one_by_one(
    served: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each newcomer would read all the relationships of the products like it."""
    add_strap(served)
    served.write(
        "MATCH (anna:User {id: 'anna'}), (p:Product {sku: 'S1'}) "
        "UNWIND range(1, 4) AS _ CREATE (anna)-[:VIEWED {count: 1, strength: 0.5}]->(p)"
    )
    met = served.read("RETURN COUNT { (:Product {sku: 'S1'})<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-() } AS n")[0]["n"]
    monkeypatch.setattr(foldin, "KNOWN", met - 1)
    fold_in_products(served, ["S3"])
    (onto,) = [weight for a, b, weight in relations(served, "S3") if (a, b) == ("S3", "S1")]
    assert onto == round(0.5 / 3**0.5 * (1 + 4 / (1 + met)), 4)


def test_praise_brings_products_together_where_three_reviews_agree(served: GraphStore) -> None:
    served.write(
        "CREATE (n:Product {sku: 'N1', title: 'New', active: true}), (a:Aspect {key: 'sound'})\n"
        "WITH n, a\nMATCH (g:Product {sku: 'G1'}), (t:Product {sku: 'T1'})\n"
        "CREATE (n)-[:PRAISED_FOR {count: 3}]->(a), (g)-[:PRAISED_FOR {count: 4}]->(a),\n"
        "       (t)-[:PRAISED_FOR {count: 2}]->(a)"
    )
    assert fold_in_products(served, ["N1"]) == 1
    assert [(a, b) for a, b, _ in relations(served, "N1")] == [("G1", "N1"), ("N1", "G1")]
    served.write("MATCH (:Product {sku: 'G1'})-[r:PRAISED_FOR]->() SET r.count = 1")
    served.write("CREATE (:Product {sku: 'N2', title: 'New', active: true})")
    served.write("MATCH (n:Product {sku: 'N2'}), (a:Aspect {key: 'sound'}) CREATE (n)-[:PRAISED_FOR {count: 2}]->(a)")
    assert fold_in_products(served, ["N2"]) == 0


def test_texts_bring_products_together(served: GraphStore) -> None:
    served.write(
        "MATCH (a:Product {sku: 'G1'}), (b:Product {sku: 'T1'}) SET a.text_embedding = $one, b.text_embedding = $far\n"
        "CREATE (:Product {sku: 'N1', title: 'New', active: true, text_embedding: $close})",
        one=[1.0, *[0.0] * 383],
        far=[-0.6, -0.8, *[0.0] * 382],
        close=[0.8, 0.6, *[0.0] * 382],
    )
    served.autocommit("CALL db.awaitIndexes(60)")
    assert fold_in_products(served, ["N1"]) == 1
    # 2 · .8², and nothing for a text that points away.
    assert relations(served, "N1") == [("G1", "N1", round(5 * 1.28, 4)), ("N1", "G1", round(1.28 * (1 + 4 / 3), 4))]


def test_again_changes_nothing(served: GraphStore) -> None:
    add_strap(served)
    fold_in_products(served, ["S3"])
    before = relations(served, "S3")
    assert fold_in_products(served, ["S3"]) == 0
    assert relations(served, "S3") == before


def test_a_product_like_no_other_is_left_alone(served: GraphStore) -> None:
    served.write("CREATE (:Product {sku: 'N1', title: 'New', active: true})")
    assert fold_in_products(served, ["N1", "unknown"]) == 0
    assert vector(served, "Product", "N1") is None


def test_without_a_live_model_nothing_happens(shop: GraphStore) -> None:
    assert (fold_in_users(shop, ["anna"]), fold_in_products(shop, ["G1"]), unplaced_products(shop)) == (0, 0, [])


def test_of_a_model_that_has_just_been_replaced_nothing_is_written(
    served: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_strap(served)
    old = registry.live(served)

    def late(store: GraphStore) -> LiveModel | None:
        return old

    write_embeddings(served, model("m2"))
    registry.promote(served, "m2")
    monkeypatch.setattr(foldin, "live", late)
    assert fold_in_products(served, ["S3"]) == 0
    assert (vector(served, "Product", "S3"), relations(served, "S3")) == (None, [])


def test_many_are_read_and_written_by_parts(served: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foldin, "_BATCH", 2)
    users = [f"u{n}" for n in range(5)]
    made: Any = served.write(
        "UNWIND $users AS id MATCH (p:Product {sku: 'G1'})\n"
        "CREATE (u:User {id: id})-[:VIEWED {count: 1, strength: 1.0}]->(p) RETURN count(u) AS n",
        users=users,
    )
    assert made == [{"n": 5}]
    assert fold_in_users(served, users) == 5
