"""Learning from marked files: small worlds in which the right answer is known, and what is left in a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from extraction.benchmarks import read_products
from extraction.encoder import Encoder
from extraction.mentions import Lexicon, ProductEntry
from extraction.pipeline import Extractor
from extraction.training import Heads, TrainingReport, evaluate, train
from extraction.values import Recipe
from kg.errors import ExtractionError
from kg.graph import Document, DocumentKind
from kg.vocabulary import Vocabulary
from tests.extraction.conftest import NOW, as_file, facts, lures, spoken

QUICK = Recipe(epochs=2, rank=2, first_layer=5)
"""Little training: these worlds are easy."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def trained(home: Path, encoder: Encoder) -> TrainingReport:
    """Two files of lures and one of sentences, one call each."""
    train([as_file(home / "one.jsonl", lures(24))], "ae", home / "heads", encoder, recipe=QUICK)
    lines = [
        f"{' '.join(s.tokens)}####{[(list(t.aspect), list(t.opinion), t.sentiment) for t in s.triplets]}"
        for s in spoken()
    ]
    (home / "aste.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    train([home / "aste.txt"], "aste", home / "heads", encoder)
    return train([as_file(home / "two.jsonl", lures(24, first=24))], "ae", home / "heads", encoder, recipe=QUICK)


def test_calls_add_up(trained: TrainingReport) -> None:
    assert (trained.read, trained.examples) == (24, 48)


def test_the_same_file_twice_changes_nothing(home: Path, encoder: Encoder, trained: TrainingReport) -> None:
    again = train([home / "two.jsonl"], "ae", home / "heads", encoder, recipe=QUICK)
    assert (again.examples, again.version) == (48, trained.version)


def test_heads_are_loaded_and_scored(home: Path, encoder: Encoder, trained: TrainingReport) -> None:
    heads = Heads.load(home / "heads", encoder)
    assert heads.version == trained.version
    gold = as_file(home / "gold.jsonl", lures(8, first=100))
    score = evaluate(gold, "ae", heads)
    assert score.documents == 8
    assert score.total.f1 > 0.9
    assert set(score.by_attribute) == {"Brand", "Colour", "Size"}
    assert evaluate(home / "aste.txt", "aste", heads).total.f1 > 0.85


def test_one_folder_a_task_is_left(home: Path, trained: TrainingReport) -> None:
    assert sorted(p.name.split("-")[0] for p in (home / "heads").iterdir()) == ["manifest.json", "triplets", "values"]


def test_heads_become_part_of_the_extractor(
    home: Path, encoder: Encoder, vocabulary: Vocabulary, trained: TrainingReport
) -> None:
    heads = Heads.load(home / "heads", encoder)
    lexicon = Lexicon(products={"L": ProductEntry("BASSO lure 99mm", None, "Fishing > Lure")})
    extractor = Extractor(vocabulary, lexicon, encoder, heads=heads, clock=lambda: NOW)
    assert extractor.version == f"{Extractor(vocabulary, lexicon, encoder).version}.{trained.version}"
    title = "PIKELORD lure 88mm green"
    extraction = extractor.extract(Document("product:L", DocumentKind.PRODUCT, title, "L", len(title)))
    assert ("HAS_ATTRIBUTE", "size=8.8 cm") in facts(extraction)
    assert ("not_in_schema", "Brand: PIKELORD") in {(r.reason, r.detail) for r in extraction.rejected}
    review = extractor.extract(Document("review:1", DocumentKind.REVIEW, "the screen is great .", "L"))
    assert ("PRAISED_FOR", "screen") in facts(review)


def test_nothing_trained_is_said(tmp_path: Path, encoder: Encoder) -> None:
    heads = Heads.load(tmp_path, encoder)
    assert heads == Heads()
    for format in ("ae", "pave", "aste"):
        with pytest.raises(ExtractionError, match=f"kg train-extraction FILE --format {format}"):
            evaluate(tmp_path / "gold", format, heads)  # type: ignore[arg-type]


def test_an_empty_file_teaches_nothing(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(ExtractionError, match="No examples"):
        train([tmp_path / "empty"], "ae", tmp_path / "heads", encoder)


def test_heads_of_another_encoder_or_layout_are_refused(home: Path, tmp_path: Path, trained: TrainingReport) -> None:
    class Other(Encoder):
        fingerprint = "0123456789ab"

    with pytest.raises(ExtractionError, match="another encoder"):
        Heads.load(home / "heads", Other())
    (tmp_path / "manifest.json").write_text('{"layout": 99}', encoding="utf-8")
    with pytest.raises(ExtractionError, match="another layout"):
        Heads.load(tmp_path, Other())
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ExtractionError, match="cannot be read"):
        Heads.load(tmp_path, Other())


def test_damaged_heads_are_named(tmp_path: Path, encoder: Encoder) -> None:
    heads = tmp_path / "heads"
    train([as_file(tmp_path / "f.jsonl", lures(8))], "ae", heads, encoder, recipe=QUICK)
    (part,) = heads.glob("values-*")
    (part / "memory.jsonl.gz").write_bytes((part / "memory.jsonl.gz").read_bytes()[:50])
    with pytest.raises(ExtractionError, match="cannot be read"):
        Heads.load(heads, encoder)


def test_what_was_stored_is_what_was_read(home: Path, encoder: Encoder, trained: TrainingReport) -> None:
    # A file read, stored and loaded answers like the file read.
    heads = Heads.load(home / "heads", encoder)
    assert heads.values is not None
    assert heads.values.attributes("Lure") == {"Brand", "Size", "Colour"}
    assert heads.values.attributes("Rod") == frozenset()
    assert [p.targets for p in read_products(home / "one.jsonl", "ae")] == [p.targets for p in lures(24)]
