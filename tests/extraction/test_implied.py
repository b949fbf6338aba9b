"""Which values say what is asked for, and which rule it out."""

from __future__ import annotations

import pytest

from extraction.implied import rules_out, says, ways


@pytest.mark.parametrize(
    ("found", "asked", "answer"),
    [
        ("waterproof", "waterproof", True),
        ("ip68", "waterproof", True),
        ("ipx4", "waterproof", False),
        ("water-resistant", "waterproof", False),
        ("ip69k", "waterproof", None),  # jets of steam, and no word of immersion
        ("ip54", "water-resistant", True),
        ("waterproof", "water-resistant", True),
        ("ipx1", "water-resistant", False),
        ("ip68", "ip67", True),
        ("ip67", "ipx7", True),
        ("ipx7", "ip67", None),
        ("ip68", "ipx5", None),
        ("ipx4", "ip67", False),
        ("waterproof", "ip67", None),
        ("weather-sealed", "ipx4", None),
    ],
)
def test_a_rating_says_yes_no_or_nothing(found: str, asked: str, answer: bool | None) -> None:
    keys = f"waterproof rating={found}", f"waterproof rating={asked}"
    assert (says(*keys), rules_out(*keys)) == (answer is True, answer is False)


@pytest.mark.parametrize(
    ("found", "asked", "answer"),
    [
        ("black", "black", True),
        ("black", "red", False),
        ("navy", "blue", True),
        ("blue", "navy", None),
        ("multicolour", "red", None),
    ],
)
def test_a_colour_says_yes_no_or_nothing(found: str, asked: str, answer: bool | None) -> None:
    keys = f"colour={found}", f"colour={asked}"
    assert (says(*keys), rules_out(*keys)) == (answer is True, answer is False)


def test_of_other_attributes_a_product_may_have_several_values() -> None:
    assert not rules_out("material=leather", "material=wool")
    assert not rules_out("colour=black", "pattern=striped")


def test_by_which_values_products_are_looked_up() -> None:
    assert ways("material=leather") == ("material=leather",)
    assert ways("colour=blue") == ("colour=blue", "colour=navy")
    assert [k.partition("=")[2] for k in ways("waterproof rating=waterproof")] == [
        *("waterproof", "ipx7", "ip67", "ipx8", "ip68")
    ]
