"""The shelf of a product, by its title and by its neighbours."""

from __future__ import annotations

import pytest

from extraction.mentions import Lexicon, ProductEntry
from extraction.products import CategoryFinder
from extraction.shelves import ShelfRules

PEDALS, ORGANS, STRAPS, BAGS = "Guitars > Effects", "Organs > Pedals", "Guitars > Straps", "Bags"
SHOP = Lexicon(
    categories=(PEDALS, ORGANS, STRAPS, BAGS, "Cameras > Bags"),
    products={
        **{f"f{n}": ProductEntry(f"Fuzz distortion pedal {n}A", None, PEDALS) for n in range(6)},
        **{f"s{n}": ProductEntry(f"Leather guitar strap {n}A", None, STRAPS) for n in range(6)},
        "o1": ProductEntry("Organ bass pedal", None, ORGANS),
    },
)


@pytest.fixture(scope="module")
def shelves() -> ShelfRules:
    return ShelfRules(SHOP, CategoryFinder(SHOP, parts=True))


@pytest.mark.parametrize(
    ("title", "shelf", "reason"),
    [
        # Named, and the neighbours agree.
        ("Woven leather guitar strap", STRAPS, None),
        # Named, but the neighbours know better.
        ("Octave fuzz distortion pedal", PEDALS, None),
        # Not named: the neighbours alone.
        ("Fuzz distortion box", PEDALS, None),
        # Named where nothing else is known of such titles.
        ("Zither pedals", ORGANS, None),
        # Two shelves of one name, and no neighbour to choose between them.
        ("Quilted bag", None, "ambiguous"),
        ("Something else entirely", None, None),
        ("", None, None),
    ],
)
def test_the_shelf_is_named_or_left_open(
    shelves: ShelfRules, title: str, shelf: str | None, reason: str | None
) -> None:
    found = shelves.find(title, document="d", sku="new")
    assert [c.node.key for c in found.claims] == ([shelf] if shelf else [])
    assert [r.reason for r in found.rejected] == ([reason] if reason else [])


def test_a_product_is_no_neighbour_of_itself() -> None:
    lexicon = Lexicon(categories=("A",), products={"1": ProductEntry("Purple zither", None, "A")})
    rules = ShelfRules(lexicon, CategoryFinder(lexicon, parts=True))
    assert rules.votes("Purple zither", "1").shares == {}
    assert rules.votes("Purple zither", "2").of("A") == pytest.approx(1.0)
