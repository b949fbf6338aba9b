"""Normal forms: rules found in a handful of marked products, each with one right answer."""

from __future__ import annotations

import pytest

from extraction.benchmarks import MarkedProduct
from extraction.normalforms import NormalForms, NumberRule


def product(title: str, **targets: str) -> MarkedProduct:
    return MarkedProduct(title, "", "Shop", {a: (v,) if v else () for a, v in targets.items()})


SHOP = [
    product('Oak table 24" wide', Width="61.0", Maker="", Kind="Furniture"),
    product('Pine table 30" wide', Width="76.2", Maker="", Kind="Furniture"),
    product("Disk 300GB HP", Size="300 Gigabytes", Maker="Hewlett-Packard", Kind="Storage", Part=""),
    product(
        "Disk 146GB HP no 375863-016", Size="146 Gigabytes", Maker="Hewlett-Packard", Kind="Storage", Part="375863016"
    ),
    product("Disk 73GB Tacori no 504062-B21", Size="73 Gigabytes", Maker="TACORI", Kind="Storage", Part="504062B21"),
    product("Ring Tacori UPC 042976574666", Maker="TACORI", UPC="42976", Kind="Jewels"),
    product("Ring Acme UPC 734646387811", Maker="Acme", UPC="34646", Kind="Jewels"),
]


@pytest.fixture(scope="module")
def learned() -> tuple[NormalForms, list[MarkedProduct]]:
    return NormalForms.learn(SHOP)


@pytest.mark.parametrize(
    ("attribute", "run", "value"),
    [
        ("Width", '36"', "91.4"),
        ("Width", '8 1/2"', "21.6"),
        ("Size", "36GB", "36 Gigabytes"),
        ("Maker", "hp", "Hewlett-Packard"),
        ("Maker", "Tacori", "TACORI"),
        ("Maker", "Acme", "Acme"),
        ("Part", "581284-S21", "581284S21"),
        ("UPC", "025932384141", "25932"),
        ("Kind", "table", "Furniture"),
        ("Never seen", "as it stands", "as it stands"),
    ],
)
def test_rules_are_found(
    learned: tuple[NormalForms, list[MarkedProduct]], attribute: str, run: str, value: str
) -> None:
    assert learned[0].apply(attribute, run) == value


def test_examples_come_back_with_what_their_texts_say(learned: tuple[NormalForms, list[MarkedProduct]]) -> None:
    forms, surfaced = learned
    for marked, said in zip(SHOP, surfaced, strict=True):
        assert marked.text == said.text
        for attribute, values in marked.targets.items():
            assert bool(values) == bool(said.targets[attribute])
            assert all(run in said.text for run in said.targets[attribute])
            assert {forms.apply(attribute, run) for run in said.targets[attribute]} == set(values)


def test_without_normal_forms_nothing_changes() -> None:
    plain = [product("Acme lure 40mm", Size="40mm", Brand="Acme"), product("Acme lure", Size="")]
    forms, surfaced = NormalForms.learn(plain)
    assert forms == NormalForms()
    assert surfaced == plain


def test_what_is_saved_is_what_is_loaded(learned: tuple[NormalForms, list[MarkedProduct]]) -> None:
    assert NormalForms.of_dict(learned[0].as_dict()) == learned[0]


@pytest.mark.parametrize(
    ("rule", "number", "value"),
    [
        (NumberRule(2.54, 1, "", ""), 24.0, "61.0"),
        (NumberRule(1.0, -1, "Generation ", ""), 5.0, "Generation 5"),
        (NumberRule(28.349523125, 0, "", " g"), 12.0, "340 g"),
    ],
)
def test_numbers_are_written_as_the_rule_says(rule: NumberRule, number: float, value: str) -> None:
    assert rule(number) == value
