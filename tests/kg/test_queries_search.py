"""``search/`` on the named shop of ``conftest.py``: what is found by words, by meaning, in Chinese, and facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kg import schema
from kg.catalogue import folder, load, run, stream
from kg.errors import ParameterError
from kg.store import GraphStore, Row

QUERIES = load()


def answer(store: GraphStore, name: str, **parameters: Any) -> list[Row]:
    """The rows of a catalogue query."""
    return list(run(store, QUERIES[f"search/{name}"], parameters))


def skus(store: GraphStore, text: str, **parameters: Any) -> list[str]:
    return [row["sku"] for row in answer(store, "products", text=text, **parameters)]


def towards(*places: int) -> list[float]:
    """A unit vector that points equally in some directions."""
    return [len(places) ** -0.5 if i in places else 0.0 for i in range(schema.TEXT_DIMENSIONS)]


@pytest.fixture
def meaning(shop: GraphStore) -> GraphStore:
    """The shop with a vector for each product: guitars point one way, what belongs to them another."""
    shop.write(
        "UNWIND $rows AS row MATCH (p:Product {sku: row.sku}) SET p.text_embedding = row.vector",
        rows=[
            {"sku": sku, "vector": towards(*places)}
            for sku, places in {"G1": (0,), "G2": (0, 1), "S1": (2,), "S2": (2, 3), "T1": (4,), "X1": (0,)}.items()
        ],
    )
    return shop


# --- products -------------------------------------------------------------------------------------------------


def test_a_word_counts_by_where_it_stands_and_how_rare_it_is(shop: GraphStore) -> None:
    # "guitar" names the first two and the strap; "strap" is rarer; a quarter of it counts in G1's description.
    rows = answer(shop, "products", text="guitar strap")
    assert [row["sku"] for row in rows] == ["S1", "G1", "G2"]
    assert rows[0]["score"] == pytest.approx(1.0)
    assert rows[0]["reasons"] == [{"term": "WORDS", "part": pytest.approx(1.0)}]
    assert (rows[0]["title"], rows[0]["price"], rows[0]["currency"]) == ("Birch leather guitar strap", 24.5, "USD")
    assert 0.0 < rows[2]["score"] < rows[1]["score"] < 1.0


def test_endings_differ_and_the_word_is_the_same(shop: GraphStore) -> None:
    assert skus(shop, "straps")[0] == skus(shop, "STRAP")[0] == "S1"
    assert skus(shop, "clip-on tuners") == ["T1"]


def test_brands_attributes_and_shelves_of_the_graph_are_words_too(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'S2'}) SET p.title = 'Phosphor bronze strings'")
    assert skus(shop, "cobalt strings") == ["S2", "T1"]
    shop.write("MATCH (p:Product {sku: 'S1'}) SET p.title = 'Birch strap', p.description = null")
    assert skus(shop, "leather strap")[0] == "S1"
    parts = answer(shop, "products", text="leather strap")[0]["reasons"]
    # "strap" whole, and a quarter of "leather", which no text has and so weighs more.
    assert 0.4 < parts[0]["part"] < 0.6


def test_a_sku_is_found(shop: GraphStore) -> None:
    assert skus(shop, "s2") == ["S2"]


def test_the_vector_finds_what_no_word_does_and_adds_its_cosine(meaning: GraphStore) -> None:
    assert skus(meaning, "instrument") == []
    rows = answer(meaning, "products", text="instrument", vector=towards(0))
    assert [(row["sku"], round(row["score"], 4)) for row in rows] == [("G1", 1.0), ("G2", 0.7071)]
    assert [reason["term"] for reason in rows[0]["reasons"]] == ["MEANING"]
    both = answer(meaning, "products", text="acoustic guitar", vector=towards(0))
    assert [row["sku"] for row in both] == ["G2", "G1", "S1"]
    assert both[0]["score"] == pytest.approx(1.7071, abs=1e-4)


def test_what_is_not_sold_is_not_found(shop: GraphStore) -> None:
    assert skus(shop, "amp") == []
    shop.write("MATCH (p:Product {sku: 'T1'}) SET p.stock = 0")
    assert skus(shop, "tuner") == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": "Instruments"}, ["G2", "G1"]),
        ({"category": "Accessories"}, ["S1"]),
        ({"brand": "birch"}, ["G2", "S1"]),
        ({"attributes": ["material=leather"]}, ["S1"]),
        ({"attributes": ["material=leather", "colour=red"]}, []),
        ({"max_price": 300.0}, ["G2", "S1"]),
        ({"min_price": 100.0, "max_price": 300.0}, ["G2"]),
        ({"category": "No such shelf"}, []),
    ],
)
def test_the_graph_narrows_the_search(shop: GraphStore, filters: dict[str, Any], expected: list[str]) -> None:
    assert skus(shop, "acoustic guitar", **filters) == expected


def test_a_shelf_gives_what_is_not_among_the_best_of_the_shop(shop: GraphStore) -> None:
    # Four hundred things have more of the words than the strap, and none of them stands on its shelf.
    shop.write(
        "UNWIND range(1, 400) AS n CREATE (:Product {sku: 'N' + n, title: 'Guitar strap hook ' + n, active: true})"
    )
    assert "S1" not in skus(shop, "strap hook guitar", limit=100)
    assert skus(shop, "strap hook guitar", category="Accessories") == ["S1"]


def test_products_that_are_named_are_scored_whatever_they_have_of_the_text(meaning: GraphStore) -> None:
    rows = answer(meaning, "products", text="acoustic guitar", vector=towards(0), skus=["T1", "G2", "none", "S1"])
    assert [row["sku"] for row in rows] == ["G2", "S1", "T1"]
    assert rows[2]["score"] == pytest.approx(0.0, abs=1e-6)
    free = {r["sku"]: r["score"] for r in answer(meaning, "products", text="acoustic guitar", vector=towards(0))}
    assert rows[0]["score"] == pytest.approx(free["G2"])
    assert rows[1]["score"] == pytest.approx(free["S1"])


def test_a_misspelt_word_finds_what_is_like_it(shop: GraphStore) -> None:
    assert skus(shop, "leathr") == ["S1"]


@pytest.mark.parametrize(
    "text",
    [
        *('"', "a:b", "title:guitar", "+-&|!(){}[]^~*?:\\/", "guitar~9^", "AND OR NOT", "NOT", "*", "''", " ", ""),
        *("}) DETACH DELETE n //", "' OR 1=1 //", "guitar " * 500),
    ],
)
def test_what_lucene_or_cypher_would_take_for_a_command_is_text(shop: GraphStore, text: str) -> None:
    assert set(skus(shop, text)) <= {"S1", "S2", "G1", "G2", "T1"}
    assert shop.read("MATCH (p:Product) RETURN count(p) AS n") == [{"n": 6}]


# --- Chinese --------------------------------------------------------------------------------------------------

CHINESE = {
    "Z1": "棕色真皮吉他背带",
    "Z2": "民谣吉他钢弦",
    "Z3": "夹式调音器",
    "Z4": "电吉他音箱",
    "Z5": "皮带扣",
    "Z6": "背包 防水 40升",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("吉他背带", "Z1"), ("调音器", "Z3"), ("吉他弦", "Z2"), ("防水背包", "Z6"), ("音箱", "Z4"), ("真皮背带", "Z1")],
)
def test_chinese_is_found_by_pairs_of_characters(shop: GraphStore, text: str, expected: str) -> None:
    shop.write(
        "UNWIND $rows AS row CREATE (:Product {sku: row[0], title: row[1], active: true})",
        rows=[[sku, title] for sku, title in CHINESE.items()],
    )
    assert skus(shop, text)[0] == expected


# --- personalised ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        ([1.0, 0.0], "parameter vector: expected 384 numbers, as the graph's vectors have, found 2"),
        ([0.0] * 384, "parameter vector: expected a vector that points somewhere, found zeros"),
    ],
)
def test_a_vector_that_no_index_takes_is_refused(meaning: GraphStore, vector: list[float], told: str) -> None:
    parameters = {"text": "strap", "vector": vector}
    with pytest.raises(ParameterError, match=told):
        run(meaning, QUERIES["search/products"], parameters)
    with pytest.raises(ParameterError, match=told):
        list(stream(meaning, QUERIES["search/products"], parameters))


def test_a_user_with_a_vector_gets_the_search_in_their_own_order(shop: GraphStore) -> None:
    assert skus(shop, "cobalt") == ["S2", "T1"]
    assert [r["sku"] for r in answer(shop, "personalised", text="cobalt", user="anna")] == ["S2", "T1"]
    near, far = [1.0, *[0.0] * 63], [-1.0, *[0.0] * 63]
    shop.write(
        "CREATE (:Serving {name: 'model', version: 'v1'}), "
        "(:ModelVersion {id: 'v1', slot: 'blue', status: 'live', at: datetime()}) "
        "WITH 1 AS one MATCH (u:User {id: 'anna'}), (t:Product {sku: 'T1'}), (s:Product {sku: 'S2'}) "
        "SET u.embedding_blue = $near, t.embedding_blue = $near, s.embedding_blue = $far",
        near=near,
        far=far,
    )
    rows = answer(shop, "personalised", text="cobalt", user="anna")
    assert [row["sku"] for row in rows] == ["T1", "S2"]
    assert rows[0]["reasons"][-1] == {"term": "TASTE", "part": pytest.approx(0.3)}
    assert rows[0]["score"] - rows[1]["score"] == pytest.approx(0.6)
    assert [r["sku"] for r in answer(shop, "personalised", text="cobalt", user="nobody")] == ["S2", "T1"]
    shop.write("MATCH (u:User {id: 'anna'}), (t:Product {sku: 'T1'}) CREATE (u)-[:HIDDEN]->(t)")
    assert [r["sku"] for r in answer(shop, "personalised", text="cobalt", user="anna")] == ["S2"]


def test_both_searches_score_alike() -> None:
    def body(name: str) -> str:
        text = (folder() / "search" / name).read_text(encoding="utf-8")
        return text[text.index("CYPHER 25") : text.index("ORDER BY score DESC")]

    assert body("products.cypher") == body("personalised.cypher")
    assert Path(folder() / "search" / "products.cypher").exists()


# --- words ----------------------------------------------------------------------------------------------------


def test_a_word_too_long_to_be_a_slip_is_looked_for_as_it_stands(shop: GraphStore) -> None:
    """What is like a word of 10,000 letters took Lucene minutes to look for, and a server all its memory."""
    long, longest = "abcdefghij" * 4, "klmnopqrst" * 20
    shop.write("MATCH (p:Product {sku: 'T1'}) SET p.title = $title", title=f"Tuner {long} {long[:30]} {longest}")
    for name, given in (("products", {}), ("personalised", {"user": "anna"})):
        for text, found in (
            (long, ["T1"]),
            (longest, ["T1"]),
            (longest + "x" * 9_000, ["T1"]),  # the beginning is what it is known by
            (f"x{long[1:30]}", ["T1"]),
            (f"x{long[1:]}", []),
        ):
            assert [row["sku"] for row in answer(shop, name, text=text, **given)] == found, (name, text[:50])
    assert answer(shop, "words", words=[f"x{long[1:30]}"]) != []
    assert answer(shop, "words", words=[f"x{long[1:]}", f"x{longest[1:]}"]) == []
    assert answer(shop, "words", words=["x" * 10_000]) == []


def test_which_words_the_catalogue_knows(shop: GraphStore) -> None:
    rows = answer(shop, "words", words=["guitar", "leathr", 'le"a~', "ab", ""])
    assert [(row["word"], row["products"]) for row in rows] == [("guitar", 3), ("leathr", 0)]
    assert "leather" in rows[1]["near"]
    assert answer(shop, "words", words=["leathr"], near=False) == []


# --- answer ---------------------------------------------------------------------------------------------------

FITS = {
    "sku": "S1",
    "title": "Birch leather guitar strap",
    "says": "ACCESSORY_OF",
    "object": "Ashdown S-200 electric guitar",
    "key": "G1",
    "number": None,
    "texts": 1,
    "confidence": 0.8,
    "source": "extraction",
    "quote": "Ashdown S-200",
    "sentence": "Fits the Ashdown S-200.",
    "document": "product:S1",
    "start": 52,
    "end": 65,
}


def test_whether_the_strap_fits_the_guitar(shop: GraphStore) -> None:
    assert answer(shop, "answer", asks="fits", skus=["S1"], targets=["G1"]) == [FITS]
    # Asked the other way round, it is the same fact.
    assert [r["quote"] for r in answer(shop, "answer", asks="fits", skus=["G1"], targets=["S1"])] == ["Ashdown S-200"]
    assert answer(shop, "answer", asks="fits", skus=["S1"], targets=["G2"]) == []
    assert answer(shop, "answer", asks="fits", skus=["none"], targets=["G1"]) == []


def test_what_is_said_of_a_brand_or_a_shelf_is_said_of_its_products(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (b:Brand {key: 'ashdown'}), (c:Category {path: 'Instruments > Guitars'}) "
        "CREATE (t)-[:DOES_NOT_FIT {source: 'extraction', fact: 'f1', confidence: 0.7}]->(b), "
        "(t)-[:COMPATIBLE_WITH {source: 'extraction', fact: 'f2', confidence: 0.6}]->(c)"
    )
    rows = answer(shop, "answer", asks="fits", skus=["T1"], targets=["G1"])
    assert [(row["says"], row["object"]) for row in rows] == [
        ("DOES_NOT_FIT", "Ashdown"),
        ("COMPATIBLE_WITH", "Guitars"),
    ]
    assert [r["says"] for r in answer(shop, "answer", asks="fits", skus=["T1"], targets=["G2"])] == ["COMPATIBLE_WITH"]


def test_of_what_is_equally_sure_a_persons_word_stands_first(shop: GraphStore) -> None:
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (g:Product {sku: 'G1'}) "
        "CREATE (t)-[:ACCESSORY_OF {source: 'catalogue', confidence: 1.0}]->(g), "
        "(t)-[:DOES_NOT_FIT {source: 'curator', confidence: 1.0}]->(g)"
    )
    says = [r["says"] for r in answer(shop, "answer", asks="fits", skus=["T1"], targets=["G1"])]
    assert says == ["DOES_NOT_FIT", "ACCESSORY_OF"]


def test_what_fits_the_guitar_by_the_words_of_its_title(shop: GraphStore) -> None:
    assert answer(shop, "answer", asks="fits", skus=[], targets=["G1"]) == [FITS]
    assert answer(shop, "answer", asks="fits", skus=[], targets=["G1"], about=["strap"]) == [FITS]
    assert answer(shop, "answer", asks="fits", skus=[], targets=["G1"], about=["amp"]) == []


def test_a_word_of_a_title_is_a_whole_word_in_singular_or_plural(shop: GraphStore) -> None:
    shop.write(
        "MATCH (g:Product {sku: 'G1'}) UNWIND $rows AS row "
        "CREATE (:Product {sku: row[0], title: row[1], active: true})-[:ACCESSORY_OF {source: 'catalogue'}]->(g)",
        rows=[["K1", "Cobalt capo"], ["K2", "Cobalt Batteries, twin pack"], ["K3", "棕色真皮吉他背带"]],
    )

    def fitting(*about: str) -> list[str]:
        return [r["sku"] for r in answer(shop, "answer", asks="fits", skus=[], targets=["G1"], about=list(about))]

    assert fitting("cap") == []
    assert fitting("capo") == ["K1"]
    assert fitting("battery") == ["K2"]
    assert fitting("背带", "strap") == ["K3", "S1"]


def test_values_and_opinions_come_with_what_says_so(shop: GraphStore) -> None:
    (leather,) = answer(shop, "answer", asks="value", skus=["S1", "G1"], about=["material", "colour"])
    assert (leather["says"], leather["object"], leather["key"], leather["sentence"]) == (
        "material",
        "leather",
        "material=leather",
        "Brown leather.",
    )
    assert answer(shop, "answer", asks="value", skus=["S1"], about=["weight"]) == []
    (comfort,) = answer(shop, "answer", asks="opinion", skus=["S1"])
    assert (comfort["says"], comfort["object"], comfort["document"]) == ("PRAISED_FOR", "comfort", "review:r1")
    assert answer(shop, "answer", asks="opinion", skus=["S1"], about=["sound"]) == []


def test_prices_and_stock_are_the_catalogues(shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'S1'}) SET p.stock = 3")
    rows = answer(shop, "answer", asks="offer", skus=["S1", "X1"])
    assert [(r["sku"], r["says"], r["object"], r["source"], r["quote"]) for r in rows] == [
        ("S1", "price", "24.5 USD", "catalogue", None),
        ("S1", "stock", "3", "catalogue", None),
        ("X1", "price", "99.0 USD", "catalogue", None),
        ("X1", "stock", "0", "catalogue", None),
    ]


def test_what_is_cheaper_stands_on_the_same_shelf(shop: GraphStore) -> None:
    assert [(r["sku"], r["object"]) for r in answer(shop, "answer", asks="cheaper", skus=["G1"])] == [
        ("G2", "289.0 USD")
    ]
    assert answer(shop, "answer", asks="cheaper", skus=["G2"]) == []
    shop.write("MATCH (p:Product {sku: 'G2'}) SET p.stock = 0")
    assert answer(shop, "answer", asks="cheaper", skus=["G1"]) == []


def test_an_unknown_kind_of_question_is_refused_with_the_known_ones(shop: GraphStore) -> None:
    with pytest.raises(
        ParameterError, match="one of fits, value, opinion, offer, cheaper, dearer, compared, variants, found 'why'"
    ):
        answer(shop, "answer", asks="why", skus=["G1"])


# --- shelves --------------------------------------------------------------------------------------------------


def test_the_topmost_shelves_count_what_is_on_sale_below_them(shop: GraphStore) -> None:
    rows = answer(shop, "shelves")
    assert rows == [
        {"category": "Accessories", "name": "Accessories", "products": 3, "parted": False},
        {"category": "Instruments", "name": "Instruments", "products": 2, "parted": True},
    ]
    assert answer(shop, "shelves", category="Instruments") == [
        {"category": "Instruments > Guitars", "name": "Guitars", "products": 2, "parted": False}
    ]
    assert answer(shop, "shelves", category="Accessories") == []


def test_an_empty_shelf_is_not_shown(shop: GraphStore) -> None:
    shop.write("MATCH (:Category {path: 'Instruments > Guitars'})<-[:IN_CATEGORY]-(p) SET p.active = false")
    assert [row["category"] for row in answer(shop, "shelves")] == ["Accessories"]
