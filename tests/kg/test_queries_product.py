"""``product/`` on the named shop of ``conftest.py`` and on small changes of it: the rows, written out."""

from __future__ import annotations

from typing import Any

from kg.catalogue import load, run
from kg.store import GraphStore

QUERIES = load()


def answer(store: GraphStore, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a catalogue query."""
    return list(run(store, QUERIES[name], parameters))


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
