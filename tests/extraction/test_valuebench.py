"""The benchmark of learned values: that what is asked was not learned, and that each variant can be measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from extraction.encoder import Encoder
from extraction.evaluation import calibration_error, calibration_error_by_chance
from extraction.valuebench import (
    SETS,
    SIGNS_AWAY,
    VARIANTS,
    Split,
    measure,
    new_attributes,
    new_categories,
    rules_alone,
    splits,
    variants,
)
from extraction.values import Recipe
from kg.vocabulary import Vocabulary
from tests.extraction.conftest import as_file, lures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two sets' folders with lures in them; two offers make a cluster."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "ae110k").mkdir()
    as_file(folder / "ae110k" / "train.jsonl", lures(24))
    as_file(folder / "ae110k" / "test.jsonl", lures(8, first=100))
    for name in ("wdc_with_all_attributes", "wdc_with_all_attributes_normalized"):
        (folder / "wdc_pave" / name).mkdir(parents=True)
        rows = [
            {
                "cluster_id": n // 2,
                "category": "Lure",
                "input_title": p.title,
                "target_scores": {a: dict.fromkeys(v or ("n/a",), 1) for a, v in p.targets.items()},
            }
            for n, p in enumerate(lures(20))
        ]
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / "wdc_pave" / name / "train_large.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_offers_of_one_cluster_stay_together(data: Path) -> None:
    (surface,), (normalised,) = splits(data, ["surface", "normalised"])
    assert (len(surface.training), len(surface.test)) == (16, 4)
    numbers = [int(p.title.split("mm")[0].split()[-1]) - 10 for p in surface.test]
    assert {n // 2 for n in numbers} == {n // 2 for n in numbers if n + 1 in numbers or n - 1 in numbers}
    assert [p.title for p in normalised.test] == [p.title for p in surface.test]


def test_what_is_new_was_not_learned(data: Path) -> None:
    ((ae,),) = splits(data, ["ae"])
    parts = new_attributes(ae)
    assert sorted(a for p in parts for a in p.asked["Lure"]) == ["Brand", "Colour", "Size"]
    for part in parts:
        (held,) = part.asked["Lure"]
        assert all(held not in p.targets for p in part.training)
        assert all(set(p.targets) == {held} for p in part.test)
    rods = [type(p)(p.title, "", "Rod", p.targets) for p in ae.training]
    both = Split("x", (*ae.training, *rods), ae.test, {})
    for part in new_categories(both):
        assert {p.category for p in part.training}.isdisjoint(p.category for p in part.test)
    assert sum(len(part.test) for part in new_categories(both)) == 24 + 24 + 8


def test_each_set_is_made_by_its_name(data: Path) -> None:
    names = [parts[0].name for parts in splits(data, SETS)]
    assert names == [
        *("ae", "surface", "normalised", "ae, new attributes", "surface, new attributes"),
        *("ae, new categories", "surface, new categories"),
    ]
    assert [parts[0].name for parts in splits(data, ["surface-new-categories"])] == ["surface, new categories"]


def test_attributes_never_seen_are_measured_in_turn(data: Path, encoder: Encoder, vocabulary: Vocabulary) -> None:
    (ae,), attributes = [*splits(data, ["ae", "ae-new-attributes"])]
    assert variants(attributes, ["whole", "without adapter"]) == ["memory alone"]
    assert variants(attributes, list(VARIANTS))[1:] == list(SIGNS_AWAY)
    row, without = (
        measure(attributes, variant, encoder, vocabulary, Recipe(), lambda *_: None)
        for variant in ("memory alone", "without kinds")
    )
    assert (row["set"], row["parts"], row["texts"]) == ("ae, new attributes", 3, 24)
    assert variants([ae], list(VARIANTS)) == ["whole", "without memory", "without adapter", "memory alone"]
    # The vocabulary knows colours and lengths, and a title begins with its maker.
    assert row["f1"] > 50
    assert without["f1"] < row["f1"], "what it knows of kinds is what tells them"


@pytest.mark.parametrize("variant", ["whole", "memory alone"])
def test_a_line_has_all_figures(data: Path, encoder: Encoder, vocabulary: Vocabulary, variant: str) -> None:
    ((ae,),) = splits(data, ["ae"])
    row = measure([ae], variant, encoder, vocabulary, Recipe(epochs=1, rank=2, first_layer=5), lambda *_: None)
    assert (row["set"], row["variant"], row["texts"]) == ("ae", variant, 8)
    assert row["f1"] > 50
    # All attributes of the one category are asked anyway.
    assert row["f1_all_attributes"] == row["f1"]
    assert 0 <= row["calibration_error"] <= 1
    # The corrections repeat what was learned: nothing is forgotten by them.
    assert row["f1_after_corrections"] == (row["f1"] if variant == "whole" else None)


def test_rules_read_what_they_know(data: Path, vocabulary: Vocabulary) -> None:
    ((ae,),) = splits(data, ["ae"])
    row = rules_alone([ae], vocabulary)
    # They know colours and sizes, and no brands.
    assert 0 < row["f1"] < 100


@pytest.mark.parametrize(
    ("answers", "error"),
    [([], 0.0), ([(0.75, True), (0.75, True), (0.75, True), (0.75, False)], 0.0), ([(1.0, False), (0.0, False)], 0.5)],
)
def test_calibration_error_is_the_distance_from_how_often_answers_are_right(
    answers: list[tuple[float, bool]], error: float
) -> None:
    assert calibration_error(answers) == pytest.approx(error)


def test_few_answers_err_by_chance_and_many_hardly() -> None:
    few, many = (calibration_error_by_chance([0.75] * n) for n in (20, 5000))
    # Of one bin the error is the mean distance of a share from its probability, √(2 p (1 - p) / (π n)).
    assert few == pytest.approx(math.sqrt(2 * 0.75 * 0.25 / (math.pi * 20)), rel=0.2)
    assert many < 0.01
    assert calibration_error_by_chance([1.0, 0.0]) == calibration_error_by_chance([]) == 0.0
