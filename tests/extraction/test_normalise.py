"""Quantities, numbers and keys."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extraction.normalise import (
    UNITS,
    Quantity,
    convert,
    counts,
    parse_number,
    quantities,
    show_number,
    show_quantity,
    singular,
    squash,
    unit_of,
)
from kg.errors import SettingsError

ALIKE = [(a, b, c) for a in UNITS for b in UNITS for c in UNITS if a.dimension == b.dimension == c.dimension]
"""Units that measure one thing: two in which a quantity is said, and one in which it is kept."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("256GB", [("256GB", 256, "GB")]),
        ("256 GB", [("256 GB", 256, "GB")]),
        ("a 0.25 TB drive", [("0.25 TB", 0.25, "TB")]),
        ("10-foot cable", [("10-foot", 10, "ft")]),
        ("10' cable", [("10'", 10, "ft")]),
        ('2" wide', [('2"', 2, "in")]),
        ("1 1/2 inch", [("1 1/2 inch", 1.5, "in")]),
        ('1/4" jack', [('1/4"', 0.25, "in")]),
        ("½ inch", [("½ inch", 0.5, "in")]),
        (".60mm pick", [(".60mm", 0.6, "mm")]),
        ("1,200 lumens", [("1,200 lumens", 1200, "lm")]),
        ("3 feet 3 inches", [("3 feet 3 inches", 39, "in")]),
        ("2 lbs 4 oz", [("2 lbs 4 oz", 36, "oz")]),
        ("rated to -5 °C", [("-5 °C", -5, "°C")]),
        ("9V, 2A and 1200mAh", [("9V", 9, "V"), ("2A", 2, "A"), ("1200mAh", 1200, "mAh")]),
        ("2-year warranty", [("2-year", 2, "year")]),
        # What looks like a quantity and is none.
        ("3 in 1 tool", []),
        ("2 in the box", []),
        ("2 a day", []),
        ("the 1970's", []),
        ("model N-10 amp", []),
        ("$5 g", []),
        ("Frontman 10G", []),
        ("no numbers, only mm and kg", []),
        ("a 2 MW turbine, 5 MV", []),  # no thousandths
        ("1/0 inch", []),
    ],
)
def test_quantities_are_found_with_their_units(text: str, expected: list[tuple[str, float, str]]) -> None:
    assert expected == [(text[q.start : q.end], q.number, q.unit.symbol) for q in quantities(text)]


@pytest.mark.parametrize(
    ("text", "unit", "value", "number"),
    [
        ("256GB", "GB", "256 GB", 256.0),
        ("0.25 TB", "GB", "256 GB", 256.0),
        ("10 in.", "cm", "25.4 cm", 25.4),
        ("25.4 cm", "cm", "25.4 cm", 25.4),
        ("2 lb", "g", "907.2 g", 907.2),
        ("14 °F", "°C", "-10 °C", -10.0),
        ("24-70mm", "mm", "24-70 mm", None),
        # Whole digits are kept, and what is printed is.
        ("12 TB", "GB", "12288 GB", 12288.0),
        ("12288 GB", "GB", "12288 GB", 12288.0),
        ("16 TB", "GB", "16384 GB", 16384.0),
        ("12.345 kg", "g", "12345 g", 12345.0),
        ("12345 g", "g", "12345 g", 12345.0),
        ("0.012345 kg", "kg", "0.012345 kg", 0.012345),
        ("1575.42 MHz", "MHz", "1575.42 MHz", 1575.42),
        ("18 ft", "cm", "548.64 cm", 548.64),
        ("10.25 in", "cm", "26.035 cm", 26.035),
        ("26.035 cm", "cm", "26.035 cm", 26.035),
        # What only a conversion makes is rounded, and so is its equal that is printed.
        ("907.18474 g", "g", "907.2 g", 907.2),
        ("100 lb", "g", "45359 g", 45359.0),
        ("45.359237 kg", "g", "45359 g", 45359.0),
        ("50 min", "h", "0.8333 h", 0.8333),
        ("10 x 20 x 5 cm", "cm", "10 x 20 x 5 cm", None),
        ('16" x 14"', "cm", "40.64 x 35.56 cm", None),
        ("16 inches by 14 inches", "cm", "40.64 x 35.56 cm", None),
        ("2 by 4 by 8 in.", "cm", "5.08 x 10.16 x 20.32 cm", None),
        ("6'2\" tall", "in", "74 in", 74.0),
        ("raised by 10 cm", "cm", "10 cm", 10.0),
        ("2 years", "month", "24 month", 24.0),
    ],
)
def test_values_are_normalised_to_one_unit(text: str, unit: str, value: str, number: float | None) -> None:
    (quantity,) = quantities(text)
    assert (value, number) == show_quantity(quantity, unit_of(unit))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12-Pack", [(12, "pack")]),
        ("pack of 12", [(12, "pack")]),
        ("six-string", [(6, "string")]),
        ("3-person tent", [(3, "person")]),
        ("set of two", [(2, "set")]),
        ("0 pieces", []),
        ("a pair of shoes", []),
        ("1.5 pack", []),
    ],
)
def test_counts_are_found(text: str, expected: list[tuple[int, str]]) -> None:
    assert expected == [(c.number, c.thing) for c in counts(text)]


def test_names_meet_whatever_their_spelling() -> None:
    assert squash("On-Stage") == squash("OnStage") == squash("on stage") == "onstage"
    assert squash("D’Addario") == squash("D'ADDARIO") == "daddario"
    assert squash("Électro–Voice®") == "electrovoice"
    assert squash("…") == ""


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("Straps", "strap"),
        ("batteries", "battery"),
        ("lenses", "lense"),
        ("glass", "glass"),
        ("boxes", "box"),
        ("gas", "gas"),
    ],
)
def test_plurals_meet_their_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_an_unknown_unit_is_named() -> None:
    with pytest.raises(SettingsError, match="Unknown unit 'furlong'"):
        unit_of("furlong")


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.floats(0.001, 1e6))
def test_conversion_there_and_back_returns_the_number(one: object, other: object, number: float) -> None:
    if one.dimension == other.dimension:  # type: ignore[attr-defined]
        back = convert(convert(number, one, other), other, one)  # type: ignore[arg-type]
        assert back == pytest.approx(number, rel=2e-3, abs=2e-2)


@given(st.data(), st.decimals("0.000001", 10**6, places=6))
def test_equal_quantities_meet_whatever_their_units(data: st.DataObject, number: Decimal) -> None:
    """The same quantity in another unit, wherever that is a decimal of few enough digits to stand in a text."""
    one, other, to = data.draw(st.sampled_from(ALIKE))
    exact = (Fraction(number) * one.factor + one.offset - other.offset) / other.factor
    with localcontext() as context:
        context.prec = 15
        again = Decimal(exact.numerator) / exact.denominator
    assume(Fraction(again) == exact)
    assert show_quantity(Quantity(0, 1, float(number), one), to) == show_quantity(
        Quantity(0, 1, float(again), other), to
    )


@given(st.data(), st.integers(1, 999_999), st.integers(0, 6))
def test_equal_quantities_meet_as_they_are_read(data: st.DataObject, digits: int, places: int) -> None:
    one, other = data.draw(st.sampled_from([("kg", "g"), ("g", "mg"), ("m", "mm"), ("l", "ml"), ("GHz", "MHz")]))
    number = Decimal(digits).scaleb(-places)
    (read,) = quantities(f"{number:f} {one}")
    (same,) = quantities(f"{number * 1000:f} {other}")
    for to in (unit_of(one), unit_of(other)):
        assert show_quantity(read, to) == show_quantity(same, to)


@given(st.floats(-1e6, 1e6))
def test_a_normal_form_is_its_own(number: float) -> None:
    metre = unit_of("m")
    shown, normal = show_quantity(Quantity(0, 1, number, metre), metre)
    assert normal is not None
    assert show_quantity(Quantity(0, 1, normal, metre), metre)[0] == shown


@given(st.text())
def test_any_text_is_read_and_every_place_lies_within_it(text: str) -> None:
    for quantity in quantities(text):
        assert 0 <= quantity.start < quantity.end <= len(text)
    for count in counts(text):
        assert 0 <= count.start < count.end <= len(text)


@given(st.floats(-1e9, 1e9))
def test_numbers_are_shown_without_exponent(number: float) -> None:
    shown = show_number(number)
    assert "e" not in shown
    assert float(shown) == pytest.approx(number, abs=1e-6)


def test_numbers_are_parsed_as_written() -> None:
    assert parse_number("1,200.5") == 1200.5
    assert parse_number("1-1/2") == 1.5
    assert parse_number("3/0") is None
