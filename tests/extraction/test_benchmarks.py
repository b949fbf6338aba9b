"""Readers of the benchmarks' formats, and counting as the benchmarks count."""

from __future__ import annotations

from pathlib import Path

import pytest

from extraction.benchmarks import MarkedProduct, MarkedSentence, Triplet, read_products, read_sentences
from extraction.evaluation import score_triplets, score_values
from kg.errors import ExtractionError


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_ae_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"input": "SEAFOX lure 40mm", "category": "Lure",'
        ' "target_scores": {"Brand": {"SEAFOX": 1}, "Size": {"n/a": 1}}}',
        "",
    )
    assert list(read_products(path, "ae")) == [
        MarkedProduct("SEAFOX lure 40mm", "", "Lure", {"Brand": ("SEAFOX",), "Size": ()})
    ]


def test_pave_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"id": 7, "input_title": "Toner", "input_description": "Black, 25K", "category": "Office", "url": "x",'
        ' "target_scores": {"Color": {"Black": {"pid": [1], "score": 1}, "black ": {"pid": [1], "score": 1}}}}',
    )
    (product,) = read_products(path, "pave")
    assert product == MarkedProduct("Toner", "Black, 25K", "Office", {"Color": ("Black", "black")})
    assert product.text == "Toner\nBlack, 25K"


def test_aste_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "Great sound , poor strap .####[([1], [0], 'POS'), ([4], [3], 'NEG')]", "Nothing .####[]")
    assert list(read_sentences(path)) == [
        MarkedSentence(
            ("Great", "sound", ",", "poor", "strap", "."),
            (Triplet((1,), (0,), "POS"), Triplet((4,), (3,), "NEG")),
        ),
        MarkedSentence(("Nothing", "."), ()),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{broken", "line 1 is not JSON"),
        ('{"input": "x"}', "line 1 needs 'input' (text) and 'target_scores'"),
        ('{"input": 5, "target_scores": {}}', "line 1 needs 'input'"),
        ("[1]", "line 1 needs 'input'"),
        ('{"input": "x", "target_scores": {"a": "b"}}', "not an object of values"),
    ],
)
def test_wrong_product_lines_are_named(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ExtractionError) as caught:
        list(read_products(write(tmp_path, line), "ae"))
    assert complaint in str(caught.value)
    assert "--format" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "no separator",
        "a b####nonsense(",
        "a b####{}",
        "a b####[([0], [5], 'POS')]",
        "a b####[([0], [1], 'GOOD')]",
        "a b####[([], [1], 'POS')]",
        "a b####[([0], [1])]",
        "a b####__import__('os')",
    ],
)
def test_wrong_sentence_lines_are_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ExtractionError, match="line 2"):
        list(read_sentences(write(tmp_path, "a b####[]", line)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="nowhere"):
        list(read_products(tmp_path / "nowhere", "ae"))


def test_values_are_counted_as_the_benchmarks_count() -> None:
    gold = [
        MarkedProduct("a", "", "c", {"Colour": ("red", "Red"), "Size": ()}),
        MarkedProduct("b", "", "c", {"Colour": ("blue",), "Size": ("9",)}),
        MarkedProduct("d", "", "c", {"Colour": ("green",)}),
    ]
    answers = [{"Colour": "Red", "Size": "5"}, {"Colour": "navy", "Size": None}, {}]
    score = score_values(gold, answers)
    # One right; answered: Red, 5 and navy; stated: red, blue, 9 and green.
    assert (score.total.right, score.total.answered, score.total.stated) == (1, 3, 4)
    assert score.as_dict() == {
        "precision": 0.3333,
        "recall": 0.25,
        "f1": 0.2857,
        "documents": 3,
        "by_attribute": {
            "Colour": {"precision": 0.5, "recall": 0.3333, "f1": 0.4, "stated": 3},
            "Size": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "stated": 1},
        },
    }


def test_silence_about_what_is_not_stated_counts_for_nothing() -> None:
    score = score_values([MarkedProduct("a", "", "c", {"Size": ()})], [{"Size": None}])
    assert (score.total.right, score.total.answered, score.total.stated, score.total.f1) == (0, 0, 0, 0.0)


def test_triplets_count_only_when_all_three_parts_are_exact() -> None:
    gold = [MarkedSentence(("a",) * 5, (Triplet((1, 2), (0,), "POS"), Triplet((4,), (3,), "NEG")))]
    answers = [(Triplet((1, 2), (0,), "POS"), Triplet((4,), (3,), "POS"), Triplet((2,), (0,), "POS"))]
    score = score_triplets(gold, answers)
    assert (score.total.right, score.total.answered, score.total.stated) == (1, 3, 2)
    assert score.by_attribute["NEG"].recall == 0.0
