"""Corrections: what a line says, and what becomes of several about one text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from extraction.benchmarks import MarkedProduct
from extraction.corrections import Correction, as_examples, read_corrections
from extraction.encoder import Encoder
from extraction.training import Heads, correct, evaluate, suggest, train
from extraction.values import Recipe
from kg.errors import ExtractionError
from tests.extraction.conftest import as_file, lures

QUICK = Recipe(epochs=2, rank=2, first_layer=5)
TEXT = "Acme lure 40mm"


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def test_a_line_says_what_the_text_says(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "c.jsonl",
        {"text": TEXT, "attribute": "Brand", "value": "ACME", "start": 0, "end": 4},
        {"text": TEXT, "attribute": "Colour", "value": None, "start": None, "end": None},
        {"text": TEXT, "attribute": "Size", "value": "4 cm", "start": 10, "end": 14, "category": "Lure"},
    )
    assert read_corrections(file) == [
        Correction(TEXT, "Brand", "Acme", quote="Acme"),
        Correction(TEXT, "Colour", None),
        Correction(TEXT, "Size", "4 cm", "Lure", "40mm"),
    ]
    (example,) = as_examples(read_corrections(file), [])
    assert example.targets == {"Brand": ("Acme",), "Colour": (), "Size": ("4 cm", "40mm")}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([], "needs 'text' and 'attribute'"),
        ({"text": TEXT}, "needs 'text' and 'attribute'"),
        ({"text": TEXT, "attribute": "Size", "value": 40}, "neither text nor null"),
        ({"text": TEXT, "attribute": "Size", "value": "40mm", "start": 90, "end": 94}, "the text has nothing"),
    ],
)
def test_a_line_that_says_nothing_is_named(tmp_path: Path, row: object, why: str) -> None:
    with pytest.raises(ExtractionError, match=f"line 1: .*{why}"):
        read_corrections(lines(tmp_path / "c.jsonl", row))


def test_no_file_and_an_empty_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="cannot be read"):
        read_corrections(tmp_path / "none")
    with pytest.raises(ExtractionError, match="No corrections"):
        read_corrections(lines(tmp_path / "empty"))


def test_lines_about_one_text_are_one_example() -> None:
    known = [MarkedProduct(TEXT, "", "Lure", {"Brand": ("lure",), "Size": ("40mm",)})]
    corrections = [
        Correction(TEXT, "Brand", "Nobody"),
        Correction(TEXT, "Brand", "Acme"),
        Correction("B\nc", "Size", None),
    ]
    assert as_examples(corrections, known) == [
        MarkedProduct(TEXT, "", "Lure", {"Brand": ("Acme",), "Size": ("40mm",)}),
        MarkedProduct("B", "c", "", {"Size": ()}),
    ]


def test_a_text_without_a_category_has_that_of_titles_like_it() -> None:
    known = [
        *(MarkedProduct(f"Acme lure {n}mm", "", "Lure", {}) for n in range(4)),
        *(MarkedProduct(f"Brook rod {n}m", "", "Rod", {}) for n in range(4)),
    ]
    texts = ("Nobody lure 3", "Brook fly rod 3\nwith a lure", "Tent 3")
    corrections = [Correction(text, "Size", "3") for text in texts]
    assert [e.category for e in as_examples(corrections, known)] == ["Lure", "Rod", ""]


def test_a_home_learns_corrections_and_suggests_more(tmp_path: Path, encoder: Encoder) -> None:
    heads = tmp_path / "heads"
    train([as_file(tmp_path / "ae.jsonl", lures(48))], "ae", heads, encoder, recipe=QUICK)
    gold = as_file(tmp_path / "gold.jsonl", lures(12, first=100))
    before = evaluate(gold, "ae", Heads.load(heads, encoder)).total.f1
    title = "Old Harbour lure 33mm red"
    file = lines(
        tmp_path / "c.jsonl",
        {"text": title, "attribute": "Brand", "value": "Old Harbour", "start": 0, "end": 11, "category": "Lure"},
    )
    report = correct(file, heads, encoder, recipe=QUICK)
    assert (report.format, report.read, report.examples) == ("corrections", 1, 49)
    after = Heads.load(heads, encoder)
    assert after.version == report.version
    assert evaluate(gold, "ae", after).total.f1 >= before - 0.005
    learned = as_file(tmp_path / "new.jsonl", [MarkedProduct(title, "", "Lure", {"Brand": ("Old Harbour",)})])
    assert evaluate(learned, "ae", after).total.f1 == 1.0
    # Without a category, too, an attribute that is new to it is asked of such titles from then on.
    line = {"text": "Old Pier lure 50mm blue", "attribute": "Pier", "value": "old pier", "start": 0, "end": 8}
    correct(lines(tmp_path / "c2.jsonl", line), heads, encoder, recipe=QUICK)
    taught = Heads.load(heads, encoder).values
    assert taught is not None
    assert "Pier" in taught.attributes("Lure")
    # What a person should look at next comes in the form in which corrections are given.
    rows = suggest(learned, "ae", after, limit=1)
    assert Correction.of_dict(rows[0]).value == "Old Harbour"
    assert rows[0].keys() == {"text", "category", "attribute", "value", "start", "end", "probability"}


def test_corrections_are_learned_where_the_processor_reads_in_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("encoder", "adapters"):
        monkeypatch.setattr(f"extraction.{module}.computes_bf16", lambda: True)
    heads, encoder = tmp_path / "heads", Encoder(device="cpu")
    train([as_file(tmp_path / "ae.jsonl", lures(24))], "ae", heads, encoder, recipe=QUICK)
    values = Heads.load(heads, encoder).values
    assert values is not None
    with pytest.raises(ExtractionError, match="Load it again"):
        values.refine(lures(2, first=50), recipe=QUICK)
    row = {"text": "Old Harbour lure 33mm red", "attribute": "Brand", "value": "Old Harbour", "category": "Lure"}
    correct(lines(tmp_path / "c.jsonl", row), heads, encoder, recipe=QUICK)


def test_corrections_need_something_to_correct(tmp_path: Path, encoder: Encoder) -> None:
    file = lines(tmp_path / "c.jsonl", {"text": TEXT, "attribute": "Brand", "value": "Acme"})
    with pytest.raises(ExtractionError, match="kg train-extraction FILE --format ae"):
        correct(file, tmp_path / "heads", encoder)
    with pytest.raises(ExtractionError, match="kg train-extraction FILE --format ae"):
        suggest(file, "ae", Heads(), limit=5)
