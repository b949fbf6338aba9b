"""Signs of values of attributes never seen: which runs of words they point to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.encoder import Encoder
from extraction.kinds import SIGNS, SILENCES, Kinds
from extraction.spans import Text, cut
from kg.vocabulary import Vocabulary

TITLE = "Zornak lure 40mm 12g red steel YA24a by Korvin, 012345678905"


@pytest.fixture(scope="module")
def kinds(vocabulary: Vocabulary) -> Kinds:
    """Without an encoder: names are alike where they share words."""
    return Kinds(vocabulary, None, frozenset({"lure", "red", "steel", "by"}))


def text_of(title: str) -> Text:
    return cut(MarkedProduct(title, "", "", {}))


def signs(kinds: Kinds, title: str, attribute: str, sign: str) -> dict[str, float]:
    """Each run that has this sign, and how much of it."""
    text = text_of(title)
    runs = np.flatnonzero(text.plain).astype(np.int32)
    nothing = np.zeros(1, dtype=np.float32)
    found = kinds.signs(text, runs, attribute, nothing, nothing)
    column = found.runs[:, SIGNS.index(sign)]
    return {text.value(int(run)): float(v) for run, v in zip(runs, column, strict=True) if v}


def best(found: dict[str, float]) -> set[str]:
    return {value for value, sign in found.items() if sign == max(found.values())}


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("Main Colour", {"red"}),
        ("Length", {"40mm"}),
        ("Item Weight", {"12g"}),
        ("Model Number", {"YA24a"}),
        ("UPC", {"012345678905"}),
        ("Brand", {"Korvin"}),
    ],
)
def test_values_have_the_kind_that_the_name_asks_for(kinds: Kinds, attribute: str, values: set[str]) -> None:
    assert best(signs(kinds, TITLE, attribute, "kind")) == values


@pytest.mark.parametrize(
    ("title", "attribute", "value"),
    [
        ("Frame 8 x 10", "Width", "8"),
        ("Frame 8 x 10", "Height", "10"),
        ('Desk 24" x 30" x 29"', "Depth", '30"'),
        ('Desk 30" wide, 29" high', "Height", '29"'),
        ("Ring of 18k white gold", "Metal Type", "18k white gold"),
        ("Drive 300GB SAS", "Interface", "SAS"),
        ("Korvin lure - Zornak", "Brand", "Korvin"),
    ],
)
def test_sides_metals_and_makers(kinds: Kinds, title: str, attribute: str, value: str) -> None:
    assert best(signs(kinds, title, attribute, "kind")) == {value}


def test_a_noun_beside_a_run_makes_it_a_part_of_a_name(kinds: Kinds) -> None:
    behind, before = (signs(kinds, "Paper clip, steel", "Material", sign) for sign in ("noun_behind", "noun_before"))
    assert behind == {"Paper": 1.0}, "no comma stands between the two"
    assert "clip" in before
    assert "steel" not in before


def test_what_the_catalogue_knows_of_makers_is_believed(kinds: Kinds) -> None:
    text = text_of("Universal red folder")
    runs = np.flatnonzero(text.plain).astype(np.int32)
    nothing = np.zeros(1, dtype=np.float32)
    makers = np.full(len(text.keys), np.nan, dtype=np.float32)
    makers[text.keys.index("universal")], makers[text.keys.index("universal red")] = 0.9, 0.0

    def kind(makers: NDArray[np.float32] | None) -> dict[str, float]:
        column = kinds.signs(text, runs, "Brand", nothing, nothing, makers).runs[:, SIGNS.index("kind")]
        return {text.value(int(run)): float(v) for run, v in zip(runs, column, strict=True)}

    alone, known = kind(None), kind(makers)
    assert (known["Universal"], known["Universal red"]) == (pytest.approx(0.9), 0.0)
    assert known["folder"] == alone["folder"], "of others it says nothing"
    assert kind(None) == alone, "what is remembered of a text is not changed"


def test_of_another_kind_are_the_values_that_the_name_does_not_ask_for(kinds: Kinds) -> None:
    other = signs(kinds, TITLE, "Colour", "kind_other")
    assert "40mm" in other
    assert "red" not in other


def test_nouns_say_what_no_vocabulary_lists(kinds: Kinds) -> None:
    assert best(signs(kinds, "Zornak jersey cycling top", "Sport Type", "is_a")) == {"cycling"}


def test_the_attribute_s_own_words_are_told_from_its_values(kinds: Kinds) -> None:
    assert set(signs(kinds, "Sports shirt", "Sport Type", "is_name")) == {"Sports"}
    assert set(signs(kinds, "Sports shirt", "Sport Type", "has_name")) == {"Sports", "Sports shirt"}


def test_a_text_without_such_a_kind_is_silent(kinds: Kinds) -> None:
    nothing = np.zeros(1, dtype=np.float32)
    silence = {}
    for title in ("Lure red", "Lure"):
        text = text_of(title)
        runs = np.flatnonzero(text.plain).astype(np.int32)
        found = kinds.signs(text, runs, "Colour", nothing, nothing)
        silence[title] = found.silence[SILENCES.index("no_kind")]
    assert silence["Lure"] > silence["Lure red"] == 0


def test_likeness_is_to_the_name_more_than_to_other_names(vocabulary: Vocabulary) -> None:
    """An encoder drawn by hand: one axis for each of two attributes and what is like them."""
    axes = {"Taste": 0, "sweet": 0, "Sound": 1, "loud": 1}

    def drawn(texts: object) -> NDArray[np.float32]:
        return np.eye(3, dtype=np.float32)[[axes.get(t, 2) for t in texts]]  # type: ignore[attr-defined]

    text = text_of("loud sweet thing")
    runs = np.flatnonzero(text.plain).astype(np.int32)
    found = Kinds(vocabulary, drawn).signs(text, runs, "Taste", drawn(["Taste"])[0], drawn(["Sound"])[0])
    likeness = {text.value(int(r)): v for r, v in zip(runs, found.runs[:, SIGNS.index("likeness")], strict=True)}
    assert max(likeness, key=lambda v: likeness[v]) == "sweet"
    assert likeness["loud"] < likeness["thing"]


@pytest.mark.parametrize("title", ["", "\u200b", "'", "1", "word" * 5000, "12 " * 900, "الوان 红色 🎸"])
def test_strange_texts_have_signs_too(kinds: Kinds, encoder: Encoder, vocabulary: Vocabulary, title: str) -> None:
    for some in (kinds, Kinds(vocabulary, encoder.encode)):
        text = text_of(title)
        runs = np.flatnonzero(text.plain).astype(np.int32)
        name = encoder.encode(["Colour"])[0]
        found = some.signs(text, runs, "Colour", name, np.zeros_like(name))
        assert found.runs.shape == (len(runs), len(SIGNS))
        assert np.isfinite(found.runs).all()
