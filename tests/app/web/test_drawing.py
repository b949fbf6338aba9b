"""A neighbourhood drawn in three columns: who stands where, and that lines cross less for it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from kg.app.web.drawing import ROW, Drawing, drawing


def row(type: str, start: tuple[str, str], end: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": type,
        "from_label": start[0],
        "from_key": start[1],
        "from_name": start[1].upper(),
        "to_label": end[0],
        "to_key": end[1],
        "to_name": end[1].upper(),
        "weight": 1.0,
    }


THIS, A, B = (("Product", key) for key in ("this", "a", "b"))
BRAND, SHELF = ("Brand", "birch"), ("Category", "straps")


def test_facts_stand_left_the_product_in_the_middle_others_right() -> None:
    found = drawing([row("MADE_BY", THIS, BRAND), row("SIMILAR_TO", THIS, A), row("MADE_BY", A, BRAND)], "this")
    assert found is not None
    assert {(s.key, s.name, s.side) for s in found.spots} == {
        ("this", "THIS", "middle"),
        ("birch", "BIRCH", "left"),
        ("a", "A", "right"),
    }
    assert [(link.type, link.own) for link in found.links] == [
        ("MADE_BY", False),
        ("MADE_BY", True),
        ("SIMILAR_TO", True),
    ]
    assert found.links[0].says == "A MADE_BY BIRCH"


def test_no_two_labels_of_a_column_share_a_line() -> None:
    rows = [row("SIMILAR_TO", THIS, ("Product", str(i))) for i in range(20)]
    found = drawing([*rows, row("MADE_BY", THIS, BRAND)], "this")
    assert found is not None
    heights = sorted(s.y for s in found.spots if s.side == "right")
    assert all(b - a == ROW for a, b in pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] < found.height


def test_what_is_linked_stands_at_one_height() -> None:
    """Given in the order that makes their lines cross, a and b change places."""
    crossing = [row("SIMILAR_TO", THIS, B), row("SIMILAR_TO", THIS, A), row("MADE_BY", THIS, BRAND)]
    found = drawing(
        [*crossing, row("IN_CATEGORY", THIS, SHELF), row("MADE_BY", A, BRAND), row("IN_CATEGORY", B, SHELF)], "this"
    )
    assert found is not None
    height = {s.key: s.y for s in found.spots}
    assert (height["birch"] < height["straps"]) == (height["a"] < height["b"])
    assert height["a"] != height["b"]


def test_without_rows_there_is_no_drawing() -> None:
    assert drawing([], "this") is None


def test_a_product_without_neighbours_beside_it_is_drawn() -> None:
    found = drawing([row("MADE_BY", THIS, BRAND)], "this")
    assert isinstance(found, Drawing)
    assert found.height == 2 * ROW
