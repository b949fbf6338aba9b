"""The HTTP interface: every query a route, every mistake one sentence, nothing changed by any of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from kg.app.api import Limits, application
from kg.app.given import from_url
from kg.catalogue import load, run
from kg.errors import ConnectionFailedError, ParameterError
from kg.privacy import pseudonymiser
from kg.queries import Query, bind, parse
from kg.store import GraphStore
from tests.kg.whole_graph import whole_graph

QUERIES = load()
HERE = "http://127.0.0.1"
KEY = "0123456789abcdef-one"
NDJSON = {"Accept": "application/x-ndjson"}


def query(cypher: str, *, returns: str = "n INTEGER", name: str = "test/query", params: str = "") -> Query:
    header = f"// title: T\n// description: D.\n{params}// example: {{}}\n// returns: {returns}\n\n"
    return parse(header + cypher + "\n", name=name)


SLOW = query("UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b RETURN sum(a * b % 7) AS n", name="test/slow")
MANY = query("UNWIND range(1, 2500) AS n RETURN n", name="test/many")
BREAKS = query("UNWIND range(1, 2500) AS n RETURN 100 / (2400 - n) AS n", name="test/breaks")
WRITES = query("MATCH (p:Product) SET p.price = 0 RETURN 1 AS n", name="test/writes")
BAD = query("THIS IS NOT CYPHER", name="test/bad")
MADE = {q.name: q for q in (SLOW, MANY, BREAKS, WRITES, BAD)}


def client(store: GraphStore, **options: Any) -> TestClient:
    app = application(store, {**QUERIES, **MADE}, **options)
    return TestClient(app, base_url=HERE, raise_server_exceptions=False)


@pytest.fixture
def api(shop: GraphStore) -> Iterator[TestClient]:
    """The whole catalogue over the shop, which must be the same afterwards."""
    before = whole_graph(shop)
    with client(shop, limits=LIMITS) as client_:
        yield client_
    assert whole_graph(shop) == before


class Away(GraphStore):
    """A Neo4j that went away, or that has a bug."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, *_: Any, **__: Any) -> Any:
        raise self._error

    explain = stream_rows = read  # type: ignore[assignment]


LIMITS = Limits(max_rows=1000, max_stream_rows=2400, max_body=4096)


@pytest.fixture
def door() -> Iterator[TestClient]:
    """The same interface with nothing behind it: what is answered by it never came to Neo4j."""
    with client(Away(AssertionError("Neo4j was asked")), limits=LIMITS) as client_:
        yield client_


@pytest.fixture
def hasty(store: GraphStore) -> Iterator[TestClient]:
    """An interface over an empty graph that gives a query half a second."""
    with client(store, limits=Limits(timeout_s=0.5)) as client_:
        yield client_


def sentence(answer: httpx.Response) -> str:
    """The error of an answer that holds nothing else, and nothing that it should not."""
    assert list(answer.json()) == ["error"], answer.text
    words = str(answer.json()["error"])
    assert 0 < len(words) < 1000
    assert not re.search(r"Traceback|MATCH|UNWIND|CYPHER|bolt://|File \"", words)
    return words


# --- every query is a route ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUERIES)
def test_a_url_says_all_that_the_example_says(name: str) -> None:
    asked = QUERIES[name]
    given = httpx.QueryParams(as_text(asked))
    assert bind(asked, from_url(asked, given.multi_items())) == bind(asked, asked.example)


def as_text(asked: Query) -> dict[str, str]:
    """The example as a URL may say it: all but texts as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in asked.example.items()}


# The shortest of each folder: Neo4j takes long to plan the others, whose examples docs/queries.md runs.
@pytest.mark.parametrize("folder", sorted({name.partition("/")[0] for name in QUERIES}))
def test_an_example_gives_the_catalogues_own_rows(api: TestClient, shop: GraphStore, folder: str) -> None:
    asked = min((q for q in QUERIES.values() if q.name.startswith(folder)), key=lambda q: len(q.text))
    rows = [dict(row) for row in run(shop, asked, asked.example)]
    by_body = api.post(f"/query/{asked.name}", json=dict(asked.example))
    assert (by_body.status_code, by_body.json().get("rows")) == (200, rows)
    assert api.get(f"/query/{asked.name}", params=as_text(asked)).json() == by_body.json()


def test_a_new_file_is_a_new_route(shop: GraphStore, tmp_path: Path) -> None:
    file = tmp_path / "cypher" / "product" / "dearer.cypher"
    file.parent.mkdir(parents=True)
    file.write_text(
        "// title: Dearer\n// description: Above a price.\n// param than: FLOAT in 0..1000 = 200 -- the price\n"
        '// example: {"than": 300}\n// returns: sku STRING\n\n'
        "MATCH (p:Product) WHERE p.price > $than RETURN p.sku AS sku ORDER BY sku\n"
    )
    with TestClient(application(shop, load(tmp_path / "cypher")), base_url=HERE) as api:
        assert [row["sku"] for row in api.get("/query/product/dearer").json()["rows"]] == ["G1", "G2"]
        assert api.get("/query/product/dearer?than=300").json()["rows"] == [{"sku": "G1"}]
        assert [q["name"] for q in api.get("/query").json()] == ["product/dearer"]
        operation = api.get("/openapi.json").json()["paths"]["/query/product/dearer"]["get"]
    assert operation["parameters"] == [
        {
            "name": "than",
            "in": "query",
            "required": False,
            "description": "the price",
            "schema": {"type": "number", "minimum": 0, "maximum": 1000, "default": 200},
            "example": 300,
        }
    ]


def test_the_description_is_of_every_query(door: TestClient) -> None:
    document = door.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for name, q in QUERIES.items():
        path = document["paths"][f"/query/{name}"]
        assert path["get"]["summary"] == path["post"]["summary"] == q.title
        assert [p["name"] for p in path["get"]["parameters"]] == [p.name for p in q.parameters]
        body = path["post"]["requestBody"]["content"]["application/json"]
        assert body["example"] == q.example
        assert set(body["schema"]["properties"]) == {p.name for p in q.parameters}
        assert {"200", "401", "422", "503", "504"} <= set(path["get"]["responses"])
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))
    assert "securitySchemes" not in document.get("components", {})


def test_the_greatest_limit_that_is_described_is_taken(api: TestClient) -> None:
    path = "/query/recommend/for_user"
    described = api.get("/openapi.json").json()["paths"][path]
    (by_url,) = (p for p in described["get"]["parameters"] if p["name"] == "limit")
    by_body = described["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["limit"]
    most = by_url["schema"]["maximum"]
    assert (most, by_body["maximum"]) == (1000, 1000)
    assert api.get(path, params={"user": "anna", "limit": most}).status_code == 200
    assert api.post(path, json={"user": "anna", "limit": most}).status_code == 200
    # A stream may be longer, which a schema cannot say.
    assert "up to 2400" in by_url["description"]
    assert "up to 2400" in by_body["description"]
    assert api.get(path, params={"user": "anna", "limit": 2400}, headers=NDJSON).status_code == 200


@pytest.mark.parametrize("name", ["recommend/for_user", "product/why", "insight/sentiment_over_time"])
def test_who_names_no_limit_gets_no_more_than_the_server_gives(shop: GraphStore, name: str) -> None:
    """The headers' defaults are made for the usual settings, and an operator may allow less."""
    example = as_text(QUERIES[name])
    example.pop("limit", None)
    with client(shop, limits=Limits(max_rows=1)) as api:
        answer = api.get(f"/query/{name}", params=example)
        assert (answer.status_code, len(answer.json()["rows"])) == (200, 1), answer.text
        described = api.get("/openapi.json").json()["paths"][f"/query/{name}"]["get"]["parameters"]
        (limit,) = (p["schema"] for p in described if p["name"] == "limit")
        assert (limit["maximum"], limit["default"]) == (1, 1)


def test_a_stream_may_be_as_long_as_is_allowed(shop: GraphStore) -> None:
    with client(shop, limits=Limits(max_stream_rows=3_000_000)) as api:
        for user in ("anna", "nobody"):
            path = f"/query/recommend/for_user?user={user}&limit=2000000"
            answer = api.get(path, headers=NDJSON)
            assert (answer.status_code, "_end" in answer.text) == (200, True), answer.text


def test_lists_come_by_name_again_or_as_json(api: TestClient) -> None:
    path = "/query/product/compare"
    one = api.post(path, json={"skus": ["G1", "G2"]}).json()
    assert one["rows"]
    assert api.get(f"{path}?skus=G1&skus=G2").json() == one
    assert api.get(path, params={"skus": '["G1","G2"]'}).json() == one


def test_a_list_of_one_is_no_json_unless_it_looks_so() -> None:
    compare = QUERIES["product/compare"]
    assert from_url(compare, [("skus", "[G1")]) == {"skus": ["[G1"]}
    assert from_url(compare, [("skus", "17")]) == {"skus": ["17"]}
    assert from_url(compare, [("skus", "null")]) == {"skus": None}
    assert from_url(compare, [("skus", "[" * 100_000)]) == {"skus": ["[" * 100_000]}
    with pytest.raises(ParameterError, match="expected it once, found it again"):
        from_url(QUERIES["product/profile"], [("sku", "G1"), ("sku", "G2")])


def test_users_are_known_by_their_pseudonym(shop: GraphStore) -> None:
    pseudonym = pseudonymiser("key")
    shop.write("MATCH (u:User {id: 'anna'}) SET u.id = $id", id=pseudonym("anna"))
    with client(shop, pseudonym=pseudonym) as api:
        assert api.get("/query/insight/user_profile?user=anna").json()["rows"]
        assert "no User" in api.get(f"/query/insight/user_profile?user={pseudonym('anna')}").json()["reason"]


# --- nothing found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("product/profile?sku=NONE", "The graph has no Product with the sku given as sku."),
        ("insight/user_profile?user=nobody", "The graph has no User with the id given as user."),
        ("search/by_attributes?category=Nowhere", "The graph has no Category with the path given as category."),
        ("product/compare?skus=NONE&skus=NEITHER", "The graph has no Product with the sku given as skus."),
        ("recommend/next_item?items=NONE", "The graph has no Product with the sku given as items."),
        ("recommend/for_user_filtered?user=anna&fits=NONE", "The graph has no Product with the sku given as fits."),
        ("recommend/substitutes?sku=T1&max_price=0", "Nothing in the graph matches."),
    ],
)
def test_what_is_unknown_is_an_empty_answer_with_a_reason(api: TestClient, path: str, reason: str) -> None:
    answer = api.get(f"/query/{path}")
    assert answer.status_code == 200
    assert answer.json() == {"rows": [], "truncated": False, "reason": reason}
    assert [json.loads(line) for line in api.get(f"/query/{path}", headers=NDJSON).text.splitlines()] == [
        {"_end": {"rows": 0, "truncated": False, "reason": reason, "error": None}}
    ]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("recommend/for_user?user={}", True),
        ("recommend/for_users?users={}&users=ben", True),
        ("recommend/cold_start_user?interests=birch&user={}", True),
        ("recommend/for_user?user={}", False),
        ("recommend/for_users?users={}", False),
        ("recommend/for_users?users={}&users=ben", False),
        ("recommend/cold_start_user?interests=birch&user={}", False),
    ],
)
def test_what_anybody_gets_is_not_taken_for_somebodys(api: TestClient, path: str, known: bool) -> None:
    answer = api.get(f"/query/{path}".format("anna" if known else "nobody")).json()
    assert answer["rows"]
    of_many = "only 1 of the 2 users" in str(answer["reason"]) if "ben" in path else "no User" in str(answer["reason"])
    assert (answer["reason"] is None) == known
    assert known or (of_many and "anybody" in answer["reason"])
    stream = api.get(f"/query/{path}".format("anna" if known else "nobody"), headers=NDJSON).text
    assert json.loads(stream.splitlines()[-1])["_end"]["reason"] == answer["reason"]


# --- big answers -----------------------------------------------------------------------------------------------


def test_an_answer_in_one_piece_is_cut_at_its_limit(api: TestClient) -> None:
    answer = api.get("/query/test/many").json()
    assert (len(answer["rows"]), answer["rows"][-1], answer["truncated"]) == (1000, {"n": 1000}, True)


def test_a_stream_gives_more_and_says_how_it_ended(api: TestClient) -> None:
    answer = api.get("/query/test/many", headers=NDJSON)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    *rows, end = (json.loads(line) for line in answer.text.splitlines())
    assert rows == [{"n": n} for n in range(1, 2401)]
    assert end == {"_end": {"rows": 2400, "truncated": True, "reason": None, "error": None}}


def test_a_stream_that_breaks_says_so_at_its_end(api: TestClient) -> None:
    answer = api.get("/query/test/breaks", headers=NDJSON)
    *rows, end = (json.loads(line) for line in answer.text.splitlines())
    assert (answer.status_code, len(rows)) == (200, 2000)
    assert end["_end"]["error"] == "The database failed at this query; the log of this server says how."


@pytest.mark.parametrize(("name", "status"), [("test/bad", 502), ("test/writes", 500)])
def test_what_fails_before_the_first_row_has_its_status_in_a_stream_too(
    api: TestClient, name: str, status: int
) -> None:
    answer = api.get(f"/query/{name}", headers=NDJSON)
    assert (answer.status_code, bool(sentence(answer))) == (status, True)


# --- who may ask -----------------------------------------------------------------------------------------------


def test_with_keys_only_those_who_have_one_may_ask(shop: GraphStore) -> None:
    other = "0123456789abcdef-two"
    with client(shop, keys=[KEY, other]) as api:
        for headers in (
            {"Authorization": f"Bearer {KEY}"},
            {"Authorization": f"bearer {other}"},
            {"X-API-Key": KEY},
        ):
            assert api.get("/query/product/profile?sku=G1", headers=headers).status_code == 200
        for headers in (
            {},
            {"X-API-Key": ""},
            {"X-API-Key": KEY[:-1]},
            {"X-API-Key": f"{KEY}x"},
            {"Authorization": KEY},
            {"Authorization": f"Basic {KEY}"},
            {"Authorization": "Bearer "},
            {"X-API-Key": "schlüssel"},
        ):
            raw = {name: value.encode() for name, value in headers.items()}
            for path in ("/query/product/profile?sku=G1", "/query", "/openapi.json", "/metrics", "/nothing"):
                answer = api.get(path, headers=raw)
                assert answer.status_code == 401, (headers, path)
                assert KEY not in sentence(answer)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert api.get("/health").status_code == api.get("/health/live").status_code == 200
        document = api.get("/openapi.json", headers={"X-API-Key": KEY}).json()
    assert document["security"] == [{"bearer": []}, {"key": []}]
    assert document["paths"]["/health"]["get"]["security"] == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8000", "[::2]", "", "[bad"])
def test_without_keys_only_a_name_of_this_machine_is_answered(door: TestClient, host: str) -> None:
    answer = door.get("/query", headers={"Host": host})
    assert (answer.status_code, "KG_API_KEYS" in sentence(answer)) == (421, True)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000"])
def test_and_every_name_of_this_machine_is(door: TestClient, host: str) -> None:
    assert door.get("/query", headers={"Host": host}).status_code == 200


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example:8000"},
    {"Origin": "http://evil.example#@localhost"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_without_keys_no_page_of_another_site_may_ask(door: TestClient, headers: dict[str, str]) -> None:
    answer = door.post("/query/product/profile", content=b"", headers=headers | {"Content-Type": "text/plain"})
    assert (answer.status_code, "KG_API_KEYS" in sentence(answer)) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://[::1]"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_a_page_of_this_machine_may_and_links_lead_here(door: TestClient, headers: dict[str, str]) -> None:
    assert door.get("/query", headers=headers).status_code == 200


# --- mistakes and malice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit": 10**9}, "parameter limit: expected 1 to 1000, found 1000000000"),
        ({"limit": -1}, "parameter limit: expected 1 to 1000, found -1"),
        ({"limit": "many"}, "parameter limit: expected INTEGER, found 'many'"),
        ({"limit": 1.5}, "parameter limit: expected INTEGER, found"),
        ({"limit": 10**30}, "parameter limit: expected INTEGER, found"),
        ({"limit": True}, "parameter limit: expected INTEGER, found"),
        ({"user": "x" * 3000 + "\x00", "limt": 3}, "has no parameter limt"),
        ({"user": None}, "parameter user: expected STRING"),
        ({"user": {"$ne": 1}}, "parameter user: expected STRING, found"),
        ({}, "needs the parameter user"),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_sentence(door: TestClient, given: dict[str, Any], words: str) -> None:
    whole = {"user": "anna", **given} if given else {}
    answer = door.post("/query/recommend/for_user", json=whole)
    assert (answer.status_code, words in sentence(answer)) == (422, True), answer.text
    if not isinstance(whole.get("user"), dict | None) and "expected INTEGER" not in words:
        by_url = door.get("/query/recommend/for_user", params=whole)
        assert (by_url.status_code, words in sentence(by_url)) == (422, True), by_url.text


@pytest.mark.parametrize(
    ("path", "given"),
    [
        # What no driver can send, or what packs it cannot, is refused wherever it stands.
        ("product/compare", {"skus": '["\\ud800", "G1"]'}),
        ("recommend/for_users", {"users": '["\\udfff"]'}),
        ("recommend/for_user_filtered", {"user": "anna", "boosts": f'{{"G1": {10**30}}}'}),
        ("recommend/for_user_filtered", {"user": "anna", "boosts": '{"G1": NaN}'}),
        ("recommend/for_user_filtered", {"user": "anna", "boosts": f'{{"G1": {"[" * 900}{"]" * 900}}}'}),
        ("recommend/explain_path", {"path": f'[{{"from": {10**30}}}]'}),
        ("insight/trends", {"category": "Instruments", "now": "0001-01-01T00:00:00+10:00"}),
    ],
)
def test_what_cannot_be_sent_to_neo4j_is_refused_in_one_sentence(door: TestClient, path: str, given: Any) -> None:
    for answer in (door.post(f"/query/{path}", json=given), door.get(f"/query/{path}", params=given)):
        assert (answer.status_code, "expected" in sentence(answer)) == (422, True), answer.text


def test_a_list_that_is_no_json_for_its_length_is_refused_in_one_sentence() -> None:
    with client(Away(AssertionError("Neo4j was asked"))) as door:
        answer = door.post("/query/recommend/for_users", json={"users": f"[{'9' * 5000}]"})
    assert (answer.status_code, "expected LIST<STRING>" in sentence(answer)) == (422, True)


def test_an_offset_that_neo4j_does_not_know_is_a_moment_like_any_other(api: TestClient) -> None:
    path = "/query/insight/trends"
    given = {"category": "Instruments", "least": 1, "days": 2, "now": "2026-03-04T23:59:00+23:59"}
    assert api.get(path, params=given).json() == api.get(path, params=given | {"now": "2026-03-04T00:00:00Z"}).json()


@pytest.mark.parametrize("body", [b"[1]", b"null", b"{", b'"x"', b"\xff\xfe", b"[" * 4000, b'{"user": NaN}'])
def test_a_body_that_is_no_object_is_refused(door: TestClient, body: bytes) -> None:
    answer = door.post("/query/recommend/for_user", content=body)
    assert (answer.status_code, "not a JSON object" in sentence(answer)) == (422, True)


@pytest.mark.parametrize("fragment", ["'}) DETACH DELETE (n) //", "` SET n.price = 0 //", "\\' OR 1=1 UNION MATCH (n)"])
def test_cypher_in_a_text_is_a_text(api: TestClient, fragment: str) -> None:
    answer = api.get("/query/product/profile", params={"sku": fragment})
    assert (answer.status_code, answer.json()["rows"]) == (200, [])


def test_a_body_that_is_too_long_is_not_read(door: TestClient) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * 1000

    for content in (b"x" * 5000, drip()):  # with a Content-Length, and in chunks without
        answer = door.post("/query/recommend/for_user", content=content)
        assert (answer.status_code, sentence(answer)) == (413, "The body is longer than 4096 bytes. Send less.")


def test_a_post_with_parameters_in_the_url_is_refused(door: TestClient) -> None:
    answer = door.post("/query/recommend/for_user?user=ben", json={"user": "anna"})
    assert (answer.status_code, "in the body" in sentence(answer)) == (422, True)


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_would_change_something_is_refused(door: TestClient, method: str) -> None:
    answer = door.request(method, "/query/recommend/for_user")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/query/recommend/for_usr", "Did you mean recommend/for_user or"),
        ("/query/recommend/for_user.cypher", "nothing at this path"),
        ("/query/../../etc/passwd", "nothing at this path"),
        ("/query/..%2f..%2fetc%2fpasswd", "no query"),
        ("/query/" + "x" * 20_000, "no query"),
        ("/nothing", "nothing at this path"),
        ("/docs", "nothing at this path"),
    ],
)
def test_an_unknown_route_is_told_in_one_sentence(door: TestClient, path: str, words: str) -> None:
    answer = door.get(path)
    assert (answer.status_code, words in sentence(answer)) == (404, True), answer.text


def test_a_query_that_writes_is_refused(api: TestClient) -> None:
    answer = api.get("/query/test/writes")
    assert (answer.status_code, "not a read-only query" in sentence(answer)) == (500, True)


def test_a_query_that_neo4j_refuses_shows_nothing_of_itself(api: TestClient) -> None:
    answer = api.get("/query/test/bad")
    assert (answer.status_code, "failed" in sentence(answer)) == (502, True)


@pytest.mark.parametrize("headers", [{}, NDJSON])
def test_a_slow_query_is_cut(hasty: TestClient, headers: dict[str, str]) -> None:
    answer = hasty.get("/query/test/slow", headers=headers)
    assert answer.status_code == 504
    assert sentence(answer) == "The query took longer than 0.5 seconds and was ended. Ask for less."


@pytest.mark.parametrize("headers", [{}, NDJSON])
def test_without_neo4j_the_answer_is_to_come_back_later(headers: dict[str, str]) -> None:
    with client(Away(ConnectionFailedError("Neo4j at bolt://db:7687 does not answer"))) as api:
        answer = api.get("/query/product/profile?sku=G1", headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert sentence(answer) == "The database does not answer. Try again later."
        health = api.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "unavailable", "neo4j": False, "model": None})
        assert api.get("/health/live").json() == {"status": "ok"}


def test_a_bug_is_not_shown() -> None:
    with client(Away(RuntimeError("MATCH (secret) at bolt://db"))) as api:
        answer = api.get("/query/product/profile?sku=G1")
    assert (answer.status_code, "log" in sentence(answer)) == (500, True)


# --- how it is -------------------------------------------------------------------------------------------------


def test_health_tells_which_model_is_live(api: TestClient, shop: GraphStore) -> None:
    assert api.get("/health").json() == {"status": "ok", "neo4j": True, "model": None}
    shop.write("CREATE (:Serving {name: 'model', version: 'v7'}), (:ModelVersion {id: 'v7'})")
    try:
        assert api.get("/health").json()["model"] == "v7"
    finally:
        shop.write("MATCH (n:ModelVersion|Serving) DELETE n")


def measured(api: TestClient, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", api.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_tell_of_jobs_and_streams_what_the_graph_records(shop: GraphStore, api: TestClient) -> None:
    assert measured(api, 'kg_waiting{what="users"}') == 0
    shop.write(
        "CREATE (:JobRun {id: 'a', job: 'train', outcome: 'succeeded', seconds: 2.5,\n"
        "                at: datetime('2026-03-01T02Z')}),\n"
        "       (:JobRun {id: 'b', job: 'train', outcome: 'failed', seconds: 1.0, at: datetime('2026-03-02T02Z')}),\n"
        "       (:Lease {name: 'train', token: 7, until: datetime.realtime() + duration('PT1H'), holder: 'x'}),\n"
        "       (:Lease {name: 'watch', token: 3}),\n"
        "       (:Offset {source: 'events f', lines: 12, bytes: 99, head: 'h', rejected: 2, behind: 7,\n"
        "                 at: datetime('2026-03-02T02:00Z')})\n"
        "WITH 1 AS one\nMATCH (u:User {id: 'anna'})\nSET u.waiting = '2026-03-02T02:00:00.000000Z ab'"
    )
    try:
        assert measured(api, 'kg_job_runs{job="train",outcome="failed"}') == 1
        assert measured(api, 'kg_job_seconds{job="train",outcome="succeeded"}') == 2.5
        assert measured(api, 'kg_job_last_success_timestamp_seconds{job="train"}') == 1772330400
        assert [measured(api, f'kg_lease_held{{name="{name}"}}') for name in ("train", "watch")] == [1, 0]
        read = [measured(api, f'kg_stream_{what}{{source="events f"}}') for what in ("lines", "rejected", "behind")]
        assert read == [12, 2, 7]
        assert measured(api, 'kg_waiting{what="users"}') == 1
        assert measured(api, 'kg_waiting_seconds{what="users"}') > 0
    finally:
        shop.write("MATCH (n:JobRun|Lease|Offset) DELETE n")
        shop.write("MATCH (u:User {id: 'anna'}) REMOVE u.waiting")


class Slow(Away):
    """A Neo4j that takes long to tell what it records of jobs, and answers all else at once."""

    def __init__(self) -> None:
        super().__init__(ConnectionFailedError("Neo4j left"))
        self.asked, self.free = threading.Event(), threading.Event()

    def read(self, cypher: str, *_: Any, **__: Any) -> Any:
        if "JobRun" in cypher:
            self.asked.set()
            assert self.free.wait(60)
        return []


def test_slow_metrics_do_not_make_the_server_ill() -> None:
    store = Slow()
    with client(store) as api:
        thread = threading.Thread(target=lambda: api.get("/metrics"))
        thread.start()
        try:
            assert store.asked.wait(60)
            assert api.get("/health").json() == {"status": "ok", "neo4j": True, "model": None}
        finally:
            store.free.set()
            thread.join(60)


def test_metrics_count_requests_and_refusals(api: TestClient) -> None:
    api.get("/query/product/profile?sku=G1")
    api.get("/query/product/profile?sku=G1&limit=-1")
    api.get("/wherever/" + "x" * 50)
    api.get("/query", headers={"Host": "evil.example"})
    route = 'kg_http_requests_total{{method="GET",route="{}",status="{}"}}'
    assert measured(api, route.format("/query/product/profile", 200)) == 1
    assert measured(api, route.format("/query/product/profile", 422)) == 1
    assert measured(api, route.format("unknown", 404)) == 1
    assert measured(api, route.format("unknown", 421)) == 1
    assert measured(api, 'kg_http_request_seconds_count{route="/query/product/profile"}') == 2
    assert measured(api, 'kg_http_refused_total{reason="parameters"}') == 1
    assert measured(api, 'kg_http_refused_total{reason="host"}') == 1
    assert "xxxxx" not in api.get("/metrics").text


@pytest.mark.parametrize(
    ("outcome", "path"),
    [("answered", "test/many"), ("refused", "test/many?x=1"), ("cut", "test/slow"), ("failed", "test/bad")],
)
def test_metrics_count_what_became_of_a_query(store: GraphStore, outcome: str, path: str) -> None:
    line = f'kg_query_calls_total{{outcome="{outcome}",query="{path.partition("?")[0]}"}}'
    # Only what shall be cut has little time: on a busy machine the others would be cut as well.
    with client(store, limits=Limits(timeout_s=0.5) if outcome == "cut" else LIMITS) as api:
        before = measured(api, line)
        api.get(f"/query/{path}")
        assert measured(api, line) == before + 1


class Held(Away):
    """A Neo4j that answers when it is let go."""

    def __init__(self) -> None:
        super().__init__(ConnectionFailedError("Neo4j left"))
        self.asked, self.free = threading.Semaphore(0), threading.Event()

    def read(self, *_: Any, **__: Any) -> Any:
        self.asked.release()
        assert self.free.wait(60)
        raise self._error

    def explain(self, *_: Any, **__: Any) -> Any:
        return {"query_type": "r"}


def test_more_queries_than_may_run_are_told_to_come_again() -> None:
    store = Held()
    with client(store, limits=Limits(concurrency=1)) as api:
        first: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: first.append(api.get("/query/product/profile?sku=G1")))
        thread.start()
        assert store.asked.acquire(timeout=60)
        second = api.get("/query/product/profile?sku=G1")
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        assert sentence(second) == "Too many queries run at the moment. Try again in a second."
        store.free.set()
        thread.join(60)
        assert 'kg_http_refused_total{reason="busy"} 1.0' in api.get("/metrics").text
    assert [sentence(answer) for answer in first] == ["The database does not answer. Try again later."]
