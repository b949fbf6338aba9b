"""The main job from files to recommendations, through ``kg`` alone, on a world whose right answers are known.

Eighty users, sixty products: even users buy even products, odd users odd ones.
Products of a kind share nothing but their buyers.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import neo4j
import pytest

from kg import catalogue, localdb
from kg.store import GraphStore
from tests.app.conftest import Kg, lines


@pytest.fixture
def trained(kg: Kg, tmp_path: Path) -> tuple[Kg, Path]:
    """The world loaded, trained and promoted; the path is that of the held-out pairs."""
    rng = random.Random(1)
    skus = [f"i{n}" for n in range(60)]
    products = ({"sku": sku, "title": f"Thing {sku}"} for sku in skus)
    events, held_out = [], []
    for u in range(80):
        mine = rng.sample(skus[u % 2 :: 2], 9)
        events += [{"user": f"u{u}", "sku": sku, "type": "bought"} for sku in mine[:8]]
        held_out.append({"user": f"u{u}", "sku": mine[8]})
    for kind, rows in (("products", products), ("events", events)):
        assert kg("ingest", kind, lines(tmp_path / f"{kind}.jsonl", *rows)).code == 0
    assert kg("extract").code == 0
    trained = kg("train", "--json")
    assert trained.code == 0, trained.err
    promoted = kg("promote")
    assert promoted.code == 0, promoted.err
    return kg, lines(tmp_path / "holdout.jsonl", *held_out)


LIVE = "MATCH (s:Serving {name: 'model'}), (m:ModelVersion {id: s.version}) RETURN m.id AS id, m.slot AS slot"


def test_everything_from_files_to_recommendations(
    trained: tuple[Kg, Path], store: GraphStore, database: localdb.Connection
) -> None:
    kg, held_out = trained

    # Recommendations are of the user's own kind, and nothing that the user has.
    rows = kg("query", "recommend/for_user", "--param", "user=u1", "--param", "limit=5", "--json").json
    bought = {row["sku"] for row in store.read("MATCH (:User {id: 'u1'})-[:BOUGHT]->(p) RETURN p.sku AS sku")}
    assert len(rows) == 5
    assert all(int(row["sku"][1:]) % 2 == 1 for row in rows)
    assert bought.isdisjoint(row["sku"] for row in rows)
    assert all(row["reasons"] for row in rows)

    # The same text through the plain driver gives the same rows.
    query = catalogue.find("recommend/for_user")
    with neo4j.GraphDatabase.driver(database.uri, auth=(database.username, database.password)) as driver:
        records = driver.execute_query(query.text, {"user": "u1", "limit": 5}, database_="neo4j").records
    assert [record["sku"] for record in records] == [row["sku"] for row in rows]

    # Someone whom the graph does not know gets what is popular.
    strangers = kg("query", "recommend/for_user", "--param", "user=nobody", "--json")
    assert len(strangers.json) == 10
    assert "no User with the id given as user: these rows are what anybody would get." in strangers.err

    # Held-out products: half of the catalogue is wrong, of the other half eight are known; 10 of 22 would be chance.
    report = kg("evaluate", "recommend", "--holdout", held_out, "--k", "10,20").json
    assert (report["users"], report["products"]) == (80, 60)
    for part in ("cypher", "exact"):
        assert set(report[part]) >= {"recall@20", "ndcg@20", "hr@10", "ndcg@10", "mrr", "coverage"}
    assert report["cypher"]["recall@20"] == pytest.approx(report["exact"]["recall@20"], abs=0.02)
    assert report["cypher"]["recall@20"] > 0.7
    assert {"popularity", "item_knn"} <= set(report["baselines"])
    everything = kg("evaluate", "recommend", "--holdout", held_out, "--k", "10,20", "--no-known-filter").json
    assert everything["cypher"]["recall@20"] < report["cypher"]["recall@20"]

    # The index finds what the exact order puts first.
    assert kg("benchmark", "index", "--json").json["recall@20"] >= 0.98

    # A second model takes the other slot; rolling back makes the first live again.
    first = store.read(LIVE)[0]
    runs = kg("schedule", "trigger", "extract", "--chain", "--json").json
    assert {(run["job"], run["outcome"]) for run in runs} == {
        ("extract", "succeeded"),
        ("train", "succeeded"),
        ("promote", "succeeded"),
        ("insight", "succeeded"),
    }
    # Even and odd users are two kinds, or cut finer, never mixed. Without a name for a shelf or a maker they are of all
    # sorts; without times nobody is known to come back.
    segments = kg("query", "insight/segments", "--param", "members=1000", "--json").json
    assert len(segments) >= 2
    assert all(len({int(user[1:]) % 2 for user in row["members"]}) == 1 for row in segments)
    second = store.read(LIVE)[0]
    assert second["id"] != first["id"]
    assert {first["slot"], second["slot"]} == {"blue", "green"}
    assert kg("rollback", "--json").json == {"version": first["id"]}
    again = kg("query", "recommend/for_user", "--param", "user=u1", "--param", "limit=5", "--json").json
    assert [row["sku"] for row in again] == [row["sku"] for row in rows]
    # Neo4j computes cosines in single precision, and not always in one order of the sum.
    assert [row["score"] for row in again] == pytest.approx([row["score"] for row in rows], rel=1e-5)

    # All of it is in the record.
    history = kg("schedule", "history", "--json").json
    assert {(run["job"], run["outcome"]) for run in history} == {
        ("extract", "succeeded"),
        ("train", "succeeded"),
        ("promote", "succeeded"),
        ("insight", "succeeded"),
    }
    assert all(run["seconds"] > 0 for run in history)


def test_with_a_pseudonym_key_a_user_is_asked_for_by_the_shops_id(
    kg: Kg, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KG_PSEUDONYM_KEY", "a secret of the shop")
    kg("ingest", "products", lines(tmp_path / "p.jsonl", *({"sku": f"i{n}", "title": f"Thing {n}"} for n in range(4))))
    events = ({"user": f"u{n}@example.org", "sku": f"i{n % 2}", "type": "bought"} for n in range(3))
    kg("ingest", "events", lines(tmp_path / "e.jsonl", *events))
    rows = kg("query", "recommend/for_user", "--param", "user=u0@example.org", "--json").json
    # Of what nobody has met yet as much is thought as of the median of the others, which one user's purchase is below.
    assert [row["sku"] for row in rows] == ["i2", "i3", "i1"]
    assert store.read("MATCH (u:User) WHERE u.id CONTAINS '@' RETURN count(u) AS n") == [{"n": 0}]
    # Lists of users, too: of the two who looked at i3 one is not to be addressed.
    kg(
        "ingest",
        "events",
        lines(tmp_path / "v.jsonl", *({"user": f"u{n}@example.org", "sku": "i3", "type": "viewed"} for n in range(2))),
    )
    audience = ("query", "insight/audience", "--param", "sku=i3", "--json")
    assert len(kg(*audience).json) == 2
    assert len(kg(*audience, "--param", 'exclude=["u0@example.org"]').json) == 1


def test_what_marked_texts_teach_is_kept_apart_from_the_checkpoints(kg: Kg, tmp_path: Path) -> None:
    marked = [
        {
            "input": f"{colour} {thing} {n}",
            "category": "Straps",
            "target_scores": {"Color": {colour: 1}, "Type": {thing: 1}},
        }
        for n in range(5)
        for colour in ("Black", "Red", "Green")
        for thing in ("strap", "belt")
    ]
    path = lines(tmp_path / "marked.jsonl", *marked)
    assert kg("train-extraction", path, "--format", "ae", "--json").json["examples"] == 30
    again = kg("train-extraction", path, "--format", "ae", "--json").json
    assert again["examples"] == 30
    report = kg("evaluate", "extraction", "--gold", path, "--format", "ae").json
    assert (report["documents"], set(report) >= {"precision", "recall", "f1", "by_attribute"}) == (30, True)
    assert report["f1"] > 0.9
    # The newest checkpoint is not what was learned here.
    assert "No checkpoint" in kg("promote").err
    # What was learned is the extractor of this home.
    learned = again["version"]
    product = {"sku": "S1", "title": "Green belt 77", "categories": [["Straps"]]}
    kg("ingest", "products", lines(tmp_path / "products.jsonl", product))
    # It reads attributes beside the head of opinions that ships, whose version stands after its own.
    assert f".{learned}s" in kg("extract", "--json").json["version"]
    # It learns corrections too, and says what it would ask next.
    suggested = kg("suggest-corrections", path, "--format", "ae", "--limit", "2").out.splitlines()
    assert len(suggested) == 2
    (tmp_path / "corrections.jsonl").write_text("\n".join(suggested))
    corrected = kg("train-extraction", "--from-corrections", tmp_path / "corrections.jsonl", "--json").json
    assert (corrected["read"], corrected["examples"]) == (2, 30)
    assert corrected["version"] != learned
    assert kg("train-extraction", "--json").code == 1


def test_training_on_an_empty_graph_says_what_is_missing(kg: Kg) -> None:
    answer = kg("train")
    assert answer.code == 1
    assert answer.err.startswith("kg: ")
    assert "Traceback" not in answer.err


def test_promoting_without_a_checkpoint_says_what_to_do(kg: Kg) -> None:
    answer = kg("promote")
    assert (answer.code, "kg train" in answer.err) == (1, True)


def test_evaluating_without_a_model_says_what_to_do(kg: Kg, tmp_path: Path) -> None:
    answer = kg("evaluate", "recommend", "--holdout", lines(tmp_path / "h.jsonl", {"user": "u", "sku": "s"}))
    assert answer.code == 1
    assert answer.err.startswith("kg: ")


def test_a_broken_holdout_file_is_named_with_its_line(kg: Kg, tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(json.dumps({"user": "u", "sku": "s"}) + '\n{"user": "u"}\n')
    answer = kg("evaluate", "recommend", "--holdout", path)
    assert (answer.code, "line 2" in answer.err) == (1, True)
