"""The memory of known values: what it counts, what it makes of known and of new attributes, and spans of text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.fitting import fit
from extraction.memory import FEATURES, Kin, Memory
from extraction.spans import WIDTH, cut, fold, occurrences, shape
from tests.extraction.conftest import lures


def named(texts: object) -> NDArray[np.float32]:
    """Vectors of names drawn by hand: Size and Length are alike, everything else is not."""
    axes = {"Brand": 0, "Size": 1, "Length": 1, "Colour": 2}
    return np.eye(4, dtype=np.float32)[[axes.get(t, 3) for t in texts]]  # type: ignore[attr-defined]


def remembering(products: list[MarkedProduct]) -> Memory:
    memory = Memory()
    for product in products:
        memory.add(product)
    return memory


def best(memory: Memory, product: MarkedProduct, attribute: str, weights: NDArray[np.float32], kin: Kin | None) -> str:
    found = memory.candidates(memory.read(product), attribute, kin)
    return str(found.value(int((found.features @ weights).argmax())))


def test_known_values_and_values_of_a_known_shape_are_found() -> None:
    memory = remembering(lures(48))
    weights = fit(memory, Kin(named), lures(48), seed=0).weights
    # These sizes were never seen, only their like.
    for product in lures(8, first=100):
        for attribute, values in product.targets.items():
            assert best(memory, product, attribute, weights.known, None) == (values[0] if values else "None")


def test_a_new_attribute_is_asked_of_its_likes() -> None:
    memory = remembering(lures(48))
    kin = Kin(named)
    weights = fit(memory, kin, lures(48), seed=0).weights
    (product,) = lures(1, first=105)
    assert best(memory, product, "Length", np.abs(weights.known), kin) == "115mm"


def test_an_attribute_taken_for_new_knows_nothing_of_itself() -> None:
    """Its own values must not shine through as those of a rival."""
    products = lures(24)
    without = [replace(p, targets={a: v for a, v in p.targets.items() if a != "Size"}) for p in products]
    (product,) = lures(1, first=3)
    for memory in (remembering(products), remembering(without)):
        found = memory.candidates(memory.read(product), "Size", Kin(named), as_new=True)
        rivals = found.features[:, FEATURES.index("rivals")]
        assert {found.value(int(n)) for n in np.flatnonzero(rivals)} == {"BASSO"}


def test_what_another_attribute_claims_is_taken() -> None:
    products = [replace(p, targets={"Colour": p.targets["Colour"]}) for p in lures(24) if p.targets["Colour"]]
    memory = remembering(products)
    reading = memory.read(products[0])
    colour = [run for run, key in enumerate(reading.text.keys) if key == fold(products[0].targets["Colour"][0])]

    def taken(attribute: str) -> set[str | None]:
        found = memory.candidates(reading, attribute, Kin(named), as_new=True, claims={"Colour": colour})
        return {found.value(int(n)) for n in np.flatnonzero(found.features[:, FEATURES.index("taken")] == 1)}

    assert taken("Size") == set(products[0].targets["Colour"])
    assert not taken("Colour"), "no attribute takes its own values from itself"


def test_a_text_taken_out_leaves_no_trace() -> None:
    products = lures(24)
    memory, without = remembering(products), remembering(products[1:])
    memory.add(products[0], times=-1)
    for attribute in products[0].targets:
        one, other = (m.candidates(m.read(products[0]), attribute) for m in (memory, without))
        assert [one.value(n) for n in range(len(one))] == [other.value(n) for n in range(len(other))]
        assert np.allclose(one.features, other.features)


def test_weights_do_not_depend_on_the_order_of_seeds() -> None:
    memory = remembering(lures(24))
    one, two = (fit(memory, Kin(named), lures(24), seed=1).weights for _ in range(2))
    assert np.array_equal(one.known, two.known)
    assert np.array_equal(one.new, two.new)


def test_each_attribute_is_once_among_those_that_others_weigh() -> None:
    products = lures(24)
    fitted = fit(remembering(products), Kin(named), products, seed=0)
    assert sorted(a for part, _ in fitted.apart for a in part) == ["Brand", "Colour", "Size"]
    assert all(not np.array_equal(weights, fitted.weights.new) for _, weights in fitted.apart)


def test_with_one_attribute_there_is_nothing_to_learn_from_others() -> None:
    products = [replace(p, targets={"Size": p.targets["Size"]}) for p in lures(24)]
    ((part, weights),) = fit(remembering(products), Kin(named), products, seed=0).apart
    assert part == {"Size"}
    assert not weights.any()


def test_a_known_value_inside_a_word_is_a_candidate() -> None:
    memory = remembering([MarkedProduct("Print shirt", "", "Shirt", {"Pattern": ("Print",)})])
    product = MarkedProduct("Printed shirt", "", "Shirt", {})
    found = memory.candidates(memory.read(product), "Pattern")
    inside = found.features[:, FEATURES.index("inside")].argmax()
    assert found.value(int(inside)) == "Print"


def test_right_is_right_to_the_letter() -> None:
    memory = remembering(lures(4))
    product = MarkedProduct("red Red RED", "", "Lure", {})
    found = memory.candidates(memory.read(product), "Colour")
    assert [found.value(int(n)) for n in np.flatnonzero(found.right(("Red",)))] == ["Red"]
    assert found.right(()).tolist() == [True] + [False] * (len(found) - 1)


@given(st.text(max_size=300))
def test_every_run_stands_where_it_says(raw: str) -> None:
    text = cut(MarkedProduct(raw, "", "", {}))
    for run in range(len(text.keys)):
        assert fold(text.value(run)) == text.keys[run]
        assert text.value(run) in raw
        assert 0 < text.last[run] - text.first[run] <= WIDTH


def test_words_are_cut_between_letters_and_digits() -> None:
    text = cut(MarkedProduct('YA24a 24"', "", "", {}))
    assert text.words == ("YA", "24", "a", "24", '"')
    assert occurrences(text, '24"') == [(3, 5)]
    broken = {text.value(n): int(b) for n, b in enumerate(text.broken)}
    assert (broken["YA24a"], broken["24a"], broken["24"]) == (0, 1, 0)


@pytest.mark.parametrize(("value", "looks"), [("YA24a", "Xdx"), ("40mm", "dx"), ("Deep Blue", "Xx Xx"), ("", "")])
def test_values_have_shapes(value: str, looks: str) -> None:
    assert shape(value) == looks
