"""Every file of ``cypher/``: its header true, its plan read-only and free of scans, its rows the same from any client.

The first part holds for every query there is; the second writes out the rows of
``product/``, ``quality/`` and ``recommend/explain`` on the named shop of
``conftest.py`` and on small changes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import neo4j
import pytest

from kg import localdb, schema
from kg.catalogue import json_value, load, run
from kg.queries import Query, bind
from kg.store import GraphStore

QUERIES = load()

SCANS = re.compile(r"AllNodesScan|ByLabelScan|ByLabelsScan|LabelsScan|RelationshipsScan|TypeScan|TypesScan")
"""Operators that read every node, every node of a label, or every relationship (of a type)."""


@pytest.fixture(scope="module")
def driver(database: localdb.Connection) -> Iterator[neo4j.Driver]:
    """What any application has: the plain driver, and nothing of ours."""
    with neo4j.GraphDatabase.driver(database.uri, auth=(database.username, database.password)) as driver:
        yield driver


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a catalogue query."""
    return list(run(store, QUERIES[name], parameters))


# --- every query ----------------------------------------------------------------------------------------------


def test_there_are_queries() -> None:
    assert {"product/profile", "product/why", "recommend/explain"} <= QUERIES.keys()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_header_says_something(query: Query) -> None:
    assert query.title
    assert query.title[0].isupper()
    assert not query.title.endswith(".")
    assert query.description.endswith(".")
    assert all(parameter.doc for parameter in query.parameters)
    assert max(map(len, query.text.splitlines())) <= 120


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_parameters_used_are_those_declared(query: Query) -> None:
    assert parameters_of(query.cypher) == {parameter.name for parameter in query.parameters}


def parameters_of(cypher: str) -> set[str]:
    """The ``$names`` of a statement, those in comments and texts left out."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", " ", cypher, flags=re.DOTALL)
    return set(re.findall(r"\$`?(\w+)", code))


def test_parameters_in_comments_and_texts_do_not_count() -> None:
    assert parameters_of("// $a\nRETURN '$b', \"$c\", 'it\\'s $d', /* $e */ $f, $`g`") == {"f", "g"}


def operators(plan: dict[str, Any]) -> Iterator[str]:
    """Every operator of a plan with what it works on."""
    yield f"{plan['operatorType']} {plan['args'].get('Details', '')}"
    for child in plan.get("children", ()):
        yield from operators(child)


@pytest.mark.parametrize(
    "cypher",
    [
        "MATCH (n) RETURN n",
        "MATCH (p:Product) RETURN p",
        "MATCH (p:Product|User) RETURN p",
        "MATCH ()-[r]->() RETURN r",
        "MATCH ()-[r:MADE_BY]->() RETURN r",
        "MATCH ()-[r:MADE_BY|ABOUT]->() RETURN r",
    ],
)
def test_a_scan_is_known_when_seen(shop: GraphStore, cypher: str) -> None:
    assert any(SCANS.search(operator) for operator in operators(shop.explain(cypher)))


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_example_gives_the_declared_columns_from_any_client_and_enters_by_an_index(
    shop: GraphStore, driver: neo4j.Driver, query: Query
) -> None:
    ours = run(shop, query, query.example)
    # With its plan, which Neo4j would make again for an EXPLAIN: planning is what these tests wait for.
    records, summary, keys = driver.execute_query(
        "PROFILE " + query.text, bind(query, query.example), database_="neo4j", routing_="r"
    )
    assert summary.query_type == "r"
    assert [operator for operator in operators(summary.profile) if SCANS.search(operator)] == []
    assert keys == list(ours.columns) == [column.name for column in query.returns]
    assert [json_value(record.data()) for record in records] == list(ours)
    for row in ours:
        for column in query.returns:
            assert fits(row[column.name], column.type), f"{column.name}: {row[column.name]!r} is no {column.type}"


def fits(value: Any, type_: str) -> bool:
    """Whether a JSON value is of a declared type; null is of every type."""
    if value is None:
        return True
    if type_.startswith("LIST<"):
        return isinstance(value, list) and all(fits(item, type_[5:-1]) for item in value)
    kinds: dict[str, type] = {"STRING": str, "INTEGER": int, "FLOAT": float, "BOOLEAN": bool, "MAP": dict}
    return isinstance(value, kinds.get(type_, str)) and (type_ != "INTEGER" or not isinstance(value, bool))


@pytest.mark.parametrize(
    "name", [name for name in QUERIES if name.startswith(("product/", "recommend/", "search/", "insight/"))]
)
def test_on_an_empty_graph_there_are_no_rows_and_no_errors(store: GraphStore, name: str) -> None:
    assert len(run(store, QUERIES[name], QUERIES[name].example)) == 0


@pytest.mark.parametrize("name", ["product/why", "quality/facts_without_evidence"])
def test_queries_over_facts_name_every_type_that_is_extracted(name: str) -> None:
    spelled = re.search(r"\[f:([A-Z_|\s]+)\]", QUERIES[name].cypher)
    assert spelled is not None
    assert {name.strip() for name in spelled[1].split("|")} == schema.EXTRACTABLE


# --- product/ -------------------------------------------------------------------------------------------------


def test_the_profile_of_the_strap(shop: GraphStore) -> None:
    assert answer(shop, "product/profile", sku="S1") == [
        {
            "sku": "S1",
            "title": "Birch leather guitar strap",
            "description": "Brown leather. Fits the Ashdown S-200.",
            "price": 24.5,
            "currency": "USD",
            "active": True,
            "brand": "Birch",
            "categories": ["Accessories"],
            "attributes": [
                {
                    "attribute": "material",
                    "value": "leather",
                    "unit": None,
                    "sources": ["extraction"],
                    "confidence": 0.9,
                }
            ],
            "praised": [{"aspect": "comfort", "texts": 1}],
            "criticised": [],
            "goes_with": [
                {
                    "label": "Product",
                    "key": "G1",
                    "name": "Ashdown S-200 electric guitar",
                    "relation": "ACCESSORY_OF",
                    "confidence": 0.8,
                }
            ],
            "accessories": [],
            "rating": 5.0,
            "ratings": 1,
            "reviews": 1,
            "interactions": {"viewed": 0, "carted": 0, "bought": 0, "rated": 1, "returned": 0, "disliked": 0},
        }
    ]


def test_the_profile_of_the_guitar(shop: GraphStore) -> None:
    (guitar,) = answer(shop, "product/profile", sku="G1")
    assert guitar["accessories"] == [{"sku": "S1", "title": "Birch leather guitar strap", "confidence": 0.8}]
    assert guitar["interactions"]["bought"] == 2
    assert (guitar["rating"], guitar["ratings"]) == (None, 0)


def test_the_most_popular_accessories_come_first_and_what_nobody_met_last(shop: GraphStore) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G1'}) "
        "CREATE (:Product {sku: 'A1', title: 'Case', active: true})-[:ACCESSORY_OF {source: 'catalogue'}]->(g)"
    )
    (guitar,) = answer(shop, "product/profile", sku="G1")
    assert [accessory["sku"] for accessory in guitar["accessories"]] == ["S1", "A1"]


def test_who_reviews_twice_rates_once_and_the_latest_stands(shop: GraphStore) -> None:
    shop.write(
        "MATCH (c:User {id: 'cleo'}), (b:User {id: 'ben'}), (g:Product {sku: 'G1'}) "
        "UNWIND [[c, 1.0, '2026-01-01T00:00:00Z'], [c, 5.0, '2026-02-01T00:00:00Z'], [b, 3.0, null]] AS row "
        "WITH g, row[0] AS author, row[1] AS stars, row[2] AS at "
        "CREATE (author)-[:WROTE]->(:Review {id: author.id + stars, rating: stars, at: datetime(at)})-[:ABOUT]->(g)"
    )
    (guitar,) = answer(shop, "product/profile", sku="G1")
    assert (guitar["rating"], guitar["ratings"], guitar["reviews"]) == (4.0, 2, 3)


def test_two_sources_of_one_attribute_are_one_entry(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (v:AttributeValue {key: 'material=leather'}) "
        "CREATE (s)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v)"
    )
    (strap,) = answer(shop, "product/profile", sku="S1")
    assert strap["attributes"] == [
        {
            "attribute": "material",
            "value": "leather",
            "unit": None,
            "sources": ["catalogue", "extraction"],
            "confidence": 0.9,
        }
    ]


def test_a_curators_brand_outranks_the_catalogues_and_that_the_extracted(shop: GraphStore) -> None:
    assert_brand = "MATCH (s:Product {sku: 'S1'}), (b:Brand {key: $brand}) CREATE (s)-[:MADE_BY {source: $source}]->(b)"
    shop.write(assert_brand, brand="ashdown", source="extraction")
    assert answer(shop, "product/profile", sku="S1")[0]["brand"] == "Birch"
    shop.write(assert_brand, brand="cobalt", source="curator")
    assert answer(shop, "product/profile", sku="S1")[0]["brand"] == "Cobalt"


def test_a_person_who_rated_and_reviewed_counts_once(shop: GraphStore) -> None:
    # cleo only reviewed; anna did both, so that her review adds nothing to her rating.
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (c:User {id: 'cleo'}) "
        "CREATE (c)-[:WROTE {source: 'catalogue'}]->(:Review {id: 'r2', rating: 2.0})"
        "-[:ABOUT {source: 'catalogue'}]->(s)"
    )
    (strap,) = answer(shop, "product/profile", sku="S1")
    assert (strap["rating"], strap["ratings"], strap["reviews"]) == (3.5, 2, 2)


WHY_S1 = [
    {
        "type": "HAS_ATTRIBUTE",
        "object": "material = leather",
        "confidence": 0.9,
        "quote": "leather",
        "sentence": "Brown leather.",
        "document": "product:S1",
        "start": 34,
        "end": 41,
        "extractor": "shopgraph",
        "version": "1",
        "at": "2026-03-01T00:00:00+00:00",
        "fact": "fact-leather",
    },
    {
        "type": "ACCESSORY_OF",
        "object": "Ashdown S-200 electric guitar",
        "confidence": 0.8,
        "quote": "Ashdown S-200",
        "sentence": "Fits the Ashdown S-200.",
        "document": "product:S1",
        "start": 52,
        "end": 65,
        "extractor": "shopgraph",
        "version": "1",
        "at": "2026-03-01T00:00:00+00:00",
        "fact": "fact-fits",
    },
    {
        "type": "PRAISED_FOR",
        "object": "comfort",
        "confidence": 0.7,
        "quote": "Very comfortable",
        "sentence": "Very comfortable, even for hours.",
        "document": "review:r1",
        "start": 8,
        "end": 24,
        "extractor": "shopgraph",
        "version": "1",
        "at": "2026-03-02T11:00:00+00:00",
        "fact": "fact-comfort",
    },
]


def test_why_shows_each_fact_with_its_sentence(shop: GraphStore) -> None:
    assert answer(shop, "product/why", sku="S1") == WHY_S1
    assert answer(shop, "product/why", sku="S1", limit=2) == WHY_S1[:2]
    assert answer(shop, "product/why", sku="G1") == []


def test_why_shows_the_surest_places_of_a_fact_first(shop: GraphStore) -> None:
    # "leather" stands in the title, too: offset 6.
    shop.write(
        "MATCH (d:Document {id: 'product:S1'}) CREATE (e:Evidence {id: 'e4', start: 6, end: 13, quote: 'leather', "
        "confidence: 0.95, extractor: 'shopgraph', version: '1', at: datetime(), fact: 'fact-leather'})-[:FROM]->(d)"
    )
    leather = [row for row in answer(shop, "product/why", sku="S1") if row["fact"] == "fact-leather"]
    assert [(row["sentence"], row["start"]) for row in leather] == [
        ("Birch leather guitar strap", 6),
        ("Brown leather.", 34),
    ]
    assert [row["start"] for row in answer(shop, "product/why", sku="S1", per_fact=1)] == [6, 52, 8]


def test_sentences_are_cut_where_the_text_counts_code_points(shop: GraphStore) -> None:
    # An emoji is one code point and two UTF-16 units; counted otherwise, the sentence would be cut askew.
    text = "Wow 😀😀! Brown leather 👍. Fine."
    start = text.index("leather")
    shop.write(
        "MATCH (d:Document {id: 'product:S1'})<-[:FROM]-(e:Evidence {id: 'e1'}) SET d.text = $text, e.start = $start, "
        "e.end = $end",
        text=text,
        start=start,
        end=start + 7,
    )
    assert answer(shop, "product/why", sku="S1", limit=1)[0]["sentence"] == "Brown leather 👍."


def test_the_reviews_summary_of_the_strap(shop: GraphStore) -> None:
    comfort = {
        "aspect": "comfort",
        "praised": 1,
        "criticised": 0,
        "sentiment": 1.0,
        "praise": "Very comfortable",
        "criticism": None,
        "quotes": [
            {
                "praises": True,
                "quote": "Very comfortable",
                "sentence": "Very comfortable, even for hours.",
                "document": "review:r1",
            }
        ],
    }
    assert answer(shop, "product/reviews_summary", sku="S1") == [comfort]
    # "even for hours" is made a complaint of two texts about the strap's buckle, and one praises it.
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (d:Document {id: 'review:r1'}) "
        "CREATE (buckle:Aspect {key: 'buckle', name: 'buckle'}), "
        "(s)-[:CRITICISED_FOR {source: 'extraction', fact: 'f9', confidence: 0.6, count: 3}]->(buckle), "
        "(s)-[:PRAISED_FOR {source: 'extraction', fact: 'f8', confidence: 0.6, count: 1}]->(buckle), "
        "(:Evidence {id: 'e9', fact: 'f9', start: 26, end: 40, quote: 'even for hours', confidence: 0.6})-[:FROM]->(d)"
    )
    assert answer(shop, "product/reviews_summary", sku="S1") == [
        {
            "aspect": "buckle",
            "praised": 1,
            "criticised": 3,
            "sentiment": -0.5,
            "praise": None,
            "criticism": "even for hours",
            "quotes": [
                {
                    "praises": False,
                    "quote": "even for hours",
                    "sentence": "Very comfortable, even for hours.",
                    "document": "review:r1",
                }
            ],
        },
        comfort,
    ]
    assert answer(shop, "product/reviews_summary", sku="S1", quotes=0)[1]["quotes"] == []


def test_what_texts_compare_the_acoustic_guitar_with(shop: GraphStore) -> None:
    assert answer(shop, "product/compared", sku="G2") == []
    # Two texts on the acoustic prefer it to the electric guitar, by its sound; one on the electric prefers the
    # acoustic, and one finds them alike. Three prefer Ashdown's.
    shop.write(
        "MATCH (g2:Product {sku: 'G2'}), (g1:Product {sku: 'G1'}), (b:Brand {key: 'ashdown'}) "
        "CREATE (d:Document {id: 'review:r7', kind: 'review', sku: 'G2', title_end: 0, sha256: 'c', "
        "text: 'I like it. The sound is warmer than my S-200. Good.'}), "
        "(sound:Aspect {key: 'sound', name: 'sound'}), "
        "(g2)-[:BETTER_THAN {source: 'extraction', fact: 'b1', confidence: 0.7, count: 2}]->(g1), "
        "(g1)-[:WORSE_THAN {source: 'extraction', fact: 'b2', confidence: 0.7, count: 1}]->(g2), "
        "(g1)-[:COMPARED_WITH {source: 'extraction', fact: 'b3', confidence: 0.7, count: 1}]->(g2), "
        "(g2)-[:WORSE_THAN {source: 'extraction', fact: 'b4', confidence: 0.7, count: 3}]->(b), "
        "(e:Evidence {id: 'e7', fact: 'b1', start: 39, end: 44, quote: 'S-200', confidence: 0.7})-[:FROM]->(d), "
        "(e)-[:MENTIONS]->(g1), "
        "(a:Evidence {id: 'e8', fact: 'b1', start: 15, end: 20, quote: 'sound', confidence: 0.6})-[:FROM]->(d), "
        "(a)-[:MENTIONS]->(sound)"
    )
    guitar = {
        "kind": "product",
        "key": "G1",
        "name": "Ashdown S-200 electric guitar",
        "preferred": 3,
        "other_preferred": 0,
        "alike": 1,
        "aspects": ["sound"],
        "quote": "S-200",
        "sentence": "The sound is warmer than my S-200.",
        "document": "review:r7",
    }
    maker = {**dict.fromkeys(guitar), "kind": "brand", "key": "ashdown", "name": "Ashdown"}
    maker |= {"preferred": 0, "other_preferred": 3, "alike": 0, "aspects": []}
    assert answer(shop, "product/compared", sku="G2") == [guitar, maker]
    (seen_from_there,) = answer(shop, "product/compared", sku="G1")
    assert (seen_from_there["preferred"], seen_from_there["other_preferred"], seen_from_there["alike"]) == (0, 3, 1)


# --- quality/ -------------------------------------------------------------------------------------------------


def test_facts_without_evidence_are_found(shop: GraphStore) -> None:
    assert answer(shop, "quality/facts_without_evidence") == []
    shop.write("MATCH (e:Evidence {id: 'e2'}) DETACH DELETE e")  # gone altogether
    shop.write("MATCH (:Evidence {id: 'e1'})-[from:FROM]->() DELETE from")  # hangs on no document
    shop.write(
        "MATCH (g:Product {sku: 'G2'}), (b:Brand {key: 'cobalt'}) CREATE (g)-[:MADE_BY {source: 'extraction'}]->(b)"
    )
    expected = [
        {"sku": "G2", "facts": [{"type": "MADE_BY", "object": "cobalt", "fact": None}]},
        {
            "sku": "S1",
            "facts": [
                {"type": "ACCESSORY_OF", "object": "G1", "fact": "fact-fits"},
                {"type": "HAS_ATTRIBUTE", "object": "material=leather", "fact": "fact-leather"},
            ],
        },
    ]
    assert answer(shop, "quality/facts_without_evidence") == expected
    assert answer(shop, "quality/facts_without_evidence", limit=1) == expected[:1]
    assert answer(shop, "quality/facts_without_evidence", after="G2") == expected[1:]
    # No more is looked at than was asked for, whether or not it gives a row: G1 and G2, then S1 alone.
    assert answer(shop, "quality/facts_without_evidence", products=2) == expected[:1]
    assert answer(shop, "quality/facts_without_evidence", products=1) == []
    assert answer(shop, "quality/facts_without_evidence", after="G2", products=1) == expected[1:]


def test_quotes_that_differ_are_found(shop: GraphStore) -> None:
    assert answer(shop, "quality/quotes_that_differ") == []
    shop.write("MATCH (d:Document {id: 'product:S1'}) SET d.text = replace(d.text, 'Brown', 'Tan')")
    assert answer(shop, "quality/quotes_that_differ") == [
        {"evidence": "e1", "document": "product:S1", "start": 34, "end": 41, "quote": "leather", "text": "ather. "},
        {
            "evidence": "e2",
            "document": "product:S1",
            "start": 52,
            "end": 65,
            "quote": "Ashdown S-200",
            "text": "hdown S-200.",
        },
    ]
    assert [row["evidence"] for row in answer(shop, "quality/quotes_that_differ", after="e1")] == ["e2"]
    assert [row["evidence"] for row in answer(shop, "quality/quotes_that_differ", evidence=1)] == ["e1"]
    assert answer(shop, "quality/quotes_that_differ", after="e2", evidence=1) == []


def test_products_without_facts_are_found(shop: GraphStore) -> None:
    shop.write("MATCH (:Product {sku: 'T1'})-[r:MADE_BY|IN_CATEGORY]->() DELETE r")
    rows = answer(shop, "quality/products_without_facts")
    # The strap lacks nothing, and the amp (X1), which lacks a category, is not on sale.
    assert [(row["sku"], row["lacks"]) for row in rows] == [
        ("G1", ["attributes"]),
        ("G2", ["attributes"]),
        ("S2", ["attributes"]),
        ("T1", ["brand", "category", "attributes"]),
    ]
    # The strap (S1) is looked at too, and gives no row.
    assert [row["sku"] for row in answer(shop, "quality/products_without_facts", products=3)] == ["G1", "G2"]
    assert [row["sku"] for row in answer(shop, "quality/products_without_facts", after="S1", products=1)] == ["S2"]


# --- recommend/explain ----------------------------------------------------------------------------------------


def test_why_ben_should_like_the_strap(shop: GraphStore) -> None:
    rows = answer(shop, "recommend/explain", user="ben", sku="S1")
    shown = ("kind", "path", "weight", "evidence", "facts")
    assert [{**{name: row[name] for name in shown}, "weight": round(row["weight"], 4)} for row in rows] == [
        {
            # Bought on the day of his last event: interest 1. The text says so with confidence 0.8.
            "kind": "ACCESSORY_OF",
            "path": [
                "ben BOUGHT Ashdown S-200 electric guitar",
                "Birch leather guitar strap ACCESSORY_OF Ashdown S-200 electric guitar",
            ],
            "weight": 0.8,
            "evidence": 1,
            "facts": ["fact-fits"],
        },
        {
            # anna took both; two took the guitar, one the strap: 1 / sqrt(2 × 1).
            "kind": "TAKEN_BY_BOTH",
            "path": [
                "ben BOUGHT Ashdown S-200 electric guitar",
                "1 other user took Ashdown S-200 electric guitar",
                "1 other user took Birch leather guitar strap",
            ],
            "weight": 0.7071,
            "evidence": 0,
            "facts": [],
        },
        {
            # Three products stand on that shelf: 0.5 / ln(2 + 3).
            "kind": "IN_CATEGORY",
            "path": [
                "ben BOUGHT Cobalt clip-on tuner",
                "Cobalt clip-on tuner IN_CATEGORY Accessories",
                "Birch leather guitar strap IN_CATEGORY Accessories",
            ],
            "weight": 0.3107,
            "evidence": 0,
            "facts": [],
        },
        {
            # A look is 0.2 of a purchase, and was a day earlier: 0.2 × 0.5^(1/90) × 0.5 / ln(2 + 2).
            "kind": "MADE_BY",
            "path": [
                "ben VIEWED Birch dreadnought acoustic guitar",
                "Birch dreadnought acoustic guitar MADE_BY Birch",
                "Birch leather guitar strap MADE_BY Birch",
            ],
            "weight": 0.0716,
            "evidence": 0,
            "facts": [],
        },
    ]
    assert answer(shop, "recommend/explain", user="ben", sku="S1", limit=1) == rows[:1]
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert rows[0]["share"] == pytest.approx(rows[0]["weight"] / sum(row["weight"] for row in rows))


def test_a_reason_reads_as_a_sentence_in_english_and_chinese(shop: GraphStore) -> None:
    def sentences(**parameters: Any) -> list[str]:
        return [row["sentence"] for row in answer(shop, "recommend/explain", user="ben", sku="S1", **parameters)]

    assert (
        sentences()
        == sentences(language="fr")
        == [
            "Because you bought Ashdown S-200 electric guitar: Birch leather guitar strap is made for it. "
            "A text says: “Fits the Ashdown S-200.”",
            "Because you bought Ashdown S-200 electric guitar: "
            "others who took it took Birch leather guitar strap, too (1).",
            "Because you bought Cobalt clip-on tuner: Birch leather guitar strap belongs to Accessories, too.",
            "Because you looked at Birch dreadnought acoustic guitar: "
            "Birch leather guitar strap is made by Birch, too.",
        ]
    )
    assert sentences(language="zh-CN")[0] == (
        "因为您购买过Ashdown S-200 electric guitar：Birch leather guitar strap是它的配件。"
        "文中写道：“Fits the Ashdown S-200.”"
    )


@pytest.mark.parametrize("relation", ["ACCESSORY_OF", "COMPATIBLE_WITH", "BOUGHT_WITH", "VARIANT_OF", "SUBSTITUTE_FOR",
                                      "VIEWED_WITH", "SIMILAR_TO", "PRAISED_FOR", "HAS_ATTRIBUTE"])  # fmt: skip
def test_every_kind_of_path_has_its_sentence(shop: GraphStore, relation: str) -> None:
    shop.write(
        "CYPHER 25 MATCH (u:User {id: 'cleo'}), (g:Product {sku: 'S1'}), (t:Product {sku: 'T1'}), (a:Aspect), "
        "(v:AttributeValue) CREATE (:Serving {name: 'model', version: 'm'}), "
        "(:ModelVersion {id: 'm'}), (u)-[:CARTED {strength: 1.0}]->(g) "
        "WITH g, CASE $relation WHEN 'PRAISED_FOR' THEN a WHEN 'HAS_ATTRIBUTE' THEN v ELSE g END AS x, t "
        "CREATE (t)-[:$($relation) {model: 'm', weight: 1.0}]->(x)",
        relation=relation,
    )
    for language, begins in (("en", "Because you put Birch"), ("zh", "因为您把Birch")):
        rows = answer(shop, "recommend/explain", user="cleo", sku="T1", language=language)
        (sentence,) = [row["sentence"] for row in rows if row["kind"] == relation]
        assert sentence.startswith(begins)
        assert "{" not in sentence


def test_every_thing_that_users_do_has_its_words(shop: GraphStore) -> None:
    for did in ("BOUGHT", "RATED", "CARTED", "CLICKED", "VIEWED"):
        shop.write(
            "CYPHER 25 MATCH (u:User {id: 'cleo'}), (s:Product {sku: 'S1'}) "
            "OPTIONAL MATCH (u)-[r]->(:Product) DELETE r "
            "CREATE (u)-[:$($did) {strength: 1.0}]->(s)",
            did=did,
        )
        for language, begins in (("en", "Because you "), ("zh", "因为您")):
            (own,) = answer(shop, "recommend/explain", user="cleo", sku="S1", language=language)
            assert own["kind"] == did
            assert own["sentence"].startswith(begins)
            assert "Birch leather guitar strap" in own["sentence"]


def test_the_terms_of_an_explanation_are_those_of_the_score(shop: GraphStore) -> None:
    shop.write(
        "CREATE (:Serving {name: 'model', version: 'm'}), "
        "(m:ModelVersion {id: 'm', slot: 'blue', half_life_days: 365.0, w_embedding: 1.0, "
        "w_similar: 0.5, w_next: 0.4, recency: 0.5, w_popularity: 0.1, w_accessory_of: 0.3, w_bought_with: 0.0, "
        "w_viewed_with: 0.0, w_compatible_with: 0.0, w_substitute_for: 0.0, w_variant_of: 0.0}) "
        "WITH m MATCH (g:Product {sku: 'G1'}), (s:Product {sku: 'S1'}) "
        "CREATE (g)-[:SIMILAR_TO {model: 'm', weight: 0.6, next: 0.5}]->(s)"
    )
    (explained, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    (strap,) = [row for row in answer(shop, "recommend/for_user", user="ben") if row["sku"] == "S1"]
    assert sum(term["part"] for term in explained["terms"]) == pytest.approx(strap["score"])
    assert sum(term["share"] for term in explained["terms"]) == pytest.approx(1.0)
    shares = {reason["term"]: reason["share"] for reason in strap["reasons"]}
    assert {term["term"]: term["share"] for term in explained["terms"]} == pytest.approx(shares)
    assert shares.keys() == {"SIMILAR_TO", "ACCESSORY_OF", "POPULARITY"}


# --- recommend/explain_path -----------------------------------------------------------------------------------


def test_a_path_is_walked_down_to_the_sentence(shop: GraphStore) -> None:
    (explained, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    assert explained["steps"] == [
        {"type": "BOUGHT", "from": "ben", "to": "G1"},
        {"type": "ACCESSORY_OF", "from": "S1", "to": "G1"},
    ]
    nothing = dict.fromkeys(("confidence", "quote", "sentence", "document", "review", "rating"))
    assert answer(shop, "recommend/explain_path", path=explained["steps"]) == [
        {
            **nothing,
            "step": 1,
            "subject": "ben",
            "type": "BOUGHT",
            "object": "Ashdown S-200 electric guitar",
            "at": "2026-03-03T10:00:00+00:00",
        },
        {
            **nothing,
            "step": 2,
            "subject": "Birch leather guitar strap",
            "type": "ACCESSORY_OF",
            "object": "Ashdown S-200 electric guitar",
            "confidence": 0.8,
            "quote": "Ashdown S-200",
            "sentence": "Fits the Ashdown S-200.",
            "document": "product:S1",
            "at": None,
        },
    ]


def test_behind_praise_and_behind_what_a_user_rated_stands_a_review(shop: GraphStore) -> None:
    rows = answer(
        shop,
        "recommend/explain_path",
        path=[
            {"type": "RATED", "from": "anna", "to": "S1"},
            {"type": "PRAISED_FOR", "from": "S1", "to": "comfort"},
        ],
    )
    assert [(r["step"], r["sentence"], r["review"], r["rating"]) for r in rows] == [
        (1, "Very comfortable, even for hours.", "r1", 5.0),
        (2, "Very comfortable, even for hours.", "r1", 5.0),
    ]


def test_who_took_both_is_counted_from_the_less_popular(shop: GraphStore) -> None:
    """Of 3,000 buyers of the S-200 two bought the amp, neither of the first nor of the last 500."""
    shop.write(
        "MATCH (g:Product {sku: 'G1'}), (x:Product {sku: 'X1'}) UNWIND range(1, 3000) AS n "
        "CREATE (u:User {id: 'u' + n})-[:BOUGHT]->(g) "
        "WITH u, n, x WHERE n IN [1500, 1501] CREATE (u)-[:BOUGHT]->(x)"
    )
    for first, second in (("G1", "X1"), ("X1", "G1")):
        step = {"type": "TAKEN_BY_BOTH", "from": first, "to": second}
        assert [row["step"] for row in answer(shop, "recommend/explain_path", path=[step])] == [1]


def test_every_step_of_every_path_can_be_walked_and_what_is_gone_cannot(shop: GraphStore) -> None:
    for user, sku in (("ben", "S1"), ("ben", "G2"), ("anna", "T1"), ("anna", "G2")):
        for row in answer(shop, "recommend/explain", user=user, sku=sku):
            walked = answer(shop, "recommend/explain_path", path=row["steps"])
            assert {step["step"] for step in walked} == set(range(1, len(row["steps"]) + 1)), row["path"]
    (first, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    shop.write("MATCH ()-[r:ACCESSORY_OF]->() DELETE r")
    assert [step["step"] for step in answer(shop, "recommend/explain_path", path=first["steps"])] == [1]
    assert answer(shop, "recommend/explain_path", path=[{"nonsense": 1}, {"type": "') DELETE (n"}]) == []


def kinds(store: GraphStore, user: str, sku: str) -> list[str]:
    """The kinds of path, strongest first."""
    return [row["kind"] for row in answer(store, "recommend/explain", user=user, sku=sku)]


def test_who_did_nothing_gets_no_reason(shop: GraphStore) -> None:
    assert kinds(shop, "cleo", "S1") == []


def test_nobody_and_nothing_get_no_reason(shop: GraphStore) -> None:
    assert kinds(shop, "dora", "S1") == []
    assert kinds(shop, "ben", "S9") == []


def test_a_look_at_the_product_itself_is_a_reason(shop: GraphStore) -> None:
    own = next(row for row in answer(shop, "recommend/explain", user="ben", sku="G2") if row["kind"] == "VIEWED")
    assert own["path"] == ["ben VIEWED Birch dreadnought acoustic guitar"]


@pytest.mark.parametrize(
    "regret",
    [
        "CREATE (u)-[:RETURNED {count: 1, strength: -0.5}]->(g)",
        "CREATE (u)-[:DISLIKED {count: 1, strength: -1.0}]->(g)",
        "CREATE (u)-[:HIDDEN {count: 1, strength: -1.0}]->(g)",
        "MATCH (u)-[b:BOUGHT]->(g) DELETE b CREATE (u)-[:RATED {rating: 1.0, count: 1, strength: 0.2}]->(g)",
    ],
)
def test_what_the_user_regretted_is_no_reason(shop: GraphStore, regret: str) -> None:
    shop.write(f"MATCH (u:User {{id: 'ben'}}), (g:Product {{sku: 'G1'}}) WITH u, g {regret}")
    assert kinds(shop, "ben", "S1") == ["IN_CATEGORY", "MADE_BY"]


def test_an_accessory_of_a_brand_fits_what_the_brand_makes(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (b:Brand {key: 'ashdown'}) "
        "CREATE (t)-[:COMPATIBLE_WITH {source: 'extraction', fact: 'f8', confidence: 1.0}]->(b)"
    )
    row = next(r for r in answer(shop, "recommend/explain", user="anna", sku="T1") if r["kind"] == "COMPATIBLE_WITH")
    assert row["path"] == [
        "anna BOUGHT Ashdown S-200 electric guitar",
        "Ashdown S-200 electric guitar MADE_BY Ashdown",
        "Cobalt clip-on tuner COMPATIBLE_WITH Ashdown",
    ]


def test_shared_values_and_praise_are_reasons_with_evidence_of_both(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (v:AttributeValue {key: 'material=leather'}), (a:Aspect {key: 'comfort'}) "
        "CREATE (t)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v), "
        "(t)-[:PRAISED_FOR {source: 'extraction', fact: 'f7', confidence: 1.0, count: 1}]->(a), "
        "(:Evidence {id: 'e7', fact: 'f7'})"
    )
    rows = {row["kind"]: row for row in answer(shop, "recommend/explain", user="anna", sku="T1")}
    assert rows["HAS_ATTRIBUTE"]["path"][2] == "Cobalt clip-on tuner HAS_ATTRIBUTE material = leather"
    assert rows["HAS_ATTRIBUTE"]["facts"] == ["fact-leather"]
    assert rows["PRAISED_FOR"]["path"][1] == "Birch leather guitar strap PRAISED_FOR comfort"
    assert (sorted(rows["PRAISED_FOR"]["facts"]), rows["PRAISED_FOR"]["evidence"]) == (["f7", "fact-comfort"], 2)


def test_praise_does_not_join_with_criticism(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (a:Aspect {key: 'comfort'}) "
        "CREATE (t)-[:CRITICISED_FOR {source: 'extraction', fact: 'f6', confidence: 1.0, count: 1}]->(a)"
    )
    assert "PRAISED_FOR" not in kinds(shop, "anna", "T1")


def test_two_sources_that_say_the_same_are_one_path(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}), (g:Product {sku: 'G1'}) CREATE (s)-[:ACCESSORY_OF {source: 'catalogue'}]->(g)"
    )
    accessory = [
        row for row in answer(shop, "recommend/explain", user="ben", sku="S1") if row["kind"] == "ACCESSORY_OF"
    ]
    assert [(row["weight"], row["evidence"], row["facts"]) for row in accessory] == [(1.0, 1, ["fact-fits"])]


@pytest.mark.parametrize("unit", [1.0, 30.0])
def test_learned_similarity_counts_as_a_share_and_only_for_the_live_model(shop: GraphStore, unit: float) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G1'}), (t:Product {sku: 'S2'}), (x:Product {sku: 'X1'}) "
        "CREATE (:ModelVersion {id: 'm1'}), (:Serving {name: 'model', version: 'm2'}), (:ModelVersion {id: 'm2'}), "
        "(g)-[:SIMILAR_TO {model: 'm1', weight: 9.0}]->(t), (g)-[:SIMILAR_TO {model: 'm2', weight: 0.4 * $unit}]->(t), "
        "(g)-[:SIMILAR_TO {model: 'm2', weight: 0.8 * $unit}]->(x)",
        unit=unit,
    )
    similar = [row for row in answer(shop, "recommend/explain", user="ben", sku="S2") if row["kind"] == "SIMILAR_TO"]
    assert [(row["path"], row["weight"]) for row in similar] == [
        (
            [
                "ben BOUGHT Ashdown S-200 electric guitar",
                "Ashdown S-200 electric guitar SIMILAR_TO Cobalt phosphor bronze strings",
            ],
            pytest.approx(0.15),
        )
    ]


def test_old_interest_counts_less(shop: GraphStore) -> None:
    shop.write("MATCH (u:User {id: 'ben'}) SET u.last_at = u.last_at + duration({days: 90})")
    (first, *_) = answer(shop, "recommend/explain", user="ben", sku="S1")
    assert (first["kind"], round(first["weight"], 6)) == ("ACCESSORY_OF", 0.4)


def test_a_popular_node_does_not_make_the_work_grow(shop: GraphStore, driver: neo4j.Driver) -> None:
    # Brand, shelf, guitar and strap become ever more popular; the path from ben to the strap costs the same.
    crowd = (
        "MATCH (b:Brand {key: 'birch'}), (c:Category {path: 'Accessories'}), (g:Product {sku: 'G1'}), "
        "      (s:Product {sku: 'S1'}) "
        "UNWIND range($from, $to) AS i "
        "CREATE (p:Product {sku: 'P' + i, title: 'Thing ' + i, active: true})-[:MADE_BY {source: 'catalogue'}]->(b), "
        "       (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c), "
        "       (u:User {id: 'u' + i})-[:BOUGHT {count: 1, strength: 1.0}]->(g), "
        "       (u)-[:BOUGHT {count: 1, strength: 1.0}]->(s)"
    )
    query = QUERIES["recommend/explain"]
    hits = []
    for start, end in ((1, 1000), (1001, 4000)):
        shop.write(crowd, **{"from": start, "to": end})
        summary = driver.execute_query(
            "PROFILE " + query.text, bind(query, {"user": "ben", "sku": "S1"}), database_="neo4j"
        ).summary
        hits.append(db_hits(summary.profile))
    assert hits[1] < 1.25 * hits[0]


def db_hits(profile: dict[str, Any]) -> int:
    """How often a query asked the store for something: its work, counted rather than timed."""
    return profile["args"].get("DbHits", 0) + sum(db_hits(child) for child in profile.get("children", ()))


# --- product/neighbourhood ------------------------------------------------------------------------------------


def around(store: GraphStore, **parameters: Any) -> list[tuple[str, str, str]]:
    rows = answer(store, "product/neighbourhood", **parameters)
    return [(row["from_key"], row["type"], row["to_key"]) for row in rows]


def test_a_neighbourhood_has_what_stands_around_and_what_lies_between(shop: GraphStore) -> None:
    assert around(shop, sku="S1") == [
        ("S1", "ACCESSORY_OF", "G1"),
        ("S1", "HAS_ATTRIBUTE", "material=leather"),
        ("S1", "IN_CATEGORY", "Accessories"),
        ("S1", "MADE_BY", "birch"),
        ("S1", "PRAISED_FOR", "comfort"),
    ]
    # The strings stand beside the acoustic by what people bought, in whichever direction it is kept.
    assert ("G2", "BOUGHT_WITH", "S2") in around(shop, sku="S2")
    (row,) = answer(shop, "product/neighbourhood", sku="S1", limit=1)
    assert row == {
        "type": "ACCESSORY_OF",
        "from_label": "Product",
        "from_key": "S1",
        "from_name": "Birch leather guitar strap",
        "to_label": "Product",
        "to_key": "G1",
        "to_name": "Ashdown S-200 electric guitar",
        "weight": 0.8,
    }


def test_neighbours_are_linked_among_themselves(shop: GraphStore) -> None:
    shop.write("MATCH (a:Product {sku: 'S1'}), (b:Product {sku: 'G2'}) CREATE (a)-[:VIEWED_WITH {source: 'x'}]->(b)")
    found = around(shop, sku="S1")
    assert ("G2", "MADE_BY", "birch") in found
    assert found.index(("G2", "MADE_BY", "birch")) > found.index(("S1", "VIEWED_WITH", "G2"))


def test_of_each_kind_the_strongest_few_are_neighbours(shop: GraphStore) -> None:
    shop.write(
        "MATCH (s:Product {sku: 'S1'}) UNWIND range(1, 9) AS i "
        "CREATE (s)-[:PRAISED_FOR {source: 'x', count: i}]->(:Aspect {key: 'a' + i, name: 'a' + i})"
    )
    assert [key for _, kind, key in around(shop, sku="S1", each=2) if kind == "PRAISED_FOR"] == ["a8", "a9"]


def test_learned_relations_are_those_of_the_live_model(shop: GraphStore) -> None:
    shop.write(
        "MATCH (a:Product {sku: 'S1'}), (b:Product {sku: 'S2'}), (c:Product {sku: 'T1'}) "
        "CREATE (a)-[:SIMILAR_TO {model: 'new', weight: 0.5}]->(b), "
        "(a)-[:SIMILAR_TO {model: 'old', weight: 0.9}]->(c), "
        "(:Serving {name: 'model', version: 'new'}), (:ModelVersion {id: 'new', slot: 'blue'})"
    )
    assert [key for _, kind, key in around(shop, sku="S1") if kind == "SIMILAR_TO"] == ["S2"]


def test_an_unknown_product_has_no_neighbourhood(shop: GraphStore) -> None:
    assert around(shop, sku="nothing") == []
