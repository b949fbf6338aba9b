"""``POST /search`` and ``POST /ask``: what needs a model, for programs, behind the gate and limits of the queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from kg.app.api import Limits, application
from kg.app.search import Searcher
from kg.app.typed import Typed
from kg.app.web.door import COOKIE
from kg.app.web.pages import Pages
from kg.privacy import pseudonymiser
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.web.conftest import QUERIES, Oracle, Plain, pages
from tests.kg.whole_graph import whole_graph

KEY = "0123456789abcdef-one"


def client(store: GraphStore, **options: Any) -> TestClient:
    app = application(store, QUERIES, typed=Typed(lambda: Plain(store), Oracle), **options)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def api(shop: GraphStore) -> Iterator[TestClient]:
    """The routes over the shop, which must be the same afterwards."""
    before = whole_graph(shop)
    with client(shop, limits=Limits(max_rows=100, max_body=4096)) as client_:
        yield client_
    assert whole_graph(shop) == before


def test_a_search_is_corrected_and_answered(api: TestClient) -> None:
    answer = api.post("/search", json={"text": "guitr", "limit": 2})
    assert answer.status_code == 200
    found = answer.json()
    assert [row["sku"] for row in found["rows"]] == ["G1", "S1"]
    assert (found["corrected"], found["truncated"], found["reason"]) == ("guitar", False, None)
    assert "vector" not in found
    rows = api.post("/query/search/products", json={"text": "guitar", "limit": 2}).json()["rows"]
    assert rows == found["rows"]
    cheap = api.post("/search", json={"text": "guitr", "max_price": 300.0}).json()["rows"]
    assert {row["sku"] for row in cheap} == {"S1", "G2"}


def test_the_vector_can_be_had(api: TestClient) -> None:
    # These tests search without an encoder, as for a text in which it has no word.
    assert api.post("/search", json={"text": "guitr", "vector": True}).json()["vector"] is None


def test_a_search_that_finds_nothing_says_why(api: TestClient) -> None:
    answer = api.post("/search", json={"text": "zither"}).json()
    assert (answer["rows"], answer["reason"]) == ([], "Nothing in the graph matches.")
    answer = api.post("/search", json={"text": "guitar", "user": "nobody"}).json()
    assert answer["rows"]
    assert answer["reason"] == "The graph has no User with the id given as user: these rows are what anybody would get."


def test_a_question_is_answered_with_its_facts(api: TestClient) -> None:
    answer = api.post("/ask", json={"question": "Does the strap fit the S-200?"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["verdict"], found["asks"]) == ("yes", "fits")
    assert found["facts"][0]["document"] == "product:S1"
    # JSON is never a page, whatever a text holds.
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/search", {}, 422, "needs the parameter text"),
        ("/search", {"text": 5}, 422, "expected STRING"),
        ("/search", {"text": "x", "limit": 101}, 422, "expected 1 to 100"),
        ("/search", {"text": "x", "vector": [0.1]}, 422, "expected BOOLEAN"),
        ("/search", {"text": "x" * 5000}, 413, "longer than 4096 bytes"),
        ("/search", {"text": "x", "secret": True}, 422, "no parameter secret"),
        ("/search", ["x"], 422, "not a JSON object"),
        ("/ask", {}, 422, "needs the parameter question"),
        ("/ask", {"question": "Is it?", "skus": "S1", "user": "anna"}, 422, "no parameter user"),
        ("/ask?question=x", {"question": "x"}, 422, "in the body"),
    ],
)
def test_what_is_wrong_is_one_sentence(api: TestClient, path: str, body: Any, status: int, words: str) -> None:
    answer = api.post(path, json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


def test_a_model_that_is_missing_is_named_with_what_to_do(shop: GraphStore, tmp_path: Path) -> None:
    """It is no failure of the database, and whoever asks cannot know where this machine keeps its models."""
    settings = Settings(encoder=str(tmp_path / "nothing here"))
    searching = Searcher(shop, settings)
    face = Pages(lambda: searching, Oracle)
    app = application(shop, QUERIES, typed=Typed(lambda: searching, Oracle), face=face)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as api:
        answer = api.post("/search", json={"text": "guitar"})
        page = api.get("/search?q=guitar")
    said = answer.json()["error"]
    assert (answer.status_code, page.status_code) == (503, 503)
    assert "encoder's weights" in said
    assert "Set KG_ENCODER to a folder with" in said
    assert "database" not in said
    assert str(tmp_path) not in said + page.text
    assert "Set KG_ENCODER to a folder with" in page.text


def test_programs_post(api: TestClient) -> None:
    answer = api.get("/search?text=guitar")
    assert (answer.status_code, answer.json()) == (405, {"error": "/search takes POST only."})


def test_pages_and_programs_share_a_path_but_not_a_key(shop: GraphStore) -> None:
    """A page's cookie opens no route of the API, and a program without a key is told so, not sent to a form."""
    with client(shop, keys=[KEY], face=pages(shop, keys=[KEY])) as both:
        assert both.post("/search", json={"text": "guitar"}).status_code == 401
        assert both.post("/ask", json={"question": "x"}).json()["error"].startswith("This needs an API key")
        assert both.post("/login", data={"key": KEY}).status_code == 303
        assert COOKIE in both.cookies
        assert "text/html" in both.get("/search?q=strap").headers["content-type"]
        assert both.post("/search", json={"text": "guitar"}).status_code == 401
        found = both.post("/search", json={"text": "guitar"}, headers={"X-API-Key": KEY})
        assert (found.status_code, bool(found.json()["rows"])) == (200, True)


def test_users_are_known_by_their_pseudonym(shop: GraphStore) -> None:
    pseudonym = pseudonymiser("key")
    shop.write("MATCH (u:User {id: 'anna'}) SET u.id = $id", id=pseudonym("anna"))
    with client(shop, pseudonym=pseudonym) as api:
        assert api.post("/search", json={"text": "guitar", "user": "anna"}).json()["reason"] is None
        assert "no User" in api.post("/search", json={"text": "guitar", "user": "ben"}).json()["reason"]


def test_they_are_described_like_the_queries(api: TestClient) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    for path, example in (("/search", "text"), ("/ask", "question")):
        operation = paths[path]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        assert example in body["example"]
        assert body["schema"]["required"] == [example]
        assert {"200", "401", "422", "503", "504"} <= set(operation["responses"])
        assert operation["responses"]["200"]["content"]["application/json"]["schema"]["required"]
    assert "vector" in paths["/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
