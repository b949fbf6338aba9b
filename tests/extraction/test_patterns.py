"""Patterns of values: what each kind finds in a text, and what it must not."""

from __future__ import annotations

import pytest

from extraction.patterns import PATTERNS


def found(name: str, text: str) -> list[str]:
    """What the pattern with this name finds."""
    (form,) = [p.form for p in PATTERNS if name in p.names]
    return [m.group() for m in form.finditer(text)]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("gender", "Women's or men's scarf, mended", ["Women's", "men's"]),
        ("metal", "ring of 18k yellow gold, goldfish", ["18k yellow gold"]),
        ("interface", "drive with SATA and USB 3.0 cables", ["SATA", "USB 3.0"]),
        ("rotational speed", "7200 rpm, 10K", ["7200 rpm", "10K"]),
        ("closure", "bag with zipper and hook-and-loop", ["zipper", "hook-and-loop"]),
        ("gauge", "16 gauge wire, 16 gallons", ["16 gauge"]),
        ("neckline", "V-neck shirt with a hooded collar", ["V-neck", "hooded"]),
        ("season", "springs of steel", []),
    ],
)
def test_patterns_find_values(name: str, text: str, values: list[str]) -> None:
    assert found(name, text) == values


def test_each_name_belongs_to_one_pattern() -> None:
    names = [name for pattern in PATTERNS for name in pattern.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("text", ["a" * 20_000, "1" * 20_000, "1 " * 10_000, "gold " * 4_000, "- " * 10_000])
def test_long_texts_take_no_longer_than_their_length(text: str) -> None:
    """Nothing nests: a pattern that went back over what it read would not end here."""
    for pattern in PATTERNS:
        assert sum(1 for _ in pattern.form.finditer(text)) <= len(text)
