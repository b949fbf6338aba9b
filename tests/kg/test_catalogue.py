"""The catalogue: headers read, parameters checked, queries run with bounds."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import catalogue
from kg.catalogue import Rows, Tally, find, json_value, load, run, stream, tallies, why_empty
from kg.errors import ParameterError, QueryError, QueryTimeoutError, StoreError
from kg.queries import Column, Parameter, Query, bind, parse
from kg.store import GraphStore

HEADER = """\
// title: Products of a brand
// description: The brand's products,
//   the most popular first.
// param brand: STRING -- the brand's key
// param limit: INTEGER = 10 -- most rows to return
// param cheaper_than: FLOAT = null -- highest price,
//   null for any
// param currency: STRING = 'USD' -- of the price
// example: {"brand": "birch"}
// returns: sku STRING, price FLOAT,
//   tags LIST<MAP>
"""
CYPHER = """
CYPHER 25
MATCH (p:Product)-[:MADE_BY]->(:Brand {key: $brand})
WHERE p.price < coalesce($cheaper_than, 1e9) AND p.currency = $currency
RETURN p.sku AS sku, p.price AS price, [] AS tags
ORDER BY p.popularity DESC
LIMIT $limit
"""


@pytest.fixture
def brand_query() -> Query:
    return parse(HEADER + CYPHER, name="product/of_brand")


def query(cypher: str, *, returns: str, params: str = "") -> Query:
    """A query with as little header as there can be."""
    header = f"// title: t\n// description: d\n{params}// example: {{}}\n// returns: {returns}\n\n"
    return parse(header + cypher, name="test/query")


# --- the header -----------------------------------------------------------------------------------------------


def test_a_header_is_read(brand_query: Query) -> None:
    assert brand_query == Query(
        name="product/of_brand",
        title="Products of a brand",
        description="The brand's products, the most popular first.",
        parameters=(
            Parameter("brand", "STRING", "the brand's key"),
            Parameter("limit", "INTEGER", "most rows to return", required=False, default=10),
            Parameter("cheaper_than", "FLOAT", "highest price, null for any", required=False, default=None),
            Parameter("currency", "STRING", "of the price", required=False, default="USD"),
        ),
        example={"brand": "birch"},
        returns=(Column("sku", "STRING"), Column("price", "FLOAT"), Column("tags", "LIST<MAP>")),
        text=HEADER + CYPHER,
    )
    assert brand_query.cypher == CYPHER.lstrip()


EITHER = HEADER.replace("// example:", "// either: cheaper_than, colour\n// example:").replace(
    "// param currency", "// param colour: STRING = null -- the one colour\n// param currency"
)


def test_of_two_parameters_that_exclude_each_other_one_is_taken() -> None:
    query = parse(EITHER + CYPHER, name="product/of_brand")
    assert query.either == ("cheaper_than", "colour")
    given = {"brand": "birch", "colour": "red"}
    assert bind(query, {**given, "cheaper_than": None}) == bind(query, given)
    with pytest.raises(ParameterError, match=r"^product/of_brand takes cheaper_than or colour, not .* and colour toge"):
        bind(query, {**given, "cheaper_than": 5})


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (EITHER.replace("than, colour", "than"), "line 10: expected two or more of the parameters above"),
        (EITHER.replace("than, colour", "than, currency"), "line 10: .* default is null; found 'cheaper_than, curr"),
        (EITHER.replace("than, colour", "than, size"), "line 10: expected two or more of the parameters above"),
        (HEADER.replace("// title: Products of a brand\n", ""), "line 1: expected a line '// title: …'"),
        (HEADER.replace("// title:", "// titel:"), "line 1: expected '// title:'.* found '// titel: Products"),
        (HEADER.replace("// title:", "// title x:"), "line 1: expected '// title:'"),
        ("//   left over\n" + HEADER, "line 1: expected '// title:'"),
        (HEADER + "// a remark without a blank line above\n", "line 12: expected .* or a blank line to end the header"),
        (HEADER.replace("INTEGER = 10", "INT = 10"), "line 5: expected '// param limit: TYPE = default -- meaning'"),
        (HEADER.replace(" -- most rows to return", ""), "line 5: expected '// param limit: TYPE"),
        (HEADER.replace("'USD'", "USD"), "line 8: expected a JSON value or 'text' as default; found USD"),
        (HEADER.replace("= 10", "= 'ten'"), "line 5: expected a default of type INTEGER: .* found 'ten'"),
        (HEADER.replace("param currency", "param limit"), "line 8: expected parameter limit once, not twice"),
        (HEADER.replace("param limit", "param max_rows"), "line 5: expected another parameter name than max_rows"),
        (HEADER.replace('{"brand": "birch"}', "birch"), "line 9: expected a JSON object as example"),
        (HEADER.replace('{"brand": "birch"}', '["birch"]'), "line 9: expected a JSON object as example; found"),
        (
            HEADER.replace('{"brand": "birch"}', "{}"),
            "line 9: expected an example that can be run .*needs the .* brand",
        ),
        (
            HEADER.replace("price FLOAT", "price NUMBER"),
            "line 10: expected columns as 'name TYPE, .* found ' price NUM",
        ),
        (HEADER.replace("// title:", "// title: One\n// title:"), "line 2: expected one 'title:', not two"),
    ],
)
def test_a_malformed_header_is_named_by_file_line_and_what_was_expected(broken: str, expected: str) -> None:
    with pytest.raises(QueryError, match=rf"cypher/product/of_brand.cypher, {expected}"):
        parse(broken + CYPHER, name="product/of_brand", file="cypher/product/of_brand.cypher")


def test_a_header_without_cypher_is_refused() -> None:
    with pytest.raises(QueryError, match="line 11: expected Cypher after the header"):
        parse(HEADER, name="product/of_brand")


def test_files_are_named_by_folder_and_stem(tmp_path: Path) -> None:
    (tmp_path / "product").mkdir()
    (tmp_path / "product" / "of_brand.cypher").write_text(HEADER + CYPHER)
    (tmp_path / "product" / "notes.txt").write_text("not a query")
    assert list(load(tmp_path)) == ["product/of_brand"]


def test_the_folder_beside_an_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kg" / "cypher").mkdir(parents=True)
    (tmp_path / "cypher").mkdir()  # somebody else's, beside the package in site-packages
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "kg" / "catalogue.py"))
    assert catalogue.folder() == tmp_path / "kg" / "cypher"
    (tmp_path / "kg" / "cypher").rmdir()
    assert catalogue.folder() == tmp_path / "cypher"
    (tmp_path / "cypher").rmdir()
    with pytest.raises(QueryError, match="No query files"):
        catalogue.folder()


def test_an_unknown_name_gets_those_most_like_it(brand_query: Query) -> None:
    queries = {"product/of_brand": brand_query}
    assert find("product/of_brand", queries) is brand_query
    assert find("product/of_brand.cypher", queries) is brand_query
    with pytest.raises(QueryError, match=r"no query 'product/off_brand'\. Did you mean product/of_brand\?"):
        find("product/off_brand", queries)
    with pytest.raises(QueryError, match=r"Did you mean product/of_brand\?"):
        find("of_brand", queries)
    with pytest.raises(QueryError, match=r"Known are: product/of_brand\."):
        find("xyz", queries)


# --- parameters -----------------------------------------------------------------------------------------------


def test_defaults_fill_what_is_not_given(brand_query: Query) -> None:
    assert bind(brand_query, {"brand": "birch"}) == {
        "brand": "birch",
        "limit": 10,
        "cheaper_than": None,
        "currency": "USD",
    }


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("STRING", "5", "5"),
        ("STRING", "null", "null"),
        ("INTEGER", "5", 5),
        ("FLOAT", "5", 5.0),
        ("FLOAT", 5, 5.0),
        ("BOOLEAN", "True", True),
        ("BOOLEAN", False, False),
        ("ZONED DATETIME", "2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("MAP", '{"a": 1}', {"a": 1}),
        ("LIST<STRING>", '["a", "b"]', ["a", "b"]),
        ("LIST<FLOAT>", [1, "2"], [1.0, 2.0]),
        ("LIST<LIST<INTEGER>>", "[[1], [2]]", [[1], [2]]),
        ("INTEGER", "null", None),
        ("LIST<STRING>", None, None),
    ],
)
def test_text_is_read_by_the_declared_type(type_: str, text: Any, value: Any) -> None:
    q = query("RETURN 1 AS x", returns="x INTEGER", params=f"// param v: {type_} = null -- a value\n")
    bound = bind(q, {"v": text})["v"]
    assert bound == value
    assert type(bound) is type(value)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("STRING", 5),
        ("INTEGER", "five"),
        ("INTEGER", "5.0"),
        ("INTEGER", 5.0),
        ("INTEGER", True),
        ("INTEGER", 2**63),
        ("FLOAT", "cheap"),
        ("FLOAT", True),
        ("FLOAT", math.nan),
        ("FLOAT", "nan"),
        ("FLOAT", 10**400),
        ("LIST<FLOAT>", [0.5, math.nan]),
        ("BOOLEAN", "yes"),
        ("BOOLEAN", 1),
        ("ZONED DATETIME", "yesterday"),
        ("ZONED DATETIME", "2026-03-01T10:00:00"),  # of which zone?
        ("MAP", "[1]"),
        ("LIST<STRING>", "a, b"),
        ("LIST<STRING>", [1]),
        ("STRING", None),
    ],
)
def test_a_value_of_another_type_is_refused(type_: str, value: Any) -> None:
    q = Query(
        name="test/query",
        title="t",
        description="d",
        parameters=(Parameter("v", type_, "a value"),),
        example={},
        returns=(),
        text="",
    )
    with pytest.raises(QueryError, match=rf"test/query, parameter v: expected .*found .*It takes: v {type_}"):
        bind(q, {"v": value})


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_an_integer_survives_the_command_line(number: int) -> None:
    every = f"{-(2**63)}..{2**63 - 1}"
    q = query("RETURN 1 AS x", returns="x INTEGER", params=f"// param v: INTEGER in {every} = 0 -- a value\n")
    assert bind(q, {"v": str(number)}) == bind(q, {"v": number}) == {"v": number}


def nested(depth: int) -> Any:
    """A map of maps."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("declared", "allowed", "refused", "expected"),
    [
        ("INTEGER = 5", [0, 1_000_000], [-1, 1_000_000_000, "-1"], "expected 0 to 1000000, found"),
        ("INTEGER in 1..7 = 5", [1, "7"], [0, 8], "expected 1 to 7, found .*v INTEGER in 1..7 = 5"),
        ("FLOAT in 0..0.5 = 0.1", [0, 0.5], [-0.1, 1, "inf"], "expected 0.0 to 0.5, found"),
        ("STRING in day|week = 'day'", ["day", "week"], ["year", "day|week", ""], "one of day, week, found"),
        ("LIST<STRING> = []", [["a"] * 5000], [["a"] * 10_000], "at most 5000 items, found 10000"),
        ("LIST<MAP> = []", [[{"a": []}]], [[{"a": ["b"] * 10_000}]], "at most 5000 items, found 10000"),
        ("STRING = ''", ["a" * 10_000], ["a" * 10_001], "at most 10000 characters, found 10001"),
        ("LIST<STRING> = []", [[]], ["[" * 100_000], r"as a JSON array, found '\[+… \(100002 characters\)"),
        (
            "LIST<STRING> = []",
            ['["\\ud83d\\ude00"]'],
            ['["\\ud83d"]', ["\ud83d"]],
            "whole characters, found half of one",
        ),
        ("LIST<STRING> = []", [[]], [f"[{'9' * 5000}]"], r"as a JSON array, found '\[9+… \(5004 characters\)"),
        ("MAP = {}", [{"a": 2**63 - 1}], [{"a": 2**63}, {"a": [-(2**63) - 1]}], "at most 64 bits"),
        ("MAP = {}", ['{"a": Infinity}'], ['{"a": NaN}', {"a": {"b": math.nan}}], "expected numbers, found NaN"),
        ("MAP = {}", [{"a" * 10_000: 1}], [{"a" * 10_001: 1}], "at most 10000 characters, found 10001"),
        ("MAP = {}", [nested(10)], [nested(11), nested(990)], "at most 10 deep"),
        (
            "ZONED DATETIME = null",
            ["0001-01-01T10:00:00+10:00", "2026-03-01T00:00:00+23:59"],
            ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"],
            "as ISO 8601 with an offset",
        ),
    ],
)
def test_what_is_beyond_its_bounds_is_refused_in_one_sentence(
    declared: str, allowed: list[Any], refused: list[Any], expected: str
) -> None:
    q = query("RETURN 1 AS x", returns="x INTEGER", params=f"// param v: {declared} -- a value\n")
    for value in allowed:
        bind(q, {"v": value})
    for value in refused:
        with pytest.raises(QueryError, match=f"parameter v: .*{expected}") as error:
            bind(q, {"v": value})
        assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    "declared", ["STRING in 1..5", "INTEGER in 5..1", "INTEGER in a|b", "FLOAT in 1.5", "STRING in a|b = 'c'"]
)
def test_bounds_that_do_not_fit_the_type_are_named(declared: str) -> None:
    with pytest.raises(QueryError, match=r"line 3: expected ('in 1..365' for a number|a default of type STRING)"):
        query("RETURN 1 AS x", returns="x INTEGER", params=f"// param v: {declared} -- a value\n")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("search/answer", {"skus": ["S1"], "asks": "weather"}),
        ("search/personalised", {"text": "guitar", "user": "anna", "weight": "nan"}),
        ("search/personalised", {"text": "guitar", "user": "anna", "weight": -1}),
        ("recommend/explore", {"user": "cleo", "method": "greedy"}),
        ("recommend/explore", {"user": "cleo", "share": 1.5}),
        ("recommend/diverse", {"user": "cleo", "relevance": -0.5}),
        ("recommend/for_user_filtered", {"user": "cleo", "max_price": "nan"}),
    ],
)
def test_what_a_query_can_do_nothing_with_is_refused(name: str, given: dict[str, Any]) -> None:
    *_, wrong = given
    with pytest.raises(QueryError, match=f"{name}, parameter {wrong}: expected"):
        bind(find(name), given)


def test_unknown_and_missing_names_are_told_with_the_known_ones(brand_query: Query) -> None:
    signature = r'It takes: brand STRING, limit INTEGER = 10, cheaper_than FLOAT = null, currency STRING = "USD"'
    with pytest.raises(QueryError, match=f"has no parameter brnad. {signature}"):
        bind(brand_query, {"brnad": "birch"})
    with pytest.raises(QueryError, match=f"has no parameter aa, bb, c{{60}}… and 1 more. {signature}"):
        bind(brand_query, {"d": 1, "c" * 100: 1, "aa": 1, "bb": 1})
    with pytest.raises(QueryError, match=f"needs the parameter brand. {signature}"):
        bind(brand_query, {})


@pytest.mark.parametrize("limit", [0, -1, "0", 10_001])
def test_an_absurd_limit_is_refused(brand_query: Query, limit: Any) -> None:
    with pytest.raises(QueryError, match="parameter limit: expected 1 to 10000, found"):
        bind(brand_query, {"brand": "birch", "limit": limit})


def test_a_default_limit_is_no_greater_than_what_is_allowed(brand_query: Query) -> None:
    assert bind(brand_query, {"brand": "birch"}, max_rows=5)["limit"] == 5
    assert bind(brand_query, {"brand": "birch"}, max_rows=50)["limit"] == 10
    with pytest.raises(QueryError, match="expected 1 to 5, found 10"):
        bind(brand_query, {"brand": "birch", "limit": 10}, max_rows=5)


# --- running --------------------------------------------------------------------------------------------------


def test_rows_come_in_the_declared_columns(shop: GraphStore, brand_query: Query) -> None:
    rows = run(shop, brand_query, {"brand": "birch"})
    assert rows == Rows(
        columns=("sku", "price", "tags"),
        rows=({"sku": "S1", "price": 24.5, "tags": []}, {"sku": "G2", "price": 289.0, "tags": []}),
    )
    assert [row["sku"] for row in rows] == ["S1", "G2"]
    assert list(run(shop, brand_query, {"brand": "birch", "cheaper_than": "100"})) == [rows[0]]


def test_what_is_beyond_the_row_limit_is_cut_off_and_said_to_be(shop: GraphStore, brand_query: Query) -> None:
    cut = run(shop, brand_query, {"brand": "birch", "limit": 1}, max_rows=1)
    assert (len(cut), cut.truncated) == (1, False)
    many = query("UNWIND range(1, 5) AS i RETURN i", returns="i INTEGER")
    assert run(shop, many, max_rows=2) == Rows(("i",), ({"i": 1}, {"i": 2}), truncated=True)
    assert run(shop, many, max_rows=5).truncated is False


def test_ten_million_rows_are_not_fetched_to_show_three(store: GraphStore) -> None:
    # Fetching them all takes minutes, the time limit is one of seconds: that it is not exceeded shows that they
    # were left where they are.
    many = query("UNWIND range(1, 10000000) AS i RETURN i", returns="i INTEGER")
    assert [row["i"] for row in run(store, many, max_rows=3, timeout_s=20)] == [1, 2, 3]


def test_a_query_that_runs_too_long_is_ended(store: GraphStore) -> None:
    endless = query(
        "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b RETURN sum(a * b % 7) AS x", returns="x INTEGER"
    )
    before = tallies().get(endless.name, Tally())
    with pytest.raises(QueryTimeoutError, match="ended a query that ran too long"):
        run(store, endless, timeout_s=1)
    assert tallies()[endless.name].cut == before.cut + 1


def test_what_becomes_of_the_calls_is_counted(shop: GraphStore, brand_query: Query) -> None:
    counted = replace(brand_query, name="test/counted")
    run(shop, counted, {"brand": "birch"})
    with pytest.raises(QueryError):
        run(shop, counted, {"brand": "birch", "limit": -1})
    with pytest.raises(StoreError):
        run(shop, replace(counted, text=counted.text.replace("p.popularity DESC", "nonsense(p)")), {"brand": "birch"})
    tally = tallies()["test/counted"]
    assert (tally.answered, tally.refused, tally.cut, tally.failed, tally.rows) == (1, 1, 0, 1, 2)
    assert tally.seconds > 0.0


@pytest.mark.parametrize(
    "cypher",
    [
        "MATCH (p:Product) SET p.price = 0 RETURN 1 AS x",
        "CREATE (n:Brand {key: 'evil'}) RETURN 1 AS x",
        "UNWIND range(1, 100000) AS x RETURN x UNION ALL CREATE (n:Brand {key: 'evil'}) RETURN 1 AS x",
        "UNWIND [1] AS x CALL (x) { CREATE (:Brand {key: 'evil'}) } IN TRANSACTIONS RETURN x",
        "MATCH (n:Nothing) DELETE n RETURN 1 AS x",
        "CALL db.createLabel('Evil')",
        "DROP INDEX nothing IF EXISTS",
        "CREATE USER evil IF NOT EXISTS SET PASSWORD 'long enough'",
    ],
)
def test_a_query_that_writes_is_refused_and_nothing_is_run(shop: GraphStore, cypher: str) -> None:
    with pytest.raises(QueryError, match="test/query is not a read-only query"):
        run(shop, query(cypher, returns="x INTEGER"))
    with pytest.raises(QueryError, match="test/query is not a read-only query"):
        next(stream(shop, query(cypher, returns="x INTEGER")))
    assert shop.read("MATCH (p:Product {sku: 'G1'}) RETURN p.price AS price") == [{"price": 499.0}]
    assert shop.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 3}]


def test_columns_other_than_declared_are_an_error(store: GraphStore) -> None:
    with pytest.raises(QueryError, match="test/query returns y where its header says x"):
        run(store, query("RETURN 1 AS y", returns="x INTEGER"))


# --- streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "most", "sizes", "truncated"),
    [
        (0, 10, [0], False),
        (3, 10, [3], False),
        (10, 10, [10], False),
        (11, 10, [10], True),
        (2000, 5000, [1000, 1000], False),
        (2001, 5000, [1000, 1000, 1], False),
        (2001, 2000, [1000, 1000], True),
    ],
)
def test_a_stream_gives_all_rows_in_batches(
    store: GraphStore, rows: int, most: int, sizes: list[int], truncated: bool
) -> None:
    counting = query(f"UNWIND range(1, {rows}) AS i RETURN i", returns="i INTEGER")
    batches = list(stream(store, counting, max_rows=most))
    assert [len(batch) for batch in batches] == sizes
    assert [row["i"] for batch in batches for row in batch] == list(range(1, sum(sizes) + 1))
    assert [batch.truncated for batch in batches] == [False] * (len(batches) - 1) + [truncated]


def test_a_stream_reads_only_and_is_limited_in_time_and_counted(store: GraphStore) -> None:
    with pytest.raises(QueryError, match="not a read-only query"):
        next(stream(store, query("CREATE (b:Brand {key: 'evil'}) RETURN 1 AS i", returns="i INTEGER")))
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]
    endless = query(
        "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b RETURN sum(a * b % 7) AS i", returns="i INTEGER"
    )
    counted = replace(endless, name="test/streamed")
    with pytest.raises(QueryTimeoutError):
        next(stream(store, counted, timeout_s=0.5))
    many = replace(query("UNWIND range(1, 5000) AS i RETURN i", returns="i INTEGER"), name="test/streamed")
    enough = stream(store, many)
    next(enough)
    enough.close()
    tally = tallies()["test/streamed"]
    assert (tally.answered, tally.cut, tally.rows) == (1, 1, 1000)


# --- nothing found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"user": "zoe"}, "The graph has no User with the id given as user."),
        ({"user": "anna", "skus": ["NONE"]}, "The graph has no Product with the sku given as skus."),
        ({"skus": ["G1", "G1", "NONE"]}, "The graph has only 1 of the 2 Product nodes given as skus; none matches."),
        ({"user": "anna", "skus": ["G1", "G2"]}, "Nothing in the graph matches."),
        ({}, "Nothing in the graph matches."),
    ],
)
def test_an_empty_answer_has_its_reason(shop: GraphStore, parameters: dict[str, Any], reason: str) -> None:
    asked = parse(
        "// title: T\n// description: D.\n// param user: STRING = null -- who\n"
        "// param skus: LIST<STRING> = [] -- what\n"
        "// example: {}\n// returns: i INTEGER\n\nRETURN 1 AS i LIMIT 0\n",
        name="test/query",
    )
    assert why_empty(shop, asked, parameters) == reason


# --- JSON -----------------------------------------------------------------------------------------------------


def test_every_value_of_the_database_gets_its_json_form(store: GraphStore) -> None:
    q = query(
        "RETURN datetime('2026-03-01T10:00:00Z') AS at, date('2026-03-01') AS day, time('10:00:00Z') AS hour, "
        "duration('P1DT2H') AS length, [1, 2.5, null, true] AS list, "
        "{a: datetime('2026-03-01T10:00:00.5+02:00')} AS map, "
        "0.0 / 0.0 AS nan, 1.0 / 0.0 AS inf",
        returns="at STRING, day STRING, hour STRING, length STRING, list LIST<MAP>, map MAP, nan FLOAT, inf FLOAT",
    )
    assert run(store, q).rows == (
        {
            "at": "2026-03-01T10:00:00+00:00",
            "day": "2026-03-01",
            "hour": "10:00:00+00:00",
            "length": "P1DT2H",
            "list": [1, 2.5, None, True],
            "map": {"a": "2026-03-01T10:00:00.500000+02:00"},
            "nan": None,
            "inf": None,
        },
    )


def test_python_times_get_the_same_form() -> None:
    assert json_value({"at": datetime(2026, 3, 1, 10, tzinfo=UTC), "day": date(2026, 3, 1), "nan": [math.nan]}) == {
        "at": "2026-03-01T10:00:00+00:00",
        "day": "2026-03-01",
        "nan": [None],
    }


def test_a_value_without_json_form_is_named(store: GraphStore) -> None:
    with pytest.raises(QueryError, match="A WGS84Point has no form in JSON"):
        run(store, query("RETURN point({latitude: 1, longitude: 2}) AS p", returns="p MAP"))
