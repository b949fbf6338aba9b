"""Records that are posted: in the graph when they are answered, each once however often they are sent."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from extraction.pipeline import Extractor
from kg import streams
from kg.app import logs
from kg.app.receive import Receiver, application
from kg.app.refresh import Reader, Refresher
from kg.errors import ConnectionFailedError
from kg.settings import Settings
from kg.store import GraphStore
from kg.streams import Loaded
from tests.app.conftest import Kg
from tests.app.following import leave_behind
from tests.embeddings.test_foldin import served, vector
from tests.faults.stream import wait

__all__ = ["served"]  # a fixture

NDJSON = {"Content-Type": "application/x-ndjson"}
KEY = "a key of the till, long enough"
VIEW = {"user": "anna", "type": "viewed", "sku": "T1", "at": 4_102_444_800}


@pytest.fixture
def receiver(shop: GraphStore, tmp_path: Path) -> Receiver:
    """For events and users: no text is read, so no model is loaded."""
    settings = Settings.load({"KG_HOME": str(tmp_path)})
    return Receiver(shop, settings, kinds=("events", "users"), rejects=tmp_path / "rejects.jsonl")


@pytest.fixture
def client(receiver: Receiver) -> Iterator[TestClient]:
    with TestClient(application(receiver), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def lines(*records: dict[str, Any] | str) -> str:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)


def views(store: GraphStore) -> dict[tuple[str, str], int]:
    rows = store.read("MATCH (u:User)-[r:VIEWED]->(p:Product) RETURN u.id AS user, p.sku AS sku, r.count AS count")
    return {(row["user"], row["sku"]): row["count"] for row in rows if row["sku"] == "T1"}


def test_what_is_answered_stands_in_the_graph(client: TestClient, shop: GraphStore) -> None:
    answer = client.post("/events", json=VIEW)
    assert (answer.status_code, answer.json()) == (200, {"loaded": 1, "rejected": []})
    assert views(shop) == {("anna", "T1"): 1}


def test_bad_records_come_back_and_go_to_the_rejects(client: TestClient, shop: GraphStore, tmp_path: Path) -> None:
    body = lines(VIEW, "broken", "", VIEW | {"user": "ben"}, VIEW | {"sku": "X9"}, {"type": "viewed", "sku": "T1"})
    answer = client.post("/events", content=body, headers=NDJSON)
    assert answer.status_code == 200
    assert answer.json()["loaded"] == 2
    assert [r["index"] for r in answer.json()["rejected"]] == [1, 3, 4]
    assert answer.json()["rejected"][1]["reason"] == "The catalogue has no product 'X9'."
    assert views(shop) == {("anna", "T1"): 1, ("ben", "T1"): 1}
    kept = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert sorted(r["reason"] for r in kept) == sorted(r["reason"] for r in answer.json()["rejected"])
    nothing = client.post("/events", content=lines("broken"), headers=NDJSON)
    assert (nothing.status_code, nothing.json()["loaded"]) == (422, 0)
    assert client.post("/events", content=b"").status_code == 422


def test_sent_again_it_counts_once(client: TestClient, shop: GraphStore) -> None:
    for _ in range(2):
        client.post("/events", json=VIEW)
    assert views(shop) == {("anna", "T1"): 1}


def test_events_without_a_time_need_a_key_and_count_once_for_each(client: TestClient, shop: GraphStore) -> None:
    untimed = {name: value for name, value in VIEW.items() if name != "at"}
    refused = client.post("/events", json=untimed)
    assert refused.status_code == 422
    assert "Idempotency-Key" in refused.json()["rejected"][0]["reason"]
    # An empty one is the same for every request: two that differ would be taken for one.
    for empty in ("", "  "):
        refused = client.post("/events", json=untimed, headers={"Idempotency-Key": empty})
        assert (refused.status_code, views(shop)) == (422, {})
    for key in ("first", "first", "second"):
        client.post("/events", content=lines(untimed, untimed), headers=NDJSON | {"Idempotency-Key": key})
    assert views(shop) == {("anna", "T1"): 4}


def test_what_the_database_refuses_is_rejected_alone(
    client: TestClient, shop: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extraction.corpus.fields.MAX_KEY", 100_000)
    users = [{"user": "dora"}, {"user": "x" * 40_000}, {"user": "emil"}]
    answer = client.post("/users", content=lines(*users), headers=NDJSON)
    assert (answer.json()["loaded"], [r["index"] for r in answer.json()["rejected"]]) == (2, [1])
    known = shop.read("MATCH (u:User) WHERE u.id IN ['dora', 'emil'] RETURN count(u) AS n")
    assert known == [{"n": 2}]


def test_an_unknown_product_beside_what_the_database_refuses_is_rejected_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("extraction.corpus.fields.MAX_KEY", 100_000)
    body = [VIEW | {"sku": "X9"}, VIEW, VIEW | {"user": "x" * 40_000}, VIEW | {"user": "ben"}]
    answer = client.post("/events", content=lines(*body), headers=NDJSON)
    assert (answer.json()["loaded"], [r["index"] for r in answer.json()["rejected"]]) == (2, [0, 2])
    kept = [json.loads(line)["line"] for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert sorted(kept) == [1, 3]


@pytest.mark.parametrize("bound", ["MOST_WAITING", "MOST_UNREAD", "MOST_UNPLACED"])
def test_who_sends_too_much_is_asked_to_come_later(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"kg.app.receive.{bound}", 0)
    answer = client.post("/events", json=VIEW)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


def test_texts_that_came_before_or_to_another_count_among_those_that_wait(
    shop: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, real = threading.Event(), Reader.extractor

    def extractor(reader: Reader, store: GraphStore) -> Extractor:
        slow.wait()
        return real(reader, store)

    monkeypatch.setattr(Reader, "extractor", extractor)
    monkeypatch.setattr("kg.app.receive.MOST_UNREAD", 2)
    shop.write("MATCH (d:Document) SET d.waiting = $mark", mark=streams.mark(shop.now()))
    settings = Settings.load({"KG_HOME": str(tmp_path)})
    receiver = Receiver(shop, settings, kinds=("reviews",), rejects=tmp_path / "rejects.jsonl")
    review = {"id": "r9", "user": "cleo", "sku": "S1", "text": "Very comfortable."}
    with TestClient(application(receiver), base_url="http://localhost") as client:
        try:
            wait(lambda: receiver._texts.waiting == 2)
            assert client.post("/reviews", json=review).status_code == 429
        finally:
            slow.set()
        wait(lambda: client.post("/reviews", json=review).status_code == 200)


def test_without_the_database_it_is_said_and_nothing_is_lost(
    client: TestClient, shop: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionFailedError("bolt://secret does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(streams, "load_piece", away)
        answer = client.post("/events", json=VIEW)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "secret" not in answer.text
    client.post("/events", json=VIEW)
    assert views(shop) == {("anna", "T1"): 1}


def test_an_impossible_quantity_is_rejected_and_the_next_purchase_counts(client: TestClient, shop: GraphStore) -> None:
    bought = VIEW | {"type": "bought", "user": "dora"}
    answer = client.post("/events", content=lines(bought | {"value": 1e19}, bought | {"value": 2}), headers=NDJSON)
    assert (answer.json()["loaded"], [r["index"] for r in answer.json()["rejected"]]) == (1, [0])
    assert shop.read("MATCH (:User {id: 'dora'})-[r:BOUGHT]->() RETURN r.count AS n") == [{"n": 2}]


def test_a_bug_at_one_request_ends_no_other(
    client: TestClient, shop: GraphStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise OverflowError("Integer out of bounds")

    logs.configure()
    with monkeypatch.context() as patch:
        patch.setattr(streams, "load_piece", bug)
        answer = client.post("/events", json=VIEW)
    assert (answer.status_code, "Integer" in answer.text) == (500, False)
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (told,) = [line for line in logged if line["event"] == "requests were not written, by a bug; others are"]
    assert (told["level"], told["kinds"]) == ("error", "events")
    assert "OverflowError" in told["exception"]
    assert client.post("/events", json=VIEW).status_code == 200
    assert views(shop) == {("anna", "T1"): 1}


def test_what_libraries_log_is_a_line_of_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    for _ in range(2):
        logs.configure_libraries()
    try:
        logging.getLogger("uvicorn.error").warning("Invalid %s received.", "HTTP request")
    finally:
        root.handlers = before
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "Invalid HTTP request received.",
        "level": "warning",
        "timestamp": "",
    }


def test_a_bug_while_users_are_served_is_tried_again(
    served: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def bug(*_: object, **__: object) -> None:
        tried.set()
        raise ZeroDivisionError

    monkeypatch.setattr("kg.app.receive.AFTER_BUG_S", 0.1)
    settings = Settings.load({"KG_HOME": str(tmp_path)})
    receiver = Receiver(served, settings, kinds=("events",), rejects=tmp_path / "rejects.jsonl")
    before = vector(served, "User", "anna")
    with TestClient(application(receiver), base_url="http://localhost") as client:
        with monkeypatch.context() as patch:
            patch.setattr("kg.app.refresh.Refresher.after", bug)
            client.post("/events", json=VIEW)
            wait(tried.is_set)
        wait(lambda: vector(served, "User", "anna") != before)


def test_posts_that_never_pause_do_not_keep_others_work_waiting(
    served: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(
        served, Settings.load({"KG_HOME": str(tmp_path)}), kinds=("events",), rejects=tmp_path / "rejects.jsonl"
    )

    def after(_refresher: Refresher, loaded: Loaded) -> None:
        time.sleep(0.01)
        receiver._users.put(loaded.users)  # more has come meanwhile

    monkeypatch.setattr("kg.app.refresh.SWEEP_S", 0.1)
    monkeypatch.setattr(Refresher, "after", after)
    with TestClient(application(receiver), base_url="http://localhost") as client:
        client.post("/events", json=VIEW)
        wait(lambda: receiver._users.waiting > 0)
        leave_behind(served)
        wait(lambda: streams.count_waiting(served) == 0)


def test_other_paths_and_methods_are_refused(client: TestClient) -> None:
    assert client.post("/products", json={}).status_code == 404
    assert client.get("/events").status_code == 405
    assert client.get("/health/live").json() == {"status": "ok"}
    client.post("/events", json=VIEW)
    assert 'kg_http_requests_total{method="POST",route="/events",status="200"}' in client.get("/metrics").text


def test_metrics_tell_what_became_of_records_and_what_waits(client: TestClient, shop: GraphStore) -> None:
    client.post("/events", content=lines(VIEW, VIEW | {"sku": "X9"}, "broken"), headers=NDJSON)
    shown = client.get("/metrics").text.splitlines()
    assert 'kg_ingest_records_total{kind="events",outcome="loaded"} 1.0' in shown
    assert 'kg_ingest_records_total{kind="events",outcome="rejected"} 2.0' in shown
    assert "kg_ingest_queued 0.0" in shown
    assert "kg_ingest_unread 0.0" in shown


def test_only_a_key_that_may_write_writes(receiver: Receiver, shop: GraphStore) -> None:
    with TestClient(application(receiver, keys=[KEY]), base_url="http://shop.example") as client:
        assert client.post("/events", json=VIEW).status_code == 401
        assert client.post("/events", json=VIEW, headers={"X-API-Key": "a key that may read only"}).status_code == 401
        assert client.post("/events", json=VIEW, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_without_keys_no_other_machine_may_write(receiver: Receiver) -> None:
    with TestClient(application(receiver), base_url="http://shop.example") as client:
        answer = client.post("/events", json=VIEW)
    assert answer.status_code == 421
    assert "KG_INGEST_KEYS" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}]
)
def test_without_keys_no_page_of_another_site_may_write(
    client: TestClient, shop: GraphStore, headers: dict[str, str]
) -> None:
    # A "simple" request: the browser sends it without asking before whether it may.
    simple = headers | {"Content-Type": "text/plain"}
    answer = client.post("/events", content=json.dumps(VIEW), headers=simple)
    assert (answer.status_code, "KG_INGEST_KEYS" in answer.json()["error"]) == (403, True)
    assert views(shop) == {}
    assert client.post("/events", json=VIEW, headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_what_was_posted_is_served(served: GraphStore, tmp_path: Path) -> None:
    settings = Settings.load({"KG_HOME": str(tmp_path)})
    receiver = Receiver(served, settings, kinds=("events",), rejects=tmp_path / "rejects.jsonl")
    before = vector(served, "User", "anna")
    with TestClient(application(receiver), base_url="http://localhost") as client:
        client.post("/events", json=VIEW)
        wait(lambda: vector(served, "User", "anna") != before)


def test_the_command_says_what_does_not_go_together(kg: Kg, tmp_path: Path) -> None:
    assert "for http://" in kg("ingest", "all", tmp_path / "p.jsonl").err
    assert "one kind" in kg("ingest", "all", tmp_path, "--follow").err
    assert "http://HOST:PORT" in kg("ingest", "all", "https://127.0.0.1:8443", "--follow").err
    open_to_others = kg("ingest", "events", "http://0.0.0.0:0", "--follow")
    assert (open_to_others.code, "KG_INGEST_KEYS" in open_to_others.err) == (1, True)
