"""``kg ingest`` and ``kg holdout`` as a user calls them: what loads, what is rejected, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from embeddings.registry import Checkpoint, promote
from embeddings.scoring import ScoreWeights, no_weights
from embeddings.writeback import write_embeddings
from kg.app import jobs
from kg.app.session import MOST_REASONS, OTHER_REASONS, RejectFile, without_values
from kg.records import Reject
from kg.schema import DEFAULT_DIMENSIONS
from kg.store import GraphStore
from tests.app.conftest import Kg, lines

GUITAR = {"sku": "G1", "title": "Ashdown S-200", "price": 499, "brand": "Ashdown", "categories": [["Guitars"]]}
STRAP = {"sku": "S1", "title": "Birch strap &amp; pins", "description": "Fits the <b>Ashdown S-200</b>."}


def test_products_reviews_events_and_users_of_a_small_shop(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    answer = kg("ingest", "products", lines(tmp_path / "p.jsonl", GUITAR, STRAP), "--json")
    assert (answer.code, answer.json["loaded"], answer.json["rejected"]) == (0, 2, 0)
    review = {"id": "r1", "user": "anna", "sku": "S1", "rating": 5, "title": "Lovely", "text": "Comfortable."}
    kg("ingest", "reviews", lines(tmp_path / "r.jsonl", review))
    event = {"user": "anna", "sku": "G1", "type": "bought", "at": "2026-03-01T10:00:00Z"}
    kg("ingest", "events", lines(tmp_path / "e.jsonl", event))
    kg("ingest", "users", lines(tmp_path / "u.jsonl", {"user": "anna", "interests": ["jazz"], "friends": ["ben"]}))
    assert store.read(
        "MATCH (u:User {id: 'anna'})-[b:BOUGHT]->(g:Product) MATCH (u)-[:WROTE]->(r)-[:ABOUT]->(s) "
        "RETURN g.sku AS g, s.title AS s, r.rating AS rating, u.interests AS interests"
    ) == [{"g": "G1", "s": "Birch strap & pins", "rating": 5.0, "interests": ["jazz"]}]
    assert store.read("MATCH (d:Document {id: 'product:S1'}) RETURN d.text AS text") == [
        {"text": "Birch strap & pins\n\nFits the Ashdown S-200."}
    ]


def test_what_was_loaded_by_mistake_is_removed_by_its_key(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    kg("ingest", "products", lines(tmp_path / "p.jsonl", GUITAR, STRAP))
    answer = kg("remove", "products", "G1", "G9", "--json")
    assert (answer.code, answer.json) == (0, {"found": 1, "users": 0, "products": 1})
    assert store.read("MATCH (n:Product|Brand|Category) RETURN n.sku AS sku") == [{"sku": "S1"}]


def test_what_was_merely_extracted_is_no_name_of_the_catalogue_and_no_vote_for_a_shelf(shop: GraphStore) -> None:
    said = "{source: 'extraction', fact: 'f', confidence: 0.9, count: 1}"
    shop.write("MATCH (:Product {sku: 'T1'})-[r:IN_CATEGORY|MADE_BY]->() DELETE r")
    shop.write(
        "MATCH (tuner:Product {sku: 'T1'}), (amp:Product {sku: 'X1'}), (accessories:Category {path: 'Accessories'}),\n"
        "      (guitars:Category {path: 'Instruments > Guitars'})\n"
        f"CREATE (tuner)-[:MADE_BY {said}]->(:Brand {{key: 'nobody', name: 'Nobody'}}),\n"
        f"       (tuner)-[:IN_CATEGORY {said}]->(guitars), (amp)-[:IN_CATEGORY {said}]->(guitars),\n"
        "       (amp)-[:IN_CATEGORY {source: 'catalogue'}]->(accessories)"
    )
    known = jobs.lexicon(shop)
    shelves = {sku: known.products[sku].category for sku in ("G1", "T1", "X1")}
    assert shelves == {"G1": "Instruments > Guitars", "T1": None, "X1": "Accessories"}
    assert known.products["T1"].brand is None
    assert "nobody" not in known.brands


def test_each_bad_record_goes_to_the_rejects_with_its_line_and_the_rest_load(
    kg: Kg, store: GraphStore, tmp_path: Path
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(
        b'{"sku": "A", "title": "Fine"}\n'
        b'{"sku": "B", "title": \n'
        b'{"title": "No sku"}\n'
        b'{"sku": "C", "title": "Price", "price": "abc"}\n'
        b'{"sku": "D", "title": "\xff\xfe"}\n'
        b'{"sku": "A", "title": "Another"}\n'
        b'{"sku": "E", "title": "Fine, too"}\n'
    )
    answer = kg("ingest", "products", path)
    assert answer.code == 0
    assert "2 products loaded, 5 rejected" in answer.out
    rejects = [json.loads(line) for line in (tmp_path / "home" / "rejects.jsonl").read_text().splitlines()]
    assert [(r["file"], r["line"]) for r in rejects] == [(str(path), n) for n in (2, 3, 4, 5, 6)]
    assert all(r["reason"] for r in rejects)
    assert store.read("MATCH (p:Product) RETURN p.sku AS sku ORDER BY sku") == [{"sku": "A"}, {"sku": "E"}]


def test_a_vector_whose_name_cannot_be_a_property_costs_its_product_alone(
    kg: Kg, store: GraphStore, tmp_path: Path
) -> None:
    longest = "a" * 41
    path = lines(tmp_path / "p.jsonl", {**GUITAR, "vectors": {"clip-vit": [1]}}, {**STRAP, "vectors": {longest: [1]}})
    answer = kg("ingest", "products", path, "--json")
    assert (answer.code, answer.json["loaded"], answer.json["rejected"]) == (0, 1, 1)
    assert store.read(f"MATCH (p:Product) RETURN p.sku AS sku, p.vector_{longest} AS vector") == [
        {"sku": "S1", "vector": [1.0]}
    ]


def test_too_many_rejects_stop_the_load_and_keep_what_was_loaded(kg: Kg, tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", GUITAR, {"sku": "x"}, {"sku": "y"}, STRAP)
    answer = kg("ingest", "products", path, "--max-rejects", 1)
    assert answer.code == 1
    assert "More than 1 records" in answer.err
    assert "Traceback" not in answer.err
    assert len((tmp_path / "home" / "rejects.jsonl").read_text().splitlines()) == 2
    assert kg("ingest", "products", path, "--max-rejects", 2).code == 0


def test_an_event_for_an_unknown_product_is_rejected_with_its_line(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    kg("ingest", "products", lines(tmp_path / "p.jsonl", GUITAR))
    path = lines(
        tmp_path / "e.jsonl",
        {"user": "anna", "sku": "G1", "type": "viewed"},
        {"user": "anna", "sku": "ghost", "type": "viewed"},
    )
    assert kg("ingest", "events", path, "--json").json["rejected"] == 1
    (reject,) = (json.loads(line) for line in (tmp_path / "home" / "rejects.jsonl").read_text().splitlines())
    assert (reject["line"], "ghost" in reject["reason"]) == (2, True)
    assert "anna" not in json.dumps(reject)
    kg("ingest", "events", path, "--create-missing")
    assert store.read("MATCH (p:Product) RETURN p.sku AS sku ORDER BY sku") == [{"sku": "G1"}, {"sku": "ghost"}]


def test_an_amazon_review_is_also_a_rating_even_without_a_text(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    kg("ingest", "products", lines(tmp_path / "m.jsonl", {"asin": "B1", "title": "Strap"}), "--format", "amazon")
    base = {"reviewerName": "Anna Secret", "overall": "4.0", "summary": "ok", "asin": "B1"}
    path = lines(
        tmp_path / "r.jsonl",
        {**base, "reviewerID": "U1", "reviewText": "Holds well.", "unixReviewTime": "1393545600"},
        {**base, "reviewerID": "U2", "reviewText": "", "unixReviewTime": "1393545601"},
    )
    assert kg("ingest", "reviews", path, "--format", "amazon", "--json").json["rejected"] == 1
    assert store.read("MATCH (u)-[r:RATED]->() RETURN u.id AS u, r.rating AS rating ORDER BY u") == [
        {"u": "U1", "rating": 4.0},
        {"u": "U2", "rating": 4.0},
    ]
    assert store.read("MATCH (r:Review) RETURN count(r) AS n") == [{"n": 1}]
    assert store.read("MATCH (n) WHERE any(k IN keys(n) WHERE n[k] = 'Anna Secret') RETURN count(n) AS n") == [{"n": 0}]


def test_holding_out_the_last_record_of_each_user(kg: Kg, tmp_path: Path) -> None:
    path = lines(
        tmp_path / "e.jsonl",
        {"user": "anna", "sku": "B", "type": "bought", "at": 20},
        {"user": "anna", "sku": "C", "type": "bought", "at": 20},
        {"user": "anna", "sku": "Z", "type": "bought", "at": 10},
    )
    rest, pairs = tmp_path / "rest.jsonl", tmp_path / "pairs.jsonl"
    assert kg("holdout", path, "--remaining", rest, "--pairs", pairs).code == 0
    assert [json.loads(line) for line in pairs.read_text().splitlines()] == [{"user": "anna", "sku": "C"}]
    assert [json.loads(line)["sku"] for line in rest.read_text().splitlines()] == ["B", "Z"]


def test_reasons_are_counted_whatever_the_value_that_they_quote(kg: Kg, tmp_path: Path) -> None:
    kg("ingest", "products", lines(tmp_path / "p.jsonl", GUITAR))
    event = {"user": "anna", "sku": "G1", "type": "viewed"}
    ghosts = [{**event, "sku": f"it's {n}" if n % 2 else f'"{n}'} for n in range(300)]
    others = [{**event, "at": "spring"}, {**event, "at": "autumn"}, {**event, "type": "rated", "value": 9}]
    answer = kg("ingest", "events", lines(tmp_path / "e.jsonl", *ghosts, *others), "--json")
    assert answer.json["reasons"] == {
        "The catalogue has no product …; --create-missing would make it.": 300,
        "at is …; expected ISO 8601 (2024-05-31T18:00:00Z) or Unix seconds.": 2,
        "value is …; expected 1 to 5.": 1,
    }


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        ("price is -1.5e+30, not a finite number.", "price is …, not a finite number."),
        ("price is negative (-1).", "price is negative …."),
        (
            "title has 1,000,001 characters; at most 1,000 can be kept.",
            "title has … characters; at most 1,000 can be kept.",
        ),
        ("sku is [1, 'a'], not an id.", "sku is …, not an id."),
        ("at is '" + "x" * 58 + "…; expected ISO 8601.", "at is …; expected ISO 8601."),
        ("'A1' stands in this file before, with other content; that is kept.",) * 2,
        ("sku is missing.", "sku is missing."),
    ],
)
def test_a_reason_is_counted_without_its_value(reason: str, counted: str) -> None:
    assert without_values(reason) == counted.replace("'A1'", "…")


def test_reasons_without_number_are_counted_together(tmp_path: Path) -> None:
    with RejectFile(tmp_path / "rejects.jsonl") as rejects:
        for n in range(MOST_REASONS + 50):
            rejects(Reject(file="f", line=n, reason=f"reason{n}"))
    assert (len(rejects.reasons), rejects.reasons[OTHER_REASONS]) == (MOST_REASONS + 1, 50)


def test_sync_makes_nothing_inactive_unless_the_file_was_loaded_whole(
    kg: Kg, store: GraphStore, tmp_path: Path
) -> None:
    def active() -> list[str]:
        return [r["sku"] for r in store.read("MATCH (p:Product {active: true}) RETURN p.sku AS sku ORDER BY sku")]

    kg("ingest", "products", lines(tmp_path / "p.jsonl", GUITAR, STRAP))
    wrong = {
        "a bad line": lines(tmp_path / "bad.jsonl", GUITAR, {**STRAP, "price": "abc"}),
        "another kind": lines(tmp_path / "other.jsonl", {"user": "anna", "sku": "G1", "type": "viewed"}),
        "no line": tmp_path / "none.csv",
    }
    wrong["no line"].write_text("sku,title\n")
    for path in wrong.values():
        answer = kg("ingest", "products", path, "--sync")
        assert (answer.code, "no product inactive" in " ".join(answer.err.split())) == (1, True)
        assert active() == ["G1", "S1"]
    answer = kg("ingest", "products", wrong["a bad line"], "--sync", "--json")
    assert (answer.json["loaded"], answer.json["deactivated"], answer.json["sync_left_out"]) == (1, 0, True)
    answer = kg("ingest", "products", lines(tmp_path / "new.jsonl", GUITAR), "--sync", "--json")
    assert (answer.code, answer.json["deactivated"], answer.json["sync_left_out"]) == (0, 1, False)
    assert active() == ["G1"]


def test_sync_of_anything_but_products_is_refused(kg: Kg, tmp_path: Path) -> None:
    answer = kg("ingest", "events", lines(tmp_path / "e.jsonl", {}), "--sync")
    assert (answer.code, "--sync" in answer.err) == (1, True)


def three_straps_with_a_model(kg: Kg, store: GraphStore, folder: Path) -> None:
    old = [{"sku": f"P{n}", "title": f"Cotton strap {n}", "brand": "Birch"} for n in range(3)]
    kg("ingest", "products", lines(folder / "old.jsonl", *old))
    checkpoint = Checkpoint(
        version="m1",
        users=(),
        products=("P0", "P1", "P2"),
        user_vectors=np.zeros((0, DEFAULT_DIMENSIONS), dtype=np.float32),
        product_vectors=np.eye(DEFAULT_DIMENSIONS, dtype=np.float32)[[0, 0, 1]],
        similar=no_weights(3, 3),
        popularity=np.array([1.0, 0.5, 0.0], dtype=np.float32),
        weights=ScoreWeights(embedding=1.0, similar=1.0),
        settings={"factors": {"made_by": 1.0, "text": 1.0}},
    )
    write_embeddings(store, checkpoint)
    promote(store, "m1")


def test_while_a_model_is_live_a_newcomer_gets_a_place_in_it_at_once(kg: Kg, store: GraphStore, tmp_path: Path) -> None:
    three_straps_with_a_model(kg, store, tmp_path)
    new = lines(tmp_path / "new.jsonl", {"sku": "N1", "title": "Cotton strap, green", "brand": "Birch"})
    assert kg("ingest", "products", new).code == 0
    assert kg("extract", "--json").json["placed"] == 1
    seen = lines(tmp_path / "events.jsonl", {"user": "anna", "sku": "P2", "type": "bought", "at": 1})
    assert kg("ingest", "events", seen, "--json").json["users_placed"] == 1
    (row,) = kg("query", "recommend/for_user", "--param", "user=anna", "--param", "limit=1", "--json").json
    assert row["sku"] == "N1"
    assert {reason["term"] for reason in row["reasons"]} >= {"SIMILAR_TO", "EMBEDDING"}


@pytest.mark.parametrize("at", [None, "2001-01-01T00:00:00Z"])
def test_whoever_did_something_new_moves_whenever_it_was_and_once(
    kg: Kg, store: GraphStore, tmp_path: Path, at: str | None
) -> None:
    def load(name: str, *events: dict[str, str | None]) -> int:
        return int(kg("ingest", "events", lines(tmp_path / name, *events), "--json").json["users_placed"])

    def places() -> list[list[float]]:
        vector = "coalesce(u.embedding_blue, u.embedding_green)"
        return [row["v"] for row in store.read(f"MATCH (u:User) RETURN {vector} AS v ORDER BY u.id")]

    three_straps_with_a_model(kg, store, tmp_path)
    first = [{"user": user, "sku": "P2", "type": "bought", "at": at} for user in ("anna", "ben")]
    assert load("first.jsonl", *first) == 2
    more = [
        {"user": "anna", "sku": "P0", "type": "bought", "at": at},
        {"user": "ben", "sku": "P2", "type": "bought", "at": at},  # as in the first file
        {"user": "ben", "sku": "P0", "type": "exposed", "at": at},  # what he is shown is nothing that he did
    ]
    before = places()
    assert load("more.jsonl", *more) == 1
    after = places()
    assert [was == now for was, now in zip(before, after, strict=True)].count(False) == 1
    assert load("more.jsonl", *more) == 0
    assert places() == after
    assert store.read("MATCH (u:User) WHERE u.waiting IS NOT NULL RETURN u.id") == []
