"""The memory of known values: what it counts, what it makes of known and of new attributes, and spans of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.fitting import LEAST_QUESTIONS, Group, Scorer, fit, fit_scorer
from extraction.kin import Kin
from extraction.kinds import Kinds
from extraction.memory import FEATURES, Memory
from extraction.spans import WIDTH, cut, fold, occurrences, shape
from kg.vocabulary import Vocabulary
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


def test_what_was_0_in_all_questions_counts_nothing_later() -> None:
    scorer = fit_scorer(either_or(LEAST_QUESTIONS), 0, 1)
    (group,) = either_or(1)
    others = group.features.copy()
    others[:, 2:] = 1.0
    assert np.array_equal(scorer(group.features), scorer(others))


def test_a_scorer_is_read_as_it_was_written() -> None:
    groups = either_or(LEAST_QUESTIONS)
    features = np.random.default_rng(0).random((5, len(FEATURES)), dtype=np.float32)
    for scorer in (fit_scorer(groups, 0, 2), fit_scorer(groups, 0, 0)):
        again = Scorer.of_dict(orjson.loads(orjson.dumps(scorer.as_dict())))
        assert again.as_dict() == scorer.as_dict()
        # The last digit hangs on how a processor multiplies matrices of one layout and another.
        assert again(features) == pytest.approx(scorer(features), rel=1e-5)
        for part in ("linear", "shift"):
            with pytest.raises(ValueError, match="other features"):
                Scorer.of_dict({**scorer.as_dict(), part: [0.0]})


def makers(titles: Sequence[str], title: str) -> dict[str, float]:
    """How sure runs of a title are makers' names beside other titles, where they say anything of it."""
    memory = remembering([MarkedProduct(t, "", "Kitchen", {}) for t in titles])
    reading = memory.read(MarkedProduct(title, "", "Kitchen", {}))
    sure = {k: float(v) for k, v in zip(reading.text.keys, reading.makers, strict=True) if not np.isnan(v)}
    for other in titles:
        memory.add(MarkedProduct(other, "", "Kitchen", {}), times=-1)
    assert np.isnan(memory.read(MarkedProduct(title, "", "Kitchen", {})).makers).all(), (
        "what was taken out leaves a trace"
    )
    return sure


def test_titles_tell_makers_by_how_varied_they_go_on() -> None:
    titles = ("Bon Chef Knife", "Bon Chef Plate 20", "Bon Chef", "Bon Chef SB33", "Lid by Bon Chef SB34", "Duke Table")
    found = makers(titles, "391009H Bon Chef Marmite")
    assert found["bon chef"] > 0.5 > found["bon"] == 0.0, "codes before are passed over"
    assert not makers(titles, "Duke Bench"), "a single title says nothing"
    assert not makers(("Duke Table by Duke",) * 2, "Duke Bench"), "a title counts once"
    found = makers(("New Era", "New Look", "New Wave"), "New Balance Shoe")
    assert found["new balance"] == found["new"] / 2 > 0, "that nobody met it is no proof"
    found = makers(("Duke Table", "Duke Chair", "Duke Sink"), "Duke Bench by Duke")
    assert found["duke bench"] == found["duke"] / 2 > 0
    assert makers(("LEGO® Boat", "LEGO® Car", "LEGO® Farm"), "LEGO® Train")["lego"] > 0.5, "marks are no words"
    assert makers(("Bosch - Saw", "Bosch - Mill", "Bosch - Iron"), "Bosch - Drill")["bosch"] == 0.5
    assert makers(("小米 手机 12", "小米 平板 12", "小米 电视 12"), "小米 手机 15")["小米"] > 0.5


def test_a_maker_of_one_sort_of_thing_is_told_by_what_stands_behind_others_too() -> None:
    titles = [f"{maker} lure 40mm" for maker in ("Seafox", "Basso", "Korvin") for _ in range(3)]
    assert makers(titles, "Basso lure 80mm")["basso"] == 0.5
    assert makers(titles[:3], "Seafox lure 80mm")["seafox"] == 0.0


def test_what_titles_tell_of_makers_is_a_sign(vocabulary: Vocabulary) -> None:
    titles = ("Universal Red", "Universal Folder", "Universal Clip")
    memory = remembering([MarkedProduct(t, "", "Office", {}) for t in titles])
    product = MarkedProduct("Universal Tabs", "", "Office", {})
    kin = Kin(None, Kinds(vocabulary, None, frozenset({"universal", "tabs"})))
    found = memory.candidates(memory.read(product), "Brand", kin, as_new=True)
    kind = {found.value(n): float(v) for n, v in enumerate(found.features[:, FEATURES.index("kind")])}
    assert kind["Universal"] == pytest.approx(2 / 3)
    assert kind["Universal Tabs"] == pytest.approx(1 / 3)


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


def test_each_attribute_is_once_among_those_that_others_weigh() -> None:
    products = lures(24)
    fitted = fit(remembering(products), Kin(named), products, seed=0)
    assert sorted(a for part, _ in fitted.apart for a in part) == ["Brand", "Colour", "Size"]
    assert all(not np.array_equal(scorer.linear, fitted.scorers.new.linear) for _, scorer in fitted.apart)


def test_what_is_not_looked_at_has_no_weight() -> None:
    products = lures(24)
    scorers = fit(remembering(products), Kin(named), products, seed=0, without=["shape"]).scorers
    assert scorers.known.linear[FEATURES.index("shape")] == 0.0
    assert scorers.known.linear[FEATURES.index("words")] != 0.0


def test_with_one_attribute_there_is_nothing_to_learn_from_others() -> None:
    products = [replace(p, targets={"Size": p.targets["Size"]}) for p in lures(24)]
    ((part, scorer),) = fit(remembering(products), Kin(named), products, seed=0).apart
    assert part == {"Size"}
    assert not scorer.linear.any()
    assert not len(scorer.outer)


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
        assert shape(text.value(run)) == text.shapes[run]
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
        ("Bon Chef Knife", {"bon": "chef", "bon chef": "knife", "bon chef knife": ""}),
        ("650766-B21 HP Xeon", {"hp": "xeon", "hp xeon": ""}),
        ("Lid by: Duke 3145S", {"lid": "by", "lid by": "", "duke": ""}),
        ('"Bon" Bunn-O-Matic', {"bon": ""}),
        ("小米15手机 蓝色", {"小米15手机": "蓝色"}),
        ("12345 67AB", {}),
        ("12345", {}),
        ("", {}),
    ],
)
def test_titles_open_after_their_codes_and_behind_by(title: str, openings: dict[str, str]) -> None:
    found = cut(MarkedProduct(title, "A text by nobody.", "", {})).openings
    assert {o.run: o.behind for o in found} == openings


@pytest.mark.parametrize(("value", "looks"), [("YA24a", "Xdx"), ("40mm", "dx"), ("Deep Blue", "Xx Xx"), ("", "")])
def test_values_have_shapes(value: str, looks: str) -> None:
    assert shape(value) == looks
