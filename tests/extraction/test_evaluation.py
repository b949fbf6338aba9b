"""Counting as the benchmarks count, on worlds small enough to count by hand."""

from __future__ import annotations

import pytest

from extraction.evaluation import BRAND_METHODS, brand_recovery, states_name
from extraction.language import lemma_index
from kg.records import ProductRecord


def product(sku: str, title: str, brand: str | None, description: str = "") -> ProductRecord:
    return ProductRecord(sku=sku, title=title, brand=brand, description=description)


SHOP = [
    *(product(f"k{n}", f"Kessler amplifier number {n}", "Kessler") for n in range(8)),
    product("q1", "Quendl fretless bass", "Quendl"),
    # The text never says who made it: outside recall.
    product("g1", "Guitar hook", "Hookmaster"),
    # Says one brand and is of another: a wrong answer.
    product("w1", "Zarniwoop strap", "Kessler", "For Kessler players."),
    product("n1", "Kessler pick", None),
]


def test_brands_are_hidden_and_found_again() -> None:
    recovery = brand_recovery(SHOP, common=lemma_index(), folds=5, seed=0)
    assert (recovery.products, recovery.stated, recovery.found, recovery.answered) == (11, 10, 9, 10)
    assert (recovery.answered_all, recovery.right_all) == (10, 9)
    assert recovery.recall == pytest.approx(0.9)
    assert recovery.precision == pytest.approx(0.9)
    assert recovery.f1 == pytest.approx(0.9)
    assert set(recovery.wrong) == {("g1", "hookmaster", None), ("w1", "kessler", "zarniwoop")}


def test_a_hidden_brand_is_not_in_the_lexicon() -> None:
    # With one fold everything is hidden, and "Orange" is then an ordinary word.
    orange = [product("1", "Orange practice amplifier", "Orange"), product("2", "Orange bass amplifier", "Orange")]
    assert brand_recovery(orange, common=lemma_index(), folds=1).found == 0


def test_simpler_ways_stand_beside() -> None:
    first, known, alone = (
        brand_recovery(SHOP, common=lemma_index(), folds=5, seed=0, method=BRAND_METHODS[name])
        for name in (
            "the first word of the title",
            "the first known name in the text",
            "without other products' titles",
        )
    )
    # "Guitar" and "Zarniwoop" are no brands of theirs; Quendl, hidden, is known to nobody.
    assert (first.found, first.answered) == (9, 10)
    assert (known.found, known.answered) == (9, 9)
    assert (alone.found, alone.answered) == (9, 10)


def test_the_seed_decides_the_folds() -> None:
    one = brand_recovery(SHOP, common=lemma_index(), seed=1)
    assert one == brand_recovery(SHOP, common=lemma_index(), seed=1)


def test_nothing_to_find_is_no_success() -> None:
    empty = brand_recovery([], common=frozenset())
    assert (empty.recall, empty.precision, empty.f1, empty.precision_all) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "key", "stated"),
    [
        ("A strap by D’Addario.", "daddario", True),
        ("On Stage stand", "on stage", True),
        ("OnStage stand", "on stage", True),
        ("Dunmore pick", "jim dunmore", False),
        ("", "kessler", False),
    ],
)
def test_whether_a_text_states_a_brand(text: str, key: str, stated: bool) -> None:
    assert states_name(text, key) is stated
