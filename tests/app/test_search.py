"""``kg search`` and ``kg evaluate search`` from files to figures, on shops whose right answers are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.encoder import Encoder
from kg import schema
from kg.app import jobs
from kg.app.benchmark_search import is_development, part_of
from kg.app.search import Judgment, Searched, measured, read_judgments, reciprocal_ranks
from kg.errors import ExtractionError, InputError
from kg.migrations import index_width, shape_vector_index
from kg.store import GraphStore
from tests.app.conftest import Kg, lines
from tests.extraction.tiny import tiny_bert

PRODUCTS = [
    {"sku": "D1", "title": "Cordless drill 18 volt"},
    {"sku": "D2", "title": "Hammer drill with case"},
    {"sku": "D3", "title": "Drill bit set for wood"},
    {"sku": "F1", "title": "French interior door"},
    {"sku": "F2", "title": "Door handle in brass"},
]


def widths(store: GraphStore) -> tuple[int | None, list[int]]:
    """Of the index over the texts' vectors, and of the vectors."""
    rows = store.read("MATCH (p:Product) RETURN DISTINCT size(p.text_embedding) AS width ORDER BY width")
    return index_width(store, "product_text"), [row["width"] for row in rows]


@pytest.fixture
def usual_index(store: GraphStore) -> Iterator[GraphStore]:
    """Puts the index over the texts' vectors back to its usual width afterwards."""
    yield store
    shape_vector_index(store, schema.text_index())


def test_an_encoder_of_another_width_is_searched_with_once_the_texts_are_encoded_anew(
    kg: Kg, usual_index: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg("ingest", "products", lines(tmp_path / "p.jsonl", *PRODUCTS))
    assert kg("extract", "--json").json["vectors"] == 5
    assert widths(usual_index) == (384, [384])
    tiny_bert(tmp_path / "tiny", Encoder(device="cpu"))
    monkeypatch.setenv("KG_ENCODER", str(tmp_path / "tiny"))
    refused = kg("search", "interior door")
    assert refused.code == 1
    assert "makes vectors of 16 numbers" in refused.err
    assert "kg extract" in refused.err
    assert kg("extract", "--json").json["vectors"] == 5
    assert widths(usual_index) == (16, [16])
    rows = kg("search", "french interior door", "--json").json
    assert rows[0]["sku"] == "F1"
    assert "MEANING" in {reason["term"] for reason in rows[0]["reasons"]}
    assert kg("extract", "--json").json["vectors"] == 0
    monkeypatch.delenv("KG_ENCODER")
    assert kg("extract", "--json").json["vectors"] == 5
    assert widths(usual_index) == (384, [384])


def test_cut_off_before_the_texts_are_encoded_anew_no_product_is_left_without(
    kg: Kg, usual_index: GraphStore, tmp_path: Path
) -> None:
    kg("ingest", "products", lines(tmp_path / "p.jsonl", *PRODUCTS))
    kg("extract")
    with pytest.raises(ExtractionError, match=r"16 numbers.*vectors of 384"):
        jobs.shape_texts(usual_index, 16, anew=False)
    jobs.shape_texts(usual_index, 16, anew=True)
    assert widths(usual_index) == (16, [None])
    jobs.shape_texts(usual_index, 384, anew=False)  # there is nothing to be taken away
    assert widths(usual_index) == (384, [None])
    assert kg("extract", "--json").json["vectors"] == 5
    assert widths(usual_index) == (384, [384])


def test_from_files_to_a_search_and_its_evaluation(kg: Kg, tmp_path: Path) -> None:
    kg("ingest", "products", lines(tmp_path / "p.jsonl", *PRODUCTS))
    assert kg("extract").code == 0
    rows = kg("search", "frnch doors", "--json").json
    assert rows[0]["sku"] == "F1"
    assert [reason["term"] for reason in rows[0]["reasons"]] == ["WORDS", "MEANING"]
    assert rows[0]["score"] == pytest.approx(sum(reason["part"] for reason in rows[0]["reasons"]))
    shown = kg("search", "frnch doors", "--limit", "1")
    assert "Searched for french doors." in shown.err
    assert "F1" in shown.out
    assert kg("search", "drill", "--max-price", "1", "--json").json == []
    judgments = lines(
        tmp_path / "j.jsonl",
        {"query": "18v drill", "sku": "D1", "relevance": 3.0},
        {"query": "18v drill", "sku": "F2", "relevance": 1.0},
        {"query": "18v drill", "sku": "D3", "relevance": 2.33},
        {"query": "interior dor", "sku": "F1", "relevance": 3},
        {"query": "interior dor", "sku": "D2", "relevance": 1},
        {"query": "interior dor", "sku": "gone", "relevance": 2.5},
    )
    report = kg("evaluate", "search", "--judgments", judgments).json
    # "gone" is not in the catalogue: it is scored last, beside D2 wrongly, and found nowhere.
    assert report == {
        "pairwise_accuracy": 0.75,
        "ndcg@10": report["ndcg@10"],
        "recall@50": 0.75,
        "queries": 2,
        "pairs": 4,
        "relevant": 4,
    }


def test_a_brand_that_no_title_names_is_no_misspelt_word(kg: Kg, tmp_path: Path) -> None:
    bikes = [{"sku": f"B{n}", "title": f"Trail bike {n}"} for n in range(3)]
    shoes = {"sku": "N1", "title": "Air Zoom running shoes", "brand": "Nike"}
    kg("ingest", "products", lines(tmp_path / "p.jsonl", *bikes, shoes))
    shown = kg("search", "nike")
    assert "Searched for" not in shown.err
    # What neither a title nor a brand has is misspelt as before.
    assert "Searched for bike." in kg("search", "bikee").err


def test_with_a_broken_file_of_judgments_the_line_is_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "j.jsonl", {"query": "a", "sku": "b", "relevance": 1}, {"query": "a", "sku": "b"})
    with pytest.raises(InputError, match=r"line 2: expected an object such as"):
        list(read_judgments(path))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_judgments(tmp_path / "none.jsonl"))


def test_pairs_are_of_one_query_at_least_one_apart_and_a_tie_is_half_right() -> None:
    one = Searched({"a": 3.0, "b": 2.0, "c": 1.67, "d": 3.0}, {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.5}, frozenset("ac"))
    # Apart are a–b, a–c, b–d and c–d; all right but the last, a tie. Relevant are a and d, of which a is found.
    report = measured([one])
    assert (report["pairs"], report["pairwise_accuracy"], report["recall@50"]) == (4, 0.875, 0.5)
    assert measured([]) == {
        "pairwise_accuracy": None, "ndcg@10": None, "recall@50": None, "queries": 0, "pairs": 0, "relevant": 0
    }  # fmt: skip


def test_ndcg_by_hand() -> None:
    one = Searched({"a": 1.0, "b": 3.0}, {"a": 0.9, "b": 0.1}, frozenset())
    ideal = 7.0 + 1.0 / math.log2(3)
    assert measured([one])["ndcg@10"] == pytest.approx((1.0 + 7.0 / math.log2(3)) / ideal, abs=1e-4)


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([1.0, 2.0, 2.33, 3.0]), min_size=1))
def test_scores_that_are_the_judgments_are_right_throughout(judged: dict[str, float]) -> None:
    report = measured([Searched(judged, judged, frozenset(judged))])
    assert report["pairwise_accuracy"] in (1.0, None)
    assert report["ndcg@10"] == 1.0
    assert report["recall@50"] in (1.0, None)


def test_the_halves_of_the_queries_are_two_and_together_all() -> None:
    judgments = [Judgment(f"query {n}", "a", 1.0) for n in range(100)]
    development, test = (part_of(judgments, part, queries=None, seed=0) for part in ("development", "test"))
    assert {j.query for j in development} == {j.query for j in judgments if is_development(j.query)}
    assert len(development) + len(test) == 100
    assert 30 < len(test) < 70
    some = part_of(judgments, "test", queries=5, seed=1)
    assert len(some) == 5
    assert some == part_of(judgments, "test", queries=5, seed=1)
    assert set(some) <= set(test)


def test_lists_are_fused_by_reciprocal_rank() -> None:
    fused = reciprocal_ranks([["a", "b", "c"], ["b", "d"]])
    assert list(fused) == ["b", "a", "d", "c"]
    assert fused["b"] == 1 / 62 + 1 / 61
