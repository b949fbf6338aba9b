"""The memory of known values: what it counts, what it makes of known and of new attributes, and spans of text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.fitting import LEAST_QUESTIONS, Group, Scorer, fit, fit_scorer
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


def best(memory: Memory, product: MarkedProduct, attribute: str, scorer: Scorer, kin: Kin | None) -> str:
    found = memory.candidates(memory.read(product), attribute, kin)
    return str(found.value(int(scorer(found.features).argmax())))


def test_known_values_and_values_of_a_known_shape_are_found() -> None:
    memory = remembering(lures(48))
    scorers = fit(memory, Kin(named), lures(48), seed=0).scorers
    # These sizes were never seen, only their like.
    for product in lures(8, first=100):
        for attribute, values in product.targets.items():
            assert best(memory, product, attribute, scorers.known, None) == (values[0] if values else "None")


def test_a_new_attribute_is_asked_of_its_likes() -> None:
    memory = remembering(lures(48))
    kin = Kin(named)
    known = fit(memory, kin, lures(48), seed=0).scorers.known
    (product,) = lures(1, first=105)
    assert best(memory, product, "Length", replace(known, linear=np.abs(known.linear)), kin) == "115mm"


def either_or(count: int) -> list[Group]:
    """Questions of four candidates: those are right that have the first feature or the second, but not both."""
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(count):
        features = np.zeros((4, len(FEATURES)), dtype=np.float32)
        features[:, :2] = rng.permutation([(0, 0), (0, 1), (1, 0), (1, 1)])
        groups.append(Group(features, features[:, 0] != features[:, 1], np.zeros(4, dtype=np.float32)))
    return groups


def test_a_network_learns_what_two_features_say_together() -> None:
    groups = either_or(LEAST_QUESTIONS)

    def share(scorer: Scorer) -> float:
        return float(np.mean([g.right[scorer(g.features).argmax()] for g in groups]))

    scorer = fit_scorer(groups, 0, 2)
    assert share(scorer) == 1.0
    assert scorer.as_dict() == fit_scorer(groups, 0, 2).as_dict()
    for linear in (fit_scorer(groups[1:], 0, 2), fit_scorer(groups, 0, 0)):
        assert not len(linear.outer), "no network is fitted to few questions, nor where none is wanted"
        assert share(linear) < 0.9


def test_a_feature_that_is_not_looked_at_counts_nothing() -> None:
    groups = either_or(LEAST_QUESTIONS)
    for group in groups:
        group.features[:, 1] = 0.0
    scorer = fit_scorer(groups, 0, 1, unseen=[1])
    features = either_or(1)[0].features
    assert len(scorer.outer)
    assert np.array_equal(scorer(features), scorer(features * (np.arange(len(FEATURES)) != 1)))


def test_a_scorer_is_read_as_it_was_written() -> None:
    products = lures(24)
    known = fit(remembering(products), Kin(named), products, seed=0).scorers.known
    again = Scorer.of_dict(known.as_dict())
    features = np.random.default_rng(0).random((5, len(FEATURES)), dtype=np.float32)
    assert np.array_equal(again(features), known(features))
    with pytest.raises(ValueError, match=r"other features.*Train again"):
        Scorer.of_dict({**known.as_dict(), "linear": [0.0]})


def test_titles_tell_makers_by_how_varied_they_go_on() -> None:
    titles = ("Bon Chef Knife", "Bon Chef Plate 20", "Bon Chef", "Bon Chef SB33", "Lid by Bon Chef SB34", "Duke Table")
    memory = remembering([MarkedProduct(t, "", "Kitchen", {}) for t in titles])

    def sure(title: str) -> dict[str, float]:
        reading = memory.read(MarkedProduct(title, "", "Kitchen", {}))
        return {k: float(v) for k, v in zip(reading.text.keys, reading.makers, strict=True) if not np.isnan(v)}

    found = sure("391009H Bon Chef Marmite")
    assert found["bon chef"] > 0.5 > found["bon"] == 0.0, "codes before are passed over"
    assert not sure("Duke Bench"), "a single title says nothing"
    for title in titles:
        memory.add(MarkedProduct(title, "", "Kitchen", {}), times=-1)
    assert not sure("Bon Chef Marmite")


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


def test_the_same_seed_gives_the_same_scorers() -> None:
    products = lures(24)
    memory = remembering(products)
    one, two = (fit(memory, Kin(named), products, seed=1).scorers for _ in range(2))
    assert one.known.as_dict() == two.known.as_dict()
    assert one.new.as_dict() == two.new.as_dict()


def test_each_question_is_judged_by_what_learned_nothing_of_its_attribute() -> None:
    products = lures(24)
    memory = remembering(products)
    judged = fit(memory, Kin(named), products, seed=0).judged
    assert len(judged) == 3 * 24
    assert sum(not j.is_stated for j in judged) == 24 // 4, "every fourth has no colour"
    assert all(0 <= j.probability <= 1 for j in judged)
    # Of Brand and Colour alone nobody learns what a Size is like: no kinds are known here.
    assert sum(j.is_right and j.probability > 0.5 for j in judged) < len(judged) / 2


def test_a_value_that_no_candidate_is_counts_as_missed() -> None:
    products = [replace(p, targets={**p.targets, "Size": ("somewhere else",)}) for p in lures(24)]
    judged = fit(remembering(products), Kin(named), products, seed=0).judged
    assert sum(j.is_stated and not j.is_right for j in judged) >= 24


def test_what_is_not_looked_at_has_no_weight() -> None:
    products = lures(24)
    scorers = fit(remembering(products), Kin(named), products, seed=0, without=["shape"]).scorers
    assert scorers.known.linear[FEATURES.index("shape")] == 0.0
    assert scorers.known.linear[FEATURES.index("words")] != 0.0


def test_with_one_attribute_there_is_nothing_to_learn_from_others() -> None:
    products = [replace(p, targets={"Size": p.targets["Size"]}) for p in lures(24)]
    judged = fit(remembering(products), Kin(named), products, seed=0).judged
    # Without weights all candidates are as probable.
    assert len(judged) == 24
    assert max(j.probability for j in judged) < 0.5


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


@pytest.mark.parametrize(
    ("title", "openings"),
    [
        ("Bon Chef Knife", [[("bon", "chef"), ("bon chef", "knife"), ("bon chef knife", "")]]),
        ("650766-B21 HP Xeon", [[("hp", "xeon"), ("hp xeon", "")]]),
        ("Lid by Duke 314S", [[("lid", "by"), ("lid by", "duke"), ("lid by duke", "")], [("duke", "")]]),
        ("12345", [[("12345", "")]]),
        ("", []),
    ],
)
def test_titles_open_after_their_codes_and_behind_by(title: str, openings: list[list[tuple[str, str]]]) -> None:
    found = cut(MarkedProduct(title, "A text by nobody.", "", {})).openings
    assert len(found) == len(openings)
    assert [list(runs[: len(some)]) for runs, some in zip(found, openings, strict=True)] == openings


@pytest.mark.parametrize(("value", "looks"), [("YA24a", "Xdx"), ("40mm", "dx"), ("Deep Blue", "Xx Xx"), ("", "")])
def test_values_have_shapes(value: str, looks: str) -> None:
    assert shape(value) == looks
